package sqlite

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"
)

// file is what the connections of this process to one file share. SQLite maps the memory of the write-ahead log
// once in a process: if the first connection found the files read-only, all that join it are read-only, even after
// the files can be written again. Only a moment without any connection ends that.
type file struct {
	mu      sync.Mutex // guards what follows
	age     int        // counts renewals
	renewed time.Time
	open    int           // connections of this age
	old     int           // connections of earlier ages
	alone   chan struct{} // closed when old is 0
}

var files = struct {
	sync.Mutex
	of map[string]*file
}{of: map[string]*file{}}

// fileAt returns the file of a path.
func fileAt(path string) *file {
	files.Lock()
	defer files.Unlock()
	f := files.of[path]
	if f == nil {
		f = &file{alone: make(chan struct{})}
		close(f.alone)
		files.of[path] = f
	}
	return f
}

const (
	renewEvery = time.Second     // more renewals than that would only disturb the readers
	renewWait  = 2 * time.Second // how long a new connection waits for those of earlier ages
)

// renew has every connection of the file close as soon as it is not in use, and new ones wait for that. It reports
// false if it was done a moment ago.
func renew(path string) bool {
	f := fileAt(path)
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.renewed) < renewEvery {
		return false
	}
	f.renewed = time.Now()
	f.age++
	if f.old == 0 && f.open > 0 {
		f.alone = make(chan struct{})
	}
	f.old, f.open = f.old+f.open, 0
	return true
}

// enter counts a new connection, after those of earlier ages have closed or did not within renewWait.
func (f *file) enter(ctx context.Context) (age int, err error) {
	late := time.NewTimer(renewWait)
	defer late.Stop()
	for waits := true; ; {
		f.mu.Lock()
		if f.old == 0 || !waits {
			f.open++
			defer f.mu.Unlock()
			return f.age, nil
		}
		alone := f.alone
		f.mu.Unlock()
		select {
		case <-alone:
		case <-late.C:
			waits = false
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// leave takes a connection off the count.
func (f *file) leave(age int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if age == f.age {
		f.open--
		return
	}
	if f.old--; f.old == 0 {
		close(f.alone)
	}
}

func (f *file) current(age int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return age == f.age
}

// connection is one that the pool closes when its file is renewed, or is no longer at its path.
type connection struct {
	*sqlite3.SQLiteConn
	file *file
	age  int
	path string
	at   os.FileInfo // the file that was opened; nil if that is not known
	once sync.Once
}

// IsValid is asked before a transaction, and when the pool takes the connection back. A file that was put in the place
// of another, as a backup is, or removed, leaves connections that write into a file that is gone. There is no
// ResetSession beside it: with both, database/sql keeps the connection of a transaction whose context has ended, until
// its owner rolls back, and no other flush could begin meanwhile.
func (c *connection) IsValid() bool { return c.file.current(c.age) && c.inPlace() }

func (c *connection) inPlace() bool {
	now, err := os.Stat(c.path)
	return c.at == nil || err == nil && os.SameFile(c.at, now)
}

func (c *connection) Close() error {
	defer c.once.Do(func() { c.file.leave(c.age) })
	return c.SQLiteConn.Close()
}
