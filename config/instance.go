package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// instanceDraft is a vrrp_instance block before inheritance and rules; nil is
// not set.
type instanceDraft struct {
	st *statement
	// lines are the last statement of each keyword.
	lines map[string]*statement
	// out is what needs no inheritance.
	out model.VRRPInstance

	vrid, version, priority *uint32
	state                   string // MASTER, BACKUP or empty
	interval                *time.Duration
	nativeIPv6              bool
	multicast               netip.Addr
	unicastTTL              *uint32
	auth                    model.VRRPAuth
	preemptDelay            *time.Duration
	announce                announceDraft
	accept                  *bool
	mac                     string // of use_vmac, or empty
	vmacAddresses           bool   // use_vmac_addr
	tracks                  []trackDraft

	strict, skipCheck, checkUnicastSource, checksumAsV2  *bool
	lowerPrioNoAdvert, higherPrioSendAdvert, ownerIgnore *bool
	downAdverts                                          *uint32
	priorityEvents, mail                                 *bool

	// leftOut is set after a complaint that says so, runs once it is in the
	// model.
	leftOut, runs bool
	group         string // its sync group, or empty
}

// instance reads one vrrp_instance block and adds it to the model, if it can
// run.
func (v *vrrpBuilder) instance(st *statement) {
	name := st.arg(0)
	if old, dup := v.instances[name]; dup {
		v.add(Error, st.at(), st.keyword(), fmt.Sprintf("vrrp_instance %s is there already, at %s; %s", name, v.position(old.st.at()), instanceLeftOut), "give it another name")
		return
	}
	d := &instanceDraft{st: st, lines: make(map[string]*statement)}
	d.out.Name, d.out.Pos = name, v.position(st.at())
	v.instances[name] = d
	for _, s := range st.block.statements {
		d.leftOut = d.leftOut || s.spoils
		if s.skip {
			continue
		}
		d.lines[s.keyword()] = s
		v.setting(d, s)
	}
	if st.block.damaged {
		v.refuse(d, "", "a line in it was dropped, and what it said is not known", "correct the line that is complained about")
	}
	if !d.leftOut {
		v.finishInstance(d)
	}
}

// leaveOut complains about argument i of a line that the instance must not run
// without.
func (v *vrrpBuilder) leaveOut(d *instanceDraft, s *statement, i int, err error, hint string) {
	v.bad(s, i, err, instanceLeftOut, hint)
	d.leftOut = true
}

// refuse complains about the instance as a whole, or about the line of a
// keyword if there is one.
func (v *vrrpBuilder) refuse(d *instanceDraft, keyword, message, hint string) {
	v.add(Error, d.at(keyword), keyword, fmt.Sprintf("vrrp_instance %s: %s; %s", d.out.Name, message, instanceLeftOut), hint)
	d.leftOut = true
}

// warn says something about the line of a keyword.
func (v *vrrpBuilder) warn(d *instanceDraft, keyword, message, hint string) {
	v.add(Warning, d.at(keyword), keyword, fmt.Sprintf("vrrp_instance %s: %s", d.out.Name, message), hint)
}

// mention is warn where keepalived says nothing.
func (v *vrrpBuilder) mention(d *instanceDraft, keyword, message, hint string) {
	v.add(silent(Warning), d.at(keyword), keyword, fmt.Sprintf("vrrp_instance %s: %s", d.out.Name, message), hint)
}

// has reports whether the block has a keyword.
func (d *instanceDraft) has(keyword string) bool { return d.lines[keyword] != nil }

// at returns the place of a keyword, or of the instance.
func (d *instanceDraft) at(keyword string) place {
	if s := d.lines[keyword]; s != nil {
		return s.at()
	}
	return d.st.at()
}

// setting takes one line of a vrrp_instance block.
func (v *vrrpBuilder) setting(d *instanceDraft, s *statement) {
	switch {
	case v.identitySetting(d, s), v.peerSetting(d, s), v.electionSetting(d, s), v.addressSetting(d, s):
	case v.announce(&d.announce, s, ""), v.notify(&d.out.Scripts, s), v.track(&d.tracks, s):
	default:
		v.otherSetting(d, s)
	}
}

