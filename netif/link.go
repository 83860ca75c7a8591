package netif

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoLink is returned for an interface that does not exist.
var ErrNoLink = errors.New("interface does not exist")

// XDPMode says how an XDP program is attached to a link.
type XDPMode string

// The modes that the kernel reports; multi is more than one of them at once.
const (
	XDPNone    XDPMode = ""
	XDPNative  XDPMode = "native"
	XDPGeneric XDPMode = "generic"
	XDPOffload XDPMode = "offload"
	XDPMulti   XDPMode = "multi"
)

// Link is an interface as the kernel shows it at one moment.
type Link struct {
	Index int
	Name  string
	// Kind is the kernel's word, such as veth or bridge, and device for
	// hardware.
	Kind string
	// Lower is the index of the interface that a VLAN device of 802.1Q is on, in the same
	// namespace, and VLAN its id. Both are 0 for other links.
	Lower int
	VLAN  uint16
	// StripsTags is set for an interface with VLAN devices that may take the tags off
	// frames before XDP sees them. Only Links and LinkByName know.
	StripsTags bool
	// Master is the index of the bond, bridge or other device that the link is a member
	// of, 0 for none.
	Master int
	// MAC counts only when Ethernet is set.
	MAC [6]byte
	MTU int
	// Ethernet is set for links whose frames have Ethernet headers and whose
	// neighbours are found by ARP or neighbour discovery. It is not set for
	// loopback.
	Ethernet bool
	Loopback bool
	// Up is the administrator's word, Carrier the link partner's.
	Up, Carrier bool
	// Addrs is filled by Links and LinkByName only.
	Addrs []netip.Prefix
	// XDPProgram is the id of the attached program, 0 for none; under XDPMulti
	// it is 0 too.
	XDPProgram uint32
	XDPMode    XDPMode
}

// HasIPv4 says whether the link has an IPv4 address. Only Links and LinkByName
// know.
func (l Link) HasIPv4() bool {
	return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr().Is4() })
}

// Links lists the interfaces by index, with their addresses.
func (k *Kernel) Links() ([]Link, error) {
	list, err := k.handle.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	addrs, err := k.handle.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	links := make([]Link, 0, len(list))
	for _, nl := range list {
		l := linkFrom(nl)
		for _, a := range addrs {
			if a.LinkIndex == l.Index {
				l.Addrs = append(l.Addrs, prefixFrom(a.IPNet))
			}
		}
		links = append(links, l)
	}
	slices.SortFunc(links, func(a, b Link) int { return a.Index - b.Index })
	return links, k.markStrippers(links)
}

// LinkByName returns the interface of that name. Its error wraps ErrNoLink and
// lists the names that exist.
func (k *Kernel) LinkByName(name string) (Link, error) {
	links, err := k.Links()
	if err != nil {
		return Link{}, err
	}
	return linkByName(links, name)
}

func linkByName(links []Link, name string) (Link, error) {
	names := make([]string, 0, len(links))
	for _, l := range links {
		if l.Name == name {
			return l, nil
		}
		names = append(names, l.Name)
	}
	slices.Sort(names)
	return Link{}, &NoLinkError{Name: name, Have: names}
}

// NoLinkError names an interface that does not exist, and those that do. It
// matches ErrNoLink.
type NoLinkError struct {
	Name string
	Have []string
}

// Error returns one line: interface eth9 does not exist (have: eth0, lo).
func (e *NoLinkError) Error() string {
	return fmt.Sprintf("interface %s does not exist (have: %s)", e.Name, strings.Join(e.Have, ", "))
}

// Is makes errors.Is(e, ErrNoLink) true.
func (e *NoLinkError) Is(target error) bool { return target == ErrNoLink }

// Link returns the interface of that index, without its addresses. Its error
// wraps ErrNoLink if there is none.
func (k *Kernel) Link(index int) (Link, error) {
	l, err := k.handle.LinkByIndex(index)
	var none netlink.LinkNotFoundError
	switch {
	case errors.As(err, &none), errors.Is(err, unix.ENODEV):
		return Link{}, fmt.Errorf("find interface %d: %w", index, ErrNoLink)
	case err != nil:
		return Link{}, fmt.Errorf("find interface %d: %w", index, err)
	}
	return linkFrom(l), nil
}

// linkFrom takes over what netlink tells of a link.
func linkFrom(from netlink.Link) Link {
	a := from.Attrs()
	l := Link{
		Index:    a.Index,
		Name:     a.Name,
		Kind:     from.Type(),
		MTU:      a.MTU,
		Master:   a.MasterIndex,
		Ethernet: a.EncapType == "ether" && a.RawFlags&unix.IFF_NOARP == 0 && len(a.HardwareAddr) == 6,
		Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
		Up:       a.RawFlags&unix.IFF_UP != 0,
		Carrier:  a.RawFlags&unix.IFF_LOWER_UP != 0,
	}
	if l.Ethernet {
		copy(l.MAC[:], a.HardwareAddr)
	}
	l.Lower, l.VLAN = vlanFrom(from)
	if x := a.Xdp; x != nil && x.Attached {
		l.XDPProgram, l.XDPMode = x.ProgId, xdpMode(x.AttachMode)
	}
	return l
}

// xdpMode names a value of IFLA_XDP_ATTACHED (linux/if_link.h).
func xdpMode(attached uint32) XDPMode {
	switch attached {
	case 1:
		return XDPNative
	case 2:
		return XDPGeneric
	case 3:
		return XDPOffload
	case 4:
		return XDPMulti
	}
	return XDPNone
}

// addrFrom converts netlink's addresses; an absent one becomes the zero Addr.
func addrFrom(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func prefixFrom(n *net.IPNet) netip.Prefix {
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addrFrom(n.IP), bits)
}
