package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/pin"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

// adoptLinks puts the new program in the place of the one that runs, on every
// interface or on none.
func (x *XDP) adoptLinks() error {
	names, err := x.pins.linkNames()
	if err != nil {
		return err
	}
	links, err := x.opts.Links.Links()
	if err != nil {
		return err
	}
	var updated []*port
	for _, name := range names {
		p, err := x.adoptLink(name, links)
		if err != nil {
			return errors.Join(err, x.putBack(updated))
		}
		if p != nil {
			updated = append(updated, p)
		}
	}
	if err := x.renamePins(); err != nil {
		return err
	}
	return x.syncPorts(links)
}

// adoptLink puts the program in place on one interface. It returns nil when the
// interface, or the attachment, is gone: then the pin goes too.
func (x *XDP) adoptLink(name string, links []netif.Link) (*port, error) {
	path := x.pins.link(name)
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return nil, fmt.Errorf("adopt link of %s: %w", name, err)
	}
	p := &port{pin: pinName(name), link: l}
	index, err := linkIndex(l)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("adopt link of %s: %w", name, err), l.Close())
	}
	there, ok := linkAt(links, index)
	if !ok || index == 0 {
		x.log.Warn("an interface of the datapath is gone", "interface", name)
		if err := os.Remove(path); err != nil {
			return nil, errors.Join(fmt.Errorf("unpin link of %s: %w", name, err), l.Close())
		}
		return nil, l.Close()
	}
	if err := l.Update(x.progs.xdp); err != nil {
		return nil, errors.Join(fmt.Errorf("replace xdp program on %s: %w", name, err), l.Close())
	}
	p.adopt(there)
	x.ports[p.name] = p
	return p, nil
}

// adopt takes over what the kernel says of the interface.
func (p *port) adopt(l netif.Link) {
	p.name, p.index, p.mac = l.Name, l.Index, l.MAC
	p.mode = model.XDPNative
	if l.XDPMode == netif.XDPGeneric {
		p.mode, p.reason = model.XDPGeneric, "attached so by an earlier start"
	}
}

// putBack gives links that were updated the program of before.
func (x *XDP) putBack(updated []*port) error {
	if len(updated) == 0 {
		return nil
	}
	old, err := ebpf.LoadPinnedProgram(x.pins.prog(bpf.EkProgEkXdp), nil)
	if err != nil {
		return fmt.Errorf("put the earlier xdp program back: %w", err)
	}
	defer old.Close()
	var errs []error
	for _, p := range updated {
		if err := p.link.Update(old); err != nil {
			errs = append(errs, fmt.Errorf("put the earlier xdp program back on %s: %w", p.name, err))
		}
	}
	return errors.Join(errs...)
}

// renamePins calls the pins after interfaces that were renamed. Two may have
// exchanged their names, so each first gets a name that no interface has.
func (x *XDP) renamePins() error {
	var moved []*port
	for _, p := range x.ports {
		if p.link == nil || p.pin == pinName(p.name) {
			continue
		}
		moved = append(moved, p)
		if err := x.renamePin(p, fmt.Sprintf("%%%d", p.index)); err != nil {
			return err
		}
	}
	for _, p := range moved {
		if err := x.renamePin(p, pinName(p.name)); err != nil {
			return err
		}
	}
	return nil
}

func (x *XDP) renamePin(p *port, name string) error {
	from, to := filepath.Join(x.pins.links(), p.pin), filepath.Join(x.pins.links(), name)
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("rename pin of the link of %s: %w", p.name, err)
	}
	p.pin = name
	return nil
}

// linkIndex returns the interface that a link is attached to, 0 for none.
func linkIndex(l link.Link) (int, error) {
	info, err := l.Info()
	if err != nil {
		return 0, err
	}
	xdp := info.XDP()
	if xdp == nil {
		return 0, errors.New("it is no XDP link")
	}
	return int(xdp.Ifindex), nil
}

func linkAt(links []netif.Link, index int) (netif.Link, bool) {
	for _, l := range links {
		if l.Index == index {
			return l, true
		}
	}
	return netif.Link{}, false
}

// detachPinned ends every pinned attachment. What is no link is left for the
// removal of the pins.
func detachPinned(p pins) error {
	names, err := p.linkNames()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if err := detachPin(p.link(name)); err != nil {
			errs = append(errs, fmt.Errorf("detach xdp from %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func detachPin(path string) error {
	object, err := pin.Load(path, nil)
	if err != nil {
		return err
	}
	defer object.Close()
	if l, ok := object.(link.Link); ok {
		return l.Detach()
	}
	return nil
}

func programID(prog *ebpf.Program) (uint32, error) {
	info, err := prog.Info()
	if err != nil {
		return 0, fmt.Errorf("read xdp program: %w", err)
	}
	id, ok := info.ID()
	if !ok {
		return 0, errors.New("read xdp program: it has no id")
	}
	return uint32(id), nil
}
