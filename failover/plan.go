package failover

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif/keep"
	"github.com/evenkeel/evenkeel/netif/vmac"
	"github.com/evenkeel/evenkeel/track"
	"github.com/evenkeel/evenkeel/vrrp"
	"github.com/evenkeel/evenkeel/vrrp/rawconn"
)

// plan is a configuration in the words of the parts.
type plan struct {
	units  []unitPlan
	static keep.Set
	// virtual are the addresses that no instance may use as its source.
	virtual map[netip.Addr]bool
}

// unitPlan is what one Runner runs.
type unitPlan struct {
	// name is that of the group, or empty for a lone instance.
	name    string
	group   model.SyncGroup
	members []memberPlan
}

// key names the unit among all.
func (u unitPlan) key() string {
	if u.name != "" {
		return "group " + u.name
	}
	return "instance " + u.members[0].instance.Name
}

// memberPlan is what one instance needs.
type memberPlan struct {
	instance model.VRRPInstance
	election vrrp.Config // without its source
	conn     rawconn.Config
	set      keep.Set
	vmacs    []vmac.Interface
	// extra are the interfaces of garp_extra_if.
	extra []string
}

// newPlan translates a configuration. Instances that cannot run are left out;
// the errors name them.
func newPlan(cfg model.VRRP) (plan, error) {
	p := plan{static: keep.Set(cfg.Static), virtual: make(map[netip.Addr]bool)}
	names := vmacNames{prefix: cfg.Global.VMACPrefix, taken: make(map[string]bool)}
	groups := make(map[string]model.SyncGroup)
	for _, g := range cfg.Groups {
		for _, member := range g.Members {
			groups[member] = g
		}
	}
	at := make(map[string]int) // of groups in p.units
	var errs []error
	for _, i := range cfg.Instances {
		g := groups[i.Name]
		m := planMember(i, g, &names)
		if err := m.election.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("vrrp_instance %s: %w", i.Name, err))
			continue
		}
		for _, a := range slices.Concat(i.Addresses, i.Excluded) {
			p.virtual[a.Prefix.Addr()] = true
		}
		if n, ok := at[g.Name]; ok && g.Name != "" {
			p.units[n].members = append(p.units[n].members, m)
			continue
		}
		at[g.Name] = len(p.units)
		p.units = append(p.units, unitPlan{name: g.Name, group: g, members: []memberPlan{m}})
	}
	p.spread()
	return p, errors.Join(errs...)
}

// crowd is how many instances of an interface send their adverts spread over half an
// interval. Fewer are sent in no time.
const crowd = 16

// spread has the instances of a crowded interface begin their cadence one after the
// other. Those that take over from one router do it in the same moment, and each advert
// of such a burst would come as much too late as it has others before it.
func (p *plan) spread() {
	on := make(map[string]int)
	for _, u := range p.units {
		for _, m := range u.members {
			on[m.instance.Interface]++
		}
	}
	for _, u := range p.units {
		for n := range u.members {
			m := &u.members[n]
			if on[m.instance.Interface] >= crowd {
				m.election.Early = m.instance.Interval / 2 * time.Duration(m.instance.VRID) / 256
			}
		}
	}
}

