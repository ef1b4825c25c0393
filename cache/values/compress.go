package values

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"sync"
)

// Values are compressed with DEFLATE at its fastest: it is in the standard library, and
// what is kept for minutes earns no slower one.
var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		return err // the level is a constant that it knows
	}
	return w
}}

// pack compresses the body where that makes it smaller.
func (e *entry) pack() {
	w, ok := deflaters.Get().(*flate.Writer)
	if !ok {
		return
	}
	defer deflaters.Put(w)
	var b bytes.Buffer
	b.Grow(len(e.body) / 2)
	w.Reset(&b)
	if _, err := w.Write(e.body); err != nil {
		return // kept as it is
	}
	if w.Close() == nil && b.Len() < len(e.body) {
		e.body, e.packed = b.Bytes(), true
	}
}

var errUnpack = errors.New("the cached value cannot be unpacked")

// unpack returns the body as it was before pack, at most so many bytes of it.
func (e *entry) unpack(most int) ([]byte, error) {
	if !e.packed {
		return e.body, nil
	}
	if e.size > most {
		return nil, ErrTooLarge
	}
	r := flate.NewReader(bytes.NewReader(e.body))
	defer r.Close()
	body := make([]byte, e.size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, errors.Join(errUnpack, err)
	}
	return body, nil
}
