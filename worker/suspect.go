package worker

import (
	"sync"
)

// suspicion begins at that many failures in a row of a partition whose fence could be
// locked, in a database that answers.
const suspicion = 2

// shrink is how much smaller a suspicious batch is made after each failure, and grow how
// much larger after a success: slowly, or the next batch would have the same record again.
const (
	shrink = 8
	grow   = 2
)

// place is a partition.
type place struct {
	entity    string
	partition int
}

// suspects knows the partitions whose batches fail though the database answers. It
// belongs to this process: another that gets the same batch finds out for itself.
type suspects struct {
	mu sync.Mutex
	at map[place]*suspect
}

type suspect struct {
	failures int    // in a row
	limit    int    // records of the next batch; 0: as the entity says
	spent    string // the record that was condemned since the last that was persisted
}

func newSuspects() *suspects { return &suspects{at: make(map[place]*suspect)} }

// limit is the size of the partition's next batch, and whether the store should isolate
// the record that makes it fail.
func (s *suspects) limit(at place, batch int) (limit int, suspicious bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.at[at]
	if one == nil || one.limit == 0 {
		return batch, false
	}
	return min(one.limit, batch), true
}

// failed notes a failure of a batch of those records; locked says that it came to hold
// its fence, alone that its one record is set apart. A batch of one that fails is
// condemned: its record must be held, or it would delay its neighbours for ever. But only
// one record is until something is persisted: if the next fails too, the fault is not the
// records'. The failure of what is set apart says nothing of the others.
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

// shrink has the partition's next batch be smaller than that of so many records, down to one,
// and isolated.
func (s *suspects) shrink(at place, records int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at[at] == nil {
		s.at[at] = &suspect{}
	}
	s.at[at].limit = max(records/shrink, 1)
}

// succeeded notes a success; the batches grow back, and then the suspicion is over. What
// was condemned is remembered until a record is persisted.
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