func planMember(i model.VRRPInstance, g model.SyncGroup, names *vmacNames) memberPlan {
	m := memberPlan{instance: i}
	m.placeAddresses(names)
	m.conn = rawconn.Config{
		Interface:  i.Interface,
		VRID:       i.VRID,
		IPv6:       i.IPv6,
		Multicast:  i.Multicast,
		AuthHeader: i.Auth.Type == model.AuthAH,
	}
	if !i.Multicast.IsValid() {
		m.conn.Local = i.Source
	}
	if i.VMAC != nil && !i.VMAC.TransmitBase {
		m.conn.VirtualMAC = m.mac()
		m.conn.Interface, m.conn.Parent = m.vmacOn(i.Interface, names).Name, i.Interface
	}
	m.election = vrrp.Config{
		Name:               i.Name,
		VRID:               i.VRID,
		Version:            vrrp.Version(i.Version),
		IPv6:               i.IPv6,
		Priority:           i.Priority,
		Interval:           i.Interval,
		NoAddresses:        i.NoAddresses,
		Multicast:          i.Multicast,
		CheckUnicastSource: i.CheckUnicastSource,
		UnicastTTL:         i.UnicastTTL,
		Auth:               vrrp.Auth{Type: vrrp.AuthType(i.Auth.Type), Secret: i.Auth.Secret},
		ChecksumAsV2:       i.ChecksumAsV2,
		NeverOldChecksum:   i.NeverOldChecksum,
		SkipCheckAddresses: i.SkipCheckAddresses,
		StartBackup:        i.StartBackup,
		NoPreempt:          i.NoPreempt,
		PreemptDelay:       i.PreemptDelay,
		DownTimerAdverts:   i.DownAdverts,
		LowerPrioNoAdvert:  i.LowerPrioNoAdvert,
		HigherPrioNoAdvert: i.HigherPrioNoAdvert,
		OwnerIgnoreAdverts: i.OwnerIgnoreAdverts,
		NoAccept:           i.NoAccept,
		Announce: vrrp.AnnounceTimes{
			Delay:          orNever(i.Announce.Delay),
			LowerPrioDelay: orNever(i.Announce.LowerPrioDelay),
			Refresh:        i.Announce.Refresh,
		},
		Tracks: m.tracks(g),
	}
	if m.extra = m.extraLinks(); len(m.extra) > 0 {
		m.election.Announce.Extra = i.Announce.Extra
	}
	for _, a := range i.Addresses {
		m.election.Addresses = append(m.election.Addresses, a.Prefix.Addr())
	}
	for _, p := range i.Peers {
		m.election.Peers = append(m.election.Peers, vrrp.Peer(p))
	}
	return m
}

// tracks returns what the instance depends on, each thing once: its own, as far
// as they count in a group, those of the group, and its virtual MAC interfaces.
func (m memberPlan) tracks(g model.SyncGroup) (list []vrrp.Track) {
	add := func(t vrrp.Track) {
		at := slices.IndexFunc(list, func(o vrrp.Track) bool { return o.Kind == t.Kind && o.Name == t.Name })
		switch {
		case at < 0:
			list = append(list, t)
		case t.Weight == 0:
			// Down is a fault, whatever else says what it weighs.
			list[at] = t
		}
	}
	for _, t := range m.instance.Tracks {
		use := useOf(t)
		if g.Name != "" && !g.TrackingWeight {
			var counts bool
			if use, counts = use.InGroup(); !counts {
				continue
			}
		}
		add(vrrp.Track{Kind: vrrp.TrackKind(t.Kind), Name: t.Name, Weight: use.Weight, Reverse: use.Reverse})
	}
	for _, t := range g.Tracks {
		add(vrrp.Track{Kind: vrrp.TrackKind(t.Kind), Name: t.Name, Weight: t.Weight, Reverse: t.Reverse})
	}
	for _, v := range m.vmacs {
		add(vrrp.Track{Kind: vrrp.TrackInterface, Name: v.Name})
	}
	return list
}

func useOf(t model.Track) track.Use {
	kinds := map[model.TrackKind]track.Kind{
		model.TrackingInterface: track.Interface,
		model.TrackingScript:    track.Script,
		model.TrackingFile:      track.File,
		model.TrackingProcess:   track.Process,
	}
	return track.Use{Kind: kinds[t.Kind], Name: t.Name, Weight: t.Weight, Reverse: t.Reverse}
}

// mac returns the virtual MAC.
func (m memberPlan) mac() vmac.MAC {
	if m.instance.VMAC.MAC != (vmac.MAC{}) {
		return m.instance.VMAC.MAC
	}
	return vmac.Router(m.instance.VRID, m.instance.IPv6)
}

// placeAddresses works out where each address goes: to its interface, or to the
// virtual MAC on it.
func (m *memberPlan) placeAddresses(names *vmacNames) {
	i := m.instance
	for _, a := range slices.Concat(i.Addresses, i.Excluded) {
		if i.VMAC != nil && a.Interface == i.Interface || a.UseVMAC {
			v := m.vmacOn(a.Interface, names)
			v.IPv6 = v.IPv6 || a.Prefix.Addr().Is6()
			a.Interface = v.Name
		}
		m.set.Addresses = append(m.set.Addresses, a)
	}
	if i.VMAC != nil {
		m.vmacOn(i.Interface, names) // also without an address
	}
	m.set.Routes, m.set.Rules = i.Routes, i.Rules
}

