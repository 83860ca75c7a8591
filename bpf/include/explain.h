/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The program is built twice. Built with DRY it decides the same and changes the packet the same,
 * but for the reason of what is nobody's (ahead.h), and writes to no map and counts nothing; instead
 * it tells in one variable of its own what it decided. Wherever the program writes, DRY comes
 * first. In the program that forwards, all of this is no code at all.
 */
#ifndef EK_EXPLAIN_H
#define EK_EXPLAIN_H

#include "contract.h"

#ifndef DRY
#define DRY 0
#endif

/* What a packet is to the flow table. */
enum __attribute__((packed)) explained_way {
	WAY_NONE = 0,
	WAY_FLOW = 1,	    /* belongs to a flow */
	WAY_REPLY = 2,	    /* answers a NAT flow */
	WAY_NEW = 3,	    /* opens a flow */
	WAY_ONE_PACKET = 4, /* is scheduled for itself (ops) */
};

/* explanation is what the program tells of one packet. */
struct explanation {
	__u32 reason;
	__u32 service;		 /* id */
	__u32 server;		 /* index into ek_servers */
	__u32 shard;		 /* of the flow's tuple */
	union cursor cursor;	 /* where the scheduler stood */
	struct flow_key key;	 /* the flow's tuple, of IPv4 */
	struct flow6_key key6;	 /* the same if v6 */
	struct flow flow;	 /* the entry of this tuple, if has_flow */
	union flow_word becomes; /* the flow's word after this packet */
	struct link out;
	__u16 out_vlan; /* id of the tag there, 0 none */
	enum explained_way way;
	__u8 has_flow;
	__u8 has_service;
	__u8 has_server;
	__u8 templated; /* a persistence template named the server */
	__u8 v6;
};

/* assumed is what user space knows better than a program that may not insert. */
struct assumed {
	__u8 flows_full; /* the tuple's shard has no room */
	__u8 replies_full;
	__u8 templates_full;
	__u8 pad;
};

#if DRY
struct explanation told = {};
struct assumed assume = {};
#else
static struct explanation told;
static struct assumed assume;
#endif

/* explain_flow takes the entry of the tuple, if there is one, and what comes of
 * it.
 */
static __always_inline void explain_flow(enum explained_way way, const struct flow *flow,
					 union flow_word becomes)
{
	if (!DRY)
		return;
	told.way = way;
	told.becomes.word = becomes.word;
	if (!flow)
		return;
	told.has_flow = 1;
	told.flow = *flow;
}

static __always_inline void explain_service(__u32 id)
{
	if (!DRY)
		return;
	told.service = id;
	told.has_service = 1;
}

static __always_inline void explain_server(__u32 index)
{
	if (!DRY)
		return;
	told.server = index;
	told.has_server = 1;
}

static __always_inline void explain_out(__u32 ifindex, __u16 vlan, const __u8 *dmac,
					const __u8 *smac)
{
	if (!DRY)
		return;
	told.out.ifindex = ifindex;
	told.out_vlan = vlan;
	__builtin_memcpy(told.out.dmac, dmac, ETH_ALEN);
	__builtin_memcpy(told.out.smac, smac, ETH_ALEN);
}

#endif
