//go:build vm

package parity

import (
	"strings"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// The states of a TCP flow, in the order of the columns below, and their
// transitions in IPVS: by the flag that counts, in each direction. Input only
// is for flows whose replies do not pass.
const states = "NO ES SS SR FW TW CL CW LA LI SA"

type direction int

const (
	input direction = iota
	output
	inputOnly
)

func transitions(d direction, flag byte) string {
	return map[direction]map[byte]string{
		input: {
			'S': "SR ES ES SR SR SR SR SR SR SR SR",
			'F': "CL CW SS TW TW TW CL CW LA LI TW",
			'A': "ES ES SS ES FW TW CL CW CL LI ES",
			'R': "CL CL CL SR CL CL CL CL LA LI SR",
		},
		output: {
			'S': "SS ES SS SR SS SS SS SS SS LI SR",
			'F': "TW FW SS TW FW TW CL TW LA LI TW",
			'A': "ES ES SS ES FW TW CL CW LA ES ES",
			'R': "CL CL SS CL CL TW CL CL CL CL CL",
		},
		inputOnly: {
			'S': "SR ES ES SR SR SR SR SR SR SR SR",
			'F': "CL FW SS TW FW TW CL CW LA LI TW",
			'A': "ES ES SS ES FW TW CL CW CL LI ES",
			'R': "CL CL CL SR CL CL CL CL LA LI CL",
		},
	}[d][flag]
}

// next returns the state after a segment. Of several flags RST counts before
// SYN, SYN before FIN and FIN before ACK; none at all closes the flow.
func next(state string, d direction, flags string) string {
	for _, flag := range []byte("RSFA") {
		if strings.IndexByte(flags, flag) >= 0 {
			return transitions(d, flag)[strings.Index(states, state):][:2]
		}
	}
	return "CL"
}

// active are the states that count as active.
func active(state string) bool {
	return state == "ES" || state == "SS" || state == "SR" || state == "SA"
}

// flow is what the model knows of one flow.
type flow struct {
	slot  uint32
	state string
}

// oracle is the model of one service: sched's choices, with the flows and
// counters that they depend on.
type oracle struct {
	profile sched.Profile
	state   *sched.State
	service model.Service
	loads   map[uint32]sched.Load
	// servers are by slot, deleted ones too, as they were last.
	servers map[uint32]sched.Dest
}

func newOracle(p sched.Profile, s model.Service) (*oracle, error) {
	o := &oracle{
		profile: p, state: sched.New(p), service: s,
		loads: make(map[uint32]sched.Load), servers: make(map[uint32]sched.Dest),
	}
	return o, o.apply(sched.Op{Kind: sched.AddService, Service: s})
}

// apply replays an operation. Changed thresholds may change the overload mark.
func (o *oracle) apply(op sched.Op) error {
	change, err := o.state.Apply(op)
	if err != nil || op.Kind == sched.AddService {
		return err
	}
	d := change.Dest
	if !d.Deleted {
		old := o.servers[d.Slot].Server
		o.loads[d.Slot] = o.profile.Edited(o.loads[d.Slot], old.Upper, old.Lower, d.Server.Upper, d.Server.Lower)
	}
	o.servers[d.Slot] = d
	return nil
}

// open chooses the server of a new flow and counts it.
func (o *oracle) open(c sched.Client) (flow, bool) {
	d, ok := o.state.Choose(o.service.Key, c, func(d sched.Dest) sched.Load { return o.loads[d.Slot] })
	if !ok {
		return flow{}, false
	}
	o.loads[d.Slot] = o.profile.Bound(o.loads[d.Slot], d.Server.Upper, d.Server.Lower)
	f := flow{slot: d.Slot, state: "NO"}
	if o.service.Key.Protocol == model.TCP {
		o.enter(&f, "SR")
	}
	return f, true
}

// enter moves a flow to a state and counts that.
func (o *oracle) enter(f *flow, state string) {
	load := o.loads[f.slot]
	switch before, after := active(f.state), active(state); {
	case after && !before:
		load.Active++
	case before && !after:
		load.Active--
	}
	o.loads[f.slot] = load
	f.state = state
}
