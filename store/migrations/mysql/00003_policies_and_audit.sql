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
    entity  varbinary(255) NOT NULL,
    version bigint         NOT NULL,
    policy  longtext       NOT NULL,
    author  text           NOT NULL,
    note    text           NOT NULL,
    set_at  datetime(6)    NOT NULL,
    PRIMARY KEY (entity, version)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS afterwrite_audit (
    number  bigint          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at      datetime(6)     NOT NULL,
    actor   text            NOT NULL,
    origin  text            NOT NULL,
    action  varchar(255)    NOT NULL,
    entity  varbinary(255)  NOT NULL,
    id      varbinary(1024) NOT NULL,
    version bigint          NOT NULL,
    detail  longtext        NOT NULL,
    KEY afterwrite_audit_record (entity, id, number)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4;
