package config

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// address reads a line of virtual_ipaddress and its like. It reports false after
// a complaint about the address itself, which ends in consequence; an option
// that cannot be used is left out alone, but for dev, which decides where the
// address goes.
func (v *vrrpBuilder) address(s *statement, consequence string) (model.Address, bool) {
	out := model.Address{Pos: v.position(s.at())}
	var err error
	if out.Prefix, err = parseHostPrefix(s.keyword()); err != nil {
		v.lineError(s, s.words[0], err, consequence, "write an address and a prefix length, such as 192.0.2.1/24")
		return out, false
	}
	out.Deprecated = out.Prefix.Addr().Is6() && out.Prefix.IsSingleIP()
	args := s.args()
	for len(args) > 0 {
		n, ok := v.addressOption(&out, s, args, consequence)
		if !ok {
			return out, false
		}
		args = args[min(n, len(args)):]
	}
	return out, true
}

// lineError complains about a word of a line that is no keyword.
func (v *vrrpBuilder) lineError(s *statement, w word, err error, consequence, hint string) {
	what := fmt.Sprintf("%q", w.s)
	if w.at != s.at() {
		what = fmt.Sprintf("%q after %s", w.s, s.keyword())
	}
	v.add(Error, w.at, s.keyword(), fmt.Sprintf("%s is %v; %s", what, err, consequence), hint)
}

// parseHostPrefix reads ADDRESS[/LENGTH] and keeps the host bits.
func parseHostPrefix(s string) (netip.Prefix, error) {
	host, length, has := strings.Cut(s, "/")
	addr, err := parseAddr(host)
	if err != nil {
		return netip.Prefix{}, err
	}
	bits := addr.BitLen()
	if has {
		n, err := parseUint(length, 0, uint64(bits))
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("no address, since /%s is not a prefix length from 0 to %d", length, bits)
		}
		bits = int(n)
	}
	return netip.PrefixFrom(addr, bits), nil
}

// addressOption reads the option at args[0] and returns how many words it has.
// It reports false if the address cannot be used without it.
func (v *vrrpBuilder) addressOption(out *model.Address, s *statement, args []word, consequence string) (int, bool) {
	if field := addressFlag(out, args[0].s); field != nil {
		*field = true
		return 1, true
	}
	o, known := addressOptions()[args[0].s]
	switch {
	case !known: // the linter complained about words, but not about addresses
		if _, err := parseHostPrefix(args[0].s); err == nil {
			v.lineError(s, args[0], fmt.Errorf("no option of an address"), "it is ignored, as in keepalived", "write one address on each line")
		}
		return 1, true
	case o.args == 0:
		return 1, true
	case len(args) < 2:
		v.lineError(s, args[0], fmt.Errorf("without its value"), consequence, "write a value after it")
		return 1, false
	}
	return 2, v.addressValue(out, s, args[0].s, args[1], consequence)
}

// addressFlag returns the field of an option without a value, or nil.
func addressFlag(out *model.Address, option string) *bool {
	switch option {
	case "no_track":
		return &out.NoTrack
	case "use_vmac":
		return &out.UseVMAC
	case "home":
		return &out.Home
	case "mngtmpaddr":
		return &out.ManageTemporary
	case "noprefixroute":
		return &out.NoPrefixRoute
	case "autojoin":
		return &out.AutoJoin
	case "-nodad":
		return &out.DAD
	}
	return nil
}

// optionIgnored ends complaints about an option of a line.
const optionIgnored = "the option is ignored"

// addressValue takes an option with a value. It reports false if the address
// cannot be used without it.
func (v *vrrpBuilder) addressValue(out *model.Address, s *statement, option string, w word, consequence string) bool {
	switch option {
	case "dev":
		if err := interfaceName(w.s); err != nil {
			v.lineError(s, w, err, consequence, "write dev and the interface's name")
			return false
		}
		out.Interface = w.s
	case "label":
		v.label(out, s, w)
	case "brd", "broadcast":
		v.broadcast(out, s, w)
	case "scope":
		n, ok := v.names.number(routeScopes, w.s, 255)
		if !ok {
			v.lineError(s, w, fmt.Errorf("no scope"), optionIgnored, "write scope global, site, link, host or a number up to 255")
			return true
		}
		out.Scope = uint8(n)
	case "peer":
		p, err := parseHostPrefix(w.s)
		if err == nil && p.Addr().Is4() != out.Prefix.Addr().Is4() {
			err = fmt.Errorf("not an address of the same family")
		}
		if err != nil {
			v.lineError(s, w, err, consequence, "write peer and an address")
			return false
		}
		out.Peer = p
	case "preferred_lft":
		v.preferredLifetime(out, s, w)
	}
	return true
}

func (v *vrrpBuilder) label(out *model.Address, s *statement, w word) {
	switch {
	case out.Prefix.Addr().Is6():
		v.lineError(s, w, fmt.Errorf("a label, which IPv6 addresses have not"), optionIgnored, "leave label out")
	case interfaceName(w.s) != nil:
		v.lineError(s, w, fmt.Errorf("no label, which has 1 to 15 characters"), optionIgnored, "write label eth0:1")
	default:
		out.Label = w.s
	}
}

// broadcast reads an address, or + or - for the prefix with the host bits all
// one or all zero.
func (v *vrrpBuilder) broadcast(out *model.Address, s *statement, w word) {
	if out.Prefix.Addr().Is6() {
		v.lineError(s, w, fmt.Errorf("a broadcast address, which IPv6 has not"), optionIgnored, "leave it out")
		return
	}
	switch {
	case w.s != "+" && w.s != "-":
	case out.Prefix.Bits() > 30: // has no room for one, so keepalived sets none
		return
	case w.s == "+":
		out.Broadcast = lastOf(out.Prefix)
		return
	default:
		out.Broadcast = out.Prefix.Masked().Addr()
		return
	}
	a, err := netip.ParseAddr(w.s)
	if err != nil || !a.Is4() {
		v.lineError(s, w, fmt.Errorf("not an IPv4 address, + or -"), optionIgnored, "write brd + for the last address of the prefix")
		return
	}
	out.Broadcast = a
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		host := min(max(p.Bits()-8*i, 0), 8)
		b[i] |= byte(0xff >> host)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

func (v *vrrpBuilder) preferredLifetime(out *model.Address, s *statement, w word) {
	if w.s == "forever" {
		out.PreferredLifetime, out.Deprecated = 0, false
		return
	}
	n, err := parseUint(w.s, 0, math.MaxUint32-1)
	if err != nil {
		v.lineError(s, w, fmt.Errorf("neither a number of seconds nor forever"), optionIgnored, "write preferred_lft forever")
		return
	}
	out.PreferredLifetime, out.Deprecated = time.Duration(n)*time.Second, n == 0
}
