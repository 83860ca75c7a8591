package config

import (
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// Severity says how bad a diagnostic is.
type Severity string

// The severities.
const (
	// Error marks something that does not run as it was written: a service is
	// left out or a line is ignored. A reload with errors shall be refused.
	Error Severity = "error"
	// Warning marks something that runs, but perhaps not as it was meant. It
	// must not prevent a reload.
	Warning Severity = "warning"
	// Note is for the curious: old words that have no effect any more.
	Note Severity = "note"
)

// Diagnostic is one complaint about a place in a configuration file. It is an
// error, too.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// File, Line and Column say where. Line and Column count from 1 and the
	// column counts bytes. They are 0 when the complaint is about the file as
	// a whole. For text that came out of a definition or a sequence they are
	// the place where it was used.
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	// Keyword is the keyword that the complaint is about, or empty.
	Keyword string `json:"keyword,omitempty"`
	Message string `json:"message"`
	// Hint says what to do instead; it may be empty.
	Hint string `json:"hint,omitempty"`
	// Keepalived is what keepalived's configuration test makes of it.
	Keepalived Judgement `json:"-"`
}

// Position returns the place of the complaint.
func (d Diagnostic) Position() model.Position {
	return model.Position{File: d.File, Line: d.Line, Column: d.Column}
}

// Error prints file:line:column: severity: message; hint.
func (d Diagnostic) Error() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", d.Line, d.Column)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%s: %s", d.Severity, d.Message)
	if d.Hint != "" {
		b.WriteString("; ")
		b.WriteString(d.Hint)
	}
	return b.String()
}

// String is Error.
func (d Diagnostic) String() string { return d.Error() }

// UnparsableError says that a configuration cannot be used at all. A reload
// that meets it keeps the running configuration.
type UnparsableError struct {
	// Fatal is the complaint that made the configuration unusable.
	Fatal Diagnostic
	// Diagnostics are all complaints, Fatal among them, in the order of the
	// files.
	Diagnostics []Diagnostic
	// Files are the files read so far, as in Config.Files.
	Files []string
	// Cause is the error of the file system behind Fatal, or nil.
	Cause error
}

// Error prints Fatal on one line.
func (e *UnparsableError) Error() string { return e.Fatal.Error() }

// Unwrap returns Cause, so that errors.Is(err, fs.ErrNotExist) works.
func (e *UnparsableError) Unwrap() error { return e.Cause }
