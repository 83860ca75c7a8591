package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Node is one host of a lab: a network namespace of its own.
type Node struct {
	lab    *Lab
	name   string
	ns     *os.File
	handle *netlink.Handle
}

// AddNode adds a host. The name holds lower-case letters and digits. The host's
// lo is up and its sysctls make a quiet, strict host: no reverse path filter,
// ARP answers only for addresses of the interface asked on, ARP requests with
// the address of the interface, no redirects, and no IPv6 traffic that nobody
// asked for (no link-local address, router solicitation or duplicate
// detection).
func (l *Lab) AddNode(name string) (*Node, error) {
	n, err := l.addNamespace(name)
	if err != nil {
		return nil, err
	}
	for _, s := range hostSysctls {
		if err := n.SetSysctl(s.key, s.value); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// addNamespace adds a node with the kernel's default settings.
func (l *Lab) addNamespace(name string) (*Node, error) {
	if !nodeForm.MatchString(name) {
		return nil, fmt.Errorf("add node %q: the name is not of lower-case letters and digits", name)
	}
	ns, err := createNamespace(l.prefix + "-" + name)
	if err != nil {
		return nil, err
	}
	n := &Node{lab: l, name: name, ns: ns}
	if err := l.own(n); err != nil {
		return nil, errors.Join(err, n.remove())
	}
	if n.handle, err = handleIn(ns); err != nil {
		return nil, err
	}
	return n, n.setUp("lo", true)
}

// own hands the node to the lab, so that Close removes it.
func (l *Lab) own(n *Node) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("add node %s: the lab is closed", n.name)
	}
	l.nodes = append(l.nodes, n)
	return nil
}

// Remove takes the node out of the lab, as when a machine loses its power: the
// links go down at once, then it kills the processes, deletes the links with
// their other ends, and removes the namespace. A process that must not see the
// links go down has to be killed before. A node of the same name can be added
// again. What was opened on the node by this process, such as a Server, is the
// caller's to close first.
func (n *Node) Remove() error {
	if !n.lab.disown(n) {
		return fmt.Errorf("remove node %s: it is not in the lab any more", n.name)
	}
	return errors.Join(n.linksDown(), n.remove())
}

// linksDown sets all links but lo down.
func (n *Node) linksDown() error {
	links, err := n.handle.LinkList()
	if err != nil {
		return fmt.Errorf("list links of %s: %w", n.name, err)
	}
	var errs []error
	for _, link := range links {
		if _, veth := link.(*netlink.Veth); !veth {
			continue
		}
		if err := n.handle.LinkSetDown(link); err != nil {
			errs = append(errs, fmt.Errorf("set interface %s of %s down: %w", link.Attrs().Name, n.name, err))
		}
	}
	return errors.Join(errs...)
}

// disown takes the node from those that Close removes, and says whether it was
// one.
func (l *Lab) disown(n *Node) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.nodes, n)
	if at < 0 {
		return false
	}
	l.nodes = slices.Delete(l.nodes, at, at+1)
	return true
}

func (n *Node) remove() error {
	if n.handle != nil {
		n.handle.Close()
	}
	n.ns.Close()
	return removeNamespace(n.Namespace())
}

// Name returns the node's name in the lab.
func (n *Node) Name() string { return n.name }

// Namespace returns the name that ip netns knows the node by.
func (n *Node) Namespace() string { return n.lab.prefix + "-" + n.name }

// Path returns the file of the node's namespace.
func (n *Node) Path() string { return filepath.Join(netnsDir, n.Namespace()) }

// Netlink returns a route netlink handle in the node's namespace. It belongs to
// the lab and ends with it.
func (n *Node) Netlink() *netlink.Handle { return n.handle }

// Do runs f on a thread inside the node's network namespace and returns its
// error. Sockets that f opens and processes that it starts belong to the node;
// goroutines that it starts do not. The mount namespace stays the caller's. f
// runs in its own goroutine, so it must not call testing's FailNow.
func (n *Node) Do(f func() error) error {
	return onThread(enter(n.ns), f)
}

// Start starts the command with the node's network namespace and the caller's
// mount namespace: unlike under ip netns exec, /sys/fs/bpf stays the caller's.
// Files under /proc/sys/net are the node's, those under /sys/class/net are not.
// The caller waits for the command; Close of the lab kills it if it still runs.
func (n *Node) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Run starts the command as Start does and waits for it. Its error holds what
// the command wrote to standard error, unless the caller took that.
func (n *Node) Run(cmd *exec.Cmd) error {
	var stderr strings.Builder
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	if err := n.Start(cmd); err != nil {
		return fmt.Errorf("start %s on %s: %w", cmd.Path, n.name, err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("run %s on %s: %w: %s", cmd, n.name, err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

type sysctl struct{ key, value string }

// hostSysctls come before any link is made, so the values of "default" reach
// every later one. The kernel takes the larger of "all" and the interface's for
// rp_filter, arp_ignore and arp_announce, and IPv4 settings are inherited from
// the machine's own: hence both.
var hostSysctls = []sysctl{
	{"net/ipv4/ip_forward", "0"}, // first: writing it resets others
	{"net/ipv4/conf/all/rp_filter", "0"},
	{"net/ipv4/conf/default/rp_filter", "0"},
	{"net/ipv4/conf/lo/rp_filter", "0"},
	{"net/ipv4/conf/all/arp_ignore", "1"},
	{"net/ipv4/conf/default/arp_ignore", "1"},
	{"net/ipv4/conf/all/arp_announce", "2"},
	{"net/ipv4/conf/default/arp_announce", "2"},
	{"net/ipv4/conf/all/send_redirects", "0"},
	{"net/ipv4/conf/default/send_redirects", "0"},
	{"net/ipv4/conf/all/accept_redirects", "0"},
	{"net/ipv4/conf/default/accept_redirects", "0"},
	{"net/ipv6/conf/default/accept_dad", "0"},
	{"net/ipv6/conf/default/accept_ra", "0"},
	{"net/ipv6/conf/default/autoconf", "0"},
	{"net/ipv6/conf/default/router_solicitations", "0"},
	{"net/ipv6/conf/default/addr_gen_mode", "1"}, // no link-local address
}

// SetSysctl sets a network sysctl of the node; key is a path such as
// net/ipv4/ip_forward. A key under net/ipv6 is skipped on a kernel without
// IPv6.
func (n *Node) SetSysctl(key, value string) error {
	err := n.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0o644) })
	if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(key, "net/ipv6/") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("set sysctl on %s: %w", n.name, err)
	}
	return nil
}

