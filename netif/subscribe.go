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
	return k.subscribe(everyMessage,
		unix.RTNLGRP_NEIGH, unix.RTNLGRP_LINK,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
		unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE,
		unix.RTNLGRP_NEXTHOP)
}

// SubscribeLocal starts to listen for what can change the answer of IsLocal and
// Local. That is local routes beside addresses, since the kernel tells of an
// address before its route is there: whoever asks on that event alone gets the
// old answer, and nothing follows.
func (k *Kernel) SubscribeLocal() (Subscription, error) {
	return k.subscribe(aboutLocal,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
}

// SubscribeLinks starts to listen for changes of links and their addresses
// only.
func (k *Kernel) SubscribeLinks() (Subscription, error) {
	return k.subscribe(everyMessage, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
}

func (k *Kernel) subscribe(wants messageFilter, groups ...uint) (Subscription, error) {
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
	return &subscription{socket: s, wants: wants}, nil
}

type subscription struct {
	socket *nl.NetlinkSocket
	wants  messageFilter
}

// messageFilter picks the messages that make events, by type and body.
type messageFilter func(kind uint16, data []byte) bool

func everyMessage(uint16, []byte) bool { return true }

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
		if !s.wants(m.Header.Type, m.Data) {
			continue
		}
		if ev, ok := eventFrom(m.Header.Type, m.Data); ok {
			events = append(events, ev)
		}
	}
	return events, nil
}

// aboutLocal reports whether a message is of an address or of a local route,
// whose type is the eighth byte (struct rtmsg). The other routes of a router can
// change all the time.
func aboutLocal(kind uint16, data []byte) bool {
	if kind != unix.RTM_NEWROUTE && kind != unix.RTM_DELROUTE {
		return true
	}
	return len(data) >= unix.SizeofRtMsg && data[7] == unix.RTN_LOCAL
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
