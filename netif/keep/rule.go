package keep

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// rule is a rule of the configuration. Links are matched by name and need not
// exist.
type rule model.Rule

// String holds all that tells the rule from others.
func (r rule) String() string {
	var b strings.Builder
	word := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	fmt.Fprintf(&b, "rule %d:", r.Priority)
	if r.Invert {
		word("not")
	}
	word("from %s to %s", r.prefix(r.From), r.prefix(r.To))
	if r.InInterface != "" {
		word("iif %s", r.InInterface)
	}
	if r.OutInterface != "" {
		word("oif %s", r.OutInterface)
	}
	if r.Mask != 0 {
		word("fwmark %#x/%#x", r.Mark&r.Mask, r.Mask)
	}
	word("tos %d ipproto %d sport %v dport %v", r.TOS, r.IPProtocol, r.SourcePorts, r.DestinationPorts)
	if r.UIDs != nil {
		word("uidrange %v", *r.UIDs)
	}
	if r.L3MDev {
		word("l3mdev")
	}
	if r.SuppressPrefixLength != nil {
		word("suppress_prefixlength %d", *r.SuppressPrefixLength)
	}
	if r.SuppressGroup != nil {
		word("suppress_ifgroup %d", *r.SuppressGroup)
	}
	word("action %d table %d goto %d", r.Action, r.Table, r.Goto)
	return b.String()
}

// prefix fills an open one.
func (r rule) prefix(p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		return anyPrefix(r.IPv6)
	}
	return p.Masked()
}

func (r rule) resolve(links) (object, error) {
	r.Protocol = markOf(r.Protocol)
	return ruleObject{r}, nil
}

// ruleObject is a rule as the kernel takes it.
type ruleObject struct{ rule }

func (r ruleObject) id() id {
	return id{kind: kindRule, prefix: anyPrefix(r.IPv6), words: r.String()}
}

// equal: the id says it all.
func (r ruleObject) equal(object) bool { return true }

func (r ruleObject) ours() bool { return r.Protocol == Protocol }

func (r ruleObject) needsLink() (int, bool) { return 0, false }

func (r ruleObject) add() message {
	b := attr(r.body(), attrRuleProtocol, []byte{r.Protocol})
	return message{unix.RTM_NEWRULE, unix.NLM_F_CREATE | unix.NLM_F_EXCL, b}
}

func (r ruleObject) del() message { return message{unix.RTM_DELRULE, 0, r.body()} }

// Attributes of rules (linux/fib_rules.h).
const (
	attrRuleTo            = 1
	attrRuleFrom          = 2
	attrRuleIn            = 3
	attrRuleGoto          = 4
	attrRulePriority      = 6
	attrRuleMark          = 10
	attrRuleSuppressGroup = 13
	attrRuleSuppress      = 14
	attrRuleTable         = 15
	attrRuleMask          = 16
	attrRuleOut           = 17
	attrRuleL3MDev        = 19
	attrRuleUIDs          = 20
	attrRuleProtocol      = 21
	attrRuleIPProtocol    = 22
	attrRuleSourcePorts   = 23
	attrRuleDestPorts     = 24

	ruleHeaderLen = 12 // struct fib_rule_hdr
)

func (r rule) body() []byte {
	from, to := r.prefix(r.From), r.prefix(r.To)
	b := make([]byte, ruleHeaderLen)
	b[0], b[1], b[2], b[3], b[7] = family(r.IPv6), uint8(to.Bits()), uint8(from.Bits()), r.TOS, r.Action
	if r.Table < 256 {
		b[4] = uint8(r.Table)
	}
	if r.Invert {
		b[8] = unix.FIB_RULE_INVERT
	}
	b = attr32(b, attrRulePriority, r.Priority)
	if to.Bits() > 0 {
		b = attrAddr(b, attrRuleTo, to.Addr())
	}
	if from.Bits() > 0 {
		b = attrAddr(b, attrRuleFrom, from.Addr())
	}
	if r.InInterface != "" {
		b = attrText(b, attrRuleIn, r.InInterface)
	}
	if r.OutInterface != "" {
		b = attrText(b, attrRuleOut, r.OutInterface)
	}
	if r.Mask != 0 {
		b = attr32(attr32(b, attrRuleMark, r.Mark), attrRuleMask, r.Mask)
	}
	b = r.appendSelectors(b)
	if r.Table != 0 {
		b = attr32(b, attrRuleTable, r.Table)
	}
	if r.Action == unix.FR_ACT_GOTO {
		b = attr32(b, attrRuleGoto, r.Goto)
	}
	return b
}

