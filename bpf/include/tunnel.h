/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TUN: the client's packet as it came, inside an IP packet to the server (IPIP), in
 * any pair of families.
 */
#ifndef EK_TUNNEL_H
#define EK_TUNNEL_H

#include "parse.h"

/* tunnel_added is how much longer a packet to this server gets. */
static __always_inline __u32 tunnel_added(const struct server *srv)
{
	return addr_is_v4(srv->addr) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
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
};

static __always_inline struct tunnel_inner tunnel_inner_of(const struct packet *p)
{
	struct tunnel_inner inner = { .len = p->len, .ttl = packet_ttl(p) };

	if (p->v6) {
		inner.class = (__u8)(p->ip6->version_class << 4) | p->ip6->class_label >> 4;
		inner.proto = IPPROTO_IPV6;
	} else {
		inner.class = p->ip->tos;
		inner.df = p->ip->frag_off & htons(IP_DF);
		inner.id = inner.df ? 0 : p->ip->id;
		inner.proto = IPPROTO_IPIP;
	}
	if ((inner.class & 3) == 3)
		inner.class &= ~1;
	return inner;
}

static __always_inline void tunnel_fill4(struct iphdr *ip, const struct tunnel_inner *inner,
					 const struct tunnel *t, const struct server *srv)
{
	ip->ihl_version = 0x45;
	ip->tos = inner->class;
	ip->tot_len = htons((__u16)(inner->len + sizeof(*ip)));
	ip->id = inner->id;
	ip->frag_off = inner->df;
	ip->ttl = inner->ttl;
	ip->protocol = inner->proto;
	ip->check = 0;
	ip->saddr = addr4_of(t->saddr);
	ip->daddr = addr4_of(srv->addr);
	ip->check = csum_fold(csum_add((__u16 *)ip, sizeof(*ip) / 2));
}

static __always_inline void tunnel_fill6(struct ipv6hdr *ip6, const struct tunnel_inner *inner,
					 const struct tunnel *t, const struct server *srv)
{
	ip6->version_class = 0x60 | inner->class >> 4;
	ip6->class_label = (__u8)(inner->class << 4);
	ip6->label = 0;
	ip6->payload_len = htons((__u16)inner->len);
	ip6->nexthdr = inner->proto;
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
	bool v4 = addr_is_v4(srv->addr);
	struct xdp_md *ctx = p->ctx;
	struct ethhdr *eth;

	if (v4) {
		if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr)))
			return false;
		eth = (void *)(long)ctx->data;
		if ((void *)(eth + 1) + sizeof(struct iphdr) > (void *)(long)ctx->data_end)
			return false;
		tunnel_fill4((void *)(eth + 1), &inner, t, srv);
		eth->h_proto = htons(ETH_P_IP);
	} else {
		if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct ipv6hdr)))
			return false;
		eth = (void *)(long)ctx->data;
		if ((void *)(eth + 1) + sizeof(struct ipv6hdr) > (void *)(long)ctx->data_end)
			return false;
		tunnel_fill6((void *)(eth + 1), &inner, t, srv);
		eth->h_proto = htons(ETH_P_IPV6);
	}
	p->eth = eth;
	return true;
}

#endif
