/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors to the sender, from the virtual address (RFC 792). */
#ifndef EK_ICMP_H
#define EK_ICMP_H

#include "clock.h"
#include "csum.h"
#include "stats.h"

/* The error quotes the IP header and eight bytes more. */
#define ICMP_QUOTE (sizeof(struct iphdr) + 8)
#define ICMP_ADDED ((int)(sizeof(struct iphdr) + sizeof(struct icmphdr)))

/* icmp_allowed spends one of the errors that this CPU may send in a second. */
static __always_inline bool icmp_allowed(void)
{
	__u32 zero = 0;
	struct settings *settings = bpf_map_lookup_elem(&ek_settings, &zero);
	struct icmp_budget *budget = bpf_map_lookup_elem(&ek_icmp_budget, &zero);
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

static __always_inline void icmp_fill(struct ethhdr *eth, const struct ethhdr *came, __u8 type,
				      __u8 code)
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
	ip->saddr = quoted->daddr;
	ip->daddr = quoted->saddr;
	ip->check = csum_fold(csum_add((__u16 *)ip, sizeof(*ip) / 2));
	icmp->type = type;
	icmp->code = code;
	icmp->checksum = 0;
	icmp->rest = 0;
	icmp->checksum = csum_fold(csum_add((__u16 *)icmp, (sizeof(*icmp) + ICMP_QUOTE) / 2));
}

/* icmp_error answers the packet, which nobody may have changed yet, and counts
 * it as answered; over the budget it drops it and counts it as refused.
 */
static __always_inline int icmp_error(struct packet *p, __u8 type, __u8 code, __u32 answered,
				      __u32 refused)
{
	struct ethhdr came = *p->eth;
	struct xdp_md *ctx = p->ctx;
	struct ethhdr *eth;

	if (!icmp_allowed())
		return drop(refused);
	if (bpf_xdp_adjust_tail(ctx, -(int)(p->len - ICMP_QUOTE)) ||
	    bpf_xdp_adjust_head(ctx, -ICMP_ADDED))
		return drop(refused);
	eth = (void *)(long)ctx->data;
	if ((void *)(eth + 1) + ICMP_ADDED + ICMP_QUOTE > (void *)(long)ctx->data_end)
		return drop(REASON_INTERNAL);
	icmp_fill(eth, &came, type, code);
	return finish(answered, XDP_TX);
}

#endif
