-- Live retry policies, and what operators did.
--
-- afterwrite_policies: every version of each entity's policy; the greatest is in
-- force. Without a row the configuration's policy is.
--   policy  JSON: max_attempts, base, factor, cap, jitter, timeout, on; times in
--           nanoseconds
--   author  who set it, note why
-- afterwrite_audit: one row for each action of an operator. Rows are only added.
--   actor   who, origin from where (an address, or the command line)
--   action  such as dead.retry or policy.set
--   entity, id, version  what it was about, as far as it was about one record
--   detail  JSON of the rest

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_policies (
    entity  text COLLATE "C" NOT NULL,
    version bigint  NOT NULL,
    policy  text    NOT NULL,
    author  text    NOT NULL,
    note    text    NOT NULL,
    set_at  timestamptz NOT NULL,
    PRIMARY KEY (entity, version)
);
CREATE TABLE IF NOT EXISTS afterwrite_audit (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    actor   text NOT NULL,
    origin  text NOT NULL,
    action  text NOT NULL,
    entity  text COLLATE "C" NOT NULL,
    id      text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    detail  text NOT NULL
);
CREATE INDEX IF NOT EXISTS afterwrite_audit_record ON afterwrite_audit (entity, id, number);
