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
			Resolved: w.Out.Ifindex != 0, Ifindex: w.Out.Ifindex, Source: w.Out.Smac, Destination: w.Out.Dmac,
		},
	}
	e.Flow, e.HasFlow = hostFlow(bpf.EkFlowKey(w.Key), bpf.EkFlow(w.Flow), now)
	e.HasFlow = e.HasFlow && w.HasFlow != 0
	return e
}

// Room returns what the program without effect must be told of the maps into
// which it would insert a flow of this shard.
func (m *Maps) Room(shard uint32) (bpf.EkDryAssumed, error) {
	var a bpf.EkDryAssumed
	if shard >= FlowShards {
		return a, fmt.Errorf("count flows: no shard %d", shard)
	}
	flows, err := isFull[bpf.EkFlowKey, bpf.EkFlow](m.shards[shard])
	if err != nil {
		return a, err
	}
	replies, err := isFull[bpf.EkReplyKey, bpf.EkReply](m.replies)
	if err != nil {
		return a, err
	}
	templates, err := isFull[bpf.EkTemplateKey, bpf.EkTemplate](m.templates)
	if err != nil {
		return a, err
	}
	return bpf.EkDryAssumed{FlowsFull: flows, RepliesFull: replies, TemplatesFull: templates}, nil
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
