package rawconn

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/vrrp"
)

// wire6 sends and receives what follows the IPv6 header; the header's fields
// travel as control data. The kernel checks and fills no checksum
// (IPV6_CHECKSUM is off), since a refused advert has to be counted.
type wire6 struct{ c *ipv6.PacketConn }

const (
	trafficClass = 0xc0 // internetwork control
	hopLimit     = 255
)

func newWire6(pc net.PacketConn) (wire, error) {
	c := ipv6.NewPacketConn(pc)
	return &wire6{c}, errors.Join(
		c.SetMulticastLoopback(false),
		c.SetMulticastHopLimit(hopLimit),
		c.SetHopLimit(hopLimit),
		c.SetTrafficClass(trafficClass),
		c.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagDst, true),
	)
}

func (w *wire6) Close() error { return w.c.Close() }

func (w *wire6) join(ifi *net.Interface, group netip.Addr) error {
	return errors.Join(w.c.JoinGroup(ifi, ipAddr(group)), w.c.SetMulticastInterface(ifi))
}

func (w *wire6) leave(ifi *net.Interface, group netip.Addr) error {
	return w.c.LeaveGroup(ifi, ipAddr(group))
}

func (w *wire6) filter(prog []bpf.RawInstruction) error { return w.c.SetBPF(prog) }

func (w *wire6) packet(in *inbox, i int) (vrrp.Packet, error) {
	var cm ipv6.ControlMessage
	if err := cm.Parse(in.control(i)); err != nil {
		return vrrp.Packet{}, err
	}
	dst, _ := netip.AddrFromSlice(cm.Dst)
	return vrrp.Packet{
		Src:      in.source(i),
		Dst:      dst,
		TTL:      uint8(cm.HopLimit),
		Protocol: vrrp.ProtocolVRRP,
		Payload:  in.data(i),
	}, nil
}

// send chooses the source address by control data. The address has to be one
// of the link's.
func (w *wire6) send(out *outbox, p vrrp.Packet, ifindex int) error {
	key := control{p.Src, p.TTL, ifindex}
	if out.control != key {
		cm := ipv6.ControlMessage{Src: p.Src.AsSlice(), HopLimit: int(p.TTL), IfIndex: ifindex, TrafficClass: trafficClass}
		out.control, out.oob = key, cm.Marshal()
	}
	_, err := w.c.WriteBatch(out.message(p, out.oob), unix.MSG_DONTWAIT)
	return err
}
