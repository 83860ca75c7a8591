package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// AddNeighbour tells the node the link address of a neighbour for good, as for one
// that answers no ARP.
func (n *Node) AddNeighbour(ifname string, addr netip.Addr, mac net.HardwareAddr) error {
	link, err := n.link(ifname)
	if err != nil {
		return err
	}
	entry := &netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac}
	if err := n.handle.NeighSet(entry); err != nil {
		return fmt.Errorf("add neighbour %s on %s of %s: %w", addr, ifname, n.name, err)
	}
	return nil
}

// AddDummy adds an interface that takes and forgets what is sent to it, which is
// the cheapest end that a packet of the kernel can find.
func (n *Node) AddDummy(name string, addr netip.Prefix) (*Iface, error) {
	dummy := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := n.handle.LinkAdd(dummy); err != nil {
		return nil, fmt.Errorf("add %s to %s: %w", name, n.name, err)
	}
	if err := n.setUp(name, true); err != nil {
		return nil, err
	}
	if err := n.AddAddr(name, addr); err != nil {
		return nil, err
	}
	link, err := n.link(name)
	if err != nil {
		return nil, err
	}
	return &Iface{Node: n, Name: name, Index: link.Attrs().Index, MAC: link.Attrs().HardwareAddr, Addrs: []netip.Prefix{addr}}, nil
}

// Sent returns how many frames left by the interface.
func (i *Iface) Sent() (uint64, error) {
	link, err := i.Node.link(i.Name)
	if err != nil {
		return 0, err
	}
	if s := link.Attrs().Statistics; s != nil {
		return s.TxPackets, nil
	}
	return 0, nil
}

// Counter reads a counter that the node's IP stack keeps (RFC 4022, RFC 4293),
// such as OutRsts of Tcp.
func (n *Node) Counter(group, name string) (count uint64, err error) {
	var text []byte
	err = n.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	if err == nil {
		count, err = counterIn(text, group, name)
	}
	if err != nil {
		return 0, fmt.Errorf("read %s.%s on %s: %w", group, name, n.name, err)
	}
	return count, nil
}

// counterIn finds a counter in what /proc/net/snmp says: of each group a line
// of names and a line of values, each behind the group's name.
func counterIn(snmp []byte, group, name string) (uint64, error) {
	var names []string
	for lines := bufio.NewScanner(bytes.NewReader(snmp)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] != group+":" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		if i := slices.Index(names, name); i > 0 && i < len(fields) {
			return strconv.ParseUint(fields[i], 10, 64)
		}
	}
	return 0, errors.New("no such counter")
}
