package loader

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/lbmaps"
)

// Explanation says what the program would do with a packet, and why.
type Explanation struct {
	// Protocol, Source, Destination, Flags and Interface are the packet's.
	Protocol    string `json:"protocol"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Flags       string `json:"flags,omitempty"`
	Interface   string `json:"interface"`
	// Kind is one of the Kind constants.
	Kind string `json:"kind"`
	// Service is absent for a packet that is none of ours.
	Service *ExplainedService `json:"service,omitempty"`
	// Flow is the one that the packet belongs to or opens.
	Flow   *ExplainedFlow   `json:"flow,omitempty"`
	Server *ExplainedServer `json:"server,omitempty"`
	// Out is absent when the packet is not forwarded.
	Out    *ExplainedWay   `json:"out,omitempty"`
	Reason ExplainedReason `json:"reason"`
}

// What a packet is to the flow table.
const (
	KindNone      = "none"
	KindFlow      = "flow"
	KindReply     = "reply"
	KindNew       = "new"
	KindOnePacket = "one_packet"
)

// ExplainedService is the virtual service, with what its scheduler sees.
type ExplainedService struct {
	Service   string `json:"service"`
	ID        uint32 `json:"id"`
	Scheduler string `json:"scheduler"`
	// PersistenceSeconds is 0 without persistence.
	PersistenceSeconds float64 `json:"persistence_seconds"`
	// Position and Generation are the cursor; Position counts for rr and wrr
	// only.
	Position   uint32 `json:"position"`
	Generation uint32 `json:"generation"`
	// Candidates are in the scheduler's order, newest first.
	Candidates []ExplainedServer `json:"candidates"`
}

// ExplainedServer is a server as the scheduler sees it.
type ExplainedServer struct {
	Server   string `json:"server"`
	Slot     uint32 `json:"slot"`
	Forward  string `json:"forward"`
	Weight   int32  `json:"weight"`
	Active   uint32 `json:"active"`
	Inactive uint32 `json:"inactive"`
	// Overloaded is set over the upper threshold.
	Overloaded bool `json:"overloaded"`
	// Deleted is set once it has left the service.
	Deleted bool `json:"deleted"`
	// Resolved is set when the next hop is known.
	Resolved bool `json:"resolved"`
	// ChosenBy is flow, template or scheduler; of candidates it is empty.
	ChosenBy string `json:"chosen_by,omitempty"`
}

// ExplainedFlow is a flow before and after the packet.
type ExplainedFlow struct {
	// State is empty for a flow that the packet opens.
	State          string  `json:"state,omitempty"`
	ExpiresSeconds float64 `json:"expires_seconds,omitempty"`
	Becomes        string  `json:"becomes,omitempty"`
}

// ExplainedWay is how the frame leaves.
type ExplainedWay struct {
	Interface string `json:"interface"`
	// VLAN is the id of the tag that it has there, 0 for none.
	VLAN        uint16 `json:"vlan,omitempty"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

// ExplainedReason is what becomes of the packet, of package bpf/reasons.
type ExplainedReason struct {
	Number  uint32 `json:"number"`
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
}

// spell turns numbers into words.
func (e explainer) spell(p Packet, told lbmaps.Explanation) (Explanation, error) {
	out := Explanation{
		Protocol: p.Protocol.String(), Source: p.Source.String(), Destination: p.Destination.String(),
		Flags: p.Flags, Interface: p.Interface,
		Kind: kindName(told.Kind),
		Reason: ExplainedReason{
			Number: uint32(told.Reason), Name: told.Reason.String(),
			Verdict: string(told.Reason.Verdict()), Text: told.Reason.Text(),
		},
	}
	var err error
	if told.HasService {
		if out.Service, err = e.service(told); err != nil {
			return out, err
		}
	}
	if told.HasServer {
		server, err := e.server(told.Slot)
		if err != nil {
			return out, err
		}
		server.ChosenBy = chosenBy(told)
		out.Server = &server
	}
	out.Flow = explainedFlow(told)
	if told.Reason.Verdict() == reasons.Forward {
		out.Out = explainedWay(told.Out)
	}
	return out, nil
}

func kindName(k lbmaps.TupleKind) string {
	switch k {
	case lbmaps.OfFlow:
		return KindFlow
	case lbmaps.OfReply:
		return KindReply
	case lbmaps.Opening:
		return KindNew
	case lbmaps.OnePacket:
		return KindOnePacket
	case lbmaps.Stranger:
	}
	return KindNone
}

func chosenBy(told lbmaps.Explanation) string {
	switch {
	case told.Kind == lbmaps.OfFlow, told.Kind == lbmaps.OfReply:
		return "flow"
	case told.Templated:
		return "template"
	}
	return "scheduler"
}

func explainedFlow(told lbmaps.Explanation) *ExplainedFlow {
	switch told.Kind {
	case lbmaps.OfFlow, lbmaps.OfReply:
		return &ExplainedFlow{
			State:          told.Flow.State,
			ExpiresSeconds: told.Flow.Expires.Round(time.Millisecond).Seconds(),
			Becomes:        told.Becomes.String(),
		}
	case lbmaps.Opening:
		return &ExplainedFlow{Becomes: told.Becomes.String()}
	case lbmaps.OnePacket, lbmaps.Stranger:
	}
	return nil
}

func explainedWay(w lbmaps.Way) *ExplainedWay {
	way := &ExplainedWay{
		Interface:   fmt.Sprint(w.Ifindex),
		VLAN:        w.VLAN,
		Source:      net.HardwareAddr(w.Source[:]).String(),
		Destination: net.HardwareAddr(w.Destination[:]).String(),
	}
	if i, err := net.InterfaceByIndex(int(w.Ifindex)); err == nil {
		way.Interface = i.Name
	}
	return way
}

// service describes the service as it is now, which may have changed since the
// program ran.
func (e explainer) service(told lbmaps.Explanation) (*ExplainedService, error) {
	all, err := e.maps.Services()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(s lbmaps.Service) bool { return s.ID == told.Service })
	if i < 0 {
		// The flows of a service that was removed live on.
		return &ExplainedService{ID: told.Service, Candidates: []ExplainedServer{}}, nil
	}
	s := all[i]
	cursor, err := e.maps.Cursor(s.ID)
	if err != nil {
		return nil, err
	}
	out := &ExplainedService{
		Service: s.Key.String(), ID: s.ID, Scheduler: s.Scheduler, PersistenceSeconds: s.Persistence.Seconds(),
		Position: cursor.Position, Generation: cursor.Generation, Candidates: []ExplainedServer{},
	}
	order, err := readOrder(e.maps, s.ID)
	if err != nil {
		return nil, err
	}
	for _, place := range order {
		server, err := e.server(place.Slot)
		if err != nil {
			return nil, err
		}
		server.Weight = place.Weight // what the program decides by
		out.Candidates = append(out.Candidates, server)
	}
	return out, nil
}

func (e explainer) server(slot uint32) (ExplainedServer, error) {
	s, err := e.maps.Server(slot)
	conns, connsErr := e.maps.Conns(slot)
	if err := errors.Join(err, connsErr); err != nil {
		return ExplainedServer{}, err
	}
	return ExplainedServer{
		Server: s.Addr.String(), Slot: slot, Forward: s.Forward.String(), Weight: s.Weight,
		Active: conns.Active, Inactive: conns.Inactive(), Overloaded: conns.Overloaded, Deleted: s.Deleted, Resolved: s.Way.Resolved,
	}, nil
}
