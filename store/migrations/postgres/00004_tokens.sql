-- API tokens.
--
-- afterwrite_tokens: one row for each token that was ever made. Rows are never deleted,
-- so that a name in a log or in the audit can be looked up.
--   name          unique among the tokens that are not revoked
--   hash          SHA-256 of the token's 256 random bits, in hexadecimal. The token
--                 itself is kept nowhere
--   scopes        such as 'user:read,write *:read', separated by spaces; '' for none
--   created_by, revoked_by  who did it
--   expires_at    NULL: never
--   last_used_at  some minutes exact; NULL: not yet
--   revoked_at    NULL while it is in force

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_tokens (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text COLLATE "C" NOT NULL,
    hash         text NOT NULL UNIQUE,
    scopes       text NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   text NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    revoked_by   text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX IF NOT EXISTS afterwrite_tokens_name ON afterwrite_tokens (name) WHERE revoked_at IS NULL;
