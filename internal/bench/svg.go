package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Bars of the chart, in pixels.
const (
	chartWidth = 760
	labelWidth = 190
	barHeight  = 18
	barGap     = 6
	groupGap   = 30
)

// colours by way; other ways are grey.
var colours = map[string]string{wayLibrary: "#0b7285", wayBatch: "#0b7285"}

// SVG draws the rates of the report: a group of bars for each figure in operations or rows per second, each with its
// own scale.
func (r Report) SVG() []byte {
	var body strings.Builder
	y := 30
	for _, f := range r.Figures {
		if !strings.HasSuffix(f.Unit, "/s") || len(f.Series) < 2 {
			continue
		}
		fmt.Fprintf(&body, `<text x="10" y="%d" font-weight="600">%s, %s</text>`+"\n", y, html.EscapeString(f.Name),
			f.Unit)
		y += 10
		most := 0.0
		for _, s := range f.Series {
			most = math.Max(most, Median(s.Values))
		}
		for _, s := range f.Series {
			y = drawBar(&body, y, s, most)
		}
		y += groupGap
	}
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="system-ui, sans-serif" font-size="13" role="img">
<title>Afterwrite beside other ways, %s, %d CPUs</title>
<rect width="100%%" height="100%%" fill="#ffffff"/>
<g fill="#212529">
%s</g>
</svg>
`, chartWidth, y, html.EscapeString(r.Machine.Database), r.Machine.CPUs, body.String())
}

func drawBar(b *strings.Builder, y int, s Series, most float64) int {
	median := Median(s.Values)
	colour, ok := colours[s.Way]
	if !ok {
		colour = "#adb5bd"
	}
	width := median / most * (chartWidth - labelWidth - 100)
	middle := y + barHeight - 5
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, middle,
		html.EscapeString(s.Way))
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`+"\n", labelWidth, y, width,
		barHeight, colour)
	fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", labelWidth+width+6, middle, number(median))
	return y + barHeight + barGap
}