// extraLinks returns the interfaces of addresses whose MAC addresses no advert
// shows to switches, as far as garp_extra_if is about them: those that adverts do
// not leave by. None if all addresses are with the adverts.
func (m *memberPlan) extraLinks() (links []string) {
	own, others := m.instance.Interface, false
	if m.instance.VMAC != nil {
		own = m.vmacs[slices.IndexFunc(m.vmacs, func(v vmac.Interface) bool { return v.Parent == own })].Name
	}
	elsewhere := m.instance.VMAC != nil && m.instance.VMAC.TransmitBase
	for _, a := range m.set.Addresses {
		virtual := slices.ContainsFunc(m.vmacs, func(v vmac.Interface) bool { return v.Name == a.Interface })
		if !virtual && !m.instance.Announce.ExtraAll || a.Interface == own && !elsewhere {
			continue
		}
		others = others || a.Interface != own
		if !slices.Contains(links, a.Interface) {
			links = append(links, a.Interface)
		}
	}
	if !others {
		return nil
	}
	return links
}

// vmacOn returns the instance's virtual MAC interface on a parent.
func (m *memberPlan) vmacOn(parent string, names *vmacNames) *vmac.Interface {
	at := slices.IndexFunc(m.vmacs, func(v vmac.Interface) bool { return v.Parent == parent })
	if at >= 0 {
		return &m.vmacs[at]
	}
	v := vmac.Interface{Parent: parent, MAC: vmac.Router(m.instance.VRID, m.instance.IPv6)}
	if m.instance.VMAC != nil {
		v.MAC = m.mac()
	}
	if m.instance.VMAC != nil && parent == m.instance.Interface {
		v.Name = m.instance.VMAC.Name
	}
	v.Name = names.choose(v.Name, m.instance)
	m.vmacs = append(m.vmacs, v)
	return &m.vmacs[len(m.vmacs)-1]
}

// vmacNames gives virtual MAC interfaces names as keepalived does: vrrp.51, for
// IPv6 vrrp6.51, with a number behind where that is taken.
type vmacNames struct {
	prefix string
	taken  map[string]bool
}

func (n *vmacNames) choose(wanted string, i model.VRRPInstance) string {
	base := wanted
	if base == "" {
		base = n.prefix
		if base == "" {
			base = "vrrp"
		}
		if i.IPv6 {
			base += "6"
		}
		base = fmt.Sprintf("%s.%d", base, i.VRID)
	}
	name := base
	for at := 1; n.taken[name]; at++ {
		name = fmt.Sprintf("%s.%d", base, at)
	}
	n.taken[name] = true
	return name
}

// refused returns the addresses that this host takes no packets for. An owner
// accepts whatever is set.
func (p plan) refused() (addrs []netip.Addr) {
	for _, u := range p.units {
		for _, m := range u.members {
			if !m.instance.NoAccept || m.instance.Priority == vrrp.PriorityOwner {
				continue
			}
			for _, a := range m.set.Addresses {
				addrs = append(addrs, a.Prefix.Addr())
			}
		}
	}
	return addrs
}

// sets returns all that any instance may hold.
func (p plan) sets() []keep.Set {
	list := []keep.Set{p.static}
	for _, u := range p.units {
		for _, m := range u.members {
			list = append(list, m.set)
		}
	}
	return list
}

// promoted returns the interfaces of the instances with promote_secondaries. A
// virtual MAC interface has it anyway.
func promoted(cfg model.VRRP) (links []string) {
	for _, i := range cfg.Instances {
		if i.PromoteSecondaries && i.VMAC == nil && i.Interface != "" && !slices.Contains(links, i.Interface) {
			links = append(links, i.Interface)
		}
	}
	return links
}

func (p plan) vmacs() (list []vmac.Interface) {
	for _, u := range p.units {
		for _, m := range u.members {
			list = append(list, m.vmacs...)
		}
	}
	return list
}

// orNever turns the model's 0, which is never, into vrrp's negative.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
