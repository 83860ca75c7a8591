package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one value of one cell in the report.
type row struct {
	measure, interval, value string
	theory, theirs, ours     string
	verdict                  string
}

// reported are the names of the subjects whose figures stand side by side.
const (
	theirName = "keepalived"
	ourName   = "evenkeel"
)

// rows returns what is to be said of a cell. No series, no rows.
func (r *results) rows(c cell) (list []row) {
	theirs, ours := r.find(c.name, c.interval, theirName), r.find(c.name, c.interval, ourName)
	if theirs == nil && ours == nil {
		return nil
	}
	for _, col := range append(slices.Clone(c.columns), stallColumns...) {
		if slices.Contains(stallNames, col.name) && !has(theirs, col.name) && !has(ours, col.name) {
			continue
		}
		line := row{measure: c.name, interval: c.interval.String(), value: col.title, theirs: figures(theirs, col.name), ours: figures(ours, col.name)}
		theory := 0.0
		if col.theory != nil {
			theory = col.theory(c.interval)
			line.theory = number(theory)
		}
		line.verdict = verdict(col, theirs, ours, theory)
		list = append(list, line)
	}
	return list
}

// stallNames are the values that earlier results lack.
var stallNames = []string{vMoment, vStall, vSteal, vCalmWorst, vTakingCalmWorst, vCalmTakeovers, vCPUMaster, vCPUBackup}

func has(s *series, name string) bool { return s != nil && s.raw(name).n > 0 }

// figures writes the median and the worst of the runs that the machine did not
// disturb, those of all where it did disturb some, and how many failed.
func figures(s *series, name string) string {
	if s == nil {
		return "-"
	}
	text := "none"
	sum, raw := s.summary(name), s.raw(name)
	if sum.n > 0 {
		text = number(sum.median) + " / " + number(sum.worst)
	}
	if raw.n > sum.n {
		text += " (of all " + number(raw.median) + " / " + number(raw.worst) + ")"
	}
	if n := s.failed(); n > 0 {
		text += fmt.Sprintf(" (%d of %d failed)", n, len(s.Runs))
	}
	return text
}

// number writes counts without a point and times with two places at most.
func number(v float64) string {
	if v == float64(int64(v)) {
		return fmt.Sprintf("%d", int64(v))
	}
	if v >= 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// verdict says which goals hold.
func verdict(col column, theirs, ours *series, theory float64) string {
	var words []string
	for _, g := range col.goals {
		words = append(words, g.text+": "+holds(g, col, theirs, ours, theory))
	}
	return strings.Join(words, "; ")
}

func holds(g goal, col column, theirs, ours *series, theory float64) string {
	if ours == nil || g.compares && theirs == nil {
		return "not measured"
	}
	sum := ours.summary(col.name)
	other := summary{}
	if theirs != nil {
		other = theirs.summary(col.name)
	}
	switch {
	case sum.n == 0 || g.compares && other.n == 0:
		return "not measured"
	case !g.held(sum, other, theory):
		return "MISSED"
	case ours.failed() > 0:
		return "held in the runs that did not fail"
	}
	return "held"
}

// print writes the cells as a table for the terminal.
func (r *results) print(w io.Writer, cells []cell) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FAULT\tADVERTS\tVALUE (MEDIAN / WORST, ms)\tARITHMETIC\tKEEPALIVED\tEVENKEEL\tGOAL")
	for _, c := range cells {
		for _, l := range r.rows(c) {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.measure, l.interval, l.value, l.theory, l.theirs, l.ours, l.verdict)
		}
	}
	t.Flush()
}

