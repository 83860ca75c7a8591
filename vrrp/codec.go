package vrrp

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Codec puts the adverts of one instance on the wire and checks those that
// arrive for it. It remembers the sequence numbers of authentication headers
// and the peers with old checksums. It belongs to one goroutine.
type Codec struct {
	cfg    Config
	source netip.Addr
	ipID   uint16
	// seq is the highest sequence number sent or accepted. keepalived takes
	// nothing at or below the highest that it knows from anybody.
	seq     uint32
	senders []ahSender
	// old are the peers whose checksums cover the multicast group.
	old []netip.Addr
	buf []byte
}

// ahSender is the last sequence number of one sender.
type ahSender struct {
	spi [4]byte
	seq uint32
}

// maxSenders bounds what is remembered of senders. Only who knows the secret
// gets into it.
const maxSenders = 16

// NewCodec returns the codec of an instance. The error is Validate's.
func NewCodec(cfg Config) (*Codec, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Codec{cfg: cfg, source: cfg.Source, seq: firstSequence(time.Now())}, nil
}

// SetSource changes the address that adverts come from.
func (c *Codec) SetSource(addr netip.Addr) { c.source = addr.WithZone("") }

// Reconfigure changes all but what was learned from peers. The error is
// Validate's, and nothing has changed then.
func (c *Codec) Reconfigure(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	c.cfg = cfg.withDefaults()
	if c.cfg.Source.IsValid() {
		c.source = c.cfg.Source
	}
	return nil
}

// Heard is an advert that passed all checks of a Codec, as an event for an
// Instance.
type Heard struct {
	Source   netip.Addr
	Priority uint8
	// Interval is the sender's.
	Interval time.Duration
	// OtherAddresses says that its address list is not ours.
	OtherAddresses bool
	// Arrived is when it reached this host. Zero: now.
	Arrived time.Time
}

// Check returns the advert in p, or the *DropError that refuses it. The checks
// run in keepalived's order. master is the last known master, whose address
// list need not be compared under SkipCheckAddresses; it may be invalid.
func (c *Codec) Check(p Packet, master netip.Addr) (Heard, error) {
	p.Src, p.Dst = p.Src.WithZone(""), p.Dst.WithZone("")
	m := message{p.Payload, c.cfg.IPv6}
	if p.Protocol == ProtocolAH {
		if len(p.Payload) < ahLen+headerLen || len(p.Header) < ipv4HeaderLen || c.cfg.IPv6 {
			return Heard{}, &DropError{Drop: DropLength, Got: len(p.Payload), Want: ahLen + headerLen}
		}
		m.b = p.Payload[ahLen:]
	}
	for _, check := range [...]func(*Codec, Packet, message) error{
		(*Codec).checkLength,
		(*Codec).checkTTL,
		(*Codec).checkVersion,
		(*Codec).checkAuth,
		(*Codec).checkInterval,
		(*Codec).checkTail,
		(*Codec).checkChecksum,
		(*Codec).checkDestination,
		(*Codec).checkOwn,
	} {
		if err := check(c, p, m); err != nil {
			return Heard{}, err
		}
	}
	h := Heard{Source: p.Src, Priority: m.priority(), Interval: m.interval(), Arrived: p.Arrived}
	var err error
	if h.OtherAddresses, err = c.checkAddresses(p, m, master); err != nil {
		return Heard{}, err
	}
	return h, c.checkSource(p)
}

func (c *Codec) checkLength(_ Packet, m message) error {
	if err := m.checkLeast(); err != nil {
		return err
	}
	if m.vrid() != c.cfg.VRID {
		return &DropError{Drop: DropVRID, Got: int(m.vrid()), Want: int(c.cfg.VRID)}
	}
	return nil
}

