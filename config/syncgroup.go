package config

import (
	"fmt"
	"maps"

	"github.com/evenkeel/evenkeel/model"
)

// syncGroup reads a vrrp_sync_group block and adds it, if a member runs.
func (v *vrrpBuilder) syncGroup(st *statement) {
	name := st.arg(0)
	if at, dup := v.groups[name]; dup {
		v.add(Error, st.at(), st.keyword(), fmt.Sprintf("vrrp_sync_group %s is there already, at %s; %s", name, v.position(at), groupLeftOut), "give it another name")
		return
	}
	v.groups[name] = st.at()
	out := model.SyncGroup{Name: name, Pos: v.position(st.at())}
	var tracks []trackDraft
	var mail, priorityEvents *bool
	v.each(st.block, func(s *statement) {
		switch {
		case s.keyword() == "group":
			v.members(&out, s)
		case s.keyword() == "sync_group_tracking_weight":
			v.turnOn(s, &out.TrackingWeight)
		case s.keyword() == "smtp_alert":
			v.boolean(s, &mail)
		case s.keyword() == "notify_priority_changes":
			v.boolean(s, &priorityEvents)
		case v.notify(&out.Scripts, s), v.track(&tracks, s):
		}
	})
	switch len(out.Members) {
	case 0:
		v.add(Error, st.at(), st.keyword(), fmt.Sprintf("vrrp_sync_group %s has no instance that runs; %s", name, groupLeftOut), "write group with the names of instances in it")
		return
	case 1:
		v.add(Warning, st.at(), st.keyword(), fmt.Sprintf("vrrp_sync_group %s has one instance only, %s", name, out.Members[0]), "a group of one changes nothing; remove it or add instances")
	}
	for _, t := range tracks {
		out.Tracks = append(out.Tracks, t.Track)
	}
	out.Mail = or(false, mail, v.alerts.vrrp, v.alerts.all)
	out.PriorityEvents = or(false, priorityEvents, v.defaults.priorityEvents)
	v.ownerWeights(&out, tracks)
	v.out.Groups = append(v.out.Groups, out)
}

// members reads the names, in lines or beside one another.
func (v *vrrpBuilder) members(out *model.SyncGroup, st *statement) {
	v.each(st.block, func(line *statement) {
		for _, w := range line.words {
			if v.member(out, w) {
				out.Members = append(out.Members, w.s)
			}
		}
	})
}

// member reports whether an instance of the name runs and is in no group.
func (v *vrrpBuilder) member(out *model.SyncGroup, w word) bool {
	d := v.instances[w.s]
	switch {
	case d == nil:
		hint := fmt.Sprintf("write vrrp_instance %s", w.s)
		if near := v.nearest(w.s, len(v.instances), maps.Keys(v.instances)); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		v.add(Error, w.at, "group", fmt.Sprintf("there is no vrrp_instance %s; it is left out of the group", w.s), hint)
		return false
	case !d.runs:
		v.add(Warning, w.at, "group", fmt.Sprintf("vrrp_instance %s is left out, and so of the group", w.s), "")
		return false
	case d.group != "" && d.group == out.Name:
		v.add(Warning, w.at, "group", fmt.Sprintf("vrrp_instance %s is in the group already", w.s), "remove one of the two")
		return false
	case d.group != "":
		v.add(Error, w.at, "group", fmt.Sprintf("vrrp_instance %s is in vrrp_sync_group %s already; it is left out of this one", w.s, d.group), "put it into one group")
		return false
	}
	d.group = out.Name
	return true
}

// ownerWeights: nothing changes the priority of an owner, so that tracked things
// with a weight would pull the group apart. As in keepalived they have none then.
func (v *vrrpBuilder) ownerWeights(out *model.SyncGroup, tracks []trackDraft) {
	owner := ""
	for _, name := range out.Members {
		if v.instances[name].out.Priority == 255 {
			owner = name
		}
	}
	if owner == "" {
		return
	}
	for i := range out.Tracks {
		if t := &out.Tracks[i]; t.Weight != 0 {
			v.add(Warning, tracks[i].at, tracks[i].keyword, fmt.Sprintf("%s has a weight, but nothing changes the priority 255 of %s; the weight is taken for 0, as in keepalived", t.Name, owner), "write weight 0, or a priority below 255")
			t.Weight, t.Reverse = 0, false
		}
	}
}
