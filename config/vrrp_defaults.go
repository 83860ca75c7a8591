package config

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// vrrpDefaults is what global_defs says as a default for instances.
type vrrpDefaults struct {
	version    *uint32
	strict     *bool
	skipCheck  *bool
	iface      string // default_interface, or empty
	multicast4 netip.Addr
	multicast6 netip.Addr

	announce      announceDraft
	leastAnnounce *bool // vrrp_min_garp

	downAdverts          *uint32
	lowerPrioNoAdvert    *bool
	higherPrioSendAdvert *bool
	checkUnicastSource   bool
	ownerIgnoreAdverts   *bool
	checksumAsV2         *bool
	priorityEvents       *bool

	// unusable are the words whose value cannot be used and which decide
	// ownership: instances that would inherit them are left out.
	unusable map[string]bool
}

func newVRRPDefaults() vrrpDefaults {
	return vrrpDefaults{
		multicast4: netip.AddrFrom4([4]byte{224, 0, 0, 18}),
		multicast6: netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12}),
		unusable:   make(map[string]bool),
	}
}

// multicast returns the group of a family and the word that sets it.
func (d *vrrpDefaults) multicast(v6 bool) (group netip.Addr, keyword string) {
	if v6 {
		return d.multicast6, "vrrp_mcast_group6"
	}
	return d.multicast4, "vrrp_mcast_group4"
}

// globals takes what VRRP needs of a global_defs block.
func (v *vrrpBuilder) globals(blk *block) {
	for _, s := range blk.statements {
		if s.spoils {
			v.defaults.unusable[s.keyword()] = true
		}
		if s.skip {
			continue
		}
		v.globalElection(s)
		v.globalAnnounce(s)
		v.globalLife(s)
		v.globalScheduling(s)
		v.globalScripts(s)
		v.globalMail(s)
	}
}

// inheritOut ends complaints about defaults that decide ownership.
const inheritOut = "instances that inherit it are left out"

func (v *vrrpBuilder) globalElection(s *statement) {
	d := &v.defaults
	switch s.keyword() {
	case "vrrp_version":
		n, err := parseUint(s.arg(0), 2, 3)
		if d.unusable[s.keyword()] = err != nil; err != nil {
			v.bad(s, 0, fmt.Errorf("neither 2 nor 3"), inheritOut, "write vrrp_version 2 or 3")
			return
		}
		d.version = new(uint32(n))
	case "vrrp_mcast_group4":
		v.multicastGroup(s, &d.multicast4, false)
	case "vrrp_mcast_group6":
		v.multicastGroup(s, &d.multicast6, true)
	case "vrrp_strict":
		v.boolean(s, &d.strict)
	case "vrrp_skip_check_adv_addr":
		v.boolean(s, &d.skipCheck)
	case "default_interface":
		v.interfaceArg(s, &d.iface)
	case "vrrp_down_timer_adverts":
		v.number(s, &d.downAdverts, 1, 100)
	case "vrrp_lower_prio_no_advert":
		v.boolean(s, &d.lowerPrioNoAdvert)
	case "vrrp_higher_prio_send_advert":
		v.boolean(s, &d.higherPrioSendAdvert)
	case "vrrp_check_unicast_src":
		v.turnOn(s, &d.checkUnicastSource)
	case "vrrp_owner_ignore_adverts":
		v.boolean(s, &d.ownerIgnoreAdverts)
	case "v3_checksum_as_v2":
		v.boolean(s, &d.checksumAsV2)
	}
}

func (v *vrrpBuilder) multicastGroup(s *statement, field *netip.Addr, v6 bool) {
	a, err := parseMulticast(s.arg(0), v6)
	if v.defaults.unusable[s.keyword()] = err != nil; err != nil {
		v.bad(s, 0, err, inheritOut, "write a multicast address, or leave the line out")
		return
	}
	*field = a
}

// parseMulticast reads a multicast address of a family.
func parseMulticast(s string, v6 bool) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil || a.Zone() != "" || !a.IsMulticast():
		return netip.Addr{}, fmt.Errorf("not a multicast address")
	case a.Is6() != v6:
		return netip.Addr{}, fmt.Errorf("not a multicast address of %s", familyName(v6))
	}
	return a, nil
}

