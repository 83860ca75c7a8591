package netif

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// requestTimeout bounds one question to the kernel.
const requestTimeout = 5 * time.Second

// Kernel reads and writes the network namespace that Open was called in,
// whatever thread its methods run on. Its methods may be called from several
// goroutines. It is the Surface that Resolver runs on outside tests.
type Kernel struct {
	namespace *os.File
	handle    *netlink.Handle
	// sockets carry the requests that netlink has no functions for.
	sockets map[int]*nl.SocketHandle
}

// extendedAcks turns on the kernel's error sentences, once: netlink keeps the
// switch in a global.
var extendedAcks = sync.OnceFunc(func() { nl.EnableErrorMessageReporting = true })

// Open returns a Kernel for the calling thread's network namespace. Reading
// needs no privilege; managing neighbours needs CAP_NET_ADMIN.
func Open() (*Kernel, error) {
	extendedAcks()
	runtime.LockOSThread() // three steps, one namespace
	defer runtime.UnlockOSThread()
	ns, err := os.Open(threadNamespace)
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	h, err := netlink.NewHandleWithOptions(netlink.HandleOptions{
		DisableVFInfoCollection: true, RetryInterrupted: true,
	}, unix.NETLINK_ROUTE)
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	k := &Kernel{namespace: ns, handle: h}
	if err := k.openRequests(); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (k *Kernel) openRequests() error {
	if err := k.handle.SetSocketTimeout(requestTimeout); err != nil {
		return fmt.Errorf("set netlink timeout: %w", err)
	}
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	k.sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}
	timeout := unix.NsecToTimeval(requestTimeout.Nanoseconds())
	if err := errors.Join(s.SetSendTimeout(&timeout), s.SetReceiveTimeout(&timeout), s.SetExtAck(true)); err != nil {
		return fmt.Errorf("set up netlink socket: %w", err)
	}
	return nil
}

// Close closes the sockets. Subscriptions stay open.
func (k *Kernel) Close() error {
	if s, ok := k.sockets[unix.NETLINK_ROUTE]; ok {
		s.Close()
	}
	return errors.Join(k.handle.Close(), k.namespace.Close())
}

// request makes a netlink request on the Kernel's own socket.
func (k *Kernel) request(kind, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = k.sockets
	return req
}

// threadNamespace names the network namespace of the calling thread.
const threadNamespace = "/proc/thread-self/ns/net"

// inNamespace runs f on a thread in the Kernel's namespace. A daemon never
// leaves its namespace, so it needs no privilege for this; a test that opened
// the Kernel elsewhere does.
func (k *Kernel) inNamespace(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- k.onThread(f) }()
	return <-done
}

// onThread is the body of inNamespace. When the thread cannot come back it
// stays locked, and the runtime ends it together with the goroutine.
func (k *Kernel) onThread(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(threadNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer home.Close()
	if same, err := sameFile(home, k.namespace); err != nil || same {
		defer runtime.UnlockOSThread()
		if err != nil {
			return err
		}
		return f()
	}
	if err := unix.Setns(int(k.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace: %w", err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("leave network namespace: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

func sameFile(a, b *os.File) (bool, error) {
	sa, err := a.Stat()
	if err != nil {
		return false, fmt.Errorf("stat network namespace: %w", err)
	}
	sb, err := b.Stat()
	if err != nil {
		return false, fmt.Errorf("stat network namespace: %w", err)
	}
	return os.SameFile(sa, sb), nil
}

// Do runs f on a thread in the Kernel's namespace and returns its error.
// Sockets that f opens belong to the namespace; goroutines that it starts do
// not run in it.
func (k *Kernel) Do(f func() error) error { return k.inNamespace(f) }
