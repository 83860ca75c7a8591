package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// peerSetting takes the words about how adverts are sent and checked.
func (v *vrrpBuilder) peerSetting(d *instanceDraft, s *statement) bool {
	switch s.keyword() {
	case "unicast_peer":
		v.peers(d, s)
	case "unicast_src_ip", "mcast_src_ip":
		a, err := v.bareAddress(s, s.args()[0])
		if err != nil {
			v.leaveOut(d, s, 0, err, "write an address of the interface")
			return true
		}
		d.out.Source = a
	case "mcast_dst_ip":
		a, err := netip.ParseAddr(s.arg(0))
		if err != nil || !a.IsMulticast() || a.Zone() != "" {
			v.leaveOut(d, s, 0, fmt.Errorf("not a multicast address"), "write a multicast address, or leave the line out")
			return true
		}
		d.multicast = a
	case "track_src_ip":
		v.turnOn(s, &d.out.TrackSource)
	case "unicast_ttl":
		v.number(s, &d.unicastTTL, 1, 255)
	case "check_unicast_src":
		v.boolean(s, &d.checkUnicastSource)
	case "unicast_fault_no_peer":
		v.turnOn(s, &d.out.NoPeerFault)
	case "old_unicast_checksum":
		v.oldChecksum(d, s)
	case "v3_checksum_as_v2":
		v.boolean(s, &d.checksumAsV2)
	case "authentication":
		v.authentication(d, s)
	case "auth_hmac":
		v.refuse(d, "auth_hmac", "auth_hmac is not supported yet, and without it the other routers would not be believed", "remove it on all routers")
	default:
		return false
	}
	return true
}

func (v *vrrpBuilder) oldChecksum(d *instanceDraft, s *statement) {
	switch s.arg(0) {
	case "":
		v.add(Note, s.at(), s.keyword(), "old_unicast_checksum is not needed, since an old keepalived is found out by itself", "")
	case "never":
		d.out.NeverOldChecksum = true
	default:
		v.bad(s, 0, fmt.Errorf("not never"), lineIgnored, "write old_unicast_checksum never, or leave the line out")
	}
}

// peers reads a unicast_peer block. A peer that is missed would become master
// beside us, so one that cannot be read spoils the instance.
func (v *vrrpBuilder) peers(d *instanceDraft, st *statement) {
	for _, line := range st.block.statements {
		d.leftOut = d.leftOut || line.spoils
		if line.skip {
			continue
		}
		p, ok := v.peer(d, line)
		if !ok {
			d.leftOut = true
			continue
		}
		if old := findPeer(d.out.Peers, p.Addr); old {
			v.add(Warning, line.at(), st.keyword(), fmt.Sprintf("unicast_peer %s is there already and is ignored", p.Addr), "remove one of the two")
			continue
		}
		d.out.Peers = append(d.out.Peers, p)
	}
}

// bareAddress reads an address. A prefix length after it means nothing, but does
// no harm in keepalived.
func (v *vrrpBuilder) bareAddress(s *statement, w word) (netip.Addr, error) {
	p, err := parseHostPrefix(w.s)
	if err == nil && strings.Contains(w.s, "/") {
		v.add(Warning, w.at, s.keyword(), fmt.Sprintf("the prefix length of %s means nothing here and is ignored", w.s), "write the address alone")
	}
	return p.Addr(), err
}

func findPeer(list []model.VRRPPeer, a netip.Addr) bool {
	for _, p := range list {
		if p.Addr == a {
			return true
		}
	}
	return false
}

// peer reads ADDRESS [min_ttl N] [max_ttl N].
func (v *vrrpBuilder) peer(d *instanceDraft, s *statement) (model.VRRPPeer, bool) {
	var out model.VRRPPeer
	var err error
	if out.Addr, err = v.bareAddress(s, s.words[0]); err != nil {
		v.lineError(s, s.words[0], err, instanceLeftOut, "write the address of another router")
		return out, false
	}
	limits := map[string]*uint32{"min_ttl": nil, "max_ttl": nil}
	for args := s.args(); len(args) > 0; {
		if _, known := limits[args[0].s]; !known {
			if addressLike(args[0].s) {
				v.lineError(s, args[0], fmt.Errorf("no option of a peer"), instanceLeftOut, "write one address on each line")
				return out, false
			}
			args = args[1:] // the linter complained
			continue
		}
		if len(args) < 2 {
			v.lineError(s, args[0], fmt.Errorf("without its value"), instanceLeftOut, "write a number from 0 to 255 after it")
			return out, false
		}
		n, err := parseUint(args[1].s, 0, 255)
		if err != nil {
			v.lineError(s, args[1], err, instanceLeftOut, "write "+args[0].s+" 255 for a peer on the same link")
			return out, false
		}
		limits[args[0].s] = new(uint32(n))
		args = args[2:]
	}
	if limits["min_ttl"] == nil && limits["max_ttl"] == nil {
		return out, true
	}
	out.MinTTL, out.MaxTTL = uint8(or(0, limits["min_ttl"])), uint8(or(255, limits["max_ttl"]))
	if out.MinTTL > out.MaxTTL {
		v.lineError(s, s.words[0], fmt.Errorf("a peer whose min_ttl %d is above its max_ttl %d, so that nothing would be heard of it", out.MinTTL, out.MaxTTL), instanceLeftOut, "write a max_ttl that is not below min_ttl")
		return out, false
	}
	d.checkUnicastSource = orTrue(d.checkUnicastSource)
	return out, true
}

// orTrue returns true if nothing else is said.
func orTrue(b *bool) *bool {
	if b != nil {
		return b
	}
	return new(true)
}

// mostSecret is how much of auth_pass an advert has room for.
const mostSecret = 8

// authentication reads the block. Without the right one other routers would
// not be believed, or not believe us.
func (v *vrrpBuilder) authentication(d *instanceDraft, st *statement) {
	d.auth = model.VRRPAuth{}
	for _, s := range st.block.statements {
		d.leftOut = d.leftOut || s.spoils
		if s.skip {
			continue
		}
		switch s.keyword() {
		case "auth_type":
			v.authType(d, s)
		case "auth_pass":
			d.auth.Secret = s.arg(0)
			if len(d.auth.Secret) > mostSecret {
				v.add(silent(Warning), s.args()[0].at, s.keyword(), fmt.Sprintf("auth_pass has %d characters, of which the first %d are used, as in keepalived", len(d.auth.Secret), mostSecret), "write up to 8 characters")
				d.auth.Secret = d.auth.Secret[:mostSecret]
			}
		}
	}
}

func (v *vrrpBuilder) authType(d *instanceDraft, s *statement) {
	switch s.arg(0) {
	case "PASS":
		d.auth.Type = model.AuthPass
	case "AH":
		d.auth.Type = model.AuthAH
	default:
		v.leaveOut(d, s, 0, fmt.Errorf("neither PASS nor AH"), "write auth_type PASS, or remove the authentication")
	}
}