// checkTTL asks 255 of multicast only. Unicast may be routed, so it is the
// peer's window that counts.
func (c *Codec) checkTTL(p Packet, _ message) error {
	least, most := uint8(hopLimit), uint8(hopLimit)
	if len(c.cfg.Peers) > 0 {
		peer, ok := c.peer(p.Src)
		if !ok || peer.MinTTL == 0 && peer.MaxTTL == 0 {
			return nil
		}
		least, most = peer.MinTTL, peer.MaxTTL
		if most == 0 {
			most = hopLimit
		}
	}
	if p.TTL < least || p.TTL > most {
		return &DropError{Drop: DropTTL, Got: int(p.TTL), Want: int(most)}
	}
	return nil
}

func (c *Codec) checkVersion(_ Packet, m message) error {
	if m.version() != c.cfg.Version {
		return &DropError{Drop: DropVersion, Got: int(m.version()), Want: int(c.cfg.Version)}
	}
	return nil
}

func (c *Codec) checkAuth(p Packet, m message) error {
	if c.cfg.Version != V2 {
		if p.Protocol == ProtocolAH {
			return &DropError{Drop: DropAuthMismatch, Detail: "authentication header in version 3"}
		}
		return nil
	}
	got, want := m.authType(), c.cfg.Auth.Type
	switch {
	case got > AuthAH:
		return &DropError{Drop: DropAuthInvalid, Got: int(got)}
	case got != want:
		return &DropError{Drop: DropAuthMismatch, Detail: fmt.Sprintf("%s, want %s", got, want)}
	case (p.Protocol == ProtocolAH) != (want == AuthAH):
		return &DropError{Drop: DropAuthFailure, Detail: "authentication header missing or too much"}
	case want == AuthPass:
		key := c.cfg.Auth.key()
		if subtle.ConstantTimeCompare(m.authData(), key[:]) != 1 {
			return &DropError{Drop: DropAuthFailure, Detail: "wrong password"}
		}
	case want == AuthAH:
		return c.checkAH(p)
	}
	return nil
}

// checkAH trusts no field before the ICV is right.
func (c *Codec) checkAH(p Packet) error {
	src := p.Src.As4()
	spi := [4]byte(p.Payload[ahSPI:])
	switch {
	case len(p.Header) != ipv4HeaderLen || p.Payload[0] != ProtocolVRRP || p.Payload[1] != ahPlen:
		return &DropError{Drop: DropAuthFailure, Detail: "IP options or an unusual authentication header"}
	case !verifyAH(p, c.cfg.Auth.key()):
		return &DropError{Drop: DropAuthFailure, Detail: "wrong integrity check value"}
	case spi != src:
		return &DropError{Drop: DropAuthFailure, Detail: "security parameters index is not the source"}
	}
	return c.checkSequence(spi, be32(p.Payload[ahSeq:]))
}

