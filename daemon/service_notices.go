package daemon

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/notify"
)

// serviceNotifier is told of services and servers. notices is the real one.
type serviceNotifier interface {
	Service(c notify.ServiceChange, script *model.Script, mail bool)
	Server(c notify.ServerChange, script *model.Script, mail bool)
}

var _ serviceNotifier = (*notices)(nil)

// serviceNotices tells of services and servers what keepalived tells: at the
// start the quorum of each service without alpha; then every change of a server
// and of a quorum; of what a reload removes that it is down; at a stop the same
// of services with omega, and nothing of others. One difference: a quorum that a
// reload brings back is told, which keepalived 2.2.7 forgets.
//
// Who is told stands in the configuration that knew the server. The services of a
// group are one virtual server here, with the group's name.
type serviceNotices struct {
	out serviceNotifier
	// services have the settings of each block, by its name.
	services map[model.ServiceKey]*model.VirtualServer
	// serversAtStart tells of servers, too, that count as up when they begin
	// (rs_init_notifies).
	serversAtStart bool
}

func newServiceNotices(out serviceNotifier, services []model.VirtualServer) *serviceNotices {
	n := &serviceNotices{out: out}
	n.use(services)
	return n
}

func (n *serviceNotices) use(services []model.VirtualServer) {
	n.services = make(map[model.ServiceKey]*model.VirtualServer, len(services))
	for i := range services {
		key := services[i].Block()
		was := n.services[key]
		// A service of a group may lack a server that others have.
		fuller := was != nil && services[i].GroupBlock.Group != "" && len(services[i].Servers) > len(was.Servers)
		if was == nil || fuller {
			n.services[key] = &services[i]
		}
	}
}

// started tells of services that have just begun.
func (n *serviceNotices) started(now director.Snapshot) {
	for _, s := range running(now) {
		n.begun(s)
	}
}

func (n *serviceNotices) begun(s director.ServiceStatus) {
	n.newServers(s, director.ServiceStatus{})
	if conf := n.services[s.Key]; conf != nil && !conf.Alpha {
		n.quorum(s.Key, s.QuorumUp, quorumReason(s))
	}
}

// newServers tells, if it is wanted, of servers that count as up and were not
// there before.
func (n *serviceNotices) newServers(is, was director.ServiceStatus) {
	if !n.serversAtStart {
		return
	}
	for _, server := range is.Servers {
		known := slices.ContainsFunc(was.Servers, func(s director.ServerStatus) bool { return s.Server == server.Server })
		if server.Alive && !known {
			n.server(is.Key, server.Server, true, server.Reason)
		}
	}
}

// changed tells of what a verdict brought about.
func (n *serviceNotices) changed(events []director.Event) {
	for _, e := range events {
		switch e.Kind {
		case director.ServerUp, director.ServerDown:
			n.server(e.Service, e.Server, e.Kind == director.ServerUp, e.Reason)
		case director.QuorumGained, director.QuorumLost:
			n.quorum(e.Service, e.Kind == director.QuorumGained, e.Reason)
		default:
		}
	}
}

// reloaded tells of what a reload to services brought about.
func (n *serviceNotices) reloaded(before, after director.Snapshot, services []model.VirtualServer) {
	const gone = "no longer in the configuration"
	old := running(before)
	current := running(after)
	now := byKey(current)
	var stay []director.ServiceStatus
	for _, was := range old {
		is, ok := now[was.Key]
		if ok {
			stay = append(stay, was)
		}
		for _, server := range was.Servers {
			if server.Alive && !alive(is, server.Server) {
				n.server(was.Key, server.Server, false, gone)
			}
		}
		if !ok && was.QuorumUp {
			n.quorum(was.Key, false, gone)
		}
	}
	n.use(services)
	for _, was := range stay {
		n.newServers(now[was.Key], was)
		if is := now[was.Key]; is.QuorumUp != was.QuorumUp {
			n.quorum(is.Key, is.QuorumUp, quorumReason(is))
		}
	}
	known := byKey(old)
	for _, is := range current {
		if _, ok := known[is.Key]; !ok {
			n.begun(is)
		}
	}
}

