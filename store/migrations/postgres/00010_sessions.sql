-- Who is logged in to the dashboard, for when Redis cannot keep it.
--
-- afterwrite_sessions: one row for each session.
--   token       SHA-256 of the cookie's
--   data        who it is, in the form of the dashboard's session manager
--   expires_at  rows after this time are deleted at the next log-in

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_sessions (
    token      text COLLATE "C" NOT NULL PRIMARY KEY,
    data       bytea       NOT NULL,
    expires_at timestamptz NOT NULL
);
