package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/lbmaps"
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
	return x.syncPorts()
}

// adoptLink puts the program in place on one interface. It returns nil when the
// interface, or the attachment, is gone: then the pin goes too.
func (x *XDP) adoptLink(name string, links []netif.Link) (*port, error) {
	path := x.pins.link(name)
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return nil, fmt.Errorf("adopt link of %s: %w", name, err)
	}
	p := &port{name: name, link: l}
	index, err := linkIndex(l)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("adopt link of %s: %w", name, err), l.Close())
	}
	there, ok := linkAt(links, index)
	if !ok {
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
	x.ports[name] = p
	return p, nil
}

// adopt takes over what the kernel says of the interface.
func (p *port) adopt(l netif.Link) {
	p.index, p.mac = l.Index, l.MAC
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

// syncPorts makes ek_ports say what the links say.
func (x *XDP) syncPorts() error {
	known, err := x.maps.Ports()
	if err != nil {
		return err
	}
	for _, p := range x.ports {
		delete(known, uint32(p.index))
		if err := x.maps.PutPort(uint32(p.index), lbmaps.Port{MAC: p.mac, Enabled: true}); err != nil {
			return err
		}
	}
	for index := range known {
		if err := x.maps.PutPort(index, lbmaps.Port{}); err != nil {
			return err
		}
	}
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
		l, err := link.LoadPinnedLink(p.link(name), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("detach xdp from %s: %w", name, err))
			continue
		}
		if err := l.Detach(); err != nil {
			errs = append(errs, fmt.Errorf("detach xdp from %s: %w", name, err))
		}
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// checkLinks looks after the attachments: it follows changed addresses, and
// heals, once, what somebody else detached or replaced. An interface that was
// deleted and comes back under its name is attached to again.
func (x *XDP) checkLinks() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || len(x.ports) == 0 {
		return nil
	}
	links, err := x.opts.Links.Links()
	if err != nil {
		return err
	}
	ours, err := programID(x.progs.xdp)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range x.ports {
		errs = append(errs, x.checkLink(p, links, ours))
	}
	return errors.Join(errs...)
}

func (x *XDP) checkLink(p *port, links []netif.Link, ours uint32) error {
	l, there := linkAt(links, p.index)
	if !there {
		return x.interfaceGone(p, links)
	}
	if l.MAC != p.mac {
		if err := x.maps.PutPort(uint32(p.index), lbmaps.Port{MAC: l.MAC, Enabled: true}); err != nil {
			return err
		}
		x.log.Info("interface address changed", "interface", p.name,
			"old", fmt.Sprintf("%x", p.mac), "new", fmt.Sprintf("%x", l.MAC))
		p.mac = l.MAC
	}
	if l.XDPProgram == ours {
		return nil
	}
	return x.heal(p, l)
}

// interfaceGone lets go of an attachment whose interface was deleted, and
// attaches to a new interface of that name if there is one.
func (x *XDP) interfaceGone(p *port, links []netif.Link) error {
	if p.mode != "" {
		x.log.Warn("interface is gone", "interface", p.name)
		err := x.maps.PutPort(uint32(p.index), lbmaps.Port{})
		if err = errors.Join(err, p.closeLink()); err != nil {
			return err
		}
		p.mode, p.reason = "", "the interface is gone"
	}
	l, err := linkNamed(links, p.name)
	if err != nil {
		return nil // not back yet
	}
	p.index, p.healed = l.Index, false
	return x.heal(p, l)
}

// heal attaches again, once. What then stands in the way stays, and the
// interface's reason says what it is.
func (x *XDP) heal(p *port, l netif.Link) error {
	if p.healed {
		if p.mode != "" {
			x.log.Error("xdp program was replaced or detached again, leaving it so", "interface", p.name, "program", l.XDPProgram)
			p.mode, p.reason = "", "another program replaced or detached it twice"
		}
		return nil
	}
	p.healed = true
	x.log.Warn("xdp program is not ours, attaching again", "interface", p.name, "program", l.XDPProgram)
	if p.link != nil {
		// Replaced within the link, or the link was detached.
		if index, err := linkIndex(p.link); err == nil && index == l.Index {
			return p.link.Update(x.progs.xdp)
		}
		if err := p.closeLink(); err != nil {
			return err
		}
	}
	again, err := x.attach(l, x.mode)
	if err != nil {
		p.mode, p.reason = "", err.Error()
		return err
	}
	again.healed = true
	x.ports[p.name] = again
	x.log.Info("attached xdp", "interface", again.name, "mode", again.mode, "reason", again.reason)
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
