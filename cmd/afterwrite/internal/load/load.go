// Package load is the command that writes a file of records.
//
//	load.go     its flags, and how it ends
//	read.go     what a file is, and the rows of NDJSON; csv.go those of CSV
//	write.go    batches of them, through the write path
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// app is a run of the program, with the commands of this package.
type app struct{ *cli.App }

// Command returns the command load.
func Command(a *cli.App) *cobra.Command { return (&app{a}).loadCommand() }

// loadFlags are the flags of the load command.
type loadFlags struct {
	format    string
	op        string
	delimiter string
	from      int
	maxErrors int
	patience  time.Duration
}

func (a *app) loadCommand() *cobra.Command {
	var f loadFlags
	c := &cobra.Command{
		Use:   "load ENTITY FILE",
		Short: "Write a file of records",
		Long: `Writes a file of records through the write path: they are in Redis when the command ends,
and in the database soon after (wait for that with "afterwrite flush").

NDJSON is one JSON object a line, with "id" and the fields, as a batch of the HTTP API
spells them: the id is a number where the entity's is an int, else a string. CSV has a header that names
"id" and fields, between commas, semicolons, tabs or bars; an empty cell is an absent field, and a cell of
a json field is JSON text. Rows of one id take effect in the order of the file. Files may be compressed
(gzip, zstd) and begin with a byte order mark.

A row that is refused is reported with its line and does not stop the others, up to
--max-errors. When the backlog is full, or Redis is away, the command waits and goes on. One that ends
before the file does, by Ctrl-C say, names the line to go on with by --from.`,
		Example: "  afterwrite load user users.ndjson\n  afterwrite load user users.csv.gz --delimiter ';' --from 120001",
		Args:    cobra.ExactArgs(2),
		RunE:    func(c *cobra.Command, args []string) error { return a.load(c.Context(), args[0], args[1], f) },
	}
	c.Flags().StringVar(&f.format, "format", "", "ndjson or csv (default: by the file's extension)")
	c.Flags().StringVar(&f.delimiter, "delimiter", "", `of CSV, one character, or \t (default: by the header)`)
	c.Flags().IntVar(&f.from, "from", 1, "skip the rows before this `LINE`")
	c.Flags().StringVar(&f.op, "op", "put", "put, create or patch")
	c.Flags().IntVar(&f.maxErrors, "max-errors", 100, "refused rows after which to stop")
	c.Flags().DurationVar(&f.patience, "patience", 10*time.Minute, "longest wait for room in the backlog or for Redis")
	return a.WithJSON(c)
}

// operation returns the write that --op names.
func (f loadFlags) operation() (cache.Op, error) {
	switch op := cache.Op(f.op); op {
	case cache.OpPut, cache.OpCreate, cache.OpPatch:
		return op, nil
	}
	return "", cli.Usagef("--op %q is not put, create or patch", f.op)
}

// formatOf returns the format of a file: the flag's, else that of its extension.
func (f loadFlags) formatOf(file string) (string, error) {
	format := f.format
	if format == "" {
		file := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(file), ".gz"), ".zst")
		switch filepath.Ext(file) {
		case ".csv":
			format = "csv"
		case ".ndjson", ".jsonl", ".json":
			format = "ndjson"
		}
	}
	if format != "csv" && format != "ndjson" {
		return "", cli.Usagef("give --format ndjson or --format csv: the name %q does not tell it", file)
	}
	return format, nil
}

// comma returns the delimiter that the flag names, 0 for none.
func (f loadFlags) comma() (rune, error) {
	text := strings.ReplaceAll(f.delimiter, `\t`, "\t")
	r, size := utf8.DecodeRuneInString(text)
	switch {
	case text == "":
		return 0, nil
	case size < len(text) || r == utf8.RuneError || strings.ContainsRune("\"\r\n", r):
		return 0, cli.Usagef("--delimiter %q is not one character", f.delimiter)
	}
	return r, nil
}

