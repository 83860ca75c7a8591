package api

import (
	"net"
	"net/netip"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/model"
)

// Merge puts what is wanted (the director's snapshot, with its datapath) and
// what runs (the tables of each datapath) into one list, in the order of the
// file. A service that runs and is not wanted comes last.
func Merge(wanted director.Snapshot, conf map[model.ServiceKey]model.Service, running Running) []Service {
	entries := make(map[placement]model.ServiceEntry)
	for datapath, tables := range running {
		for _, e := range tables.Services {
			entries[placement{datapath, e.Key}] = e
		}
	}
	services := make([]Service, 0, len(wanted.Services))
	for _, w := range wanted.Services {
		at := placement{model.DatapathChoice(w.Datapath), w.Key}
		entry, runs := entries[at]
		if !runs {
			entry = model.ServiceEntry{Service: conf[w.Key]}
			entry.Key = w.Key
		} else {
			delete(entries, at)
		}
		merged := mergeService(w, entry)
		if !runs && w.Datapath != "none" {
			merged.Datapath, merged.ReasonWord = "none", "refused"
			merged.Reason = "the datapath did not take it, see the error in evenkeel status"
		}
		services = append(services, merged)
	}
	for _, datapath := range []model.DatapathChoice{model.DatapathXDP, model.DatapathIPVS} {
		for _, e := range running[datapath].Services {
			if left, ok := entries[placement{datapath, e.Key}]; ok {
				services = append(services, FromEntry(datapath, left))
			}
		}
	}
	return services
}

// Running are the tables of each datapath that runs.
type Running map[model.DatapathChoice]model.Tables

// placement is a service in one datapath.
type placement struct {
	datapath model.DatapathChoice
	service  model.ServiceKey
}

// FromTables returns what runs in XDP, in its own order, for when nobody knows
// what is wanted.
func FromTables(running model.Tables) []Service {
	services := make([]Service, 0, len(running.Services))
	for _, e := range running.Services {
		services = append(services, FromEntry(model.DatapathXDP, e))
	}
	return services
}

// FromEntry returns a service that runs in a datapath.
func FromEntry(datapath model.DatapathChoice, e model.ServiceEntry) Service {
	s := service(e.Service)
	s.Datapath = string(datapath)
	s.Counters, s.Overload = e.Counters, e.Overload
	for _, entry := range e.Servers {
		server := serverInTable(entry)
		if datapath != model.DatapathXDP {
			server.NextHop = nil // the kernel's own
		}
		s.Servers = append(s.Servers, server)
	}
	return s
}

func service(s model.Service) Service {
	out := Service{
		Service:   s.Key.String(),
		Protocol:  s.Key.Protocol.String(),
		Scheduler: s.Scheduler,
		Flags:     ServiceFlags(s),
		Servers:   []RealServer{},
	}
	if s.Key.FWMark != 0 {
		out.Protocol, out.FWMark = "FWM", s.Key.FWMark
		return out
	}
	out.Address, out.Port = s.Key.Addr.Addr().String(), s.Key.Addr.Port()
	return out
}

func mergeService(w director.ServiceStatus, e model.ServiceEntry) Service {
	if e.Scheduler == "" {
		e.Scheduler = w.Scheduler
	}
	s := FromEntry(model.DatapathChoice(w.Datapath), e)
	s.Datapath, s.Reason, s.ReasonWord = w.Datapath, w.Reason, w.ReasonWord
	s.Health = &ServiceHealth{
		QuorumUp:    w.QuorumUp,
		QuorumSince: w.QuorumSince,
		Quorum:      w.Quorum,
		Hysteresis:  w.Hysteresis,
		AliveWeight: w.AliveWeight,
	}
	inTable := make(map[netip.AddrPort]*RealServer, len(e.Servers))
	for i, entry := range e.Servers {
		inTable[entry.Addr] = &s.Servers[i]
	}
	var out []RealServer
	for _, ws := range w.Servers {
		if in := inTable[ws.Server]; in != nil {
			in.Health = serverHealth(ws)
		} else {
			out = append(out, serverHeldOut(ws))
		}
	}
	if w.Sorry != nil {
		if in := inTable[w.Sorry.Server]; in != nil && in.Health == nil {
			in.Health, in.Sorry = serverHealth(*w.Sorry), true
		} else if in == nil {
			sorry := serverHeldOut(*w.Sorry)
			sorry.Sorry = true
			out = append(out, sorry)
		}
	}
	s.Servers = append(s.Servers, out...)
	return s
}

func serverHealth(s director.ServerStatus) *ServerHealth {
	return &ServerHealth{Alive: s.Alive, Reason: s.Reason, Since: s.Since}
}

func serverHeldOut(s director.ServerStatus) RealServer {
	return RealServer{
		Address: s.Server.Addr().String(),
		Port:    s.Server.Port(),
		Forward: s.Forward,
		Weight:  s.Weight,
		Health:  serverHealth(s),
	}
}

func serverInTable(e model.ServerEntry) RealServer {
	return RealServer{
		Address:  e.Addr.Addr().String(),
		Port:     e.Addr.Port(),
		Forward:  e.Forward.String(),
		InTable:  true,
		Weight:   e.Weight,
		Active:   e.Active,
		Inactive: e.Inactive,
		Counters: e.Counters,
		NextHop:  nextHop(e.NextHop),
	}
}

func nextHop(n model.NextHop) *NextHop {
	hop := &NextHop{Interface: n.Interface, Resolved: n.Resolved, Reason: n.Reason}
	if n.Gateway.IsValid() {
		hop.Gateway = n.Gateway.String()
	}
	if n.Resolved {
		hop.MAC = net.HardwareAddr(n.MAC[:]).String()
	}
	return hop
}

// Summarize returns the services in a few words each.
func Summarize(services []Service) []Summary {
	out := make([]Summary, 0, len(services))
	for _, s := range services {
		out = append(out, summary(s))
	}
	return out
}

func summary(s Service) Summary {
	out := Summary{Service: s.Service, Scheduler: s.Scheduler, Datapath: s.Datapath, Reason: s.Reason, Overload: s.Overload}
	if s.Health != nil {
		out.QuorumUp, out.Quorum, out.AliveWeight = s.Health.QuorumUp, s.Health.Quorum, s.Health.AliveWeight
	}
	for _, server := range s.Servers {
		if server.InTable && server.NextHop != nil && !server.NextHop.Resolved {
			out.Unresolved++
		}
		if server.Sorry {
			out.SorryActive = server.InTable && server.Weight > 0 && !out.QuorumUp
			continue
		}
		out.Servers++
		if server.Health != nil && server.Health.Alive {
			out.ServersAlive++
		}
	}
	return out
}
