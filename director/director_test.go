package director_test

import (
	"testing"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

// step is one input and the operations that it must give.
type step struct {
	verdict health.Verdict
	want    string
	events  string
}

func TestVerdictsAndQuorum(t *testing.T) {
	quorum := func(q, h uint32) func(*model.VirtualServer) {
		return func(v *model.VirtualServer) { v.Quorum, v.Hysteresis = q, h }
	}
	tests := []struct {
		name  string
		conf  model.VirtualServer
		start string
		steps []step
	}{
		{
			name:  "servers go in in the order of the file",
			conf:  vs(rs(1, 1), rs(2, 3), rs(3, 1)),
			start: "+S +1 +2 +3",
			steps: []step{
				{down(2), "-2", "server down"},
				{down(2), "", ""},
				{up(2), "+2", "server up"},
				{up(2), "", ""},
				{down(77), "", ""},
			},
		},
		{
			name:  "alpha servers wait outside",
			conf:  vs(alpha(rs(1, 1)), rs(2, 1), unchecked(alpha(rs(3, 1)))),
			start: "+S +2 +3",
			steps: []step{{up(1), "+1", "server up"}},
		},
		{
			name:  "inhibited servers stay at weight 0",
			conf:  vs(inhibit(rs(1, 5)), inhibit(alpha(rs(2, 4)))),
			start: "+S +1 +2",
			steps: []step{
				{up(2), "~2=4", "server up"},
				{down(1), "~1=0", "server down"},
				{up(1), "~1=5", "server up"},
			},
		},
		{
			name:  "a server without checks takes no verdict",
			conf:  vs(unchecked(rs(1, 1))),
			start: "+S +1",
			steps: []step{{down(1), "", ""}},
		},
		{
			name:  "without a sorry server the rest stays below quorum",
			conf:  with(vs(rs(1, 1), rs(2, 1), rs(3, 1)), quorum(2, 0)),
			start: "+S +1 +2 +3",
			steps: []step{
				{down(1), "-1", "server down"},
				{down(2), "-2", "server down, quorum lost"},
				{down(3), "-3", "server down"},
				{up(1), "+1", "server up"},
				{up(2), "+2", "server up, quorum gained"},
			},
		},
		{
			name:  "the sorry server comes before the rest goes",
			conf:  withSorry(with(vs(rs(1, 1), rs(2, 1), rs(3, 1)), quorum(2, 0))),
			start: "+S +1 +2 +3",
			steps: []step{
				{down(1), "-1", "server down"},
				{down(2), "+99 -2 -3", "server down, quorum lost"},
				{down(3), "", "server down"},
				{up(3), "", "server up"},
				{up(1), "+1 +3 -99", "server up, quorum gained"},
			},
		},
		{
			name:  "hysteresis widens the quorum",
			conf:  withSorry(with(vs(rs(1, 2), rs(2, 2), rs(3, 2)), quorum(4, 2))),
			start: "+S +1 +2 +3",
			steps: []step{
				{down(1), "-1", "server down"},                      // 4 alive
				{down(2), "-2", "server down"},                      // 2, not below 4-2
				{down(3), "+99 -3", "server down, quorum lost"},     // none
				{up(3), "", "server up"},                            // 2
				{up(2), "", "server up"},                            // 4, below 4+2
				{up(1), "+1 +2 +3 -99", "server up, quorum gained"}, // 6
			},
		},
		{
			name:  "an inhibited sorry server waits at weight 0",
			conf:  with(withSorry(vs(inhibit(rs(1, 2)), rs(2, 1))), func(v *model.VirtualServer) { v.SorryInhibit = true }),
			start: "+S +1 +2 +99",
			steps: []step{
				{down(2), "-2", "server down"},
				{down(1), "~99=1 ~1=0", "server down, quorum lost"},
				{up(2), "+2 ~99=0", "server up, quorum gained"},
				{up(1), "~1=2", "server up"},
			},
		},
		{
			name:  "alpha and sorry start with the sorry server",
			conf:  withSorry(vs(alpha(rs(1, 1)))),
			start: "+S +99",
			steps: []step{{up(1), "+1 -99", "server up, quorum gained"}},
		},
		{
			name:  "weight 0 is no quorum",
			conf:  withSorry(vs(rs(1, 0), rs(2, 1))),
			start: "+S +1 +2",
			steps: []step{{down(2), "+99 -1 -2", "server down, quorum lost"}},
		},
		{
			name: "a sorry server that is also a real server",
			conf: with(vs(rs(1, 4), rs(2, 1)), func(v *model.VirtualServer) {
				sorry := unchecked(rs(1, 1))
				v.Sorry = &sorry
				v.Quorum = 5
			}),
			start: "+S +1 +2",
			steps: []step{
				{down(2), "~1=1 -2", "server down, quorum lost"},
				{up(2), "~1=4 +2", "server up, quorum gained"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, start := director.New([]model.VirtualServer{tt.conf}, director.ThisVersion())
			wantOps(t, "start", start, tt.start)
			for i, s := range tt.steps {
				c := d.Verdict(s.verdict)
				if got := short(c); got != s.want {
					t.Errorf("step %d: operations %q, want %q", i, got, s.want)
				}
				if got := eventsOf(c); got != s.events {
					t.Errorf("step %d: events %q, want %q", i, got, s.events)
				}
			}
		})
	}
}

func TestReload(t *testing.T) {
	sorryOf := func(v model.VirtualServer) model.VirtualServer {
		return with(withSorry(v), func(v *model.VirtualServer) { v.Quorum = 2 })
	}
	tests := []struct {
		name     string
		before   []model.VirtualServer
		verdicts []health.Verdict
		after    []model.VirtualServer
		want     string
	}{
		{
			name:   "the same file",
			before: []model.VirtualServer{vs(rs(1, 1), inhibit(rs(2, 1)), alpha(rs(3, 1)))},
			after:  []model.VirtualServer{vs(rs(1, 1), inhibit(rs(2, 1)), alpha(rs(3, 1)))},
		},
		{
			name:     "another order of servers, one of them down",
			before:   []model.VirtualServer{vs(rs(1, 1), rs(2, 1), rs(3, 1))},
			verdicts: []health.Verdict{down(1)},
			after:    []model.VirtualServer{vs(rs(3, 1), rs(2, 1), rs(1, 1))},
		},
		{
			name:     "weights, also of a server that is out",
			before:   []model.VirtualServer{vs(rs(1, 1), rs(2, 1), rs(3, 1))},
			verdicts: []health.Verdict{down(3)},
			after:    []model.VirtualServer{vs(rs(1, 0), rs(2, 7), rs(3, 9))},
			want:     "~2=7 ~1=0",
		},
		{
			name:   "new servers before old ones leave",
			before: []model.VirtualServer{vs(rs(1, 1), rs(2, 1))},
			after:  []model.VirtualServer{vs(rs(3, 1), alpha(rs(4, 1)), rs(2, 1))},
			want:   "+3 -1",
		},
		{
			name:   "alpha counts for new servers only",
			before: []model.VirtualServer{vs(rs(1, 1))},
			after:  []model.VirtualServer{vs(alpha(rs(1, 1)))},
		},
		{
			name:     "a server whose checks are taken away comes up",
			before:   []model.VirtualServer{vs(rs(1, 1), rs(2, 1))},
			verdicts: []health.Verdict{down(1)},
			after:    []model.VirtualServer{vs(unchecked(rs(1, 1)), rs(2, 1))},
			want:     "+1",
		},
		{
			name:   "a server that gets an alpha check stays",
			before: []model.VirtualServer{vs(unchecked(rs(1, 1)), rs(2, 1))},
			after:  []model.VirtualServer{vs(alpha(rs(1, 1)), rs(2, 1))},
		},
		{
			name:     "a failed server that gets inhibit_on_failure",
			before:   []model.VirtualServer{vs(rs(1, 1), rs(2, 1))},
			verdicts: []health.Verdict{down(1)},
			after:    []model.VirtualServer{vs(inhibit(rs(1, 1)), rs(2, 1))},
			want:     "+1",
		},
		{
			name:   "a raised quorum loses it",
			before: []model.VirtualServer{vs(rs(1, 1), rs(2, 1))},
			after:  []model.VirtualServer{with(sorryOf(vs(rs(1, 1), rs(2, 1))), func(v *model.VirtualServer) { v.Quorum = 3 })},
			want:   "+99 -1 -2",
		},
		{
			name:     "a lowered quorum gains it",
			before:   []model.VirtualServer{sorryOf(vs(rs(1, 1), rs(2, 1)))},
			verdicts: []health.Verdict{down(1)},
			after:    []model.VirtualServer{withSorry(vs(rs(1, 1), rs(2, 1)))},
			want:     "+2 -99",
		},
		{
			name:     "the sorry server is taken away",
			before:   []model.VirtualServer{sorryOf(vs(rs(1, 1), rs(2, 1)))},
			verdicts: []health.Verdict{down(1)},
			after:    []model.VirtualServer{vs(rs(1, 1), rs(2, 1))},
			want:     "+2 -99",
		},
		{
			name:   "another forwarding method is an edit",
			before: []model.VirtualServer{vs(rs(1, 1), rs(2, 1))},
			after: []model.VirtualServer{with(vs(rs(1, 1), rs(2, 1)), func(v *model.VirtualServer) {
				v.Servers[0].Forward = model.DR
			})},
			want: "~1=1",
		},
		{
			name:   "a service goes",
			before: []model.VirtualServer{vs(rs(1, 1))},
			want:   "-S",
		},
		{
			name:   "a service that XDP can no longer run",
			before: []model.VirtualServer{vs(rs(1, 1))},
			after:  []model.VirtualServer{with(vs(rs(1, 1)), func(v *model.VirtualServer) { v.Scheduler, v.Datapath = "lblc", model.DatapathXDP })},
			want:   "-S",
		},
		{
			name:   "a service that XDP can run now",
			before: []model.VirtualServer{with(vs(rs(1, 1)), func(v *model.VirtualServer) { v.Scheduler, v.Datapath = "lblc", model.DatapathXDP })},
			// The verdict is late: nobody checks a service that does not run.
			verdicts: []health.Verdict{down(1)},
			after:    []model.VirtualServer{vs(rs(1, 1))},
			want:     "+S +1",
		},
		{
			name:   "the second of two is left out",
			before: []model.VirtualServer{vs(rs(1, 1)), vs(rs(2, 1))},
			after:  []model.VirtualServer{vs(rs(1, 1)), vs(rs(3, 1))},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := director.New(tt.before, director.ThisVersion())
			for _, v := range tt.verdicts {
				d.Verdict(v)
			}
			wantOps(t, "reload", d.Reload(tt.after, director.ThisVersion()), tt.want)
			wantOps(t, "reload again", d.Reload(tt.after, director.ThisVersion()), "")
		})
	}
}

func TestReloadEditsTheScheduler(t *testing.T) {
	caps := director.ThisVersion()
	caps.XDP.Schedulers = append(caps.XDP.Schedulers, "wrr")
	d, _ := director.New([]model.VirtualServer{vs(rs(1, 1), rs(2, 1))}, caps)
	c := d.Reload([]model.VirtualServer{with(vs(rs(1, 3), rs(2, 1)), func(v *model.VirtualServer) { v.Scheduler = "wrr" })}, caps)
	wantOps(t, "reload", c, "~S ~1=3")
	if got := c.Ops()[0].Service.Scheduler; got != "wrr" {
		t.Errorf("edited service has scheduler %q, want wrr", got)
	}
}

// A service that changes its datapath runs on the new one before it leaves
// the old one, whichever that is.
func TestServiceMovesBetweenDatapaths(t *testing.T) {
	caps := director.ThisVersion()
	inXDP := []model.VirtualServer{vs(rs(1, 1))}
	inIPVS := []model.VirtualServer{with(vs(rs(1, 1)), func(v *model.VirtualServer) { v.Scheduler = "lblc" })}

	d, _ := director.New(inXDP, caps)
	for _, to := range []struct {
		conf  []model.VirtualServer
		first model.DatapathChoice
		then  model.DatapathChoice
	}{
		{inIPVS, model.DatapathIPVS, model.DatapathXDP},
		{inXDP, model.DatapathXDP, model.DatapathIPVS},
	} {
		c := d.Reload(to.conf, caps)
		wantOps(t, "move", c, "+S +1 -S")
		if len(c.Steps) != 2 || c.Steps[0].Datapath != to.first || c.Steps[1].Datapath != to.then {
			t.Errorf("steps %v, want first %s, then %s", c.Steps, to.first, to.then)
		}
		if got := eventsOf(c); got != "service moved" {
			t.Errorf("events %q, want service moved", got)
		}
	}
}

// With 200 servers leaving and 200 coming, a service would hold 400 for a
// moment; XDP cannot.
func TestLargeReplacementMakesRoomFirst(t *testing.T) {
	var old, replacement []model.RealServer
	for n := range 200 {
		old = append(old, rs(n, 1))
		s := rs(n, 1)
		s.Addr = nextNet(s.Addr)
		replacement = append(replacement, s)
	}
	d, _ := director.New([]model.VirtualServer{vs(old...)}, director.ThisVersion())
	held := 200
	for _, op := range d.Reload([]model.VirtualServer{vs(replacement...)}, director.ThisVersion()).Ops() {
		switch op.Kind.String() {
		case "add server":
			held++
		case "delete server":
			held--
		}
		if held > director.MaxServers {
			t.Fatalf("service holds %d servers, XDP holds %d", held, director.MaxServers)
		}
	}
	if held != 200 {
		t.Errorf("service ends with %d servers, want 200", held)
	}
}
