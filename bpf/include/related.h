/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP and ICMPv6 errors about packets of our flows, in both directions. An error
 * about an answer comes to the virtual address and goes to the flow's server; one
 * about a packet that NAT has sent to a server comes to the client's address and
 * goes there in the service's name. What it quotes is translated as the packet
 * itself was, so that the receiver knows it again. An error changes no state and
 * keeps no flow alive.
 *
 * As IPVS does it, the sum of the quoted TCP or UDP is left alone: mostly the error
 * does not hold enough to check it. A router between the balancer and a DR
 * server answers the client directly, so nothing is to be done; one on the way of
 * an IPv4 tunnel answers us, and the client is told.
 */
#ifndef EK_RELATED_H
#define EK_RELATED_H

#include "forward.h"

/* An error quotes at least this much of the transport (RFC 792). */
#define QUOTED_TRANSPORT 8

struct quoted_ports {
	__be16 source;
	__be16 dest;
};

/* related is an ICMP error and what it quotes. */
struct related {
	struct packet *p; /* the error itself; it has no ports */
	struct icmphdr *icmp;
	struct iphdr *ip;    /* holds if not v6 */
	struct ipv6hdr *ip6; /* holds if v6 */
	struct quoted_ports *ports;
	__u8 proto;
};

/* related_parse4 finds what the error quotes, and returns 0 or the reason why the
 * kernel should look at it. The quoted packet may be a fragment, the first.
 */
static __always_inline __u32 related_parse4(struct related *r)
{
	struct packet *p = r->p;
	struct icmphdr *icmp = (void *)(p->ip + 1);
	struct iphdr *quoted = (void *)(icmp + 1);
	__u32 length;

	if ((void *)quoted > p->end)
		return REASON_ICMP_UNRELATED;
	if (icmp->type != ICMP_DEST_UNREACH && icmp->type != ICMP_SOURCE_QUENCH &&
	    icmp->type != ICMP_TIME_EXCEEDED)
		return REASON_OTHER_PROTOCOL;
	if ((void *)(quoted + 1) > p->end)
		return REASON_ICMP_UNRELATED;
	length = (quoted->ihl_version & 0x0f) * 4;
	if (quoted->ihl_version >> 4 != 4 || length < sizeof(*quoted) ||
	    quoted->frag_off & htons(IP_OFFSET) ||
	    p->len < p->header + sizeof(*icmp) + length + QUOTED_TRANSPORT)
		return REASON_ICMP_UNRELATED;
	length &= 63;
	__asm__ volatile("" : "+r"(length)); /* the mask belongs where the length is used */
	r->ports = (void *)quoted + length;
	if ((void *)(r->ports + 1) > p->end || quoted->saddr != p->ip->daddr)
		return REASON_ICMP_UNRELATED;
	r->icmp = icmp;
	r->ip = quoted;
	r->proto = quoted->protocol;
	return 0;
}

/* related_parse6 is the same for IPv6. Extension headers before the error itself
 * are left to the kernel.
 */
static __always_inline __u32 related_parse6(struct related *r)
{
	struct packet *p = r->p;
	struct icmphdr *icmp = (void *)(p->ip6 + 1);
	struct ipv6hdr *quoted = (void *)(icmp + 1);
	__u32 length;
	int found;

	if (p->header != sizeof(*p->ip6))
		return REASON_IP_OPTIONS;
	if ((void *)quoted > p->end)
		return REASON_ICMP_UNRELATED;
	if (icmp->type >= ICMPV6_INFORMATION)
		return REASON_OTHER_PROTOCOL;
	if ((void *)(quoted + 1) > p->end)
		return REASON_ICMP_UNRELATED;
	found = ipv6_skip(p->ctx, sizeof(struct ethhdr) + sizeof(*quoted) + sizeof(*icmp), true);
	if (found < 0 || quoted->version_class >> 4 != 6)
		return REASON_ICMP_UNRELATED;
	length = found & 0xffff;
	if (length > IPV6_EXT_BYTES ||
	    p->len < p->header + sizeof(*icmp) + length + QUOTED_TRANSPORT)
		return REASON_ICMP_UNRELATED;
	length &= 511;
	__asm__ volatile("" : "+r"(length)); /* the mask belongs where the length is used */
	r->ports = (void *)quoted + length;
	if ((void *)(r->ports + 1) > p->end || !addr6_equal(quoted->saddr, p->ip6->daddr))
		return REASON_ICMP_UNRELATED;
	r->icmp = icmp;
	r->ip6 = quoted;
	r->proto = found >> 16;
	return 0;
}