// Sysctl reads a network sysctl of the node.
func (n *Node) Sysctl(key string) (string, error) {
	var value []byte
	err := n.Do(func() (err error) {
		value, err = os.ReadFile(filepath.Join("/proc/sys", key))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read sysctl on %s: %w", n.name, err)
	}
	return strings.TrimSpace(string(value)), nil
}

// SetForwarding turns IPv4 forwarding on or off. The kernel resets other
// settings with it, so those that matter are set again.
func (n *Node) SetForwarding(on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	for _, s := range []sysctl{
		{"net/ipv4/ip_forward", value},
		{"net/ipv4/conf/all/send_redirects", "0"},
		{"net/ipv4/conf/all/accept_redirects", "0"},
	} {
		if err := n.SetSysctl(s.key, s.value); err != nil {
			return err
		}
	}
	return nil
}

// AddAddr adds the address with its prefix length to an interface.
func (n *Node) AddAddr(ifname string, addr netip.Prefix) error {
	link, err := n.link(ifname)
	if err != nil {
		return err
	}
	a := &netlink.Addr{IPNet: ipNet(addr)}
	if addr.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := n.handle.AddrAdd(link, a); err != nil {
		return fmt.Errorf("add address %s to %s of %s: %w", addr, ifname, n.name, err)
	}
	return nil
}

// DelAddr removes an address from an interface.
func (n *Node) DelAddr(ifname string, addr netip.Prefix) error {
	link, err := n.link(ifname)
	if err != nil {
		return err
	}
	if err := n.handle.AddrDel(link, &netlink.Addr{IPNet: ipNet(addr)}); err != nil {
		return fmt.Errorf("remove address %s from %s of %s: %w", addr, ifname, n.name, err)
	}
	return nil
}

// Addrs returns the addresses of all interfaces of the node.
func (n *Node) Addrs() ([]netip.Addr, error) {
	list, err := n.handle.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", n.name, err)
	}
	var addrs []netip.Addr
	for _, a := range list {
		if addr, ok := netip.AddrFromSlice(a.IP); ok {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs, nil
}

// AddVIP adds a virtual address to lo, as a real server of a DR service needs
// it. With the node's sysctls nobody hears of it by ARP.
func (n *Node) AddVIP(vip netip.Addr) error {
	return n.AddAddr("lo", netip.PrefixFrom(vip, vip.BitLen()))
}

// AddRoute adds a route through a gateway. The prefix 0.0.0.0/0 is the default
// route.
func (n *Node) AddRoute(dst netip.Prefix, gateway netip.Addr) error {
	r := &netlink.Route{Dst: ipNet(dst), Gw: gateway.AsSlice()}
	if err := n.handle.RouteAdd(r); err != nil {
		return fmt.Errorf("add route %s via %s on %s: %w", dst, gateway, n.name, err)
	}
	return nil
}

// SpreadRoute adds a route of IPv4 through several gateways, of which the addresses and ports of a
// connection choose one.
func (n *Node) SpreadRoute(dst netip.Prefix, gateways ...netip.Addr) error {
	if err := n.SetSysctl("net/ipv4/fib_multipath_hash_policy", "1"); err != nil {
		return err
	}
	r := &netlink.Route{Dst: ipNet(dst)}
	for _, g := range gateways {
		r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{Gw: g.AsSlice()})
	}
	if err := n.handle.RouteAdd(r); err != nil {
		return fmt.Errorf("add route %s via %v on %s: %w", dst, gateways, n.name, err)
	}
	return nil
}

// AnswerFor makes all addresses of a network the node's own.
func (n *Node) AnswerFor(network netip.Prefix) error {
	lo, err := n.link("lo")
	if err != nil {
		return err
	}
	err = n.handle.RouteReplace(&netlink.Route{
		LinkIndex: lo.Attrs().Index, Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST, Dst: ipNet(network),
	})
	if err != nil {
		return fmt.Errorf("answer for %s on %s: %w", network, n.name, err)
	}
	return nil
}

// SetRoute adds a route through a gateway or changes the one that is there.
func (n *Node) SetRoute(dst netip.Prefix, gateway netip.Addr) error {
	r := &netlink.Route{Dst: ipNet(dst), Gw: gateway.AsSlice()}
	if err := n.handle.RouteReplace(r); err != nil {
		return fmt.Errorf("set route %s via %s on %s: %w", dst, gateway, n.name, err)
	}
	return nil
}

func (n *Node) link(name string) (netlink.Link, error) {
	link, err := n.handle.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find interface %s of %s: %w", name, n.name, err)
	}
	return link, nil
}

func (n *Node) setUp(ifname string, up bool) error {
	link, err := n.link(ifname)
	if err != nil {
		return err
	}
	set := n.handle.LinkSetDown
	if up {
		set = n.handle.LinkSetUp
	}
	if err := set(link); err != nil {
		return fmt.Errorf("set interface %s of %s up=%t: %w", ifname, n.name, up, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
