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
    number          bigint          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind            varbinary(32)   NOT NULL,
    constraint_name varbinary(512)  NOT NULL,
    column_name     varbinary(512)  NOT NULL,
    message         varbinary(1024) NOT NULL,
    UNIQUE KEY afterwrite_errors_text (kind, constraint_name, column_name, message)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS afterwrite_dead_letters (
    number      bigint          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    entity      varbinary(255)  NOT NULL,
    id          varbinary(1024) NOT NULL,
    version     bigint          NOT NULL,
    operation   varbinary(16)   NOT NULL,
    payload     longtext,
    error       bigint          NOT NULL,
    attempts    integer         NOT NULL,
    history     longtext        NOT NULL,
    accepted_at datetime(6)     NOT NULL,
    died_at     datetime(6)     NOT NULL,
    retried_at  datetime(6),
    resolution  varbinary(16)   NOT NULL DEFAULT '',
    resolved_at datetime(6),
    resolver    varchar(1024)   NOT NULL DEFAULT '',
    UNIQUE KEY afterwrite_dead_letters_version (entity, id, version),
    KEY afterwrite_dead_letters_open (entity, resolution, number),
    KEY afterwrite_dead_letters_error (error, number),
    KEY afterwrite_dead_letters_died (died_at),
    KEY afterwrite_dead_letters_resolved (resolution, resolved_at),
    KEY afterwrite_dead_letters_waiting (resolution, retried_at, number),
    CONSTRAINT afterwrite_dead_letters_error FOREIGN KEY (error) REFERENCES afterwrite_errors (number)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4;
