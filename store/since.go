package store

import (
	"cmp"
	"slices"

	"github.com/afterwrite/afterwrite/schema"
)

// complete gives records that were accepted before their entity got a field the value
// that their row has, and the field's default where there is no row: nobody has written
// that field, and its column may have been in use long before. It is called behind the lock
// of the fence. A record whose row cannot be read is refused, for its value is not known.
func (b *batch) complete(changes []schema.Change) ([]schema.Change, error) {
	var ids []string
	for _, c := range changes {
		if lacks(c) {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) == 0 {
		return changes, nil
	}
	rows, unreadable, err := b.rowsOf(ids)
	if err != nil {
		return nil, err
	}
	whole := make([]schema.Change, 0, len(changes))
	for _, c := range changes {
		if r, ok := unreadable[c.ID]; ok {
			b.outcome.Refused = append(b.outcome.Refused, Refused{Change: c, Refusal: r})
			continue
		}
		if lacks(c) {
			c.Values = b.table.entire(c.Values, rows[c.ID])
		}
		whole = append(whole, c)
	}
	return whole, nil
}

func lacks(c schema.Change) bool { return slices.Contains(c.Values, "") }

// entire is a record's values with those that it lacks, from its row; nil: it has none.
func (t *table) entire(values, row schema.Values) schema.Values {
	whole := slices.Clone(values)
	for i, text := range values {
		switch {
		case text != "":
		case row != nil:
			whole[i] = row[i]
		default:
			whole[i] = cmp.Or(t.entity.Fields[i].Default, schema.Null)
		}
	}
	return whole
}

// rowsOf reads the rows of ids, one by one where one of them cannot be read.
func (b *batch) rowsOf(ids []string) (map[string]schema.Values, map[string]schema.Refusal, error) {
	rows, unreadable := make(map[string]schema.Values, len(ids)), map[string]schema.Refusal{}
	for some := range slices.Chunk(ids, b.table.ids) {
		err := b.addRows(rows, some)
		if Unavailable(err) {
			return nil, nil, err
		}
		if err == nil {
			continue
		}
		for _, id := range some {
			err := b.addRows(rows, []string{id})
			if Unavailable(err) {
				return nil, nil, err
			}
			if err != nil {
				unreadable[id] = refusal(schema.KindType, "", "", err.Error())
			}
		}
	}
	return rows, unreadable, nil
}

func (b *batch) addRows(rows map[string]schema.Values, ids []string) error {
	found, err := b.tx.load(b.table, ids)
	for _, row := range found {
		rows[row.ID] = row.Values
	}
	return err
}
