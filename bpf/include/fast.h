/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast way: plain packets of flows that are established, by the flow's copy
 * (hot.h). It decides nothing that the way of all packets would decide otherwise, and
 * leaves that way each packet that is not plain: whatever changes a flow, has no copy, or
 * ends in an answer.
 */
#ifndef EK_FAST_H
#define EK_FAST_H

#include "foreign.h"
#include "forward.h"

#if !DRY

/* fast_length is a length from a header. 6.1 follows no bound through the change of byte
 * order, so one is put after it.
 */
static __always_inline __u32 fast_length(__be16 length)
{
	__u32 bytes = ntohs(length);

	__asm__ volatile("" : "+r"(bytes));
	return bytes & 0xffff;
}

/* fast_network reads the headers of IP; false if they are not plain. */
static __always_inline bool fast_network(struct packet *p)
{
	if (p->v6) {
		p->ip6 = (void *)(p->eth + 1);
		if ((void *)(p->ip6 + 1) > p->end || p->ip6->version_class >> 4 != 6)
			return false;
		p->header = sizeof(*p->ip6);
		p->len = fast_length(p->ip6->payload_len) + sizeof(*p->ip6);
		p->proto = p->ip6->nexthdr;
		return (void *)p->ip6 + p->len <= p->end;
	}
	p->ip = (void *)(p->eth + 1);
	if ((void *)(p->ip + 1) > p->end || p->ip->ihl_version != 0x45 ||
	    p->ip->frag_off & htons(IP_MF | IP_OFFSET))
		return false;
	p->header = sizeof(*p->ip);
	p->len = fast_length(p->ip->tot_len);
	p->proto = p->ip->protocol;
	return p->len >= sizeof(*p->ip) && (void *)p->ip + p->len <= p->end;
}

/* fast_parse fills p; false if the packet is not plain or may change its flow. */
static __always_inline bool fast_parse(struct xdp_md *ctx, __u32 in, struct packet *p)
{
	p->ctx = ctx;
	if (parse_ethernet(p, in) || !fast_network(p))
		return false;
	if (p->proto == IPPROTO_TCP)
		return !parse_tcp(p) &&
		       (p->event & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK;
	return p->proto == IPPROTO_UDP && !parse_udp(p);
}

/* fast_forward sends a packet of the flow with this copy to its server. A server that is
 * deleted or has no next hop keeps no flow in use. A copy that is of no use is bad luck.
 */
static __always_inline int fast_forward(struct packet *p, struct hot_head *head, union hot_word w,
					struct hot_luck *luck)
{
	__u32 index = w.server;
	const struct server *srv = bpf_map_lookup_elem(&ek_servers, &index);

	if (!srv || srv->flags != SERVER_RESOLVED)
		return LATER_BALANCE;
	if (!hot_use(head, w)) {
		hot_count(luck, false);
		return LATER_BALANCE;
	}
	hot_count(luck, true);
	stats_in(index, srv->service, p->len, 0);
	return to_server(p, index, srv, w.kind - HOT_FULL);
}

static __always_inline int fast_balance(struct xdp_md *ctx, __u32 in, struct packet *p)
{
	struct hot_luck *luck = hot_luck_here();
	struct hot_head *head;
	union hot_word w = {};
	union tuple t;

	if (!hot_worth(luck) || !fast_parse(ctx, in, p))
		return LATER_BALANCE;
	if (foreign(p))
		return pass(REASON_NO_SERVICE);
	tuple_of_request(p, &t);
	head = hot_find(&t, p->v6, &w);
	if (head)
		return fast_forward(p, head, w, luck);
	hot_count(luck, false);
	return LATER_BALANCE;
}

__noinline int fast_ipv4(struct xdp_md *ctx, __u32 in)
{
	struct packet p = { .v6 = false };

	return fast_balance(ctx, in, &p);
}

__noinline int fast_ipv6(struct xdp_md *ctx, __u32 in)
{
	struct packet p = { .v6 = true };

	return fast_balance(ctx, in, &p);
}

#else

#define fast_ipv4(ctx, in) LATER_BALANCE
#define fast_ipv6(ctx, in) LATER_BALANCE

#endif

#endif
