package daemon

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/model"
)

// settingsOf returns what a configuration asks of the datapath. Only services
// that XDP runs count.
func settingsOf(cfg *config.Config, caps director.Capabilities) Settings {
	s := Settings{
		Interfaces:    slices.Clone(cfg.Global.XDPInterfaces),
		Mode:          cfg.Global.XDPMode,
		FlowTable:     cfg.Global.FlowTable,
		TimeoutTCP:    cfg.Global.TimeoutTCP,
		TimeoutTCPFin: cfg.Global.TimeoutTCPFin,
		TimeoutUDP:    cfg.Global.TimeoutUDP,
	}
	if s.Mode == "" {
		s.Mode = model.XDPAuto
	}
	for _, vs := range cfg.Services {
		if director.Choose(vs, caps).Datapath != model.DatapathXDP {
			continue
		}
		s.Virtual = append(s.Virtual, vs.Key.Addr.Addr().Unmap())
		addrs := serverAddrs(vs)
		s.Servers = append(s.Servers, addrs...)
		s.ServiceCount++
		s.ServerCount += uint32(len(addrs))
	}
	s.OnlyLeft = s.ServiceCount == 0 && asksForIPVS(cfg)
	s.Virtual, s.Servers = sortedSet(s.Virtual), sortedSet(s.Servers)
	s.Routed = routedAddrs(cfg.VRRP, s.Virtual)
	return s
}

// routedAddrs returns on which interfaces VRRP has some of the addresses.
func routedAddrs(v model.VRRP, addrs []netip.Addr) map[netip.Addr]string {
	var routed map[netip.Addr]string
	for _, i := range v.Instances {
		for _, a := range slices.Concat(i.Addresses, i.Excluded) {
			addr := a.Prefix.Addr().Unmap()
			if _, ok := slices.BinarySearchFunc(addrs, addr, netip.Addr.Compare); !ok {
				continue
			}
			if routed == nil {
				routed = make(map[netip.Addr]string)
			}
			routed[addr] = a.Interface
		}
	}
	return routed
}

// serverAddrs returns the addresses of all servers. Those of DR servers count
// too, though their replies pass by: many drivers send redirected frames only
// on interfaces that run a program themselves.
func serverAddrs(vs model.VirtualServer) []netip.Addr {
	addrs := make([]netip.Addr, 0, len(vs.Servers)+1)
	for _, rs := range vs.Servers {
		addrs = append(addrs, rs.Addr.Addr().Unmap())
	}
	if vs.Sorry != nil {
		addrs = append(addrs, vs.Sorry.Addr.Addr().Unmap())
	}
	return addrs
}

func sortedSet(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// packetsOf sums reasons by what became of the packets.
func packetsOf(counted []api.Reason) api.Packets {
	var p api.Packets
	for _, r := range counted {
		switch reasons.Verdict(r.Verdict) {
		case reasons.Pass:
			p.Passed += r.Packets
		case reasons.Drop:
			p.Dropped += r.Packets
		case reasons.Answer:
			p.Answered += r.Packets
		case reasons.Forward:
			p.Forwarded += r.Packets
		}
	}
	p.XDP = p.Forwarded + p.Answered + p.Dropped
	return p
}

// firstError returns the first error of a configuration in one line, and how
// many more there are.
func firstError(diagnostics []config.Diagnostic) string {
	var first string
	count := 0
	for _, d := range diagnostics {
		if d.Severity != config.Error {
			continue
		}
		if count == 0 {
			first = d.Error()
		}
		count++
	}
	if count > 1 {
		return fmt.Sprintf("%s (and %d more)", first, count-1)
	}
	return first
}
