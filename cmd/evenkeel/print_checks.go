package main

import (
	"fmt"
	"io"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// printChecks shows the checks below their servers, and those below their
// services, in the order of the file.
func printChecks(w io.Writer, all api.Checks) {
	fmt.Fprintf(w, "%s, %d of at most %d tries under way", plural(countChecks(all), "check"), all.InFlight, all.MaxInFlight)
	if all.Waiting > 0 {
		fmt.Fprintf(w, ", %d wait for one of them to end", all.Waiting)
	}
	fmt.Fprintln(w)
	service := ""
	for _, s := range all.Servers {
		if s.Service != service {
			service = s.Service
			fmt.Fprintf(w, "%s\n", service)
		}
		fmt.Fprintf(w, "  %s: %s\n", s.Server, serverText(s))
		for _, c := range s.Checks {
			printCheck(w, c)
		}
	}
}

func countChecks(all api.Checks) int {
	n := 0
	for _, s := range all.Servers {
		n += len(s.Checks)
	}
	return n
}

func serverText(s api.CheckedServer) string {
	text := fmt.Sprintf("%s since %s", upText(s.Up), stamp(s.Since))
	if s.Reason != "" {
		text += ", " + s.Reason
	}
	if len(s.Checks) == 0 {
		text += ", no check"
	}
	if s.Suspended {
		text += ", suspended (ha_suspend)"
	}
	return text
}

func upText(up bool) string {
	if up {
		return "up"
	}
	return "DOWN"
}

func printCheck(w io.Writer, c api.Check) {
	row := func(name, text string) { fmt.Fprintf(w, "      %-12s%s\n", name, text) }
	fmt.Fprintf(w, "    %s %s: %s since %s (%s)\n", c.Kind, c.Object, upText(c.Up), stamp(c.Since), c.Position)
	row("tries", triesText(c))
	if c.Last != nil && c.Last.Result != "failed" {
		row("last", tryText(*c.Last))
	}
	if c.LastFailure == nil {
		return
	}
	f := *c.LastFailure
	row("failure", tryText(f))
	if f.Sent == "" {
		return
	}
	row("  sent", f.Sent)
	if f.Received == "" {
		f.Received = "nothing"
	}
	row("  received", f.Received)
}

// triesText counts tries and says when the next one is due.
func triesText(c api.Check) string {
	text := fmt.Sprintf("%d: %d succeeded, %d failed", c.Tries, c.Successes, c.Failed)
	if unmade := c.Tries - c.Successes - c.Failed; unmade > 0 {
		text += fmt.Sprintf(", %d could not be made", unmade)
	}
	if c.Failures > 0 {
		text += fmt.Sprintf("; %s in a row, forgiven by retry", plural(int(c.Failures), "failure"))
	}
	if c.Running {
		return text + "; one is under way"
	}
	return text + "; next " + stamp(c.Due)
}

func tryText(t api.Try) string {
	took := time.Duration(t.TookSeconds * float64(time.Second)).Round(10 * time.Microsecond)
	text := fmt.Sprintf("%s %s in %s", t.Result, stamp(t.At), took)
	if t.Path != "" {
		text += ", " + t.Path
	}
	if t.From != "" {
		text += ", from " + t.From
	}
	if t.Error != "" {
		text += ": " + t.Error
	}
	return text
}
