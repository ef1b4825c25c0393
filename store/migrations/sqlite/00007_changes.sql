-- What other programs changed in the entities' tables, noted by triggers that
-- `afterwrite migrate --watch` makes.
--
-- afterwrite_watches: one row for each entity that is watched.
--   pairing   the prefix of the keys in Redis of those who watch
--   flushing  SQLite: 1 within a transaction that flushes the entity, never committed
-- afterwrite_changes: one row for each record whose row was changed and that no worker has
-- handled yet. A worker drops the record from the cache, then deletes the row if its stamp is
-- still the one that was read.
--   id        of the record as text; '' is all of the entity, as after TRUNCATE
--   stamp     another one for each change, random
--   noted_at  of the last change, ms since 1970

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_watches (
    pairing  text NOT NULL,
    entity   text NOT NULL,
    flushing integer NOT NULL DEFAULT 0,
    PRIMARY KEY (pairing, entity)
);
CREATE TABLE IF NOT EXISTS afterwrite_changes (
    pairing  text NOT NULL,
    entity   text NOT NULL,
    id       text NOT NULL,
    stamp    bigint NOT NULL,
    noted_at bigint NOT NULL,
    PRIMARY KEY (pairing, entity, id)
);
