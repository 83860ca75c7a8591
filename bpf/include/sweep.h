/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The walk over the flow table that user space starts, a shard at a time. */
#ifndef EK_SWEEP_H
#define EK_SWEEP_H

#include "overload.h"

/* sweep_run is on the stack of the walk. */
struct sweep_run {
	__u64 now;
	__u32 leaving; /* as in struct sweep */
	struct sweep count;
};

/* sweep_ends says whether what is on a server ends though its time is not over:
 * its service leaves this datapath.
 */
static __always_inline bool sweep_ends(__u32 server, const struct sweep_run *run)
{
	struct server *srv;

	if (!run->leaving)
		return false;
	srv = bpf_map_lookup_elem(&ek_servers, &server);
	return srv && srv->service + 1 == run->leaving;
}

/* sweep_flow ends an expired flow, and gives back the entry of one that had
 * ended before this pass. The pass in between lets a packet of the same tuple
 * take the entry over instead of meeting one that is being removed.
 */
static __always_inline long sweep_flow(void *shard, const union tuple *key, bool v6,
				       struct flow *flow, struct sweep_run *run)
{
	union flow_word seen = { .word = READ_ONCE(flow->now.word) };

	if (flow_live(flow, seen, run->now) && !sweep_ends(seen.server, run)) {
		run->count.seen++;
		return 0;
	}
	if (seen.state < FLOW_STATES) {
		if (flow_kill(flow, key, v6, seen))
			run->count.expired++;
		return 0;
	}
	if (seen.state == FLOW_OWNED || !flow_own(flow, seen))
		return 0;
	if (bpf_map_delete_elem(shard, key))
		flow_bury(flow, seen); /* its bucket was locked */
	else
		run->count.removed++;
	return 0;
}

/* sweep_template is sweep_flow for templates. One whose time is over while it
 * holds flows together gets more of it.
 */
static __always_inline long sweep_template(void *map, const void *key, struct template *t,
					   struct sweep_run *run)
{
	union template_word seen = { .word = READ_ONCE(t->now.word) }, next = seen;

	if (template_holds(t, seen, run->now) && !sweep_ends(seen.server, run)) {
		if (READ_ONCE(t->expires) <= run->now)
			template_touch(t, run->now);
		run->count.seen++;
		return 0;
	}
	next.state = seen.state == TEMPLATE_LIVE ? TEMPLATE_DEAD : TEMPLATE_REMOVED;
	if (seen.state != TEMPLATE_REMOVED &&
	    __sync_val_compare_and_swap(&t->now.word, seen.word, next.word) != seen.word)
		return 0;
	if (seen.state == TEMPLATE_LIVE) {
		template_unbind(seen.server);
		run->count.expired++;
	} else if (!bpf_map_delete_elem(map, key)) {
		run->count.removed++;
	}
	return 0;
}

static __always_inline void sweep_report(struct sweep *sweep, const struct sweep_run *run)
{
	sweep->seen = run->count.seen;
	sweep->expired = run->count.expired;
	sweep->removed = run->count.removed;
}

static long sweep_flow4(void *shard, struct flow_key *key, struct flow *flow, struct sweep_run *run)
{
	return sweep_flow(shard, (const union tuple *)key, false, flow, run);
}

static long sweep_flow6(void *shard, struct flow6_key *key, struct flow *flow,
			struct sweep_run *run)
{
	return sweep_flow(shard, (const union tuple *)key, true, flow, run);
}

static long sweep_template4(void *map, struct template_key *key, struct template *t,
			    struct sweep_run *run)
{
	return sweep_template(map, key, t, run);
}

static long sweep_template6(void *map, struct template6_key *key, struct template *t,
			    struct sweep_run *run)
{
	return sweep_template(map, key, t, run);
}

/* Each kind of map has a program of its own: 6.1 wants each call of
 * for_each_map_elem to see one.
 */
static __always_inline int sweep_shard(struct sweep *sweep, void *shards, bool v6, void *callback)
{
	struct sweep_run run = { .now = clock_precise(), .leaving = sweep->leaving };
	struct half_ring *ring = ring_of(sweep->shard, v6);
	__u32 index = sweep->shard;
	void *shard = bpf_map_lookup_elem(shards, &index);

	if (!shard || !ring)
		return -1;
	bpf_for_each_map_elem(shard, callback, &run, 0);
	__sync_fetch_and_add(&ring->used, -run.count.removed);
	sweep_report(sweep, &run);
	return 0;
}

static __always_inline int sweep_templates(struct sweep *sweep, void *map, void *callback)
{
	struct sweep_run run = { .now = clock_precise(), .leaving = sweep->leaving };

	bpf_for_each_map_elem(map, callback, &run, 0);
	sweep_report(sweep, &run);
	return 0;
}

#endif
