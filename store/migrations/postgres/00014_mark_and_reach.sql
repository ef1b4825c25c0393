-- afterwrite_mark looks at triggers, rules and partitions only where the table's own row says that there are some, and of
-- indexes and constraints only who has changed them last: a flush asks for it each time.
-- With what afterwrite_reach takes, it notes that, too, in the same call.

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
