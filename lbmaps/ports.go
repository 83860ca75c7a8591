package lbmaps

import (
	"fmt"

	"github.com/evenkeel/evenkeel/bpf"
)

// Port is an interface that the program is attached to.
type Port struct {
	// MAC is the address of the frames that are ours.
	MAC [6]byte
	// Enabled is unset for an interface that the program is not attached to.
	Enabled bool
}

func wirePortEntry(p Port) bpf.EkPort {
	w := bpf.EkPort{Mac: p.MAC}
	if p.Enabled {
		w.Enabled = 1
	}
	return w
}

func hostPortEntry(w bpf.EkPort) Port { return Port{MAC: w.Mac, Enabled: w.Enabled != 0} }

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
	if err := m.ports.Put(ifindex, wirePortEntry(p)); err != nil {
		return fmt.Errorf("write port %d: %w", ifindex, err)
	}
	return nil
}

// Ports returns the enabled interfaces by ifindex.
func (m *Maps) Ports() (map[uint32]Port, error) {
	ports := map[uint32]Port{}
	err := walk(m.ports, func(ifindex uint32, w bpf.EkPort) bool {
		if p := hostPortEntry(w); p.Enabled {
			ports[ifindex] = p
		}
		return true
	})
	return ports, err
}
