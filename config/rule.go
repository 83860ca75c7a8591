package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// firstRulePriority is the priority of the first rule that names none; each
// further one gets one less.
const firstRulePriority = 16384

// The actions of rules with the kernel's numbers (FR_ACT_*).
const (
	ruleToTable     = 1
	ruleGoto        = 2
	ruleNop         = 3
	ruleBlackhole   = 6
	ruleUnreachable = 7
	ruleProhibit    = 8
)

// rules reads a block of rules.
func (v *vrrpBuilder) rules(st *statement) []model.Rule {
	var list []model.Rule
	v.each(st.block, func(s *statement) {
		r := &ruleDraft{lineReader: lineReader{collector: v.collector, names: v.names, rest: s.words}}
		r.out = model.Rule{Pos: v.position(s.at()), Line: joined(s.words), Protocol: 18}
		if fault := r.read(); fault != nil {
			v.fault(st, fault, ruleLeftOut)
			return
		}
		if !r.hasPriority {
			r.out.Priority = v.priority
			v.add(Warning, s.at(), st.keyword(), fmt.Sprintf("the rule has no priority and gets %d, as in keepalived", r.out.Priority), "write priority and a number")
			v.priority--
		}
		list = append(list, r.out)
	})
	return list
}

// ruleDraft reads one rule.
type ruleDraft struct {
	lineReader
	out         model.Rule
	hasPriority bool
}

func (r *ruleDraft) read() *lineFault {
	for len(r.rest) > 0 {
		if f := r.word(r.next()); f != nil {
			return f
		}
	}
	r.out.IPv6 = r.v6 != nil && *r.v6
	switch {
	case r.out.Action == 0 && r.out.L3MDev:
		r.out.Action = ruleToTable
	case r.out.Action == 0:
		return &lineFault{at: r.at, why: "the end of a rule without a table or an action", hint: "write table and its number"}
	case r.out.Action == ruleGoto && !r.hasPriority:
		return &lineFault{at: r.at, why: "the end of a rule with goto and without priority", hint: "write priority and a number below that of goto"}
	case r.out.Action == ruleGoto && r.out.Goto <= r.out.Priority:
		return &lineFault{at: r.at, why: "the end of a rule with goto backward", hint: "write a goto above the priority"}
	}
	return nil
}

// word takes one word and its values.
func (r *ruleDraft) word(w word) *lineFault {
	switch w.s {
	case "inet", "inet6":
		return r.family(w, w.s == "inet6")
	case "not":
		r.out.Invert = true
	case "from":
		return r.selector(w, &r.out.From)
	case "to":
		return r.selector(w, &r.out.To)
	case "iif", "dev":
		return r.iface(w, &r.out.InInterface)
	case "oif":
		return r.iface(w, &r.out.OutInterface)
	case "l3mdev":
		r.out.L3MDev = true
	case "no_track":
		r.out.NoTrack = true
	case "realms", "tunnel-id", "track_group":
		return &lineFault{at: w, notYet: true}
	case "type":
		return r.action(r.next(), w)
	case "nop", "blackhole", "prohibit", "unreachable":
		return r.action(w, w)
	default:
		return r.value(w)
	}
	return nil
}

// value takes the words with a number.
func (r *ruleDraft) value(w word) *lineFault {
	switch w.s {
	case "table", "lookup":
		return r.number(w, routeTables, math.MaxUint32, func(n uint32) { r.out.Action, r.out.Table = ruleToTable, n })
	case "goto":
		return r.number(w, "", math.MaxUint32, func(n uint32) { r.out.Action, r.out.Goto = ruleGoto, n })
	case "priority", "order", "preference":
		return r.number(w, "", math.MaxUint32, func(n uint32) { r.out.Priority, r.hasPriority = n, true })
	case "tos", "dsfield":
		return r.number(w, routeTOS, 255, func(n uint32) { r.out.TOS = uint8(n) })
	case "protocol":
		return r.number(w, routeProtocols, 255, func(n uint32) { r.out.Protocol = uint8(n) })
	case "suppress_prefixlength", "sup_pl":
		return r.number(w, "", 128, func(n uint32) { r.out.SuppressPrefixLength = new(uint8(n)) })
	case "suppress_ifgroup", "sup_group":
		return r.number(w, "", math.MaxInt32, func(n uint32) { r.out.SuppressGroup = &n })
	case "fwmark":
		return r.mark(w)
	case "ipproto":
		return r.ipProtocol(w)
	case "sport":
		return r.ports(w, &r.out.SourcePorts)
	case "dport":
		return r.ports(w, &r.out.DestinationPorts)
	case "uidrange":
		first, last, f := r.span(w, math.MaxUint32)
		r.out.UIDs = &model.UIDRange{First: first, Last: last}
		return f
	}
	return &lineFault{at: w, why: "no word of a rule", hint: r.didYouMean(w.s, ruleOptions())}
}

