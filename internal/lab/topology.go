package lab

import (
	"fmt"
	"net/netip"
)

// Topology is a network around a load balancer. The names of its nodes are
// client, director, server1 and so on; switches are called lan or clients and
// servers. All addresses are below 10.77.0.0/16.
type Topology struct {
	Lab *Lab

	Client   *Node
	ClientIf *Iface

	Director *Node
	// ClientSide and ServerSide are the director's interfaces: towards the
	// client and towards the servers. They are the same one in DR and
	// OneArmNAT.
	ClientSide, ServerSide *Iface

	Servers []*Node
	// ServerIfs are the servers' interfaces towards the director, in the
	// order of Servers. Their first addresses are the real server addresses.
	ServerIfs []*Iface

	// VIP is an address of the director's client side. In the DR networks the
	// servers have it on lo too.
	VIP netip.Addr
	// DRVIP is the second virtual address of Both, unset elsewhere: one of the
	// director's server side, and on the servers' lo.
	DRVIP netip.Addr
}

// ServerAddr returns the address of server i, counted from 0.
func (t *Topology) ServerAddr(i int) netip.Addr { return t.ServerIfs[i].Addr() }

// MaxServers is the number of servers that the address plan has room for.
const MaxServers = 80

// Host numbers in every network of the plan.
const (
	directorHost = 1
	clientHost   = 9
	firstServer  = 11
	vipHost      = 100
)

// host returns 10.77.net.host/24.
func host(net, host int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, byte(net), byte(host)}), 24)
}

// defaultRoute is 0.0.0.0/0.
func defaultRoute() netip.Prefix { return netip.PrefixFrom(netip.IPv4Unspecified(), 0) }

// DR builds one LAN, 10.77.1.0/24, with a client (.9), a director (.1) and n
// servers (.11 and on). The VIP is .100. Servers answer the client directly.
func DR(l *Lab, n int) (*Topology, error) {
	t, lan, err := oneLAN(l, n, 1)
	if err != nil {
		return nil, err
	}
	if t.Client, t.ClientIf, err = lan.addHost("client", eth0(host(1, clientHost))); err != nil {
		return nil, err
	}
	return t, t.addVIPs()
}

// OneArmNAT builds one LAN that carries two networks: the client and the VIP in
// 10.77.1.0/24 (.9 and .100), n servers in 10.77.2.0/24 (.11 and on). The
// director is .1 in both on its only interface, forwards, and is the default
// gateway of the servers.
func OneArmNAT(l *Lab, n int) (*Topology, error) {
	t, lan, err := oneLAN(l, n, 2)
	if err != nil {
		return nil, err
	}
	if err := t.addAddr(t.ClientSide, host(1, directorHost)); err != nil {
		return nil, err
	}
	if t.Client, t.ClientIf, err = lan.addHost("client", eth0(host(1, clientHost))); err != nil {
		return nil, err
	}
	return t, t.routeThroughDirector()
}

// NAT builds two LANs with the director between them, forwarding: the client
// and the VIP in 10.77.1.0/24 (.9 and .100), n servers in 10.77.2.0/24 (.11 and
// on). The director is .1 in both, eth0 towards the client and eth1 towards the
// servers, and the default gateway of the servers.
func NAT(l *Lab, n int) (*Topology, error) {
	t, _, _, err := twoLANs(l, n)
	if err != nil {
		return nil, err
	}
	return t, t.routeThroughDirector()
}

// TwoInterfaceDR builds the two LANs of NAT for direct routing: requests go
// through the director to the servers' eth0 in 10.77.2.0/24, and each server
// has an eth1 in the client's network (same host number) to answer directly.
// Nothing forwards.
func TwoInterfaceDR(l *Lab, n int) (*Topology, error) {
	t, clients, _, err := twoLANs(l, n)
	if err != nil {
		return nil, err
	}
	for i, s := range t.Servers {
		p := Port{Name: "eth1", Addrs: []netip.Prefix{host(1, firstServer+i)}}
		if _, err := clients.Join(s, p); err != nil {
			return nil, err
		}
	}
	return t, t.addVIPs()
}

