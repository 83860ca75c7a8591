package lbmaps

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
)

// The numbers of contract.h that are no types.
const (
	// LayoutVersion says which contents the pinned maps have.
	LayoutVersion = 14
	// MaxTable is the largest number of entries in a scheduler's table.
	MaxTable = 4096
	// MaxOrder is the largest number of servers in one service's order.
	MaxOrder = 256
	// FlowShards is the number of maps that the flows of one family lie in.
	FlowShards = 16
	// Shards is the number of those maps for both families: first those of
	// IPv4, then those of IPv6.
	Shards = 2 * FlowShards
)

// Maps are the maps of one datapath. Those that user space has no business
// with are there for pinning.
type Maps struct {
	settings, ports, vlans       *ebpf.Map
	services, cursors, orders    *ebpf.Map
	known                        *ebpf.Map
	positions, schedTables       *ebpf.Map
	servers, serverConns         *ebpf.Map
	tunnels                      *ebpf.Map
	serviceStats, serverStats    *ebpf.Map
	flows, replies, templates    *ebpf.Map
	flows6, replies6, templates6 *ebpf.Map
	reasons, budget              *ebpf.Map
	limits, overload             *ebpf.Map
	halfRings                    *ebpf.Map
	halfOpen, halfOpen6          *ebpf.Map
	hot, hot6, hops              *ebpf.Map
	shards                       [Shards]*ebpf.Map
}

// named lists the maps by the names that they have in the object.
func (m *Maps) named() map[string]**ebpf.Map {
	return map[string]**ebpf.Map{
		bpf.EkMapEkSettings:    &m.settings,
		bpf.EkMapEkPorts:       &m.ports,
		bpf.EkMapEkVlans:       &m.vlans,
		bpf.EkMapEkServices:    &m.services,
		bpf.EkMapEkKnown:       &m.known,
		bpf.EkMapEkCursors:     &m.cursors,
		bpf.EkMapEkOrders:      &m.orders,
		bpf.EkMapEkPositions:   &m.positions,
		bpf.EkMapEkTables:      &m.schedTables,
		bpf.EkMapEkServers:     &m.servers,
		bpf.EkMapEkTunnels:     &m.tunnels,
		bpf.EkMapEkServerConns: &m.serverConns,
		bpf.EkMapEkServiceStat: &m.serviceStats,
		bpf.EkMapEkServerStats: &m.serverStats,
		bpf.EkMapEkFlows:       &m.flows,
		bpf.EkMapEkReplies:     &m.replies,
		bpf.EkMapEkTemplates:   &m.templates,
		bpf.EkMapEkFlows6:      &m.flows6,
		bpf.EkMapEkReplies6:    &m.replies6,
		bpf.EkMapEkTemplates6:  &m.templates6,
		bpf.EkMapEkReasons:     &m.reasons,
		bpf.EkMapEkIcmpBudget:  &m.budget,
		bpf.EkMapEkLimits:      &m.limits,
		bpf.EkMapEkOverload:    &m.overload,
		bpf.EkMapEkHalfRings:   &m.halfRings,
		bpf.EkMapEkHalfOpen:    &m.halfOpen,
		bpf.EkMapEkHalfOpen6:   &m.halfOpen6,
		bpf.EkMapEkHot:         &m.hot,
		bpf.EkMapEkHot6:        &m.hot6,
		bpf.EkMapEkHops:        &m.hops,
	}
}

// ShardOwner returns the name of the map that holds a shard, and the shard's
// place in it.
func ShardOwner(shard int) (name string, place uint32) {
	if shard < FlowShards {
		return bpf.EkMapEkFlows, uint32(shard)
	}
	return bpf.EkMapEkFlows6, uint32(shard - FlowShards)
}

// ShardName returns the name of a shard's map and pin, such as ek_flows_07 or
// ek_flows6_07.
func ShardName(shard int) string {
	name, place := ShardOwner(shard)
	return fmt.Sprintf("%s_%02d", name, place)
}

