-- Which fields of a dead letter's record were changed.
--
-- afterwrite_dead_letters.changed: the names of the fields that patches and increments
--   changed since the record was last persisted, with commas between them; NULL: all, as
--   of a put, of a deletion, and of letters that are older than this column

-- +goose Up
ALTER TABLE afterwrite_dead_letters ADD COLUMN changed text;
