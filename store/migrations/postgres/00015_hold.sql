-- afterwrite_hold(name): locks the table that has the name as a write of its rows does, so that it waits for every
-- change that the write would have to wait for: of its triggers and foreign keys, too. A role without a right to the
-- whole table, and a view, have the lock of a read alone.
-- afterwrite_mark(rel): as in 00014, and it changes with the server, whose copy may have the same ids in another table,
-- with whether policies apply to the role, and with the tables whose rows foreign keys change with those of this one.

-- +goose Up
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION afterwrite_hold(name text) RETURNS regclass LANGUAGE plpgsql AS $$
DECLARE
    rel regclass;
    kind "char";
BEGIN
    LOOP
        rel := to_regclass(name);
        kind := (SELECT t.relkind FROM pg_class t WHERE t.oid = rel);
        IF kind IN ('r', 'p') AND has_table_privilege(rel, 'INSERT, UPDATE, DELETE, TRUNCATE') THEN
            -- before 13 the partitions are locked only by a role with a right to each of them
            EXECUTE concat('LOCK TABLE ', CASE WHEN kind = 'r' OR current_setting('server_version_num')::int < 130000
                THEN 'ONLY ' END, name, ' IN ROW EXCLUSIVE MODE');
        ELSE
            EXECUTE concat('SELECT FROM ', name, ' WHERE false');
        END IF;
        EXIT WHEN rel = to_regclass(name); -- else another table got the name before the lock
    END LOOP;
    RETURN rel;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION afterwrite_mark(rel regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c record;
    mark text;
BEGIN
    SELECT extract(epoch FROM pg_postmaster_start_time()), t.oid, t.relkind, t.relrowsecurity, t.relhastriggers,
        t.relhasrules, t.relhassubclass,
        ARRAY(SELECT a.xmin FROM pg_attribute a WHERE a.attrelid = rel AND a.attnum > 0) AS attributes,
        ARRAY(SELECT i.xmin FROM pg_index i WHERE i.indrelid = rel) AS indexes,
        ARRAY(SELECT k.xmin FROM pg_constraint k WHERE k.conrelid = rel) AS constraints
    INTO c FROM pg_class t WHERE t.oid = rel;
    mark := c;
    IF c.relhastriggers THEN
        mark := mark || ARRAY(SELECT concat(g.oid, '/', g.xmin, '/', p.xmin)
            FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid WHERE g.tgrelid = rel)::text || ARRAY(
            WITH RECURSIVE beside AS (
                SELECT rel::oid AS oid
                UNION
                SELECT part.relid::oid FROM pg_partition_tree(rel) part
                UNION
                SELECT k.conrelid FROM beside JOIN pg_trigger g ON g.tgrelid = beside.oid
                JOIN pg_constraint k ON k.oid = g.tgconstraint AND k.contype = 'f' AND k.confrelid = beside.oid
                WHERE k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')
            )
            SELECT concat(t.oid, '/', t.relnamespace, '/', t.relname,
                ARRAY(SELECT a.xmin FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0),
                ARRAY(SELECT k.xmin FROM pg_constraint k WHERE k.conrelid = t.oid))
            FROM beside JOIN pg_class t USING (oid) WHERE t.oid <> rel ORDER BY t.oid)::text;
    END IF;
    IF c.relhasrules THEN
        mark := mark || ARRAY(SELECT concat(w.oid, '/', w.xmin) FROM pg_rewrite w WHERE w.ev_class = rel)::text;
    END IF;
    IF c.relrowsecurity THEN
        mark := concat(mark, row_security_active(rel));
    END IF;
    IF c.relkind = 'p' THEN
        mark := mark || ARRAY(SELECT concat(g.oid, '/', g.xmin, '/', p.xmin)
            FROM pg_partition_tree(rel) part JOIN pg_trigger g ON g.tgrelid = part.relid JOIN pg_proc p ON p.oid = g.tgfoid
            WHERE part.level > 0)::text;
    ELSIF c.relkind = 'r' AND c.relhassubclass THEN
        mark := concat_ws(' ', mark, (SELECT count(*) FROM pg_inherits h WHERE h.inhparent = rel));
    END IF;
    RETURN mark;
END $$;
-- +goose StatementEnd
