package vrrp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// Version is a version of the protocol.
type Version uint8

// The versions.
const (
	V2 Version = 2 // RFC 3768; IPv4 only
	V3 Version = 3 // RFC 5798 and RFC 9568
)

// AuthType is the authentication type of a version 2 advert.
type AuthType uint8

// The authentication types. RFC 3768 withdrew all but the first; keepalived
// still speaks them.
const (
	AuthNone AuthType = 0
	AuthPass AuthType = 1 // eight bytes in clear at the end of the advert
	AuthAH   AuthType = 2 // an IPsec authentication header before the advert
)

// String returns the type as keepalived.conf spells it.
func (a AuthType) String() string {
	switch a {
	case AuthNone:
		return "none"
	case AuthPass:
		return "PASS"
	case AuthAH:
		return "AH"
	}
	return fmt.Sprintf("%d", uint8(a))
}

const (
	// ProtocolVRRP is the IP protocol, or IPv6 next header, of an advert.
	ProtocolVRRP = 112
	// ProtocolAH is the IP protocol of an advert behind an authentication
	// header.
	ProtocolAH = 51

	// PriorityOwner is the priority of the router that owns the addresses.
	PriorityOwner = 255
	// PriorityStop in an advert says that its sender gives up mastership.
	PriorityStop = 0

	headerLen = 8 // of both versions
	authLen   = 8 // behind the addresses of version 2
	typeAdver = 1

	centisecond   = 10 * time.Millisecond
	maxIntervalV2 = 255 * time.Second
	maxIntervalV3 = 4095 * centisecond
)

// Advert is a VRRP advertisement as it is on the wire.
type Advert struct {
	Version  Version
	VRID     uint8
	Priority uint8
	// Interval counts in whole seconds in version 2 and in centiseconds in
	// version 3.
	Interval time.Duration
	// Addresses are those of the virtual router, of one family, in the order
	// of the packet.
	Addresses []netip.Addr
	// AuthType and AuthData are for version 2, zero otherwise.
	AuthType AuthType
	AuthData [authLen]byte
}

// Append appends the message to b, with the checksum that covers the pseudo
// header ph. Version 2 leaves ph out of the sum. The error says which field
// the version has no room for; b is returned unchanged then.
func (a Advert) Append(b []byte, ph PseudoHeader) ([]byte, error) {
	if err := a.check(); err != nil {
		return b, fmt.Errorf("encode advert: %w", err)
	}
	start := len(b)
	b = append(b, byte(a.Version)<<4|typeAdver, a.VRID, a.Priority, byte(len(a.Addresses)))
	if a.Version == V2 {
		b = append(b, byte(a.AuthType), byte(a.Interval/time.Second))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/centisecond))
	}
	b = append(b, 0, 0) // checksum
	for _, addr := range a.Addresses {
		if addr.Is4() {
			octets := addr.As4()
			b = append(b, octets[:]...)
		} else {
			octets := addr.As16()
			b = append(b, octets[:]...)
		}
	}
	if a.Version == V2 {
		b = append(b, a.AuthData[:]...)
		ph = PseudoHeader{}
	}
	msg := b[start:]
	binary.BigEndian.PutUint16(msg[6:], ^ph.sum(msg))
	return b, nil
}

func (a Advert) check() error {
	if len(a.Addresses) > 255 {
		return fmt.Errorf("%d addresses, at most 255 fit", len(a.Addresses))
	}
	for _, addr := range a.Addresses {
		if !addr.IsValid() || addr.Is4() != a.Addresses[0].Is4() {
			return fmt.Errorf("address %s is not of the family of %s", addr, a.Addresses[0])
		}
		if a.Version == V2 && !addr.Is4() {
			return fmt.Errorf("version 2 carries no IPv6 address %s", addr)
		}
	}
	return checkInterval(a.Version, a.Interval)
}

