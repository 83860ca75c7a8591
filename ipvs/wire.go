package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// The generic-netlink family and its commands (linux/ip_vs.h).
const (
	familyName    = "IPVS"
	familyVersion = 1

	cmdNewService = 1
	cmdSetService = 2
	cmdDelService = 3
	cmdGetService = 4
	cmdNewServer  = 5
	cmdSetServer  = 6
	cmdDelServer  = 7
	cmdGetServer  = 8
	cmdGetInfo    = 15
	cmdFlush      = 17
)

// Attributes of a request.
const (
	attrService = 1
	attrServer  = 2
)

// Attributes of a service.
const (
	svcFamily    = 1
	svcProtocol  = 2
	svcAddr      = 3
	svcPort      = 4
	svcMark      = 5
	svcScheduler = 6
	svcFlags     = 7
	svcTimeout   = 8
	svcNetmask   = 9
	svcEngine    = 11
	svcStats64   = 12
)

// Attributes of a server, which IPVS calls a destination.
const (
	dstAddr     = 1
	dstPort     = 2
	dstForward  = 3
	dstWeight   = 4
	dstUpper    = 5
	dstLower    = 6
	dstActive   = 7
	dstInactive = 8
	dstFamily   = 11
	dstStats64  = 12

	dstTunnelType  = 13
	dstTunnelPort  = 14
	dstTunnelFlags = 15
)

// Attributes of counters.
const (
	statConns    = 1
	statInPkts   = 2
	statOutPkts  = 3
	statInBytes  = 4
	statOutBytes = 5
)

// Flags of a service. The scheduler's own are model.Service.SchedFlags.
const (
	flagPersistent = 0x01
	flagOnePacket  = 0x04
	schedulerFlags = 0x38
)

// forwardMask is the part of a server's flags that holds its method.
const forwardMask = 0x07

// family returns the address family of a service's address. A firewall-mark
// service has no address: it is IPv4's unless its key says otherwise.
func family(a netip.Addr) uint16 {
	if a.Is6() && !a.Is4In6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// addrBytes returns an address in the 16 bytes that the kernel reads.
func addrBytes(a netip.Addr) []byte {
	var all [16]byte
	if a.IsValid() {
		copy(all[:], a.Unmap().AsSlice())
	}
	return all[:]
}

// bigEndian16 returns a port as it stands in a packet.
func bigEndian16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

// encodeKey adds what identifies a service.
func encodeKey(e *netlink.AttributeEncoder, k model.ServiceKey) {
	e.Uint16(svcFamily, family(k.Addr.Addr()))
	if k.FWMark != 0 {
		e.Uint32(svcMark, k.FWMark)
		return
	}
	e.Uint16(svcProtocol, uint16(k.Protocol))
	e.Bytes(svcAddr, addrBytes(k.Addr.Addr()))
	e.Bytes(svcPort, bigEndian16(k.Addr.Port()))
}

// encodeService adds a whole service.
func encodeService(e *netlink.AttributeEncoder, s model.Service) {
	encodeKey(e, s.Key)
	e.String(svcScheduler, s.Scheduler)
	flags := s.SchedFlags & schedulerFlags
	if s.Persistence != 0 {
		flags |= flagPersistent
	}
	if s.OnePacket {
		flags |= flagOnePacket
	}
	// The second word is the mask of the flags that are meant.
	e.Bytes(svcFlags, binary.NativeEndian.AppendUint32(
		binary.NativeEndian.AppendUint32(nil, flags), flagPersistent|flagOnePacket|schedulerFlags))
	e.Uint32(svcTimeout, uint32(s.Persistence/time.Second))
	e.Bytes(svcNetmask, netmask(family(s.Key.Addr.Addr()), s.PersistencePrefix))
	if s.PersistenceEngine != "" { // an edit without takes it away
		e.String(svcEngine, s.PersistenceEngine)
	}
}

// netmask returns persistence_granularity in the kernel's form: a prefix
// length for IPv6, a mask in network order for IPv4.
func netmask(family uint16, prefix uint8) []byte {
	if family == unix.AF_INET6 {
		if prefix == 0 {
			prefix = 128
		}
		return binary.NativeEndian.AppendUint32(nil, uint32(prefix))
	}
	if prefix == 0 {
		prefix = 32
	}
	return binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-prefix))
}