// identitySetting takes the words that say which router it is.
func (v *vrrpBuilder) identitySetting(d *instanceDraft, s *statement) bool {
	switch s.keyword() {
	case "interface":
		if err := interfaceName(s.arg(0)); err != nil {
			v.leaveOut(d, s, 0, err, "write interface eth0")
			return true
		}
		d.out.Interface = s.arg(0)
	case "virtual_router_id":
		v.vital(d, s, &d.vrid, 1, 255, "write the number that all routers of this virtual router have, such as virtual_router_id 51")
	case "priority":
		v.vital(d, s, &d.priority, 1, 255, "write priority 100, more on the router that is preferred, or 255 on the owner of the addresses")
	case "version":
		v.vital(d, s, &d.version, 2, 3, "write version 2 or version 3")
	case "advert_int":
		v.advertInterval(d, s)
	case "state":
		v.state(d, s)
	case "native_ipv6":
		v.turnOn(s, &d.nativeIPv6)
	default:
		return false
	}
	return true
}

// vital reads a number that the instance must not run without.
func (v *vrrpBuilder) vital(d *instanceDraft, s *statement, field **uint32, least, most uint64, hint string) {
	n, err := parseUint(s.arg(0), least, most)
	if err != nil {
		v.leaveOut(d, s, 0, err, hint)
		return
	}
	*field = new(uint32(n))
}

// advertInterval reads advert_int. A default in its place would make routers of
// version 2 drop each other's adverts, and all of them master.
func (v *vrrpBuilder) advertInterval(d *instanceDraft, s *statement) {
	i, err := parseSeconds(s.arg(0), 10*time.Millisecond, 255*time.Second)
	if err != nil {
		v.leaveOut(d, s, 0, err, "write the seconds that all routers of this virtual router have, such as advert_int 1")
		return
	}
	d.interval = &i
}

// state reads the initial state, which means little.
func (v *vrrpBuilder) state(d *instanceDraft, s *statement) {
	switch s.arg(0) {
	case "MASTER", "BACKUP":
		d.state = s.arg(0)
	default:
		v.bad(s, 0, fmt.Errorf("neither MASTER nor BACKUP"), lineIgnored, "write state BACKUP, and a priority to say who is preferred")
	}
}

// electionSetting takes the words about who becomes master and when.
func (v *vrrpBuilder) electionSetting(d *instanceDraft, s *statement) bool {
	switch s.keyword() {
	case "nopreempt":
		v.turnOn(s, &d.out.NoPreempt)
	case "preempt":
		d.out.NoPreempt = false
	case "preempt_delay":
		v.seconds(s, &d.preemptDelay, 0, 1000*time.Second)
	case "down_timer_adverts":
		v.number(s, &d.downAdverts, 1, 100)
	case "lower_prio_no_advert":
		v.boolean(s, &d.lowerPrioNoAdvert)
	case "higher_prio_send_advert":
		v.boolean(s, &d.higherPrioSendAdvert)
	case "owner_ignore_adverts":
		v.boolean(s, &d.ownerIgnore)
	case "strict_mode":
		v.boolean(s, &d.strict)
	case "accept":
		d.accept = new(true)
	case "no_accept":
		d.accept = new(false)
	case "skip_check_adv_addr":
		v.boolean(s, &d.skipCheck)
	case "dont_track_primary":
		v.turnOn(s, &d.out.DontTrackPrimary)
	default:
		return false
	}
	return true
}

// addressSetting takes the blocks of addresses, routes and rules.
func (v *vrrpBuilder) addressSetting(d *instanceDraft, s *statement) bool {
	switch s.keyword() {
	case "virtual_ipaddress":
		v.virtualAddresses(d, s)
	case "virtual_ipaddress_excluded":
		v.excluded(d, s)
	case "no_virtual_ipaddress":
		v.turnOn(s, &d.out.NoAddresses)
	case "virtual_routes":
		d.out.Routes = append(d.out.Routes, v.routes(s)...)
	case "virtual_rules":
		d.out.Rules = append(d.out.Rules, v.rules(s)...)
	default:
		return false
	}
	return true
}

