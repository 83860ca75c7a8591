package loader

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/netif"
)

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
	errs := []error{x.followNames(links)}
	for _, p := range slices.Collect(maps.Values(x.ports)) {
		errs = append(errs, x.checkLink(p, links, ours))
	}
	return errors.Join(append(errs, x.syncPorts(links))...)
}

// followNames takes over the names of interfaces that were renamed.
func (x *XDP) followNames(links []netif.Link) error {
	named := map[string]*port{}
	for _, p := range x.ports {
		if l, there := linkAt(links, p.index); there && l.Name != p.name {
			x.log.Info("interface was renamed", "old", p.name, "new", l.Name)
			p.name = l.Name
		}
		named[p.name] = p
	}
	x.ports = named
	return x.renamePins()
}

func (x *XDP) checkLink(p *port, links []netif.Link, ours uint32) error {
	l, there := linkAt(links, p.index)
	if !there {
		return x.interfaceGone(p, links)
	}
	if l.MAC != p.mac {
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
		err := x.putPort(uint32(p.index), lbmaps.Port{})
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
