package plot

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// canvas collects the elements of a drawing.
type canvas struct {
	strings.Builder
}

// colours are those of Okabe and Ito, which people with weak colour vision tell
// apart, without the yellow.
func colours() []string {
	return []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444"}
}

func colour(i int) string { return colours()[i%len(colours())] }

func (c *canvas) begin(width, height float64, title string) {
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintf(c, `<rect width="%g" height="%g" fill="white"/>`+"\n", width, height)
	c.text(width/2, 20, "middle", title, `font-size="14"`)
}

func (c *canvas) end() { c.WriteString("</svg>\n") }

// text writes words that start, end or have their middle at a place.
func (c *canvas) text(x, y float64, anchor, words, more string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>`, x, y, anchor, more)
	// A builder takes everything.
	_ = xml.EscapeText(c, []byte(words))
	c.WriteString("</text>\n")
}

func (c *canvas) line(x1, y1, x2, y2 float64, stroke string, width float64) {
	fmt.Fprintf(c, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"/>`+"\n", x1, y1, x2, y2, stroke, width)
}

func (c *canvas) writeTo(w io.Writer) error {
	if _, err := io.WriteString(w, c.String()); err != nil {
		return fmt.Errorf("write drawing: %w", err)
	}
	return nil
}

// ticks returns round numbers from 0 to the first one that is not below most.
func ticks(most float64) []float64 {
	if most <= 0 || math.IsInf(most, 0) || math.IsNaN(most) {
		return []float64{0, 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	switch {
	case most/step < 2:
		step /= 5
	case most/step < 5:
		step /= 2
	}
	var all []float64
	for i := 0; ; i++ {
		all = append(all, float64(i)*step)
		if float64(i)*step >= most {
			return all
		}
	}
}

// number prints a value of an axis: 0.5, 20, 128 k, 1 M.
func number(v float64) string {
	switch {
	case v >= 1<<20 && math.Mod(v, 1<<20) == 0:
		return fmt.Sprintf("%g M", v/(1<<20))
	case v >= 1<<10 && math.Mod(v, 1<<10) == 0:
		return fmt.Sprintf("%g k", v/(1<<10))
	case v >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.3g k", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}
