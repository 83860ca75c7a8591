package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netnsDir is where ip netns keeps named namespaces.
const netnsDir = "/run/netns"

// threadNetns names the network namespace of the calling thread.
const threadNetns = "/proc/thread-self/ns/net"

// errExited is what the caller of onThread gets when the function left
// through runtime.Goexit, as testing's FailNow does.
var errExited = errors.New("function ended its goroutine instead of returning")

// onThread runs enter and then f on an OS thread of their own, and puts the
// thread back into its first network namespace. It uses a new goroutine, so
// that when that fails the runtime can end the thread with the goroutine, and
// the caller never runs on it.
func onThread(enter, f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errExited
		defer func() { done <- err }()
		err = lockedThread(enter, f)
	}()
	return <-done
}

func lockedThread(enter, f func() error) (err error) {
	runtime.LockOSThread()
	home, err := os.Open(threadNetns)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer func() {
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			err = errors.Join(err, fmt.Errorf("return to own network namespace: %w", back))
		} else {
			runtime.UnlockOSThread()
		}
		home.Close()
	}()
	if err := enter(); err != nil {
		return err
	}
	return f()
}

// createNamespace makes a named network namespace and returns it open.
func createNamespace(name string) (*os.File, error) {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return nil, fmt.Errorf("create namespace %s: %w", name, err)
	}
	path := filepath.Join(netnsDir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o444)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("create namespace %s: it exists, perhaps left by a killed run", name)
	}
	if err != nil {
		return nil, fmt.Errorf("create namespace %s: %w", name, err)
	}
	f.Close()

	unshare := func() error { return unix.Unshare(unix.CLONE_NEWNET) }
	bind := func() error { return unix.Mount(threadNetns, path, "", unix.MS_BIND, "") }
	if err := onThread(unshare, bind); err != nil {
		os.Remove(path)
		return nil, fmt.Errorf("create namespace %s: %w", name, err)
	}
	ns, err := os.Open(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create namespace %s: %w", name, err), removeName(name))
	}
	return ns, nil
}

// removeNamespace empties and removes the named namespace: its processes, its
// links, its name.
func removeNamespace(name string) error {
	ns, err := os.Open(filepath.Join(netnsDir, name))
	if err != nil {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	defer ns.Close()
	var errs []error
	if isNetns(ns) {
		errs = append(errs, killProcesses(ns), deleteLinks(ns))
	}
	return errors.Join(append(errs, removeName(name))...)
}

// removeName takes the name from a namespace, which the kernel then frees
// with its last socket or process. A name without a namespace, left by a
// program killed between the two, is removed too.
func removeName(name string) error {
	path := filepath.Join(netnsDir, name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("remove namespace %s: unmount: %w", name, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}

func isNetns(f *os.File) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &st) == nil && st.Type == unix.NSFS_MAGIC
}

// deleteLinks deletes every link of the namespace but lo. Links would go with
// the namespace, but that waits for the last socket somebody forgot to close.
func deleteLinks(ns *os.File) error {
	h, err := handleIn(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	links, err := h.LinkList()
	if err != nil {
		return fmt.Errorf("list links of %s: %w", ns.Name(), err)
	}
	var errs []error
	for _, link := range links {
		if _, veth := link.(*netlink.Veth); !veth && link.Type() != "bridge" {
			continue // devices that the kernel gives each namespace cannot be deleted
		}
		err := h.LinkDel(link)
		if err != nil && !errors.Is(err, unix.ENODEV) { // the peer may have taken it along
			errs = append(errs, fmt.Errorf("delete link %s of %s: %w", link.Attrs().Name, ns.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// enter returns what brings a thread into the namespace.
func enter(ns *os.File) func() error {
	return func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", filepath.Base(ns.Name()), err)
		}
		return nil
	}
}

// handleIn opens a netlink handle. netlink can do that for a namespace by
// itself, but forgets to look whether the thread came home.
func handleIn(ns *os.File) (h *netlink.Handle, err error) {
	err = onThread(enter(ns), func() (err error) {
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink in %s: %w", ns.Name(), err)
	}
	return h, nil
}

// killTimeout bounds, in milliseconds, the wait for one killed process.
const killTimeout = 5000

// killRounds bounds how often killProcesses looks again for processes that were
// started while it killed others.
const killRounds = 10

// killProcesses kills the processes whose network namespace is ns, except this
// one, and waits until each is dead.
func killProcesses(ns *os.File) error {
	var id unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &id); err != nil {
		return fmt.Errorf("stat %s: %w", ns.Name(), err)
	}
	for range killRounds {
		killed, err := killRound(id)
		if err != nil || !killed {
			return err
		}
	}
	return fmt.Errorf("kill processes in %s: new ones keep appearing", ns.Name())
}

// killRound kills what it finds, and says whether it found any.
func killRound(ns unix.Stat_t) (killed bool, err error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return false, fmt.Errorf("list processes: %w", err)
	}
	var errs []error
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		found, err := killIn(pid, ns)
		killed = killed || found
		errs = append(errs, err)
	}
	return killed, errors.Join(errs...)
}

// killIn kills the process if it lives in the namespace, and says whether it
// does. The process is held by a pidfd, so its number cannot come to mean
// another one in between.
func killIn(pid int, ns unix.Stat_t) (found bool, err error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false, nil // gone
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st); err != nil || st.Ino != ns.Ino || st.Dev != ns.Dev {
		return false, nil // gone, a zombie, or elsewhere
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return true, fmt.Errorf("kill process %d: %w", pid, err)
	}
	return true, waitDead(pid, fd)
}

func waitDead(pid, pidfd int) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, killTimeout)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for killed process %d: %w", pid, err)
		case n == 0:
			return fmt.Errorf("wait for killed process %d: still alive after %d ms", pid, killTimeout)
		default:
			return nil
		}
	}
}
