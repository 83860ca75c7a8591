package ipvs

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// Apply carries out operations in order. One that cannot be carried out ends
// the operations on its service; those on the others go on. Operations that
// were carried out already may come again: adding what is there edits it, and
// deleting what is not there does nothing. The error joins one for each such
// service; each wraps ErrClosed, ErrNoScheduler, ErrNoService, ErrNoServer or
// the kernel's errno.
func (v *IPVS) Apply(ctx context.Context, ops []sched.Op) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	var errs []error
	refused := make(map[model.ServiceKey]bool)
	for _, op := range ops {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if refused[op.Service.Key] {
			continue
		}
		if err := v.apply(ctx, op); err != nil {
			refused[op.Service.Key] = true
			errs = append(errs, fmt.Errorf("ipvs: %s: %w", op, err))
		}
	}
	return errors.Join(errs...)
}

// apply carries out one operation.
func (v *IPVS) apply(ctx context.Context, op sched.Op) error {
	switch op.Kind {
	case sched.AddService:
		err := v.writeService(ctx, cmdNewService, op.Service)
		if errors.Is(err, unix.EEXIST) {
			err = v.writeService(ctx, cmdSetService, op.Service)
		}
		if err != nil {
			return explainService(err)
		}
		v.ours[op.Service.Key] = true
		return nil
	case sched.EditService:
		return explainService(v.writeService(ctx, cmdSetService, op.Service))
	case sched.DelService:
		err := v.deleteService(ctx, op.Service.Key)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
		delete(v.ours, op.Service.Key)
		return nil
	case sched.AddServer:
		err := v.writeServer(ctx, cmdNewServer, op)
		if errors.Is(err, unix.EEXIST) {
			err = v.writeServer(ctx, cmdSetServer, op)
		}
		return explainServer(err)
	case sched.EditServer:
		return explainServer(v.writeServer(ctx, cmdSetServer, op))
	case sched.DelServer:
		err := v.writeServer(ctx, cmdDelServer, op)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
			return nil
		}
		return err
	}
	return errors.New("unknown operation")
}

// explainService puts words to the errors of requests on services.
func explainService(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: %w", ErrNoScheduler, err)
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("%w: %w", ErrNoService, err)
	}
	return err
}

// explainServer puts words to the errors of requests on servers.
func explainServer(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: %w", ErrNoServer, err)
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("%w: %w", ErrNoService, err)
	}
	return err
}

func (v *IPVS) writeService(ctx context.Context, command uint8, s model.Service) error {
	data, err := request(func(e *netlink.AttributeEncoder) { encodeService(e, s) }, nil)
	if err != nil {
		return err
	}
	return v.conn.change(ctx, command, data)
}

func (v *IPVS) deleteService(ctx context.Context, k model.ServiceKey) error {
	data, err := request(func(e *netlink.AttributeEncoder) { encodeKey(e, k) }, nil)
	if err != nil {
		return err
	}
	return v.conn.change(ctx, cmdDelService, data)
}

// Flush deletes all services of the kernel's IPVS, those of others too.
func (v *IPVS) Flush(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	if err := v.conn.change(ctx, cmdFlush, nil); err != nil {
		return fmt.Errorf("ipvs: delete all services: %w", err)
	}
	clear(v.ours)
	return nil
}

func (v *IPVS) writeServer(ctx context.Context, command uint8, op sched.Op) error {
	data, err := request(
		func(e *netlink.AttributeEncoder) { encodeKey(e, op.Service.Key) },
		func(e *netlink.AttributeEncoder) {
			if command == cmdDelServer {
				encodeServerKey(e, op.Server.Addr)
				return
			}
			encodeServer(e, op.Server)
		},
	)
	if err != nil {
		return err
	}
	return v.conn.change(ctx, command, data)
}
