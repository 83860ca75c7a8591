//go:build interop

package conformance

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5" // fixed by version 2
	"encoding/binary"
	"net"
	"net/netip"
)

// forge makes an advert by hand, good or bad. The zero value of a field is what
// a good one has.
type forge struct {
	version  int // default 3
	ipv6     bool
	vrid     int // default 51
	priority int
	kind     int        // default 1
	interval int        // of the wire; default 10 (100 ms), in version 2 1
	src, dst netip.Addr // default the rival's, and the group
	to       net.HardwareAddr
	ttl      int      // default 255; -1 is 0
	vips     []string // default as in inst
	count    int      // in place of that of vips; -1 is 0

	authType int
	auth     string
	ah       string // key of an authentication header
	seq      uint32
	spi      netip.Addr

	noPseudo bool   // the other reading of version 3 over IPv4
	xor      uint16 // spoils the checksum
	tail     int    // bytes behind the message
	cut      int    // the message ends after so many bytes; -1 is 0
	padding  int    // of the frame
	options  int    // bytes of IP options
	flags    uint16 // flags and offset of IPv4
	firstIP  byte   // in place of version and length
	hopByHop bool
	proto    int
	reserved int // the four bits in front of the interval
}

var (
	rivalMAC = net.HardwareAddr{2, 0, 10, 90, 0, 9}
	group4   = netip.MustParseAddr("224.0.0.18")
	group6   = netip.MustParseAddr("ff02::12")
)

func (f forge) withDefaults() forge {
	set := func(field *int, value int) {
		switch *field {
		case 0:
			*field = value
		case -1:
			*field = 0
		}
	}
	set(&f.version, 3)
	set(&f.vrid, vrid)
	set(&f.kind, 1)
	set(&f.ttl, 255)
	if f.version == 2 {
		set(&f.interval, 1)
	} else {
		set(&f.interval, 10)
	}
	i := inst{ipv6: f.ipv6}.withDefaults()
	if f.vips == nil {
		for _, v := range i.vips {
			f.vips = append(f.vips, netip.MustParsePrefix(v).Addr().String())
		}
	}
	set(&f.count, len(f.vips))
	if !f.src.IsValid() {
		f.src = netip.MustParseAddr("10.90.0.9")
		if f.ipv6 {
			f.src = netip.MustParseAddr("fe80::9")
		}
	}
	if !f.dst.IsValid() {
		f.dst = group4
		if f.ipv6 {
			f.dst = group6
		}
	}
	if !f.spi.IsValid() {
		f.spi = f.src
	}
	if f.proto == 0 {
		f.proto = protoVRRP
		if f.ah != "" {
			f.proto = protoAH
		}
	}
	return f
}

// message returns the VRRP message.
func (f forge) message() []byte {
	b := []byte{byte(f.version<<4 | f.kind), byte(f.vrid), byte(f.priority), byte(f.count)}
	if f.version == 2 {
		b = append(b, byte(f.authType), byte(f.interval))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(f.reserved<<12|f.interval))
	}
	b = append(b, 0, 0)
	for _, v := range f.vips {
		b = append(b, netip.MustParseAddr(v).AsSlice()...)
	}
	if f.version == 2 {
		var auth [8]byte
		copy(auth[:], f.auth)
		b = append(b, auth[:]...)
	}
	b = append(b, make([]byte, f.tail)...)
	switch {
	case f.cut > 0:
		b = b[:f.cut]
	case f.cut < 0:
		return nil
	}
	if len(b) < 8 {
		return b
	}
	var ph []byte
	if f.version != 2 && !f.noPseudo {
		ph = pseudo(f.src, f.dst, len(b), protoVRRP)
	}
	binary.BigEndian.PutUint16(b[6:], sum(ph, b)^f.xor)
	return b
}

// frame returns the whole Ethernet frame.
func (f forge) frame() []byte {
	f = f.withDefaults()
	to := f.to
	if to == nil {
		to = net.HardwareAddr{1, 0, 0x5e, 0, 0, 18}
		if f.ipv6 {
			to = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 18}
		}
	}
	b := append(append(bytes.Clone(to), rivalMAC...), 0x08, 0x00)
	if f.ipv6 {
		b[12], b[13] = 0x86, 0xdd
		b = append(b, f.packet6()...)
	} else {
		b = append(b, f.packet4()...)
	}
	return append(b, make([]byte, f.padding)...)
}

func (f forge) packet6() []byte {
	msg, next := f.message(), byte(f.proto)
	if f.hopByHop {
		msg = append([]byte{next, 0, 1, 4, 0, 0, 0, 0}, msg...) // PadN
		next = 0
	}
	b := []byte{0x6c, 0, 0, 0, byte(len(msg) >> 8), byte(len(msg)), next, byte(f.ttl)}
	b = append(append(b, f.src.AsSlice()...), f.dst.AsSlice()...)
	return append(b, msg...)
}

func (f forge) packet4() []byte {
	payload := f.message()
	if f.ah != "" {
		spi := f.spi.As4()
		head := append([]byte{protoVRRP, 4, 0, 0}, spi[:]...)
		head = binary.BigEndian.AppendUint32(head, f.seq)
		payload = append(append(head, make([]byte, 12)...), payload...)
	}
	size := 20 + f.options
	h := make([]byte, size)
	h[0], h[1] = 0x40|byte(size/4), 0xc0
	if f.firstIP != 0 {
		h[0] = f.firstIP
	}
	binary.BigEndian.PutUint16(h[2:], uint16(size+len(payload)))
	binary.BigEndian.PutUint16(h[4:], 1)
	binary.BigEndian.PutUint16(h[6:], f.flags)
	h[8], h[9] = byte(f.ttl), byte(f.proto)
	copy(h[12:], f.src.AsSlice())
	copy(h[16:], f.dst.AsSlice())
	for n := 20; n < size; n++ {
		h[n] = 1 // no operation
	}
	if f.ah != "" {
		copy(payload[12:24], icv(f.ah, h, payload))
	}
	binary.BigEndian.PutUint16(h[10:], sum(h))
	return append(h, payload...)
}

// icv returns the integrity check value as keepalived computes it in multicast:
// type of service, flags, offset and checksum are zero.
func icv(key string, header, payload []byte) []byte {
	h := bytes.Clone(header)
	h[1], h[6], h[7], h[10], h[11] = 0, 0, 0, 0, 0
	var k [8]byte
	copy(k[:], key)
	mac := hmac.New(md5.New, k[:])
	mac.Write(h)
	mac.Write(payload)
	return mac.Sum(nil)[:12]
}
