package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// icmpProtocol is ICMP's number for the parser.
const icmpProtocol = 1

// ping sends one echo request from a node and waits for its reply. ctx has a
// deadline.
func ping(ctx context.Context, from *lab.Node, to netip.Addr) error {
	conn, err := from.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		return fmt.Errorf("open socket for echo: %w", err)
	}
	defer conn.Close()
	end, _ := ctx.Deadline() // none means forever, as the zero time does
	if err := conn.SetDeadline(end); err != nil {
		return fmt.Errorf("set deadline of echo: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // the read says so
	defer stop()
	echo := icmp.Echo{ID: rand.IntN(1 << 16), Seq: rand.IntN(1 << 16)}
	request, err := (&icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &echo}).Marshal(nil)
	if err != nil {
		return fmt.Errorf("write echo request: %w", err)
	}
	if _, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	return awaitEcho(conn, echo)
}

// awaitEcho reads until the reply comes: the socket gets those of others too.
func awaitEcho(conn net.PacketConn, echo icmp.Echo) error {
	buf := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(icmpProtocol, buf[:n])
		if err != nil || m.Type != ipv4.ICMPTypeEchoReply {
			continue
		}
		if reply, ok := m.Body.(*icmp.Echo); ok && reply.ID == echo.ID && reply.Seq == echo.Seq {
			return nil
		}
	}
}
