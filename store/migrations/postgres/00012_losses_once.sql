-- That a loss is noted once, whichever processes notice it at the same time.
--
-- afterwrite_losses.noted: the life, unique for each entity; NULL for losses whose records are counted, of which a
--   life of a Redis may have several, and for those of builds that do not know this column

-- +goose Up
ALTER TABLE afterwrite_losses ADD COLUMN IF NOT EXISTS noted text COLLATE "C";
CREATE UNIQUE INDEX IF NOT EXISTS afterwrite_losses_noted ON afterwrite_losses (entity, noted);
