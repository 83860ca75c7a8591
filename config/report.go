package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// Status says what becomes of a keyword.
type Status string

// The statuses.
const (
	// Runs: the keyword has its effect.
	Runs Status = "runs"
	// NotYet: the keyword is parsed, but nothing acts on it yet.
	NotYet Status = "not used yet"
	// Ignored: the keyword is accepted and has no effect, by design.
	Ignored Status = "ignored"
	// Unknown: nobody knows the keyword here.
	Unknown Status = "unknown"
)

// KeywordUse is one keyword in one kind of block and what becomes of it.
type KeywordUse struct {
	// Keyword is as written in the file.
	Keyword string `json:"keyword"`
	// Block is the kind of block around it, such as real_server; empty at top
	// level.
	Block  string `json:"block"`
	Status Status `json:"status"`
	// Suggestion is the known keyword nearest to an unknown one, or empty.
	Suggestion string `json:"suggestion,omitempty"`
	// Count is how often it occurs.
	Count int `json:"count"`
	// Positions are the first 100 places.
	Positions []model.Position `json:"positions"`
}

// Report is what `evenkeel check` prints about a configuration.
type Report struct {
	// Usable is false when the files cannot be used as a whole.
	Usable bool     `json:"usable"`
	Files  []string `json:"files"`
	// Errors, Warnings and Notes count the diagnostics.
	Errors      int          `json:"errors"`
	Warnings    int          `json:"warnings"`
	Notes       int          `json:"notes"`
	Diagnostics []Diagnostic `json:"diagnostics"`
	// Instances are the VRRP instances that can run.
	Instances []InstanceReport `json:"instances"`
	Services  []ServiceReport  `json:"services"`
	Keywords  []KeywordUse     `json:"keywords"`
}

// ServiceReport is one virtual server that can run.
type ServiceReport struct {
	// Key is as model.ServiceKey prints it.
	Key string `json:"key"`
	// Services are the keys of the services of a virtual server for a group; none
	// for others.
	Services  []string             `json:"services,omitempty"`
	Position  model.Position       `json:"position"`
	Scheduler string               `json:"scheduler"`
	Datapath  model.DatapathChoice `json:"datapath"`
	Servers   []ServerReport       `json:"servers"`
	// Sorry is the sorry server's address or empty.
	Sorry string `json:"sorry,omitempty"`
}

// ServerReport is one real server of a service that can run.
type ServerReport struct {
	Address  string         `json:"address"`
	Position model.Position `json:"position"`
	Forward  string         `json:"forward"`
	Weight   int32          `json:"weight"`
	// Checks are the keywords of the checks that run; none means that the
	// server always counts as up.
	Checks []string `json:"checks"`
}

// Report returns the report on a configuration that was read.
func (c *Config) Report() Report {
	r := newReport(c.Files, c.Diagnostics)
	r.Usable = true
	r.Keywords = append(r.Keywords, c.Keywords...)
	r.Instances = instanceReports(c.VRRP)
	for _, vs := range c.Services {
		if vs.GroupBlock.Group == "" {
			r.Services = append(r.Services, serviceReport(vs))
			continue
		}
		if n := len(r.Services); n == 0 || r.Services[n-1].Key != vs.Block().String() {
			r.Services = append(r.Services, serviceReport(vs))
		}
		last := &r.Services[len(r.Services)-1]
		last.Services = append(last.Services, vs.Key.String())
	}
	return r
}

// Report returns the report on a configuration that cannot be used.
func (e *UnparsableError) Report() Report { return newReport(e.Files, e.Diagnostics) }

// newReport makes no list nil, so that JSON has [] and not null.
func newReport(files []string, diagnostics []Diagnostic) Report {
	r := Report{
		Files:       append([]string{}, files...),
		Diagnostics: append([]Diagnostic{}, diagnostics...),
		Instances:   []InstanceReport{},
		Services:    []ServiceReport{},
		Keywords:    []KeywordUse{},
	}
	for _, d := range diagnostics {
		switch d.Severity {
		case Error:
			r.Errors++
		case Warning:
			r.Warnings++
		case Note:
			r.Notes++
		}
	}
	return r
}

func serviceReport(vs model.VirtualServer) ServiceReport {
	r := ServiceReport{
		Key:       vs.Block().String(),
		Position:  vs.Pos,
		Scheduler: vs.Scheduler,
		Datapath:  vs.Datapath,
		Servers:   []ServerReport{},
	}
	for _, s := range vs.Servers {
		server := ServerReport{Address: s.Name().String(), Position: s.Pos, Forward: s.Forward.String(), Weight: s.Weight, Checks: []string{}}
		for _, c := range s.Checks {
			server.Checks = append(server.Checks, string(c.Kind))
		}
		r.Servers = append(r.Servers, server)
	}
	if vs.Sorry != nil {
		r.Sorry = vs.Sorry.Addr.String()
	}
	return r
}

// WriteText writes the report for people: the diagnostics, then the services,
// then the keywords that do not run, then the counts.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, d := range r.Diagnostics {
		fmt.Fprintln(&b, d)
	}
	r.writeInstances(&b)
	r.writeServices(&b)
	for _, s := range []Status{NotYet, Ignored, Unknown} {
		r.writeKeywords(&b, s)
	}
	if !r.Usable {
		fmt.Fprintln(&b, "the configuration cannot be used")
	}
	fmt.Fprintf(&b, "%s, %s, %s\n", plural(r.Errors, "error"), plural(r.Warnings, "warning"), plural(r.Notes, "note"))
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) writeServices(b *strings.Builder) {
	for _, s := range r.Services {
		fmt.Fprintf(b, "%s: virtual server %s %s, datapath %s\n", s.Position, s.Key, s.Scheduler, s.Datapath)
		if len(s.Services) > 0 {
			fmt.Fprintf(b, "  %s: %s\n", plural(len(s.Services), "service"), shortList(s.Services))
		}
		for _, server := range s.Servers {
			checks := "no check, always up"
			if len(server.Checks) > 0 {
				checks = strings.Join(server.Checks, " ")
			}
			fmt.Fprintf(b, "  %s %s weight %d, %s\n", server.Address, server.Forward, server.Weight, checks)
		}
		if s.Sorry != "" {
			fmt.Fprintf(b, "  sorry server %s\n", s.Sorry)
		}
	}
}

func (r Report) writeKeywords(b *strings.Builder, status Status) {
	list := slices.DeleteFunc(slices.Clone(r.Keywords), func(k KeywordUse) bool { return k.Status != status })
	if len(list) == 0 {
		return
	}
	slices.SortStableFunc(list, func(a, b KeywordUse) int { return cmp.Compare(a.Block, b.Block) })
	fmt.Fprintf(b, "keywords %s:\n", status)
	for _, k := range list {
		name := k.Keyword
		if k.Block != "" {
			name = k.Block + " " + name
		}
		fmt.Fprintf(b, "  %s: %s", k.Positions[0], name)
		if k.Count > 1 {
			fmt.Fprintf(b, ", %d times", k.Count)
		}
		if k.Suggestion != "" {
			fmt.Fprintf(b, "; did you mean %q?", k.Suggestion)
		}
		fmt.Fprintln(b)
	}
}

// shortList writes the first few of many words, and the last.
func shortList(words []string) string {
	const most = 5
	if len(words) > most {
		words = append(words[:most-1:most-1], "...", words[len(words)-1])
	}
	return strings.Join(words, " ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
