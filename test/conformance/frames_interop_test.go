//go:build interop

package conformance

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// heard is one frame from the wire.
type heard struct {
	at   time.Time
	data []byte
}

// tap keeps what an interface hears.
type tap struct {
	mu     sync.Mutex // guards frames
	frames []heard
}

func (t *tap) hear(f labtest.Frame) {
	if f.Sent {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frames = append(t.frames, heard{f.At, f.Data})
}

func (t *tap) all() []heard {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.frames[:len(t.frames):len(t.frames)]
}

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	protoICMP   = 1
	protoIGMP   = 2
	protoAH     = 51
	protoICMPv6 = 58
	protoVRRP   = 112
)

// ip is an IP packet in a frame.
type ip struct {
	heard
	from, to net.HardwareAddr
	src, dst netip.Addr
	ttl, tos uint8
	proto    uint8
	header   []byte
	payload  []byte
}

func (h heard) etherType() uint16 { return binary.BigEndian.Uint16(h.data[12:]) }

// ip takes a frame apart. IPv6 extension headers are left in the payload.
func (h heard) ip() (p ip, ok bool) {
	p = ip{heard: h, from: net.HardwareAddr(h.data[6:12]), to: net.HardwareAddr(h.data[:6])}
	b := h.data[14:]
	switch {
	case h.etherType() == etherIPv4 && len(b) >= 20:
		n, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
		if n < 20 || total < n || len(b) < total {
			return p, false
		}
		p.src, p.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		p.tos, p.ttl, p.proto, p.header, p.payload = b[1], b[8], b[9], b[:n], b[n:total]
		return p, true
	case h.etherType() == etherIPv6 && len(b) >= 40:
		total := 40 + int(binary.BigEndian.Uint16(b[4:]))
		if len(b) < total {
			return p, false
		}
		p.src, p.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		p.tos, p.ttl, p.proto, p.header, p.payload = b[0]<<4|b[1]>>4, b[7], b[6], b[:40], b[40:total]
		return p, true
	}
	return p, false
}

// advert is a VRRP message on the wire; its fields are read by hand.
type advert struct {
	ip
	msg []byte
}

func (a advert) ipv6() bool    { return a.src.Is6() }
func (a advert) vrid() int     { return int(a.msg[1]) }
func (a advert) priority() int { return int(a.msg[2]) }
func (a advert) count() int    { return int(a.msg[3]) }
func (a advert) interval() int { return int(binary.BigEndian.Uint16(a.msg[4:])) }
func (a advert) authData() []byte {
	at := 8 + 4*a.count()
	return a.msg[min(at, len(a.msg)):]
}

// addr returns the n-th address.
func (a advert) addr(n int) netip.Addr {
	size := 4
	if a.ipv6() {
		size = 16
	}
	addr, _ := netip.AddrFromSlice(a.msg[8+n*size : 8+(n+1)*size])
	return addr
}

// adverts returns the adverts so far.
func (t *tap) adverts() (list []advert) {
	for _, h := range t.all() {
		p, ok := h.ip()
		if !ok {
			continue
		}
		a := advert{p, p.payload}
		if p.proto == protoAH && len(p.payload) >= 24 {
			a.msg = p.payload[24:]
		} else if p.proto != protoVRRP {
			continue
		}
		if len(a.msg) >= 8 {
			list = append(list, a)
		}
	}
	return list
}

// arp is an ARP packet.
type arp struct {
	heard
	op             int
	from, to       net.HardwareAddr // of the frame
	senderMAC      net.HardwareAddr
	sender, target netip.Addr
	targetMAC      net.HardwareAddr
}

func (t *tap) arps() (list []arp) {
	for _, h := range t.all() {
		if h.etherType() != etherARP || len(h.data) < 42 {
			continue
		}
		b := h.data[14:]
		list = append(list, arp{
			heard: h, op: int(binary.BigEndian.Uint16(b[6:])), from: h.data[6:12], to: h.data[:6],
			senderMAC: b[8:14], sender: netip.AddrFrom4([4]byte(b[14:18])),
			targetMAC: b[18:24], target: netip.AddrFrom4([4]byte(b[24:28])),
		})
	}
	return list
}

// gratuitous returns the announcements of an IPv4 address.
func (t *tap) gratuitous(addr string) (list []arp) {
	a := netip.MustParseAddr(addr)
	for _, p := range t.arps() {
		if p.sender == a && p.target == a {
			list = append(list, p)
		}
	}
	return list
}

// neighbour is a neighbour advertisement.
type neighbour struct {
	ip
	router, solicited, override bool
	target                      netip.Addr
	mac                         net.HardwareAddr // of the option, or nil
}

const typeNA = 136

func (t *tap) neighbours(addr string) (list []neighbour) {
	want := netip.MustParseAddr(addr)
	for _, h := range t.all() {
		p, ok := h.ip()
		if !ok || p.proto != protoICMPv6 || len(p.payload) < 24 || p.payload[0] != typeNA {
			continue
		}
		n := neighbour{ip: p, target: netip.AddrFrom16([16]byte(p.payload[8:24]))}
		flags := p.payload[4]
		n.router, n.solicited, n.override = flags&0x80 != 0, flags&0x40 != 0, flags&0x20 != 0
		if opt := p.payload[24:]; len(opt) >= 8 && opt[0] == 2 {
			n.mac = net.HardwareAddr(opt[2:8])
		}
		if n.target == want {
			list = append(list, n)
		}
	}
	return list
}

// sum returns the Internet checksum.
func sum(parts ...[]byte) uint16 {
	var total uint32
	for _, b := range parts {
		for len(b) > 1 {
			total += uint32(binary.BigEndian.Uint16(b))
			b = b[2:]
		}
		if len(b) == 1 {
			total += uint32(b[0]) << 8
		}
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return ^uint16(total)
}

// pseudo returns the pseudo header of a message.
func pseudo(src, dst netip.Addr, length int, proto byte) []byte {
	b := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is4() {
		return append(b, 0, proto, byte(length>>8), byte(length))
	}
	return append(b, 0, 0, byte(length>>8), byte(length), 0, 0, 0, proto)
}