// checkInterval says why an interval cannot be written in an advert.
func checkInterval(v Version, d time.Duration) error {
	switch {
	case v == V2 && (d < 0 || d > maxIntervalV2 || d%time.Second != 0):
		return fmt.Errorf("interval %s is not a whole number of seconds up to 255", d)
	case v == V3 && (d < 0 || d > maxIntervalV3 || d%centisecond != 0):
		return fmt.Errorf("interval %s is not a whole number of centiseconds up to 40.95 s", d)
	case v != V2 && v != V3:
		return fmt.Errorf("version %d is neither 2 nor 3", v)
	}
	return nil
}

// Decode reads a message whose addresses are of the family of its carrier. It
// checks lengths, version and type and returns a *DropError for them. The
// checksum is VerifyChecksum's part, all else Codec's.
func Decode(b []byte, ipv6 bool) (Advert, error) {
	m := message{b, ipv6}
	if err := m.checkLeast(); err != nil {
		return Advert{}, err
	}
	if v := m.version(); v != V2 && v != V3 || v == V2 && ipv6 {
		return Advert{}, &DropError{Drop: DropVersion, Got: int(v)}
	}
	if m.typ() != typeAdver {
		return Advert{}, &DropError{Drop: DropType, Got: int(m.typ()), Want: typeAdver}
	}
	if len(b) != m.wantLen() {
		return Advert{}, &DropError{Drop: DropLength, Got: len(b), Want: m.wantLen()}
	}
	return m.advert(), nil
}

// message reads the fields of a VRRP message. Only checkLeast may be called
// before checkLeast has passed.
type message struct {
	b    []byte
	ipv6 bool
}

func (m message) version() Version { return Version(m.b[0] >> 4) }
func (m message) typ() uint8       { return m.b[0] & 0xf }
func (m message) vrid() uint8      { return m.b[1] }
func (m message) priority() uint8  { return m.b[2] }
func (m message) count() int       { return int(m.b[3]) }

// authType is for version 2.
func (m message) authType() AuthType { return AuthType(m.b[4]) }

// interval leaves the reserved bits of version 3 out (RFC 9568 5.2.6).
func (m message) interval() time.Duration {
	if m.version() == V2 {
		return time.Duration(m.b[5]) * time.Second
	}
	return time.Duration(binary.BigEndian.Uint16(m.b[4:])&0xfff) * centisecond
}

func (m message) addrLen() int {
	if m.ipv6 {
		return 16
	}
	return 4
}

// addr returns the i-th address.
func (m message) addr(i int) netip.Addr {
	at := headerLen + i*m.addrLen()
	addr, _ := netip.AddrFromSlice(m.b[at : at+m.addrLen()])
	return addr
}

// authData is for version 2: the last eight bytes.
func (m message) authData() []byte {
	at := headerLen + m.count()*m.addrLen()
	return m.b[at : at+authLen]
}

// wantLen returns the length that the version and the count ask for.
func (m message) wantLen() int {
	n := headerLen + m.count()*m.addrLen()
	if m.version() == V2 && !m.ipv6 {
		n += authLen
	}
	return n
}

// checkLeast says whether all fields are there.
func (m message) checkLeast() error {
	if len(m.b) < headerLen {
		return &DropError{Drop: DropLength, Got: len(m.b), Want: headerLen}
	}
	if len(m.b) < m.wantLen() {
		return &DropError{Drop: DropLength, Got: len(m.b), Want: m.wantLen()}
	}
	return nil
}

func (m message) advert() Advert {
	a := Advert{
		Version:   m.version(),
		VRID:      m.vrid(),
		Priority:  m.priority(),
		Interval:  m.interval(),
		Addresses: make([]netip.Addr, m.count()),
	}
	for i := range a.Addresses {
		a.Addresses[i] = m.addr(i)
	}
	if a.Version == V2 {
		a.AuthType = m.authType()
		copy(a.AuthData[:], m.authData())
	}
	return a
}
