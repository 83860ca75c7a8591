package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bench/figure"
)

// Report is a run of one or more levels.
type Report struct {
	Version string    `json:"version"`
	Kernel  string    `json:"kernel"`
	CPU     string    `json:"cpu"`
	CPUs    int       `json:"cpus"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	// Took is how much of that each level took.
	Took []Took `json:"took,omitempty"`
	// Quick is set for a run that shows that everything works, and measures too
	// little to mean anything.
	Quick bool `json:"quick,omitempty"`
	// Skipped says in one line each what could not be measured here, and why.
	Skipped []string        `json:"skipped,omitempty"`
	Figures []figure.Figure `json:"figures"`
}

// Took is how long a level took.
type Took struct {
	Level   figure.Level `json:"level"`
	Seconds float64      `json:"seconds"`
}

// String says it as people do: path 2m0s.
func (t Took) String() string {
	return fmt.Sprintf("%s %s", t.Level, (time.Duration(t.Seconds) * time.Second).String())
}

// NewReport returns an empty report about this machine.
func NewReport(version string) Report {
	return Report{Version: version, Kernel: kernelRelease(), CPU: processor(), CPUs: runtime.NumCPU(), Started: time.Now()}
}

// WriteText prints the report as tables for people.
func (r Report) WriteText(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s; medians, with the interval of 95 %% confidence (of less than six rounds: least and greatest)\n\n", r.about()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := figure.WriteText(w, r.Figures); err != nil {
		return err
	}
	for _, line := range r.Skipped {
		if _, err := fmt.Fprintf(w, "\nnot measured: %s\n", line); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	for _, t := range r.Took {
		if _, err := fmt.Fprintf(w, "\nlevel %s\n", t); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}

// about says in one line where the figures are from.
func (r Report) about() string {
	text := fmt.Sprintf("Evenkeel %s, kernel %s, %d CPUs (%s)", r.Version, r.Kernel, r.CPUs, r.CPU)
	if r.Quick {
		text += "; a quick run, whose figures mean nothing"
	}
	return text
}

// ReadReport reads a report that evenkeel bench has written.
func ReadReport(file string) (Report, error) {
	var r Report
	text, err := os.ReadFile(file)
	if err != nil {
		return r, fmt.Errorf("read report: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read report %s: %w", file, err)
	}
	return r, nil
}

// WriteFile writes the report as JSON.
func (r Report) WriteFile(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Add takes over the figures of another report, such as that of a machine with
// another kernel, which is named with each of them.
func (r *Report) Add(other Report) {
	for _, f := range other.Figures {
		f.Name = "kernel " + other.Kernel + ": " + f.Name
		r.Figures = append(r.Figures, f)
	}
	for _, line := range other.Skipped {
		r.Skipped = append(r.Skipped, "kernel "+other.Kernel+": "+line)
	}
}

// Level is one of the things that a run can measure.
type Level struct {
	Name figure.Level
	// Run measures it. skipped says what could not be measured here, and why.
	Run func(context.Context) (figures []figure.Figure, skipped []string, err error)
}

// Levels returns what can be measured, in the order of a whole run. program is
// the evenkeel binary that runs as daemon.
func Levels(program string, o Options) []Level {
	return []Level{
		{figure.Program, func(ctx context.Context) ([]figure.Figure, []string, error) { return Program(ctx, o) }},
		{figure.Path, func(ctx context.Context) ([]figure.Figure, []string, error) { return Path(ctx, o) }},
		{figure.Users, func(ctx context.Context) ([]figure.Figure, []string, error) { return Users(ctx, program, o) }},
		{figure.Scale, func(ctx context.Context) ([]figure.Figure, []string, error) { return Large(ctx, o) }},
		{figure.Versus, func(ctx context.Context) ([]figure.Figure, []string, error) { return Versus(ctx, o) }},
	}
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// processor returns the name that the CPU gives itself.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
