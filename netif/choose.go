package netif

import (
	"fmt"
	"net/netip"
	"slices"
)

// Choice is an interface that balanced traffic passes.
type Choice struct {
	Link Link
	// Reasons say which traffic arrives here, one line each: the first few that
	// were found.
	Reasons []string
	// Problem says why no XDP program should be attached; empty means attach.
	Problem string
}

// chooseSurface is what ChooseXDP reads.
type chooseSurface interface {
	Links() ([]Link, error)
	Route(netip.Addr) (Route, error)
	DefaultLinks() ([]int, error)
}

// ChooseXDP finds the interfaces on which traffic to the VIPs and replies of
// the servers arrive, by index. A VIP belongs to the interface that has it or
// whose network it is in. When none is found that way, as for a VIP on lo, the
// interfaces of the default route stand in. Addresses without a route are left
// out: the Resolver reports them.
func (k *Kernel) ChooseXDP(vips, servers []netip.Addr) ([]Choice, error) {
	return chooseXDP(k, vips, servers)
}

func chooseXDP(s chooseSurface, vips, servers []netip.Addr) ([]Choice, error) {
	links, err := s.Links()
	if err != nil {
		return nil, err
	}
	c := chooser{surface: s, links: links, reasons: make(map[int][]string)}
	for _, vip := range vips {
		if err := c.addVIP(vip); err != nil {
			return nil, err
		}
	}
	for _, server := range servers {
		if c.complete() {
			break
		}
		if err := c.addServer(server); err != nil {
			return nil, err
		}
	}
	return c.choices(), nil
}

type chooser struct {
	surface chooseSurface
	links   []Link
	reasons map[int][]string // by interface index
}

func (c *chooser) addVIP(vip netip.Addr) error {
	vip = vip.Unmap()
	for _, l := range c.links {
		if !l.Loopback && slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == vip }) {
			c.add(l.Index, fmt.Sprintf("has the virtual address %s", vip))
			return nil
		}
	}
	route, err := c.surface.Route(vip)
	if err != nil {
		return err
	}
	if route.Kind == RouteUnicast {
		c.add(route.IfIndex, fmt.Sprintf("leads to the network of the virtual address %s", vip))
		return nil
	}
	indexes, err := c.surface.DefaultLinks()
	if err != nil {
		return err
	}
	for _, index := range indexes {
		c.add(index, fmt.Sprintf("has the default route, for the virtual address %s", vip))
	}
	return nil
}

func (c *chooser) addServer(server netip.Addr) error {
	server = server.Unmap()
	route, err := c.surface.Route(server)
	if err != nil {
		return err
	}
	if route.Kind == RouteUnicast {
		c.add(route.IfIndex, fmt.Sprintf("leads to the real server %s", server))
	}
	return nil
}

// complete reports whether every interface that may be chosen is: thousands of
// servers need not be looked up to learn it again.
func (c *chooser) complete() bool {
	for _, l := range c.links {
		if !l.Loopback && c.reasons[l.Index] == nil {
			return false
		}
	}
	return true
}

// mostReasons is how many reasons are kept: they are for people.
const mostReasons = 8

func (c *chooser) add(index int, reason string) {
	if len(c.reasons[index]) < mostReasons && !slices.Contains(c.reasons[index], reason) {
		c.reasons[index] = append(c.reasons[index], reason)
	}
}

// choices keeps the order of the links, which is by index.
func (c *chooser) choices() []Choice {
	var out []Choice
	for _, l := range c.links {
		if reasons := c.reasons[l.Index]; reasons != nil {
			out = append(out, Choice{Link: l, Reasons: reasons, Problem: chooseProblem(l)})
		}
	}
	return out
}

// chooseProblem is linkProblem without the carrier, which may come later.
func chooseProblem(l Link) string {
	l.Carrier = true
	return linkProblem(l)
}