/* tuple_of_quoted_answer is the tuple of the flow if the error quotes an answer, as
 * the client gets it.
 */
static __always_inline void tuple_of_quoted_answer(const struct related *r, union tuple *t)
{
	if (r->p->v6) {
		t->v6 = (struct flow6_key){ .cport = r->ports->dest,
					    .vport = r->ports->source,
					    .proto = r->proto };
		addr6_copy(t->v6.caddr, r->ip6->daddr);
		addr6_copy(t->v6.vaddr, r->ip6->saddr);
	} else {
		t->v4 = (struct flow_key){ .caddr = r->ip->daddr,
					   .vaddr = r->ip->saddr,
					   .cport = r->ports->dest,
					   .vport = r->ports->source,
					   .proto = r->proto };
	}
}

/* tuple_of_quoted_request is the tuple of the flow if the error quotes what a NAT
 * server gets.
 */
static __always_inline bool tuple_of_quoted_request(const struct related *r, union tuple *t)
{
	union reply_tuple key;

	if (r->p->v6) {
		key.v6 = (struct reply6_key){ .sport = r->ports->dest,
					      .cport = r->ports->source,
					      .proto = r->proto };
		addr6_copy(key.v6.saddr, r->ip6->daddr);
		addr6_copy(key.v6.caddr, r->ip6->saddr);
	} else {
		key.v4 = (struct reply_key){ .saddr = r->ip->daddr,
					     .caddr = r->ip->saddr,
					     .sport = r->ports->dest,
					     .cport = r->ports->source,
					     .proto = r->proto };
	}
	return tuple_of_answered(&key, r->p->v6, t);
}

/* quoted_port replaces a quoted port; the error's own sum covers it. */
static __always_inline void quoted_port(struct related *r, __be16 *port, __be16 by)
{
	r->icmp->checksum = csum_apply(r->icmp->checksum, csum_diff2(*port, by));
	*port = by;
}

/* outer4 replaces an address of the error itself, quoted4 one of what it quotes.
 * The quoted header's sum takes up what the address adds, so the error's stays.
 */
static __always_inline void outer4(struct related *r, __be32 *addr, __be32 by)
{
	r->p->ip->check = csum_apply(r->p->ip->check, csum_diff4(*addr, by));
	*addr = by;
}

static __always_inline void quoted4(struct related *r, __be32 *addr, __be32 by)
{
	r->ip->check = csum_apply(r->ip->check, csum_diff4(*addr, by));
	*addr = by;
}

/* either6 replaces an address of the error itself or of what it quotes: the sum of
 * ICMPv6 covers both.
 */
static __always_inline void either6(struct related *r, __be32 *addr, const void *by)
{
	r->icmp->checksum = csum_apply(r->icmp->checksum, addr6_replace(addr, by));
}

static __always_inline void related_nat_to_server(struct related *r, const struct server *srv)
{
	if (r->p->v6) {
		either6(r, r->p->ip6->daddr, srv->addr);
		either6(r, r->ip6->saddr, srv->addr);
	} else {
		outer4(r, &r->p->ip->daddr, addr4_of(srv->addr));
		quoted4(r, &r->ip->saddr, addr4_of(srv->addr));
	}
	quoted_port(r, &r->ports->source, srv->port);
}

static __always_inline void related_nat_to_client(struct related *r, const union tuple *t)
{
	if (r->p->v6) {
		either6(r, r->p->ip6->saddr, t->v6.vaddr);
		either6(r, r->ip6->daddr, t->v6.vaddr);
	} else {
		outer4(r, &r->p->ip->saddr, t->v4.vaddr);
		quoted4(r, &r->ip->daddr, t->v4.vaddr);
	}
	quoted_port(r, &r->ports->dest, tuple_vport(t, r->p->v6));
}

/* related_to_server forwards the error by the flow's method. No error answers an
 * error, so one that cannot go on is dropped.
 */
