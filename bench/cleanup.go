package bench

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// cleanup is what a measurement takes away at its end.
type cleanup struct{ steps []func() error }

// later has a step done at the end, before those that were asked for earlier.
func (c *cleanup) later(step func() error) { c.steps = append(c.steps, step) }

// Close takes everything away, the last thing first.
func (c *cleanup) Close() error {
	var errs []error
	for _, step := range slices.Backward(c.steps) {
		errs = append(errs, step())
	}
	c.steps = nil
	return errors.Join(errs...)
}

// mountPins makes a directory with a bpf file system.
func (c *cleanup) mountPins() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "evenkeel-bench-"); err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	c.later(func() error { return os.Remove(dir) })
	unmount, err := lab.MountBPFFS(dir)
	if err != nil {
		return "", err
	}
	c.later(unmount)
	return dir, nil
}
