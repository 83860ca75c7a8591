/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TUN: the client's packet as it came, inside an IP packet to the server, in any pair
 * of families: IPIP, or with a header of GRE (RFC 2784) or of GUE between, whose UDP
 * has no checksum.
 */
#ifndef EK_TUNNEL_H
#define EK_TUNNEL_H

#include "maps.h"
#include "parse.h"

/* GUE's header, behind that of UDP, is one word: zero but for the protocol. */
#define GUE_ADDED ((__u32)(sizeof(struct udphdr) + 4))
#define GRE_ADDED 4

/* Source ports of GUE, by the flow, so that receivers and links can spread flows. */
#define GUE_PORT_BASE 0xc000
#define GUE_PORT_BITS 14

/* tunnel_between is how much lies between the outer header and the packet. */
static __always_inline __u32 tunnel_between(const struct tunnel *t)
{
	if (t->type == TUNNEL_GUE)
		return GUE_ADDED;
	return t->type == TUNNEL_GRE ? GRE_ADDED : 0;
}

/* tunnel_added is how much longer a packet to this server gets. */
static __always_inline __u32 tunnel_added(__u32 index, const struct server *srv)
{
	const struct tunnel *t = bpf_map_lookup_elem(&ek_tunnels, &index);
	__u32 outer = addr_is_v4(srv->addr) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);

	return t ? outer + tunnel_between(t) : outer;
}

/* tunnel_inner is what the outer header takes from the packet: its class, with
 * congestion that was met on the way before turned into "capable" (RFC 3168, full
 * functionality), its time to live, and whether it may be fragmented.
 */
struct tunnel_inner {
	__u32 len;
	__be16 df;
	__be16 id;
	__u8 class;
	__u8 ttl;
	__u8 proto;
	__u16 flow; /* a hash of the packet's flow, of GUE_PORT_BITS */
};

/* tunnel_flow_hash spreads the flows of clients: by address and, in the first word behind the
 * IP header, ports.
 */
static __always_inline __u16 tunnel_flow_hash(const struct packet *p, __be32 client)
{
	__be32 *ports = transport(p);
	__u32 mix = ntohl(client);

	if ((void *)(ports + 1) <= p->end)
		mix ^= ntohl(*ports);
	return (mix * 0x9e3779b1U) >> (32 - GUE_PORT_BITS); /* Knuth's multiplier */
}

static __always_inline struct tunnel_inner tunnel_inner_of(const struct packet *p)
{
	struct tunnel_inner inner = { .len = p->len, .ttl = packet_ttl(p) };

	if (p->v6) {
		inner.class = (__u8)(p->ip6->version_class << 4) | p->ip6->class_label >> 4;
		inner.proto = IPPROTO_IPV6;
		inner.flow = tunnel_flow_hash(p, addr6_mix(p->ip6->saddr));
	} else {
		inner.class = p->ip->tos;
		inner.df = p->ip->frag_off & htons(IP_DF);
		inner.id = inner.df ? 0 : p->ip->id;
		inner.proto = IPPROTO_IPIP;
		inner.flow = tunnel_flow_hash(p, p->ip->saddr);
	}
	if ((inner.class & 3) == 3)
		inner.class &= ~1;
	return inner;
}

/* tunnel_proto is what the outer header says of its payload. */
static __always_inline __u8 tunnel_proto(const struct tunnel_inner *inner, const struct tunnel *t)
{
	if (t->type == TUNNEL_GUE)
		return IPPROTO_UDP;
	return t->type == TUNNEL_GRE ? IPPROTO_GRE : inner->proto;
}

/* tunnel_fill_between writes the header behind the outer one. */
static __always_inline void tunnel_fill_between(void *at, const struct tunnel_inner *inner,
						const struct tunnel *t)
{
	struct udphdr *udp = at;

	if (t->type == TUNNEL_GUE) {
		udp->source = htons(GUE_PORT_BASE + inner->flow);
		udp->dest = t->port;
		udp->len = htons((__u16)(inner->len + GUE_ADDED));
		udp->check = 0;
		*(__be32 *)(udp + 1) = htonl((__u32)inner->proto << 16);
	} else if (t->type == TUNNEL_GRE) {
		*(__be32 *)at = htonl(inner->proto == IPPROTO_IPV6 ? ETH_P_IPV6 : ETH_P_IP);
	}
}