// Both builds the network of NAT for a NAT service at VIP, and room for a DR
// service beside it: the client has an eth1 in the servers' network (.9), and
// DRVIP is .100 there.
func Both(l *Lab, n int) (*Topology, error) {
	t, _, servers, err := twoLANs(l, n)
	if err != nil {
		return nil, err
	}
	if _, err := servers.Join(t.Client, Port{Name: "eth1", Addrs: []netip.Prefix{host(2, clientHost)}}); err != nil {
		return nil, err
	}
	if err := t.routeThroughDirector(); err != nil {
		return nil, err
	}
	t.DRVIP = host(2, vipHost).Addr()
	if err := t.addAddr(t.ServerSide, netip.PrefixFrom(t.DRVIP, t.DRVIP.BitLen())); err != nil {
		return nil, err
	}
	return t, t.addToServers(t.DRVIP)
}

// oneLAN makes a LAN with the director and n servers in network net.
func oneLAN(l *Lab, n, net int) (*Topology, *LAN, error) {
	t := &Topology{Lab: l}
	lan, err := l.AddLAN("lan")
	if err != nil {
		return nil, nil, err
	}
	if t.Director, t.ClientSide, err = lan.addHost("director", eth0(host(net, directorHost))); err != nil {
		return nil, nil, err
	}
	t.ServerSide = t.ClientSide
	return t, lan, t.addServers(lan, n, net)
}

// twoLANs makes the LANs clients and servers, and everyone on them. It returns
// both.
func twoLANs(l *Lab, n int) (t *Topology, clients, servers *LAN, err error) {
	t = &Topology{Lab: l}
	clients, err = l.AddLAN("clients")
	if err != nil {
		return nil, nil, nil, err
	}
	servers, err = l.AddLAN("servers")
	if err != nil {
		return nil, nil, nil, err
	}
	if t.Client, t.ClientIf, err = clients.addHost("client", eth0(host(1, clientHost))); err != nil {
		return nil, nil, nil, err
	}
	if t.Director, t.ClientSide, err = clients.addHost("director", eth0(host(1, directorHost))); err != nil {
		return nil, nil, nil, err
	}
	if t.ServerSide, err = servers.Join(t.Director, Port{Name: "eth1", Addrs: []netip.Prefix{host(2, directorHost)}}); err != nil {
		return nil, nil, nil, err
	}
	return t, clients, servers, t.addServers(servers, n, 2)
}

func (t *Topology) addServers(lan *LAN, n, net int) error {
	if n < 0 || n > MaxServers {
		return fmt.Errorf("add servers: %d is not between 0 and %d", n, MaxServers)
	}
	for i := range n {
		s, iface, err := lan.addHost(fmt.Sprintf("server%d", i+1), eth0(host(net, firstServer+i)))
		if err != nil {
			return err
		}
		t.Servers = append(t.Servers, s)
		t.ServerIfs = append(t.ServerIfs, iface)
	}
	return nil
}

// routeThroughDirector finishes the NAT networks.
func (t *Topology) routeThroughDirector() error {
	if err := t.Director.SetForwarding(true); err != nil {
		return err
	}
	for i, s := range t.Servers {
		gateway := t.ServerAddr(i).As4()
		gateway[3] = directorHost
		if err := s.AddRoute(defaultRoute(), netip.AddrFrom4(gateway)); err != nil {
			return err
		}
	}
	return t.addDirectorVIP()
}

// addVIPs finishes the DR networks.
func (t *Topology) addVIPs() error {
	if err := t.addDirectorVIP(); err != nil {
		return err
	}
	return t.addToServers(t.VIP)
}

// addToServers gives each server a virtual address on lo.
func (t *Topology) addToServers(vip netip.Addr) error {
	for _, s := range t.Servers {
		if err := s.AddVIP(vip); err != nil {
			return err
		}
	}
	return nil
}

// addDirectorVIP gives the director the VIP, as a VRRP master has it.
func (t *Topology) addDirectorVIP() error {
	t.VIP = host(1, vipHost).Addr()
	return t.addAddr(t.ClientSide, netip.PrefixFrom(t.VIP, t.VIP.BitLen()))
}

func (t *Topology) addAddr(i *Iface, addr netip.Prefix) error {
	if err := i.Node.AddAddr(i.Name, addr); err != nil {
		return err
	}
	i.Addrs = append(i.Addrs, addr)
	return nil
}

func eth0(addr netip.Prefix) Port { return Port{Name: "eth0", Addrs: []netip.Prefix{addr}} }

// addHost adds a node that is on this LAN only.
func (lan *LAN) addHost(name string, p Port) (*Node, *Iface, error) {
	n, err := lan.lab.AddNode(name)
	if err != nil {
		return nil, nil, err
	}
	iface, err := lan.Join(n, p)
	if err != nil {
		return nil, nil, err
	}
	return n, iface, nil
}
