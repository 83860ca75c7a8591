package keep

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// eventBuffer is the size in bytes asked for the queue of a subscription.
const eventBuffer = 4 << 20

func (k *Kernel) subscribe() (subscription, error) {
	var s *nl.NetlinkSocket
	err := k.from.Do(func() (err error) {
		s, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK,
			unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
			unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to netlink: %w", err)
	}
	// Beyond the system's limit with privilege, up to it without.
	if err := s.SetReceiveBufferSize(eventBuffer, true); err != nil {
		if err := s.SetReceiveBufferSize(eventBuffer, false); err != nil {
			return nil, errors.Join(fmt.Errorf("set netlink buffer: %w", err), s.Close())
		}
	}
	return &kernelEvents{socket: s, buf: make([]byte, bufferSize)}, nil
}

// kernelEvents reads a subscription in its own buffer while there is something:
// the library takes fresh memory for each message.
type kernelEvents struct {
	socket *nl.NetlinkSocket
	buf    []byte // the reader's

	mu     sync.Mutex // guards closed, and the descriptor while it is read
	closed bool
}

func (e *kernelEvents) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.socket.Close()
}

// eventsMost bounds how many messages next returns together.
const eventsMost = 256

// next returns what waits, or waits for the next message.
func (e *kernelEvents) next() (list []change, err error) {
	for range eventsMost {
		msgs, err := e.waiting()
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("receive from netlink: %w", err)
		}
		list = appendChanges(list, msgs)
	}
	if len(list) > 0 {
		return list, nil
	}
	msgs, from, err := e.socket.Receive()
	if err != nil {
		return nil, fmt.Errorf("receive from netlink: %w", err)
	}
	if from.Pid != nl.PidKernel {
		return nil, nil // anyone may send to a netlink socket
	}
	return appendChanges(nil, msgs), nil
}

func (e *kernelEvents) waiting() ([]syscall.NetlinkMessage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, os.ErrClosed
	}
	return receive(e.socket.GetFd(), e.buf)
}

func appendChanges(list []change, msgs []syscall.NetlinkMessage) []change {
	for _, m := range msgs {
		if c, ok := changeFrom(m.Header.Type, m.Data); ok {
			c.port = m.Header.Pid
			list = append(list, c)
		}
	}
	return list
}

func changeFrom(kind uint16, b []byte) (change, bool) {
	var o object
	var ok bool
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return change{link: true}, true
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		o, ok = parse(kindAddress, b)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		o, ok = parse(kindRoute, b)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		o, ok = parse(kindRule, b)
	}
	if !ok {
		return change{}, false
	}
	gone := kind == unix.RTM_DELADDR || kind == unix.RTM_DELROUTE || kind == unix.RTM_DELRULE
	return change{id: o.id(), gone: gone}, true
}

// who relies on the custom that the port of a process's first socket is its
// process id. Short-lived programs are gone by now.
func (k *Kernel) who(c change) string {
	if c.port == 0 {
		return "the kernel"
	}
	name, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(c.port), 10) + "/comm")
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(name)), c.port)
}
