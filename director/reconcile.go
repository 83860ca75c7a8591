package director

import (
	"slices"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// Table is what a datapath is to run of one service. Servers are in the order
// in which they are added: that of the file, the sorry server last.
type Table struct {
	Service model.Service
	Servers []model.Server
}

// Reconcile returns the fewest operations that turn what runs into what is
// wanted. A server that stays keeps its place and its flows. Services that run
// and are not wanted are deleted.
func Reconcile(running model.Tables, wanted []Table) []sched.Op {
	after := make([]placedTable, 0, len(wanted))
	for _, t := range wanted {
		after = append(after, placedTable{Table: t})
	}
	return Change{Steps: transition(placeRunning("", running), after)}.Ops()
}

// placedTable is a table in one datapath.
type placedTable struct {
	Table
	datapath model.DatapathChoice
}

type placedKey struct {
	datapath model.DatapathChoice
	service  model.ServiceKey
}

func (t placedTable) key() placedKey { return placedKey{t.datapath, t.Service.Key} }

// placeRunning turns a snapshot's newest-first servers into the order in
// which they were added.
func placeRunning(datapath model.DatapathChoice, running model.Tables) []placedTable {
	tables := make([]placedTable, 0, len(running.Services))
	for _, entry := range running.Services {
		t := placedTable{datapath: datapath}
		t.Service = entry.Service
		for i := len(entry.Servers) - 1; i >= 0; i-- {
			t.Servers = append(t.Servers, entry.Servers[i].Server)
		}
		tables = append(tables, t)
	}
	return tables
}

// transition returns the steps from the tables before to those after.
// Services that go away are deleted first, which makes room. A service that
// changes its datapath is added to the new one and then deleted from the old.
func transition(before, after []placedTable) []Step {
	old := make(map[placedKey]placedTable, len(before))
	for _, t := range before {
		old[t.key()] = t
	}
	wanted := make(map[placedKey]bool, len(after))
	stays := make(map[model.ServiceKey]bool, len(after))
	for _, t := range after {
		wanted[t.key()] = true
		stays[t.Service.Key] = true
	}

	var s steps
	leaving := make(map[model.ServiceKey][]placedTable)
	for _, t := range before {
		switch {
		case wanted[t.key()]:
		case stays[t.Service.Key]:
			leaving[t.Service.Key] = append(leaving[t.Service.Key], t)
		default:
			s.add(t.datapath, sched.Op{Kind: sched.DelService, Service: t.Service})
		}
	}
	for _, t := range after {
		was, ok := old[t.key()]
		switch {
		case !ok:
			s.add(t.datapath, sched.Op{Kind: sched.AddService, Service: t.Service})
		case was.Service != t.Service:
			s.add(t.datapath, sched.Op{Kind: sched.EditService, Service: t.Service})
		}
		s.add(t.datapath, serverOps(t.Service, was.Servers, t.Servers)...)
		for _, gone := range leaving[t.Service.Key] {
			s.add(gone.datapath, sched.Op{Kind: sched.DelService, Service: gone.Service})
		}
	}
	return s
}

// serverOps returns the operations between two server lists of one service:
// what takes flows comes in first, then what stops taking them.
func serverOps(service model.Service, before, after []model.Server) []sched.Op {
	if slices.Equal(before, after) {
		return nil
	}
	old := make(map[serverAddr]model.Server, len(before))
	for _, s := range before {
		old[s.Addr] = s
	}
	wanted := make(map[serverAddr]bool, len(after))
	var in, drain, out []sched.Op
	for _, s := range after {
		wanted[s.Addr] = true
		was, ok := old[s.Addr]
		switch {
		case !ok:
			in = append(in, sched.Op{Kind: sched.AddServer, Service: service, Server: s})
		case was == s:
		case s.Weight > 0:
			in = append(in, sched.Op{Kind: sched.EditServer, Service: service, Server: s})
		default:
			drain = append(drain, sched.Op{Kind: sched.EditServer, Service: service, Server: s})
		}
	}
	for _, s := range before {
		if !wanted[s.Addr] {
			out = append(out, sched.Op{Kind: sched.DelServer, Service: service, Server: s})
		}
	}
	if len(after)+len(out) > MaxServers {
		return concat(out, in, drain)
	}
	return concat(in, drain, out)
}

func concat(lists ...[]sched.Op) []sched.Op {
	var all []sched.Op
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// steps groups operations that follow each other on the same datapath.
type steps []Step

func (s *steps) add(datapath model.DatapathChoice, ops ...sched.Op) {
	if len(ops) == 0 {
		return
	}
	if n := len(*s); n > 0 && (*s)[n-1].Datapath == datapath {
		(*s)[n-1].Ops = append((*s)[n-1].Ops, ops...)
		return
	}
	*s = append(*s, Step{Datapath: datapath, Ops: ops})
}
