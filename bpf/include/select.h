/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The schedulers: which server takes a new flow, as IPVS decides it. A decision
 * reads the cursor, the order or table that its generation names, and the
 * servers' flows. It is valid if the cursor still has that generation at the
 * end, since user space publishes before it writes the same half again.
 *
 * Functions with loops are not inlined, so that the verifier follows each once
 * and not for every way to it.
 */
#ifndef EK_SELECT_H
#define EK_SELECT_H

#include "explain.h"
#include "least.h"
#include "parse.h"
#include "profile.h"

/* How often a decision starts again because another CPU moved the cursor. */
#define SELECT_TRIES 64

/* table_at returns the server at a place of the table, counted round it. It is inlined:
 * each call of a call would take 32 bytes of the 512 that all stacks have together.
 */
static __always_inline __u64 table_at(__u32 service, __u32 generation, __u32 place)
{
	struct order *order = order_find(service, generation);
	__u32 index = service * 2 + (generation & 1);
	__u32 *server;
	void *table;

	if (!order || !order->table_count)
		return NOWHERE;
	table = bpf_map_lookup_elem(&ek_tables, &index);
	if (!table)
		return NOWHERE;
	place %= order->table_count;
	server = bpf_map_lookup_elem(table, &place);
	return server ? (__u64)place << 32 | *server : NOWHERE;
}

/* table_run returns the first of TABLE_RUN entries from place on whose server is
 * under its threshold. The walk over the table is cut into such runs to stay
 * within what the verifier follows.
 */
#define TABLE_RUN 128

__noinline __u64 table_run(__u32 service, __u32 generation, __u32 place)
{
	__u64 found;
	__u32 i;

	for (i = 0; i < TABLE_RUN; i++) {
		found = table_at(service, generation, place + i);
		if (found == NOWHERE || !overloaded((__u32)found))
			return found;
	}
	return NOWHERE;
}

/* table_next returns the first entry of wrr's table from place on whose server
 * is under its threshold, once round.
 */
__noinline __u64 table_next(__u32 service, __u32 generation, __u32 place)
{
	struct order *order = order_find(service, generation);
	__u64 found = NOWHERE;
	__u32 i;

	if (!order)
		return NOWHERE;
	for (i = 0; i < MAX_TABLE / TABLE_RUN; i++) {
		if (i * TABLE_RUN >= order->table_count)
			break;
		found = table_run(service, generation, place + i * TABLE_RUN);
		if (found != NOWHERE)
			break;
	}
	return found;
}

/* table_usable returns the server of a bucket if it may take a flow: it has a
 * weight, was not removed, and is under its threshold.
 */
__noinline __s64 table_usable(__u32 service, __u32 generation, __u32 bucket)
{
	__u64 found = table_at(service, generation, bucket);
	__u32 index = (__u32)found;
	struct server *srv;

	if (found == NOWHERE)
		return SELECT_NONE;
	srv = bpf_map_lookup_elem(&ek_servers, &index);
	if (!srv || srv->weight <= 0 || srv->flags & SERVER_DELETED || overloaded(index))
		return SELECT_NONE;
	return index;
}

/* select_rr takes the next server after the one chosen last; without one the
 * cursor stays.
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
		if (found == NOWHERE) {
			if (READ_ONCE(cursor->word) == seen.word)
				return SELECT_NONE;
			continue;
		}
		if (DRY)
			return (__u32)found;
		next.generation = seen.generation;
		next.position = (__u32)(found >> 32) + 1;
		if (__sync_val_compare_and_swap(&cursor->word, seen.word, next.word) == seen.word)
			return (__u32)found;
	}
	return SELECT_BUSY;
}

/* wrr_failed is where the cursor goes when every server is overloaded: to the
 * head of the list in the highest round, or nowhere if the entry chosen last
 * is in the lowest.
 */
static __always_inline __u32 wrr_failed(__u32 service, union cursor seen)
{
	struct order *order = order_find(service, seen.generation);

	if (!order || !(seen.position & 1) || seen.position / 2 < order->table_lowest)
		return 0;
	return seen.position;
}

/* select_wrr takes the next entry of the table. */
__noinline __s64 select_wrr(__u32 service)
{
	union cursor *cursor = bpf_map_lookup_elem(&ek_cursors, &service);
	union cursor seen, next;
	__u64 found;
	int i;

	if (!cursor)
		return SELECT_NONE;
	for (i = 0; i < SELECT_TRIES; i++) {
		seen.word = READ_ONCE(cursor->word);
		found = table_next(service, seen.generation,
				   seen.position / 2 + (seen.position & 1));
		if (DRY)
			return found == NOWHERE ? SELECT_NONE : (__s64)(__u32)found;
		next.generation = seen.generation;
		if (found == NOWHERE)
			next.position = wrr_failed(service, seen);
		else
			next.position = (__u32)(found >> 32) * 2 + 1;
		if (__sync_val_compare_and_swap(&cursor->word, seen.word, next.word) == seen.word)
			return found == NOWHERE ? SELECT_NONE : (__s64)(__u32)found;
	}
	return SELECT_BUSY;
}

