package ipvs

import (
	"context"
	"fmt"
	"net/netip"

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
	daemonGroup     = 5
	daemonPort      = 7

	// stateBackup is the role that takes flows.
	stateBackup = 2
)

// backup is a sync daemon that takes flows, and where it listens.
type backup struct {
	link  string
	id    uint8
	group netip.AddrPort
}

// listening returns the running daemon that takes flows, if there is one.
func (v *IPVS) listening(ctx context.Context) (b backup, found bool, err error) {
	list, err := v.conn.dump(ctx, cmdGetDaemon, nil)
	if err != nil {
		return backup{}, false, fmt.Errorf("read sync daemons: %w", err)
	}
	for _, m := range list {
		d, err := netlink.NewAttributeDecoder(m.Data)
		if err != nil {
			return backup{}, false, fmt.Errorf("read sync daemons: %w", err)
		}
		for d.Next() {
			if d.Type() != attrDaemon {
				continue
			}
			var state uint32
			var one backup
			d.Nested(func(d *netlink.AttributeDecoder) error {
				one, state = decodeDaemon(d)
				return nil
			})
			if state == stateBackup {
				b, found = one, true
			}
		}
		if err := d.Err(); err != nil {
			return backup{}, false, fmt.Errorf("read sync daemons: %w", err)
		}
	}
	return b, found, nil
}

func decodeDaemon(d *netlink.AttributeDecoder) (b backup, state uint32) {
	group, port := syncGroup(), uint16(syncPort)
	for d.Next() {
		switch d.Type() {
		case daemonState:
			state = d.Uint32()
		case daemonInterface:
			b.link = d.String()
		case daemonSyncID:
			b.id = uint8(d.Uint32())
		case daemonGroup:
			if a, ok := netip.AddrFromSlice(d.Bytes()); ok {
				group = a
			}
		case daemonPort:
			port = d.Uint16()
		}
	}
	b.group = netip.AddrPortFrom(group, port)
	return b, state
}

// listen starts a daemon that takes flows from this machine alone, unless one
// runs already, and returns where it listens and what ends it.
func (v *IPVS) listen(ctx context.Context) (b backup, end func() error, err error) {
	b, found, err := v.listening(ctx)
	if err != nil || found {
		return b, func() error { return nil }, err
	}
	// Of no number, it takes messages of any.
	b = backup{link: "lo", group: netip.AddrPortFrom(syncGroup(), syncPort)}
	if err := v.conn.change(ctx, cmdNewDaemon, encodeBackup(b)); err != nil {
		return b, nil, fmt.Errorf("start a sync daemon on %s: %w", b.link, err)
	}
	return b, func() error {
		if err := v.conn.change(context.WithoutCancel(ctx), cmdDelDaemon, encodeBackup(b)); err != nil {
			return fmt.Errorf("end the sync daemon on %s: %w", b.link, err)
		}
		return nil
	}, nil
}

func encodeBackup(b backup) []byte {
	e := netlink.NewAttributeEncoder()
	e.Nested(attrDaemon, func(e *netlink.AttributeEncoder) error {
		e.Uint32(daemonState, stateBackup)
		e.String(daemonInterface, b.link)
		e.Uint32(daemonSyncID, uint32(b.id))
		return nil
	})
	data, err := e.Encode()
	if err != nil {
		return nil // a name of an interface always fits
	}
	return data
}
