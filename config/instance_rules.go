package config

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// finishInstance applies defaults and rules to an instance and adds it. Each
// step may leave it out.
func (v *vrrpBuilder) finishInstance(d *instanceDraft) {
	for _, step := range []func(*instanceDraft){
		v.router, v.family, v.versionRule, v.where, v.priorityRule, v.intervalRule,
		v.authRule, v.unicastRule, v.strictRule, v.preemptRule, v.vmacRule,
		v.addressRules, v.inherit, v.tracksRule, v.identity,
	} {
		if step(d); d.leftOut {
			return
		}
	}
	d.runs = true
	v.out.Instances = append(v.out.Instances, d.out)
}

// router takes the number, which has no default.
func (v *vrrpBuilder) router(d *instanceDraft) {
	if d.vrid == nil {
		v.refuse(d, "virtual_router_id", "there is no virtual_router_id", "write virtual_router_id and a number from 1 to 255")
		return
	}
	d.out.VRID = uint8(*d.vrid)
}

// family finds out the family of the adverts and whether all agree on it.
func (v *vrrpBuilder) family(d *instanceDraft) {
	switch {
	case d.nativeIPv6:
		d.out.IPv6 = true
	case len(d.out.Addresses) > 0:
		d.out.IPv6 = d.out.Addresses[0].Prefix.Addr().Is6()
	case len(d.out.Peers) > 0:
		d.out.IPv6 = d.out.Peers[0].Addr.Is6()
	case d.out.Source.IsValid():
		d.out.IPv6 = d.out.Source.Is6()
	case d.multicast.IsValid():
		d.out.IPv6 = d.multicast.Is6()
	}
	v.otherFamily(d)
	const wrong = "%s %s is not of the family of the adverts, %s"
	name := familyName(d.out.IPv6)
	if a := d.out.Source; a.IsValid() && a.Is6() != d.out.IPv6 {
		keyword := "unicast_src_ip"
		if !d.has(keyword) {
			keyword = "mcast_src_ip"
		}
		v.refuse(d, keyword, fmt.Sprintf(wrong, keyword, a, name), "write an address of the same family")
	}
	if a := d.multicast; a.IsValid() && a.Is6() != d.out.IPv6 {
		v.refuse(d, "mcast_dst_ip", fmt.Sprintf(wrong, "mcast_dst_ip", a, name), "write a group of the same family")
	}
	for _, p := range d.out.Peers {
		if p.Addr.Is6() != d.out.IPv6 {
			v.refuse(d, "unicast_peer", fmt.Sprintf(wrong, "unicast_peer", p.Addr, name), "write addresses of the same family")
		}
	}
}

// otherFamily drops virtual addresses of the other family, as keepalived does:
// they have no place in an advert.
func (v *vrrpBuilder) otherFamily(d *instanceDraft) {
	kept := d.out.Addresses[:0]
	for _, a := range d.out.Addresses {
		if a.Prefix.Addr().Is6() == d.out.IPv6 {
			kept = append(kept, a)
			continue
		}
		v.add(Error, v.placeOf(a.Pos), "virtual_ipaddress", fmt.Sprintf("%s is not of the family of the adverts, %s; the address is left out, as by keepalived", a.Prefix.Addr(), familyName(d.out.IPv6)),
			"move it to virtual_ipaddress_excluded, or to an instance of its own")
	}
	d.out.Addresses = kept
}

// versionRule applies vrrp_version. There is no IPv6 in version 2.
func (v *vrrpBuilder) versionRule(d *instanceDraft) {
	strict := or(false, d.strict, v.defaults.strict)
	switch {
	case d.version != nil && *d.version == 2 && d.out.IPv6 && strict:
		v.warn(d, "version", "version 2 has no IPv6; strict mode makes it version 3, as in keepalived", "write version 3")
		d.version = new(uint32(3))
	case d.version != nil && *d.version == 2 && d.out.IPv6:
		v.refuse(d, "version", "version 2 has no IPv6", "write version 3 on all routers")
		return
	case d.version == nil && d.out.IPv6:
		d.version = new(uint32(3))
	case d.version == nil && v.defaults.unusable["vrrp_version"]:
		v.refuse(d, "version", "vrrp_version in global_defs cannot be used, and the instance has no version of its own", "write vrrp_version 2 or 3")
		return
	}
	d.out.Version = uint8(or(2, d.version, v.defaults.version))
}

// where checks that there is an interface to send from. A unicast instance can
// do without.
func (v *vrrpBuilder) where(d *instanceDraft) {
	if d.out.Interface != "" {
		return
	}
	switch {
	case len(d.out.Peers) == 0:
		v.refuse(d, "interface", "there is no interface", "write interface and its name")
	case !d.out.Source.IsValid():
		v.refuse(d, "interface", "there is neither an interface nor unicast_src_ip", "write interface and its name")
	case d.out.Source.IsLinkLocalUnicast():
		v.refuse(d, "unicast_src_ip", fmt.Sprintf("unicast_src_ip %s is a link-local address, which needs an interface", d.out.Source), "write interface and its name")
	case d.out.VMAC != nil:
		v.refuse(d, "use_vmac", "use_vmac needs an interface", "write interface and its name")
	}
}