// stopping tells of services that end with the daemon.
func (n *serviceNotices) stopping(last director.Snapshot) {
	const reason = "the daemon is stopping"
	for _, s := range running(last) {
		if conf := n.services[s.Key]; conf == nil || !conf.Omega {
			continue
		}
		for _, server := range s.Servers {
			if server.Alive {
				n.server(s.Key, server.Server, false, reason)
			}
		}
		if s.QuorumUp {
			n.quorum(s.Key, false, reason)
		}
	}
}

func (n *serviceNotices) server(key model.ServiceKey, addr netip.AddrPort, up bool, reason string) {
	vs := n.services[key]
	if vs == nil {
		return
	}
	for i := range vs.Servers {
		rs := &vs.Servers[i]
		if rs.Name() != addr {
			continue
		}
		c := notify.ServerChange{Server: serverName(key, addr), Service: key.String(), Up: up, Reason: reason}
		n.out.Server(c, either(up, rs.NotifyUp, rs.NotifyDown), rs.Mail)
		return
	}
}

func (n *serviceNotices) quorum(key model.ServiceKey, up bool, reason string) {
	if vs := n.services[key]; vs != nil {
		c := notify.ServiceChange{Service: key.String(), Up: up, Reason: reason}
		n.out.Service(c, either(up, vs.QuorumUp, vs.QuorumDown), vs.Mail)
	}
}

func either(up bool, ifUp, ifDown *model.Script) *model.Script {
	if up {
		return ifUp
	}
	return ifDown
}

// serverName prints a server as keepalived does: [10.0.0.5]:tcp:8080. One of a
// firewall mark has no protocol.
func serverName(key model.ServiceKey, addr netip.AddrPort) string {
	if key.Protocol == 0 {
		return fmt.Sprintf("[%s]:none:%d", addr.Addr(), addr.Port())
	}
	return model.ServiceKey{Protocol: key.Protocol, Addr: addr}.String()
}

func quorumReason(s director.ServiceStatus) string {
	return fmt.Sprintf("weight alive %d, quorum %d, hysteresis %d", s.AliveWeight, s.Quorum, s.Hysteresis)
}

func runs(s director.ServiceStatus) bool { return s.Datapath != "none" }

// running returns the blocks of which a service runs, with the names of their
// servers, in the order of the file.
func running(s director.Snapshot) []director.ServiceStatus {
	var out []director.ServiceStatus
	for _, status := range s.Services {
		if !runs(status) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Key == status.Block {
			out[n-1].Servers = addServers(out[n-1].Servers, status.Servers)
			continue
		}
		block := status
		block.Key, block.Servers = status.Block, named(status.Servers)
		out = append(out, block)
	}
	return out
}

// named puts each server's name in the place of its address. Most have the same.
func named(list []director.ServerStatus) []director.ServerStatus {
	if !slices.ContainsFunc(list, func(s director.ServerStatus) bool { return s.Server != s.Name }) {
		return slices.Clip(list)
	}
	list = slices.Clone(list)
	for i := range list {
		list[i].Server = list[i].Name
	}
	return list
}

// addServers adds those of another service of the block that the first did not
// have.
func addServers(list, more []director.ServerStatus) []director.ServerStatus {
	known := make(map[netip.AddrPort]bool, len(list))
	for _, server := range list {
		known[server.Name] = true
	}
	for _, server := range more {
		if !known[server.Name] {
			known[server.Name] = true
			server.Server = server.Name
			list = append(list, server)
		}
	}
	return list
}

func byKey(list []director.ServiceStatus) map[model.ServiceKey]director.ServiceStatus {
	out := make(map[model.ServiceKey]director.ServiceStatus, len(list))
	for _, status := range list {
		out[status.Key] = status
	}
	return out
}

func alive(s director.ServiceStatus, addr netip.AddrPort) bool {
	for _, server := range s.Servers {
		if server.Server == addr {
			return server.Alive
		}
	}
	return false
}
