package lab

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Commands of SIOCETHTOOL that set one offload (linux/ethtool.h).
const (
	ethtoolSetTxCsum = 0x17 // ETHTOOL_STXCSUM
	ethtoolSetTSO    = 0x1f // ETHTOOL_STSO
	ethtoolSetGSO    = 0x24 // ETHTOOL_SGSO
	ethtoolSetFlags  = 0x26 // ETHTOOL_SFLAGS: tags of VLANs kept beside the frame, and others
	ethtoolSetGRO    = 0x2c // ETHTOOL_SGRO
)

// feature is one offload and whether it shall be on.
type feature struct {
	command uint32
	on      bool
}

// ethtoolValue is struct ethtool_value.
type ethtoolValue struct{ command, data uint32 }

// ethtoolRequest is struct ifreq with a data pointer.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the rest of the kernel's union
}

// setFeatures sets offloads of an interface.
func (n *Node) setFeatures(ifname string, features []feature) error {
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open socket on %s: %w", n.name, err)
		}
		defer unix.Close(fd)
		for _, f := range features {
			if err := ethtoolSet(fd, ifname, f); err != nil {
				return fmt.Errorf("set offload %#x of %s of %s: %w", f.command, ifname, n.name, err)
			}
		}
		return nil
	})
}

func ethtoolSet(fd int, ifname string, f feature) error {
	value := &ethtoolValue{command: f.command}
	if f.on {
		value.data = 1
	}
	req := &ethtoolRequest{data: unsafe.Pointer(value)}
	copy(req.name[:unix.IFNAMSIZ-1], ifname)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(req)))
	runtime.KeepAlive(value)
	if errno != 0 {
		return errno
	}
	return nil
}

// SetGRO turns generic receive offload of the interface on or off.
func (i *Iface) SetGRO(on bool) error {
	return i.Node.setFeatures(i.Name, []feature{{ethtoolSetGRO, on}})
}

// attachPass attaches an XDP_PASS program in native mode. It lives as long as
// the interface, since netlink attachments need no holder.
func (n *Node) attachPass(link netlink.Link) error {
	name := link.Attrs().Name
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "lab_pass",
		Type: ebpf.XDP,
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R0, 2), // XDP_PASS
			asm.Return(),
		},
		License: "Apache-2.0",
	})
	if err != nil {
		return fmt.Errorf("load XDP_PASS program: %w", err)
	}
	defer prog.Close()
	attach := func() error { return netlink.LinkSetXdpFdWithFlags(link, prog.FD(), unix.XDP_FLAGS_DRV_MODE) }
	if err := n.Do(attach); err != nil {
		return fmt.Errorf("attach XDP_PASS program to %s of %s: %w", name, n.name, err)
	}
	return nil
}
