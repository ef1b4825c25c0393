-- The number of partitions of each entity, and one fence for each partition.
--
-- afterwrite_entities: one row an entity.
--   partitions  number that ids are shared out to. It changes only while nothing of
--               the entity is pending.
-- afterwrite_fences: one row a partition. Whoever flushes the partition changes its
-- row first and so holds its lock until COMMIT.
--   flushes     transactions that held the fence and committed
--   locked_at   when the last of them took it, UTC

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_entities (
    entity     text     NOT NULL PRIMARY KEY,
    partitions integer  NOT NULL,
    updated_at datetime NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS afterwrite_fences (
    entity    text     NOT NULL,
    partition integer  NOT NULL,
    flushes   bigint   NOT NULL,
    locked_at datetime NOT NULL,
    PRIMARY KEY (entity, partition)
) WITHOUT ROWID;
