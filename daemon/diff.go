package daemon

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// Diff says what a reload from one configuration to another does, when all
// servers are as they count at the start.
func Diff(from, to *config.Config) api.Diff {
	if to.HasErrors() {
		return api.Diff{Refused: firstError(to.Diagnostics), Changes: []api.Change{}}
	}
	caps := director.ThisVersion()
	dir, _ := director.New(from.Services, caps)
	return planReload(dir, caps, from, to).describe()
}

// Diff implements api.Source. It says what a reload would do now.
func (s *source) Diff(ctx context.Context, file string) (api.Diff, error) {
	d := (*Daemon)(s)
	if file == "" {
		file = d.opts.File
	}
	cfg, readErr := d.opts.Load(file)
	var p reloadPlan
	refused := ""
	err := d.do(ctx, func(context.Context) { p, refused = d.core.diff(cfg, readErr) })
	if err != nil || refused != "" {
		return api.Diff{File: file, Refused: refused, Changes: []api.Change{}}, err
	}
	out := p.describe() // beside the loop
	out.File = file
	return out, nil
}

// diff plans a reload, or says why it would be refused.
func (c *core) diff(cfg *config.Config, readErr error) (p reloadPlan, refused string) {
	switch {
	case readErr != nil:
		refused = oneLine(readErr)
	case cfg.HasErrors():
		refused = firstError(cfg.Diagnostics)
	default:
		if err := c.breaks(cfg); err != nil {
			refused = oneLine(err)
		}
	}
	if refused != "" {
		return p, refused
	}
	return planReload(c.dir, c.caps, c.conf, cfg), ""
}

// reloadPlan is a reload that is not carried out.
type reloadPlan struct {
	from, to *config.Config
	change   director.Change
	// before is how things stand, and the targets are what is checked before and
	// after.
	before        director.Snapshot
	targets, next []health.Target
}

func planReload(dir *director.Director, caps director.Capabilities, from, to *config.Config) reloadPlan {
	after, change := dir.Preview(to.Services, caps)
	return reloadPlan{from: from, to: to, change: change, before: dir.Snapshot(), targets: dir.Targets(), next: after.Targets()}
}

// describe puts the plan into words.
func (p reloadPlan) describe() api.Diff {
	from, to := p.from, p.to
	out := api.Diff{Changes: placeChanges(p.change.Events), RestartNeeded: fixedVRRPOf(from).changed(fixedVRRPOf(to))}
	before := tableEntries(p.before)
	for _, step := range p.change.Steps {
		for _, op := range step.Ops {
			out.Changes = append(out.Changes, opChange(step.Datapath, op, before))
		}
	}
	out.Changes = append(out.Changes, checkChanges(p.targets, p.next)...)
	out.Changes = append(out.Changes, settingChanges(from.Services, to.Services)...)
	for _, step := range failover.Diff(from.VRRP, to.VRRP) {
		out.Changes = append(out.Changes, api.Change{Action: step.Action, Object: step.Object, Detail: step.Detail})
	}
	if lines := model.Differences(from.Global, to.Global); len(lines) > 0 {
		out.Changes = append(out.Changes, api.Change{Action: "change", Object: "global_defs", Detail: strings.Join(lines, "; ")})
	}
	return out
}

// placeChanges says what the operations do not: services that go elsewhere or
// run nowhere, and quorums.
func placeChanges(events []director.Event) []api.Change {
	changes := []api.Change{}
	for _, e := range events {
		c := api.Change{Action: e.Kind.String(), Object: e.Service.String(), Detail: e.Reason}
		switch e.Kind {
		case director.ServiceMoved, director.QuorumGained, director.QuorumLost:
			changes = append(changes, c)
		case director.ServiceAdded:
			if !strings.HasPrefix(e.Reason, "runs in ") {
				c.Action = "leave out service"
				changes = append(changes, c)
			}
		default:
		}
	}
	return changes
}

// tableEntry is a server of one service.
type tableEntry struct {
	service model.ServiceKey
	server  netip.AddrPort
}

