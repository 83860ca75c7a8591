package director_test

import (
	"net/netip"
	"testing"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

func nextNet(a netip.AddrPort) netip.AddrPort {
	b := a.Addr().As4()
	b[2]++
	return netip.AddrPortFrom(netip.AddrFrom4(b), a.Port())
}

// running returns tables with the given servers, the newest first.
func running(v model.VirtualServer, newestFirst ...model.RealServer) model.Tables {
	entry := model.ServiceEntry{Service: v.Service}
	for _, s := range newestFirst {
		entry.Servers = append(entry.Servers, model.ServerEntry{Server: s.Server})
	}
	return model.Tables{Services: []model.ServiceEntry{entry}}
}

func TestAdopt(t *testing.T) {
	other := with(vs(rs(1, 1)), func(v *model.VirtualServer) { v.Key.Addr = nextNet(vip) })
	tests := []struct {
		name   string
		conf   model.VirtualServer
		tables model.Tables
		start  string
		steps  []step
	}{
		{
			name:   "all as it was, in another order",
			conf:   vs(rs(1, 1), rs(2, 1), rs(3, 1)),
			tables: running(vs(), rs(1, 1), rs(3, 1), rs(2, 1)),
		},
		{
			name:   "a missing server waits for its first success",
			conf:   vs(rs(1, 1), rs(2, 1)),
			tables: running(vs(), rs(1, 1)),
			steps:  []step{{down(2), "", ""}, {up(2), "+2", "server up"}},
		},
		{
			name:   "a missing server without checks goes in",
			conf:   vs(rs(1, 1), unchecked(rs(2, 1))),
			tables: running(vs(), rs(1, 1)),
			start:  "+2",
		},
		{
			name:   "an inhibited server at weight 0 waits too",
			conf:   vs(inhibit(rs(1, 3)), rs(2, 1)),
			tables: running(vs(), rs(2, 1), rs(1, 0)),
			steps:  []step{{up(1), "~1=3", "server up"}},
		},
		{
			name:   "a server that the file gives weight 0 is not down",
			conf:   vs(rs(1, 0), rs(2, 1)),
			tables: running(vs(), rs(2, 1), rs(1, 0)),
			steps:  []step{{down(1), "-1", "server down"}},
		},
		{
			name:   "an alpha server in the table stays",
			conf:   vs(alpha(rs(1, 1)), alpha(rs(2, 1))),
			tables: running(vs(), rs(1, 1)),
			steps:  []step{{up(2), "+2", "server up"}},
		},
		{
			name:   "quorum was lost and stays so until enough servers answer",
			conf:   withSorry(with(vs(rs(1, 1), rs(2, 1)), func(v *model.VirtualServer) { v.Quorum = 2 })),
			tables: running(vs(), unchecked(rs(99, 1))),
			steps: []step{
				{up(1), "", "server up"},
				{up(2), "+1 +2 -99", "server up, quorum gained"},
			},
		},
		{
			name:   "hysteresis does not gain a quorum that was lost",
			conf:   withSorry(with(vs(unchecked(rs(1, 1)), rs(2, 1), rs(3, 1)), func(v *model.VirtualServer) { v.Quorum, v.Hysteresis = 2, 1 })),
			tables: running(vs(), unchecked(rs(99, 1))),
			steps: []step{
				{up(2), "", "server up"},
				{up(3), "+1 +2 +3 -99", "server up, quorum gained"},
			},
		},
		{
			name:   "hysteresis does not lose a quorum that was up",
			conf:   withSorry(with(vs(rs(1, 1), rs(2, 1), rs(3, 1)), func(v *model.VirtualServer) { v.Quorum, v.Hysteresis = 2, 1 })),
			tables: running(vs(), rs(1, 1)),
			steps:  []step{{down(1), "+99 -1", "server down, quorum lost"}},
		},
		{
			name:   "what the file no longer names goes, what it changes is edited",
			conf:   vs(rs(1, 4), rs(2, 1)),
			tables: running(with(vs(), func(v *model.VirtualServer) { v.Scheduler = "wrr" }), rs(1, 1), rs(7, 1), rs(2, 1)),
			start:  "~S ~1=4 -7",
		},
		{
			name:   "a service that is not running starts by the alpha rule",
			conf:   vs(rs(1, 1), alpha(rs(2, 1))),
			tables: running(other, rs(1, 1)),
			start:  "-S +S +1",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, c := director.Adopt([]model.VirtualServer{tt.conf}, director.ThisVersion(),
				map[model.DatapathChoice]model.Tables{model.DatapathXDP: tt.tables})
			wantOps(t, "adopt", c, tt.start)
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

// What the director counts a server as is what the health runner must start
// it as; otherwise no verdict would ever correct the difference.
func TestTargetsStartAsTheDirectorCounts(t *testing.T) {
	conf := []model.VirtualServer{
		vs(rs(1, 1), alpha(rs(2, 1)), rs(3, 1), unchecked(rs(4, 1))),
		with(vs(rs(1, 1)), func(v *model.VirtualServer) {
			v.Key.Addr = nextNet(vip)
			v.Scheduler, v.Datapath = "lblc", model.DatapathXDP
		}),
	}
	d, _ := director.New(conf, director.ThisVersion())
	wantStarts(t, "new", d, health.StartByAlpha, health.StartByAlpha, health.StartByAlpha, health.StartByAlpha)
	d.Verdict(down(1))
	d.Verdict(up(2))
	wantStarts(t, "judged", d, health.StartDown, health.StartUp, health.StartByAlpha, health.StartByAlpha)
	d.Reload(conf, director.ThisVersion())
	wantStarts(t, "reloaded", d, health.StartDown, health.StartUp, health.StartByAlpha, health.StartByAlpha)

	d, _ = director.Adopt(conf, director.ThisVersion(), map[model.DatapathChoice]model.Tables{
		model.DatapathXDP: running(vs(), rs(2, 1), rs(1, 1)),
	})
	wantStarts(t, "adopted", d, health.StartUp, health.StartUp, health.StartDown, health.StartByAlpha)
}

func wantStarts(t *testing.T, what string, d *director.Director, want ...health.Start) {
	t.Helper()
	targets := d.Targets()
	if len(targets) != len(want) {
		t.Fatalf("%s: %d targets, want %d (none of a service that does not run)", what, len(targets), len(want))
	}
	for i, target := range targets {
		if target.Start != want[i] {
			t.Errorf("%s: server %s starts as %d, want %d", what, target.Server, target.Start, want[i])
		}
	}
}

func TestRepairBringsBackWhatIsWanted(t *testing.T) {
	d, _ := director.New([]model.VirtualServer{vs(rs(1, 2), rs(2, 1))}, director.ThisVersion())
	d.Verdict(down(2))
	c := director.Change{Steps: d.Repair(model.DatapathXDP, running(vs(), rs(2, 1), rs(1, 1)))}
	wantOps(t, "repair", c, "~1=2 -2")
	if steps := d.Repair(model.DatapathXDP, running(vs(), rs(1, 2))); steps != nil {
		t.Errorf("repair of what is right = %v, want nothing", steps)
	}
	if got := director.Reconcile(running(vs(), rs(3, 1)), []director.Table{{Service: vs().Service, Servers: []model.Server{rs(1, 2).Server}}}); short(director.Change{Steps: []director.Step{{Ops: got}}}) != "+1 -3" {
		t.Errorf("reconcile = %v, want +1 -3", got)
	}
}
