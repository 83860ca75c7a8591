package health

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"sync"
	"testing"

	"github.com/evenkeel/evenkeel/model"
)

// pingable skips a test where this process may open no socket for echoes.
func pingable(t *testing.T, c model.Check) {
	t.Helper()
	conn, err := openPing(c)
	if err != nil {
		t.Skipf("no ICMP socket (needs net.ipv4.ping_group_range or CAP_NET_RAW): %v", err)
	}
	_ = conn.Close()
}

func TestPing(t *testing.T) {
	for _, to := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.2"} {
		t.Run(to, func(t *testing.T) {
			c := networkCheck(model.PingCheck, netip.AddrPortFrom(netip.MustParseAddr(to), 80))
			pingable(t, c)
			k := NewCheckers(CheckersOptions{})
			expect(t, k, c, "")
			c.BindInterface = "ek-none0"
			expect(t, k, c, "not tried: bind_if ek-none0: no such interface")
			c.BindInterface = ""
			if c.ConnectTo.Addr().Is4() {
				c.BindTo = netip.MustParseAddrPort("127.0.0.9:5000")
				expect(t, k, c, "")
				c.BindTo = netip.MustParseAddrPort("192.0.2.55:0")
				expect(t, k, c, "not tried: bind to 192.0.2.55: cannot assign requested address")
			}
		})
	}
}

// All tries share one socket, which is closed after the last one.
func TestPingsShareASocket(t *testing.T) {
	c := networkCheck(model.PingCheck, netip.MustParseAddrPort("127.0.0.1:0"))
	pingable(t, c)
	k := NewCheckers(CheckersOptions{})
	var running sync.WaitGroup
	for n := range 200 {
		one := c
		one.ConnectTo = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(n)}), 0)
		running.Go(func() { expect(t, k, one, "") })
	}
	running.Wait()
	if n := len(k.pings.sockets); n != 0 {
		t.Errorf("%d sockets are left open", n)
	}
	first, err := k.pings.acquire(c)
	if err != nil {
		t.Fatal(err)
	}
	defer k.pings.release(keyOf(c), first)
	c.ConnectTo = netip.MustParseAddrPort("127.0.0.2:0")
	second, err := k.pings.acquire(c)
	if err != nil {
		t.Fatal(err)
	}
	defer k.pings.release(keyOf(c), second)
	if first != second {
		t.Error("two targets have two sockets")
	}
}

func TestPingUnanswered(t *testing.T) {
	// TEST-NET-1 leads nowhere; where there is no route at all, the kernel
	// says so at once.
	c := networkCheck(model.PingCheck, netip.MustParseAddrPort("192.0.2.200:0"))
	pingable(t, c)
	c.ConnectTimeout = impatient
	err := NewCheckers(CheckersOptions{}).Probe(t.Context(), c)
	if err == nil || errors.Is(err, ErrNotTried) {
		t.Errorf("%v, want a failure", err)
	}
}

// A reply counts for the try that it belongs to, and only from its target.
func TestPingDelivery(t *testing.T) {
	p := &pings{}
	s := &pingSocket{waiters: make(map[uint64]*pingWaiter)}
	a := &pingWaiter{from: netip.MustParseAddr("10.0.0.1"), reply: make(chan struct{}, 1)}
	b := &pingWaiter{from: netip.MustParseAddr("fe80::1%eth0"), reply: make(chan struct{}, 1)}
	markA, seqA := p.enter(s, a)
	markB, seqB := p.enter(s, b)
	if seqA == seqB || markA == markB {
		t.Errorf("two tries share sequence number %d and %d or mark", seqA, seqB)
	}
	p.deliver(s, markA, netip.MustParseAddr("10.0.0.2"))
	p.deliver(s, markA^1, netip.MustParseAddr("10.0.0.1"))
	if len(a.reply) != 0 {
		t.Error("a reply from elsewhere counts")
	}
	p.deliver(s, markA, netip.MustParseAddr("10.0.0.1"))
	p.deliver(s, markA, netip.MustParseAddr("10.0.0.1"))
	p.deliver(s, markB, netip.MustParseAddr("fe80::1%2"))
	if len(a.reply) != 1 || len(b.reply) != 1 {
		t.Errorf("%d and %d replies delivered, want one each", len(a.reply), len(b.reply))
	}
	p.leave(s, markA)
	p.deliver(s, markA, netip.MustParseAddr("10.0.0.1"))
}

func TestEcho(t *testing.T) {
	request, err := echoRequest(false, 0x0102, 3, 0x1122334455667788)
	if err != nil {
		t.Fatal(err)
	}
	// Type, code, the checksum in between, id, sequence number, mark.
	if got := hex.EncodeToString(request); got[:4] != "0800" || got[8:32] != "01020003"+"1122334455667788" {
		t.Errorf("request %s", got)
	}
	reply := append([]byte{0}, request[1:]...)
	if mark, ok := echoReply(reply, false); !ok || mark != 0x1122334455667788 {
		t.Errorf("reply read as %x, %v", mark, ok)
	}
	reply[0] = 129
	if mark, ok := echoReply(reply, true); !ok || mark != 0x1122334455667788 {
		t.Errorf("ICMPv6 reply read as %x, %v", mark, ok)
	}
	for name, packet := range map[string][]byte{
		"the request": request, "nothing": nil, "short": reply[:10], "longer": append(reply[:len(reply):len(reply)], 0),
		"another text": append(reply[:len(reply)-1:len(reply)-1], 'x'),
	} {
		for _, six := range []bool{true, false} {
			if _, ok := echoReply(packet, six); ok {
				t.Errorf("%s counts as a reply (IPv6 %v)", name, six)
			}
		}
	}
}
