-- API tokens.
--
-- afterwrite_tokens: one row for each token that was ever made. Rows are never deleted,
-- so that a name in a log or in the audit can be looked up.
--   name          unique among the tokens that are not revoked, by way of living
--   hash          SHA-256 of the token's 256 random bits, in hexadecimal. The token
--                 itself is kept nowhere
--   scopes        such as 'user:read,write *:read', separated by spaces; '' for none
--   created_by, revoked_by  who did it
--   expires_at    NULL: never
--   last_used_at  some minutes exact; NULL: not yet
--   revoked_at    NULL while it is in force
--   living        the name while the token is not revoked, else NULL

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_tokens (
    number       bigint          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name         varbinary(1024) NOT NULL,
    hash         varbinary(64)   NOT NULL,
    scopes       text            NOT NULL,
    created_at   datetime(6)     NOT NULL,
    created_by   text            NOT NULL,
    expires_at   datetime(6),
    last_used_at datetime(6),
    revoked_at   datetime(6),
    revoked_by   varchar(1024)   NOT NULL DEFAULT '',
    living       varbinary(1024) AS (CASE WHEN revoked_at IS NULL THEN name END) VIRTUAL,
    UNIQUE KEY afterwrite_tokens_hash (hash),
    UNIQUE KEY afterwrite_tokens_name (living)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4;
