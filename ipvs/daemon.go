package ipvs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
)

// The commands of IPVS's sync daemons and their attributes.
const (
	cmdNewDaemon = 9
	cmdDelDaemon = 10
	cmdGetDaemon = 11

	attrDaemon = 3

	daemonState     = 1
	daemonInterface = 2
	daemonSyncID    = 3
	daemonMaxLen    = 4
	daemonGroup     = 5
	daemonGroup6    = 6
	daemonPort      = 7
	daemonTTL       = 8
)

// SyncRole is what a sync daemon does.
type SyncRole uint32

// The roles. The kernel has one daemon of each at most.
const (
	// SyncMaster sends flows.
	SyncMaster SyncRole = 1
	// SyncBackup takes flows.
	SyncBackup SyncRole = 2
)

// String returns the role as ipvsadm names it.
func (r SyncRole) String() string {
	if r == SyncMaster {
		return "master"
	}
	return "backup"
}

// SyncDaemon is a sync daemon of the kernel's. Zero fields behind ID are the
// kernel's defaults.
type SyncDaemon struct {
	Role      SyncRole
	Interface string
	ID        uint8
	MaxLen    uint16
	Port      uint16
	TTL       uint8
	Group     netip.Addr
}

// runs reports whether d is what is wanted. The kernel shortens MaxLen to what
// the interface carries.
func (d SyncDaemon) runs(wanted SyncDaemon) bool {
	return d.Role == wanted.Role && d.Interface == wanted.Interface && d.ID == wanted.ID &&
		(wanted.MaxLen == 0 || d.MaxLen <= wanted.MaxLen) &&
		d.Port == cmp.Or(wanted.Port, syncPort) && d.TTL == cmp.Or(wanted.TTL, 1) &&
		d.Group == cmp.Or(wanted.Group, syncGroup())
}

// SyncDaemons returns those that run, whoever has started them.
func (v *IPVS) SyncDaemons(ctx context.Context) ([]SyncDaemon, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, ErrClosed
	}
	return v.syncDaemons(ctx)
}

// SetSyncDaemons has these run, of each role one at most, in place of those that
// it had run before, and of others of the same roles. One that runs as it is
// wanted goes on.
func (v *IPVS) SetSyncDaemons(ctx context.Context, want ...SyncDaemon) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	running, err := v.syncDaemons(ctx)
	if err != nil {
		return fmt.Errorf("ipvs: %w", err)
	}
	var errs []error
	for _, d := range running {
		same := func(w SyncDaemon) bool { return d.runs(w) }
		inTheWay := func(w SyncDaemon) bool { return w.Role == d.Role }
		if slices.ContainsFunc(want, same) || !v.synced[d.Role] && !slices.ContainsFunc(want, inTheWay) {
			continue
		}
		if err := v.endDaemon(ctx, d); err != nil {
			errs = append(errs, fmt.Errorf("ipvs: end the sync daemon %s on %s: %w", d.Role, d.Interface, err))
		}
	}
	clear(v.synced)
	for _, w := range want {
		v.synced[w.Role] = true
		if slices.ContainsFunc(running, func(d SyncDaemon) bool { return d.runs(w) }) {
			continue
		}
		if err := v.conn.change(ctx, cmdNewDaemon, encodeDaemon(w)); err != nil {
			errs = append(errs, fmt.Errorf("ipvs: start the sync daemon %s on %s: %w", w.Role, w.Interface, err))
		}
	}
	return errors.Join(errs...)
}

// unanswered is how long the end of a daemon may stay without an answer.
const unanswered = time.Second

// endDaemon ends a daemon. Of one that was started a moment ago, and has not run
// yet, the kernel says EINTR, to which netlink sends no answer: then the list
// says whether it has ended.
func (v *IPVS) endDaemon(ctx context.Context, d SyncDaemon) error {
	short, cancel := context.WithTimeout(ctx, unanswered)
	defer cancel()
	err := v.conn.change(short, cmdDelDaemon, encodeDaemon(d))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	left, listErr := v.syncDaemons(ctx)
	if listErr != nil {
		return listErr
	}
	if slices.ContainsFunc(left, func(l SyncDaemon) bool { return l.Role == d.Role }) {
		return err
	}
	return nil
}

