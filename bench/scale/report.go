package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is all runs of both programs.
type report struct {
	plan
	machine  string
	begun    time.Time
	load     string
	subjects []series
}

type series struct {
	subject
	// runs hold zero for what a run did not come to.
	runs []result
	// failures say why, one line each.
	failures []string
}

// row is one line of the report.
type row struct {
	title string
	value func(result) float64
	unit  string
}

func rows() []row {
	return []row{
		{"checking the file (`keepalived -t`, `evenkeel check`)", func(r result) float64 { return r.Check }, "s"},
		{"its processor time", func(r result) float64 { return r.CheckCPU }, "s"},
		{"start to the first check of every server", func(r result) float64 { return r.Every }, "s"},
		{"its processor time", func(r result) float64 { return r.EveryCPU }, "s"},
		{"checks per second", func(r result) float64 { return r.Rate }, ""},
		{"processor time for 1,000 checks", func(r result) float64 { return r.CPU }, "s"},
		{"memory while checking", func(r result) float64 { return r.Memory }, "MiB"},
		{"most memory", func(r result) float64 { return r.Peak }, "MiB"},
		{"reload with one changed weight", func(r result) float64 { return r.Reload }, "s"},
		{"its processor time", func(r result) float64 { return r.ReloadCPU }, "s"},
		{"operations of the reload", func(r result) float64 { return float64(r.Operations) }, "operations"},
		{"servers checked in the 3 s after it", func(r result) float64 { return float64(r.Again) }, ""},
	}
}

// markdown writes the report: the median of the runs, and their range.
func (r report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %d virtual servers with %d real servers beside keepalived\n\n", r.services, r.servers)
	fmt.Fprintf(&b, "Made by `make bench-scale`: both programs in turns on the same keepalived.conf, one TCP_CHECK for each real server, delay_loop %s, warmup %s, "+
		"a director and a node that answers for all servers in network namespaces. Each figure is the median of the runs and, in parentheses, their range. "+
		"Evenkeel writes its XDP maps; keepalived's IPVS is a stand-in that costs nothing.\n\n", r.loop, warmup)
	fmt.Fprintf(&b, "Machine: %s. Begun %s at load %s; at a load above 1 times are those of a machine that does other things, too, and processor times say more.\n\n", r.machine, r.begun.UTC().Format("2006-01-02 15:04"), r.load)
	for _, s := range r.subjects {
		fmt.Fprintf(&b, "- %s: %s, %s.\n", s.name, s.version, plural(len(s.runs), "run"))
	}
	b.WriteString("\n| value |")
	for _, s := range r.subjects {
		fmt.Fprintf(&b, " %s |", s.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(r.subjects)) + "\n")
	for _, row := range rows() {
		fmt.Fprintf(&b, "| %s |", row.title)
		for _, s := range r.subjects {
			fmt.Fprintf(&b, " %s |", s.figure(row))
		}
		b.WriteByte('\n')
	}
	for _, s := range r.subjects {
		for _, f := range s.failures {
			fmt.Fprintf(&b, "\n%s, %s.\n", s.name, f)
		}
	}
	fmt.Fprintf(&b, "\nGoal: a reload with one changed weight in under a second, by exactly one operation: %s.\n", r.goal())
	return b.String()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// figure writes the median of the runs and their range.
func (s series) figure(row row) string {
	var list []float64
	for _, r := range s.runs {
		if v := row.value(r); v != 0 || r.Reload != 0 {
			list = append(list, v)
		}
	}
	if len(list) == 0 {
		return "-"
	}
	slices.Sort(list)
	if len(list) == 1 && row.unit != "operations" {
		return strings.TrimSpace(round(list[0]) + " " + row.unit)
	}
	least, most := list[0], list[len(list)-1]
	if row.unit == "operations" {
		if least < 0 {
			return "not said"
		}
		if least == most {
			return round(least)
		}
		return fmt.Sprintf("%.0f to %.0f", least, most)
	}
	return strings.TrimSpace(fmt.Sprintf("%s (%s to %s) %s", round(list[len(list)/2]), round(least), round(most), row.unit))
}

// round keeps three digits.
func round(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func (r report) goal() string {
	for _, s := range r.subjects {
		if s.name != "evenkeel" || len(s.runs) == 0 {
			continue
		}
		for _, run := range s.runs {
			if run.Reload == 0 || run.Reload >= 1 || run.Operations != 1 {
				return "MISSED"
			}
		}
		return "held in every run"
	}
	return "not measured"
}

// thisMachine says what measures.
func thisMachine() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	kernel, model := strings.TrimSpace(string(b)), "unknown"
	b, _ = os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d CPUs (%s), Linux %s", runtime.NumCPU(), model, kernel)
}

// load returns the load average of the last minute.
func load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
