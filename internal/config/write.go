package config

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// Write writes entities, each after Init, as a file that [Load] can read, with the prefix and without the URLs, which
// come from the environment.
func Write(to io.Writer, prefix string, entities []*schema.Entity) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# redis.url and database.url: AFTERWRITE_REDIS_URL and AFTERWRITE_DATABASE_URL\nredis: {prefix: %s}\n", quoted(prefix))
	queues := map[string]bool{}
	for _, e := range entities {
		if len(e.Cache.Adaptive) > 0 || e.Cache.L1.Bytes > 0 {
			return fmt.Errorf("entity %s: cache.adaptive and cache.l1 are written by hand: they are of each process",
				e.Name)
		}
		queues[e.Flush.Queue] = true
	}
	b.WriteString("worker:\n  queues: {")
	for i, q := range slices.Sorted(maps.Keys(queues)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: 1", q)
	}
	b.WriteString("}\nentities:\n")
	for _, e := range entities {
		writeEntity(&b, e)
	}
	_, err := to.Write(b.Bytes())
	return err
}

func quoted(s string) string { return strconv.Quote(s) }

func writeEntity(b *bytes.Buffer, e *schema.Entity) {
	fmt.Fprintf(b, "  %s:\n    table: %s\n    id: %s\n    fields:\n", e.Name, quoted(e.Table), idSetting(e.ID))
	for i := range e.Fields {
		fmt.Fprintf(b, "      %s\n", fieldText(&e.Fields[i]))
	}
	if len(e.Unique) > 0 {
		sets := make([]string, len(e.Unique))
		for i, names := range e.Unique {
			sets[i] = "[" + strings.Join(names, ", ") + "]"
		}
		fmt.Fprintf(b, "    unique: [%s]\n", strings.Join(sets, ", "))
	}
	fmt.Fprintf(b, "    write: %s\n    partitions: %d\n", e.Write, e.Partitions)
	fmt.Fprintf(b, "    flush: {batch: %d, delay: %s, max_pending: %d, queue: %s}\n", e.Flush.Batch, e.Flush.Delay,
		e.Flush.MaxPending, e.Flush.Queue)
	fmt.Fprintf(b, "    cache:\n      ttl: %s\n      jitter: %s%%\n      negative_ttl: %s\n", e.Cache.TTL,
		decimal(e.Cache.Jitter*100), e.Cache.NegativeTTL)
	r := e.Retry
	fmt.Fprintf(b, "    retry:\n      max_attempts: %d\n      base: %s\n      factor: %s\n      cap: %s\n      jitter: %s\n      timeout: %s\n",
		r.MaxAttempts, r.Base, decimal(r.Factor), r.Cap, r.Jitter, r.Timeout)
	if len(r.On) > 0 {
		b.WriteString("      on:\n")
	}
	for _, kind := range slices.Sorted(maps.Keys(r.On)) {
		writeOverride(b, kind, r.On[kind])
	}
	if e.RankBy != "" {
		fmt.Fprintf(b, "    rank: {by: %s}\n", e.RankBy)
	}
}

// idSetting spells the key of an entity.
func idSetting(id schema.ID) string {
	if id.Composite() {
		columns := make([]string, len(id.Columns))
		for i, c := range id.Columns {
			columns[i] = quoted(c)
		}
		text := "{columns: [" + strings.Join(columns, ", ") + "]"
		if id.Max > 0 && id.Max != schema.MaxIDBytes {
			text += fmt.Sprintf(", max: %d", id.Max)
		}
		return text + "}"
	}
	text := fmt.Sprintf("{column: %s, type: %s", quoted(id.Column), id.Type)
	if id.Type == schema.String {
		text += fmt.Sprintf(", max: %d", id.Max)
	}
	if id.Made != schema.MadeUUID {
		text += fmt.Sprintf(", made: %s", id.Made)
	}
	return text + "}"
}

func writeOverride(b *bytes.Buffer, kind schema.Kind, o schema.RetryOverride) {
	var sets []string
	if o.MaxAttempts != nil {
		sets = append(sets, fmt.Sprintf("max_attempts: %d", *o.MaxAttempts))
	}
	if o.Base != nil {
		sets = append(sets, fmt.Sprintf("base: %s", *o.Base))
	}
	if o.Factor != nil {
		sets = append(sets, "factor: "+decimal(*o.Factor))
	}
	if o.Cap != nil {
		sets = append(sets, fmt.Sprintf("cap: %s", *o.Cap))
	}
	if o.Jitter != nil {
		sets = append(sets, fmt.Sprintf("jitter: %s", *o.Jitter))
	}
	fmt.Fprintf(b, "        %s: {%s}\n", kind, strings.Join(sets, ", "))
}

func decimal(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func fieldText(f *schema.Field) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: {type: %s", f.Name, f.Type)
	set := func(key, value string, given bool) {
		if given {
			fmt.Fprintf(&b, ", %s: %s", key, value)
		}
	}
	set("column", quoted(f.Column), f.Column != f.Name)
	set("required", "true", f.Required)
	set("unique", "true", f.Unique && f.UniqueWhere == "")
	set("unique", "{where: "+quoted(f.UniqueWhere)+"}", f.UniqueWhere != "")
	set("redact", "true", f.Redact)
	set("references", f.References, f.References != "")
	set("precision", strconv.Itoa(f.Precision), f.Type == schema.Decimal)
	set("precision", strconv.Itoa(f.SecondDigits()), f.Type == schema.Time && f.Precision != 0)
	set("scale", strconv.Itoa(f.Scale), f.Type == schema.Decimal)
	set("min", f.Min, f.Min != "")
	set("max", f.Max, f.Max != "")
	set("max", strconv.Itoa(f.MaxLength), f.MaxLength > 0)
	set("default", f.Default, f.Default != "")
	set("from", "database", f.FromDatabase)
	return b.String() + "}"
}

// DraftEntity is an entity of a configuration to begin with, and what is to be said of it.
type DraftEntity struct {
	Entity *schema.Entity
	Notes  map[string]string // comments behind fields, by name; "id" is the key
	Above  []string          // comments above the entity
}

// Draft writes entities with comments, for people to go on from: what is left out has its
// default. The head comes first, as it is.
func Draft(to io.Writer, head string, entities []DraftEntity) error {
	var b bytes.Buffer
	b.WriteString(head)
	b.WriteString("\nentities:\n")
	for i, d := range entities {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, line := range d.Above {
			fmt.Fprintf(&b, "  # %s\n", oneLine(line))
		}
		e := d.Entity
		fmt.Fprintf(&b, "  %s:\n    table: %s\n", e.Name, quoted(e.Table))
		noted(&b, "    id: "+idSetting(e.ID), d.Notes["id"])
		b.WriteString("    fields:\n")
		for i := range e.Fields {
			noted(&b, "      "+fieldText(&e.Fields[i]), d.Notes[e.Fields[i].Name])
		}
	}
	_, err := to.Write(b.Bytes())
	return err
}

// noted writes a line with a comment behind it, if there is one.
func noted(b *bytes.Buffer, line, note string) {
	b.WriteString(line)
	if note != "" {
		b.WriteString("    # " + oneLine(note))
	}
	b.WriteByte('\n')
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
