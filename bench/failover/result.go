package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// results is the JSON file. Parts that are measured later replace those of the
// same measure, interval and subject.
type results struct {
	Series []series `json:"series"`
}

// machine is where it was measured.
type machine struct {
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
}

func (m machine) String() string {
	return fmt.Sprintf("%d CPUs (%s), Linux %s", m.CPUs, m.CPU, m.Kernel)
}

// series are the runs of one subject in one cell.
type series struct {
	Measure    string  `json:"measure"`
	IntervalMS float64 `json:"interval_ms"`
	Subject    string  `json:"subject"`
	Version    string  `json:"version"`
	Machine    machine `json:"machine"`
	// Began is UTC. Load is the load average of the last minute then.
	Began time.Time `json:"began"`
	Load  string    `json:"load"`
	// Lanes is how many runs went on at the same time; zero is one.
	Lanes int `json:"lanes,omitempty"`
	// StallMS is the stall of the machine above which a run was disturbed, zero
	// if none was judged.
	StallMS float64 `json:"stall_ms,omitempty"`
	// Runs are all that were made, those that were disturbed too.
	Runs []run `json:"runs"`
}

// run is one run: values, or why there are none.
type run struct {
	Values values `json:"values,omitempty"`
	Error  string `json:"error,omitempty"`
}

// summary describes one value of the runs that have it and were not disturbed.
func (s series) summary(name string) summary {
	return s.summaryOf(name, func(r run) bool { return !s.disturbs(r) })
}

// raw describes one value of all runs that have it.
func (s series) raw(name string) summary {
	return s.summaryOf(name, func(run) bool { return true })
}

func (s series) summaryOf(name string, ok func(run) bool) summary {
	var list []float64
	for _, r := range s.Runs {
		if v, has := r.Values[name]; has && r.Error == "" && ok(r) {
			list = append(list, v)
		}
	}
	return summarize(list)
}

// disturbs says whether the machine stood still for too long in a run when it
// mattered.
func (s series) disturbs(r run) bool {
	return s.StallMS > 0 && r.Error == "" && r.Values[vMoment] > s.StallMS
}

// disturbed counts those runs.
func (s series) disturbed() (n int) {
	for _, r := range s.Runs {
		if s.disturbs(r) {
			n++
		}
	}
	return n
}

// failed counts the runs without a result.
func (s series) failed() (n int) {
	for _, r := range s.Runs {
		if r.Error != "" {
			n++
		}
	}
	return n
}

func (r *results) find(measure string, interval time.Duration, subject string) *series {
	at := slices.IndexFunc(r.Series, func(s series) bool {
		return s.Measure == measure && s.IntervalMS == millis(interval) && s.Subject == subject
	})
	if at < 0 {
		return nil
	}
	return &r.Series[at]
}

// begin replaces a series by an empty one.
func (r *results) begin(c cell, sub subject, lanes int, stall time.Duration) *series {
	fresh := series{
		Measure: c.name, IntervalMS: millis(c.interval), Subject: sub.name, Version: sub.version, Machine: thisMachine(),
		Began: time.Now().UTC().Truncate(time.Second), Load: load(), Lanes: lanes, StallMS: millis(stall),
	}
	if s := r.find(c.name, c.interval, sub.name); s != nil {
		*s = fresh
		return s
	}
	r.Series = append(r.Series, fresh)
	return &r.Series[len(r.Series)-1]
}

// readResults reads a file of earlier parts. None is no error.
func readResults(path string) (results, error) {
	var r results
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read earlier results: %w", err)
	}
	return r, nil
}

// write replaces the file as a whole, so that a run that is broken off leaves a
// good one.
func (r *results) write(path string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(b, '\n'))
}

func replaceFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// thisMachine describes where the program runs.
func thisMachine() machine {
	m := machine{CPUs: runtime.NumCPU()}
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel = strings.TrimSpace(string(b))
	b, _ = os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

func load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
