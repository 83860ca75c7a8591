package plot

import (
	"fmt"
	"io"
	"unicode/utf8"
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
	barHeight, barStep = 16, 24
	barWidth           = 370
	// letter is about how wide one of a name is.
	letter = 6.2
)

// left is where the bars begin: beside the longest name.
func (b Bars) left() float64 {
	longest := 0
	for _, bar := range b.Bars {
		longest = max(longest, utf8.RuneCountInString(bar.Name))
	}
	return max(letter*float64(longest)+20, 300)
}

// WriteSVG draws the bars, one below the other.
func (b Bars) WriteSVG(w io.Writer) error {
	most := 0.0
	for _, bar := range b.Bars {
		most = max(most, bar.Value, bar.High)
	}
	marks := ticks(most)
	most = marks[len(marks)-1]
	left := b.left()
	end := float64(top + len(b.Bars)*barStep)
	x := func(v float64) float64 { return left + max(v, 0)/most*barWidth }
	var c canvas
	c.begin(left+barWidth+90, end+50, b.Title)
	for _, t := range marks {
		c.line(x(t), top, x(t), end, "#dddddd", 1)
		c.text(x(t), end+16, "middle", number(t), "")
	}
	c.text(left+barWidth/2, end+36, "middle", b.Unit, "")
	for i, bar := range b.Bars {
		y := float64(top + i*barStep)
		fill := colour(6)
		if bar.Ours {
			fill = colour(0)
		}
		c.text(left-8, y+barHeight-3, "end", bar.Name, "")
		fmt.Fprintf(&c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>`+"\n", left, y, x(bar.Value)-left, barHeight, fill)
		c.line(x(bar.Low), y+barHeight/2, x(bar.High), y+barHeight/2, "#000000", 1)
		c.text(max(x(bar.Value), x(bar.High))+6, y+barHeight-3, "start", number(bar.Value), "")
	}
	c.end()
	return c.writeTo(w)
}
