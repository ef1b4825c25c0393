-- What tells that Redis is an older copy of itself, in each fence.
--
--   turn          transactions that held the fence and committed, of the Redis that is named
--                 by turn_of. Redis notes each before it commits: one that has not noted the
--                 last is older than that
--   turn_id       random, of the last of them that committed
--   turn_of       the prefix of the keys in that Redis
--   read_before   the database has, in that state or a newer one, each record that was
--                 pending since before that time, in ms by Redis's clock
--   read_last     of what was pending only since after that time it has nothing
--   read_version  the newest version that the partition had given when the last flush listed
--                 what was pending
--   read_newest   that, or a newer one that any flush has read

-- +goose Up
ALTER TABLE afterwrite_fences ADD COLUMN turn bigint NOT NULL DEFAULT 0;
ALTER TABLE afterwrite_fences ADD COLUMN turn_of text NOT NULL DEFAULT '';
ALTER TABLE afterwrite_fences ADD COLUMN turn_id text NOT NULL DEFAULT '';
ALTER TABLE afterwrite_fences ADD COLUMN read_before bigint NOT NULL DEFAULT 0;
ALTER TABLE afterwrite_fences ADD COLUMN read_last bigint NOT NULL DEFAULT 0;
ALTER TABLE afterwrite_fences ADD COLUMN read_version bigint NOT NULL DEFAULT 0;
ALTER TABLE afterwrite_fences ADD COLUMN read_newest bigint NOT NULL DEFAULT 0;
