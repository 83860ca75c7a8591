package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/daemon/dump"
)

// The signals that keepalived's exporters send. The first two are SIGUSR1 and
// SIGUSR2; the others have numbers, since Go has no names for them: SIGRTMIN+2
// and SIGRTMAX-1 where the C library counts from 34.
const (
	signalData       = syscall.SIGUSR1
	signalStats      = syscall.SIGUSR2
	signalJSON       = syscall.Signal(36)
	signalStatsClear = syscall.Signal(63)
)

// Signals returns the signals that a Daemon acts on.
func Signals() []os.Signal {
	return []os.Signal{
		syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT,
		signalData, signalStats, signalJSON, signalStatsClear,
	}
}

// dumpTimeout bounds how long a dump waits for what it prints.
const dumpTimeout = 5 * time.Second

// dump writes the file that a signal asks for, and reports whether it is such a
// signal.
func (d *Daemon) dump(ctx context.Context, sig os.Signal) bool {
	switch sig {
	case signalData, signalStats, signalJSON, signalStatsClear:
	default:
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, dumpTimeout)
	defer cancel()
	name, err := d.writeDump(ctx, sig)
	if err != nil {
		d.log.Error("dump not written", "file", name, "error", err)
	} else {
		d.log.Debug("dump written", "file", name)
	}
	return true
}

func (d *Daemon) writeDump(ctx context.Context, sig os.Signal) (name string, err error) {
	state, err := d.dumpState(ctx)
	if err != nil {
		return "", err
	}
	var content []byte
	asked := state.Global.Dumps.Stats
	switch sig {
	case signalData:
		name, asked, content = dump.DataFile, state.Global.Dumps.State, state.Data()
	case signalJSON:
		name, asked = dump.JSONFile, state.Global.Dumps.JSON
		content, err = state.JSON(d.cleared)
	default:
		name, content = dump.StatsFile, state.Stats(d.cleared)
	}
	if err != nil {
		return name, err
	}
	if sig == signalStatsClear {
		d.cleared = state.Clear()
	}
	dir, name := dump.Place(d.opts.DumpDir, name, asked)
	return filepath.Join(dir, name), dump.Write(dir, name, content)
}

func (d *Daemon) dumpState(ctx context.Context) (s dump.State, err error) {
	err = d.do(ctx, func(context.Context) { s.Global, s.VRRP = d.core.conf.Global, d.core.conf.VRRP })
	if err != nil {
		return s, fmt.Errorf("ask for the configuration: %w", err)
	}
	if s.Instances, err = d.vrrp.routers.Snapshot(ctx); err != nil {
		return s, fmt.Errorf("ask for vrrp: %w", err)
	}
	s.Tracked = d.vrrp.routers.Tracked()
	return s, nil
}
