/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The schedulers that compare all servers: lc, wlc, sed, nq, fo and ovf. */
#ifndef EK_LEAST_H
#define EK_LEAST_H

#include "order.h"
#include "profile.h"

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

#endif
