/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Code generated from bpf/reasons/reasons.json; DO NOT EDIT. */
#ifndef EK_REASONS_H
#define EK_REASONS_H

enum reason {
	REASON_NOT_IP = 1, /* pass: neither IPv4 nor IPv6, such as ARP */
	REASON_IPV6 = 2, /* pass: not counted any more: IPv6, before the program balanced it */
	REASON_VLAN_TAG = 3, /* pass: frame with the tag of a VLAN that no VLAN device here is of */
	REASON_NOT_OUR_MAC = 4, /* pass: frame of what may be ours, addressed to another machine, or broadcast */
	REASON_TRUNCATED = 5, /* pass: frame shorter than its headers say */
	REASON_BAD_HEADER = 6, /* pass: header length or version that cannot be */
	REASON_FRAGMENT = 7, /* pass: IP fragment, which only the kernel can put together */
	REASON_IP_OPTIONS = 8, /* pass: IPv4 header with options, or an IPv6 extension header that the program does not read */
	REASON_OTHER_PROTOCOL = 9, /* pass: neither TCP, UDP nor SCTP, nor an ICMP or ICMPv6 error */
	REASON_NO_SERVICE = 10, /* pass: no virtual service has this address, port and protocol, whatever else may be wrong with the packet */
	REASON_NO_FLOW = 11, /* pass: TCP segment or SCTP packet to a service that neither opens a connection nor belongs to one */
	REASON_SOURCE_PORT_20 = 12, /* pass: client port 20, which IPVS never schedules */
	REASON_LOCAL_SERVER = 13, /* pass: the server is this machine, whose own program answers */
	REASON_ICMP_UNRELATED = 14, /* pass: ICMP or ICMPv6 error that quotes no packet of a flow, or too little of it */
	REASON_DOUBLE_TAG = 15, /* pass: frame with two VLAN tags, or with one of 802.1ad */
	REASON_NO_SERVER = 20, /* drop: no server of the service can take a new flow */
	REASON_SERVER_DELETED = 21, /* drop: the server of this flow was removed from the service */
	REASON_NO_NEXT_HOP = 22, /* drop: the next hop to the server is not resolved */
	REASON_TTL_EXCEEDED = 23, /* drop: time to live, or hop limit, is used up */
	REASON_FLOW_TABLE_FULL = 24, /* drop: the flow table has no room for a new flow */
	REASON_FLOW_BUSY = 25, /* drop: another CPU was changing the same flow; the sender tries again */
	REASON_CURSOR_BUSY = 26, /* drop: too many CPUs scheduled for the service at once; the sender tries again */
	REASON_TOO_BIG = 27, /* drop: packet larger than the MTU on its way out, and no ICMP error could be sent */
	REASON_INTERNAL = 28, /* drop: a map entry that must exist was not found */
	REASON_UNSUPPORTED = 29, /* drop: not counted any more: a forwarding method that the program did not have */
	REASON_TEMPLATES_FULL = 30, /* drop: the table of persistence templates has no room for a new client */
	REASON_RATE_LIMITED = 31, /* drop: the service has taken as many new flows as its new_flow_rate allows */
	REASON_PORT_UNREACHABLE = 40, /* answer: answered with ICMP or ICMPv6 port unreachable: no server of the service can take a new flow */
	REASON_TIME_EXCEEDED = 41, /* answer: answered with ICMP or ICMPv6 time exceeded */
	REASON_FRAG_NEEDED = 42, /* answer: answered with ICMP fragmentation needed or ICMPv6 packet too big */
	REASON_FORWARDED_DR = 50, /* forward: forwarded to the server by DR */
	REASON_FORWARDED_NAT = 51, /* forward: forwarded to the server by NAT */
	REASON_FORWARDED_REPLY = 52, /* forward: reply of a NAT server forwarded to the client */
	REASON_FORWARDED_TUN = 53, /* forward: forwarded to the server by TUN */
	REASON_FORWARDED_ICMP = 54, /* forward: ICMP or ICMPv6 error about a flow forwarded to its server */
	REASON_FORWARDED_ICMP_REPLY = 55, /* forward: ICMP or ICMPv6 error from a server's side forwarded to the client, in the service's name */
};

#endif
