package failover

import (
	"net/netip"
	"slices"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

// chooseSource returns the address that the instance's adverts come from, or
// the zero Addr when there is none now: the configured one, which with
// track_src_ip has to be on this host, otherwise the first address of the
// interface, for IPv6 the first link-local one. An address of a virtual router
// is never a source.
func chooseSource(i model.VRRPInstance, links []netif.Link, virtual map[netip.Addr]bool) netip.Addr {
	if i.NoPeerFault && len(i.Peers) == 0 && !i.Multicast.IsValid() {
		return netip.Addr{}
	}
	if i.Source.IsValid() {
		if i.TrackSource && !onHost(links, i.Source) {
			return netip.Addr{}
		}
		return i.Source
	}
	at := slices.IndexFunc(links, func(l netif.Link) bool { return l.Name == i.Interface })
	if at < 0 {
		return netip.Addr{}
	}
	for _, p := range links[at].Addrs {
		addr := p.Addr()
		if addr.Is4() == i.IPv6 || virtual[addr] || i.IPv6 && !addr.IsLinkLocalUnicast() {
			continue
		}
		return addr
	}
	return netip.Addr{}
}

func onHost(links []netif.Link, addr netip.Addr) bool {
	return slices.ContainsFunc(links, func(l netif.Link) bool {
		return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == addr })
	})
}
