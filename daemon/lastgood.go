package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/evenkeel/evenkeel/config"
)

// Store keeps the configuration that last ran well, for a process that follows
// one which died of another.
type Store interface {
	// Keep replaces what is kept.
	Keep(config.Snapshot) error
	// Kept returns it. Nothing kept is an error.
	Kept() (config.Snapshot, error)
	// Forget drops it. Nothing kept is no error.
	Forget() error
}

// FileStore is a Store in one file. Only root reads it: it holds the secrets of
// the configuration.
type FileStore string

// Keep replaces the file as a whole, so that a process that dies in between
// leaves a good one.
func (f FileStore) Keep(s config.Snapshot) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("keep configuration: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f))+".*")
	if err != nil {
		return fmt.Errorf("keep configuration: %w", err)
	}
	_, err = file.Write(b)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), string(f))
	}
	if err != nil {
		return fmt.Errorf("keep configuration: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

// Kept reads the file.
func (f FileStore) Kept() (s config.Snapshot, err error) {
	b, err := os.ReadFile(string(f))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read kept configuration: %w", err)
	}
	return s, nil
}

// Forget removes the file.
func (f FileStore) Forget() error {
	if err := os.Remove(string(f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget kept configuration: %w", err)
	}
	return nil
}

// ranWell is how long a configuration runs before it is kept: as long as package
// supervise waits to call a worker well.
const ranWell = 10 * time.Second

// firstConfig reads the configuration to begin with: that of the file, or, after
// the death of processes before this one, the one that last ran well. why is
// empty for the file.
func (d *Daemon) firstConfig() (cfg *config.Config, why string, err error) {
	if d.opts.FallBack != "" && d.opts.LastGood != nil {
		s, err := d.opts.LastGood.Kept()
		if err == nil {
			cfg, err = d.opts.LoadKept(s)
		}
		if err == nil {
			d.log.Error("the configuration that last ran well runs, not that of the file", "cause", d.opts.FallBack)
			return cfg, d.opts.FallBack, nil
		}
		d.log.Error("no earlier configuration to begin with", "cause", d.opts.FallBack, "error", err)
	}
	cfg, err = d.opts.Load(d.opts.File)
	return cfg, "", err
}

// keepTask keeps each configuration that has run for a while.
func (d *Daemon) keepTask(ctx context.Context, running *config.Config) error {
	if d.opts.LastGood == nil {
		return nil
	}
	timer := time.NewTimer(ranWell)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case running = <-d.taken:
			timer.Reset(ranWell)
		case <-timer.C:
			if err := d.opts.LastGood.Keep(running.Snapshot()); err != nil {
				d.log.Warn("a crash loop will not find this configuration", "error", err)
			}
		}
	}
}

// tookOver tells keepTask of another configuration.
func (d *Daemon) tookOver(ctx context.Context, cfg *config.Config) {
	if d.opts.LastGood == nil {
		return
	}
	select {
	case d.taken <- cfg:
	case <-ctx.Done():
	}
}

// forgetConfig is for a clean end, which nothing follows that would want it.
func (d *Daemon) forgetConfig() {
	if d.opts.LastGood == nil {
		return
	}
	if err := d.opts.LastGood.Forget(); err != nil {
		d.log.Warn("a file is left behind", "error", err)
	}
}