// prefixOf is the reverse of netmask: 0 stands for the whole address.
func prefixOf(family uint16, mask []byte) (uint8, error) {
	if len(mask) != 4 {
		return 0, fmt.Errorf("netmask of %d bytes", len(mask))
	}
	if family == unix.AF_INET6 {
		return uint8(binary.NativeEndian.Uint32(mask) % 128), nil
	}
	return uint8(bits.OnesCount32(binary.BigEndian.Uint32(mask)) % 32), nil
}

// encodeServer adds a server. The family is always said: without it the kernel
// takes that of the service and cuts the address.
func encodeServer(e *netlink.AttributeEncoder, s model.Server) {
	encodeServerKey(e, s.Addr)
	e.Uint32(dstForward, uint32(s.Forward))
	e.Uint32(dstWeight, uint32(s.Weight))
	e.Uint32(dstUpper, s.Upper)
	e.Uint32(dstLower, s.Lower)
	if s.Forward == model.TUN && s.Tunnel.Type != model.IPIP {
		e.Uint8(dstTunnelType, uint8(s.Tunnel.Type))
		e.Bytes(dstTunnelPort, bigEndian16(s.Tunnel.Port))
		e.Uint16(dstTunnelFlags, uint16(s.Tunnel.Checksum))
	}
}

func encodeServerKey(e *netlink.AttributeEncoder, a netip.AddrPort) {
	e.Uint16(dstFamily, family(a.Addr()))
	e.Bytes(dstAddr, addrBytes(a.Addr()))
	e.Bytes(dstPort, bigEndian16(a.Port()))
}

// request returns the attributes of a request on a service, and on a server of
// it unless that is nil.
func request(service func(*netlink.AttributeEncoder), server func(*netlink.AttributeEncoder)) ([]byte, error) {
	e := netlink.NewAttributeEncoder()
	nested := func(f func(*netlink.AttributeEncoder)) func(*netlink.AttributeEncoder) error {
		return func(e *netlink.AttributeEncoder) error {
			f(e)
			return nil
		}
	}
	e.Nested(attrService, nested(service))
	if server != nil {
		e.Nested(attrServer, nested(server))
	}
	return e.Encode()
}

// rawAddr is an address as read, before the family is known.
type rawAddr struct {
	family uint16
	addr   []byte
	port   []byte
}

func (r rawAddr) addrPort() (netip.AddrPort, error) {
	length := 4
	if r.family == unix.AF_INET6 {
		length = 16
	}
	if len(r.addr) < length || len(r.port) != 2 {
		return netip.AddrPort{}, fmt.Errorf("address of %d bytes, port of %d", len(r.addr), len(r.port))
	}
	addr, _ := netip.AddrFromSlice(r.addr[:length])
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(r.port)), nil
}

