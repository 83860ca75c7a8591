package config

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/evenkeel/evenkeel/model"
)

// holding is an address on an interface.
type holding struct {
	addr  netip.Addr
	iface string
}

// mostAddresses is how many addresses an advert has room for: 255 by its count,
// and for IPv6 what keepalived puts into 1500 bytes. Routers that move another
// number would have different lists.
func mostAddresses(v6 bool) int {
	if v6 {
		return 89
	}
	return 255
}

// addressRules completes the virtual addresses.
func (v *vrrpBuilder) addressRules(d *instanceDraft) {
	out := &d.out
	if most := mostAddresses(out.IPv6); len(out.Addresses) > most {
		v.warn(d, "virtual_ipaddress", fmt.Sprintf("an advert has room for %d of the %d addresses; the others are treated as virtual_ipaddress_excluded, as in keepalived", most, len(out.Addresses)),
			"move them to virtual_ipaddress_excluded")
		out.Excluded = append(out.Excluded, out.Addresses[most:]...)
		out.Addresses = out.Addresses[:most:most]
	}
	v.twice(d)
	v.noAddresses(d)
	v.devices(d, out.Addresses)
	v.devices(d, out.Excluded)
	if d.vmacAddresses {
		d.elsewhereOnVMACs(out.Addresses)
		d.elsewhereOnVMACs(out.Excluded)
	}
	if out.IPv6 && len(out.Addresses) > 0 && !out.Addresses[0].Prefix.Addr().IsLinkLocalUnicast() {
		v.mention(d, "virtual_ipaddress", "the first IPv6 address should be a link-local one (RFC 9568, 5.2.9)", "write fe80::VRID/64 as the first address, the same on all routers")
	}
}

// twice warns of what is in both lists, or in one of them twice. In the adverts
// it stays, since keepalived counts it twice, too; elsewhere it is dropped.
func (v *vrrpBuilder) twice(d *instanceDraft) {
	type line struct {
		prefix netip.Prefix
		iface  string
	}
	seen := make(map[line]bool, len(d.out.Addresses)+len(d.out.Excluded))
	again := func(a model.Address, consequence string) bool {
		l := line{a.Prefix, d.device(a)}
		if !seen[l] {
			seen[l] = true
			return false
		}
		v.add(silent(Warning), v.placeOf(a.Pos), "", fmt.Sprintf("%s is in vrrp_instance %s already; %s", a.Prefix.Addr(), d.out.Name, consequence), "remove one of the two")
		return true
	}
	for _, a := range d.out.Addresses {
		again(a, "adverts have it twice, as keepalived's")
	}
	d.out.Excluded = slices.DeleteFunc(d.out.Excluded, func(a model.Address) bool { return again(a, "it is ignored here") })
}

// device returns where an address goes.
func (d *instanceDraft) device(a model.Address) string {
	if a.Interface != "" {
		return a.Interface
	}
	return d.out.Interface
}

// noAddresses: version 3 needs at least one.
func (v *vrrpBuilder) noAddresses(d *instanceDraft) {
	switch {
	case len(d.out.Addresses) > 0:
		d.out.NoAddresses = false
	case d.out.NoAddresses:
	case d.out.Version == 3 || d.out.Strict:
		v.refuse(d, "virtual_ipaddress", "there is no virtual address", "write virtual_ipaddress with one, or no_virtual_ipaddress")
	default:
		v.warn(d, "virtual_ipaddress", "there is no virtual address", "write virtual_ipaddress with one, or no_virtual_ipaddress")
		d.out.NoAddresses = true
	}
}

// elsewhereOnVMACs is use_vmac_addr: addresses on other interfaces than the
// instance's, and those of the other family, go to virtual MACs, too.
func (d *instanceDraft) elsewhereOnVMACs(list []model.Address) {
	for i := range list {
		a := &list[i]
		if a.Interface != d.out.Interface || a.Prefix.Addr().Is6() != d.out.IPv6 {
			a.UseVMAC = true
		}
	}
}

// devices says where the addresses go that name no interface.
func (v *vrrpBuilder) devices(d *instanceDraft, list []model.Address) {
	for i := range list {
		a := &list[i]
		a.Interface = d.device(*a)
		if a.Interface == "" {
			a.Interface = v.defaults.iface
		}
		if a.Interface == "" {
			v.add(Error, v.placeOf(a.Pos), "", fmt.Sprintf("%s has no interface to go to, and the instance has none either; %s", a.Prefix.Addr(), instanceLeftOut), "write dev and the interface after it")
			d.leftOut = true
			return
		}
		h := holding{a.Prefix.Addr(), a.Interface}
		if other, taken := v.holders[h]; taken && other != d.out.Name {
			v.add(Warning, v.placeOf(a.Pos), "", fmt.Sprintf("%s on %s belongs to vrrp_instance %s, too; each takes it away from the other", a.Prefix.Addr(), a.Interface, other), "remove one of the two")
			continue
		}
		v.holders[h] = d.out.Name
	}
}
