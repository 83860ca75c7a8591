/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP and ICMPv6 errors to the sender, from the virtual address (RFC 792, RFC
 * 4443).
 */
#ifndef EK_ICMP_H
#define EK_ICMP_H

#include "clock.h"
#include "later.h"
#include "stats.h"
#include "tuple.h"
#include "vlan.h"

/* The error quotes the IPv4 header and eight bytes more. */
#define ICMP_QUOTE (sizeof(struct iphdr) + 8)
#define ICMP_ADDED ((int)(sizeof(struct iphdr) + sizeof(struct icmphdr)))

/* An ICMPv6 error quotes as much as fits into the smallest MTU. */
#define ICMP6_ADDED ((int)(sizeof(struct ipv6hdr) + sizeof(struct icmphdr)))
#define ICMP6_QUOTE (1280 - ICMP6_ADDED)

/* icmp_allowed spends one of the errors that this CPU may send in a second. */
static __always_inline bool icmp_allowed(void)
{
	struct settings *settings = bpf_map_lookup_elem(&ek_settings, &only);
	struct icmp_budget *budget = bpf_map_lookup_elem(&ek_icmp_budget, &only);
	__u64 second = clock_now() / SECOND;

	if (!settings || !budget)
		return false;
	if (DRY)
		return budget->second != second ? settings->icmp_per_second
						: budget->sent < settings->icmp_per_second;
	if (budget->second != second) {
		budget->second = second;
		budget->sent = 0;
	}
	if (budget->sent >= settings->icmp_per_second)
		return false;
	budget->sent++;
	return true;
}

/* icmp_note is what an error says. rest is the second word of its header; from is
 * the address that it comes from, NULL for the one that the packet was for.
 */
struct icmp_note {
	__u8 type;
	__u8 code;
	__be32 rest;
	const void *from;
};

static __always_inline void icmp_fill(struct ethhdr *eth, const struct ethhdr *came,
				      struct icmp_note note)
{
	struct iphdr *ip = (void *)(eth + 1);
	struct icmphdr *icmp = (void *)(ip + 1);
	const struct iphdr *quoted = (void *)(icmp + 1);

	mac_copy(eth->h_dest, came->h_source);
	mac_copy(eth->h_source, came->h_dest);
	eth->h_proto = htons(ETH_P_IP);
	ip->ihl_version = 0x45;
	ip->tos = (quoted->tos & 0x1e) | 0xc0; /* internetwork control, as the kernel's */
	ip->tot_len = htons(ICMP_ADDED + ICMP_QUOTE);
	ip->id = 0;
	ip->frag_off = 0;
	ip->ttl = 64;
	ip->protocol = IPPROTO_ICMP;
	ip->check = 0;
	ip->saddr = note.from ? *(const __be32 *)note.from : quoted->daddr;
	ip->daddr = quoted->saddr;
	ip->check = csum_fold(csum_add((__u16 *)ip, sizeof(*ip) / 2));
	icmp->type = note.type;
	icmp->code = note.code;
	icmp->checksum = 0;
	icmp->rest = note.rest;
	icmp->checksum = csum_fold(csum_add((__u16 *)icmp, (sizeof(*icmp) + ICMP_QUOTE) / 2));
}

/* back sends the frame to where it came from. */
static __always_inline int back(const struct packet *p, __u32 reason)
{
	return finish(reason, tagged(XDP_TX, p->port->vlan));
}

static __always_inline int icmp4_error(struct packet *p, struct icmp_note note, __u32 answered,
				       __u32 refused)
{
	__u64 held = (__u64)p->end - (__u64)p->ip;
	struct ethhdr came = *p->eth;
	struct xdp_md *ctx = p->ctx;
	struct ethhdr *eth;

	/* The frame may be longer than the packet, by Ethernet's padding. */
	__asm__ volatile("" : "+r"(held)); /* pointers are subtracted as 64 bits or not at all */
	if (bpf_xdp_adjust_tail(ctx, (int)ICMP_QUOTE - (int)held) ||
	    bpf_xdp_adjust_head(ctx, -ICMP_ADDED))
		return drop(refused);
	eth = (void *)(long)ctx->data;
	if ((void *)(eth + 1) + ICMP_ADDED + ICMP_QUOTE > (void *)(long)ctx->data_end)
		return drop(REASON_INTERNAL);
	icmp_fill(eth, &came, note);
	return back(p, answered);
}

/* frame_sum adds up the 16-bit words of an ICMPv6 message and its quote, which end
 * with the frame. The frame holds no more than an error does.
 */
__noinline __u32 frame_sum(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *at = data + sizeof(struct ethhdr) + sizeof(struct ipv6hdr);
	__u32 sum = 0, i;

	for (i = 0; i < (1280 - sizeof(struct ipv6hdr)) / 2; i++) {
		if (at + i * 2 + 2 > end)
			break;
		sum += *(__u16 *)(at + i * 2);
	}
	if (at + i * 2 + 1 <= end)
		sum += htons((__u16)(*(__u8 *)(at + i * 2) << 8));
	return sum;
}

