package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

// port is an interface that the program is wanted on.
type port struct {
	name  string
	index int
	mac   [6]byte
	// link is nil while the program is not attached. pin is its name in the
	// directory of links.
	link   link.Link
	pin    string
	mode   model.XDPMode
	reason string
	// vlans are the names of the VLAN devices above it, and problem what netif.TagProblem
	// says of it; both as of the last look.
	vlans   []string
	problem string
	// healed is set after one attempt to undo what somebody else did to the
	// attachment. A second time it stays as it is, and is reported.
	healed bool
}

func (p *port) closeLink() error {
	if p.link == nil {
		return nil
	}
	err := p.link.Close()
	p.link = nil
	return err
}

// detach ends the attachment, also if another process holds it open. The pin
// is left to the caller.
func (p *port) detach() error {
	if p.link == nil {
		return nil
	}
	err := p.link.Detach()
	p.mode = ""
	if err = errors.Join(err, p.closeLink()); err != nil {
		return fmt.Errorf("detach xdp from %s: %w", p.name, err)
	}
	return nil
}

// BusyError says that an interface runs another XDP program.
type BusyError struct {
	Interface string
	// ProgramID is 0, and Program empty, when they are not known.
	ProgramID uint32
	Program   string
	// Fix is how to detach it.
	Fix string
}

// Error returns one line that names the program and what to do.
func (e *BusyError) Error() string {
	program := "another XDP program"
	if e.ProgramID != 0 {
		program = fmt.Sprintf("XDP program %d", e.ProgramID)
	}
	if e.Program != "" {
		program += fmt.Sprintf(" %q", e.Program)
	}
	return fmt.Sprintf("interface %s already runs %s; detach it with `%s`, or leave the interface out with `@evenkeel xdp_interface`",
		e.Interface, program, e.Fix)
}

// Attach makes the named interfaces those that the program runs on: it
// attaches to new ones and then detaches from those not named. In mode auto an
// interface that refuses native mode gets generic mode; see Status. After an error
// everything is as before. The error is a *netif.NoLinkError for an interface that is
// not there and a *BusyError for one with another XDP program.
func (x *XDP) Attach(names []string, mode model.XDPMode) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	if mode == "" {
		mode = model.XDPAuto
	}
	links, err := x.opts.Links.Links()
	if err != nil {
		return err
	}
	fresh, err := x.attachNew(names, mode, links)
	if err != nil {
		return err
	}
	x.mode = mode
	for _, p := range fresh {
		x.ports[p.name] = p
		x.log.Info("attached xdp", "interface", p.name, "mode", p.mode, "reason", p.reason)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(x.ports)) {
		if !slices.Contains(names, name) {
			errs = append(errs, x.drop(x.ports[name]))
		}
	}
	return errors.Join(append(errs, x.syncPorts(links))...)
}

// attachNew attaches to the interfaces that have no attachment of the wanted
// mode, and to none if one fails.
func (x *XDP) attachNew(names []string, mode model.XDPMode, links []netif.Link) ([]*port, error) {
	var fresh []*port
	undo := func() error {
		var errs []error
		for _, p := range fresh {
			errs = append(errs, x.drop(p))
		}
		return errors.Join(errs...)
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if p := x.ports[name]; p != nil && p.mode != "" && (mode == model.XDPAuto || mode == p.mode) {
			continue
		}
		l, err := linkNamed(links, name)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("attach xdp: %w", err), undo())
		}
		p, err := x.reattach(l, mode)
		if err != nil {
			return nil, errors.Join(err, undo())
		}
		fresh = append(fresh, p)
	}
	return fresh, nil
}

// reattach attaches to an interface, in place of an attachment of ours in another mode,
// if there is one. The kernel has no exchange for that: a few packets pass
// by. If the new mode is refused the old one comes back.
func (x *XDP) reattach(l netif.Link, mode model.XDPMode) (*port, error) {
	old := x.ports[l.Name]
	if old == nil || old.link == nil {
		return x.attach(l, mode)
	}
	before := old.mode
	if err := old.detach(); err != nil {
		return nil, err
	}
	l.XDPProgram, l.XDPMode = 0, netif.XDPNone
	p, err := x.attach(l, mode)
	if err == nil {
		return p, nil
	}
	back, again := x.attach(l, before)
	if again != nil {
		old.reason = again.Error()
		return nil, errors.Join(err, again)
	}
	x.ports[l.Name] = back
	return nil, err
}

func linkNamed(links []netif.Link, name string) (netif.Link, error) {
	var have []string
	for _, l := range links {
		if l.Name == name {
			return l, nil
		}
		have = append(have, l.Name)
	}
	slices.Sort(have)
	return netif.Link{}, &netif.NoLinkError{Name: name, Have: have}
}

