package rawconn

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"

	"github.com/evenkeel/evenkeel/vrrp"
)

// wire4 sends and receives whole IPv4 datagrams. TTL, TOS and source address
// are in the header that the codec writes.
type wire4 struct {
	c   *ipv4.RawConn
	raw syscall.RawConn
}

func newWire4(pc net.PacketConn, raw syscall.RawConn) (wire, error) {
	c, err := ipv4.NewRawConn(pc)
	if err != nil {
		return nil, err
	}
	return &wire4{c, raw}, c.SetMulticastLoopback(false)
}

func (w *wire4) Close() error { return w.c.Close() }

func (w *wire4) join(ifi *net.Interface, group netip.Addr) error {
	return errors.Join(w.c.JoinGroup(ifi, ipAddr(group)), w.c.SetMulticastInterface(ifi))
}

func (w *wire4) leave(ifi *net.Interface, group netip.Addr) error {
	return w.c.LeaveGroup(ifi, ipAddr(group))
}

func (w *wire4) filter(prog []bpf.RawInstruction) error { return w.c.SetBPF(prog) }

func (w *wire4) packet(in *inbox, i int) (vrrp.Packet, error) {
	return vrrp.ParseIPv4(in.data(i))
}

func (w *wire4) send(out *outbox, p vrrp.Packet, _ int) error {
	return out.send4(w.raw, p)
}

func ipAddr(a netip.Addr) *net.IPAddr { return &net.IPAddr{IP: a.AsSlice()} }