static __always_inline void tunnel_fill4(struct iphdr *ip, const struct tunnel_inner *inner,
					 const struct tunnel *t, const struct server *srv)
{
	ip->ihl_version = 0x45;
	ip->tos = inner->class;
	ip->tot_len = htons((__u16)(inner->len + tunnel_between(t) + sizeof(*ip)));
	ip->id = inner->id;
	ip->frag_off = inner->df;
	ip->ttl = inner->ttl;
	ip->protocol = tunnel_proto(inner, t);
	ip->check = 0;
	ip->saddr = addr4_of(t->saddr);
	ip->daddr = addr4_of(srv->addr);
	ip->check = csum_fold(csum_add((__u16 *)ip, sizeof(*ip) / 2));
}

/* tunnel_wrap_plain is tunnel_wrap for an IPv4 packet and a tunnel that is plain (struct server). It
 * writes the same header, in whole words, from the packet's own, which has no options. ttl is that of
 * the packet by now.
 */
static __always_inline bool tunnel_wrap_plain(struct packet *p, const struct server *srv, __u32 ttl)
{
	__be32 *outer, *inner, word;
	struct ethhdr *eth;
	__u64 sum;

	if (bpf_xdp_adjust_head(p->ctx, -(int)sizeof(struct iphdr)))
		return false;
	eth = (void *)(long)p->ctx->data;
	outer = (void *)(eth + 1);
	inner = outer + sizeof(struct iphdr) / 4;
	if ((void *)(inner + 2) > (void *)(long)p->ctx->data_end)
		return false;
	word = ntohl(inner[0]); /* version, class and length */
	if (unlikely((word & 0x30000) == 0x30000))
		word -= 0x10000;
	word = htonl(word + sizeof(struct iphdr));
	outer[0] = word;
	sum = word;
	word = READ_ONCE(inner[1]) & htonl(IP_DF);
	if (!word) /* it may be fragmented, so it keeps its identification */
		word = READ_ONCE(inner[1]) & htonl(0xffff0000);
	outer[1] = word;
	sum += word;
	word = join1(ttl, IPPROTO_IPIP);
	((__u16 *)outer)[4] = word;
	sum += word;
	outer[3] = srv->outer;
	sum += srv->outer;
	outer[4] = addr4_of(srv->addr);
	sum += addr4_of(srv->addr);
	((__u16 *)outer)[5] = csum_fold(sum);
	*(__be16 *)((void *)eth + 2 * ETH_ALEN) = htons(ETH_P_IP);
	p->eth = eth;
	return true;
}

static __always_inline void tunnel_fill6(struct ipv6hdr *ip6, const struct tunnel_inner *inner,
					 const struct tunnel *t, const struct server *srv)
{
	ip6->version_class = 0x60 | inner->class >> 4;
	ip6->class_label = (__u8)(inner->class << 4);
	ip6->label = 0;
	ip6->payload_len = htons((__u16)(inner->len + tunnel_between(t)));
	ip6->nexthdr = tunnel_proto(inner, t);
	ip6->hop_limit = inner->ttl;
	addr6_copy(ip6->saddr, t->saddr);
	addr6_copy(ip6->daddr, srv->addr);
}

/* tunnel_wrap puts the packet into an outer one; false if there is no room. Of p
 * only the frame's header is to be used afterwards.
 */
static __always_inline bool tunnel_wrap(struct packet *p, const struct tunnel *t,
					const struct server *srv)
{
	struct tunnel_inner inner = tunnel_inner_of(p);
	int between = (int)tunnel_between(t);
	bool v4 = addr_is_v4(srv->addr);
	struct xdp_md *ctx = p->ctx;
	struct ethhdr *eth;

	if (v4) {
		if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr) - between))
			return false;
		eth = (void *)(long)ctx->data;
		if ((void *)(eth + 1) + sizeof(struct iphdr) + GUE_ADDED >
		    (void *)(long)ctx->data_end)
			return false;
		tunnel_fill4((void *)(eth + 1), &inner, t, srv);
		tunnel_fill_between((void *)(eth + 1) + sizeof(struct iphdr), &inner, t);
		eth->h_proto = htons(ETH_P_IP);
	} else {
		if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct ipv6hdr) - between))
			return false;
		eth = (void *)(long)ctx->data;
		if ((void *)(eth + 1) + sizeof(struct ipv6hdr) + GUE_ADDED >
		    (void *)(long)ctx->data_end)
			return false;
		tunnel_fill6((void *)(eth + 1), &inner, t, srv);
		tunnel_fill_between((void *)(eth + 1) + sizeof(struct ipv6hdr), &inner, t);
		eth->h_proto = htons(ETH_P_IPV6);
	}
	p->eth = eth;
	return true;
}

#endif