// attach attaches to one interface and pins the link.
func (x *XDP) attach(l netif.Link, mode model.XDPMode) (*port, error) {
	if !l.Ethernet {
		return nil, fmt.Errorf("attach xdp to %s: it is no Ethernet interface", l.Name)
	}
	if l.XDPMode != netif.XDPNone {
		return nil, x.busy(l)
	}
	p := &port{name: l.Name, index: l.Index, mac: l.MAC}
	// The program must know the interface when the first frame comes.
	if err := x.putPort(uint32(p.index), p.entry()); err != nil {
		return nil, fmt.Errorf("attach xdp to %s: %w", l.Name, err)
	}
	err := p.attach(x.progs.xdp, mode)
	if err == nil {
		err = x.pinLink(p)
	}
	if err != nil {
		return nil, errors.Join(err, x.putPort(uint32(p.index), lbmaps.Port{}))
	}
	return p, nil
}

// attach links the program in the wanted mode.
func (p *port) attach(prog *ebpf.Program, mode model.XDPMode) error {
	var refused error
	if mode != model.XDPGeneric {
		err := p.linkAs(prog, link.XDPDriverMode)
		if err == nil {
			p.mode = model.XDPNative
			return nil
		}
		if mode == model.XDPNative || isBusy(err) {
			return fmt.Errorf("attach xdp to %s in native mode: %w", p.name, err)
		}
		refused = err
	}
	if err := p.linkAs(prog, link.XDPGenericMode); err != nil {
		return fmt.Errorf("attach xdp to %s in generic mode: %w", p.name, err)
	}
	p.mode, p.reason = model.XDPGeneric, "asked for by xdp_mode"
	if refused != nil {
		p.reason = fmt.Sprintf("the driver refuses native mode: %s", errnoText(refused))
	}
	return nil
}

func (p *port) linkAs(prog *ebpf.Program, flags link.XDPAttachFlags) error {
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: p.index, Flags: flags})
	if err != nil {
		return err
	}
	p.link = l
	return nil
}

// isBusy recognises the answers to an attachment where another program runs, in
// the same mode or in another.
func isBusy(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) }

// errnoText returns the kernel's word only, without the library's.
func errnoText(err error) string {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}

// pinLink makes the attachment outlive the process.
func (x *XDP) pinLink(p *port) error {
	path := x.pins.link(p.name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("remove pin of a dead link: %w", err), p.detach())
	}
	if err := pinAs(p.link, path); err != nil {
		return errors.Join(err, p.detach())
	}
	p.pin = pinName(p.name)
	return nil
}

// drop ends the attachment to an interface and forgets it.
func (x *XDP) drop(p *port) error {
	err := p.detach()
	if rm := os.Remove(x.pins.link(p.name)); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("unpin link of %s: %w", p.name, rm))
	}
	if x.ports[p.name] == p {
		delete(x.ports, p.name)
	}
	x.log.Info("detached xdp", "interface", p.name)
	return errors.Join(err, x.putPort(uint32(p.index), lbmaps.Port{}))
}

// busy describes the program that runs on an interface.
func (x *XDP) busy(l netif.Link) *BusyError {
	e := &BusyError{Interface: l.Name, ProgramID: l.XDPProgram, Program: programName(l.XDPProgram)}
	switch id := linkOn(l.Index, l.XDPProgram); {
	case e.Program == "xdp_dispatcher" || hasDispatcher(filepath.Dir(string(x.pins)), l.Index):
		e.Fix = "xdp-loader unload " + l.Name + " --all"
	case id != 0:
		e.Fix = fmt.Sprintf("bpftool link detach id %d", id)
	case l.XDPMode == netif.XDPGeneric:
		e.Fix = "ip link set dev " + l.Name + " xdpgeneric off"
	default:
		e.Fix = "ip link set dev " + l.Name + " xdp off"
	}
	return e
}

// hasDispatcher reports whether libxdp keeps a dispatcher on an interface, by
// what it pins: the kernel tells a program's name to CAP_SYS_ADMIN only.
func hasDispatcher(bpffs string, index int) bool {
	pinned, err := filepath.Glob(filepath.Join(bpffs, "xdp", fmt.Sprintf("dispatch-%d-*", index)))
	return err == nil && len(pinned) > 0
}

// programName returns the name of a program, or nothing where the kernel does
// not tell: that takes CAP_SYS_ADMIN.
func programName(id uint32) string {
	if id == 0 {
		return ""
	}
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return ""
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// linkOn returns the id of the BPF link by which the program is on the
// interface, or 0 when it was attached through netlink. Links of other network
// namespaces are in the list too, with indexes of their own, so the program
// decides.
func linkOn(index int, program uint32) link.ID {
	var it link.Iterator
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			continue
		}
		if xdp := info.XDP(); xdp != nil && int(xdp.Ifindex) == index && uint32(info.Program) == program {
			return info.ID
		}
	}
	return 0
}