// IsPinned reports whether a map of the object outlives its program. The others
// are the program's own data.
func IsPinned(name string) bool {
	_, ok := new(Maps).named()[name]
	return ok
}

// JoinShards puts the shards into ek_flows and ek_flows6, once, when the maps are
// new. One call for each family: the kernel waits for running programs in each.
func (m *Maps) JoinShards() error {
	for owner, shards := range map[*ebpf.Map][]*ebpf.Map{m.flows: m.shards[:FlowShards], m.flows6: m.shards[FlowShards:]} {
		places, fds := make([]uint32, len(shards)), make([]uint32, len(shards))
		for i, shard := range shards {
			places[i], fds[i] = uint32(i), uint32(shard.FD())
		}
		if _, err := owner.BatchUpdate(places, fds, nil); err != nil {
			return fmt.Errorf("put the shards into %s: %w", mapName(owner), err)
		}
	}
	return nil
}

// Open opens the maps that are pinned in a directory, under their own names.
// With readOnly no write method may be called. An error of a pin that is not
// there wraps fs.ErrNotExist.
func Open(dir string, readOnly bool) (*Maps, error) {
	m := &Maps{}
	opts := &ebpf.LoadPinOptions{ReadOnly: readOnly}
	for name, place := range m.named() {
		if err := openPin(dir, name, opts, place); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	for i := range m.shards {
		if err := openPin(dir, ShardName(i), opts, &m.shards[i]); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}

func openPin(dir, name string, opts *ebpf.LoadPinOptions, place **ebpf.Map) error {
	opened, err := ebpf.LoadPinnedMap(filepath.Join(dir, name), opts)
	if err != nil {
		return fmt.Errorf("open map %s: %w", filepath.Join(dir, name), err)
	}
	*place = opened
	return nil
}

// FromCollection takes the maps of a loaded collection. The collection and its
// maps stay the caller's; Close closes copies. The shards are opened through
// ek_flows and ek_flows6, which must hold all of them.
func FromCollection(c *ebpf.Collection) (*Maps, error) {
	m := &Maps{}
	for name, place := range m.named() {
		theirs, ok := c.Maps[name]
		if !ok {
			return nil, errors.Join(fmt.Errorf("use collection: it has no map %s", name), m.Close())
		}
		ours, err := theirs.Clone()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("use map %s: %w", name, err), m.Close())
		}
		*place = ours
	}
	for i := range m.shards {
		owner, place := ShardOwner(i)
		if err := c.Maps[owner].Lookup(place, &m.shards[i]); err != nil {
			return nil, errors.Join(fmt.Errorf("use shard %d of %s: %w", place, owner, err), m.Close())
		}
	}
	return m, nil
}

// ByName returns the maps by their names in the object, for replacements when
// a program is loaded. They stay this Maps' own.
func (m *Maps) ByName() map[string]*ebpf.Map {
	list := map[string]*ebpf.Map{}
	for name, place := range m.named() {
		list[name] = *place
	}
	return list
}

// Shard returns one of the maps that the flows lie in; it stays this Maps'
// own.
func (m *Maps) Shard(i int) *ebpf.Map { return m.shards[i] }

// Close closes the maps; what is pinned or used by a program lives on.
func (m *Maps) Close() error {
	var errs []error
	for _, place := range m.named() {
		errs = append(errs, (*place).Close())
	}
	for _, shard := range m.shards {
		errs = append(errs, shard.Close())
	}
	return errors.Join(errs...)
}

// Limits are the sizes of the maps. Flows and Replies are those of one family.
type Limits struct {
	Services, Servers, Flows, Replies uint32
}

// Limits returns how much the maps hold.
func (m *Maps) Limits() Limits {
	return Limits{
		Services: m.services.MaxEntries(),
		Servers:  m.servers.MaxEntries(),
		Flows:    FlowShards * m.shards[0].MaxEntries(),
		Replies:  m.replies.MaxEntries(),
	}
}
