package worker

import "sync"

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
	failures int  // in a row
	limit    int  // records of the next batch; 0: as the entity says
	spent    bool // a record was condemned, and nothing has succeeded since
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

// failed notes a failure of a batch of that many records; locked says that it came to hold
// its fence. A batch of one that fails is condemned: its record must be held, or it
// would delay its neighbours for ever. But only one record is until something succeeds:
// if the next fails too, the fault is not the records'.
func (s *suspects) failed(at place, records int, locked bool) (failures int, condemned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.at[at]
	if one == nil {
		one = &suspect{}
		s.at[at] = one
	}
	one.failures++
	if !locked || records == 0 {
		return one.failures, false
	}
	condemned = one.limit > 0 && records == 1 && !one.spent
	one.spent = one.spent || condemned
	if one.failures >= suspicion || one.limit > 0 {
		one.limit = max(records/shrink, 1)
	}
	return one.failures, condemned
}

// succeeded notes a success; the batches grow back, and then the suspicion is over.
func (s *suspects) succeeded(at place, limit, batch int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.at[at]
	if one == nil {
		return
	}
	one.failures, one.spent = 0, false
	one.limit = limit * grow
	if one.limit >= batch {
		delete(s.at, at)
	}
}
