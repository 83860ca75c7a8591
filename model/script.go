package model

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Script is a command of the configuration with what keepalived lets it say:
// notify scripts, vrrp_script, MISC_CHECK and FIFO readers.
type Script struct {
	Pos Position
	// Command is the command line as configured. It is split into words only
	// where Argv is empty.
	Command string
	// Argv is the program and its arguments; optional, default Command split
	// by keepalived's rules.
	Argv []string
	// User and Group are names or numbers. An empty User means script_user,
	// an empty Group the user's own.
	User, Group string
	// Timeout bounds a run; 0 is no bound.
	Timeout time.Duration
}

// Equal reports whether both run the same program in the same way. Where they
// are configured does not count.
func (s Script) Equal(o Script) bool {
	return s.User == o.User && s.Group == o.Group && s.Timeout == o.Timeout && slices.Equal(s.words(), o.words())
}

func (s Script) words() []string {
	if len(s.Argv) == 0 {
		return []string{s.Command}
	}
	return s.Argv
}

// String returns the command as configured, or the words of it.
func (s Script) String() string {
	if s.Command != "" {
		return s.Command
	}
	return strings.Join(s.Argv, " ")
}

// ScriptResult is the outcome of one run of a script.
type ScriptResult struct {
	// Refused says why the script was not run: it does not exist, is not
	// executable, may be changed by others, or its user is unknown. Empty
	// means that it was run.
	Refused string
	// Unmade says why a run could not be started although the script is in
	// order, such as no free process. It says nothing about what the script
	// checks.
	Unmade string
	// TimedOut is set for a run that was ended for its length.
	TimedOut bool
	// Signal is the number of the signal that ended the run, or 0.
	Signal int
	// Exit is the exit status; it counts where nothing above is set.
	Exit int
	// Output is the last lines of what the run wrote, without the last line
	// feed.
	Output string
	// Took is the time from start to outcome.
	Took time.Duration
}

// OK reports whether the script ran and ended with status 0.
func (r ScriptResult) OK() bool {
	return r.Refused == "" && r.Unmade == "" && !r.TimedOut && r.Signal == 0 && r.Exit == 0
}

// String says in one line how the run ended: exit status 1.
func (r ScriptResult) String() string {
	switch {
	case r.Refused != "":
		return "not run: " + r.Refused
	case r.Unmade != "":
		return "could not be run: " + r.Unmade
	case r.TimedOut:
		return fmt.Sprintf("timed out after %v", r.Took.Round(time.Millisecond))
	case r.Signal != 0:
		return fmt.Sprintf("ended by signal %d", r.Signal)
	}
	return fmt.Sprintf("exit status %d", r.Exit)
}
