package catalog

import (
	"context"
	"encoding/json"
	"fmt"
)

// ReadPostgres reads a table by its quoted name, with or without a schema. A table that does not exist has no columns.
// One statement reads everything, so from one snapshot.
func ReadPostgres(ctx context.Context, q Querier, quoted string) (*Table, error) {
	t := &Table{Name: quoted}
	rows, err := q.QueryContext(ctx, postgresCatalog, quoted)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var text []byte
	for rows.Next() {
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); err != nil || text == nil {
		return t, err
	}
	var read postgresTable
	if err := json.Unmarshal(text, &read); err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	read.fill(t)
	return t, nil
}

// postgresTable is the result of postgresCatalog.
type postgresTable struct {
	ID, Kind     string
	Rules        int
	RowSecurity  bool
	Policies     bool
	Unlogged     bool
	Inherited    bool
	PartitionKey []string
	Columns      []postgresColumn
	Indexes      []Index
	Triggers     []postgresTrigger
	ForeignKeys  []postgresKey
	References   []postgresKey
	Checks       []string
	Others       []string
	Invalid      []string
}

type postgresColumn struct {
	Name, Type, Base, Typtype, Category, Domain, Default, Identity, Generated, Collation, Barred string

	Mod                      int
	NotNull, Sequence, Folds bool
	Enum                     []string
}

type postgresTrigger struct {
	Name     string
	Bits     int
	Columns  []string
	Deferred bool
	Enabled  string
	Body     string
	Source   string
}

type postgresKey struct {
	ForeignKey
	Del, Upd string
}

func (p *postgresTable) fill(t *Table) {
	t.Kind = map[string]Kind{"p": Partitioned, "v": View, "m": View, "f": Foreign}[p.Kind]
	if t.Kind == "" {
		t.Kind = Plain
	}
	t.ID, t.Unlogged = p.ID, p.Unlogged
	t.Rules, t.RowSecurity, t.Policies = p.Rules, p.RowSecurity, p.Policies
	t.PartitionKey, t.Checks = p.PartitionKey, p.Checks
	if p.Kind == "m" {
		t.Flaw, t.FlawFix = "it is a materialized view, which takes no writes", "name the table below it"
	}
	if p.Inherited {
		t.Flaw = "tables inherit from it, whose rows it shows and whose keys its index does not cover"
		t.FlawFix = "name a table without children"
	}
	for _, c := range p.Columns {
		t.Columns = append(t.Columns, c.column())
	}
	t.Indexes, t.Others, t.Invalid = p.Indexes, p.Others, p.Invalid
	triggers := make([]Trigger, len(p.Triggers))
	for i, trigger := range p.Triggers {
		triggers[i] = trigger.trigger()
	}
	t.setTriggers(triggers)
	t.ForeignKeys, t.References = keys(p.ForeignKeys), keys(p.References)
}

func (c postgresColumn) column() Column {
	out := Column{
		Name: c.Name, Type: c.Type, Base: c.Base, Class: Scalar, Domain: c.Domain, Enum: c.Enum, Fraction: -1,
		NotNull: c.NotNull, Default: c.Default, Sequence: c.Sequence, Generated: c.Generated != "",
		Identity:  map[string]Identity{"a": Always, "d": ByDefault}[c.Identity],
		Collation: c.Collation, Folds: c.Folds, Barred: c.Barred,
	}
	switch {
	case c.Category == "A":
		out.Class = Array
		return out
	case c.Typtype == "e":
		out.Class = Enum
	case c.Typtype == "c":
		out.Class = Composite
	case c.Typtype == "r" || c.Typtype == "m":
		out.Class = Range
	}
	out.modify(c.Mod)
	return out
}

// modify decodes a type's modifier; -1 is no modifier.
func (c *Column) modify(mod int) {
	switch c.Base {
	case "character varying", "character":
		c.Length = max(0, mod-4)
	case "bit", "bit varying":
		c.Length = max(0, mod)
	case "numeric":
		if mod >= 4 {
			c.Precision = (mod - 4) >> 16 & 0xffff
			c.Scale = ((mod-4)&0x7ff ^ 1024) - 1024
		}
	case "date":
		c.Fraction = 0
	case "timestamp without time zone", "timestamp with time zone", "time without time zone", "time with time zone":
		c.Fraction = 6
		if mod >= 0 {
			c.Fraction = min(mod, 6)
		}
	}
}

// The bits of pg_trigger.tgtype.
const (
	triggerRow = 1 << iota
	triggerBefore
	triggerInsert
	triggerDelete
	triggerUpdate
	_ // TRUNCATE
	triggerInstead
)