// syncDaemons reads those that run.
func (v *IPVS) syncDaemons(ctx context.Context) (all []SyncDaemon, err error) {
	list, err := v.conn.dump(ctx, cmdGetDaemon, nil)
	if err != nil {
		return nil, fmt.Errorf("read sync daemons: %w", err)
	}
	for _, m := range list {
		d, err := netlink.NewAttributeDecoder(m.Data)
		if err != nil {
			return nil, fmt.Errorf("read sync daemons: %w", err)
		}
		for d.Next() {
			if d.Type() != attrDaemon {
				continue
			}
			d.Nested(func(d *netlink.AttributeDecoder) error {
				all = append(all, decodeDaemon(d))
				return nil
			})
		}
		if err := d.Err(); err != nil {
			return nil, fmt.Errorf("read sync daemons: %w", err)
		}
	}
	return all, nil
}

func decodeDaemon(d *netlink.AttributeDecoder) SyncDaemon {
	one := SyncDaemon{Port: syncPort, TTL: 1, Group: syncGroup()} // of kernels that do not say
	for d.Next() {
		switch d.Type() {
		case daemonState:
			one.Role = SyncRole(d.Uint32())
		case daemonInterface:
			one.Interface = d.String()
		case daemonSyncID:
			one.ID = uint8(d.Uint32())
		case daemonMaxLen:
			one.MaxLen = d.Uint16()
		case daemonGroup, daemonGroup6:
			if a, ok := netip.AddrFromSlice(d.Bytes()); ok {
				one.Group = a
			}
		case daemonPort:
			one.Port = d.Uint16()
		case daemonTTL:
			one.TTL = d.Uint8()
		}
	}
	return one
}

// listen starts a daemon that takes flows from this machine alone, unless one
// runs already, and returns it and what ends it.
func (v *IPVS) listen(ctx context.Context) (d SyncDaemon, end func() error, err error) {
	all, err := v.syncDaemons(ctx)
	if err != nil {
		return d, nil, err
	}
	at := slices.IndexFunc(all, func(d SyncDaemon) bool { return d.Role == SyncBackup })
	if at >= 0 && all[at].Group.Is4() {
		return all[at], func() error { return nil }, nil
	}
	// Of no number, it takes messages of any.
	d = SyncDaemon{Role: SyncBackup, Interface: "lo", Port: syncPort, Group: syncGroup()}
	if err := v.conn.change(ctx, cmdNewDaemon, encodeDaemon(d)); err != nil {
		return d, nil, fmt.Errorf("start a sync daemon on %s: %w", d.Interface, err)
	}
	return d, func() error {
		if err := v.endDaemon(context.WithoutCancel(ctx), d); err != nil {
			return fmt.Errorf("end the sync daemon on %s: %w", d.Interface, err)
		}
		return nil
	}, nil
}

func encodeDaemon(d SyncDaemon) []byte {
	e := netlink.NewAttributeEncoder()
	e.Nested(attrDaemon, func(e *netlink.AttributeEncoder) error {
		e.Uint32(daemonState, uint32(d.Role))
		e.String(daemonInterface, d.Interface)
		e.Uint32(daemonSyncID, uint32(d.ID))
		if d.MaxLen != 0 {
			e.Uint16(daemonMaxLen, d.MaxLen)
		}
		if d.Group.Is4() {
			e.Bytes(daemonGroup, d.Group.AsSlice())
		} else if d.Group.Is6() {
			e.Bytes(daemonGroup6, d.Group.AsSlice())
		}
		if d.Port != 0 {
			e.Uint16(daemonPort, d.Port)
		}
		if d.TTL != 0 {
			e.Uint8(daemonTTL, d.TTL)
		}
		return nil
	})
	data, err := e.Encode()
	if err != nil {
		return nil // a name of an interface always fits
	}
	return data
}
