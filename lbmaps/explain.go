package lbmaps

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// TupleKind says what a packet is to the flow table.
type TupleKind uint8

// What a packet can be to the flow table.
const (
	// Stranger neither belongs to a flow nor opens one.
	Stranger TupleKind = TupleKind(bpf.EkDryExplainedWayWAY_NONE)
	// OfFlow is a client's packet of a flow.
	OfFlow TupleKind = TupleKind(bpf.EkDryExplainedWayWAY_FLOW)
	// OfReply is a NAT server's packet of a flow.
	OfReply TupleKind = TupleKind(bpf.EkDryExplainedWayWAY_REPLY)
	// Opening opens a flow.
	Opening TupleKind = TupleKind(bpf.EkDryExplainedWayWAY_NEW)
	// OnePacket is scheduled for itself and leaves no flow.
	OnePacket TupleKind = TupleKind(bpf.EkDryExplainedWayWAY_ONE_PACKET)
)

// Explanation is what the program without effect tells of one packet.
type Explanation struct {
	Reason reasons.Reason
	Kind   TupleKind
	// Service is an id, Slot a server's index; each holds if its Has is set.
	Service    uint32
	Slot       uint32
	HasService bool
	HasServer  bool
	// Templated is set when a persistence template named the server.
	Templated bool
	// Cursor is where the scheduler stood when it chose.
	Cursor Cursor
	// Flow is the live flow that the packet belongs to, if HasFlow; it has no
	// server.
	Flow    Flow
	HasFlow bool
	// Becomes is the state after the packet, for OfFlow, OfReply and Opening.
	Becomes State
	// Out is the way that the frame leaves, if Resolved is set.
	Out Way
	// Shard is the one that holds the tuple.
	Shard uint32
}

// HostExplanation returns what the program told at now (see Now).
func HostExplanation(w bpf.EkDryExplanation, now uint64) Explanation {
	e := Explanation{
		Reason: reasons.Reason(w.Reason), Kind: TupleKind(w.Way),
		Service: w.Service, Slot: w.Server, HasService: w.HasService != 0, HasServer: w.HasServer != 0,
		Templated: w.Templated != 0, Cursor: hostCursor(bpf.EkCursor(w.Cursor)),
		Becomes: hostFlowWord(w.Becomes.Word).state, Shard: w.Shard,
		Out: Way{
			Resolved: w.Out.Ifindex != 0, Ifindex: w.Out.Ifindex, VLAN: w.OutVlan, Source: w.Out.Smac, Destination: w.Out.Dmac,
		},
	}
	e.Flow, e.HasFlow = hostFlow(bpf.EkFlow(w.Flow), now)
	e.HasFlow = e.HasFlow && w.HasFlow != 0
	t := hostTuple(bpf.EkFlowKey(w.Key))
	if w.V6 != 0 {
		t = hostTuple6(bpf.EkFlow6Key(w.Key6))
		e.Shard += FlowShards
	}
	if e.HasFlow {
		e.Flow.Protocol, e.Flow.Client, e.Flow.Virtual = t.protocol, t.client, t.virtual
	}
	return e
}

// Room returns what the program without effect must be told of the maps into
// which it would insert a flow of this shard.
func (m *Maps) Room(shard uint32) (bpf.EkDryAssumed, error) {
	switch {
	case shard < FlowShards:
		return roomIn[bpf.EkFlowKey, bpf.EkReplyKey, bpf.EkReply, bpf.EkTemplateKey](m.shards[shard], m.replies, m.templates)
	case shard < Shards:
		return roomIn[bpf.EkFlow6Key, bpf.EkReply6Key, bpf.EkReply6, bpf.EkTemplate6Key](m.shards[shard], m.replies6, m.templates6)
	}
	return bpf.EkDryAssumed{}, fmt.Errorf("count flows: no shard %d", shard)
}

// roomIn is Room in the maps of one family, whose keys are F, K and T.
func roomIn[F, K, V, T any](shard, replies, templates *ebpf.Map) (a bpf.EkDryAssumed, err error) {
	if a.FlowsFull, err = isFull[F, bpf.EkFlow](shard); err != nil {
		return a, err
	}
	if a.RepliesFull, err = isFull[K, V](replies); err != nil {
		return a, err
	}
	a.TemplatesFull, err = isFull[T, bpf.EkTemplate](templates)
	return a, err
}

// isFull returns 1 if a hash has no room. Entries that come or go meanwhile may
// be missed.
func isFull[K, V any](m *ebpf.Map) (uint8, error) {
	var n uint32
	err := walk(m, func(K, V) bool { n++; return true })
	if err != nil || n < m.MaxEntries() {
		return 0, err
	}
	return 1, nil
}
