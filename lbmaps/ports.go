package lbmaps

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
)

// Port is an interface that frames come in by or, if it is a VLAN device, leave by.
type Port struct {
	// MAC is the address of the frames that are ours.
	MAC [6]byte
	// Enabled is unset for an interface whose frames the program leaves alone.
	Enabled bool
	// Device is the index of the interface that has the addresses: of a bond's member
	// the bond. 0, to PutPort, is the interface itself.
	Device uint32
	// Ifindex is the interface that its frames leave by: of a VLAN device the one
	// below. 0, to PutPort, is Device.
	Ifindex uint32
	// VLAN is the id of the tag that they have there, 0 for none.
	VLAN uint16
}

// whole fills in what is left to PutPort.
func (p Port) whole(ifindex uint32) Port {
	if p == (Port{}) {
		return p
	}
	p.Device = cmp.Or(p.Device, ifindex)
	p.Ifindex = cmp.Or(p.Ifindex, p.Device)
	return p
}

func wirePortEntry(p Port) bpf.EkPort {
	w := bpf.EkPort{Mac: p.MAC, Device: p.Device, Ifindex: p.Ifindex, Vlan: p.VLAN}
	if p.Enabled {
		w.Enabled = 1
	}
	return w
}

func hostPortEntry(w bpf.EkPort) Port {
	return Port{MAC: w.Mac, Enabled: w.Enabled == 1, Device: w.Device, Ifindex: w.Ifindex, VLAN: w.Vlan}
}

// Port returns what the program knows of an interface.
func (m *Maps) Port(ifindex uint32) (Port, error) {
	var w bpf.EkPort
	if err := m.ports.Lookup(ifindex, &w); err != nil {
		return Port{}, fmt.Errorf("read port %d: %w", ifindex, err)
	}
	return hostPortEntry(w), nil
}

// PutPort sets what the program knows of an interface. The zero Port disables
// it. The error wraps unix.E2BIG for an ifindex beyond the map's end.
func (m *Maps) PutPort(ifindex uint32, p Port) error {
	if err := m.ports.Put(ifindex, wirePortEntry(p.whole(ifindex))); err != nil {
		return fmt.Errorf("write port %d: %w", ifindex, err)
	}
	return nil
}

// Ports returns all interfaces that the program knows, by ifindex.
func (m *Maps) Ports() (map[uint32]Port, error) {
	ports := map[uint32]Port{}
	err := walk(m.ports, func(ifindex uint32, w bpf.EkPort) bool {
		if w != (bpf.EkPort{}) {
			ports[ifindex] = hostPortEntry(w)
		}
		return true
	})
	return ports, err
}

// Tag is the tag of a frame and the interface that the frame came in by.
type Tag struct {
	Ifindex uint32
	VLAN    uint16
}

func wireTag(t Tag) bpf.EkVlanKey { return bpf.EkVlanKey{Ifindex: t.Ifindex, Vlan: t.VLAN} }

// PutVLAN has frames with a tag count as those of a VLAN device, whose port the
// program must know already.
func (m *Maps) PutVLAN(t Tag, device uint32) error {
	if err := m.vlans.Put(wireTag(t), device); err != nil {
		return fmt.Errorf("write VLAN %d of interface %d: %w", t.VLAN, t.Ifindex, err)
	}
	return nil
}

// DeleteVLAN is the end of PutVLAN. It is no error if there is none.
func (m *Maps) DeleteVLAN(t Tag) error {
	if err := m.vlans.Delete(wireTag(t)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete VLAN %d of interface %d: %w", t.VLAN, t.Ifindex, err)
	}
	return nil
}

// VLANs returns the index of the VLAN device by tag.
func (m *Maps) VLANs() (map[Tag]uint32, error) {
	vlans := map[Tag]uint32{}
	err := walk(m.vlans, func(k bpf.EkVlanKey, device uint32) bool {
		vlans[Tag{Ifindex: k.Ifindex, VLAN: k.Vlan}] = device
		return true
	})
	return vlans, err
}
