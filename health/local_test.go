package health

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// scripts is a Scripts that returns what it was told to, and nothing while it
// was told nothing.
type scripts struct {
	result *model.ScriptResult
	ran    []model.Script
}

func (s *scripts) Run(ctx context.Context, script model.Script, outcome func(model.ScriptResult)) {
	s.ran = append(s.ran, script)
	if s.result == nil {
		<-ctx.Done()
		return
	}
	outcome(*s.result)
}

func TestMiscVerdicts(t *testing.T) {
	tests := []struct {
		name    string
		result  model.ScriptResult
		dynamic bool
		want    string
		weight  WeightChange
	}{
		{name: "0", result: model.ScriptResult{}},
		{name: "1", result: model.ScriptResult{Exit: 1, Output: "disk\x1bfull"}, want: "exit status 1"},
		{name: "2", result: model.ScriptResult{Exit: 2}, want: "exit status 2"},
		{name: "255", result: model.ScriptResult{Exit: 255}, want: "exit status 255"},
		{name: "dynamic 0", result: model.ScriptResult{}, dynamic: true},
		{name: "dynamic 1", result: model.ScriptResult{Exit: 1}, dynamic: true, want: "exit status 1"},
		{name: "dynamic 2", result: model.ScriptResult{Exit: 2}, dynamic: true, weight: WeightChange{Stated: 1}},
		{name: "dynamic 255", result: model.ScriptResult{Exit: 255}, dynamic: true, weight: WeightChange{Add: 253, Stated: 1}},
		{name: "time-out", result: model.ScriptResult{TimedOut: true, Exit: 7, Took: 3 * time.Second}, dynamic: true, want: "timed out after 3s"},
		{name: "signal", result: model.ScriptResult{Signal: 9, Exit: 7}, dynamic: true, want: "ended by signal 9"},
		{name: "refused", result: model.ScriptResult{Refused: "no such file"}, want: "not tried: not run: no such file"},
		{name: "no process free", result: model.ScriptResult{Unmade: "try again"}, want: "not tried: could not be run: try again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &scripts{result: &tt.result}
			script := model.Script{Argv: []string{"/bin/check", "a"}, User: "nobody", Timeout: time.Second}
			c := model.Check{Kind: model.MiscCheck, Misc: &model.MiscSpec{Script: script, Dynamic: tt.dynamic}}
			a := expect(t, NewCheckers(CheckersOptions{Scripts: s}), c, tt.want)
			if a.Weight != tt.weight {
				t.Errorf("weight %+v, want %+v", a.Weight, tt.weight)
			}
			if len(s.ran) != 1 || !s.ran[0].Equal(script) {
				t.Errorf("ran %+v, want %+v once", s.ran, script)
			}
			if tt.result.Output != "" && (a.Received != `disk\x1bfull` || a.Sent != "/bin/check a") {
				t.Errorf("evidence %q, %q", a.Sent, a.Received)
			}
		})
	}
}

func TestMiscEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := model.Check{Kind: model.MiscCheck, Misc: &model.MiscSpec{}}
	if err := NewCheckers(CheckersOptions{Scripts: &scripts{}}).Probe(ctx, c); err == nil {
		t.Error("a script without an outcome passed")
	}
}

// files is a Files with fixed values.
type files map[string]int64

func (f files) Value(name string) (int64, bool) {
	v, ok := f[name]
	return v, ok
}

func TestFileVerdicts(t *testing.T) {
	tests := []struct {
		name    string
		value   int64
		weight  int32
		reverse bool
		want    string
		add     int64
	}{
		{name: "weight 0, value 0"},
		{name: "weight 0", value: 5, want: "the file has the value 5"},
		{name: "weight 0 reverse, value 0", reverse: true, want: "the file has the value 0"},
		{name: "weight 0 reverse", value: -1, reverse: true},
		{name: "adds", value: 3, weight: 2, add: 6},
		{name: "subtracts", value: 3, weight: -2, add: -6},
		{name: "reverse", value: 3, weight: 2, reverse: true, add: -6},
		{name: "least", value: -math.MaxInt32, weight: 1, add: -math.MaxInt32},
		{name: "below the least", value: -math.MaxInt32 - 1, weight: 1, want: "the file has the value -2147483648, which is 2147483648 below all weights"},
		{name: "above the most", value: math.MaxInt32, weight: 100, add: math.MaxInt32},
		{name: "no overflow", value: math.MinInt64, weight: math.MaxInt32, reverse: true, add: math.MaxInt32},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := model.Check{Kind: model.FileCheck, File: &model.FileSpec{TrackFile: "f", Weight: tt.weight, Reverse: tt.reverse}}
			a := expect(t, NewCheckers(CheckersOptions{Files: files{"f": tt.value}}), c, tt.want)
			if a.Weight != (WeightChange{Add: tt.add}) {
				t.Errorf("weight %+v, want %d added", a.Weight, tt.add)
			}
		})
	}
	c := model.Check{Kind: model.FileCheck, File: &model.FileSpec{TrackFile: "g"}}
	expect(t, NewCheckers(CheckersOptions{Files: files{}}), c, "not tried: no such track_file")
}