// selector takes a prefix, or a word for all.
func (r *ruleDraft) selector(w word, field *netip.Prefix) *lineFault {
	value := r.next()
	switch value.s {
	case "":
		return missing(w)
	case "all", "any", "default":
		*field = netip.Prefix{}
		return nil
	}
	p, err := parseNetwork(value.s)
	if err != nil {
		return &lineFault{at: value, why: err.Error(), hint: "write a prefix or all"}
	}
	*field = p
	return r.family(value, p.Addr().Is6())
}

// action takes what becomes of a packet that no table routes.
func (r *ruleDraft) action(w, before word) *lineFault {
	action, ok := map[string]uint8{
		"nop": ruleNop, "blackhole": ruleBlackhole, "unreachable": ruleUnreachable, "prohibit": ruleProhibit,
	}[w.s]
	switch {
	case w.s == "":
		return missing(before)
	case !ok:
		return &lineFault{at: w, why: "no action of a rule", hint: "write blackhole, prohibit, unreachable or nop"}
	}
	r.out.Action = action
	return nil
}

// mark takes MARK[/MASK].
func (r *ruleDraft) mark(w word) *lineFault {
	value := r.next()
	mark, mask, has := strings.Cut(value.s, "/")
	n, err := strconv.ParseUint(mark, 0, 32)
	m := uint64(math.MaxUint32)
	if has && err == nil {
		m, err = strconv.ParseUint(mask, 0, 32)
	}
	switch {
	case value.s == "":
		return missing(w)
	case err != nil || m == 0:
		return &lineFault{at: value, why: "no mark", hint: "write fwmark 1 or fwmark 0x1/0xff"}
	}
	r.out.Mark, r.out.Mask = uint32(n), uint32(m)
	return nil
}

// ipProtocol takes a number or a common name.
func (r *ruleDraft) ipProtocol(w word) *lineFault {
	value := r.next()
	n, ok := map[string]uint8{"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "icmpv6": 58, "vrrp": 112, "sctp": 132}[value.s]
	if !ok {
		number, err := parseUint(value.s, 1, 255)
		if err != nil {
			return &lineFault{at: w, why: "without a number from 1 to 255 or one of icmp, tcp, udp, icmpv6, vrrp, sctp", hint: "write ipproto tcp"}
		}
		n = uint8(number)
	}
	r.out.IPProtocol = n
	return nil
}

func (r *ruleDraft) ports(w word, field *model.PortRange) *lineFault {
	first, last, f := r.span(w, math.MaxUint16)
	*field = model.PortRange{First: uint16(first), Last: uint16(last)}
	return f
}

// span takes NUMBER or NUMBER-NUMBER.
func (r *ruleDraft) span(w word, most uint64) (first, last uint32, f *lineFault) {
	value := r.next()
	if value.s == "" {
		return 0, 0, missing(w)
	}
	from, to, has := strings.Cut(value.s, "-")
	if !has {
		to = from
	}
	a, errA := parseUint(from, 0, most)
	b, errB := parseUint(to, 0, most)
	if errA != nil || errB != nil || a > b {
		return 0, 0, &lineFault{at: value, why: fmt.Sprintf("no range from 0 to %d", most), hint: "write " + w.s + " 1-100"}
	}
	return uint32(a), uint32(b), nil
}
