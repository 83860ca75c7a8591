package plot

import (
	"fmt"
	"io"
)

// Bars is a drawing of one bar for each of some things, such as what each path reaches.
type Bars struct {
	Title string
	// Unit is that of the values.
	Unit string
	Bars []Bar
}

// Bar is one of them, with the range of what was measured.
type Bar struct {
	Name             string
	Value, Low, High float64
	// Ours gives the bar the colour of what the page is about.
	Ours bool
}

// The places of bars in the drawing.
const (
	barLeft, barHeight, barStep = 300, 16, 24
	barWidth                    = width - barLeft - 90
)

// WriteSVG draws the bars, one below the other.
func (b Bars) WriteSVG(w io.Writer) error {
	most := 0.0
	for _, bar := range b.Bars {
		most = max(most, bar.Value, bar.High)
	}
	marks := ticks(most)
	most = marks[len(marks)-1]
	end := float64(top + len(b.Bars)*barStep)
	x := func(v float64) float64 { return barLeft + max(v, 0)/most*barWidth }
	var c canvas
	c.begin(width, end+50, b.Title)
	for _, t := range marks {
		c.line(x(t), top, x(t), end, "#dddddd", 1)
		c.text(x(t), end+16, "middle", number(t), "")
	}
	c.text(barLeft+barWidth/2, end+36, "middle", b.Unit, "")
	for i, bar := range b.Bars {
		y := float64(top + i*barStep)
		fill := colour(6)
		if bar.Ours {
			fill = colour(0)
		}
		c.text(barLeft-8, y+barHeight-3, "end", bar.Name, "")
		fmt.Fprintf(&c, `<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>`+"\n", barLeft, y, x(bar.Value)-barLeft, barHeight, fill)
		c.line(x(bar.Low), y+barHeight/2, x(bar.High), y+barHeight/2, "#000000", 1)
		c.text(max(x(bar.Value), x(bar.High))+6, y+barHeight-3, "start", number(bar.Value), "")
	}
	c.end()
	return c.writeTo(w)
}