// checkSequence accepts each number of a sender once, in ascending order.
func (c *Codec) checkSequence(spi [4]byte, seq uint32) error {
	at := slices.IndexFunc(c.senders, func(s ahSender) bool { return s.spi == spi })
	switch {
	case at < 0 && len(c.senders) == maxSenders:
		c.senders = slices.Delete(c.senders, 0, 1)
		fallthrough
	case at < 0:
		c.senders = append(c.senders, ahSender{spi, seq})
	case seq <= c.senders[at].seq:
		return &DropError{Drop: DropReplay, Got: int(seq), Want: int(c.senders[at].seq) + 1}
	default:
		c.senders[at].seq = seq
	}
	c.seq = max(c.seq, seq)
	return nil
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// checkInterval: version 2 routers must agree; in version 3 the master's
// counts, but zero is nobody's.
func (c *Codec) checkInterval(_ Packet, m message) error {
	got := m.interval()
	if c.cfg.Version == V2 && got != c.cfg.Interval || got == 0 {
		return &DropError{Drop: DropInterval, Got: int(got.Milliseconds()), Want: int(c.cfg.Interval.Milliseconds())}
	}
	return nil
}

func (c *Codec) checkTail(_ Packet, m message) error {
	if m.typ() != typeAdver {
		return &DropError{Drop: DropType, Got: int(m.typ()), Want: typeAdver}
	}
	if len(m.b) != m.wantLen() {
		return &DropError{Drop: DropLength, Got: len(m.b), Want: m.wantLen()}
	}
	return nil
}

func (c *Codec) checkChecksum(p Packet, m message) error {
	if VerifyChecksum(m.b, c.pseudo(p)) {
		return nil
	}
	if c.cfg.Version != V3 || c.cfg.IPv6 {
		return &DropError{Drop: DropChecksum}
	}
	other := PseudoHeader{p.Src, p.Dst}
	if !c.cfg.ChecksumAsV2 {
		if c.oldChecksum(p, m) {
			return nil
		}
		other = PseudoHeader{}
	}
	switch {
	case !VerifyChecksum(m.b, other):
		return &DropError{Drop: DropChecksum}
	case c.cfg.ChecksumAsV2:
		return nil
	}
	return &DropError{Drop: DropChecksumMode, Detail: "the sender leaves the pseudo header out; set v3_checksum_as_v2 if that is right"}
}

// oldChecksum detects a unicast peer that is keepalived 1.3.6 or older.
func (c *Codec) oldChecksum(p Packet, m message) bool {
	if len(c.cfg.Peers) == 0 || c.cfg.NeverOldChecksum || !VerifyChecksum(m.b, PseudoHeader{p.Src, c.cfg.Multicast}) {
		return false
	}
	if _, known := c.peer(p.Src); known && !slices.Contains(c.old, p.Src) {
		c.old = append(c.old, p.Src)
	}
	return true
}

// pseudo returns what the checksum of p covers as configured.
func (c *Codec) pseudo(p Packet) PseudoHeader {
	if c.cfg.Version == V2 || c.cfg.ChecksumAsV2 && !c.cfg.IPv6 {
		return PseudoHeader{}
	}
	return PseudoHeader{p.Src, p.Dst}
}

func (c *Codec) checkDestination(p Packet, _ message) error {
	unicast := len(c.cfg.Peers) > 0
	if unicast && p.Dst.IsMulticast() || !unicast && p.Dst != c.cfg.Multicast {
		return &DropError{Drop: DropDestination, Detail: "to " + p.Dst.String()}
	}
	return nil
}

func (c *Codec) checkOwn(p Packet, _ message) error {
	if p.Src == c.source {
		return &DropError{Drop: DropOwn}
	}
	if c.cfg.owner() && c.cfg.OwnerIgnoreAdverts {
		return &DropError{Drop: DropOwner}
	}
	return nil
}

// checkAddresses compares the lists as sets. In version 2 another list is
// refused unless the owner of the addresses sent it (RFC 3768 7.1).
func (c *Codec) checkAddresses(p Packet, m message, master netip.Addr) (differ bool, err error) {
	if m.count() == 0 && len(c.cfg.Addresses) > 0 {
		return true, &DropError{Drop: DropAddressList, Detail: "no addresses"}
	}
	if c.cfg.SkipCheckAddresses && p.Src == master {
		return false, nil
	}
	differ = m.count() != len(c.cfg.Addresses)
	for i := 0; i < m.count() && !differ; i++ {
		differ = !slices.Contains(c.cfg.Addresses, m.addr(i))
	}
	if differ && c.cfg.Version == V2 && m.priority() != PriorityOwner {
		return true, &DropError{Drop: DropAddressList, Detail: "other addresses than ours"}
	}
	return differ, nil
}

func (c *Codec) checkSource(p Packet) error {
	if len(c.cfg.Peers) == 0 {
		return nil
	}
	strict := c.cfg.CheckUnicastSource || slices.ContainsFunc(c.cfg.Peers, func(peer Peer) bool {
		return peer.MinTTL != 0 || peer.MaxTTL != 0
	})
	if _, known := c.peer(p.Src); strict && !known {
		return &DropError{Drop: DropUnicastSource, Detail: "from " + p.Src.String()}
	}
	return nil
}

func (c *Codec) peer(addr netip.Addr) (Peer, bool) {
	at := slices.IndexFunc(c.cfg.Peers, func(p Peer) bool { return p.Addr == addr })
	if at < 0 {
		return Peer{}, false
	}
	return c.cfg.Peers[at], true
}
