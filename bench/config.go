package bench

import (
	"fmt"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// given are the services of a user's configuration, all in the tables at the
// same time.
type given struct {
	ops     []sched.Op
	servers uint32
	count   uint32
}

// configCases returns what the program level measures of a configuration: flows
// that live, and new ones, of each service that has an address. skipped says which
// have none, or no server.
func configCases(services []model.VirtualServer, most uint32) (cases []Case, skipped []string) {
	g := &given{count: uint32(len(services))}
	for _, vs := range services {
		if reason := unfit(vs); reason != "" {
			skipped = append(skipped, fmt.Sprintf("%s: %s", vs.Key, reason))
			continue
		}
		g.ops = append(g.ops, sched.Op{Kind: sched.AddService, Service: vs.Service})
		for _, rs := range vs.Servers {
			g.ops = append(g.ops, sched.Op{Kind: sched.AddServer, Service: vs.Service, Server: rs.Server})
			g.servers++
		}
		cases = append(cases, givenCases(g, vs, most)...)
	}
	return cases, skipped
}

// unfit returns why no packets can be made for a service.
func unfit(vs model.VirtualServer) string {
	switch {
	case !vs.Key.Addr.IsValid() || vs.Key.Addr.Port() == 0:
		return "it has no single address and port"
	case vs.Key.Protocol != model.TCP && vs.Key.Protocol != model.UDP:
		return "neither TCP nor UDP"
	case len(vs.Servers) == 0:
		return "it has no server"
	}
	return ""
}

func givenCases(g *given, vs model.VirtualServer, most uint32) []Case {
	v := service{
		protocol: vs.Key.Protocol, vip: vs.Key.Addr, scheduler: vs.Scheduler,
		forward: vs.Servers[0].Forward, servers: len(vs.Servers),
	}
	live, fresh := established(v, min(1<<10, most), 1), newFlow(v, most)
	all := []Case{live, fresh}
	for i := range all {
		all[i].common = false // others were not told of these services
		all[i].given, all[i].label = g, fmt.Sprintf("%s %s", all[i].Path, vs.Key)
		for _, rs := range vs.Servers {
			if rs.Forward != v.forward { // packets go more than one way
				all[i].others = 1
			}
		}
	}
	return all
}
