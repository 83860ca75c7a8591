package keep

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// RuleAction says what a rule does. The zero value looks up a table.
type RuleAction uint8

// The actions, with the kernel's numbers but for the first.
const (
	RuleLookup      RuleAction = 0
	RuleGoto        RuleAction = unix.FR_ACT_GOTO
	RuleNop         RuleAction = unix.FR_ACT_NOP
	RuleBlackhole   RuleAction = unix.FR_ACT_BLACKHOLE
	RuleUnreachable RuleAction = unix.FR_ACT_UNREACHABLE
	RuleProhibit    RuleAction = unix.FR_ACT_PROHIBIT
)

// Rule is a virtual rule. Zero fields match everything.
type Rule struct {
	IPv6 bool
	// Priority orders the rules; required, since without one the kernel
	// chooses another each time.
	Priority uint32
	Not      bool
	From, To netip.Prefix
	// InLink and OutLink are names; the links need not exist.
	InLink, OutLink string
	// Mark and Mask match the mark of a packet. Mask is optional, default all
	// bits of a Mark that is not zero.
	Mark, Mask uint32
	TOS        uint8
	Action     RuleAction
	// Table is for RuleLookup; optional, default main.
	Table uint32
	// Goto is the priority to go on with, for RuleGoto.
	Goto uint32
	// SuppressPrefixLength rejects what the table answers with a prefix of
	// this length or shorter. Optional, default none.
	SuppressPrefixLength *uint32
}

// String returns the rule as ip writes it.
func (r Rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rule %d:", r.Priority)
	if r.Not {
		b.WriteString(" not")
	}
	fmt.Fprintf(&b, " from %s to %s", r.prefix(r.From), r.prefix(r.To))
	if r.InLink != "" {
		fmt.Fprintf(&b, " iif %s", r.InLink)
	}
	if r.OutLink != "" {
		fmt.Fprintf(&b, " oif %s", r.OutLink)
	}
	fmt.Fprintf(&b, " fwmark %#x/%#x tos %d action %d table %d goto %d", r.Mark, r.mask(), r.TOS, r.action(), r.table(), r.Goto)
	if r.SuppressPrefixLength != nil {
		fmt.Fprintf(&b, " suppress_prefixlength %d", *r.SuppressPrefixLength)
	}
	return b.String()
}

// prefix fills an open one.
func (r Rule) prefix(p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		return anyPrefix(r.IPv6)
	}
	return p.Masked()
}

func (r Rule) mask() uint32 {
	if r.Mark != 0 && r.Mask == 0 {
		return ^uint32(0)
	}
	return r.Mask
}

func (r Rule) action() uint8 {
	if r.Action == RuleLookup {
		return unix.FR_ACT_TO_TBL
	}
	return uint8(r.Action)
}

func (r Rule) table() uint32 {
	if r.Action == RuleLookup && r.Table == 0 {
		return unix.RT_TABLE_MAIN
	}
	return r.Table
}

func (r Rule) resolve(links) (object, error) { return ruleObject{r, Protocol}, nil }

// ruleObject is a Rule and who made it.
type ruleObject struct {
	Rule
	protocol uint8
}

func (r ruleObject) id() id {
	return id{kind: kindRule, prefix: anyPrefix(r.IPv6), words: r.Rule.String()}
}

// equal: the id says it all.
func (r ruleObject) equal(object) bool { return true }

func (r ruleObject) ours() bool { return r.protocol == Protocol }

func (r ruleObject) needsLink() (int, bool) { return 0, false }

func (r ruleObject) add() message {
	b := attr(r.body(), attrRuleProtocol, []byte{r.protocol})
	return message{unix.RTM_NEWRULE, unix.NLM_F_CREATE | unix.NLM_F_EXCL, b}
}

func (r ruleObject) del() message { return message{unix.RTM_DELRULE, 0, r.body()} }

// Attributes of rules (linux/fib_rules.h).
const (
	attrRuleTo       = 1
	attrRuleFrom     = 2
	attrRuleIn       = 3
	attrRuleGoto     = 4
	attrRulePriority = 6
	attrRuleMark     = 10
	attrRuleSuppress = 14
	attrRuleTable    = 15
	attrRuleMask     = 16
	attrRuleOut      = 17
	attrRuleProtocol = 21

	ruleHeaderLen = 12 // struct fib_rule_hdr
)

func (r Rule) body() []byte {
	from, to := r.prefix(r.From), r.prefix(r.To)
	b := make([]byte, ruleHeaderLen)
	b[0], b[1], b[2], b[3], b[7] = family(r.IPv6), uint8(to.Bits()), uint8(from.Bits()), r.TOS, r.action()
	if table := r.table(); table < 256 {
		b[4] = uint8(table)
	}
	if r.Not {
		b[8] = unix.FIB_RULE_INVERT
	}
	b = attr32(b, attrRulePriority, r.Priority)
	if to.Bits() > 0 {
		b = attrAddr(b, attrRuleTo, to.Addr())
	}
	if from.Bits() > 0 {
		b = attrAddr(b, attrRuleFrom, from.Addr())
	}
	if r.InLink != "" {
		b = attrText(b, attrRuleIn, r.InLink)
	}
	if r.OutLink != "" {
		b = attrText(b, attrRuleOut, r.OutLink)
	}
	if r.mask() != 0 {
		b = attr32(attr32(b, attrRuleMark, r.Mark), attrRuleMask, r.mask())
	}
	if r.table() != 0 {
		b = attr32(b, attrRuleTable, r.table())
	}
	if r.Action == RuleGoto {
		b = attr32(b, attrRuleGoto, r.Goto)
	}
	if r.SuppressPrefixLength != nil {
		b = attr32(b, attrRuleSuppress, *r.SuppressPrefixLength)
	}
	return b
}

// parseRule reads a message of the kernel about a rule.
func parseRule(b []byte) (ruleObject, bool) {
	if len(b) < ruleHeaderLen || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return ruleObject{}, false
	}
	r := ruleObject{Rule: Rule{IPv6: b[0] == unix.AF_INET6, TOS: b[3], Table: uint32(b[4])}}
	r.Not = b[8]&unix.FIB_RULE_INVERT != 0
	if r.Action = RuleAction(b[7]); b[7] == unix.FR_ACT_TO_TBL {
		r.Action = RuleLookup
	}
	attrs(b[ruleHeaderLen:], func(kind uint16, value []byte) {
		switch kind {
		case attrRulePriority:
			r.Priority = u32(value)
		case attrRuleTo:
			r.To = netip.PrefixFrom(addrIn(value), int(b[1]))
		case attrRuleFrom:
			r.From = netip.PrefixFrom(addrIn(value), int(b[2]))
		case attrRuleIn:
			r.InLink = unix.ByteSliceToString(value)
		case attrRuleOut:
			r.OutLink = unix.ByteSliceToString(value)
		case attrRuleMark:
			r.Mark = u32(value)
		case attrRuleMask:
			r.Mask = u32(value)
		case attrRuleTable:
			r.Table = u32(value)
		case attrRuleGoto:
			r.Goto = u32(value)
		case attrRuleSuppress:
			// The kernel shows "none" as all ones.
			if n := u32(value); n != ^uint32(0) {
				r.SuppressPrefixLength = &n
			}
		case attrRuleProtocol:
			if len(value) > 0 {
				r.protocol = value[0]
			}
		}
	})
	return r, true
}
