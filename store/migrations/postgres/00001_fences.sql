-- The number of partitions of each entity, and one fence for each partition.
--
-- afterwrite_entities: one row an entity.
--   partitions  number that ids are shared out to. It changes only while nothing of
--               the entity is pending.
-- afterwrite_fences: one row a partition. Whoever flushes the partition changes its
-- row first and so holds its lock until COMMIT. Half of each page is left free, so
-- that a new version of a row fits beside the old one and no index changes.
--   flushes     transactions that held the fence and committed
--   locked_at   when the last of them began

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_entities (
    entity     text        NOT NULL PRIMARY KEY,
    partitions integer     NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS afterwrite_fences (
    entity    text        NOT NULL,
    partition integer     NOT NULL,
    flushes   bigint      NOT NULL,
    locked_at timestamptz NOT NULL,
    PRIMARY KEY (entity, partition)
) WITH (fillfactor = 50);