// appendSelectors appends what few rules have.
func (r rule) appendSelectors(b []byte) []byte {
	if r.IPProtocol != 0 {
		b = attr(b, attrRuleIPProtocol, []byte{r.IPProtocol})
	}
	native := binary.NativeEndian
	for kind, ports := range map[uint16]model.PortRange{attrRuleSourcePorts: r.SourcePorts, attrRuleDestPorts: r.DestinationPorts} {
		if ports != (model.PortRange{}) {
			b = attr(b, kind, native.AppendUint16(native.AppendUint16(nil, ports.First), ports.Last))
		}
	}
	if r.UIDs != nil {
		b = attr(b, attrRuleUIDs, native.AppendUint32(native.AppendUint32(nil, r.UIDs.First), r.UIDs.Last))
	}
	if r.L3MDev {
		b = attr(b, attrRuleL3MDev, []byte{1})
	}
	if r.SuppressPrefixLength != nil {
		b = attr32(b, attrRuleSuppress, uint32(*r.SuppressPrefixLength))
	}
	if r.SuppressGroup != nil {
		b = attr32(b, attrRuleSuppressGroup, *r.SuppressGroup)
	}
	return b
}

// parseRule reads a message of the kernel about a rule.
func parseRule(b []byte) (ruleObject, bool) {
	if len(b) < ruleHeaderLen || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return ruleObject{}, false
	}
	r := rule{IPv6: b[0] == unix.AF_INET6, TOS: b[3], Table: uint32(b[4]), Action: b[7]}
	r.Invert = b[8]&unix.FIB_RULE_INVERT != 0
	attrs(b[ruleHeaderLen:], func(kind uint16, value []byte) {
		switch kind {
		case attrRuleTo:
			r.To = netip.PrefixFrom(addrIn(value), int(b[1]))
		case attrRuleFrom:
			r.From = netip.PrefixFrom(addrIn(value), int(b[2]))
		case attrRuleIn:
			r.InInterface = unix.ByteSliceToString(value)
		case attrRuleOut:
			r.OutInterface = unix.ByteSliceToString(value)
		default:
			r.parseNumber(kind, value)
		}
	})
	return ruleObject{r}, true
}

func (r *rule) parseNumber(kind uint16, value []byte) {
	var octet uint8
	if len(value) > 0 {
		octet = value[0]
	}
	n := u32(value)
	switch kind {
	case attrRulePriority:
		r.Priority = n
	case attrRuleMark:
		r.Mark = n
	case attrRuleMask:
		r.Mask = n
	case attrRuleTable:
		r.Table = n
	case attrRuleGoto:
		r.Goto = n
	case attrRuleIPProtocol:
		r.IPProtocol = octet
	case attrRuleProtocol:
		r.Protocol = octet
	case attrRuleL3MDev:
		r.L3MDev = octet != 0
	case attrRuleSourcePorts:
		r.SourcePorts = portsIn(value)
	case attrRuleDestPorts:
		r.DestinationPorts = portsIn(value)
	case attrRuleUIDs:
		if len(value) >= 8 && n != ^uint32(0) {
			r.UIDs = &model.UIDRange{First: n, Last: u32(value[4:])}
		}
	case attrRuleSuppress:
		// The kernel shows "none" as all ones, here and below.
		if n <= 128 {
			length := uint8(n)
			r.SuppressPrefixLength = &length
		}
	case attrRuleSuppressGroup:
		if n != ^uint32(0) {
			r.SuppressGroup = &n
		}
	}
}

func portsIn(value []byte) (p model.PortRange) {
	if len(value) >= 4 {
		p.First, p.Last = binary.NativeEndian.Uint16(value), binary.NativeEndian.Uint16(value[2:])
	}
	return p
}
