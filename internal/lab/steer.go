package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// SteerTo has the kernel's stack take what comes in by the interface on that CPU:
// receive packet steering. Programs in native mode run before it, those in generic mode
// after it. A kernel without it is os.ErrNotExist.
func (i *Iface) SteerTo(cpu int) error {
	// Only a new mount shows the interfaces of the node (see Start).
	dir, err := os.MkdirTemp("", "evenkeel-sysfs-")
	if err != nil {
		return fmt.Errorf("steer %s: %w", i.Name, err)
	}
	err = i.Node.Do(func() error {
		if err := unix.Mount("evenkeel-lab", dir, "sysfs", 0, ""); err != nil {
			return fmt.Errorf("mount sysfs: %w", err)
		}
		file := filepath.Join(dir, "class/net", i.Name, "queues/rx-0/rps_cpus")
		return errors.Join(writeExisting(file, cpuMask(cpu)), unix.Unmount(dir, unix.MNT_DETACH))
	})
	if err = errors.Join(err, os.Remove(dir)); err != nil {
		return fmt.Errorf("steer %s of %s: %w", i.Name, i.Node.name, err)
	}
	return nil
}

// writeExisting makes no file where there is none.
func writeExisting(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// cpuMask writes one CPU as the kernel reads masks: hexadecimal words of 32 bits, the
// highest first.
func cpuMask(cpu int) string {
	return fmt.Sprintf("%x", uint32(1)<<(cpu%32)) + strings.Repeat(",00000000", cpu/32)
}
