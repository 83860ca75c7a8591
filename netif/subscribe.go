package netif

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Event is a hint that something changed. It carries no new value: whoever
// gets it reads the present one, so that old events do no harm.
type Event struct {
	// Neighbour is the entry that changed. The zero key stands for any other
	// change: of links, addresses, routes, rules or next-hop objects.
	Neighbour NeighKey
}

// Subscription delivers events. After an error of Next some were lost: close
// it, subscribe again and read everything.
type Subscription interface {
	// Next waits for events. It returns an error when some were lost (ENOBUFS)
	// and when the subscription was closed. An empty result is possible.
	Next() ([]Event, error)
	// Close ends a Next that waits.
	Close() error
}

// eventBuffer is the size in bytes asked for the socket's queue. A link that
// goes down can drop thousands of entries at once.
const eventBuffer = 4 << 20

// Subscribe starts to listen for changes in the Kernel's namespace.
func (k *Kernel) Subscribe() (Subscription, error) {
	return k.subscribe(
		unix.RTNLGRP_NEIGH, unix.RTNLGRP_LINK,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
		unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE,
		unix.RTNLGRP_NEXTHOP)
}

// SubscribeLinks starts to listen for changes of links and their addresses
// only.
func (k *Kernel) SubscribeLinks() (Subscription, error) {
	return k.subscribe(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
}

func (k *Kernel) subscribe(groups ...uint) (Subscription, error) {
	var s *nl.NetlinkSocket
	err := k.inNamespace(func() (err error) {
		s, err = nl.Subscribe(unix.NETLINK_ROUTE, groups...)
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
	return &subscription{s}, nil
}

type subscription struct{ socket *nl.NetlinkSocket }

func (s *subscription) Close() error { return s.socket.Close() }

func (s *subscription) Next() ([]Event, error) {
	msgs, from, err := s.socket.Receive()
	if err != nil {
		return nil, fmt.Errorf("receive from netlink: %w", err)
	}
	if from.Pid != nl.PidKernel {
		return nil, nil // anyone may send to a netlink socket
	}
	var events []Event
	for _, m := range msgs {
		if ev, ok := eventFrom(m.Header.Type, m.Data); ok {
			events = append(events, ev)
		}
	}
	return events, nil
}

// eventFrom turns a message into an event. Neighbours of other families, such
// as a bridge's forwarding entries, are none.
func eventFrom(kind uint16, data []byte) (Event, bool) {
	if kind != unix.RTM_NEWNEIGH && kind != unix.RTM_DELNEIGH {
		return Event{}, true
	}
	if len(data) == 0 || (data[0] != unix.AF_INET && data[0] != unix.AF_INET6) {
		return Event{}, false
	}
	key, _, err := parseNeighbour(data)
	return Event{Neighbour: key}, err == nil && key.Addr.IsValid()
}
