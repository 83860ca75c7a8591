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
	Key       model.ServiceKey `json:"-"`
	Service   string           `json:"service"`
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
	Server  netip.AddrPort `json:"server"`
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
	snap := Snapshot{Services: make([]ServiceStatus, 0, len(d.services))}
	for _, s := range d.services {
		snap.Services = append(snap.Services, s.status())
	}
	return snap
}

func (s *service) status() ServiceStatus {
	st := ServiceStatus{
		Key:         s.key(),
		Service:     s.key().String(),
		Scheduler:   s.conf.Scheduler,
		Datapath:    "none",
		ReasonCode:  s.placement.Reason,
		ReasonWord:  s.placement.Reason.Word(),
		QuorumUp:    s.quorumUp,
		QuorumSince: s.quorumSince,
		Quorum:      s.conf.Quorum,
		Hysteresis:  s.conf.Hysteresis,
		AliveWeight: s.aliveWeight(),
		Servers:     make([]ServerStatus, 0, len(s.servers)),
	}
	if s.placement.Runs() {
		st.Datapath = string(s.placement.Datapath)
	}
	if s.placement.Datapath != model.DatapathXDP {
		st.Reason = s.placement.String()
	}
	weights := s.tableWeights()
	for _, rs := range s.servers {
		st.Servers = append(st.Servers, s.serverStatus(rs, weights))
	}
	if s.conf.Sorry != nil {
		st.Sorry = s.sorryStatus(weights)
	}
	return st
}

// tableWeights returns the weight of each server in the datapath's table.
func (s *service) tableWeights() map[serverAddr]int32 {
	weights := make(map[serverAddr]int32)
	if s.placement.Runs() {
		for _, entry := range s.table().Servers {
			weights[entry.Addr] = entry.Weight
		}
	}
	return weights
}

func (s *service) serverStatus(rs *server, weights map[serverAddr]int32) ServerStatus {
	weight, in := weights[rs.conf.Addr]
	st := ServerStatus{
		Server:      rs.conf.Addr,
		Forward:     rs.conf.Forward.String(),
		Weight:      rs.conf.Weight,
		InTable:     in,
		TableWeight: weight,
		Alive:       rs.alive,
		Reason:      rs.reason,
		Since:       rs.since,
	}
	switch {
	case !s.placement.Runs():
		st.Reason = "the service does not run"
	case rs.alive && s.sorryActive():
		st.Reason += "; held back while quorum is lost"
	}
	return st
}

func (s *service) sorryStatus(weights map[serverAddr]int32) *ServerStatus {
	sorry := s.conf.Sorry
	weight, in := weights[sorry.Addr]
	st := &ServerStatus{
		Server:      sorry.Addr,
		Forward:     sorry.Forward.String(),
		Weight:      sorry.Weight,
		InTable:     in,
		TableWeight: weight,
		Alive:       true,
		Reason:      "quorum is up",
		Since:       s.quorumSince,
	}
	if s.sorryActive() {
		st.Reason = "stands in while quorum is lost"
	}
	return st
}
