-- The number of partitions of each entity, and one fence for each partition.
--
-- DDL commits at once here, so each migration is statements that do nothing where they were
-- done already: one that was cut off is run again from its start. Keys are bytes, so that no
-- collation takes two of them for the same.
--
-- afterwrite_entities: one row an entity.
--   partitions  number that ids are shared out to. It changes only while nothing of
--               the entity is pending.
-- afterwrite_fences: one row a partition. A flush of the partition changes its row first and
-- so holds its lock until COMMIT.
--   flushes     transactions that held the fence and committed
--   locked_at   when the last of them began
--   holder      the id of its connection; read uncommitted it tells which connection holds
--               the fence now

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_entities (
    entity     varbinary(255) NOT NULL PRIMARY KEY,
    partitions integer        NOT NULL,
    updated_at datetime(6)    NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS afterwrite_fences (
    entity      varbinary(255) NOT NULL,
    `partition` integer        NOT NULL,
    flushes     bigint         NOT NULL,
    locked_at   datetime(6)    NOT NULL,
    holder      bigint         NOT NULL DEFAULT 0,
    PRIMARY KEY (entity, `partition`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