static __always_inline int related_to_server(struct related *r, __u32 index,
					     const struct server *srv, __u8 method)
{
	__u32 added = method == FORWARD_TUN ? tunnel_added(index, srv) : 0;
	struct packet *p = r->p;

	if (srv->flags & SERVER_LOCAL)
		return pass(REASON_LOCAL_SERVER);
	if (!(srv->flags & SERVER_RESOLVED))
		return drop(REASON_NO_NEXT_HOP);
	if (packet_ttl(p) <= 1)
		return drop(REASON_TTL_EXCEEDED);
	if (srv->mtu && p->len + added > srv->mtu)
		return drop(REASON_TOO_BIG);
	if (method == FORWARD_NAT)
		related_nat_to_server(r, srv);
	if (method == FORWARD_TUN)
		return tunnel_send(p, index, srv, REASON_FORWARDED_ICMP);
	ttl_decrease(p);
	return leave(p, srv->ifindex, srv->vlan, srv->dmac, srv->smac, REASON_FORWARDED_ICMP);
}

static __always_inline int related_to_client(struct related *r, struct flow *flow,
					     union flow_word w, const union tuple *t, __u64 now)
{
	struct packet *p = r->p;
	struct link way = flow->reply;
	__u32 mtu = READ_ONCE(flow->reply_mtu);
	__u16 vlan = flow->reply_vlan;

	if (packet_ttl(p) <= 1)
		return drop(REASON_TTL_EXCEEDED);
	p->dport = r->ports->source; /* the client's, for the route of the flow's answers */
	if (!reply_known_way(flow, now))
		mtu = reply_route(p, flow, w, t, now, &way, &vlan);
	if (mtu && p->len > mtu)
		return drop(REASON_TOO_BIG);
	related_nat_to_client(r, t);
	ttl_decrease(p);
	return leave(p, way.ifindex, vlan, way.dmac, way.smac, REASON_FORWARDED_ICMP_REPLY);
}

/* related_flow returns the live flow of a tuple, or NULL. */
static __always_inline struct flow *related_flow(const union tuple *t, bool v6, __u64 now,
						 union flow_word *w)
{
	void *shard = flow_shard(t, v6);
	struct flow *flow;

	if (!shard)
		return NULL;
	flow = bpf_map_lookup_elem(shard, t);
	if (!flow)
		return NULL;
	w->word = READ_ONCE(flow->now.word);
	return flow_live(flow, t, v6, *w, now) ? flow : NULL;
}

/* tunnel_note is what the client is told of an error about the tunnel: the same, and of
 * an MTU what is left of it inside.
 */
static __always_inline struct icmp_note tunnel_note(const struct related *r, __u32 between)
{
	struct icmp_note note = { .type = r->icmp->type, .code = r->icmp->code };
	__u32 mtu = ntohl(r->icmp->rest) & 0xffff;

	note.rest = r->icmp->rest;
	if (note.type == ICMP_DEST_UNREACH && note.code == ICMP_FRAG_NEEDED) {
		if (mtu > IPV4_MIN_MTU + sizeof(struct iphdr) + between)
			mtu -= sizeof(struct iphdr) + between;
		note.rest = htonl(mtu);
	}
	return note;
}

/* quoted_between is how much lies between a quoted outer header and the client's packet
 * in it, 255 if this is no tunnel of ours.
 */
static __always_inline __u32 quoted_between(const struct related *r)
{
	const __be32 *word = (void *)r->ports;

	if (r->proto == IPPROTO_IPIP)
		return 0;
	if (r->proto == IPPROTO_GRE && word[0] == htonl(ETH_P_IP))
		return GRE_ADDED;
	if (r->proto == IPPROTO_UDP && (void *)(word + 3) <= r->p->end &&
	    word[2] == htonl(IPPROTO_IPIP << 16))
		return GUE_ADDED;
	return 255;
}

/* related_of_tunnel answers the client in the name of the service, when a router
 * could not forward the tunnel's packet and quotes enough of it: the outer headers and
 * eight bytes of the client's transport. The client that lets its packets be
 * fragmented does not ask for an MTU.
 */
