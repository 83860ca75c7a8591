//go:build bpf

package bpf

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// The tables as measured on kernels: next state by event and state, columns in
// the order of the states' numbers (NO ES SS SR FW TW CL CW LA LI SA).
const stateNames = "NO ES SS SR FW TW CL CW LA LI SA"

var tcpTables = map[string]map[string]string{
	"input": {
		"S": "SR ES ES SR SR SR SR SR SR SR SR",
		"F": "CL CW SS TW TW TW CL CW LA LI TW",
		"A": "ES ES SS ES FW TW CL CW CL LI ES",
		"R": "CL CL CL SR CL CL CL CL LA LI SR",
	},
	"output": {
		"S": "SS ES SS SR SS SS SS SS SS LI SR",
		"F": "TW FW SS TW FW TW CL TW LA LI TW",
		"A": "ES ES SS ES FW TW CL CW LA ES ES",
		"R": "CL CL SS CL CL TW CL CL CL CL CL",
	},
	"input only": {
		"S": "SR ES ES SR SR SR SR SR SR SR SR",
		"F": "CL FW SS TW FW TW CL CW LA LI TW",
		"A": "ES ES SS ES FW TW CL CW CL LI ES",
		"R": "CL CL CL SR CL CL CL CL LA LI CL",
	},
}

func stateAt(names string, column int) string { return names[column*3 : column*3+2] }

func stateNumber(name string) EkFlowState {
	for i := range 11 {
		if stateAt(stateNames, i) == name {
			return EkFlowState(i)
		}
	}
	panic(name)
}

// active are the states that count as active.
var active = map[string]bool{"ES": true, "SS": true, "SR": true, "SA": true, "sES": true}

// Every state and every combination of flags, in each direction: next state,
// counters and time of death. A SYN on a closed or waiting flow is left to the
// test of port reuse.
func TestTCPStates(t *testing.T) {
	rigs := map[string]*rig{
		"input":      newService(t, EkForwardFORWARD_NAT),
		"output":     newService(t, EkForwardFORWARD_NAT),
		"input only": newService(t, EkForwardFORWARD_DR),
	}
	for direction, r := range rigs {
		r.send(syn().bytes(t), xdpTX, forwardReason(direction, true))
		if direction == "output" {
			r.send(serverSegment("A").bytes(t), xdpTX, reasons.ForwardedReply)
		}
		_, shard, err := r.flow(syn().tuple())
		if err != nil {
			t.Fatal(err)
		}
		for column := range 11 {
			for bits := range 16 {
				flags := flagLetters(bits)
				from := stateAt(stateNames, column)
				if strings.Contains(flags, "S") && direction != "output" && (from == "TW" || from == "CL") {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", direction, from, flags), func(t *testing.T) {
					r.tb = t
					step(t, r, shard, direction, column, flags)
				})
			}
		}
	}
}

func flagLetters(bits int) string {
	var flags string
	for i, letter := range []string{"S", "F", "A", "R"} {
		if bits>>i&1 == 1 {
			flags += letter
		}
	}
	return flags
}

// event is the flag that counts.
func event(flags string) string {
	for _, letter := range []string{"R", "S", "F", "A"} {
		for _, f := range flags {
			if string(f) == letter {
				return letter
			}
		}
	}
	return ""
}

func forwardReason(direction string, fromClient bool) reasons.Reason {
	if direction == "input only" {
		return reasons.ForwardedDR
	}
	if fromClient && direction == "input" || direction == "output" && fromClient {
		return reasons.ForwardedNAT
	}
	return reasons.ForwardedReply
}

func serverSegment(flags string) frame {
	return frame{from: serverMAC, to: ownMAC, src: real2, dst: client, proto: 6, flags: flags}
}

// step puts the flow into a state, sends one segment and looks.
func step(t *testing.T, r *rig, shard *ebpf.Map, direction string, column int, flags string) {
	t.Helper()
	r.forgetCopies() // the flow is written below, as the program never does
	from := stateAt(stateNames, column)
	var f EkFlow
	if err := shard.Lookup(syn().tuple(), &f); err != nil {
		t.Fatal(err)
	}
	w := unpack(f.Now.Word)
	w.state = EkFlowState(column)
	w.flags |= 1
	counted := EkServerConns{Total: 1}
	if active[from] {
		w.flags &^= 1
		counted.Active = 1
	}
	f.Now.Word = w.pack()
	f.Expires = uint64(r.now + time.Hour)
	r.put(shard, syn().tuple(), f)
	r.put(r.o.EkServerConns, uint32(0), counted)

	want := "CL"
	if e := event(flags); e != "" {
		want = stateAt(tcpTables[direction][e], column)
	}
	segment := syn().flag(flags)
	if direction == "output" {
		segment = serverSegment(flags)
	}
	r.send(segment.bytes(t), xdpTX, forwardReason(direction, direction != "output"))
	if err := shard.Lookup(syn().tuple(), &f); err != nil {
		t.Fatal(err)
	}
	if got := unpack(f.Now.Word); got.state != stateNumber(want) {
		t.Errorf("state %s, want %s", stateAt(stateNames, int(got.state)), want)
	}
	if life := time.Duration(f.Expires) - r.now; life != time.Duration(timeouts[stateNumber(want)])*time.Second {
		t.Errorf("lives %v, want %d s", life, timeouts[stateNumber(want)])
	}
	wantActive := uint32(0)
	if active[want] {
		wantActive = 1
	}
	r.wantConns(0, wantActive, 1)
}

// The reply of a DR server is not seen; if one passes all the same, the flow
// follows both directions from then on. Here only the flag is looked at.
func TestFlagsOfANewFlow(t *testing.T) {
	for forward, want := range map[EkForward]uint8{EkForwardFORWARD_DR: 2, EkForwardFORWARD_NAT: 4} {
		r := newService(t, forward)
		r.run(syn().bytes(t))
		f, _, err := r.flow(syn().tuple())
		if err != nil {
			t.Fatal(err)
		}
		if w := unpack(f.Now.Word); w.flags != want || w.state != EkFlowStateFLOW_SYN_RECV {
			t.Errorf("forward %d: state %d flags %#x, want SYN_RECV and %#x", forward, w.state, w.flags, want)
		}
	}
}
