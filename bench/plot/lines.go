package plot

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// Lines is a drawing of curves over a logarithmic axis, such as a cost by the number
// of flows.
type Lines struct {
	Title string
	// X and Y name the axes.
	X, Y   string
	Series []Series
}

// Series is one curve.
type Series struct {
	Name   string
	Points []Point
}

// Point is a place of a curve, with the range of what was measured there. X is
// above zero.
type Point struct{ X, Y, Low, High float64 }

// The places of the curves in the drawing.
const (
	width, height          = 760, 420
	left, right            = 70, 250
	top, bottom            = 40, 60
	plotWidth, plotHeight  = width - left - right, height - top - bottom
	legendLeft, legendLine = width - right + 20, 18
)

// WriteSVG draws the curves.
func (l Lines) WriteSVG(w io.Writer) error {
	var c canvas
	c.begin(width, height, l.Title)
	s := l.scale()
	l.axes(&c, s)
	for i, series := range l.Series {
		draw(&c, s, series, colour(i))
		y := float64(top + 10 + i*legendLine)
		c.line(legendLeft, y, legendLeft+18, y, colour(i), 2)
		c.text(legendLeft+24, y+4, "start", series.Name, "")
	}
	c.end()
	return c.writeTo(w)
}

// scale turns values into places.
type scale struct{ low, high, most float64 }

func (l Lines) scale() scale {
	s := scale{low: math.Inf(1), high: math.Inf(-1)}
	for _, series := range l.Series {
		for _, p := range series.Points {
			s.low, s.high = min(s.low, math.Log2(p.X)), max(s.high, math.Log2(p.X))
			s.most = max(s.most, p.Y, p.High)
		}
	}
	if s.high <= s.low { // one point, or none
		s.low, s.high = 0, 1
	}
	if t := ticks(s.most); len(t) > 0 {
		s.most = t[len(t)-1]
	}
	return s
}

func (s scale) x(v float64) float64 { return left + (math.Log2(v)-s.low)/(s.high-s.low)*plotWidth }
func (s scale) y(v float64) float64 { return top + (1-max(v, 0)/s.most)*plotHeight }

func (l Lines) axes(c *canvas, s scale) {
	for _, t := range ticks(s.most) {
		c.line(left, s.y(t), left+plotWidth, s.y(t), "#dddddd", 1)
		c.text(left-8, s.y(t)+4, "end", number(t), "")
	}
	for _, x := range l.xs() {
		c.line(s.x(x), top+plotHeight, s.x(x), top+plotHeight+5, "#444444", 1)
		c.text(s.x(x), top+plotHeight+20, "middle", number(x), "")
	}
	c.line(left, top+plotHeight, left+plotWidth, top+plotHeight, "#444444", 1)
	c.text(left+plotWidth/2, height-15, "middle", l.X, "")
	c.text(20, top+plotHeight/2, "middle", l.Y, fmt.Sprintf(`transform="rotate(-90 20 %d)"`, top+plotHeight/2))
}

// xs returns the places of the points, each once.
func (l Lines) xs() []float64 {
	var all []float64
	for _, series := range l.Series {
		for _, p := range series.Points {
			all = append(all, p.X)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func draw(c *canvas, s scale, series Series, stroke string) {
	for i, p := range series.Points {
		if i > 0 {
			before := series.Points[i-1]
			c.line(s.x(before.X), s.y(before.Y), s.x(p.X), s.y(p.Y), stroke, 2)
		}
		c.line(s.x(p.X), s.y(p.Low), s.x(p.X), s.y(p.High), stroke, 1)
		fmt.Fprintf(c, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", s.x(p.X), s.y(p.Y), stroke)
	}
}
