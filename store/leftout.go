package store

import "github.com/afterwrite/afterwrite/schema"

// leftOutError is a statement that succeeded and left a change out, as where a trigger
// returns nothing for its row, a rule does something else instead, or a policy hides the
// row. Only the number of its rows tells.
type leftOutError struct{}

func (leftOutError) Error() string {
	return "the database reported no error, but the row is not as it was to be: a trigger, a rule or a row security policy left it out"
}

// moved is why a batch is refused of which a record has no row at the end, though the database has written it. To call
// that persisted would be wrong, for nothing of the write is under the record's id.
const moved = "the database reported no error, but no row has the record's key after the write: " +
	"a trigger changed the key or deleted the row, or a row security policy hides it"

// checkPut looks at the rows where an upsert wrote fewer than it had. Those that are as
// they should be are well: there are triggers that leave out what changes nothing.
func (b *batch) checkPut(changes []schema.Change, written int64) error {
	if written >= int64(len(changes)) {
		return nil
	}
	ids := make([]string, len(changes))
	for i, c := range changes {
		ids[i] = c.ID
	}
	rows, err := b.rowsOf(ids) // a row that cannot be read is not as it should be
	if err != nil {
		return err
	}
	for _, c := range changes {
		row, ok := rows[c.ID]
		for i := range row {
			ok = ok && (!c.Writes(i) || c.Values[i] == row[i])
		}
		if !ok {
			return leftOutError{}
		}
	}
	return nil
}

// checkDeletion looks for the rows where a deletion found fewer than it had: those that
// were there and those that never were are both away now.
func (b *batch) checkDeletion(among string, keys []any, deleted int64) error {
	if deleted*int64(b.table.Keys) >= int64(len(keys)) {
		return nil
	}
	var left int64
	err := b.table.Scope(b.tx.DB).Where(among, keys...).Count(&left).Error
	if err == nil && left > 0 {
		err = leftOutError{}
	}
	return err
}