// tableEntries returns what the tables say of each server that is in one.
func tableEntries(s director.Snapshot) map[tableEntry]string {
	entries := make(map[tableEntry]string)
	for _, service := range s.Services {
		for _, rs := range service.Servers {
			if rs.InTable {
				entries[tableEntry{service.Key, rs.Server}] = fmt.Sprintf("%s weight %d", rs.Forward, rs.TableWeight)
			}
		}
	}
	return entries
}

// opChange describes an operation on a datapath.
func opChange(datapath model.DatapathChoice, op sched.Op, before map[tableEntry]string) api.Change {
	c := api.Change{Action: op.Kind.String(), Object: op.Service.Key.String(), Datapath: string(datapath)}
	switch op.Kind {
	case sched.AddService, sched.EditService:
		c.Detail = op.Service.Scheduler
	case sched.AddServer, sched.EditServer:
		c.Object += " " + op.Server.Addr.String()
		c.Detail = fmt.Sprintf("%s weight %d", op.Server.Forward, op.Server.Weight)
		if was := before[tableEntry{op.Service.Key, op.Server.Addr}]; was != "" && was != c.Detail {
			c.Detail += ", was " + was
		}
	case sched.DelServer:
		c.Object += " " + op.Server.Addr.String()
	case sched.DelService:
	}
	return c
}

// checkChanges says which checks of servers that stay begin and end. Checks of
// servers that come and go do so with them.
func checkChanges(from, to []health.Target) (changes []api.Change) {
	type key struct {
		service model.ServiceKey
		server  netip.AddrPort
	}
	old := make(map[key]health.Target, len(from))
	for _, t := range from {
		old[key{t.Service, t.Server}] = t
	}
	for _, t := range to {
		was, stays := old[key{t.Service, t.Server}]
		if !stays {
			continue
		}
		for action, checks := range map[string][]model.Check{"end check": without(was.Checks, t.Checks), "begin check": without(t.Checks, was.Checks)} {
			for _, c := range checks {
				changes = append(changes, api.Change{
					Action: action, Object: fmt.Sprintf("%s of %s for %s", c.Kind, t.Server, t.Service), Detail: c.Pos.String(),
				})
			}
		}
	}
	slices.SortStableFunc(changes, func(a, b api.Change) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), -cmp.Compare(a.Action, b.Action))
	})
	return changes
}

// without returns the checks of a list that another one has not.
func without(list, other []model.Check) []model.Check {
	return slices.DeleteFunc(slices.Clone(list), func(c model.Check) bool {
		return slices.ContainsFunc(other, c.Equal)
	})
}

// settingChanges compares what no operation shows: settings of blocks and of
// servers that stay.
func settingChanges(from, to []model.VirtualServer) (changes []api.Change) {
	old := make(map[model.ServiceKey]model.VirtualServer, len(from))
	for _, vs := range slices.Backward(from) {
		old[vs.Block()] = vs
	}
	done := make(map[model.ServiceKey]bool)
	add := func(object string, lines []string) {
		if len(lines) > 0 {
			changes = append(changes, api.Change{Action: "change", Object: object, Detail: strings.Join(lines, "; ")})
		}
	}
	for _, vs := range to {
		was, stays := old[vs.Block()]
		if !stays || done[vs.Block()] {
			continue
		}
		done[vs.Block()] = true
		block := vs.Block().String()
		add("virtual_server "+block, model.Differences(was, vs, "Service", "GroupBlock", "Servers", "Datapath"))
		servers := make(map[netip.AddrPort]model.RealServer, len(was.Servers))
		for _, rs := range was.Servers {
			servers[rs.Name()] = rs
		}
		for _, rs := range vs.Servers {
			if before, stays := servers[rs.Name()]; stays {
				add(fmt.Sprintf("real_server %s of %s", rs.Name(), block), model.Differences(before, rs, "Server", "Named", "Checks"))
			}
		}
	}
	return changes
}