func (p postgresTrigger) trigger() Trigger {
	t := Trigger{
		Name: p.Name, Row: p.Bits&triggerRow != 0, Instead: p.Bits&triggerInstead != 0,
		Before:  p.Bits&(triggerBefore|triggerInstead) != 0,
		Columns: p.Columns, Deferred: p.Deferred, Source: p.Source, Body: p.Body,
		Enabled: p.Enabled == "O" || p.Enabled == "A",
	}
	for _, e := range []struct {
		bit   int
		event Event
	}{{triggerInsert, Insert}, {triggerUpdate, Update}, {triggerDelete, Delete}} {
		if p.Bits&e.bit != 0 {
			t.Events = append(t.Events, e.event)
		}
	}
	return t
}

func keys(read []postgresKey) []ForeignKey {
	actions := map[string]string{"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
	var out []ForeignKey
	for _, k := range read {
		k.OnDelete, k.OnUpdate, k.Enforced = actions[k.Del], actions[k.Upd], true
		out = append(out, k.ForeignKey)
	}
	return out
}

// postgresCatalog returns one JSON object for a table's quoted name, or no row. It resolves a domain to its base type.
// It works from PostgreSQL 12: what is newer is read through to_jsonb, as NULLS NOT DISTINCT. Partitions may have
// foreign keys and triggers that their table has not; what their table has they have, too, with a parent.
const postgresCatalog = `
WITH RECURSIVE own AS (SELECT * FROM pg_class WHERE oid = to_regclass($1)),
whole AS (SELECT oid FROM own UNION SELECT p.relid FROM own, pg_partition_tree(own.oid) p WHERE own.relkind = 'p'),
down AS (
	SELECT a.attnum, a.atttypid AS type, a.atttypmod AS mod, a.attnotnull AS required
	FROM pg_attribute a, own WHERE a.attrelid = own.oid AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT d.attnum, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE d.mod END, d.required OR t.typnotnull
	FROM down d JOIN pg_type t ON t.oid = d.type WHERE t.typtype = 'd'
),
cols AS (
	SELECT a.attnum, json_build_object(
		'Name', a.attname, 'Type', format_type(a.atttypid, a.atttypmod), 'Base', format_type(t.oid, NULL),
		'Typtype', t.typtype, 'Category', t.typcategory, 'Mod', d.mod,
		'Domain', CASE WHEN a.atttypid <> d.type THEN format_type(a.atttypid, NULL) ELSE '' END,
		'NotNull', d.required, 'Identity', a.attidentity, 'Generated', a.attgenerated,
		'Default', CASE WHEN a.attgenerated = '' THEN coalesce(pg_get_expr(e.adbin, e.adrelid), (SELECT typdefault FROM pg_type WHERE oid = a.atttypid), '') ELSE '' END,
		'Sequence', coalesce(pg_get_expr(e.adbin, e.adrelid) LIKE '%nextval(%', false),
		'Barred', CASE WHEN a.attidentity <> '' OR pg_get_expr(e.adbin, e.adrelid) LIKE '%nextval(%' THEN coalesce((
			SELECT s.oid::regclass::text FROM (
				SELECT p.objid AS oid FROM pg_depend p WHERE p.refclassid = 'pg_class'::regclass AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum
					AND p.classid = 'pg_class'::regclass AND p.deptype = 'i'
				UNION ALL SELECT p.refobjid FROM pg_depend p WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = e.oid AND p.refclassid = 'pg_class'::regclass
			) d JOIN pg_class s ON s.oid = d.oid WHERE CASE s.relkind WHEN 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') END LIMIT 1), '') ELSE '' END,
		'Collation', CASE WHEN l.collname IS NULL OR l.collname = 'default' OR l.collname = 'C' THEN '' ELSE l.collname END,
		'Folds', NOT coalesce(l.collisdeterministic, true) OR t.typname IN ('citext', 'bpchar'),
		'Enum', (SELECT json_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
	) AS col
	FROM down d JOIN pg_type t ON t.oid = d.type AND t.typtype <> 'd'
	JOIN own ON true JOIN pg_attribute a ON a.attrelid = own.oid AND a.attnum = d.attnum
	LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
	LEFT JOIN pg_collation l ON l.oid = a.attcollation
),
parts AS (
	SELECT i.indexrelid, k.n, json_build_object(
		'Column', coalesce(a.attname, ''),
		'Expression', CASE WHEN a.attname IS NULL THEN pg_get_indexdef(i.indexrelid, k.n::int, true) ELSE '' END,
		'Collation', CASE WHEN NOT coalesce(l.collisdeterministic, true) THEN 'its collation is ' || l.collname
			WHEN t.typname IN ('citext', 'bpchar') THEN 'its type is ' || format_type(t.oid, NULL) ELSE '' END
	) AS part
	FROM pg_index i JOIN own ON i.indrelid = own.oid
	CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[]) WITH ORDINALITY k(att, class, coll, n)
	LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.att AND k.att > 0
	LEFT JOIN pg_opclass o ON o.oid = k.class LEFT JOIN pg_type t ON t.oid = o.opcintype
	LEFT JOIN pg_collation l ON l.oid = k.coll
	WHERE i.indisunique AND i.indisvalid AND k.n <= i.indnkeyatts
),
keyed AS (
	SELECT f.conrelid, f.confrelid, json_build_object(
		'Name', f.conname, 'Table', coalesce(pg_partition_root(f.conrelid), f.conrelid)::regclass::text,
		'TableID', coalesce(pg_partition_root(f.conrelid), f.conrelid)::oid::text, 'RefTable', f.confrelid::regclass::text,
		'Columns', (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY k(att, n)
			JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.att),
		'RefColumns', (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY k(att, n)
			JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.att),
		'Del', f.confdeltype, 'Upd', f.confupdtype, 'Deferrable', f.condeferrable) AS key
	FROM pg_constraint f WHERE f.contype = 'f' AND f.conparentid = 0
		AND (f.conrelid = (SELECT oid FROM own) OR f.confrelid IN (SELECT oid FROM whole))
)
SELECT json_build_object(
	'ID', own.oid::text, 'Kind', own.relkind,
	'Rules', (SELECT count(*) FROM pg_rewrite w WHERE w.ev_class = own.oid AND w.rulename <> '_RETURN'),
	'Inherited', own.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = own.oid),
	'RowSecurity', own.relrowsecurity AND row_security_active(own.oid), 'Policies', own.relrowsecurity,
	'Unlogged', own.relpersistence = 'u',
	'PartitionKey', (SELECT json_agg(coalesce(a.attname, '') ORDER BY k.n) FROM pg_partitioned_table p
		CROSS JOIN LATERAL unnest(p.partattrs::int2[]) WITH ORDINALITY k(att, n)
		LEFT JOIN pg_attribute a ON a.attrelid = own.oid AND a.attnum = k.att AND k.att > 0 WHERE p.partrelid = own.oid),
	'Columns', (SELECT json_agg(col ORDER BY attnum) FROM cols),
	'Indexes', (SELECT json_agg(json_build_object('Name', c.relname, 'Primary', i.indisprimary, 'Deferrable', NOT i.indimmediate,
			'Constraint', EXISTS (SELECT FROM pg_constraint x WHERE x.conindid = i.indexrelid AND x.conrelid = own.oid AND x.contype IN ('p', 'u')),
			'Where', coalesce(pg_get_expr(i.indpred, i.indrelid), ''),
			'NullsSame', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
			'Parts', (SELECT json_agg(part ORDER BY n) FROM parts WHERE parts.indexrelid = i.indexrelid)) ORDER BY c.relname)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = own.oid AND i.indisunique AND i.indisvalid),
	'Others', (SELECT json_agg(c.relname ORDER BY c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE i.indrelid = own.oid AND NOT i.indisunique AND i.indisvalid),
	'Invalid', (SELECT json_agg(c.relname ORDER BY c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE i.indrelid = own.oid AND NOT i.indisvalid),
	'Triggers', (SELECT json_agg(json_build_object('Name', g.tgname, 'Bits', g.tgtype, 'Deferred', g.tgdeferrable, 'Enabled', g.tgenabled,
			'Columns', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = g.tgrelid AND a.attnum = ANY (g.tgattr::int2[])),
			'Source', f.prosrc, 'Body', f.oid::regprocedure::text || ' ' || md5(f.prosrc)) ORDER BY g.tgname)
		FROM pg_trigger g JOIN pg_proc f ON f.oid = g.tgfoid WHERE g.tgrelid IN (SELECT oid FROM whole) AND NOT g.tgisinternal
			AND (g.tgrelid = own.oid OR coalesce((to_jsonb(g) ->> 'tgparentid')::bigint, 0) = 0)),
	'ForeignKeys', (SELECT json_agg(key ORDER BY key ->> 'Name') FROM keyed WHERE conrelid = own.oid),
	'References', (SELECT json_agg(key ORDER BY key ->> 'Table', key ->> 'Name') FROM keyed WHERE confrelid IN (SELECT oid FROM whole)),
	'Checks', (SELECT json_agg(pg_get_constraintdef(c.oid) ORDER BY c.conname) FROM pg_constraint c WHERE c.conrelid = own.oid AND c.contype IN ('c', 'x'))
) FROM own`
