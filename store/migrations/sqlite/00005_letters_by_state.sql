-- Dead letters by where they stand, in the order in which they are listed: a page of a
-- state that few of a million letters are in reads those few.

-- +goose Up
CREATE INDEX IF NOT EXISTS afterwrite_dead_letters_waiting ON afterwrite_dead_letters (number) WHERE resolution = '' AND retried_at IS NULL;
CREATE INDEX IF NOT EXISTS afterwrite_dead_letters_retrying ON afterwrite_dead_letters (number) WHERE resolution = '' AND retried_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS afterwrite_dead_letters_ended ON afterwrite_dead_letters (number) WHERE resolution <> '';
