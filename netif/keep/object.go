package keep

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

// Protocol marks what is ours: addresses (IFA_PROTO, from Linux 5.18), routes
// and rules. ip shows it as "proto 69".
const Protocol = netif.Protocol

// kind is the kind of an object, in the order in which objects are added. They
// are removed in the other direction, since routes may need addresses.
type kind uint8

const (
	kindAddress kind = iota
	kindRoute
	kindRule
	kinds
)

// id is what the kernel tells objects apart by. Rules and routes spell most of
// theirs in words.
type id struct {
	kind   kind
	link   int
	prefix netip.Prefix
	words  string
}

// object is an address, route or rule with its links found: as wanted, or as
// the kernel has it.
type object interface {
	id() id
	// equal says whether the kernel's object is what the wanted one asks for.
	equal(seen object) bool
	// ours says whether a seen object carries Protocol.
	ours() bool
	add() message
	del() message
	// needsLink says that the object can only be added while its link is up.
	needsLink() (index int, needs bool)
}

// item is an object in the words of the configuration.
type item interface {
	// String names the item in logs, and tells it from others.
	String() string
	// resolve finds the links.
	resolve(links) (object, error)
}

// link is what matters of a link.
type link struct {
	index int
	name  string
	up    bool
}

// links are the links of the namespace by name.
type links map[string]link

func (l links) find(name string) (link, error) {
	if found, ok := l[name]; ok {
		return found, nil
	}
	return link{}, &netif.NoLinkError{Name: name, Have: l.names()}
}

func (l links) byIndex(index int) (link, bool) {
	for _, found := range l {
		if found.index == index {
			return found, true
		}
	}
	return link{}, false
}

func (l links) names() []string {
	return slices.Sorted(maps.Keys(l))
}

// Set is what one owner wants. Its slices are not changed any more once it is
// given away. NoTrack and UseVMAC mean nothing here.
type Set struct {
	Addresses []model.Address
	Routes    []model.Route
	Rules     []model.Rule
}

// items returns the set in the order of adding.
func (s Set) items() []item {
	list := make([]item, 0, len(s.Addresses)+len(s.Routes)+len(s.Rules))
	for _, a := range s.Addresses {
		a.Pos = model.Position{}
		list = append(list, address(a))
	}
	for _, r := range s.Routes {
		r.Pos, r.Line = model.Position{}, ""
		list = append(list, route(r))
	}
	for _, r := range s.Rules {
		r.Pos, r.Line = model.Position{}, ""
		list = append(list, rule(r))
	}
	return list
}

// protocolKeepalived is what the configuration gives to routes and rules that
// name no protocol. They get ours instead, so that leftovers of keepalived and
// of Evenkeel on one host are told apart.
const protocolKeepalived = 18

func markOf(protocol uint8) uint8 {
	if protocol == 0 || protocol == protocolKeepalived {
		return Protocol
	}
	return protocol
}

// leftover is something seen that nobody wants.
type leftover struct{ object }

// String tells it from the items of the configuration.
func (l leftover) String() string { return fmt.Sprint("leftover ", l.id()) }

func (l leftover) resolve(links) (object, error) { return l.object, nil }

func kindOf(it item) kind {
	switch it := it.(type) {
	case address:
		return kindAddress
	case route:
		return kindRoute
	case rule:
		return kindRule
	case leftover:
		return it.id().kind
	}
	return kinds
}

// sameItem compares items with all their attributes.
func sameItem(a, b item) bool { return reflect.DeepEqual(a, b) }
