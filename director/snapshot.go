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
