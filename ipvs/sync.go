package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/evenkeel/evenkeel/model"
)

// Flags of a SyncRecord, beside the forwarding method in its three lowest bits.
const (
	// SyncNoOutput: no reply of the server passes the director.
	SyncNoOutput = 0x80
	// SyncInactive: the flow does not count as active.
	SyncInactive = 0x100
	// SyncNoClientPort: the client's port is not known yet.
	SyncNoClientPort = 0x800
	// SyncTemplate: no flow, but what holds a persistent client to its server.
	SyncTemplate = 0x1000
)

// The layout of version 1 of the protocol of IPVS's sync daemons, all in
// network byte order.
const (
	syncVersion    = 1
	syncHeader     = 8
	syncFixed      = 24 // of a record, before the addresses
	syncIPv6       = 0x01
	syncSizeMask   = 0x0fff
	syncAlign      = 4
	syncMaxRecords = 255
)

// ErrSync means that a datagram is no message of the sync protocol's version 1.
var ErrSync = errors.New("not a sync message of version 1")

// SyncRecord is one flow, or one persistence template, on its way between two
// directors.
type SyncRecord struct {
	Protocol model.Protocol
	// Flags are SyncNoOutput and so on, with the model.Forward.
	Flags uint32
	// State is the kernel's number of the flow's state: of a TCP flow 1 is
	// ESTABLISHED and 4 FIN_WAIT. Of a template 1 is assured.
	State                   uint16
	Client, Virtual, Server netip.AddrPort
	FWMark                  uint32
	// Timeout is in seconds; 0 leaves it to the state.
	Timeout uint32
}

// SyncMessage is one datagram. ID must be the receiver's, unless that is 0.
type SyncMessage struct {
	ID      uint8
	Records []SyncRecord
}

// Append appends the datagram to b. The addresses of a record must be of one
// family, and there are at most 255 records; the error says what is not so.
func (m SyncMessage) Append(b []byte) ([]byte, error) {
	if len(m.Records) > syncMaxRecords {
		return b, fmt.Errorf("encode sync message: %d records, at most %d fit", len(m.Records), syncMaxRecords)
	}
	start := len(b)
	b = append(b, 0, m.ID, 0, 0, uint8(len(m.Records)), syncVersion, 0, 0)
	for _, r := range m.Records {
		var err error
		if b, err = r.append(b); err != nil {
			return b[:start], fmt.Errorf("encode sync record %s: %w", r.Client, err)
		}
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b, nil
}

func (r SyncRecord) append(b []byte) ([]byte, error) {
	caddr, vaddr, daddr := r.Client.Addr().Unmap(), r.Virtual.Addr().Unmap(), r.Server.Addr().Unmap()
	if !caddr.IsValid() || vaddr.BitLen() != caddr.BitLen() || daddr.BitLen() != caddr.BitLen() {
		return b, fmt.Errorf("addresses %s, %s, %s are not of one family", caddr, vaddr, daddr)
	}
	var kind uint8
	if caddr.Is6() {
		kind = syncIPv6
	}
	size := syncFixed + 3*caddr.BitLen()/8
	b = append(b, kind, uint8(r.Protocol))
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = binary.BigEndian.AppendUint32(b, r.Flags)
	for _, v := range []uint16{r.State, r.Client.Port(), r.Virtual.Port(), r.Server.Port()} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, r.FWMark)
	b = binary.BigEndian.AppendUint32(b, r.Timeout)
	for _, a := range []netip.Addr{caddr, vaddr, daddr} {
		b = append(b, a.AsSlice()...)
	}
	return b, nil
}

// ParseSync reads a datagram. Options of a record (of FTP and of persistence
// engines) are skipped. The error wraps ErrSync.
func ParseSync(b []byte) (SyncMessage, error) {
	if len(b) < syncHeader || b[0] != 0 || b[5] != syncVersion || b[6] != 0 || b[7] != 0 {
		return SyncMessage{}, fmt.Errorf("%w: % x", ErrSync, b[:min(len(b), syncHeader)])
	}
	if size := int(binary.BigEndian.Uint16(b[2:])); size != len(b) {
		return SyncMessage{}, fmt.Errorf("%w: it says %d bytes and has %d", ErrSync, size, len(b))
	}
	m := SyncMessage{ID: b[1]}
	rest := b[syncHeader:]
	for range b[4] {
		r, size, err := parseSyncRecord(rest)
		if err != nil {
			return SyncMessage{}, fmt.Errorf("%w: record %d: %w", ErrSync, len(m.Records), err)
		}
		m.Records = append(m.Records, r)
		rest = rest[min((size+syncAlign-1)/syncAlign*syncAlign, len(rest)):]
	}
	return m, nil
}

// parseSyncRecord reads the first record of b, and returns its size.
func parseSyncRecord(b []byte) (SyncRecord, int, error) {
	if len(b) < syncFixed {
		return SyncRecord{}, 0, fmt.Errorf("%d bytes are left", len(b))
	}
	length := 4
	if b[0]&syncIPv6 != 0 {
		length = 16
	}
	word := binary.BigEndian.Uint16(b[2:])
	size := int(word & syncSizeMask)
	if word&^syncSizeMask != 0 || size < syncFixed+3*length || size > len(b) {
		return SyncRecord{}, 0, fmt.Errorf("version and size %#04x, with %d bytes left", word, len(b))
	}
	r := SyncRecord{
		Protocol: model.Protocol(b[1]),
		Flags:    binary.BigEndian.Uint32(b[4:]),
		State:    binary.BigEndian.Uint16(b[8:]),
		FWMark:   binary.BigEndian.Uint32(b[16:]),
		Timeout:  binary.BigEndian.Uint32(b[20:]),
	}
	for i, end := range []*netip.AddrPort{&r.Client, &r.Virtual, &r.Server} {
		addr, _ := netip.AddrFromSlice(b[syncFixed+i*length:][:length])
		*end = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[10+2*i:]))
	}
	return r, size, nil
}
