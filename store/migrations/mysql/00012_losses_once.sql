-- That a loss is noted once, whichever processes notice it at the same time.
--
-- afterwrite_losses.noted: the life, unique for each entity; NULL for losses whose records are counted, of which a
--   life of a Redis may have several, and for those of builds that do not know this column
--
-- Column and index are added by one statement, which does nothing where they are there.

-- +goose Up
SET @afterwrite_losses = (SELECT IF(count(*) > 0, 'DO 0', 'ALTER TABLE afterwrite_losses
    ADD COLUMN noted varbinary(255),
    ADD UNIQUE INDEX afterwrite_losses_noted (entity, noted)')
    FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'afterwrite_losses' AND COLUMN_NAME = 'noted');
PREPARE afterwrite_losses FROM @afterwrite_losses;
EXECUTE afterwrite_losses;
DEALLOCATE PREPARE afterwrite_losses;
