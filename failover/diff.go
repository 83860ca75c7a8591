package failover

import (
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// Step is one thing that a Reload does.
type Step struct {
	// Action is start, stop or change.
	Action string
	// Object is what it does it to, such as vrrp_instance VI_1.
	Object string
	// Detail is one line for people; it may be empty.
	Detail string
}

// The actions of steps.
const (
	actionStart  = "start"
	actionStop   = "stop"
	actionChange = "change"
)

// Diff returns what a Reload from one configuration to another does. As there,
// an instance is known by its Identity: one that stays keeps its state, whatever
// else changes. It touches nothing.
func Diff(from, to model.VRRP) []Step {
	var d diff
	d.instances(from, to)
	byName(&d, "vrrp_sync_group", from.Groups, to.Groups, func(g model.SyncGroup) string { return g.Name })
	byName(&d, "vrrp_script", from.Scripts, to.Scripts, func(s model.TrackScript) string { return s.Name })
	byName(&d, "track_file", from.Files, to.Files, func(f model.TrackFile) string { return f.Name })
	byName(&d, "vrrp_track_process", from.Processes, to.Processes, func(p model.TrackProcess) string { return p.Name })
	d.change("static_ipaddress, static_routes, static_rules", from.Static, to.Static)
	d.change("global_defs", from.Global, to.Global)
	return d.steps
}

type diff struct{ steps []Step }

func (d *diff) add(action, object, detail string) {
	d.steps = append(d.steps, Step{action, object, detail})
}

// change adds a step if the values differ.
func (d *diff) change(object string, from, to any) {
	if lines := model.Differences(from, to); len(lines) > 0 {
		d.add(actionChange, object, strings.Join(lines, "; "))
	}
}

// instances compares the members that would run, by identity.
func (d *diff) instances(from, to model.VRRP) {
	before, after := membersOf(from), membersOf(to)
	old, now := byIdentity(before), byIdentity(after)
	for _, m := range before {
		if _, stays := now[m.Identity()]; !stays {
			d.add(actionStop, "vrrp_instance "+m.Name, "says goodbye and gives up its addresses")
		}
	}
	for _, m := range after {
		if was, known := old[m.Identity()]; known {
			d.change("vrrp_instance "+m.Name, was, m)
		} else {
			d.add(actionStart, "vrrp_instance "+m.Name, fmt.Sprintf("virtual_router_id %d on %s, priority %d", m.VRID, interfaceName(m), m.Priority))
		}
	}
}

func interfaceName(i model.VRRPInstance) string {
	if i.Interface == "" {
		return "no interface"
	}
	return i.Interface
}

// membersOf returns the instances that a configuration runs. What the plan leaves
// out, Reload leaves out, too.
func membersOf(cfg model.VRRP) (list []model.VRRPInstance) {
	p, _ := newPlan(cfg) // its errors are those of Reload, which logs them
	for _, u := range p.units {
		for _, m := range u.members {
			list = append(list, m.instance)
		}
	}
	return list
}

func byIdentity(list []model.VRRPInstance) map[model.Identity]model.VRRPInstance {
	m := make(map[model.Identity]model.VRRPInstance, len(list))
	for _, i := range list {
		m[i.Identity()] = i
	}
	return m
}

// byName compares blocks that have names.
func byName[T any](d *diff, keyword string, from, to []T, name func(T) string) {
	index := func(list []T) map[string]T {
		m := make(map[string]T, len(list))
		for _, v := range list {
			m[name(v)] = v
		}
		return m
	}
	old, now := index(from), index(to)
	for _, v := range from {
		if _, stays := now[name(v)]; !stays {
			d.add(actionStop, keyword+" "+name(v), "")
		}
	}
	for _, v := range to {
		if was, known := old[name(v)]; known {
			d.change(keyword+" "+name(v), was, v)
		} else {
			d.add(actionStart, keyword+" "+name(v), "")
		}
	}
}
