-- What a flush asks of PostgreSQL each time, as functions: a session keeps the plans of their
-- statements, also behind a pooler, where it can keep no prepared statement.
--
-- afterwrite_lock: locks the fence of a partition by changing its row, which it makes if need
-- be: a row that two make at once is made by one; the other waits for it and changes it. It
-- also turns synchronous_commit on for the transaction where a server, a database or a role has
-- it off: what is acked must survive a crash.
--   redis  the prefix of the keys in Redis
--   pair   the Redis that the database belongs to: its deployment, a space, its life
--   and the fence's columns, see 00001 and 00008, this transaction included
-- afterwrite_reach: notes in a fence how far the flush has read, see 00008.
-- afterwrite_mark: a text that changes when the catalog of a table does: the transactions
-- that have made or changed its columns, indexes, constraints and triggers. Ask for it where
-- the table is locked, or it may be out of date at once.

-- +goose Up
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION afterwrite_lock(an_entity text, a_partition integer, redis text,
    OUT flushes bigint, OUT pair text, OUT turn bigint, OUT turn_id text,
    OUT read_before bigint, OUT read_last bigint, OUT read_version bigint, OUT read_newest bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO afterwrite_fences AS f (entity, partition, flushes, locked_at, turn, turn_of)
    VALUES (an_entity, a_partition, 1, CURRENT_TIMESTAMP, 1, redis)
    ON CONFLICT (entity, partition) DO UPDATE SET flushes = f.flushes + 1, locked_at = CURRENT_TIMESTAMP,
        turn = CASE f.turn_of WHEN excluded.turn_of THEN f.turn + 1 ELSE 1 END, turn_of = excluded.turn_of
    RETURNING f.flushes, f.turn, f.turn_id, f.read_before, f.read_last, f.read_version, f.read_newest
    INTO flushes, turn, turn_id, read_before, read_last, read_version, read_newest;
    SELECT deployment || ' ' || life FROM afterwrite_pairings WHERE name = redis INTO pair;
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION afterwrite_reach(an_entity text, a_partition integer, its_turn text,
    before bigint, last bigint, version bigint, newest bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE afterwrite_fences SET turn_id = its_turn, read_before = before, read_last = last,
        read_version = version, read_newest = newest
    WHERE entity = an_entity AND partition = a_partition;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION afterwrite_mark(rel regclass) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT concat_ws(' ', c.oid, c.relkind, c.relrowsecurity,
        ARRAY(SELECT a.xmin FROM pg_attribute a WHERE a.attrelid = rel AND a.attnum > 0),
        ARRAY(SELECT concat(i.indexrelid, '/', i.xmin) FROM pg_index i WHERE i.indrelid = rel),
        ARRAY(SELECT concat(g.oid, '/', g.xmin, '/', p.xmin) FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
            WHERE g.tgrelid = rel),
        ARRAY(SELECT concat(k.oid, '/', k.xmin) FROM pg_constraint k WHERE k.conrelid = rel),
        (SELECT count(*) FROM pg_inherits h WHERE h.inhparent = rel AND c.relkind = 'r'))
    FROM pg_class c WHERE c.oid = rel);
END $$;
-- +goose StatementEnd
