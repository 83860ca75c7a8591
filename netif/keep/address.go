package keep

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// address is an address of the configuration.
type address model.Address

// String returns the address as ip writes it.
func (a address) String() string {
	if a.Peer.IsValid() {
		return fmt.Sprintf("address %s peer %s dev %s", a.Prefix.Addr(), a.Peer, a.Interface)
	}
	return fmt.Sprintf("address %s dev %s", a.Prefix, a.Interface)
}

func (a address) resolve(l links) (object, error) {
	found, err := l.find(a.Interface)
	if err != nil {
		return nil, err
	}
	if a.Label == "" {
		a.Label = a.Interface
	}
	return addressObject{address: a, index: found.index, flags: a.kernelFlags(), protocol: Protocol}, nil
}

func (a address) kernelFlags() (flags uint32) {
	for flag, set := range map[uint32]bool{
		unix.IFA_F_HOMEADDRESS:    a.Home,
		unix.IFA_F_MANAGETEMPADDR: a.ManageTemporary,
		unix.IFA_F_NOPREFIXROUTE:  a.NoPrefixRoute,
		unix.IFA_F_MCAUTOJOIN:     a.AutoJoin,
		unix.IFA_F_NODAD:          a.Prefix.Addr().Is6() && !a.DAD,
	} {
		if set {
			flags |= flag
		}
	}
	return flags
}

// addressObject is an address on the link of an index.
type addressObject struct {
	address
	index    int
	flags    uint32
	protocol uint8
}

// id leaves the length out for IPv6, which has each address once on a link.
func (a addressObject) id() id {
	i := id{kind: kindAddress, link: a.index, prefix: a.Prefix}
	if a.Prefix.Addr().Is6() {
		i.prefix = netip.PrefixFrom(a.Prefix.Addr(), 128)
	} else if a.Peer.IsValid() {
		i.prefix, i.words = netip.PrefixFrom(a.Prefix.Addr(), a.Peer.Bits()), a.Peer.Masked().String()
	}
	return i
}

// comparedFlags are those that the configuration decides.
const comparedFlags = unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_NOPREFIXROUTE

// equal does not ask for the lifetime, which changes nothing about who has the
// address.
func (a addressObject) equal(seen object) bool {
	s, ok := seen.(addressObject)
	if !ok || s.flags&unix.IFA_F_DADFAILED != 0 || s.Prefix != a.Prefix && !a.Peer.IsValid() {
		return false
	}
	if a.Prefix.Addr().Is4() && (s.Label != a.Label || s.Broadcast != a.Broadcast) {
		return false
	}
	return s.Scope == a.scope() && s.flags&comparedFlags == a.flags&comparedFlags
}

// scope is what the kernel makes of the scope: IPv6 addresses have theirs by
// nature.
func (a addressObject) scope() uint8 {
	switch addr := a.Prefix.Addr(); {
	case addr.Is4():
		return a.Scope
	case addr.IsLinkLocalUnicast():
		return unix.RT_SCOPE_LINK
	case addr.IsLoopback():
		return unix.RT_SCOPE_HOST
	}
	return unix.RT_SCOPE_UNIVERSE
}

// sameSubnet says whether the kernel takes one away with the other when that
// is the first of the subnet and promote_secondaries is off.
func (a addressObject) sameSubnet(b addressObject) bool {
	return a.index == b.index && a.Prefix.Addr().Is4() && a.Prefix.Bits() < 32 && a.Prefix.Masked() == b.Prefix.Masked()
}

func (a addressObject) ours() bool { return a.protocol == Protocol }

// needsLink: a link that goes down loses its IPv6 addresses.
func (a addressObject) needsLink() (int, bool) { return a.index, a.Prefix.Addr().Is6() }

// attrProto is IFA_PROTO.
const attrProto = 11

// forever is a lifetime of the kernel.
const forever = ^uint32(0)

// preferred returns the preferred lifetime in seconds.
func (a addressObject) preferred() uint32 {
	switch {
	case a.Deprecated:
		return 0
	case a.PreferredLifetime <= 0:
		return forever
	}
	return uint32(min(a.PreferredLifetime/time.Second, time.Duration(forever)))
}

func (a addressObject) add() message {
	b := attr32(a.head(), unix.IFA_FLAGS, a.flags)
	if a.Prefix.Addr().Is4() {
		b = attrText(b, unix.IFA_LABEL, a.Label)
		if a.Broadcast.IsValid() {
			b = attrAddr(b, unix.IFA_BROADCAST, a.Broadcast)
		}
	}
	if p := a.preferred(); p != forever {
		info := make([]byte, 16) // struct ifa_cacheinfo
		binary.NativeEndian.PutUint32(info, p)
		binary.NativeEndian.PutUint32(info[4:], forever)
		b = attr(b, unix.IFA_CACHEINFO, info)
	}
	b = attr(b, attrProto, []byte{Protocol})
	return message{unix.RTM_NEWADDR, unix.NLM_F_CREATE | unix.NLM_F_EXCL, b}
}

func (a addressObject) del() message { return message{unix.RTM_DELADDR, 0, a.head()} }

// head is struct ifaddrmsg and the addresses.
func (a addressObject) head() []byte {
	bits, far := a.Prefix.Bits(), a.Prefix.Addr()
	if a.Peer.IsValid() {
		bits, far = a.Peer.Bits(), a.Peer.Addr()
	}
	b := []byte{family(far.Is6()), uint8(bits), 0, a.scope()}
	b = binary.NativeEndian.AppendUint32(b, uint32(a.index))
	b = attrAddr(b, unix.IFA_LOCAL, a.Prefix.Addr())
	return attrAddr(b, unix.IFA_ADDRESS, far)
}

// parseAddress reads a message of the kernel about an address.
func parseAddress(b []byte) (addressObject, bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return addressObject{}, false
	}
	a := addressObject{flags: uint32(b[2]), index: int(u32(b[4:]))}
	a.Scope = b[3]
	var local, far netip.Addr
	attrs(b[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_LOCAL:
			local = addrIn(value)
		case unix.IFA_ADDRESS:
			far = addrIn(value)
		case unix.IFA_LABEL:
			a.Label = unix.ByteSliceToString(value)
		case unix.IFA_BROADCAST:
			a.Broadcast = addrIn(value)
		case unix.IFA_FLAGS:
			a.flags = u32(value)
		case attrProto:
			if len(value) > 0 {
				a.protocol = value[0]
			}
		}
	})
	if !local.IsValid() {
		local = far
	}
	a.Prefix = netip.PrefixFrom(local, int(b[1]))
	if far.IsValid() && far != local {
		a.Peer = netip.PrefixFrom(far, int(b[1]))
	}
	return a, a.Prefix.IsValid()
}
