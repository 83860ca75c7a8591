package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// Packet is one that Explain asks about: without payload, with a time to live
// of 64.
type Packet struct {
	Protocol model.Protocol
	Source   netip.AddrPort
	// Destination is the virtual service, or the client for a server's
	// packet.
	Destination netip.AddrPort
	// Flags are those of TCP, letters of SAFRPU; default S. Of SCTP, S is an INIT and
	// A is data.
	Flags string
	// Interface is the one that it comes in by; default one that the program
	// runs on.
	Interface string
}

// ParsePacket reads what a command line or a request says: a protocol by name,
// source and destination as address and port, and TCP flags by letters of
// SAFRPU, where empty is S.
func ParsePacket(protocol, source, destination, flags string) (Packet, error) {
	var p Packet
	switch protocol {
	case "tcp", "TCP":
		p.Protocol = model.TCP
	case "udp", "UDP":
		p.Protocol = model.UDP
	case "sctp", "SCTP":
		p.Protocol = model.SCTP
	default:
		return p, fmt.Errorf("protocol %q is none of tcp, udp, sctp", protocol)
	}
	var err error
	if p.Source, err = netip.ParseAddrPort(source); err != nil {
		return p, fmt.Errorf("source %q is not an address with a port, such as 203.0.113.9:4242", source)
	}
	if p.Destination, err = netip.ParseAddrPort(destination); err != nil {
		return p, fmt.Errorf("destination %q is not an address with a port, such as 10.0.0.100:80", destination)
	}
	p.Flags = flags
	if p.Protocol == model.SCTP {
		_, err = p.chunk()
	} else {
		_, err = p.tcpFlags()
	}
	return p, err
}

// tcpFlags returns the flags as they stand in the header.
func (p Packet) tcpFlags() (byte, error) {
	if p.Flags == "" {
		return 0x02, nil
	}
	var flags byte
	for _, letter := range strings.ToUpper(p.Flags) {
		bit := strings.IndexRune("FSRPAU", letter)
		if bit < 0 {
			return 0, fmt.Errorf("TCP flags %q: %q is none of S, A, F, R, P, U", p.Flags, letter)
		}
		flags |= 1 << bit
	}
	return flags, nil
}

// chunk returns SCTP's first chunk by the flags, with no parameters but those that
// every INIT has.
func (p Packet) chunk() ([]byte, error) {
	switch strings.ToUpper(p.Flags) {
	case "", "S":
		return append([]byte{1, 0, 0, 20}, make([]byte, 16)...), nil
	case "A":
		return append([]byte{0, 3, 0, 17}, make([]byte, 16)...), nil // a byte and its padding
	}
	return nil, fmt.Errorf("flags %q: of SCTP, S is an INIT and A is data", p.Flags)
}

// frame returns the packet in a frame for mac.
func (p Packet) frame(mac [6]byte) ([]byte, error) {
	source, destination := p.Source.Addr().Unmap(), p.Destination.Addr().Unmap()
	if source.Is4() != destination.Is4() {
		return nil, errors.New("source and destination are of two families")
	}
	l4, err := p.transport()
	if err != nil {
		return nil, err
	}
	pseudo := slices.Concat(source.AsSlice(), destination.AsSlice(), []byte{0, byte(p.Protocol)}, word(len(l4)))
	switch p.Protocol {
	case model.SCTP:
		binary.LittleEndian.PutUint32(l4[8:], crc32.Checksum(l4, crc32.MakeTable(crc32.Castagnoli)))
	case model.UDP:
		copy(l4[6:], word(int(checksum(slices.Concat(pseudo, l4)))))
	default:
		copy(l4[16:], word(int(checksum(slices.Concat(pseudo, l4)))))
	}
	// The sender's address counts nowhere: a locally administered one.
	ethernet := slices.Concat(mac[:], []byte{2, 0, 0, 0, 0, 1})
	if source.Is4() {
		return slices.Concat(ethernet, word(0x0800), ipv4(p, len(l4)), l4), nil
	}
	header := slices.Concat([]byte{0x60, 0, 0, 0}, word(len(l4)), []byte{byte(p.Protocol), 64}, source.AsSlice(), destination.AsSlice())
	return slices.Concat(ethernet, word(0x86dd), header, l4), nil
}

func ipv4(p Packet, payload int) []byte {
	b := slices.Concat([]byte{0x45, 0}, word(20+payload), []byte{0, 0, 0x40, 0, 64, byte(p.Protocol), 0, 0},
		p.Source.Addr().Unmap().AsSlice(), p.Destination.Addr().Unmap().AsSlice())
	copy(b[10:], word(int(checksum(b))))
	return b
}

// transport returns the TCP or UDP header, or SCTP's with its chunk, without a
// checksum.
func (p Packet) transport() ([]byte, error) {
	ports := slices.Concat(word(int(p.Source.Port())), word(int(p.Destination.Port())))
	if p.Protocol == model.UDP {
		return slices.Concat(ports, word(8), word(0)), nil
	}
	if p.Protocol == model.SCTP {
		chunk, err := p.chunk()
		return slices.Concat(ports, make([]byte, 8), chunk), err
	}
	if p.Protocol != model.TCP {
		return nil, fmt.Errorf("protocol %s is none of TCP, UDP, SCTP", p.Protocol)
	}
	flags, err := p.tcpFlags()
	return slices.Concat(ports, []byte{0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, flags}, word(0xffff), word(0), word(0)), err
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func word(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }
