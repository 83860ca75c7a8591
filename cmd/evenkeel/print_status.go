package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// printStatus shows the daemon on one screen: what it is, what it read, what
// carries packets, then services and reasons.
func printStatus(w io.Writer, s api.Status) {
	fmt.Fprintf(w, "evenkeel %s (pid %d), %s, up %s\n", s.Version, s.PID, s.State, uptime(s.UptimeSeconds))
	head := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(head, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("config", "%s, %s", s.ConfigFile, loadText(s.Running))
	if s.Running.LastGood != "" {
		row("", "NOT the file: what last ran well, because %s; evenkeel reload reads the file", s.Running.LastGood)
	}
	for _, line := range s.Running.RestartNeeded {
		row("restart", "%s", line)
	}
	if s.LastReload != nil {
		row("reload", "%s", reloadText(*s.LastReload))
	}
	if s.LastRefusal != nil && (s.LastReload == nil || s.LastReload.OK) {
		row("refused", "%s (%s): %s", stamp(s.LastRefusal.At), s.LastRefusal.Cause, s.LastRefusal.Error)
	}
	row("datapath", "%s", datapathText(s.Datapath))
	for _, i := range s.Datapath.Interfaces {
		row("  "+i.Name, "%s", interfaceText(i))
		if i.Problem != "" {
			row("", "%s", i.Problem)
		}
	}
	if s.Datapath.LastError != "" {
		row("  error", "%s", s.Datapath.LastError)
	}
	row("ipvs", "%s", ipvsText(s.Datapath.IPVS))
	if text := s.Datapath.IPVS.SyncDaemon; text != "" {
		row("sync daemon", "%s", text)
	}
	row("flows", "%s", flowsText(s.Flows))
	row("checks", "%d of %d up%s", s.Checks.Up, s.Checks.Total, waitingText(s.Checks))
	p := s.Packets
	row("packets", "%d by XDP (%d forwarded, %d answered, %d dropped), %d passed to the kernel",
		p.XDP, p.Forwarded, p.Answered, p.Dropped, p.Passed)
	// The writer below is the caller's; its errors are the caller's.
	_ = head.Flush()
	printElection(w, s.VRRP)
	printSummaries(w, s.Services)
	printReasons(w, s.Reasons)
}

func loadText(l api.Load) string {
	text := fmt.Sprintf("read %s (%s): %s", stamp(l.At), l.Cause, contentText(l))
	if l.Errors > 0 {
		text += ", " + plural(l.Errors, "error")
	}
	if l.Warnings > 0 {
		text += ", " + plural(l.Warnings, "warning")
	}
	return text
}

// contentText counts what a configuration holds.
func contentText(l api.Load) string {
	text := plural(l.Services, "service")
	if l.Instances > 0 {
		text += ", " + plural(l.Instances, "VRRP instance")
	}
	return text
}

func reloadText(l api.Load) string {
	if l.OK {
		return fmt.Sprintf("taken over %s (%s)", stamp(l.At), l.Cause)
	}
	return fmt.Sprintf("REFUSED %s (%s): %s", stamp(l.At), l.Cause, l.Error)
}

func datapathText(d api.Datapath) string {
	switch {
	case !d.Running && d.Detail != "":
		return "none: " + d.Detail
	case !d.Running:
		return "none"
	case d.Adopted:
		return fmt.Sprintf("xdp on Linux %s, taken over from an earlier daemon", d.Kernel)
	}
	return fmt.Sprintf("xdp on Linux %s", d.Kernel)
}

func ipvsText(i api.IPVS) string {
	if i.Running {
		return "the kernel's"
	}
	return "none: " + i.Detail
}

func interfaceText(i api.Interface) string {
	mode := i.Mode
	if mode == "" {
		mode = "not attached"
	}
	if len(i.VLANs) > 0 {
		mode += ", with " + strings.Join(i.VLANs, ", ")
	}
	if i.Reason != "" {
		mode += ": " + i.Reason
	}
	return mode
}

func flowsText(f api.FlowTable) string {
	text := fmt.Sprintf("%d of %d", f.Used, f.Capacity)
	if f.Refused > 0 {
		text += fmt.Sprintf(", %d refused because the table was full", f.Refused)
	}
	return text
}

func waitingText(c api.CheckSummary) string {
	text := ""
	if c.Suspended > 0 {
		text += fmt.Sprintf(", %d suspended", c.Suspended)
	}
	if c.Waiting > 0 {
		text += fmt.Sprintf(", %d waiting for a free try", c.Waiting)
	}
	return text
}

func printSummaries(w io.Writer, services []api.Summary) {
	if len(services) == 0 {
		return
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tSCHEDULER\tDATAPATH\tQUORUM\tSERVERS\tNOTE")
	for _, s := range services {
		line := []string{s.Service, s.Scheduler, s.Datapath, "-", "-", s.Reason}
		if s.Datapath != "none" {
			line[3] = quorumText(s)
			line[4] = fmt.Sprintf("%d of %d up", s.ServersAlive, s.Servers)
			line[5] = strings.Join(notes(s), "; ")
		}
		fmt.Fprintln(table, strings.TrimRight(strings.Join(line, "\t"), "\t"))
	}
	// As in printStatus.
	_ = table.Flush()
}

func quorumText(s api.Summary) string {
	state := "LOST"
	if s.QuorumUp {
		state = "up"
	}
	return fmt.Sprintf("%s (%d of %d)", state, s.AliveWeight, s.Quorum)
}

func notes(s api.Summary) []string {
	var all []string
	if s.Reason != "" {
		all = append(all, s.Reason)
	}
	if s.SorryActive {
		all = append(all, "the sorry server stands in")
	}
	if s.Unresolved > 0 {
		all = append(all, plural(s.Unresolved, "server")+" without a next hop")
	}
	if n := s.Overload.Limited; n > 0 {
		all = append(all, fmt.Sprintf("%d over new_flow_rate", n))
	}
	if n := s.Overload.Evicted; n > 0 {
		all = append(all, fmt.Sprintf("%d half-open evicted", n))
	}
	return all
}

func printReasons(w io.Writer, reasons []api.Reason) {
	if len(reasons) == 0 {
		return
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "PACKETS\tVERDICT\tREASON\tMEANING")
	for _, r := range reasons {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", r.Packets, r.Verdict, r.Name, r.Text)
	}
	// As in printStatus.
	_ = table.Flush()
}

// uptime prints days, hours, minutes and seconds, the larger two of them.
func uptime(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Truncate(time.Second)
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return d.String()
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
