-- Dead letters: the records that the database refused until their policy was
-- exhausted, each with its whole payload.
--
-- afterwrite_errors: one row for each distinct error of a dead letter. They are few
-- where the letters are many, so that a search in their text, and grouping by them,
-- need not read every letter.
--   kind             of the refusal
--   constraint_name  the constraint, '' if the database does not tell it
--   column_name      the column at fault, '' if unknown
--   message          the database's message, at most 1024 bytes
--
-- afterwrite_dead_letters: one row for each version of a record that died. It is
-- inserted if absent, and never opened again once it is resolved.
--   number      order of death; listings page by it
--   entity, id, version  the state that was refused
--   operation   put or delete
--   payload     the JSON object of the record's fields, NULL for a deletion
--   error       the last refusal
--   attempts    how often it was tried
--   history     JSON array of the attempts: number, at, kind, message, worker
--   accepted_at when the record first waited, died_at when it was given up
--   retried_at  when an operator sent it back; NULL again when it died again
--   resolution  '' while it is open; persisted, superseded, edited or discarded
--   resolver    who resolved it

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_errors (
    number          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL,
    constraint_name text NOT NULL,
    column_name     text NOT NULL,
    message         text NOT NULL,
    UNIQUE (kind, constraint_name, column_name, message)
);
CREATE TABLE IF NOT EXISTS afterwrite_dead_letters (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    version     bigint  NOT NULL,
    operation   text   NOT NULL,
    payload     text,
    error       bigint NOT NULL REFERENCES afterwrite_errors (number),
    attempts    integer NOT NULL,
    history     text   NOT NULL,
    accepted_at timestamptz NOT NULL,
    died_at     timestamptz NOT NULL,
    retried_at  timestamptz,
    resolution  text   NOT NULL DEFAULT '',
    resolved_at timestamptz,
    resolver    text   NOT NULL DEFAULT '',
    UNIQUE (entity, id, version)
);
CREATE INDEX IF NOT EXISTS afterwrite_dead_letters_open ON afterwrite_dead_letters (entity, number) WHERE resolution = '';
CREATE INDEX IF NOT EXISTS afterwrite_dead_letters_error ON afterwrite_dead_letters (error, number);
CREATE INDEX IF NOT EXISTS afterwrite_dead_letters_died ON afterwrite_dead_letters (died_at);
CREATE INDEX IF NOT EXISTS afterwrite_dead_letters_resolved ON afterwrite_dead_letters (resolved_at) WHERE resolution <> '';
