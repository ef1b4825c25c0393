package worker

import (
	"sync"
)

// suspicion begins after that many failures in a row of a partition whose fence could be locked, while the database
// responds.
const suspicion = 2

// A suspected batch is divided by shrink after each failure and multiplied by grow after a success: slowly, because
// otherwise the next batch would contain the same record again.
const (
	shrink = 8
	grow   = 2
)

// place is a partition.
type place struct {
	entity    string
	partition int
}

// suspects tracks the partitions whose batches fail although the database responds. It is local to this process:
// another process that gets the same batch finds out by itself.
type suspects struct {
	mu sync.Mutex
	at map[place]*suspect
}

type suspect struct {
	failures int    // in a row
	limit    int    // records of the next batch; 0: the entity's own limit
	spent    string // the record that was condemned since a record was last persisted
}

func newSuspects() *suspects { return &suspects{at: make(map[place]*suspect)} }

// limit returns the size of the partition's next batch, and whether the store should search for the record that makes
// it fail.
func (s *suspects) limit(at place, batch int) (limit int, suspicious bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.at[at]
	if one == nil || one.limit == 0 {
		return batch, false
	}
	return min(one.limit, batch), true
}

// failed counts a failure of a batch with these records; locked says that it held its fence, alone that its one record
// is isolated. If a batch of one fails, its record is condemned: it must be held, or it would delay the others for
// ever. But only one record is condemned until something is persisted: if the next batch fails too, the records are not
// at fault. The failure of an isolated record says nothing about the others.
func (s *suspects) failed(at place, ids []string, locked, alone bool) (failures int, condemned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.at[at]
	if one == nil {
		one = &suspect{}
		s.at[at] = one
	}
	if !alone {
		one.failures++
	}
	failures = max(one.failures, 1)
	if !locked || len(ids) == 0 {
		return failures, false
	}
	if len(ids) == 1 && (one.limit > 0 || alone) && (one.spent == "" || one.spent == ids[0]) {
		one.spent, condemned = ids[0], true
	}
	if !alone && (one.failures >= suspicion || one.limit > 0) {
		one.limit = max(len(ids)/shrink, 1)
	}
	return failures, condemned
}

// shrink makes the partition's next batch smaller than that many records, down to one, and has the store search it.
func (s *suspects) shrink(at place, records int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at[at] == nil {
		s.at[at] = &suspect{}
	}
	s.at[at].limit = max(records/shrink, 1)
}

// succeeded counts a success: the batches grow back, and then the suspicion ends. A condemned record is remembered
// until a record is persisted.
func (s *suspects) succeeded(at place, limit, batch int, persisted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.at[at]
	if one == nil {
		return
	}
	one.failures = 0
	if persisted {
		one.spent = ""
	}
	if one.limit = limit * grow; one.limit >= batch {
		one.limit = 0
	}
	if one.limit == 0 && one.spent == "" {
		delete(s.at, at)
	}
}
