package dashboard_test

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// picture is a page of the documentation.
type picture struct {
	name, path    string
	width, height int64
	dark          bool
}

// live writes for a while, so that the charts have something to show, and leaves refused
// records of several kinds.
func (d *deployment) live() {
	d.t.Helper()
	d.refuse("ada.l", "a.lovelace", "countess", "ada-2", "ada-3", "ada-old", "lovelace", "ada.king")
	end := time.Now().Add(40 * time.Second)
	for i := 0; time.Now().Before(end); i++ {
		d.put("user", fmt.Sprintf("user-%04d", i%900), map[string]any{"name": fmt.Sprintf("User %d", i),
			"email": fmt.Sprintf("u%d@example.com", i%900), "age": 20 + i%60})
		if i%3 == 0 {
			d.put("product", fmt.Sprintf("p-%03d", i%200), map[string]any{"sku": fmt.Sprintf("SKU-%03d", i%200),
				"price": "12.50", "stock": i})
		}
		if i%40 == 0 {
			time.Sleep(time.Duration(i%7) * 30 * time.Millisecond) // the pace of the charts, not a wait
		}
	}
	d.put("product", "p-copy", map[string]any{"sku": "SKU-000", "price": "1.00"})
	d.await("product", "p-copy", schema.Held)
	d.die("user", "ada.l", "a.lovelace", "countess", "ada-2", "ada-3")
	d.die("product", "p-copy")
}

func (d *deployment) pictures() []picture {
	letter := fmt.Sprintf("/refused/%d", d.letters()[1].Number)
	preview := "/policies/user?max_attempts=6&base=5m&factor=3&cap=6h&jitter=full&timeout=30s&on.foreign_key.max_attempts=12"
	return []picture{
		{"overview", "/", 1280, 800, false},
		{"overview-dark", "/", 1280, 800, true},
		{"overview-narrow", "/", 360, 740, false},
		{"refused", "/refused", 1280, 800, false},
		{"refused-narrow", "/refused", 360, 740, true},
		{"letter", letter, 1280, 800, false},
		{"confirm", "/refused/confirm?do=discard&all=1&entity=user", 1280, 800, false},
		{"held", "/held?entity=user", 1280, 800, false},
		{"record", "/record?entity=user&id=user-0001", 1280, 800, false},
		{"policies", "/policies", 1280, 800, false},
		{"policy", preview, 1280, 800, false},
		{"entity", "/entities/user", 1280, 800, false},
		{"queues", "/queues", 1280, 800, false},
		{"queue", "/queues/default?state=scheduled", 1280, 800, false},
		{"cache", "/cache", 1280, 800, true},
		{"audit", "/audit", 1280, 800, false},
	}
}

// small draws a picture of a page, which has few colours, with its 256 commonest.
func small(t *testing.T, picture []byte) []byte {
	t.Helper()
	from, err := png.Decode(bytes.NewReader(picture))
	require.NoError(t, err)
	b := from.Bounds()
	count := map[color.Color]int{}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			count[from.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int {
		return cmp.Compare(count[b],
			count[a])
	})
	to := image.NewPaletted(b, colours[:min(len(colours), 256)])
	nearest := map[color.Color]uint8{}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := from.At(x, y)
			i, known := nearest[c]
			if !known {
				i = uint8(to.Palette.Index(c))
				nearest[c] = i
			}
			to.SetColorIndex(x, y, i)
		}
	}
	var out bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, to))
	return out.Bytes()
}
