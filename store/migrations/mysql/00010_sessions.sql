-- Who is logged in to the dashboard, for when Redis cannot keep it.
--
-- afterwrite_sessions: one row for each session.
--   token       SHA-256 of the cookie's
--   data        who it is, in the form of the dashboard's session manager
--   expires_at  rows after this time are deleted at the next log-in

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_sessions (
    token      varbinary(255) NOT NULL PRIMARY KEY,
    data       mediumblob     NOT NULL,
    expires_at datetime(6)    NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
