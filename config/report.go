package config

import (
	"io"

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
	// Block is the keyword of the block around it, such as real_server; empty
	// at top level.
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
	Errors      int             `json:"errors"`
	Warnings    int             `json:"warnings"`
	Notes       int             `json:"notes"`
	Diagnostics []Diagnostic    `json:"diagnostics"`
	Services    []ServiceReport `json:"services"`
	Keywords    []KeywordUse    `json:"keywords"`
}

// ServiceReport is one virtual server that runs.
type ServiceReport struct {
	// Key is as model.ServiceKey prints it.
	Key       string               `json:"key"`
	Position  model.Position       `json:"position"`
	Scheduler string               `json:"scheduler"`
	Datapath  model.DatapathChoice `json:"datapath"`
	Servers   []ServerReport       `json:"servers"`
	// Sorry is the sorry server's address or empty.
	Sorry string `json:"sorry,omitempty"`
}

// ServerReport is one real server of a service that runs.
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
func (c *Config) Report() Report { return Report{Usable: true} }

// Report returns the report on a configuration that cannot be used.
func (e *UnparsableError) Report() Report { return Report{} }

// WriteText writes the report for people: the diagnostics, then the services,
// then the keywords by status.
func (r Report) WriteText(w io.Writer) error { return nil }
