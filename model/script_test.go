package model

import (
	"testing"
	"time"
)

func TestScriptEqual(t *testing.T) {
	base := Script{Command: "/bin/x a", User: "u", Group: "g", Timeout: time.Second}
	tests := []struct {
		name   string
		change func(*Script)
		want   bool
	}{
		{"same", func(*Script) {}, true},
		{"elsewhere", func(s *Script) { s.Pos.Line = 9 }, true},
		{"command", func(s *Script) { s.Command = "/bin/x b" }, false},
		{"words", func(s *Script) { s.Argv = []string{"/bin/x", "b"} }, false},
		{"user", func(s *Script) { s.User = "v" }, false},
		{"group", func(s *Script) { s.Group = "" }, false},
		{"time-out", func(s *Script) { s.Timeout = 0 }, false},
	}
	for _, tt := range tests {
		other := base
		tt.change(&other)
		if got := base.Equal(other); got != tt.want {
			t.Errorf("%s: equal %v, want %v", tt.name, got, tt.want)
		}
	}
	one, two := Script{Argv: []string{"a", "b c"}}, Script{Argv: []string{"a", "b", "c"}}
	if one.Equal(two) || !one.Equal(Script{Argv: []string{"a", "b c"}, Command: "any"}) {
		t.Error("words are not compared one by one")
	}
}

func TestScriptText(t *testing.T) {
	tests := []struct {
		result ScriptResult
		ok     bool
		want   string
	}{
		{ScriptResult{Output: "x"}, true, "exit status 0"},
		{ScriptResult{Exit: 3}, false, "exit status 3"},
		{ScriptResult{Signal: 9}, false, "ended by signal 9"},
		{ScriptResult{TimedOut: true, Took: 1500700 * time.Microsecond}, false, "timed out after 1.501s"},
		{ScriptResult{Refused: "find /x: it is a directory"}, false, "not run: find /x: it is a directory"},
		{ScriptResult{Unmade: "no memory"}, false, "could not be run: no memory"},
	}
	for _, tt := range tests {
		if got := tt.result.String(); got != tt.want || tt.result.OK() != tt.ok {
			t.Errorf("%q, good %v, want %q, %v", got, tt.result.OK(), tt.want, tt.ok)
		}
	}
	if got := (Script{Command: "a b", Argv: []string{"x"}}).String(); got != "a b" {
		t.Errorf("String = %q", got)
	}
	if got := (Script{Argv: []string{"x", "y"}}).String(); got != "x y" {
		t.Errorf("String = %q", got)
	}
}