static __always_inline void icmp6_fill(struct ethhdr *eth, const struct ethhdr *came,
				       struct icmp_note note, __u16 length)
{
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct icmphdr *icmp = (void *)(ip6 + 1);
	const struct ipv6hdr *quoted = (void *)(icmp + 1);

	mac_copy(eth->h_dest, came->h_source);
	mac_copy(eth->h_source, came->h_dest);
	eth->h_proto = htons(ETH_P_IPV6);
	ip6->version_class = 0x60;
	ip6->class_label = 0;
	ip6->label = 0;
	ip6->payload_len = htons(length);
	ip6->nexthdr = IPPROTO_ICMPV6;
	ip6->hop_limit = 64;
	if (note.from)
		addr6_copy(ip6->saddr, note.from);
	else
		addr6_copy(ip6->saddr, quoted->daddr);
	addr6_copy(ip6->daddr, quoted->saddr);
	icmp->type = note.type;
	icmp->code = note.code;
	icmp->rest = note.rest;
	icmp->checksum = 0;
}

static __always_inline int icmp6_error(struct packet *p, struct icmp_note note, __u32 answered,
				       __u32 refused)
{
	__u32 quote = p->len < ICMP6_QUOTE ? p->len : ICMP6_QUOTE;
	struct ethhdr came = *p->eth;
	struct xdp_md *ctx = p->ctx;
	__u16 length = quote + sizeof(struct icmphdr);
	__u64 held = (__u64)p->end - (__u64)p->ip6;
	struct ipv6hdr *ip6;
	struct ethhdr *eth;
	__u32 sum;

	__asm__ volatile("" : "+r"(held)); /* as for IPv4 */
	if (bpf_xdp_adjust_tail(ctx, (int)quote - (int)held) ||
	    bpf_xdp_adjust_head(ctx, -ICMP6_ADDED))
		return drop(refused);
	eth = (void *)(long)ctx->data;
	if ((void *)(eth + 1) + ICMP6_ADDED + sizeof(*ip6) > (void *)(long)ctx->data_end)
		return drop(REASON_INTERNAL);
	icmp6_fill(eth, &came, note, length);
	ip6 = (void *)(eth + 1);
	sum = csum_add((__u16 *)ip6->saddr, 16) + htons(length) + htons(IPPROTO_ICMPV6);
	sum += frame_sum(ctx);
	eth = (void *)(long)ctx->data;
	if ((void *)(eth + 1) + ICMP6_ADDED > (void *)(long)ctx->data_end)
		return drop(REASON_INTERNAL);
	((struct icmphdr *)((void *)(eth + 1) + sizeof(*ip6)))->checksum = csum_fold(sum);
	return back(p, answered);
}

/* icmp_error answers the packet, which nobody may have changed yet, and counts
 * it as answered; over the budget it drops it and counts it as refused.
 */
static __always_inline int icmp_error(struct packet *p, struct icmp_note note, __u32 answered,
				      __u32 refused)
{
	if (!icmp_allowed())
		return drop(refused);
	if (p->v6)
		return icmp6_error(p, note, answered, refused);
	return icmp4_error(p, note, answered, refused);
}

/* later_answer sends the error that balancing asked for (later.h). That a packet is too
 * big tells its sender the largest that fits, in the service's name. An IPv4 packet
 * that may be fragmented is dropped: only the kernel could do it, and it does not know
 * where the packet is to go.
 */
static __always_inline int later_answer(struct packet *p, __u32 what)
{
	struct icmp_note note = { .type = p->v6 ? ICMPV6_DEST_UNREACH : ICMP_DEST_UNREACH };
	__u32 answered = REASON_FRAG_NEEDED, refused = REASON_TOO_BIG;
	union tuple t;

	switch (what & LATER_KIND) {
	case LATER_UNREACHABLE:
		note.code = p->v6 ? ICMPV6_PORT_UNREACH : ICMP_PORT_UNREACH;
		answered = REASON_PORT_UNREACHABLE;
		refused = REASON_NO_SERVER;
		break;
	case LATER_EXCEEDED:
		note.type = p->v6 ? ICMPV6_TIME_EXCEEDED : ICMP_TIME_EXCEEDED;
		note.code = p->v6 ? ICMPV6_EXC_HOPLIMIT : ICMP_EXC_TTL;
		answered = REASON_TIME_EXCEEDED;
		refused = REASON_TTL_EXCEEDED;
		break;
	default:
		if (!p->v6 && !(p->ip->frag_off & htons(IP_DF)))
			return drop(REASON_TOO_BIG);
		note.type = p->v6 ? ICMPV6_PKT_TOOBIG : ICMP_DEST_UNREACH;
		note.code = p->v6 ? 0 : ICMP_FRAG_NEEDED;
		note.rest = htonl(what >> LATER_SHIFT);
		if ((what & LATER_KIND) != LATER_TOO_BIG_REPLY)
			break;
		if (!tuple_of_reply(p, &t))
			return drop(REASON_TOO_BIG);
		note.from = p->v6 ? (const void *)t.v6.vaddr : &t.v4.vaddr;
	}
	return icmp_error(p, note, answered, refused);
}

#endif
