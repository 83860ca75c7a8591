package model

import (
	"net/netip"
	"time"
)

// Counters are totals since a service or server was added. Bytes are IP total
// lengths, counted before the packet is forwarded, as IPVS counts them.
type Counters struct {
	Conns    uint64 `json:"conns"`
	InPkts   uint64 `json:"in_pkts"`
	OutPkts  uint64 `json:"out_pkts"`
	InBytes  uint64 `json:"in_bytes"`
	OutBytes uint64 `json:"out_bytes"`
}

// Add returns the sum of both.
func (c Counters) Add(o Counters) Counters {
	return Counters{
		Conns:    c.Conns + o.Conns,
		InPkts:   c.InPkts + o.InPkts,
		OutPkts:  c.OutPkts + o.OutPkts,
		InBytes:  c.InBytes + o.InBytes,
		OutBytes: c.OutBytes + o.OutBytes,
	}
}

// Tables is what a datapath runs at one moment.
type Tables struct {
	Services []ServiceEntry
}

// ServiceEntry is one running service. Servers are in the datapath's own
// order, newest first, as IPVS links them.
type ServiceEntry struct {
	Service
	Counters Counters
	Overload Overload
	Servers  []ServerEntry
}

// ServerEntry is one server of a running service.
type ServerEntry struct {
	Server
	// Active and Inactive are IPVS's ActiveConn and InActConn.
	Active, Inactive uint32
	Counters         Counters
	NextHop          NextHop
}

// NextHop is where frames to a server leave. MAC holds the six bytes of the
// neighbour's address and counts only when Resolved is set.
type NextHop struct {
	Interface string
	Gateway   netip.Addr
	MAC       [6]byte
	Resolved  bool
	// Reason says why a next hop is not resolved, in one line.
	Reason string
}

// Flow is one live connection entry, or on its way from one datapath to another a
// persistence template.
type Flow struct {
	// Template: no connection, but what sends new ones of the client to the
	// server. The client's address has the granularity's bits only, its port is 0,
	// and there is no State.
	Template bool
	Protocol Protocol
	Client   netip.AddrPort
	Virtual  netip.AddrPort
	Server   netip.AddrPort
	Forward  Forward
	// State is IPVS's name, such as ESTABLISHED, or UDP.
	State string
	// Expires is the time left without another packet.
	Expires time.Duration
}

// Overload is what a service lost since it was added because too much came.
type Overload struct {
	// Limited counts packets that would have opened more flows than
	// new_flow_rate allows.
	Limited uint64 `json:"limited"`
	// Evicted counts half-open flows that made room for new ones in a full
	// table.
	Evicted uint64 `json:"evicted"`
}