// decodeNested reads the one attribute of an answer by f.
func decodeNested(data []byte, attr uint16, f func(*netlink.AttributeDecoder) error) error {
	d, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return err
	}
	found := false
	for d.Next() {
		if d.Type() == attr {
			found = true
			d.Nested(f)
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	if !found {
		return errors.New("the answer lacks what was asked for")
	}
	return nil
}

// decodeService reads a service with its counters.
func decodeService(data []byte) (model.ServiceEntry, error) {
	var s model.ServiceEntry
	var raw rawAddr
	var flags, mask []byte
	err := decodeNested(data, attrService, func(d *netlink.AttributeDecoder) error {
		for d.Next() {
			switch d.Type() {
			case svcFamily:
				raw.family = d.Uint16()
			case svcProtocol:
				s.Key.Protocol = model.Protocol(d.Uint16())
			case svcAddr:
				raw.addr = d.Bytes()
			case svcPort:
				raw.port = d.Bytes()
			case svcMark:
				s.Key.FWMark = d.Uint32()
			case svcScheduler:
				s.Scheduler = strings.TrimRight(d.String(), "\x00")
			case svcFlags:
				flags = d.Bytes()
			case svcTimeout:
				s.Persistence = time.Duration(d.Uint32()) * time.Second
			case svcNetmask:
				mask = d.Bytes()
			case svcEngine:
				s.PersistenceEngine = strings.TrimRight(d.String(), "\x00")
			case svcStats64:
				d.Nested(decodeStats(&s.Counters))
			}
		}
		return nil
	})
	if err == nil {
		err = completeService(&s, raw, flags, mask)
	}
	if err != nil {
		return s, fmt.Errorf("read service: %w", err)
	}
	return s, nil
}

// completeService fills in what needs more than one attribute.
func completeService(s *model.ServiceEntry, raw rawAddr, flags, mask []byte) error {
	var err error
	if s.Key.FWMark == 0 {
		if s.Key.Addr, err = raw.addrPort(); err != nil {
			return err
		}
	} else if raw.family == unix.AF_INET6 {
		s.Key.Addr = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	if len(flags) < 4 {
		return fmt.Errorf("flags of %d bytes", len(flags))
	}
	set := binary.NativeEndian.Uint32(flags)
	s.SchedFlags = set & schedulerFlags
	s.OnePacket = set&flagOnePacket != 0
	if set&flagPersistent == 0 {
		s.Persistence = 0
	}
	s.PersistencePrefix, err = prefixOf(raw.family, mask)
	return err
}

// decodeServer reads a server with its counters. Kernels before 3.18 do not
// say its family, which is then the service's.
func decodeServer(data []byte, service uint16) (model.ServerEntry, error) {
	var s model.ServerEntry
	raw := rawAddr{family: service}
	err := decodeNested(data, attrServer, func(d *netlink.AttributeDecoder) error {
		for d.Next() {
			switch d.Type() {
			case dstFamily:
				raw.family = d.Uint16()
			case dstAddr:
				raw.addr = d.Bytes()
			case dstPort:
				raw.port = d.Bytes()
			case dstForward:
				s.Forward = model.Forward(d.Uint32() & forwardMask)
			case dstWeight:
				s.Weight = int32(d.Uint32())
			case dstUpper:
				s.Upper = d.Uint32()
			case dstLower:
				s.Lower = d.Uint32()
			case dstTunnelType:
				s.Tunnel.Type = model.TunnelType(d.Uint8())
			case dstTunnelPort:
				if b := d.Bytes(); len(b) == 2 {
					s.Tunnel.Port = binary.BigEndian.Uint16(b)
				}
			case dstTunnelFlags:
				s.Tunnel.Checksum = model.TunnelChecksum(d.Uint16())
			case dstActive:
				s.Active = d.Uint32()
			case dstInactive:
				s.Inactive = d.Uint32()
			case dstStats64:
				d.Nested(decodeStats(&s.Counters))
			}
		}
		return nil
	})
	if err == nil {
		s.Addr, err = raw.addrPort()
	}
	if err != nil {
		return s, fmt.Errorf("read server: %w", err)
	}
	return s, nil
}

// decodeStats reads 64-bit counters.
func decodeStats(c *model.Counters) func(*netlink.AttributeDecoder) error {
	return func(d *netlink.AttributeDecoder) error {
		for d.Next() {
			switch d.Type() {
			case statConns:
				c.Conns = d.Uint64()
			case statInPkts:
				c.InPkts = d.Uint64()
			case statOutPkts:
				c.OutPkts = d.Uint64()
			case statInBytes:
				c.InBytes = d.Uint64()
			case statOutBytes:
				c.OutBytes = d.Uint64()
			}
		}
		return nil
	}
}