// virtualAddresses reads a virtual_ipaddress block. Routers that do not have
// the same list disagree, so an address that cannot be read spoils it.
func (v *vrrpBuilder) virtualAddresses(d *instanceDraft, st *statement) {
	for _, line := range st.block.statements {
		d.leftOut = d.leftOut || line.spoils
		if line.skip {
			continue
		}
		a, ok := v.address(line, instanceLeftOut)
		if !ok {
			d.leftOut = true
			continue
		}
		d.out.Addresses = append(d.out.Addresses, a)
	}
}

// excluded reads a virtual_ipaddress_excluded block, which other routers do not
// see.
func (v *vrrpBuilder) excluded(d *instanceDraft, st *statement) {
	for _, line := range st.block.statements {
		d.leftOut = d.leftOut || line.spoils
		if line.skip {
			continue
		}
		if a, ok := v.address(line, "the address is left out"); ok {
			d.out.Excluded = append(d.out.Excluded, a)
		}
	}
}

// otherSetting takes what is left.
func (v *vrrpBuilder) otherSetting(d *instanceDraft, s *statement) {
	switch s.keyword() {
	case "promote_secondaries":
		v.turnOn(s, &d.out.PromoteSecondaries)
	case "notify_priority_changes":
		v.boolean(s, &d.priorityEvents)
	case "smtp_alert":
		v.boolean(s, &d.mail)
	case "use_vmac":
		v.useVMAC(d, s)
	case "use_vmac_addr":
		v.turnOn(s, &d.vmacAddresses)
	}
}

// useVMAC reads [[name] IF] [MAC] [netlink_notify_msg] [group G].
func (v *vrrpBuilder) useVMAC(d *instanceDraft, s *statement) {
	vmac := &model.VMAC{}
	named := false
	for args := s.args(); len(args) > 0; args = args[1:] {
		w := args[0]
		switch {
		case w.s == "netlink_notify_msg":
		case w.s == "name" && len(args) > 1:
		case w.s == "group" && len(args) > 1:
			v.add(silent(Warning), w.at, s.keyword(), "group after use_vmac is parsed, not used yet", "")
			args = args[1:]
		case strings.Contains(w.s, ":"):
			if _, err := parseMAC(w.s, 1); err != nil {
				v.add(Error, w.at, s.keyword(), fmt.Sprintf("%q after use_vmac is %v; the default is used", w.s, err), "leave it out for the address of the RFC")
				continue
			}
			d.mac = w.s
		case named || interfaceName(w.s) != nil:
			v.add(Error, w.at, s.keyword(), fmt.Sprintf("%q after use_vmac is ignored", w.s), "write use_vmac and one name of up to 15 characters")
		default:
			vmac.Name, named = w.s, true
		}
	}
	d.out.VMAC = vmac
}

// parseMAC reads an Ethernet address of six bytes, or of five with the virtual
// router's number as the sixth.
func parseMAC(s string, vrid uint8) ([6]byte, error) {
	parts := strings.Split(s, ":")
	if len(parts) == 5 {
		parts = append(parts, fmt.Sprintf("%02x", vrid))
	}
	var mac [6]byte
	if len(parts) != len(mac) {
		return mac, fmt.Errorf("no Ethernet address")
	}
	for i, p := range parts {
		n := digits(p, 2, "0123456789abcdefABCDEF")
		if n == 0 || n != len(p) {
			return mac, fmt.Errorf("no Ethernet address")
		}
		_, _ = fmt.Sscanf(p, "%x", &mac[i]) // the digits were checked
	}
	if mac[0]&1 != 0 {
		return mac, fmt.Errorf("an Ethernet address of a group")
	}
	return mac, nil
}
