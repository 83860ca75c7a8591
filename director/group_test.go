package director_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

var groupBlock = model.ServiceKey{Protocol: model.TCP, Group: "web"}

// groupOf returns the services of a group on ports 80 and up, one for each
// scheduler, with servers by DR.
func groupOf(schedulers []string, servers ...model.RealServer) []model.VirtualServer {
	var list []model.VirtualServer
	for i, scheduler := range schedulers {
		v := vs(slices.Clone(servers)...)
		v.Key = key(netip.AddrPortFrom(vip.Addr(), uint16(80+i)))
		v.GroupBlock, v.Scheduler = groupBlock, scheduler
		for j := range v.Servers {
			rs := &v.Servers[j]
			rs.Forward, rs.Named = model.DR, rs.Addr
			rs.Addr = netip.AddrPortFrom(rs.Addr.Addr(), uint16(80+i))
		}
		list = append(list, v)
	}
	return list
}

func ofGroup(v health.Verdict) health.Verdict {
	v.Service = groupBlock
	return v
}

// One verdict changes all services of a group, and is told once.
func TestGroupSharesVerdicts(t *testing.T) {
	conf := groupOf([]string{"rr", "rr"}, rs(1, 1), rs(2, 1))
	d, c := director.New(conf, director.ThisVersion())
	wantOps(t, "start", c, "+S +1 +2 +S +1 +2")
	targets := d.Targets()
	if len(targets) != 2 || targets[0].Service != groupBlock || targets[0].Server != rs(1, 1).Addr || targets[1].Server != rs(2, 1).Addr {
		t.Errorf("targets = %+v, want each server once, as the group has it", targets)
	}

	c = d.Verdict(ofGroup(down(1)))
	wantOps(t, "server fails", c, "-1 -1")
	if got := c.Ops()[1].Server.Addr.Port(); got != 81 {
		t.Errorf("the second service loses a server of port %d, want 81", got)
	}
	if got := eventsOf(c); got != "server down" || c.Events[0].Service != groupBlock || c.Events[0].Server != rs(1, 1).Addr {
		t.Errorf("events = %+v, want one about the group", c.Events)
	}
	c = d.Verdict(ofGroup(down(2)))
	wantOps(t, "the other fails", c, "-2 -2")
	if got := eventsOf(c); got != "server down, quorum lost" {
		t.Errorf("events = %s", got)
	}
	if got := short(d.Verdict(down(2))); got != "" {
		t.Errorf("a verdict on a single service of the group gives %s", got)
	}

	c = d.Reload(groupOf([]string{"rr", "rr", "rr"}, rs(1, 1), rs(2, 1)), director.ThisVersion())
	wantOps(t, "reload with one address more", c, "+S")
	wantOps(t, "server is back", d.Verdict(ofGroup(up(2))), "+2 +2 +2")
	c = d.Reload(groupOf([]string{"rr"}, rs(1, 1), rs(2, 1)), director.ThisVersion())
	wantOps(t, "reload with fewer addresses", c, "-S -S")
	wantOps(t, "both are back", d.Verdict(ofGroup(up(1))), "+1")
}

// A group runs while one of its services does, each where it can.
func TestGroupInTwoDatapaths(t *testing.T) {
	conf := groupOf([]string{"rr", "lblc", "lblc"}, rs(1, 1), rs(2, 1))
	conf[2].Datapath = model.DatapathXDP // where lblc cannot run
	d, c := director.New(conf, director.ThisVersion())
	var places []model.DatapathChoice
	for _, s := range c.Steps {
		places = append(places, s.Datapath)
	}
	if want := []model.DatapathChoice{model.DatapathXDP, model.DatapathIPVS}; !slices.Equal(places, want) {
		t.Errorf("datapaths = %v, want %v", places, want)
	}
	wantOps(t, "server fails", d.Verdict(ofGroup(down(1))), "-1 -1")
	if len(d.Targets()) != 2 {
		t.Errorf("%d targets, want 2", len(d.Targets()))
	}
	none := groupOf([]string{"lblc"}, rs(1, 1))
	none[0].Datapath = model.DatapathXDP
	d, _ = director.New(none, director.ThisVersion())
	if len(d.Targets()) != 0 || short(d.Verdict(ofGroup(down(1)))) != "" {
		t.Error("a group of which nothing runs is checked")
	}
}

// After a restart a group's servers are known from any service that runs.
func TestGroupIsAdopted(t *testing.T) {
	conf := groupOf([]string{"rr", "rr"}, rs(1, 1), rs(2, 1))
	second := conf[1]
	tables := running(second, second.Servers[0])
	d, c := director.Adopt(conf, director.ThisVersion(), map[model.DatapathChoice]model.Tables{model.DatapathXDP: tables})
	// The second service runs with the first server alone, so the second one was down.
	wantOps(t, "adopt", c, "+S +1")
	wantOps(t, "proof", d.Verdict(ofGroup(up(2))), "+2 +2")
}
