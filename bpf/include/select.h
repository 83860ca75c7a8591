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
#include "parse.h"
#include "profile.h"

/* How often a decision starts again because another CPU moved the cursor. */
#define SELECT_TRIES 64

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

/* best is the candidate of a walk over the order. One that costs 1 at no weight is none:
 * every server with a weight beats it.
 */
struct best {
	__s64 server; /* SELECT_NONE before the first */
	__u64 cost;
	__u64 weight;
};

/* A walk is cut into runs of this many servers, each a call, to stay within what the
 * verifier follows.
 */
#define ORDER_RUN 16

/* run is what is left of a run over an order. */
struct run {
	const struct order_entry *entry;
	__s64 left; /* servers; 0 or less at the end */
	int more;   /* the order goes on behind the run */
};

/* run_from begins the run at a place of an order, by its index in ek_orders. */
static __always_inline struct run run_from(__u32 index, __u32 place)
{
	struct order *order = bpf_map_lookup_elem(&ek_orders, &index);
	struct run run = {};

	if (!order || place > MAX_ORDER - ORDER_RUN)
		return run;
	run.entry = &order->entry[place];
	run.left = (__s64)order->count - place;
	run.more = run.left > ORDER_RUN;
	if (run.more)
		run.left = ORDER_RUN;
	return run;
}

/* run_next goes on to the next server. The compiler may not know what it does to left: it
 * would make a second condition of the length of a run.
 */
static __always_inline void run_next(struct run *run)
{
	run->entry++;
	run->left--;
	asm volatile("" : "+r"(run->left));
}

/* may_take says whether a server takes flows at all: it has a weight and no mark. The walks
 * ask for it last, since few servers of a long order cost less than the best before them.
 * It is one condition, below 0 if either fails, for two would double the verifier's ways
 * with each server.
 */
static __always_inline bool may_take(const struct order_entry *entry, struct server_conns *conns)
{
	__s64 weight = READ_ONCE(entry->weight), mark = READ_ONCE(conns->overloaded);

	return ((weight - 1) | -mark) >= 0;
}

/* cost_of is what the schedulers compare. Kernels of either generation count inactive
 * flows once; total has the active ones as well.
 */
static __always_inline __u64 cost_of(__u32 kind, bool old, struct server_conns *conns, __u64 active)
{
	if (kind == SCHED_LC || kind == SCHED_WLC)
		return active * (old ? 255 : 256) + READ_ONCE(conns->total);
	return active + 1;
}

/* beats says whether a server replaces the candidate. Ties go to the candidate, which
 * stands nearer the head of the list.
 */
static __always_inline bool beats(__u32 kind, const struct best *best, __u64 cost, __u64 weight)
{
	if (kind == SCHED_LC)
		return cost < best->cost;
	return (__s64)(best->cost * weight) > (__s64)(cost * best->weight);
}

/* least_run considers a run of servers for the schedulers that compare loads, and says
 * whether the walk goes on. All that stands in the loop is paid for each server, so each
 * scheduler has a loop of its own, for which kind and old are constants, and no function is
 * called there: the kernel writes a lookup in an array in place.
 */
static __always_inline int least_run(struct best *best, struct run run, __u32 kind, bool old,
				     bool nq)
{
	struct server_conns *conns;
	__u64 active, weight, cost;

	for (; best && run.left > 0; run_next(&run)) {
		conns = bpf_map_lookup_elem(&ek_server_conns, &run.entry->server);
		if (!conns)
			break; /* an order has no such server */
		active = READ_ONCE(conns->active);
		if (kind == SCHED_SED && !active && nq && may_take(run.entry, conns)) {
			best->server = run.entry->server;
			return 0;
		}
		cost = cost_of(kind, old, conns, active);
		weight = (__u32)run.entry->weight;
		if (!beats(kind, best, cost, weight) || !may_take(run.entry, conns))
			continue;
		best->server = run.entry->server;
		best->cost = cost;
		best->weight = weight;
	}
	return run.more;
}

__noinline int lc_run(struct best *best, __u32 order, __u32 place)
{
	struct run run = run_from(order, place);

	if (old_overhead)
		return least_run(best, run, SCHED_LC, true, false);
	return least_run(best, run, SCHED_LC, false, false);
}

__noinline int wlc_run(struct best *best, __u32 order, __u32 place)
{
	struct run run = run_from(order, place);

	if (old_overhead)
		return least_run(best, run, SCHED_WLC, true, false);
	return least_run(best, run, SCHED_WLC, false, false);
}

/* sed_run is nq's, too: nq takes the first idle server, and else decides as sed. */
__noinline int sed_run(struct best *best, __u32 order, __u32 place, bool nq)
{
	return least_run(best, run_from(order, place), SCHED_SED, false, nq);
}

/* heaviest_run considers a run of servers for fo and ovf: the highest weight wins, with
 * ovf of a server that has no more active flows than that.
 */
__noinline int heaviest_run(struct best *best, __u32 order, __u32 place, bool ovf)
{
	struct run run = run_from(order, place);
	struct server_conns *conns;
	__s32 weight;

	for (; best && run.left > 0; run_next(&run)) {
		weight = READ_ONCE(run.entry->weight);
		if (weight <= (__s32)best->weight)
			continue;
		conns = bpf_map_lookup_elem(&ek_server_conns, &run.entry->server);
		if (!conns)
			break;
		if (READ_ONCE(conns->overloaded))
			continue;
		if (ovf && READ_ONCE(conns->active) > (__u32)weight)
			continue;
		best->server = run.entry->server;
		best->weight = weight;
	}
	return run.more;
}

static __always_inline int best_run(struct best *best, __u32 order, __u32 place, __u32 kind)
{
	if (kind == SCHED_LC)
		return lc_run(best, order, place);
	if (kind == SCHED_WLC)
		return wlc_run(best, order, place);
	if (kind == SCHED_SED || kind == SCHED_NQ)
		return sed_run(best, order, place, kind == SCHED_NQ);
	return heaviest_run(best, order, place, kind == SCHED_OVF);
}

/* select_best walks the order for the schedulers that compare. */
__noinline __s64 select_best(__u32 service, __u32 generation, __u32 kind)
{
	struct best best = { SELECT_NONE, kind == SCHED_LC ? ~0ULL : 1, 0 };
	__u32 order = service * 2 + (generation & 1), place;

	for (place = 0; place < MAX_ORDER; place += ORDER_RUN) {
		if (!best_run(&best, order, place, kind))
			break;
	}
	return best.server;
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
