package lbmaps

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/model"
)

// Flow is one live connection.
type Flow struct {
	model.Flow
	// Slot is the server's index in the maps of servers.
	Slot uint32
}

// flowWord is union flow_word.
type flowWord struct {
	server     uint32
	generation uint16
	state      State
	flags      uint8
}

func hostFlowWord(word uint64) flowWord {
	b := wordBytes(word)
	return flowWord{
		server:     binary.NativeEndian.Uint32(b[:4]),
		generation: binary.NativeEndian.Uint16(b[4:6]),
		state:      State(b[6]),
		flags:      b[7],
	}
}

func wireFlowWord(w flowWord) uint64 {
	var b [8]byte
	binary.NativeEndian.PutUint32(b[:4], w.server)
	binary.NativeEndian.PutUint16(b[4:6], w.generation)
	b[6], b[7] = uint8(w.state), w.flags
	return bytesWord(b)
}

// Now returns the time that flows are stamped with: the coarse monotonic
// clock, in nanoseconds.
func Now() (uint64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &ts); err != nil {
		return 0, fmt.Errorf("read coarse monotonic clock: %w", err)
	}
	return uint64(ts.Nano()), nil
}

// hostFlow returns the flow without its server, and whether it lives: an entry
// that is dead or has expired waits for the sweep.
func hostFlow(v bpf.EkFlow, now uint64) (Flow, bool) {
	w := hostFlowWord(v.Now.Word)
	if !w.state.known() || v.Expires <= now {
		return Flow{}, false
	}
	return Flow{
		Slot: w.server,
		Flow: model.Flow{State: w.state.String(), Expires: time.Duration(v.Expires - now)},
	}, true
}

// tuple is what the keys of both families say.
type tuple struct {
	protocol        model.Protocol
	client, virtual netip.AddrPort
}

func hostTuple(k bpf.EkFlowKey) tuple {
	return tuple{model.Protocol(k.Proto), hostIPv4Port(k.Caddr, k.Cport), hostIPv4Port(k.Vaddr, k.Vport)}
}

func hostTuple6(k bpf.EkFlow6Key) tuple {
	return tuple{model.Protocol(k.Proto), hostIPv6Port(k.Caddr, k.Cport), hostIPv6Port(k.Vaddr, k.Vport)}
}

