package netif

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes and special indexes of RTM_GETNETCONF (linux/netconf.h).
const (
	netconfIfIndex    = 1
	netconfForwarding = 2
	netconfRPFilter   = 3
	netconfAll        = -1 // net.ipv4.conf.all
)

// Forwarding says whether the host forwards IPv4 (net.ipv4.ip_forward).
func (k *Kernel) Forwarding() (bool, error) {
	v, err := k.netconf(netconfAll, netconfForwarding)
	return v != 0, err
}

// RPFilter returns the IPv4 reverse path filter that acts on the interface: 0
// off, 1 strict, 2 loose. It is the larger of the interface's setting and of
// "all".
func (k *Kernel) RPFilter(ifindex int) (int, error) {
	all, err := k.netconf(netconfAll, netconfRPFilter)
	if err != nil {
		return 0, err
	}
	own, err := k.netconf(ifindex, netconfRPFilter)
	return max(all, own), err
}

// netconf reads one IPv4 setting. Unlike files under /proc/sys, netlink
// answers for the Kernel's namespace on any thread.
func (k *Kernel) netconf(ifindex int, attr uint16) (int, error) {
	req := k.request(unix.RTM_GETNETCONF, 0)
	req.AddRawData([]byte{unix.AF_INET, 0, 0, 0}) // struct netconfmsg, padded
	req.AddRawData(nl.NewRtAttr(netconfIfIndex, nl.Uint32Attr(uint32(int32(ifindex)))).Serialize())
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNETCONF)
	if err != nil {
		return 0, fmt.Errorf("read IPv4 settings of interface %d: %w", ifindex, err)
	}
	for _, m := range msgs {
		if len(m) < 4 {
			continue
		}
		attrs, err := nl.ParseRouteAttr(m[4:])
		if err != nil {
			return 0, fmt.Errorf("read IPv4 settings of interface %d: %w", ifindex, err)
		}
		for _, a := range attrs {
			if a.Attr.Type == attr && len(a.Value) >= 4 {
				return int(int32(nl.NativeEndian().Uint32(a.Value))), nil
			}
		}
	}
	return 0, fmt.Errorf("read IPv4 settings of interface %d: the kernel left out attribute %d", ifindex, attr)
}