// rows are the records of a file, in its order.
type rows interface {
	// next returns the next record. The error is io.EOF at the end, a [badRow] for a
	// record that cannot be read, after which the next one can.
	next() (row, error)
}

// row is one record of a file.
type row struct {
	line   int
	id     string
	fields schema.Fields
}

// badRow reports a record that cannot be read.
type badRow struct {
	line   int
	reason string
}

func (b badRow) Error() string { return fmt.Sprintf("line %d: %s", b.line, b.reason) }

func (a *app) load(ctx context.Context, entity, file string, f loadFlags) error {
	op, err := f.operation()
	if err != nil {
		return err
	}
	format, err := f.formatOf(file)
	if err != nil {
		return err
	}
	delimiter, err := f.comma()
	if err != nil {
		return err
	}
	c, entities, err := a.Chosen([]string{entity})
	if err != nil {
		return err
	}
	in, err := a.Open(ctx, file)
	if err != nil {
		return err
	}
	defer in.Close()
	source, err := newRows(format, cli.Stoppable(ctx, in), entities[0], int(c.API.MaxBody), delimiter)
	if err != nil {
		return err
	}
	p, err := a.Join(c)
	if err != nil {
		return err
	}
	defer p.Close()
	w, err := readyProducer(ctx, p)
	if err != nil {
		return err
	}
	l := newLoading(w, entities[0], op, f, a.Bar(-1, "loading "+entity))
	err = l.run(ctx, skipping{source, f.from})
	return a.finishLoad(l.summary(), err)
}

// readyProducer is a producer after the start checks.
func readyProducer(ctx context.Context, p *cli.Parts) (*producer.Producer, error) {
	if err := p.CheckRedis(ctx); err != nil {
		return nil, err
	}
	if err := p.CheckDatabase(ctx); err != nil {
		return nil, err
	}
	if err := p.CheckPairing(ctx); err != nil {
		return nil, err
	}
	return p.NewProducer()
}

func newRows(format string, in io.Reader, e *schema.Entity, maxRow int, delimiter rune) (rows, error) {
	text, err := legible(in)
	if err != nil {
		return nil, err
	}
	if format == "csv" {
		return newCSV(text, e, maxRow, delimiter)
	}
	return newNDJSON(text, e, maxRow), nil
}

// skipping leaves out the rows before a line.
type skipping struct {
	rows
	from int
}

func (s skipping) next() (row, error) {
	for {
		r, err := s.rows.next()
		var bad badRow
		if isBad := errors.As(err, &bad); (isBad && bad.line < s.from) || (err == nil && r.line < s.from) {
			continue
		}
		return r, err
	}
}

// finishLoad prints the summary, and the error where the load could not go on.
func (a *app) finishLoad(s loadSummary, err error) error {
	if err != nil {
		s.Stopped = cli.ReasonOf(err)
	}
	if a.JSON {
		if printed := a.PrintJSON(s); printed != nil {
			return printed
		}
	} else {
		for _, r := range s.Errors {
			fmt.Fprintf(a.Err, "line %d: %s\n", r.Line, r.Reason)
		}
		fmt.Fprintf(a.Out, "%s: %s accepted, %d rejected, in %.1f s (%.0f/s)\n",
			s.Entity, cli.Count(s.Accepted, "record", "records"), s.Rejected, s.Seconds, s.Rate)
	}
	if err != nil && s.GoOn > 0 {
		fmt.Fprintf(a.Err, "Every row before line %d was written or reported: go on with --from %[1]d\n", s.GoOn)
	}
	switch {
	case errors.Is(err, errTooMany):
		fmt.Fprintf(a.Err, "afterwrite: stopped after %d refused rows; --max-errors raises that\n", s.Rejected)
		return cli.ErrReported
	case err == nil && s.Rejected > 0:
		return cli.ErrReported
	}
	return err
}