// priorityRule applies the default, which depends on state.
func (v *vrrpBuilder) priorityRule(d *instanceDraft) {
	if d.priority == nil && d.state == "MASTER" {
		d.priority = new(uint32(255))
		v.mention(d, "state", "without a priority, state MASTER makes it the owner of the addresses, priority 255, as in keepalived", "write priority, and state BACKUP")
	}
	d.out.Priority = uint8(or(100, d.priority))
	strict := or(false, d.strict, v.defaults.strict)
	owner := d.out.Priority == 255
	if strict && d.state != "" && owner != (d.state == "MASTER") {
		v.warn(d, "state", "in strict mode the state follows from the priority, as in keepalived", "remove the state")
		d.state = ""
	}
	d.out.StartBackup = owner && d.state == "BACKUP"
}

// The limits of advert_int by version.
const (
	mostIntervalV2 = 255 * time.Second
	mostIntervalV3 = 4095 * 10 * time.Millisecond
)

// intervalRule rounds advert_int to what the version can say, as keepalived
// does.
func (v *vrrpBuilder) intervalRule(d *instanceDraft) {
	i := or(time.Second, d.interval)
	unit, most := 10*time.Millisecond, mostIntervalV3
	if d.out.Version == 2 {
		unit, most = time.Second, mostIntervalV2
	}
	d.out.Interval = min(max(i.Round(unit), unit), most)
	if d.out.Interval != i {
		v.warn(d, "advert_int", fmt.Sprintf("version %d has no advert_int %s; %s is used, as in keepalived", d.out.Version, seconds(i), seconds(d.out.Interval)),
			fmt.Sprintf("write advert_int %s", seconds(d.out.Interval)))
	}
}

// authRule: only version 2 has authentication.
func (v *vrrpBuilder) authRule(d *instanceDraft) {
	switch {
	case d.auth == model.VRRPAuth{}:
	case d.out.Version != 2:
		v.warn(d, "authentication", "version 3 has no authentication; the block is ignored", "remove the block")
	case or(false, d.strict, v.defaults.strict):
		v.warn(d, "authentication", "strict mode has no authentication; the block is ignored, as in keepalived", "remove the block, or strict_mode")
	case d.auth.Type == model.AuthNone:
		v.warn(d, "authentication", "without auth_type there is no authentication, as in keepalived", "write auth_type PASS, if the other routers have it")
	case d.auth.Secret == "":
		v.warn(d, "authentication", fmt.Sprintf("auth_type %s has no auth_pass, so there is no authentication, as in keepalived", d.auth.Type), "write auth_pass and what the other routers have")
	default:
		d.out.Auth = d.auth
	}
}

// unicastRule decides between unicast and multicast.
func (v *vrrpBuilder) unicastRule(d *instanceDraft) {
	d.out.UnicastTTL = uint8(or(255, d.unicastTTL))
	d.out.CheckUnicastSource = or(v.defaults.checkUnicastSource, d.checkUnicastSource)
	if len(d.out.Peers) > 0 {
		if d.multicast.IsValid() {
			v.warn(d, "mcast_dst_ip", "with unicast peers mcast_dst_ip means nothing and is ignored", "remove the line")
		}
		return
	}
	if d.out.NoPeerFault {
		v.warn(d, "unicast_fault_no_peer", "there are no unicast peers, so the instance stays in FAULT", "write unicast_peer")
		return
	}
	for _, keyword := range []string{"unicast_peer", "unicast_src_ip", "unicast_ttl", "check_unicast_src"} {
		if d.has(keyword) {
			v.warn(d, keyword, fmt.Sprintf("%s is given, but no unicast peer; multicast is used, as in keepalived", keyword), "write unicast_peer with an address, or remove the line")
			break
		}
	}
	group, keyword := v.defaults.multicast(d.out.IPv6)
	if d.multicast.IsValid() {
		group = d.multicast
	} else if v.defaults.unusable[keyword] {
		v.refuse(d, "mcast_dst_ip", fmt.Sprintf("%s in global_defs cannot be used", keyword), "write a multicast address there")
		return
	}
	d.out.Multicast = group
}

