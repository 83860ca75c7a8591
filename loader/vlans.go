package loader

import (
	"errors"
	"fmt"
	"maps"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/netif"
)

// table is what the program knows of interfaces.
type table struct {
	entries map[uint32]lbmaps.Port
	vlans   map[lbmaps.Tag]uint32
}

// portTable returns what the program shall know: the interfaces that it runs on, the
// members of bonds among them, and all VLAN devices, since replies may leave by any. A
// VLAN device that it runs on itself gets its frames without a tag, from the kernel.
func portTable(ports map[string]*port, links []netif.Link) table {
	t := table{entries: map[uint32]lbmaps.Port{}, vlans: map[lbmaps.Tag]uint32{}}
	for _, p := range ports {
		if p.mode == "" {
			continue
		}
		t.entries[uint32(p.index)] = p.entry()
		if l, there := linkAt(links, p.index); there {
			for _, m := range netif.Members(links, l) {
				t.entries[uint32(m.Index)] = p.entry()
			}
		}
	}
	for _, l := range links {
		if _, direct := t.entries[uint32(l.Index)]; l.VLAN != 0 && !direct {
			t.addVLAN(l)
		}
	}
	return t
}

// entry is what the program shall know of an interface that it runs on.
func (p *port) entry() lbmaps.Port {
	return lbmaps.Port{MAC: p.mac, Enabled: true, Device: uint32(p.index), Ifindex: uint32(p.index)}
}

// look takes over what the links say of an interface's VLANs.
func (p *port) look(x *XDP, links []netif.Link) {
	was := p.problem
	p.vlans, p.problem = nil, ""
	l, there := linkAt(links, p.index)
	if !there || p.mode == "" {
		return
	}
	for _, above := range links {
		if above.Lower == p.index && x.vlans[lbmaps.Tag{Ifindex: uint32(p.index), VLAN: above.VLAN}] == uint32(above.Index) {
			p.vlans = append(p.vlans, above.Name)
		}
	}
	problem, fix := netif.TagProblem(links, l)
	if problem == "" {
		return
	}
	if p.problem = problem + ": `" + fix + "`"; p.problem != was {
		x.log.Warn("VLAN tags may not be seen", "interface", p.name, "problem", p.problem)
	}
}

// addVLAN adds a VLAN device, with its tag on each interface that its frames come in by.
func (t table) addVLAN(l netif.Link) {
	lower, index := uint32(l.Lower), uint32(l.Index)
	entry := lbmaps.Port{MAC: l.MAC, Device: index, Ifindex: lower, VLAN: l.VLAN}
	for in, p := range t.entries {
		if l.Up && p.Enabled && p.VLAN == 0 && p.Device == lower {
			entry.Enabled = true
			t.vlans[lbmaps.Tag{Ifindex: in, VLAN: l.VLAN}] = index
		}
	}
	t.entries[index] = entry
}

// syncPorts makes ek_ports and ek_vlans say what the attachments and the links say. A
// port is there before a tag leads to it, and goes after.
func (x *XDP) syncPorts(links []netif.Link) error {
	want := portTable(x.ports, links)
	var errs []error
	for index, entry := range want.entries {
		errs = append(errs, x.putPort(index, entry))
	}
	for tag := range maps.Clone(x.vlans) {
		if _, wanted := want.vlans[tag]; !wanted {
			errs = append(errs, x.deleteVLAN(tag, links))
		}
	}
	for tag, device := range want.vlans {
		errs = append(errs, x.putVLAN(tag, device, links))
	}
	for index := range maps.Clone(x.entries) {
		if _, wanted := want.entries[index]; !wanted {
			errs = append(errs, x.putPort(index, lbmaps.Port{}))
		}
	}
	for _, p := range x.ports {
		p.look(x, links)
	}
	return errors.Join(errs...)
}

// putPort writes what the program shall know of an interface, if it does not yet.
func (x *XDP) putPort(index uint32, entry lbmaps.Port) error {
	if x.entries[index] == entry {
		return nil
	}
	if err := x.maps.PutPort(index, entry); err != nil {
		return err
	}
	if entry == (lbmaps.Port{}) {
		delete(x.entries, index)
	} else {
		x.entries[index] = entry
	}
	return nil
}

func (x *XDP) putVLAN(tag lbmaps.Tag, device uint32, links []netif.Link) error {
	if known, ok := x.vlans[tag]; ok && known == device {
		return nil
	}
	if err := x.maps.PutVLAN(tag, device); err != nil {
		return err
	}
	x.vlans[tag] = device
	x.log.Info("balancing frames of a VLAN", "interface", nameAt(links, tag.Ifindex), "vlan", tag.VLAN, "device", nameAt(links, device))
	return nil
}

func (x *XDP) deleteVLAN(tag lbmaps.Tag, links []netif.Link) error {
	if err := x.maps.DeleteVLAN(tag); err != nil {
		return err
	}
	delete(x.vlans, tag)
	x.log.Info("left the frames of a VLAN alone", "interface", nameAt(links, tag.Ifindex), "vlan", tag.VLAN)
	return nil
}

// nameAt returns the name of an interface, or its number once it is gone.
func nameAt(links []netif.Link, index uint32) string {
	if l, there := linkAt(links, int(index)); there {
		return l.Name
	}
	return fmt.Sprint(index)
}
