package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxFaults bounds how many faults of one file are reported.
const maxFaults = 20

// ErrInvalid is matched by every error about the content of a configuration, but not by errors of reading the file.
var ErrInvalid = errors.New("invalid configuration")

// ErrNoFile reports that no configuration file was found.
var ErrNoFile = errors.New("no configuration file")

// Fault is one error in a configuration.
type Fault struct {
	Source string `json:"source"`           // the file, or the environment variable
	Line   int    `json:"line,omitempty"`   // from 1; 0 if unknown
	Column int    `json:"column,omitempty"` // likewise
	Path   string `json:"path,omitempty"`   // of the setting, such as "api.addr"; may be empty
	Reason string `json:"reason"`           // what is wrong and what would be right
}

// place is the position of a setting: in the file, or in an environment variable, which has no line.
type place struct {
	source       string
	line, column int
}

func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.Source)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Reason)
	return b.String()
}

// Is makes errors.Is(err, ErrInvalid) true.
func (f *Fault) Is(target error) bool { return target == ErrInvalid }

// faults collects all errors, so that one run of the program shows them together.
type faults []*Fault

func (fs *faults) add(f *Fault) { *fs = append(*fs, f) }

// err joins the faults in the order of their lines, one per line.
func (fs faults) err() error {
	slices.SortStableFunc(fs, func(a, b *Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	errs := make([]error, 0, maxFaults+1)
	for i, f := range fs {
		if i == maxFaults {
			errs = append(errs, fmt.Errorf("and %d more faults", len(fs)-maxFaults))
			break
		}
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}

// Faults returns the faults within an error of this package, in their order.
func Faults(err error) []*Fault {
	list := []*Fault{}
	if f, ok := errors.AsType[*Fault](err); ok && err == error(f) {
		return append(list, f)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			list = append(list, Faults(e)...)
		}
	}
	return list
}
