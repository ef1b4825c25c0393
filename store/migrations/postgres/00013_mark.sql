-- afterwrite_mark also changes with the rules of a table and with the triggers of its partitions, of which each may have
-- its own.

-- +goose Up
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION afterwrite_mark(rel regclass) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT concat_ws(' ', c.oid, c.relkind, c.relrowsecurity,
        ARRAY(SELECT a.xmin FROM pg_attribute a WHERE a.attrelid = rel AND a.attnum > 0),
        ARRAY(SELECT concat(i.indexrelid, '/', i.xmin) FROM pg_index i WHERE i.indrelid = rel),
        ARRAY(SELECT concat(g.oid, '/', g.xmin, '/', p.xmin) FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
            WHERE g.tgrelid = rel),
        CASE c.relkind WHEN 'p' THEN ARRAY(SELECT concat(g.oid, '/', g.xmin, '/', p.xmin)
            FROM pg_partition_tree(rel) part JOIN pg_trigger g ON g.tgrelid = part.relid JOIN pg_proc p ON p.oid = g.tgfoid
            WHERE part.level > 0) END,
        ARRAY(SELECT concat(k.oid, '/', k.xmin) FROM pg_constraint k WHERE k.conrelid = rel),
        CASE WHEN c.relhasrules THEN ARRAY(SELECT concat(w.oid, '/', w.xmin) FROM pg_rewrite w WHERE w.ev_class = rel) END,
        (SELECT count(*) FROM pg_inherits h WHERE h.inhparent = rel AND c.relkind = 'r'))
    FROM pg_class c WHERE c.oid = rel);
END $$;
-- +goose StatementEnd