static __always_inline int related_of_tunnel(struct related *r, __u64 now)
{
	__u32 between = quoted_between(r), outer;
	struct iphdr *inner;
	struct icmp_note note = tunnel_note(r, between);
	struct xdp_md *ctx = r->p->ctx;
	struct packet quoted = { .ctx = ctx, .port = r->p->port, .v6 = false };
	struct flow *flow;
	struct ethhdr *eth;
	union flow_word w;
	union tuple t;
	__u32 ifindex;
	__u16 vlan;
	int verdict;

	if (between > GUE_ADDED)
		return pass(REASON_ICMP_UNRELATED);
	outer = sizeof(struct iphdr) * 2 + sizeof(struct icmphdr) + between;
	between &= 15;
	__asm__ volatile("" : "+r"(between)); /* the mask belongs where the length is used */
	inner = (void *)r->ports + between;
	__asm__ volatile("" : "+r"(inner));
	if (r->ip->ihl_version != 0x45 || (void *)inner + ICMP_QUOTE > r->p->end ||
	    r->p->len < outer + ICMP_QUOTE || inner->ihl_version != 0x45 ||
	    inner->frag_off & htons(IP_OFFSET))
		return pass(REASON_ICMP_UNRELATED);
	t.v4 = (struct flow_key){ .caddr = inner->saddr,
				  .vaddr = inner->daddr,
				  .cport = *(__be16 *)(inner + 1),
				  .vport = *((__be16 *)(inner + 1) + 1),
				  .proto = inner->protocol };
	flow = related_flow(&t, false, now, &w);
	if (!flow || !(w.flags & FLOW_TUN))
		return pass(REASON_ICMP_UNRELATED);
	if (note.type == ICMP_DEST_UNREACH && note.code == ICMP_FRAG_NEEDED &&
	    !(inner->frag_off & htons(IP_DF)))
		return drop(REASON_TOO_BIG);
	quoted.len = r->p->len - outer;
	if (bpf_xdp_adjust_head(ctx, outer))
		return drop(REASON_INTERNAL);
	eth = (void *)(long)ctx->data;
	quoted.end = (void *)(long)ctx->data_end;
	if ((void *)(eth + 1) > quoted.end)
		return drop(REASON_INTERNAL);
	/* As if the client's frame had just come. */
	quoted.eth = eth;
	quoted.ip = (void *)(eth + 1);
	mac_copy(eth->h_source, flow->request.dmac);
	mac_copy(eth->h_dest, flow->request.smac);
	ifindex = flow->request.ifindex;
	vlan = flow->request_vlan;
	verdict = icmp4_error(&quoted, note, REASON_FORWARDED_ICMP_REPLY, REASON_INTERNAL);
	return verdict == XDP_DROP ? verdict : send_by(r->p, ifindex, vlan);
}

/* related_forward handles an ICMP or ICMPv6 packet. A server that was removed still
 * gets the errors about its flows, which are not counted to it.
 */
static __always_inline int related_forward(struct packet *p)
{
	struct related r = { .p = p };
	__u32 reason = p->v6 ? related_parse6(&r) : related_parse4(&r);
	__u64 now = clock_now();
	struct server *srv;
	union flow_word w;
	struct flow *flow;
	union tuple t;
	__u32 index;
	bool answer;

	if (reason)
		return pass(reason);
	tuple_of_quoted_answer(&r, &t);
	flow = related_flow(&t, p->v6, now, &w);
	answer = flow;
	if (!flow && tuple_of_quoted_request(&r, &t))
		flow = related_flow(&t, p->v6, now, &w);
	if (!flow)
		return p->v6 ? pass(REASON_ICMP_UNRELATED) : related_of_tunnel(&r, now);
	index = w.server;
	srv = bpf_map_lookup_elem(&ek_servers, &index);
	if (!srv)
		return drop(REASON_INTERNAL);
	explain_service(srv->service);
	explain_server(index);
	if (answer) {
		if (!(srv->flags & SERVER_DELETED))
			stats_in(index, &srv->service, p->len, 0);
		return related_to_server(&r, index, srv, flow_method(w));
	}
	if (!(srv->flags & SERVER_DELETED))
		stats_out(index, &srv->service, p->len);
	return related_to_client(&r, flow, w, &t, now);
}

#endif