/* bucket_of is the multiplicative hash of sh and dh. */
static __always_inline __u32 bucket_of(__u32 addr, __u32 port, __u32 bits)
{
	return (addr + port) * 0x61c88647U >> (32 - bits);
}

/* select_sh probes, with the fallback flag, one full turn from twice the bucket
 * on when the bucket's own server is unusable.
 */
__noinline __s64 select_sh(__u32 service, __u32 generation, __u32 flags, __u32 addr, __u32 port)
{
	__u32 bucket = bucket_of(addr, flags & SCHED_PORT ? port : 0, sh_bits & 31), i;
	__s64 server = table_usable(service, generation, bucket);

	if (server >= 0 || !(flags & SCHED_FALLBACK))
		return server;
	for (i = 0; i < MAX_TABLE; i++) {
		if (i >> (sh_bits & 31))
			break;
		server = table_usable(service, generation, bucket * 2 + i);
		if (server >= 0)
			return server;
	}
	return SELECT_NONE;
}

/* mh_hash is SipHash-1-3 of one 32-bit word, cut to 32 bits, with both words
 * of the key the same: the kernel's hsiphash on 64-bit machines.
 */
__noinline __u32 mh_hash(__u32 word)
{
	const __u64 key = 2654435761ULL;
	__u64 v0 = key ^ 0x736f6d6570736575ULL, v1 = key ^ 0x646f72616e646f6dULL;
	__u64 v2 = key ^ 0x6c7967656e657261ULL, v3 = key ^ 0x7465646279746573ULL;
	__u64 last = 4ULL << 56 | word;
	int i;

#define ROTATE(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))
#pragma unroll
	for (i = 0; i < 4; i++) {
		if (i == 0)
			v3 ^= last;
		if (i == 1) {
			v0 ^= last;
			v2 ^= 0xff;
		}
		v0 += v1;
		v1 = ROTATE(v1, 13) ^ v0;
		v0 = ROTATE(v0, 32);
		v2 += v3;
		v3 = ROTATE(v3, 16) ^ v2;
		v0 += v3;
		v3 = ROTATE(v3, 21) ^ v0;
		v2 += v1;
		v1 = ROTATE(v1, 17) ^ v2;
		v2 = ROTATE(v2, 32);
	}
#undef ROTATE
	return (__u32)(v0 ^ v1 ^ v2 ^ v3);
}

/* select_mh hashes again with another offset, with the fallback flag, while
 * the server it meets is unusable.
 */
__noinline __s64 select_mh(__u32 service, __u32 generation, __u32 flags, __u32 addr, __u32 port)
{
	__u32 word = addr + (flags & SCHED_PORT ? port : 0), size, first, i;
	struct order *order = order_find(service, generation);
	__s64 server;

	if (!order || !order->table_count)
		return SELECT_NONE;
	size = order->table_count;
	first = mh_hash(word) % size;
	server = table_usable(service, generation, first);
	if (server >= 0 || !(flags & SCHED_FALLBACK))
		return server;
	for (i = 0; i < MAX_TABLE; i++) {
		if (i >= size)
			break;
		server = table_usable(service, generation, mh_hash(word + (i + first) % size));
		if (server >= 0)
			return server;
	}
	return SELECT_NONE;
}

/* select_by runs a scheduler that keeps no cursor on one generation. */
static __always_inline __s64 select_by(const struct service *svc, __u32 generation,
				       const struct packet *p)
{
	__u32 client = packet_client(p), port = ntohs(p->sport);

	switch (svc->scheduler) {
	case SCHED_LC:
	case SCHED_WLC:
	case SCHED_SED:
	case SCHED_NQ:
	case SCHED_OVF:
	case SCHED_FO:
		return select_best(svc->id, generation, svc->scheduler);
	case SCHED_SH:
		return select_sh(svc->id, generation, svc->flags, client, port);
	case SCHED_DH:
		return table_usable(svc->id, generation, bucket_of(packet_virtual(p), 0, 8));
	case SCHED_MH:
		return select_mh(svc->id, generation, svc->flags, client, port);
	default:
		return SELECT_NONE;
	}
}

/* explain_cursor tells where the scheduler stands. */
static __always_inline void explain_cursor(__u32 id)
{
	union cursor *cursor;

	if (!DRY)
		return;
	cursor = bpf_map_lookup_elem(&ek_cursors, &id);
	if (cursor)
		told.cursor.word = READ_ONCE(cursor->word);
}

/* service_select returns the server for the flow that this packet opens. */
static __always_inline __s64 service_select(const struct service *svc, const struct packet *p)
{
	__u32 id = svc->id;
	union cursor *cursor;
	union cursor seen;
	__s64 server;
	int i;

	explain_cursor(id);
	if (svc->scheduler == SCHED_RR)
		return select_rr(id);
	if (svc->scheduler == SCHED_WRR)
		return select_wrr(id);
	cursor = bpf_map_lookup_elem(&ek_cursors, &id);
	if (!cursor)
		return SELECT_NONE;
	for (i = 0; i < 4; i++) {
		seen.word = READ_ONCE(cursor->word);
		server = select_by(svc, seen.generation, p);
		if (READ_ONCE(cursor->word) == seen.word)
			return server;
	}
	return SELECT_BUSY;
}

#endif
