/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the headers tell of a packet before it takes any way: that it is nobody's of ours, or
 * that it is plain, as those of flows that are established are. All others take the way of
 * all packets, which looks at them from the beginning.
 */
#ifndef EK_AHEAD_H
#define EK_AHEAD_H

#include "foreign.h"

/* ahead_whole says whether a frame has room for IPv4 without options and the ports behind it. */
static __always_inline bool ahead_whole(const struct ethhdr *eth, const void *end)
{
	const struct iphdr *ip = (const void *)(eth + 1);

	return (const void *)(ip + 1) + sizeof(struct udphdr) <= end;
}

#if !DRY

enum ahead {
	AHEAD_ANY,
	AHEAD_FOREIGN,
	AHEAD_PLAIN, /* TCP that acknowledges and nothing else, or UDP: no fragment, no options */
	AHEAD_PLAIN_ANSWER, /* the same, to nobody of ours, but from one */
};

/* ahead_plain says whether a packet is a plain one of TCP or UDP. */
static __always_inline bool ahead_plain(const struct udphdr *udp, __u8 proto, const void *end)
{
	const struct tcphdr *tcp = (const void *)udp;

	if (proto == IPPROTO_UDP)
		return true;
	return (const void *)(tcp + 1) <= end &&
	       (tcp->flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK;
}

/* ahead_ends says what the ends of a packet of TCP or UDP make of it. */
static __always_inline enum ahead ahead_ends(const __be32 *from, const __be32 *to,
					     const struct udphdr *udp, __u8 proto, const void *end,
					     bool v6)
{
	const struct known *known = known_ends();

	if (!known)
		return AHEAD_ANY;
	if (end_known(known, v6 ? addr6_mix(to) : *to, udp->dest))
		return ahead_plain(udp, proto, end) ? AHEAD_PLAIN : AHEAD_ANY;
	if (end_known(known, v6 ? addr6_mix(from) : *from, udp->source))
		return ahead_plain(udp, proto, end) ? AHEAD_PLAIN_ANSWER : AHEAD_ANY;
	return AHEAD_FOREIGN;
}

static __always_inline enum ahead ahead_ipv4(const struct ethhdr *eth, const void *end)
{
	const struct iphdr *ip = (const void *)(eth + 1);
	const struct udphdr *udp = (const void *)(ip + 1);

	if (!ahead_whole(eth, end) || ip->ihl_version != 0x45 ||
	    ip->frag_off & htons(IP_MF | IP_OFFSET))
		return AHEAD_ANY;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return AHEAD_ANY;
	return ahead_ends(&ip->saddr, &ip->daddr, udp, ip->protocol, end, false);
}

static __always_inline enum ahead ahead_ipv6(const struct ethhdr *eth, const void *end)
{
	const struct ipv6hdr *ip6 = (const void *)(eth + 1);
	const struct udphdr *udp = (const void *)(ip6 + 1);

	if ((const void *)(udp + 1) > end || ip6->version_class >> 4 != 6)
		return AHEAD_ANY;
	if (ip6->nexthdr != IPPROTO_TCP && ip6->nexthdr != IPPROTO_UDP)
		return AHEAD_ANY;
	return ahead_ends(ip6->saddr, ip6->daddr, udp, ip6->nexthdr, end, true);
}

/* ahead_looked says whether a packet that was read has been looked at here. */
static __always_inline bool ahead_looked(const struct packet *p)
{
	return !proto_is(p, IPPROTO_SCTP) && (!p->v6 || p->header == sizeof(struct ipv6hdr));
}

#else

#define ahead_looked(p) true

#endif

#endif
