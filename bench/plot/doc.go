// Package plot draws curves and bars as SVG, for report pages.
//
// A drawing is a value with its data; it knows no bench and reads nothing. Lengths
// are pixels, colours are readable on white and for people who see few colours,
// and text stays text. Tested by the elements that come out, and by their places.
package plot