// Flows calls yield with each flow that lives at now (see Now) until it
// returns false, in no order. A flow whose server cannot be read has none.
func (m *Maps) Flows(now uint64, yield func(Flow) bool) error {
	servers := map[uint32]model.Server{}
	more := true
	visit := func(t tuple, v bpf.EkFlow) bool {
		f, lives := hostFlow(v, now)
		if !lives {
			return true
		}
		s, known := servers[f.Slot]
		if !known {
			if entry, err := m.Server(f.Slot); err == nil {
				s = entry.Server
			}
			servers[f.Slot] = s
		}
		f.Protocol, f.Client, f.Virtual = t.protocol, t.client, t.virtual
		f.Server, f.Forward = s.Addr, s.Forward
		more = yield(f)
		return more
	}
	for i, shard := range m.shards {
		var err error
		if i < FlowShards {
			err = walk(shard, func(k bpf.EkFlowKey, v bpf.EkFlow) bool { return visit(hostTuple(k), v) })
		} else {
			err = walk(shard, func(k bpf.EkFlow6Key, v bpf.EkFlow) bool { return visit(hostTuple6(k), v) })
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Templates calls yield with each persistence template that holds at now (see
// Now), as a flow of the kind Template, until it returns false, in no order. One
// whose time is over, but which has flows still, has a second left.
func (m *Maps) Templates(now uint64, yield func(Flow) bool) error {
	more := true
	visit := func(t tuple, v bpf.EkTemplate) bool {
		if hostTemplateState(v.Now.Word) != templateLive || v.Expires <= now && v.Controls == 0 {
			return true
		}
		slot := hostFlowWord(v.Now.Word).server // it lies in the same place
		s, err := m.Server(slot)
		if err != nil {
			return true
		}
		more = yield(Flow{Slot: slot, Flow: model.Flow{
			Template: true, Protocol: t.protocol, Client: t.client, Virtual: t.virtual,
			Server: s.Server.Addr, Forward: s.Server.Forward,
			Expires: max(time.Duration(v.Expires-min(now, v.Expires)), time.Second),
		}})
		return more
	}
	err := walk(m.templates, func(k bpf.EkTemplateKey, v bpf.EkTemplate) bool {
		return visit(tuple{model.Protocol(k.Proto), hostIPv4Port(k.Caddr, 0), hostIPv4Port(k.Vaddr, k.Vport)}, v)
	})
	if err != nil || !more {
		return err
	}
	return walk(m.templates6, func(k bpf.EkTemplate6Key, v bpf.EkTemplate) bool {
		return visit(tuple{model.Protocol(k.Proto), hostIPv6Port(k.Caddr, 0), hostIPv6Port(k.Vaddr, k.Vport)}, v)
	})
}

// ParseState returns the state of a protocol's flow by the name that State.String
// gives.
func ParseState(protocol model.Protocol, name string) (State, bool) {
	for s := range States {
		if s.known() && s.protocol() == protocol && s.String() == name {
			return s, true
		}
	}
	return None, false
}

// protocol returns whose state it is.
func (s State) protocol() model.Protocol {
	switch {
	case s == UDP:
		return model.UDP
	case s >= SCTPNone:
		return model.SCTP
	}
	return model.TCP
}

// WireImport returns the argument of ek_import for a flow on the server of a
// slot. Its time is in whole seconds, at least one. It reports false for a state
// that no flow here has.
func WireImport(f Flow) (bpf.EkImport, bool) {
	state, ok := ParseState(f.Protocol, f.State)
	if !ok {
		return bpf.EkImport{}, false
	}
	in := wireImport(f)
	in.State = bpf.EkFlowState(state)
	return in, true
}

// WireTemplate is WireImport for a template of a service. It reports false if the
// service has no persistence.
func WireTemplate(f Flow, of model.Service) (bpf.EkImport, bool) {
	in := wireImport(f)
	in.Timeout, in.Prefix = uint32(of.Persistence/time.Second), of.PersistencePrefix
	if in.Prefix == 0 {
		in.Prefix = wholeAddress(of.Key)
	}
	return in, in.Timeout != 0
}

func wireImport(f Flow) bpf.EkImport {
	in := bpf.EkImport{Server: f.Slot, Seconds: uint32(max((f.Expires+time.Second-1)/time.Second, 1))}
	client, virtual := f.Client.Addr().Unmap(), f.Virtual.Addr().Unmap()
	if client.Is6() {
		in.V6 = 1
		in.Key = bpf.EkFlow6Key{
			Caddr: client.As16(), Vaddr: virtual.As16(),
			Cport: wirePort(f.Client.Port()), Vport: wirePort(f.Virtual.Port()), Proto: uint8(f.Protocol),
		}
		return in
	}
	key := bpf.EkFlowKey{
		Caddr: wireIPv4(client), Vaddr: wireIPv4(virtual),
		Cport: wirePort(f.Client.Port()), Vport: wirePort(f.Virtual.Port()), Proto: uint8(f.Protocol),
	}
	first := in.Key.Caddr[:]                              // the shorter key lies where the longer one begins
	_, _ = binary.Encode(first, binary.NativeEndian, key) // it has room: 16 bytes
	return in
}

// Reply completes the tuple of a NAT flow from the server's side.
type Reply struct {
	Protocol model.Protocol
	// Server and Client are the source and destination of the server's
	// packets.
	Server, Client netip.AddrPort
	// Virtual is what the client knows the server by.
	Virtual netip.AddrPort
}

func hostReply(k bpf.EkReplyKey, v bpf.EkReply) Reply {
	return Reply{
		Protocol: model.Protocol(k.Proto),
		Server:   hostIPv4Port(k.Saddr, k.Sport),
		Client:   hostIPv4Port(k.Caddr, k.Cport),
		Virtual:  hostIPv4Port(v.Vaddr, v.Vport),
	}
}

func hostReply6(k bpf.EkReply6Key, v bpf.EkReply6) Reply {
	return Reply{
		Protocol: model.Protocol(k.Proto),
		Server:   hostIPv6Port(k.Saddr, k.Sport),
		Client:   hostIPv6Port(k.Caddr, k.Cport),
		Virtual:  hostIPv6Port(v.Vaddr, v.Vport),
	}
}

// Replies calls yield with each entry of ek_replies and ek_replies6 until it
// returns false, in no order.
func (m *Maps) Replies(yield func(Reply) bool) error {
	more := true
	err := walk(m.replies, func(k bpf.EkReplyKey, v bpf.EkReply) bool {
		more = yield(hostReply(k, v))
		return more
	})
	if err != nil || !more {
		return err
	}
	return walk(m.replies6, func(k bpf.EkReply6Key, v bpf.EkReply6) bool { return yield(hostReply6(k, v)) })
}
