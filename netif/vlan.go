package netif

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// kindBond is the kernel's word for a bond.
const kindBond = "bond"

// vlanFrom returns the index of the interface below a VLAN device of 802.1Q, and its id; 0
// for other links, for the id that means no VLAN, and where the interface below is in
// another namespace.
func vlanFrom(link netlink.Link) (lower int, id uint16) {
	v, ok := link.(*netlink.Vlan)
	if !ok || v.VlanId <= 0 || v.VlanProtocol != netlink.VLAN_PROTOCOL_8021Q || v.ParentIndex <= 0 || v.NetNsID >= 0 {
		return 0, 0
	}
	return v.ParentIndex, uint16(v.VlanId)
}

// oneTag takes the VLAN from a device whose frames would have two tags, since the one below
// is a VLAN device too: XDP treats it like any other interface.
func oneTag(l, below Link) Link {
	if below.Kind == "vlan" {
		l.VLAN, l.Lower = 0, 0
	}
	return l
}

// Members returns the members of a bond by index, and nothing for other links.
func Members(links []Link, l Link) []Link {
	if l.Kind != kindBond {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(links), func(m Link) bool { return m.Master != l.Index })
}

// Beneath returns the interface below a VLAN device; false for other links.
func Beneath(links []Link, l Link) (Link, bool) {
	if l.VLAN == 0 {
		return Link{}, false
	}
	i := slices.IndexFunc(links, func(below Link) bool { return below.Index == l.Lower })
	if i < 0 || !links[i].Ethernet {
		return Link{}, false
	}
	return links[i], true
}

// Place returns where the program belongs for the traffic of the named interfaces, each
// once: for a VLAN device on the interface below, where it runs as the driver likes and
// sees the tags. In generic mode it belongs on the VLAN device itself, and in mode auto as
// well if XDP may not see the tags below.
func Place(links []Link, names []string, mode model.XDPMode) []string {
	var out []string
	for _, name := range names {
		i := slices.IndexFunc(links, func(l Link) bool { return l.Name == name })
		if i >= 0 && mode != model.XDPGeneric {
			below, ok := Beneath(links, links[i])
			if ok && (mode == model.XDPNative || !below.StripsTags) {
				name = below.Name
			}
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// TagProblem says in one line what it means for the program on an interface that tags are
// taken off before XDP, and gives the command that ends it; both empty if nothing.
func TagProblem(links []Link, l Link) (problem, fix string) {
	if l.StripsTags {
		return fmt.Sprintf("%s may take VLAN tags off before XDP sees them, so that frames of its VLANs look like its own", l.Name), rxVLANOff(l)
	}
	if below, ok := Beneath(links, l); ok && below.StripsTags {
		return fmt.Sprintf("%s may take VLAN tags off before XDP sees them, so the program runs on %s, behind the tag, in generic mode", below.Name, l.Name), rxVLANOff(below)
	}
	return "", ""
}

func rxVLANOff(l Link) string { return "ethtool -K " + l.Name + " rxvlan off" }

// markStrippers completes what Links lists of VLANs.
func (k *Kernel) markStrippers(links []Link) error {
	byIndex := make(map[int]*Link, len(links))
	for i := range links {
		byIndex[links[i].Index] = &links[i]
	}
	asked := make(map[int]bool)
	for i := range links {
		below := byIndex[links[i].Lower]
		if links[i].VLAN == 0 || below == nil {
			continue
		}
		links[i] = oneTag(links[i], *below)
		if links[i].VLAN == 0 || asked[below.Index] {
			continue
		}
		asked[below.Index] = true
		strips, err := k.strips(links, *below)
		if err != nil {
			return err
		}
		below.StripsTags = strips
	}
	return nil
}

// strips says whether an interface, or a member of a bond, takes tags off. A bond's own
// switch says nothing of that.
func (k *Kernel) strips(links []Link, l Link) (bool, error) {
	if l.Kind != kindBond {
		return k.rxVLAN(l.Name)
	}
	for _, m := range Members(links, l) {
		if on, err := k.rxVLAN(m.Name); on || err != nil {
			return on, err
		}
	}
	return false, nil
}

// A command of SIOCETHTOOL, and a flag in its answer (linux/ethtool.h).
const (
	ethtoolGetFlags = 0x25   // ETHTOOL_GFLAGS
	ethtoolRxVLAN   = 1 << 8 // ETH_FLAG_RXVLAN
)

// rxVLAN reads the switch that ethtool calls rx-vlan-offload. It is off for an interface
// that has none, or is gone.
func (k *Kernel) rxVLAN(name string) (on bool, err error) {
	value := &struct{ command, data uint32 }{command: ethtoolGetFlags}
	request := &struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the rest of the kernel's union
	}{data: unsafe.Pointer(value)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	err = k.inNamespace(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open socket: %w", err)
		}
		defer unix.Close(fd)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(request)))
		if errno != 0 && errno != unix.EOPNOTSUPP && errno != unix.ENODEV {
			return errno
		}
		return nil
	})
	runtime.KeepAlive(value)
	if err != nil {
		return false, fmt.Errorf("read the offloads of %s: %w", name, err)
	}
	return value.data&ethtoolRxVLAN != 0, nil
}