// markdown writes all that the file has.
func (r *results) markdown(list []measure) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Failover beside keepalived\n\nMade by `make bench-failover`: both programs in turns in the same run, from the same keepalived.conf "+
		"(VRRP version 3, IPv4, priorities %d and %d, everything else at its default), two directors and a client on a switch in network namespaces. "+
		"Each figure is the median and the worst of the runs, in milliseconds unless it counts something. "+
		"Time stamps are the kernel's, taken on the switch. The client sends an ICMP echo request to the virtual address every millisecond; "+
		"*client loss* is the longest time in which none was answered, 0 when no request was lost.\n\n", firstPriority, secondPriority)
	if slices.ContainsFunc(r.Series, func(s series) bool { return s.StallMS > 0 }) {
		b.WriteString(disturbance)
	}
	for i, m := range r.machines() {
		fmt.Fprintf(&b, "Machine %d: %s.\n", i+1, m)
	}
	for _, name := range []string{theirName, ourName} {
		if v := r.versions(name); len(v) > 0 {
			fmt.Fprintf(&b, "%s: %s.\n", name, strings.Join(v, "; "))
		}
	}
	for _, m := range list {
		r.section(&b, m)
	}
	return b.String()
}

// versions returns what the subject called itself, in the order of the series:
// measures that are repeated may be of another version than the rest.
func (r *results) versions(subject string) (all []string) {
	for _, s := range r.Series {
		if s.Subject == subject && s.Version != "" && !slices.Contains(all, s.Version) {
			all = append(all, s.Version)
		}
	}
	return all
}

// machines returns where the series were made, in their order.
func (r *results) machines() (all []machine) {
	for _, s := range r.Series {
		if !slices.Contains(all, s.Machine) {
			all = append(all, s.Machine)
		}
	}
	return all
}

// section writes a measure at all its intervals.
func (r *results) section(b *strings.Builder, m measure) {
	head := false
	for _, interval := range m.intervals {
		rows := r.rows(cell{m, interval})
		if len(rows) > 0 && !head {
			head = true
			fmt.Fprintf(b, "\n## %s\n\n| adverts every | value | arithmetic | keepalived | evenkeel | goal |\n|---|---|---|---|---|---|\n", m.title)
		}
		for _, l := range rows {
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", l.interval, l.value, l.theory, l.theirs, l.ours, l.verdict)
		}
	}
	if head {
		b.WriteString("\n" + r.notes(m))
	}
}

// disturbance explains what the canary is for.
const disturbance = "On each CPU a thread of real-time priority wakes every millisecond and notes how late it comes: what delays it is the hypervisor or the kernel, " +
	"no program. A run in which it was late by more than the limit given below a section, within 5 ms of the moment at which the second director was due " +
	"by the arithmetic, is *disturbed*. Whether it is does not depend on what the director then did. Disturbed runs are repeated, of both programs as many as the one needs that had more; " +
	"goals are held against the others, and the figures of all runs, disturbed ones too, follow in brackets.\n\n"

// repetitions says how many runs were disturbed.
func (r *results) repetitions(measure string, interval time.Duration) (text string) {
	for _, name := range []string{theirName, ourName} {
		s := r.find(measure, interval, name)
		if s == nil || s.disturbed() == 0 {
			continue
		}
		text += fmt.Sprintf(", %d of %s's disturbed by stalls over %s ms", s.disturbed(), name, number(s.StallMS))
	}
	return text
}

// notes says when, how often and under which load a measure was made, and why
// runs failed.
func (r *results) notes(m measure) string {
	var parts, errs []string
	for _, s := range r.Series {
		if s.Measure != m.name {
			continue
		}
		interval := time.Duration(s.IntervalMS * float64(time.Millisecond))
		if s.Subject == ourName || r.find(m.name, interval, ourName) == nil {
			part := fmt.Sprintf("%s: %d runs each, begun %s at load %s", interval, len(s.Runs), s.Began.Format("2006-01-02 15:04"), s.Load)
			if s.Lanes > 1 {
				part += fmt.Sprintf(", %d lanes at the same time", s.Lanes)
			}
			if all := r.machines(); len(all) > 1 {
				part += fmt.Sprintf(", on machine %d", slices.Index(all, s.Machine)+1)
			}
			part += r.repetitions(m.name, interval)
			parts = append(parts, part)
		}
		for n, run := range s.Runs {
			if run.Error != "" {
				line, _, _ := strings.Cut(run.Error, "\n")
				errs = append(errs, fmt.Sprintf("- %s at %s, run %d failed: %s", s.Subject, interval, n+1, line))
			}
		}
	}
	text := strings.Join(parts, "; ") + ".\n"
	if len(errs) > 0 {
		text += "\n" + strings.Join(errs, "\n") + "\n"
	}
	return text
}
