/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the frame to the fields that decide. */
#ifndef EK_PARSE_H
#define EK_PARSE_H

#include "maps.h"

/* packet points into the frame. The fixed headers of IP and of TCP or UDP lie
 * inside the frame, and so does all that the lengths in them promise.
 */
struct packet {
	struct xdp_md *ctx;
	void *end;
	struct ethhdr *eth;
	struct iphdr *ip;
	struct tcphdr *tcp; /* holds if is_tcp: the verifier takes no packet pointer for non-zero */
	struct udphdr *udp; /* holds if not */
	__u32 len;	    /* IP total length */
	__be16 sport;
	__be16 dport;
	__u8 tcp_flags;
	__u64 is_tcp; /* a whole word: the verifier forgets the value of a byte on the stack */
};

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	const __u16 *x = (const __u16 *)a, *y = (const __u16 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	__u16 *x = (__u16 *)to;
	const __u16 *y = (const __u16 *)from;

	x[0] = y[0];
	x[1] = y[1];
	x[2] = y[2];
}

/* port_accepts says whether a frame is addressed to the interface it came in
 * by. Without the test two balancers on a flooding switch would forward each
 * other's frames.
 */
static __always_inline bool port_accepts(const struct packet *p)
{
	__u32 index = p->ctx->ingress_ifindex;
	struct port *port = bpf_map_lookup_elem(&ek_ports, &index);

	return port && port->enabled && mac_equal(port->mac, p->eth->h_dest);
}

static __always_inline __u32 parse_ethernet(struct packet *p)
{
	struct ethhdr *eth = (void *)(long)p->ctx->data;

	p->end = (void *)(long)p->ctx->data_end;
	p->eth = eth;
	if ((void *)(eth + 1) > p->end)
		return REASON_TRUNCATED;
	if (likely(eth->h_proto == htons(ETH_P_IP)))
		return port_accepts(p) ? 0 : REASON_NOT_OUR_MAC;
	if (eth->h_proto == htons(ETH_P_IPV6))
		return REASON_IPV6;
	if (eth->h_proto == htons(ETH_P_8021Q) || eth->h_proto == htons(ETH_P_8021AD))
		return REASON_VLAN_TAG;
	return REASON_NOT_IP;
}

/* parse_ipv4 leaves the header checksum alone, as forwarding hardware does: an
 * incremental change keeps a wrong sum wrong, and the server drops it.
 */
static __always_inline __u32 parse_ipv4(struct packet *p)
{
	struct iphdr *ip = (void *)(p->eth + 1);
	__u32 words;

	p->ip = ip;
	if ((void *)(ip + 1) > p->end)
		return REASON_TRUNCATED;
	words = ip->ihl_version & 0x0f;
	p->len = ntohs(ip->tot_len);
	if (ip->ihl_version >> 4 != 4 || words < 5 || p->len < words * 4)
		return REASON_BAD_HEADER;
	if ((void *)ip + p->len > p->end)
		return REASON_TRUNCATED;
	if (ip->frag_off & htons(IP_MF | IP_OFFSET))
		return REASON_FRAGMENT;
	if (words > 5)
		return REASON_IP_OPTIONS;
	return 0;
}

static __always_inline __u32 parse_tcp(struct packet *p)
{
	struct tcphdr *tcp = (void *)(p->ip + 1);
	__u32 payload = p->len - sizeof(*p->ip);

	if (payload < sizeof(*tcp))
		return REASON_BAD_HEADER;
	if ((void *)(tcp + 1) > p->end)
		return REASON_TRUNCATED;
	if ((tcp->doff >> 4) < 5 || (__u32)(tcp->doff >> 4) * 4 > payload)
		return REASON_BAD_HEADER;
	p->tcp = tcp;
	p->is_tcp = true;
	p->sport = tcp->source;
	p->dport = tcp->dest;
	p->tcp_flags = tcp->flags;
	return 0;
}

static __always_inline __u32 parse_udp(struct packet *p)
{
	struct udphdr *udp = (void *)(p->ip + 1);
	__u32 payload = p->len - sizeof(*p->ip);

	if (payload < sizeof(*udp))
		return REASON_BAD_HEADER;
	if ((void *)(udp + 1) > p->end)
		return REASON_TRUNCATED;
	if (ntohs(udp->len) < sizeof(*udp) || ntohs(udp->len) > payload)
		return REASON_BAD_HEADER;
	p->udp = udp;
	p->is_tcp = false;
	p->sport = udp->source;
	p->dport = udp->dest;
	return 0;
}

/* packet_parse fills p and returns 0, or the reason why the kernel should
 * look at the frame.
 */
static __always_inline __u32 packet_parse(struct xdp_md *ctx, struct packet *p)
{
	__u32 reason;

	p->ctx = ctx;
	reason = parse_ethernet(p);
	if (reason)
		return reason;
	reason = parse_ipv4(p);
	if (reason)
		return reason;
	if (p->ip->protocol == IPPROTO_TCP)
		return parse_tcp(p);
	if (p->ip->protocol == IPPROTO_UDP)
		return parse_udp(p);
	return REASON_OTHER_PROTOCOL;
}

#endif