func familyName(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// globalAnnounce takes the words about announcements.
func (v *vrrpBuilder) globalAnnounce(s *statement) {
	a := &v.defaults.announce
	switch s.keyword() {
	case "vrrp_garp_interval":
		v.pause(s, &v.out.Global.GARPInterval)
	case "vrrp_gna_interval":
		v.pause(s, &v.out.Global.GNAInterval)
	case "vrrp_min_garp":
		v.boolean(s, &v.defaults.leastAnnounce)
	case "vrrp_notify_priority_changes":
		v.boolean(s, &v.defaults.priorityEvents)
	default:
		v.announce(a, s, "vrrp_")
	}
}

// pause reads vrrp_garp_interval and its like. 0 stands in keepalived's own
// example file and means none, though keepalived calls it out of range.
func (b *builder) pause(s *statement, field *time.Duration) {
	d, err := parseSeconds(s.arg(0), 0, most)
	if err != nil {
		b.bad(s, 0, err, lineIgnored, "write a number of seconds, such as "+s.keyword()+" 0.001")
		return
	}
	if d > time.Second {
		b.add(Warning, s.args()[0].at, s.keyword(), fmt.Sprintf("%s %s delays the announcements of many addresses very much", s.keyword(), s.arg(0)), "the value is in seconds; write "+s.keyword()+" 0.001 for a millisecond")
	}
	*field = d
}

func (v *vrrpBuilder) globalLife(s *statement) {
	g := &v.out.Global
	switch s.keyword() {
	case "vrrp_startup_delay":
		v.delay(s, &g.StartupDelay)
	case "vrrp_delay_after_boot":
		v.delay(s, &g.AfterBoot)
	case "log_unknown_vrids":
		v.turnOn(s, &g.LogUnknownVRIDs)
	case "dynamic_interfaces":
		g.DynamicInterfaces = true
		switch s.arg(0) {
		case "":
		case "allow_if_changes":
			g.AllowInterfaceChange = true
		default:
			v.add(Warning, s.args()[0].at, s.keyword(), fmt.Sprintf("%q after dynamic_interfaces is not allow_if_changes and is ignored", s.arg(0)), "")
		}
	case "vmac_prefix":
		if err := interfaceName(s.arg(0) + ".255"); err != nil {
			v.bad(s, 0, fmt.Errorf("no prefix for names of interfaces, which have up to 15 characters"), lineIgnored, "write vmac_prefix vrrp")
			return
		}
		g.VMACPrefix = s.arg(0)
	case "fifo_write_vrrp_states_on_reload":
		v.turnOn(s, &g.StatesOnReload)
	}
}

// delay sets *field from a number of seconds that may be 0.
func (b *builder) delay(s *statement, field *time.Duration) {
	var d *time.Duration
	if b.seconds(s, &d, 0, longest); d != nil {
		*field = *d
	}
}

// finishGlobals applies the defaults of global_defs itself.
func (v *vrrpBuilder) finishGlobals() {
	if v.out.Global.VMACPrefix == "" {
		v.out.Global.VMACPrefix = "vrrp"
	}
	if a := &v.defaults.announce; or(false, v.defaults.leastAnnounce) { // other words come first, wherever they stand
		a.delay = first(a.delay, new(time.Duration))
		a.repeat = first(a.repeat, new(uint32(1)))
		a.refreshRepeat = first(a.refreshRepeat, new(uint32))
	}
	v.finishMail()
	v.finishFIFOs()
}

// announceDraft are the garp words of global_defs or an instance; nil is not
// set.
type announceDraft struct {
	delay, refresh, lowerDelay         *time.Duration
	repeat, refreshRepeat, lowerRepeat *uint32
	// extra is garp_extra_if and extraAll its "all".
	extra    *time.Duration
	extraAll bool
}

// mostAnnounce is keepalived's limit for the delays of announcements.
const mostAnnounce = 4294 * time.Second

// announce takes a garp word. prefix is vrrp_ in global_defs.
func (b *builder) announce(a *announceDraft, s *statement, prefix string) bool {
	switch s.keyword() {
	case prefix + "garp_master_delay":
		b.seconds(s, &a.delay, 0, mostAnnounce)
	case prefix + "garp_master_refresh":
		b.seconds(s, &a.refresh, 0, mostAnnounce)
	case prefix + "garp_lower_prio_delay":
		b.seconds(s, &a.lowerDelay, 0, mostAnnounce)
	case prefix + "garp_master_repeat":
		b.repeat(s, &a.repeat)
	case prefix + "garp_master_refresh_repeat":
		b.repeat(s, &a.refreshRepeat)
	case prefix + "garp_lower_prio_repeat":
		b.number(s, &a.lowerRepeat, 0, math.MaxInt32)
	case prefix + "garp_extra_if":
		b.extraInterfaces(a, s, uint64(min(len(prefix), 1)))
	default:
		return false
	}
	return true
}

// extraInterfaces reads [all] SECONDS, in any order, from least on: 0 turns it
// off for an instance.
func (b *builder) extraInterfaces(a *announceDraft, s *statement, least uint64) {
	var extra *time.Duration
	all := false
	for i, w := range s.args() {
		if w.s == "all" {
			all = true
			continue
		}
		n, err := parseUint(w.s, least, 86400)
		if err != nil {
			b.bad(s, i, err, lineIgnored, "write the seconds between announcements, such as "+s.keyword()+" 100")
			return
		}
		extra = new(time.Duration(n) * time.Second)
	}
	if extra == nil {
		b.add(Error, s.at(), s.keyword(), s.keyword()+" lacks the seconds between announcements; "+lineIgnored, "write "+s.keyword()+" all 100")
		return
	}
	a.extra, a.extraAll = extra, all
}

// repeat reads a count; 0 becomes 1, as in keepalived.
func (b *builder) repeat(s *statement, field **uint32) {
	if s.arg(0) == "0" {
		b.add(Warning, s.args()[0].at, s.keyword(), s.keyword()+" 0 would announce nothing; it is set to 1, as in keepalived", "write "+s.keyword()+" 1")
		*field = new(uint32(1))
		return
	}
	b.number(s, field, 1, math.MaxInt32)
}

// inherit applies the defaults of global_defs. Those for adverts of lower
// priority follow the other ones of global_defs, not of the instance.
func (a announceDraft) inherit(g announceDraft) model.VRRPAnnounce {
	const delay, repeat = 5 * time.Second, 5
	extra := a
	if a.extra == nil {
		extra = g
	}
	return model.VRRPAnnounce{
		Delay:           or(delay, a.delay, g.delay),
		Repeat:          int(or(repeat, a.repeat, g.repeat)),
		LowerPrioDelay:  or(delay, a.lowerDelay, g.lowerDelay, g.delay),
		LowerPrioRepeat: int(or(repeat, a.lowerRepeat, g.lowerRepeat, g.repeat)),
		Refresh:         or(0, a.refresh, g.refresh),
		RefreshRepeat:   int(or(1, a.refreshRepeat, g.refreshRepeat)),
		Extra:           or(0, extra.extra),
		ExtraAll:        extra.extraAll,
	}
}
