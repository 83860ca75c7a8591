package main

import (
	"math"
	"slices"
	"time"
)

// summary describes a set of values.
type summary struct {
	n                              int
	median, mean, p99, worst, best float64
}

// summarize takes the percentiles by the nearest rank. The zero summary is of
// no values.
func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	v := slices.Sorted(slices.Values(values))
	return summary{
		n: len(v), median: median(v), mean: mean(v), p99: rank(v, 0.99),
		best: v[0], worst: v[len(v)-1],
	}
}

// median needs sorted values.
func median(v []float64) float64 {
	half := len(v) / 2
	if len(v)%2 == 1 {
		return v[half]
	}
	return (v[half-1] + v[half]) / 2
}

func rank(v []float64, p float64) float64 {
	at := int(math.Ceil(p*float64(len(v)))) - 1
	return v[max(at, 0)]
}

// millis returns a duration in milliseconds.
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// skew is the RFC's Skew_Time of a priority.
func skew(priority int, interval time.Duration) time.Duration {
	return interval * time.Duration(256-priority) / 256
}

// downTime is the RFC's Master_Down_Interval.
func downTime(priority int, interval time.Duration) time.Duration {
	return 3*interval + skew(priority, interval)
}

func mean(v []float64) (sum float64) {
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}
