package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
)

// Rates are those that a plan computes with. `afterwrite bench --plan` measures those of a machine. Bytes are not
// among them: they depend on no machine.
type Rates struct {
	Machine  string  `json:"machine"`                   // that was measured
	Database string  `json:"database"`                  // sqlite, postgres or mysql
	Accept   float64 `json:"redis_accept_microseconds"` // of Redis's processor, to accept a write
	Flush    float64 `json:"redis_flush_microseconds"`  // of Redis's processor, to list, read and ack a record
	Rows     float64 `json:"rows_per_second"`           // that one worker persists while writes come in
	Puts     float64 `json:"puts_per_second"`           // of one API
	borrowed bool    // Rows is of another database
}

// Shipped returns the rates that docs/CAPACITY.md has: rates by `afterwrite bench` on the machine of
// docs/PERFORMANCE.md, which callers, workers, Redis and database share. MySQL was not measured: it has PostgreSQL's.
func Shipped(database string) Rates {
	f := Rates{Machine: "AMD EPYC, 2 processors", Database: database, Accept: 18, Flush: 17, Rows: 22800, Puts: 16800}
	if database == "sqlite" {
		f.Rows = 18200
	}
	f.borrowed = database == "mysql"
	return f
}

// Check reports rates that cannot be planned with.
func (f Rates) Check() error {
	for name, v := range map[string]float64{"redis_accept_microseconds": f.Accept, "redis_flush_microseconds": f.Flush,
		"rows_per_second": f.Rows, "puts_per_second": f.Puts} {
		if !(v > 0) || math.IsInf(v, 0) {
			return fmt.Errorf("%s is missing, or not above 0", name)
		}
	}
	if f.Database != "sqlite" && f.Database != "postgres" && f.Database != "mysql" {
		return errors.New("database is not sqlite, postgres or mysql")
	}
	return nil
}

// maxFile bounds the bytes of a file of rates.
const maxFile = 64 << 10

// Read reads the rates that [Rates.Write] wrote.
func Read(file string) (Rates, error) {
	var f Rates
	info, err := os.Stat(file)
	if err != nil {
		return f, err
	}
	if info.Size() > maxFile {
		return f, fmt.Errorf("%s has more than %d bytes: `afterwrite bench --plan FILE` makes such a file", file, maxFile)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return f, err
	}
	if err = json.Unmarshal(text, &f); err == nil {
		err = f.Check()
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w; `afterwrite bench --plan FILE` makes such a file", file, err)
	}
	return f, nil
}

// Write writes the rates into a file, in the place of one that is there.
func (f Rates) Write(file string) error {
	if err := f.Check(); err != nil {
		return fmt.Errorf("the rates are not complete: %w", err)
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
