/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A service's servers in IPVS's order, and what a walk over them looks at. */
#ifndef EK_ORDER_H
#define EK_ORDER_H

#include "maps.h"

/* What select_* return instead of a server. */
#define SELECT_NONE (-1)
#define SELECT_BUSY (-2)

/* No place in an order or table; otherwise the place is in the high half and
 * the server in the low half.
 */
#define NOWHERE (~0ULL)

static __always_inline struct order *order_find(__u32 service, __u32 generation)
{
	__u32 index = service * 2 + (generation & 1);

	return bpf_map_lookup_elem(&ek_orders, &index);
}

static __always_inline struct server_conns *conns_find(__u32 server)
{
	return bpf_map_lookup_elem(&ek_server_conns, &server);
}

/* conns_total is how many flows a server has. One that goes before it is counted in makes it less than
 * none for a moment.
 */
static __always_inline __u32 conns_total(const struct server_conns *conns)
{
	__s32 total = READ_ONCE(conns->total), sign = total >> 31;

	__asm__ volatile("" : "+r"(sign)); /* or it is a branch, and two ways for the verifier */
	return total & ~sign;
}

static __always_inline bool overloaded(__u32 server)
{
	struct server_conns *conns = conns_find(server);

	return !conns || READ_ONCE(conns->overloaded);
}

/* order_next returns the first entry that may take a flow at or after position,
 * once round. User space has written down where each walk over servers without
 * weight ends; only servers over their threshold are met here.
 */
__noinline __u64 order_next(__u32 service, __u32 generation, __u32 position)
{
	struct order *order = order_find(service, generation);
	__u32 next, i;

	if (!order || !order->count)
		return NOWHERE;
	for (i = 0; i < MAX_ORDER; i++) {
		if (position >= order->count)
			position = 0;
		next = order->entry[position & (MAX_ORDER - 1)].next;
		if (next >= MAX_ORDER)
			return NOWHERE;
		if (!overloaded(order->entry[next & (MAX_ORDER - 1)].server))
			return (__u64)next << 32 | order->entry[next & (MAX_ORDER - 1)].server;
		if (i >= order->count)
			return NOWHERE;
		position = next + 1;
	}
	return NOWHERE;
}

#endif
