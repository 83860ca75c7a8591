package demo

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// table is who is in the daemon's tables: by service, then by server, in the
// plan's order.
type table struct {
	services []tableService
}

type tableService struct {
	// conns are the connections that the service was asked for.
	conns   uint64
	servers []tableServer
}

type tableServer struct {
	inTable  bool
	resolved bool
	weight   int32
	alive    bool
	// why is the reason of the check's last verdict.
	why string
}

// tableOf picks the plan's services and servers from the daemon's answer. What is not
// there is not in the table.
func tableOf(p plan, answer api.Services) table {
	t := table{services: make([]tableService, len(p.services))}
	for i, s := range p.services {
		row := tableService{servers: make([]tableServer, len(p.servers))}
		if found := findService(answer, s.vip); found != nil {
			row.conns = found.Counters.Conns
			for j, addr := range p.servers {
				row.servers[j] = findServer(found.Servers, addr)
			}
		}
		t.services[i] = row
	}
	return t
}

func findService(answer api.Services, vip netip.Addr) *api.Service {
	for i := range answer.Services {
		if s := &answer.Services[i]; s.Address == vip.String() && s.Port == httpPort {
			return s
		}
	}
	return nil
}

func findServer(servers []api.RealServer, addr netip.Addr) tableServer {
	for _, s := range servers {
		if s.Address != addr.String() || s.Port != httpPort || s.Sorry {
			continue
		}
		row := tableServer{inTable: s.InTable, weight: s.Weight}
		if s.NextHop != nil {
			row.resolved = s.NextHop.Resolved
		}
		if s.Health != nil {
			row.alive, row.why = s.Health.Alive, s.Health.Reason
		}
		return row
	}
	return tableServer{}
}

// out reports whether no service has the server in its table.
func (t table) out(server int) bool {
	for _, s := range t.services {
		if s.servers[server].inTable {
			return false
		}
	}
	return true
}

// in reports whether every service has the server in its table and knows how
// to reach it.
func (t table) in(server int) bool {
	for _, s := range t.services {
		if !s.servers[server].inTable || !s.servers[server].resolved {
			return false
		}
	}
	return true
}

// allIn reports whether every server is in every table.
func (t table) allIn() bool {
	for _, s := range t.services {
		for i := range s.servers {
			if !t.in(i) {
				return false
			}
		}
	}
	return len(t.services) > 0
}

// weigh reports whether the servers have these weights in every table.
func (t table) weigh(weights []int32) bool {
	for _, s := range t.services {
		for i, w := range weights {
			if !s.servers[i].inTable || s.servers[i].weight != w {
				return false
			}
		}
	}
	return true
}

// missing says which servers are not in a table, for an error.
func (t table) missing(p plan) string {
	var words []string
	for i, s := range t.services {
		for j, row := range s.servers {
			switch name := p.services[i].name + " " + serverName(j); {
			case !row.inTable:
				words = append(words, strings.TrimSuffix(name+" is not in the table: "+row.why, ": "))
			case !row.resolved:
				words = append(words, name+" has no next hop yet")
			}
		}
	}
	return strings.Join(words, "; ")
}

// event is something that happened.
type event struct {
	at   time.Time
	text string
}

// changes says what differs between two tables, one line for each server and
// change.
func changes(p plan, before, after table) []string {
	if len(before.services) == 0 {
		return nil
	}
	var lines []string
	for i, s := range p.services {
		for j := range p.servers {
			was, is := before.services[i].servers[j], after.services[i].servers[j]
			if line := change(was, is); line != "" {
				lines = append(lines, fmt.Sprintf("%s %s %s", s.name, serverName(j), line))
			}
		}
	}
	return lines
}

func change(was, is tableServer) string {
	switch {
	case was.inTable && !is.inTable:
		return withReason("out", is.why)
	case !was.inTable && is.inTable:
		return withReason("in", is.why)
	case was.inTable && was.weight != is.weight:
		return fmt.Sprintf("weight %d, was %d", is.weight, was.weight)
	case is.inTable && was.resolved && !is.resolved:
		return "next hop lost"
	}
	return ""
}

func withReason(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}
