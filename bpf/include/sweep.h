/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The sweep of flows and templates: user space reads them piece by piece, since a
 * walk over a whole map would hold the CPU for long, and has those looked at here that
 * may be over.
 */
#ifndef EK_SWEEP_H
#define EK_SWEEP_H

#include "overload.h"

/* sweep_run is on the stack of a run. */
struct sweep_run {
	__u64 now;
	struct sweep s;
};

/* sweep_ends says whether what is on a server ends though its time is not over:
 * its service leaves this datapath.
 */
static __always_inline bool sweep_ends(__u32 server, const struct sweep_run *run)
{
	struct server *srv;

	if (!run->s.leaving)
		return false;
	srv = bpf_map_lookup_elem(&ek_servers, &server);
	return srv && srv->service + 1 == run->s.leaving;
}

/* sweep_flow ends an expired flow, and gives back the entry of one that had
 * ended before this pass. The pass in between lets a packet of the same tuple
 * take the entry over instead of meeting one that is being removed.
 */
static __always_inline long sweep_flow(void *shard, const union tuple *key, bool v6,
				       struct flow *flow, struct sweep_run *run)
{
	union flow_word seen = { .word = READ_ONCE(flow->now.word) };

	if (flow_live(flow, key, v6, seen, run->now) && !sweep_ends(seen.server, run)) {
		run->s.seen++;
		return 0;
	}
	if (seen.state < FLOW_STATES) {
		if (flow_kill(flow, key, v6, seen))
			run->s.expired++;
		return 0;
	}
	if (seen.state == FLOW_OWNED || !flow_own(flow, key, v6, seen))
		return 0;
	if (bpf_map_delete_elem(shard, key))
		flow_bury(flow, seen); /* its bucket was locked */
	else
		run->s.removed++;
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
		run->s.seen++;
		return 0;
	}
	next.state = seen.state == TEMPLATE_LIVE ? TEMPLATE_DEAD : TEMPLATE_REMOVED;
	if (seen.state != TEMPLATE_REMOVED &&
	    __sync_val_compare_and_swap(&t->now.word, seen.word, next.word) != seen.word)
		return 0;
	if (seen.state == TEMPLATE_LIVE) {
		template_unbind(seen.server);
		run->s.expired++;
	} else if (!bpf_map_delete_elem(map, key)) {
		run->s.removed++;
	}
	return 0;
}

/* Of ek_sweep_keys, each callback takes the entries that user space filled. A return
 * of 1 ends the run.
 */
static long sweep_flow4(void *keys __unused, const __u32 *index, const struct flow_key *key,
			struct sweep_run *run)
{
	void *shard = bpf_map_lookup_elem(&ek_flows, &run->s.shard);
	struct flow *flow;

	if (!shard || *index >= run->s.keys)
		return 1;
	flow = bpf_map_lookup_elem(shard, key);
	return flow ? sweep_flow(shard, (const union tuple *)key, false, flow, run) : 0;
}

static long sweep_flow6(void *keys __unused, const __u32 *index, const struct flow6_key *key,
			struct sweep_run *run)
{
	void *shard = bpf_map_lookup_elem(&ek_flows6, &run->s.shard);
	struct flow *flow;

	if (!shard || *index >= run->s.keys)
		return 1;
	flow = bpf_map_lookup_elem(shard, key);
	return flow ? sweep_flow(shard, (const union tuple *)key, true, flow, run) : 0;
}

static long sweep_template4(void *keys __unused, const __u32 *index, const struct template_key *key,
			    struct sweep_run *run)
{
	struct template *t;

	if (*index >= run->s.keys)
		return 1;
	t = bpf_map_lookup_elem(&ek_templates, key);
	return t ? sweep_template(&ek_templates, key, t, run) : 0;
}

static long sweep_template6(void *keys __unused, const __u32 *index,
			    const struct template6_key *key, struct sweep_run *run)
{
	struct template *t;

	if (*index >= run->s.keys)
		return 1;
	t = bpf_map_lookup_elem(&ek_templates6, key);
	return t ? sweep_template(&ek_templates6, key, t, run) : 0;
}

static __always_inline void sweep_keys(struct sweep_run *run, const struct sweep *arg,
				       void *callback)
{
	run->now = clock_precise();
	run->s.shard = arg->shard;
	run->s.leaving = arg->leaving;
	run->s.keys = arg->keys;
	bpf_for_each_map_elem(&ek_sweep_keys, callback, run, 0);
}

static __always_inline void sweep_report(struct sweep *sweep, const struct sweep_run *run)
{
	sweep->seen = run->s.seen;
	sweep->expired = run->s.expired;
	sweep->removed = run->s.removed;
}

static __always_inline int sweep_shard(struct sweep *sweep, bool v6, void *callback)
{
	struct half_ring *ring = ring_of(sweep->shard, v6);
	struct sweep_run run = {};

	if (!ring)
		return -1;
	sweep_keys(&run, sweep, callback);
	__sync_fetch_and_add(&ring->used, -run.s.removed);
	sweep_report(sweep, &run);
	return 0;
}

static __always_inline int sweep_templates(struct sweep *sweep, void *callback)
{
	struct sweep_run run = {};

	sweep_keys(&run, sweep, callback);
	sweep_report(sweep, &run);
	return 0;
}

#endif
