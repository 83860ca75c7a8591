package director

import (
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Snapshot is the state of all services at one moment.
type Snapshot struct {
	Services []ServiceStatus `json:"services"`
}

// ServiceStatus is one virtual service.
type ServiceStatus struct {
	Key     model.ServiceKey `json:"-"`
	Service string           `json:"service"`
	// Block is the virtual_server block: Key, but for services of a group.
	Block     model.ServiceKey `json:"-"`
	Scheduler string           `json:"scheduler"`
	// Datapath is xdp, ipvs or none.
	Datapath string `json:"datapath"`
	// Reason says why the service is not in XDP; empty when it is.
	Reason string `json:"reason,omitempty"`
	// ReasonCode and ReasonWord are Reason for machines.
	ReasonCode Reason `json:"reason_code"`
	ReasonWord string `json:"reason_word"`
	// QuorumUp and QuorumSince are the quorum state and its last change.
	QuorumUp    bool      `json:"quorum_up"`
	QuorumSince time.Time `json:"quorum_since"`
	Quorum      uint32    `json:"quorum"`
	Hysteresis  uint32    `json:"hysteresis"`
	// AliveWeight is the sum of the weights of live servers.
	AliveWeight uint64         `json:"alive_weight"`
	Servers     []ServerStatus `json:"servers"`
	// Sorry is the sorry server; its Alive is always true.
	Sorry *ServerStatus `json:"sorry,omitempty"`
}

// ServerStatus is one real server of a service.
type ServerStatus struct {
	Server netip.AddrPort `json:"server"`
	// Name is by what address checks and notices know it.
	Name    netip.AddrPort `json:"-"`
	Forward string         `json:"forward"`
	// Weight is the configured weight.
	Weight int32 `json:"weight"`
	// InTable says whether the datapath has the server, and TableWeight with
	// which weight.
	InTable     bool  `json:"in_table"`
	TableWeight int32 `json:"table_weight"`
	Alive       bool  `json:"alive"`
	// Reason is why the server counts as alive or not, and Since since when.
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// Snapshot returns the state of all services in the order of the file.
func (d *Director) Snapshot() Snapshot {
	snap := Snapshot{Services: make([]ServiceStatus, 0, len(d.byKey))}
	for _, b := range d.blocks {
		for _, s := range b.services {
			snap.Services = append(snap.Services, b.status(s))
		}
	}
	return snap
}

func (b *block) status(s *service) ServiceStatus {
	st := ServiceStatus{
		Key:         s.key(),
		Block:       b.key,
		Service:     s.key().String(),
		Scheduler:   s.conf.Scheduler,
		Datapath:    "none",
		ReasonCode:  s.placement.Reason,
		ReasonWord:  s.placement.Reason.Word(),
		QuorumUp:    b.quorumUp,
		QuorumSince: b.quorumSince,
		Quorum:      b.conf.Quorum,
		Hysteresis:  b.conf.Hysteresis,
		AliveWeight: b.aliveWeight(),
		Servers:     make([]ServerStatus, 0, len(s.conf.Servers)),
	}
	if s.placement.Runs() {
		st.Datapath = string(s.placement.Datapath)
	}
	if s.placement.Datapath != model.DatapathXDP {
		st.Reason = s.placement.String()
	}
	weights := b.tableWeights(s)
	for _, rs := range s.conf.Servers {
		st.Servers = append(st.Servers, b.serverStatus(s, rs, weights))
	}
	if s.conf.Sorry != nil {
		st.Sorry = b.sorryStatus(s.conf.Sorry, weights)
	}
	return st
}

// tableWeights returns the weight of each server in the datapath's table.
func (b *block) tableWeights(s *service) map[serverAddr]int32 {
	if !s.placement.Runs() {
		return nil
	}
	servers := b.table(s).Servers
	weights := make(map[serverAddr]int32, len(servers))
	for _, entry := range servers {
		weights[entry.Addr] = entry.Weight
	}
	return weights
}

func (b *block) serverStatus(s *service, conf model.RealServer, weights map[serverAddr]int32) ServerStatus {
	rs := b.byName[conf.Name()]
	weight, in := weights[conf.Addr]
	st := ServerStatus{
		Server:      conf.Addr,
		Name:        conf.Name(),
		Forward:     conf.Forward.String(),
		Weight:      conf.Weight,
		InTable:     in,
		TableWeight: weight,
		Alive:       rs.alive,
		Reason:      rs.reason,
		Since:       rs.since,
	}
	switch {
	case !s.placement.Runs():
		st.Reason = "the service does not run"
	case rs.alive && b.sorryActive():
		st.Reason += "; held back while quorum is lost"
	}
	return st
}

func (b *block) sorryStatus(sorry *model.RealServer, weights map[serverAddr]int32) *ServerStatus {
	weight, in := weights[sorry.Addr]
	st := &ServerStatus{
		Server:      sorry.Addr,
		Name:        sorry.Addr,
		Forward:     sorry.Forward.String(),
		Weight:      sorry.Weight,
		InTable:     in,
		TableWeight: weight,
		Alive:       true,
		Reason:      "quorum is up",
		Since:       b.quorumSince,
	}
	if b.sorryActive() {
		st.Reason = "stands in while quorum is lost"
	}
	return st
}
