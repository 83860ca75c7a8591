package accept

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The table and what is in it.
const (
	tableName = "evenkeel"
	chainName = "no_accept"
	set4Name  = "no_accept4"
	set6Name  = "no_accept6"

	// priority is behind IPVS, whose last hook on this way has 99.
	priority = 200
)

// message is one of nftables without its header.
type message struct {
	kind, flags uint16
	body        []byte
}

const subsystem = unix.NFNL_SUBSYS_NFTABLES

// header is struct nfgenmsg.
func header(family uint8, resource uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{family, 0}, resource)
}

func nft(kind, flags uint16, attrs ...[]byte) message {
	b := header(unix.NFPROTO_INET, 0)
	for _, a := range attrs {
		b = append(b, a...)
	}
	return message{subsystem<<8 | kind, flags, b}
}

// attr is an attribute with its padding.
func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

func nested(kind uint16, attrs ...[]byte) []byte {
	var value []byte
	for _, a := range attrs {
		value = append(value, a...)
	}
	return attr(kind|unix.NLA_F_NESTED, value)
}

func text(kind uint16, s string) []byte { return attr(kind, append([]byte(s), 0)) }

// number is an attribute of four bytes in network order.
func number(kind uint16, n uint32) []byte {
	return attr(kind, binary.BigEndian.AppendUint32(nil, n))
}

// expr is one expression of a rule.
func expr(name string, attrs ...[]byte) []byte {
	return nested(unix.NFTA_LIST_ELEM, text(unix.NFTA_EXPR_NAME, name), nested(unix.NFTA_EXPR_DATA, attrs...))
}

// loadMeta and loadPayload load something of the packet for the next expression.
func loadMeta(key uint32) []byte {
	return expr("meta", number(unix.NFTA_META_KEY, key), number(unix.NFTA_META_DREG, unix.NFT_REG_1))
}

func loadPayload(base, offset, length uint32) []byte {
	return expr("payload", number(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1), number(unix.NFTA_PAYLOAD_BASE, base),
		number(unix.NFTA_PAYLOAD_OFFSET, offset), number(unix.NFTA_PAYLOAD_LEN, length))
}

func is(value byte) []byte {
	return expr("cmp", number(unix.NFTA_CMP_SREG, unix.NFT_REG_1), number(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ),
		nested(unix.NFTA_CMP_DATA, attr(unix.NFTA_DATA_VALUE, []byte{value})))
}

func inSet(name string) []byte {
	return expr("lookup", text(unix.NFTA_LOOKUP_SET, name), number(unix.NFTA_LOOKUP_SREG, unix.NFT_REG_1))
}

// Verdicts of netfilter.
const (
	drop   = 0
	accept = 1
)

func verdict(code uint32) []byte {
	return expr("immediate", number(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT),
		nested(unix.NFTA_IMMEDIATE_DATA, nested(unix.NFTA_DATA_VERDICT, number(unix.NFTA_VERDICT_CODE, code))))
}

func counter() []byte { return expr("counter") }

func rule(exprs ...[]byte) message {
	return nft(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND,
		text(unix.NFTA_RULE_TABLE, tableName), text(unix.NFTA_RULE_CHAIN, chainName),
		nested(unix.NFTA_RULE_EXPRESSIONS, exprs...))
}

// Types of keys as nft prints them.
const (
	typeIPv4 = 7
	typeIPv6 = 8
)

func addressSet(name string, id, kind, length uint32) message {
	return nft(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE,
		text(unix.NFTA_SET_TABLE, tableName), text(unix.NFTA_SET_NAME, name), number(unix.NFTA_SET_FLAGS, 0),
		number(unix.NFTA_SET_KEY_TYPE, kind), number(unix.NFTA_SET_KEY_LEN, length), number(unix.NFTA_SET_ID, id))
}

// perMessage bounds a list, whose length has 16 bits.
const perMessage = 1000

func elements(name string, id uint32, addrs []netip.Addr) (list []message) {
	for len(addrs) > 0 {
		n := min(len(addrs), perMessage)
		var elems [][]byte
		for _, a := range addrs[:n] {
			key := nested(unix.NFTA_SET_ELEM_KEY, attr(unix.NFTA_DATA_VALUE, a.AsSlice()))
			elems = append(elems, nested(unix.NFTA_LIST_ELEM, key))
		}
		addrs = addrs[n:]
		list = append(list, nft(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE,
			text(unix.NFTA_SET_ELEM_LIST_TABLE, tableName), text(unix.NFTA_SET_ELEM_LIST_SET, name),
			number(unix.NFTA_SET_ELEM_LIST_SET_ID, id), nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, elems...)))
	}
	return list
}

// emptied removes the table whether it is there or not.
func emptied() []message {
	name := text(unix.NFTA_TABLE_NAME, tableName)
	return []message{nft(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, name), nft(unix.NFT_MSG_DELTABLE, 0, name)}
}

// Offsets in the IP headers, and ICMPv6 numbers.
const (
	ipv4Destination = 16
	ipv6Destination = 24
	typeNS, typeNA  = 135, 136
)

// table returns the messages that make the table from nothing.
func table(addrs []netip.Addr) []message {
	var four, six []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	list := []message{
		nft(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, text(unix.NFTA_TABLE_NAME, tableName)),
		addressSet(set4Name, 1, typeIPv4, 4),
		addressSet(set6Name, 2, typeIPv6, 16),
	}
	list = append(list, elements(set4Name, 1, four)...)
	list = append(list, elements(set6Name, 2, six)...)
	list = append(list, nft(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE,
		text(unix.NFTA_CHAIN_TABLE, tableName), text(unix.NFTA_CHAIN_NAME, chainName),
		nested(unix.NFTA_CHAIN_HOOK, number(unix.NFTA_HOOK_HOOKNUM, unix.NF_INET_LOCAL_IN), number(unix.NFTA_HOOK_PRIORITY, priority)),
		number(unix.NFTA_CHAIN_POLICY, accept), text(unix.NFTA_CHAIN_TYPE, "filter")))
	family := func(f byte) []byte { return append(loadMeta(unix.NFT_META_NFPROTO), is(f)...) }
	list = append(list, rule(family(unix.NFPROTO_IPV4),
		loadPayload(unix.NFT_PAYLOAD_NETWORK_HEADER, ipv4Destination, 4), inSet(set4Name), counter(), verdict(drop)))
	for _, kind := range []byte{typeNS, typeNA} {
		list = append(list, rule(family(unix.NFPROTO_IPV6), loadMeta(unix.NFT_META_L4PROTO), is(unix.IPPROTO_ICMPV6),
			loadPayload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1), is(kind), verdict(accept)))
	}
	return append(list, rule(family(unix.NFPROTO_IPV6),
		loadPayload(unix.NFT_PAYLOAD_NETWORK_HEADER, ipv6Destination, 16), inSet(set6Name), counter(), verdict(drop)))
}
