package lab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// MountBPFFS mounts a new, empty bpf file system on an existing directory, and
// returns the function that unmounts it, with everything pinned in it. The
// mount is visible to the whole mount namespace, and never on /sys/fs/bpf.
func MountBPFFS(dir string) (unmount func() error, err error) {
	return mountBPFFS("evenkeel-lab", dir)
}

// MountBPFFS is the function of that name for a mount that ends with the lab,
// and that Clean finds.
func (l *Lab) MountBPFFS(dir string) error {
	unmount, err := mountBPFFS(bpffsSource(l.prefix), dir)
	if err != nil {
		return err
	}
	l.onClose(unmount)
	return nil
}

// bpffsSource is what the mount table shows as the source of a lab's mounts.
func bpffsSource(prefix string) string { return "evenkeel-lab-" + prefix }

func mountBPFFS(source, dir string) (func() error, error) {
	if dir == "/sys/fs/bpf" {
		return nil, errors.New("mount bpffs: /sys/fs/bpf belongs to the machine, give a private directory")
	}
	if err := unix.Mount(source, dir, "bpf", 0, "mode=0700"); err != nil {
		return nil, fmt.Errorf("mount bpffs on %s: %w", dir, err)
	}
	return func() error { return unmountBPFFS(dir) }, nil
}

// unmountBPFFS detaches, so that a file still open in it does not keep the
// directory busy.
func unmountBPFFS(dir string) error {
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount bpffs %s: %w", dir, err)
	}
	return nil
}

// unmountBySource unmounts every bpf file system with this source.
func unmountBySource(source string) error {
	dirs, err := mountsBySource(source)
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, unmountBPFFS(dir))
	}
	return errors.Join(errs...)
}

func mountsBySource(source string) ([]string, error) {
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer f.Close()
	var dirs []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if dir, ok := bpffsMount(lines.Text(), source); ok {
			dirs = append(dirs, dir)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return dirs, nil
}

// bpffsMount returns the mount point of a line of mountinfo if it is a bpf file
// system from that source. The form is proc_pid_mountinfo(5)'s: the mount point
// is the fifth field; type and source follow a lone dash.
func bpffsMount(line, source string) (string, bool) {
	before, after, ok := strings.Cut(line, " - ")
	head, tail := strings.Fields(before), strings.Fields(after)
	if !ok || len(head) < 5 || len(tail) < 2 || tail[0] != "bpf" || tail[1] != source {
		return "", false
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(head[4]), true
}
