package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// printVRRP shows each instance, then what is tracked, then the totals.
func printVRRP(w io.Writer, v api.VRRP) {
	if len(v.Instances) == 0 {
		fmt.Fprintln(w, "no vrrp_instance runs")
		return
	}
	for _, i := range v.Instances {
		printInstance(w, i)
	}
	printTracked(w, v.Tracked)
	t := v.Totals
	fmt.Fprintf(w, "announced: %d gratuitous ARP, %d unsolicited NA, %s\n", t.GratuitousARP, t.UnsolicitedNA, plural64(t.AnnounceErrors, "error"))
	fmt.Fprintf(w, "addresses, routes and rules: %d added, %d removed, %d put back, %s\n",
		t.ObjectsAdded, t.ObjectsRemoved, t.ObjectsRestored, plural64(t.ObjectErrors, "error"))
	if t.UnknownVRID+t.Short > 0 {
		fmt.Fprintf(w, "packets for nobody here: %d of unknown virtual routers, %d too short\n", t.UnknownVRID, t.Short)
	}
}

func printInstance(w io.Writer, i api.VRRPInstance) {
	head := i.Name + ": " + i.State
	if i.Wants != i.State {
		head += ", waits to be " + i.Wants
	}
	fmt.Fprintf(w, "%s since %s\n", head, stamp(i.Since))
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("why", "%s", i.Reason)
	if i.Serving {
		row("", "serves on until another router takes over")
	}
	for _, f := range i.Faults {
		row("fault", "%s", f)
	}
	row("router", "%s", routerText(i))
	row("master", "%s", masterText(i))
	row("priority", "%s", priorityText(i))
	row("adverts", "every %s, the master's every %s, %d sent, %d received", seconds(i.IntervalSeconds), seconds(i.MasterIntervalSeconds),
		i.Counters["advert_sent"], i.Counters["advert_rcvd"])
	if i.PreemptAt != nil {
		row("preempts", "at %s", stamp(*i.PreemptAt))
	}
	for n, a := range i.Addresses {
		name := ""
		if n == 0 {
			name = "addresses"
		}
		row(name, "%s", a)
	}
	row("in place", "%s", plural(i.Placed, "object"))
	for _, m := range i.Missing {
		row("missing", "%s: %s", m.Object, m.Error)
	}
	for _, c := range []struct {
		name  string
		count map[string]uint64
	}{{"counters", others(i.Counters)}, {"refused", i.Refused}} {
		if text := counterText(c.count); text != "" {
			row(c.name, "%s", text)
		}
	}
	// The writer below is the caller's; its errors are the caller's.
	_ = table.Flush()
	fmt.Fprintln(w)
}

func routerText(i api.VRRPInstance) string {
	text := fmt.Sprintf("%d, version %d, %s", i.VRID, i.Version, i.Family)
	if i.Interface != "" {
		text += " on " + i.Interface
	}
	if i.Source != "" {
		text += ", from " + i.Source
	}
	if i.Group != "" {
		text += ", in sync group " + i.Group
	}
	return text
}

func masterText(i api.VRRPInstance) string {
	switch {
	case i.State == "MASTER":
		return "this router"
	case i.Master == "":
		return "none heard"
	case i.MasterPriority == 0:
		return i.Master + ", which gave up"
	}
	return fmt.Sprintf("%s, priority %d", i.Master, i.MasterPriority)
}

// priorityText prints 110 = 100 + 10 (script chk up); file load 0.
func priorityText(i api.VRRPInstance) string {
	sum, silent := fmt.Sprint(i.BasePriority), []string{}
	for _, c := range i.Contributions {
		name := fmt.Sprintf("%s %s %s", c.Kind, c.Name, c.Status)
		switch {
		case c.Adds > 0:
			sum += fmt.Sprintf(" + %d (%s)", c.Adds, name)
		case c.Adds < 0:
			sum += fmt.Sprintf(" - %d (%s)", -c.Adds, name)
		case c.Fault:
			silent = append(silent, name+": FAULT")
		default:
			silent = append(silent, name)
		}
	}
	text := fmt.Sprint(i.Priority)
	if sum != text {
		text += " = " + sum
	}
	return strings.Join(append([]string{text}, silent...), "; ")
}

// others leaves out the counters that have a line of their own.
func others(counters map[string]uint64) map[string]uint64 {
	rest := maps.Clone(counters)
	delete(rest, "advert_sent")
	delete(rest, "advert_rcvd")
	return rest
}

// counterText prints what is not zero.
func counterText(counters map[string]uint64) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		if counters[name] > 0 {
			list = append(list, fmt.Sprintf("%s %d", name, counters[name]))
		}
	}
	return strings.Join(list, ", ")
}

func printTracked(w io.Writer, tracked []api.VRRPTracked) {
	if len(tracked) == 0 {
		return
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "TRACKED\tSTATE\tSINCE\tREASON")
	for _, t := range tracked {
		since := "-"
		if t.Since != nil {
			since = stamp(*t.Since)
		}
		fmt.Fprintf(table, "%s %s\t%s\t%s\t%s\n", t.Kind, t.Name, t.State, since, t.Reason)
	}
	// As in printInstance.
	_ = table.Flush()
	fmt.Fprintln(w)
}

// printElection is the part of the status about VRRP.
func printElection(w io.Writer, list []api.VRRPSummary) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "INSTANCE\tSTATE\tSINCE\tPRIORITY\tMASTER\tWHY")
	for _, i := range list {
		master := i.Master
		if master == "" {
			master = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", i.Name, i.State, stamp(i.Since), i.Priority, master, i.Reason)
	}
	// As in printStatus.
	_ = table.Flush()
}

func seconds(s float64) string { return time.Duration(s * float64(time.Second)).String() }

func plural64(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
