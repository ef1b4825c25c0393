-- afterwrite_mark(rel): as in 00011 and 00013, but it reads triggers, rules and partitions only where the table's row in
-- pg_class says that there are some, because each flush may ask for it.
-- afterwrite_mark(rel, …): the same, after it has called afterwrite_reach with the other arguments: one call for two.
-- afterwrite_marked(rel): afterwrite_mark(rel) as a plan keeps it. It is IMMUTABLE, so the planner calls it; it calls
-- a function that is not, which has a snapshot of its own: the planner's may be older than a change of the table that the
-- session has just waited for. See store/internal/postgres/kept.go.

-- +goose Up
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION afterwrite_mark(rel regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c record;
    mark text;
BEGIN
    SELECT t.oid, t.relkind, t.relrowsecurity, t.relhastriggers, t.relhasrules, t.relhassubclass,
        ARRAY(SELECT a.xmin FROM pg_attribute a WHERE a.attrelid = rel AND a.attnum > 0) AS attributes,
        ARRAY(SELECT i.xmin FROM pg_index i WHERE i.indrelid = rel) AS indexes,
        ARRAY(SELECT k.xmin FROM pg_constraint k WHERE k.conrelid = rel) AS constraints
    INTO c FROM pg_class t WHERE t.oid = rel;
    mark := c;
    IF c.relhastriggers THEN
        mark := mark || ARRAY(SELECT concat(g.oid, '/', g.xmin, '/', p.xmin)
            FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid WHERE g.tgrelid = rel)::text;
    END IF;
    IF c.relhasrules THEN
        mark := mark || ARRAY(SELECT concat(w.oid, '/', w.xmin) FROM pg_rewrite w WHERE w.ev_class = rel)::text;
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION afterwrite_mark(rel regclass, an_entity text, a_partition integer, its_turn text,
    before bigint, last bigint, version bigint, newest bigint)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM afterwrite_reach(an_entity, a_partition, its_turn, before, last, version, newest);
    RETURN afterwrite_mark(rel);
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION afterwrite_marked(rel regclass) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN afterwrite_mark(rel);
END $$;
-- +goose StatementEnd
