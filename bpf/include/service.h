/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finding the virtual service and choosing its server. */
#ifndef EK_SERVICE_H
#define EK_SERVICE_H

#include "parse.h"

/* How often a decision starts again because another CPU moved the cursor. */
#define SELECT_TRIES 64

/* What select_* return instead of a server. */
#define SELECT_NONE (-1)
#define SELECT_BUSY (-2)

static __always_inline const struct service *service_find(__be32 addr, __be16 port, __u8 proto)
{
	struct service_key key = {};

	key.addr[10] = 0xff;
	key.addr[11] = 0xff;
	__builtin_memcpy(&key.addr[12], &addr, sizeof(addr));
	key.port = port;
	key.proto = proto;
	return bpf_map_lookup_elem(&ek_services, &key);
}

/* order_next returns the index of the first entry with a weight at or after
 * position, once round, in the high half and its server in the low half; or
 * ~0 when there is none. User space has written down where each walk ends, so
 * that many servers without weight cost nothing here.
 */
static __always_inline __u64 order_next(__u32 service, __u32 generation, __u32 position)
{
	__u32 index = service * 2 + (generation & 1);
	struct order *order = bpf_map_lookup_elem(&ek_orders, &index);
	__u32 next;

	if (!order || !order->count)
		return ~0ULL;
	if (position >= order->count)
		position = 0;
	next = order->entry[position & (MAX_ORDER - 1)].next;
	if (next >= MAX_ORDER)
		return ~0ULL;
	return (__u64)next << 32 | order->entry[next & (MAX_ORDER - 1)].server;
}

/* select_rr takes the next server with a weight after the one chosen last, as
 * IPVS's rr does; without one the cursor stays. The order that was read is
 * valid if the cursor's swap succeeds, since publishing changes the cursor's
 * generation before the order can be written again. It is not inlined, so that
 * the verifier follows its loop once and not for every way to it.
 */
__noinline __s64 select_rr(__u32 service)
{
	union cursor *cursor = bpf_map_lookup_elem(&ek_cursors, &service);
	union cursor seen, next;
	__u64 found;
	int i;

	if (!cursor)
		return SELECT_NONE;
	for (i = 0; i < SELECT_TRIES; i++) {
		seen.word = READ_ONCE(cursor->word);
		found = order_next(service, seen.generation, seen.position);
		if (found == ~0ULL) {
			if (READ_ONCE(cursor->word) == seen.word)
				return SELECT_NONE;
			continue;
		}
		next.generation = seen.generation;
		next.position = (__u32)(found >> 32) + 1;
		if (__sync_val_compare_and_swap(&cursor->word, seen.word, next.word) == seen.word)
			return (__u32)found;
	}
	return SELECT_BUSY;
}

static __always_inline __s64 service_select(const struct service *svc)
{
	if (svc->scheduler == SCHED_RR)
		return select_rr(svc->id);
	return SELECT_NONE;
}

#endif
