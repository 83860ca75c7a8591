package track

import (
	"testing"

	"github.com/evenkeel/evenkeel/model"
)

// TestMatches was measured on keepalived 2.2.7, with the exception marked.
func TestMatches(t *testing.T) {
	worker := Proc{Name: "worker", Args: []string{"./worker", "777", "0", "5"}}
	long := Proc{Name: "averylongprogra", Args: []string{"/bin/averylongprogramname"}}
	kernel := Proc{Name: "kworker/0:1"}
	const exact, partial, initial = model.MatchExact, model.MatchPartial, model.MatchInitial
	tests := []struct {
		proc    Proc
		process string
		params  []string
		match   model.ParamMatch
		full    bool
		want    bool
	}{
		{worker, "worker", nil, exact, false, true},
		{worker, "work", nil, exact, false, false},
		{worker, "./worker", nil, exact, false, false},
		{worker, "worker 777", nil, exact, false, false},
		{worker, "./worker", nil, exact, true, true},
		{worker, "worker", nil, exact, true, false},
		{worker, "/x/worker", nil, exact, true, false},
		{worker, "./worker", nil, initial, false, true},
		{worker, "worker", nil, initial, false, false},
		{worker, "./work", nil, partial, false, false},

		{worker, "./worker", []string{"777", "0", "5"}, exact, false, true},
		{worker, "./worker", []string{"777", "0", "5"}, exact, true, true},
		{worker, "worker", []string{"777", "0", "5"}, exact, false, false},
		{worker, "./worker", []string{"777", "0"}, exact, false, false},
		{worker, "./worker", []string{"77"}, exact, true, false},
		{worker, "./worker", []string{"777 0 5"}, exact, false, false},

		{worker, "./worker", []string{"777"}, initial, false, true},
		{worker, "./worker", []string{"77"}, initial, false, true},
		{worker, "./worker", []string{"777", "0"}, initial, false, true},
		{worker, "./worker", []string{"777", "0", "5"}, initial, false, true},
		{worker, "./worker", []string{"7", "0", "5"}, initial, false, false},
		{worker, "./worker", []string{"777", "0", "5", ""}, initial, false, false},

		{worker, "./worker", []string{"777"}, partial, false, true},
		{worker, "./worker", []string{"77"}, partial, false, false},
		{worker, "./worker", []string{"0"}, partial, false, false},
		{worker, "./worker", []string{"777", "0", "5"}, partial, false, true},
		{worker, "./worker", []string{"777", "0", "5", "6"}, partial, false, false},
		{worker, "./worker", []string{"777", "05"}, partial, false, false},
		{worker, "./worker", []string{"777", "0", ""}, partial, false, false},

		{long, "averylongprogra", nil, exact, false, true},
		// keepalived compares the whole name with what the kernel keeps.
		{long, "averylongprogramname", nil, exact, false, true},
		{long, "averylongprogramXXXX", nil, exact, false, false},
		{long, "/bin/averylongprogramname", nil, exact, true, true},
		{kernel, "kworker/0:1", nil, exact, false, true},
		{kernel, "kworker/0:1", nil, exact, true, false},
		{Proc{Name: "averylongprogra"}, "averylongprogramname", nil, exact, false, false},
	}
	for _, tt := range tests {
		d := model.TrackProcess{Process: tt.process, Params: tt.params, Match: tt.match, FullCommand: tt.full}
		if got := matches(d, tt.proc); got != tt.want {
			t.Errorf("%q %q match %q full %v with %q: %v, want %v", tt.process, tt.params, tt.match, tt.full, tt.proc.Args, got, tt.want)
		}
	}
}

func TestHasQuorum(t *testing.T) {
	tests := []struct {
		quorum, most int
		want         string // for 0 to 5 processes
	}{
		{1, -1, ".xxxxx"},
		{3, -1, "...xxx"},
		{2, 3, "..xx.."},
		{0, 0, "x....."},
		{1, 1, ".x...."},
		{0, 2, "xxx..."},
	}
	for _, tt := range tests {
		got := ""
		for n := range 6 {
			got += map[bool]string{true: "x", false: "."}[hasQuorum(model.TrackProcess{Quorum: tt.quorum, QuorumMax: tt.most}, n)]
		}
		if got != tt.want {
			t.Errorf("%d to %d: %s, want %s", tt.quorum, tt.most, got, tt.want)
		}
	}
}
