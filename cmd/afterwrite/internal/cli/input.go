package cli

import (
	"context"
	"fmt"
	"io"
	"os"
)

// openPath opens a file to be read, or gives up when ctx ends: a named pipe is open
// only once a program writes to it. What opens after that is closed again.
func openPath(ctx context.Context, file string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	open := make(chan opened)
	go func() {
		f, err := os.Open(file)
		select {
		case open <- opened{f, err}:
		case <-ctx.Done():
			_ = f.Close() // nothing was written to it
		}
	}()
	select {
	case o := <-open:
		return o.file, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stoppable reads until ctx ends: a pipe without a writer would else keep the process
// from ending. What it reads ahead at that moment is left behind.
type stoppable struct {
	ctx    context.Context
	chunks chan []byte
	failed error // why there are no more chunks, once the channel is closed
	rest   []byte
}

// Stoppable returns a reader that ends with ctx.
func Stoppable(ctx context.Context, in io.Reader) io.Reader {
	s := &stoppable{ctx: ctx, chunks: make(chan []byte)}
	go s.fill(in)
	return s
}

func (s *stoppable) fill(in io.Reader) {
	defer close(s.chunks)
	for {
		chunk := make([]byte, 64<<10)
		n, err := in.Read(chunk)
		if n > 0 {
			select {
			case s.chunks <- chunk[:n]:
			case <-s.ctx.Done():
				return
			}
		}
		if err != nil {
			s.failed = err
			return
		}
	}
}

func (s *stoppable) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		select {
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		case chunk, ok := <-s.chunks:
			if !ok && s.failed == nil {
				return 0, s.ctx.Err()
			}
			if !ok {
				return 0, s.failed
			}
			s.rest = chunk
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Open opens a file, or the standard input for "-".
func (a *App) Open(ctx context.Context, file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(a.In), nil
	}
	f, err := openPath(ctx, file)
	switch {
	case err == nil:
		return f, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	return nil, Usagef("%v", err)
}

// maxWhole bounds the bytes of a file that is read whole.
const maxWhole = 64 << 20

// ReadAll reads a file, or the standard input for "-", whole.
func (a *App) ReadAll(ctx context.Context, file string) ([]byte, error) {
	in, err := a.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(Stoppable(ctx, in), maxWhole+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(text) > maxWhole {
		return nil, Usagef("%s has more than %d bytes", file, maxWhole)
	}
	return text, nil
}