// strictRule drops what the RFCs do not have.
func (v *vrrpBuilder) strictRule(d *instanceDraft) {
	d.out.Strict = or(false, d.strict, v.defaults.strict)
	if !d.out.Strict {
		return
	}
	if len(d.out.Peers) > 0 {
		v.warn(d, "unicast_peer", "strict mode has no unicast; newer releases of keepalived refuse to start with it", "remove strict_mode or vrrp_strict")
	}
	if d.preemptDelay != nil {
		v.warn(d, "preempt_delay", "strict mode has no preempt_delay; it is ignored, as in keepalived", "remove the line")
		d.preemptDelay = nil
	}
	if or(3, d.downAdverts, v.defaults.downAdverts) != 3 {
		v.warn(d, "down_timer_adverts", "strict mode has no down_timer_adverts; 3 is used, as in keepalived", "remove the line")
	}
	d.downAdverts = new(uint32(3))
	if d.has("garp_lower_prio_delay") || d.has("garp_lower_prio_repeat") || or(false, d.higherPrioSendAdvert) || !or(true, d.lowerPrioNoAdvert) {
		v.warn(d, "", "strict mode answers adverts of lower or higher priority by nothing, as in keepalived", "remove the garp_lower_prio words, lower_prio_no_advert and higher_prio_send_advert")
	}
	d.announce.lowerDelay, d.announce.lowerRepeat = new(time.Duration), new(uint32)
	d.lowerPrioNoAdvert, d.higherPrioSendAdvert = new(true), new(false)
}

// preemptRule drops what does not go together, as keepalived does.
func (v *vrrpBuilder) preemptRule(d *instanceDraft) {
	owner := d.out.Priority == 255
	if d.out.NoPreempt && (owner || d.state == "MASTER") {
		why := "state MASTER"
		if owner {
			why = "priority 255"
		}
		v.warn(d, "nopreempt", fmt.Sprintf("nopreempt does not work with %s and is ignored, as in keepalived", why), "write state BACKUP and a priority below 255")
		d.out.NoPreempt = false
	}
	if or(0, d.preemptDelay) == 0 {
		return
	}
	switch {
	case d.out.NoPreempt:
		v.warn(d, "preempt_delay", "preempt_delay means nothing beside nopreempt and is ignored", "remove one of the two")
	case d.state == "MASTER" || owner && !d.out.StartBackup:
		v.warn(d, "preempt_delay", "preempt_delay does not work with state MASTER and is ignored, as in keepalived", "write state BACKUP")
	default:
		d.out.PreemptDelay = *d.preemptDelay
	}
}

// vmacRule completes the virtual MAC.
func (v *vrrpBuilder) vmacRule(d *instanceDraft) {
	m := d.out.VMAC
	if m == nil {
		if d.has("vmac_xmit_base") {
			v.warn(d, "vmac_xmit_base", "vmac_xmit_base means nothing without use_vmac and is ignored", "remove the line")
		}
		return
	}
	if d.mac != "" {
		m.MAC, _ = parseMAC(d.mac, d.out.VRID) // checked before
	}
	m.TransmitBase = d.has("vmac_xmit_base")
	if d.out.Strict && (d.mac != "" || m.TransmitBase) {
		v.warn(d, "use_vmac", "strict mode has neither a MAC address of its own nor vmac_xmit_base; they are ignored, as in keepalived", "remove them")
		m.MAC, m.TransmitBase = [6]byte{}, false
	}
	m.TransmitBase = m.TransmitBase || len(d.out.Peers) > 0
}

// inherit fills what global_defs has defaults for.
func (v *vrrpBuilder) inherit(d *instanceDraft) {
	g := &v.defaults
	out := &d.out
	out.NoAccept = !or(!out.Strict || out.Priority == 255, d.accept)
	if out.Strict && out.Version == 2 && out.Priority != 255 && or(false, d.accept) {
		v.warn(d, "accept", "strict mode has no accept in version 2; it is ignored, as in keepalived", "remove the line")
		out.NoAccept = true
	}
	out.DownAdverts = int(or(3, d.downAdverts, g.downAdverts))
	out.LowerPrioNoAdvert = or(false, d.lowerPrioNoAdvert, g.lowerPrioNoAdvert)
	out.HigherPrioNoAdvert = !or(true, d.higherPrioSendAdvert, g.higherPrioSendAdvert)
	out.OwnerIgnoreAdverts = or(false, d.ownerIgnore, g.ownerIgnoreAdverts)
	out.SkipCheckAddresses = or(false, d.skipCheck, g.skipCheck)
	out.ChecksumAsV2 = or(false, d.checksumAsV2, g.checksumAsV2)
	out.PriorityEvents = or(false, d.priorityEvents, g.priorityEvents)
	out.Mail = or(false, d.mail, v.alerts.vrrp, v.alerts.all)
	out.Announce = d.announce.inherit(g.announce)
}

// identity leaves out the second of two that cannot be told apart.
func (v *vrrpBuilder) identity(d *instanceDraft) {
	id := d.out.Identity()
	at, dup := v.identities[id]
	if !dup {
		v.identities[id] = d.st.at()
		return
	}
	on := "on " + d.out.Interface
	if d.out.Interface == "" {
		on = "from " + d.out.Source.String()
	}
	v.refuse(d, "virtual_router_id", fmt.Sprintf("virtual_router_id %d is used by %s %s already, at %s", d.out.VRID, familyName(d.out.IPv6), on, v.position(at)),
		"write another virtual_router_id, the same on all routers")
}
