package values

import (
	"context"
	"encoding/json"
	"fmt"
)

// Codec turns values into bytes and back. Decode must not keep the bytes it is given.
type Codec[T any] interface {
	Encode(value T) ([]byte, error)
	Decode(data []byte) (T, error)
}

// JSON is the codec of encoding/json.
type JSON[T any] struct{}

// Encode implements [Codec].
func (JSON[T]) Encode(value T) ([]byte, error) { return json.Marshal(value) }

// Decode implements [Codec].
func (JSON[T]) Decode(data []byte) (value T, err error) {
	err = json.Unmarshal(data, &value)
	return value, err
}

// Bytes is the codec of byte slices: a copy.
type Bytes struct{}

// Encode implements [Codec].
func (Bytes) Encode(value []byte) ([]byte, error) { return append([]byte{}, value...), nil }

// Decode implements [Codec].
func (Bytes) Decode(data []byte) ([]byte, error) { return append([]byte{}, data...), nil }

// String is the codec of strings.
type String struct{}

// Encode implements [Codec].
func (String) Encode(value string) ([]byte, error) { return []byte(value), nil }

// Decode implements [Codec].
func (String) Decode(data []byte) (string, error) { return string(data), nil }

// DefaultCodec is Bytes for []byte, String for string and JSON for every other type.
func DefaultCodec[T any]() Codec[T] {
	for _, codec := range []any{Bytes{}, String{}} {
		if c, ok := codec.(Codec[T]); ok {
			return c
		}
	}
	return JSON[T]{}
}

func (v *Values[T]) encode(ctx context.Context, value T) ([]byte, error) {
	body, err := safely(ctx, v.on.Log, func(context.Context) ([]byte, error) { return v.codec.Encode(value) })
	if err != nil {
		return nil, fmt.Errorf("encode value of %s: %w", v.p.Group, err)
	}
	return body, nil
}

func (v *Values[T]) decode(e *entry) (T, error) {
	var none T
	body, err := e.unpack(v.p.MaxSize)
	if err != nil {
		return none, fmt.Errorf("value of %s: %w", v.p.Group, err)
	}
	value, err := safely(context.Background(), v.on.Log, func(context.Context) (T,
		error) {
		return v.codec.Decode(body)
	})
	if err != nil {
		return none, fmt.Errorf("decode value of %s: %w", v.p.Group, err)
	}
	return value, nil
}
