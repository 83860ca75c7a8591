package config

import (
	"fmt"
	"maps"

	"github.com/evenkeel/evenkeel/model"
)

// trackDraft is a line of a track block.
type trackDraft struct {
	model.Track
	at      place
	keyword string // of the block
}

// track takes a track block and reports whether it was one.
func (v *vrrpBuilder) track(list *[]trackDraft, st *statement) bool {
	kind, ok := map[string]model.TrackKind{
		"track_interface": model.TrackingInterface,
		"track_script":    model.TrackingScript,
		"track_file":      model.TrackingFile,
		"track_process":   model.TrackingProcess,
	}[st.keyword()]
	if !ok {
		return false
	}
	v.each(st.block, func(s *statement) {
		t, ok := v.trackLine(kind, st, s)
		if !ok {
			return
		}
		for _, old := range *list {
			if old.Kind == kind && old.Name == t.Name {
				v.add(Warning, s.at(), st.keyword(), fmt.Sprintf("%s %s is there already, at line %d; the first one counts", st.keyword(), t.Name, old.at.line), "remove one of the two")
				return
			}
		}
		*list = append(*list, t)
	})
	return true
}

// trackLine reads NAME [weight N] [reverse|noreverse]. A line whose weight
// cannot be used is ignored, since another weight could make a failure a fault.
func (v *vrrpBuilder) trackLine(kind model.TrackKind, st, s *statement) (trackDraft, bool) {
	t := trackDraft{at: s.at(), keyword: st.keyword()}
	t.Kind, t.Name, t.Pos = kind, s.keyword(), v.position(s.at())
	if !v.tracked(&t, st, s) {
		return t, false
	}
	for args := s.args(); len(args) > 0; args = args[1:] {
		switch args[0].s {
		case "reverse":
			t.Reverse = true
		case "noreverse":
			t.Reverse = false
		case "weight":
			if len(args) < 2 {
				v.lineError(s, args[0], fmt.Errorf("without its value"), entryIgnored, "write weight -20")
				return t, false
			}
			n, err := trackWeightOf(kind, args[1].s)
			if err != nil {
				v.lineError(s, args[1], err, entryIgnored, "write weight -20")
				return t, false
			}
			t.Weight, t.Reverse = n, false
			args = args[1:]
		}
	}
	return t, true
}

// trackWeightOf reads a weight. For interfaces and scripts 254 becomes 253, as
// in keepalived.
func trackWeightOf(kind model.TrackKind, s string) (int, error) {
	n, err := parseInt(s, -254, 254)
	if kind == model.TrackingInterface || kind == model.TrackingScript {
		if err != nil {
			return 0, fmt.Errorf("not a whole number from -253 to 253")
		}
		n = min(max(n, -253), 253)
	}
	return int(n), err
}

// tracked looks the thing up and takes its weight.
func (v *vrrpBuilder) tracked(t *trackDraft, st, s *statement) bool {
	list, definer := v.scripts, "vrrp_script"
	switch t.Kind {
	case model.TrackingInterface:
		if err := interfaceName(t.Name); err != nil {
			v.lineError(s, s.words[0], err, entryIgnored, "write the interface's name")
			return false
		}
		return true
	case model.TrackingFile:
		list, definer = v.files, "track_file"
	case model.TrackingProcess:
		list, definer = v.processes, "vrrp_track_process"
	case model.TrackingScript:
	}
	def, ok := list[t.Name]
	if !ok {
		hint := fmt.Sprintf("write %s %s outside", definer, t.Name)
		if near := v.nearest(t.Name, len(list), maps.Keys(list)); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		v.add(Error, s.at(), st.keyword(), fmt.Sprintf("%s %s: there is no %s of this name that runs; %s", st.keyword(), t.Name, definer, entryIgnored), hint)
		return false
	}
	if after(def.at, s.at()) {
		v.add(Warning, s.at(), st.keyword(), fmt.Sprintf("%s %s is defined only later, at %s; it is tracked, but keepalived ignores it", definer, t.Name, v.position(def.at)), "write the definition before its use")
	}
	t.Weight, t.Reverse = def.weight, def.reverse
	return true
}

// after reports whether a stands after b in one file. Of two files nothing is
// said.
func after(a, b place) bool {
	return a.file == b.file && (a.line > b.line || a.line == b.line && a.col > b.col)
}

// tracksRule completes what the instance depends on: its own interface, those
// of its addresses, routes and rules, and then the lines of its track blocks.
func (v *vrrpBuilder) tracksRule(d *instanceDraft) {
	out := &d.out
	implied := v.implied(d)
	for _, t := range d.tracks {
		switch {
		case t.Kind == model.TrackingInterface && t.Name == out.Interface:
			v.add(Warning, t.at, t.keyword, fmt.Sprintf("%s is the instance's own interface; the entry is ignored, as in keepalived", t.Name), "remove it; write dont_track_primary to ignore the state of the interface")
			continue
		case out.Priority == 255 && t.Weight != 0:
			v.add(Warning, t.at, t.keyword, fmt.Sprintf("%s has a weight, but nothing changes the priority 255 of an owner; %s", t.Name, entryIgnored), "write a priority below 255")
			continue
		case t.Kind == model.TrackingInterface && implied[t.Name] && t.Weight != 0:
			v.add(Warning, t.at, t.keyword, fmt.Sprintf("%s carries an address, a route or a rule of the instance, so that its failure is a fault whatever the weight, as in keepalived", t.Name), "write no_track after the address")
			continue
		}
		if t.Kind == model.TrackingInterface && implied[t.Name] {
			v.setTrack(out, t.Track)
			continue
		}
		out.Tracks = append(out.Tracks, t.Track)
	}
}

// setTrack replaces an implied track by what names it.
func (v *vrrpBuilder) setTrack(out *model.VRRPInstance, t model.Track) {
	for i := range out.Tracks {
		if out.Tracks[i].Kind == t.Kind && out.Tracks[i].Name == t.Name {
			out.Tracks[i] = t
		}
	}
}

// implied adds the interfaces that the instance uses and returns them.
func (v *vrrpBuilder) implied(d *instanceDraft) map[string]bool {
	out := &d.out
	seen := map[string]bool{"": true}
	if out.DontTrackPrimary {
		seen[out.Interface] = true
	}
	add := func(name string, pos model.Position) {
		if !seen[name] {
			seen[name] = true
			out.Tracks = append(out.Tracks, model.Track{Kind: model.TrackingInterface, Name: name, Pos: pos, Implied: true})
		}
	}
	add(out.Interface, v.position(d.at("interface")))
	for _, list := range [][]model.Address{out.Addresses, out.Excluded} {
		for _, a := range list {
			if !a.NoTrack {
				add(a.Interface, a.Pos)
			}
		}
	}
	for _, r := range out.Routes {
		if r.NoTrack {
			continue
		}
		add(r.Interface, r.Pos)
		for _, h := range r.NextHops {
			add(h.Interface, r.Pos)
		}
	}
	for _, r := range out.Rules {
		if !r.NoTrack {
			add(r.InInterface, r.Pos)
			add(r.OutInterface, r.Pos)
		}
	}
	return seen
}
