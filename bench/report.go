package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Summary is a number of measurements, in nanoseconds.
type Summary struct {
	Median float64 `json:"median_ns"`
	Least  float64 `json:"least_ns"`
	Most   float64 `json:"most_ns"`
}

// summarize returns the median, the mean of the two in the middle of an even number,
// and the range. Without any it is zero.
func summarize(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	s := slices.Sorted(slices.Values(values))
	mid := s[len(s)/2]
	if len(s)%2 == 0 {
		mid = (mid + s[len(s)/2-1]) / 2
	}
	return Summary{Median: mid, Least: s[0], Most: s[len(s)-1]}
}

// Row is what one case cost, for each packet.
type Row struct {
	Case
	// Driver is the cost of making the packets, which is taken off the others.
	Driver Summary `json:"driver"`
	// Floor is the least that a balancer must do: look at the headers, swap
	// the MAC addresses, send.
	Floor Summary `json:"floor"`
	// Net is what the program costs.
	Net Summary `json:"net"`
}

// Report is a run of the program level.
type Report struct {
	Version string    `json:"version"`
	Kernel  string    `json:"kernel"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Rounds  int       `json:"rounds"`
	Packets int       `json:"packets"`
	Rows    []Row     `json:"rows"`
}

// WriteText prints the report as a table for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "XDP program by BPF_PROG_TEST_RUN, kernel %s, one CPU: net ns per packet, median of %d rounds (range)\n\n", r.Kernel, r.Rounds)
	tab := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(tab, "path\tns\trange\tfloor\n")
	for _, row := range r.Rows {
		fmt.Fprintf(tab, "%s\t%.0f\t%.0f-%.0f\t%.0f\n", row.Name(), row.Net.Median, row.Net.Least, row.Net.Most, row.Floor.Median)
	}
	tab.Flush()
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
