package netif

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Protocol marks neighbour entries as Evenkeel's (NDA_PROTOCOL, one of the
// free RTPROT numbers). ip -d neigh shows it as "proto 69".
const Protocol = 69

// ErrNotManaged is returned by Manage on a kernel without managed
// neighbours (before 5.16). The entry then has to be probed at intervals.
var ErrNotManaged = errors.New("kernel has no managed neighbours")

// NeighKey names a neighbour entry: an address on an interface.
type NeighKey struct {
	IfIndex int
	Addr    netip.Addr
}

// Neighbour is an entry of the kernel's neighbour table at one moment. The
// zero value stands for no entry.
type Neighbour struct {
	Exists bool
	// MAC counts when Valid is set.
	MAC [6]byte
	// Valid is set in every state in which the kernel itself would send to MAC.
	Valid bool
	// Fixed is set for an entry that somebody else keeps: permanent, without
	// ARP, or learned by a control plane. It must not be managed or probed: the
	// kernel would drop those marks.
	Fixed bool
	// Managed is set while the kernel keeps the entry warm by itself.
	Managed bool
	// Protocol is who made the entry, 0 for unknown.
	Protocol uint8
}

// Ours says whether the kernel keeps the entry warm on Evenkeel's request.
func (n Neighbour) Ours() bool { return n.Managed && n.Protocol == Protocol }

// Neighbour reads one entry. No entry is an answer, not an error.
func (k *Kernel) Neighbour(key NeighKey) (Neighbour, error) {
	req := k.neighRequest(unix.RTM_GETNEIGH, 0, key, 0)
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return Neighbour{}, nil
	case err != nil:
		return Neighbour{}, fmt.Errorf("read neighbour %s: %w", key.Addr, err)
	case len(msgs) == 0:
		return Neighbour{}, nil
	}
	_, n, err := parseNeighbour(msgs[0])
	return n, err
}

// Manage asks the kernel to find the neighbour now and to keep it reachable
// from then on. It must not be called for a Fixed entry. It returns
// ErrNotManaged, after starting one probe, on a kernel that does not know how.
func (k *Kernel) Manage(key NeighKey) error {
	// NTF_USE keeps the state of an entry that is there, which an old kernel
	// that overlooks the extended flag would otherwise reset.
	req := k.neighRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_ACK, key, netlink.NTF_USE)
	req.AddData(nl.NewRtAttr(netlink.NDA_FLAGS_EXT, nl.Uint32Attr(netlink.NTF_EXT_MANAGED)))
	req.AddData(nl.NewRtAttr(netlink.NDA_PROTOCOL, []byte{Protocol}))
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("manage neighbour %s: %w", key.Addr, err)
	}
	n, err := k.Neighbour(key)
	if err == nil && n.Exists && !n.Managed {
		return ErrNotManaged
	}
	return err
}

// Probe asks the kernel to confirm the neighbour, as if a packet were sent to
// it. It ends the kernel's own care for it. It must not be called for a Fixed
// entry.
func (k *Kernel) Probe(key NeighKey) error {
	req := k.neighRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_ACK, key, netlink.NTF_USE)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("probe neighbour %s: %w", key.Addr, err)
	}
	return nil
}

// Release ends the kernel's care for the entry and keeps its state. An entry
// that is gone is no error.
func (k *Kernel) Release(key NeighKey) error {
	req := k.neighRequest(unix.RTM_NEWNEIGH, unix.NLM_F_ACK, key, netlink.NTF_USE)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("release neighbour %s: %w", key.Addr, err)
	}
	return nil
}

// Managed lists the entries that carry Protocol and are managed, also those
// of an earlier process.
func (k *Kernel) Managed() ([]NeighKey, error) {
	req := k.request(unix.RTM_GETNEIGH, unix.NLM_F_DUMP)
	req.RetryInterrupted = true
	req.AddData(&netlink.Ndmsg{})
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	var keys []NeighKey
	for _, m := range msgs {
		key, n, err := parseNeighbour(m)
		if err != nil {
			return nil, err
		}
		if n.Ours() {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// neighRequest makes a request about one entry.
func (k *Kernel) neighRequest(kind, flags int, key NeighKey, ntf uint8) *nl.NetlinkRequest {
	family := uint8(unix.AF_INET6)
	if key.Addr.Is4() {
		family = unix.AF_INET
	}
	req := k.request(kind, flags)
	req.AddData(&netlink.Ndmsg{Family: family, Index: uint32(key.IfIndex), Flags: ntf})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, key.Addr.AsSlice()))
	return req
}

// ndmsgSize is sizeof(struct ndmsg).
const ndmsgSize = 12

// States in which the kernel sends to the address that it has (NUD_VALID), and
// those that nothing confirms.
const (
	nudValid = netlink.NUD_PERMANENT | netlink.NUD_NOARP | netlink.NUD_REACHABLE |
		netlink.NUD_PROBE | netlink.NUD_STALE | netlink.NUD_DELAY
	nudFixed = netlink.NUD_PERMANENT | netlink.NUD_NOARP
)

// parseNeighbour reads a neighbour message. netlink's own parser leaves out
// the protocol.
func parseNeighbour(msg []byte) (NeighKey, Neighbour, error) {
	if len(msg) < ndmsgSize {
		return NeighKey{}, Neighbour{}, fmt.Errorf("parse neighbour: %d bytes are too few", len(msg))
	}
	attrs, err := nl.ParseRouteAttr(msg[ndmsgSize:])
	if err != nil {
		return NeighKey{}, Neighbour{}, fmt.Errorf("parse neighbour: %w", err)
	}
	native := nl.NativeEndian()
	state, flags := int(native.Uint16(msg[8:])), int(msg[10])
	key := NeighKey{IfIndex: int(native.Uint32(msg[4:]))}
	n := Neighbour{Exists: true, Fixed: state&nudFixed != 0 || flags&netlink.NTF_EXT_LEARNED != 0}
	for _, a := range attrs {
		switch a.Attr.Type {
		case netlink.NDA_DST:
			key.Addr = addrFrom(a.Value)
		case netlink.NDA_LLADDR:
			n.Valid = state&nudValid != 0 && copy(n.MAC[:], a.Value) == len(n.MAC)
		case netlink.NDA_PROTOCOL:
			n.Protocol = a.Value[0]
		case netlink.NDA_FLAGS_EXT:
			n.Managed = native.Uint32(a.Value)&netlink.NTF_EXT_MANAGED != 0
		}
	}
	return key, n, nil
}
