package loader

import (
	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
)

// Status is the datapath at one moment.
type Status struct {
	// Adopted is set when Start found a datapath that ran already.
	Adopted bool `json:"adopted"`
	// ProgramID is the kernel's number of the XDP program.
	ProgramID uint32 `json:"program_id"`
	// Interfaces are sorted by name.
	Interfaces []Interface   `json:"interfaces"`
	Limits     lbmaps.Limits `json:"limits"`
	Flows      FlowCounts    `json:"flows"`
	// Trash is the number of servers that were removed and whose flows are not over,
	// or were until two minutes ago.
	Trash int `json:"trash"`
}

// FlowCounts says how full the flow table is.
type FlowCounts struct {
	// Live is the number of flows that the last pass of the sweep met.
	Live uint64 `json:"live"`
	// Expired counts those that the sweep ended since Start.
	Expired uint64 `json:"expired"`
	// Refused counts the flows that the full table had no room for, since the
	// maps were made.
	Refused uint64 `json:"refused"`
}

// Interface is one interface that the program is, or should be, attached to.
type Interface struct {
	Name  string `json:"name"`
	Index int    `json:"index"`
	// Mode is native or generic, or empty when the program is not attached.
	Mode model.XDPMode `json:"mode"`
	// Reason says in one line why the mode is not native, or why the program
	// is not attached.
	Reason string `json:"reason,omitempty"`
	// VLANs are the VLAN devices whose frames the program balances here, by name.
	VLANs []string `json:"vlans,omitempty"`
	// Problem says in one line what is wrong with the interface, and what to do.
	Problem string `json:"problem,omitempty"`
}

// Attached reports whether the program runs on the interface.
func (i Interface) Attached() bool { return i.Mode != "" }

// Reasons are packets by what became of them.
type Reasons map[reasons.Reason]uint64
