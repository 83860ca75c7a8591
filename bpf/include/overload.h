/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What keeps a flood of connection attempts from harming those that are
 * established: a limit on a service's new flows, and room made in a table that is
 * almost full at the cost of flows that are half-open, the oldest first.
 *
 * Each shard has a ring of the flows that began half-open. A flow in it may have
 * become anything since, so whoever takes one out looks at the flow itself. Writing
 * to the ring takes no lock: a torn or outdated key names no flow, or one that is
 * half-open as well. A flow by DR or TUN has its place before it is in the table: a place may be
 * that of a flow that found no room, or is there in a moment and then keeps its entry until it
 * times out.
 *
 * Room is made after the packet that takes the last of it, not before: there the
 * stack has room for it, too.
 */
#ifndef EK_OVERLOAD_H
#define EK_OVERLOAD_H

#include "flow.h"
#include "later.h"

/* How many entries of the ring one packet may look at. */
#define EVICT_TRIES 16

/* How often a limit is tried again because another CPU moved it. */
#define LIMIT_TRIES 16

/* The entries of one shard's ring: as many as the shard has. */
const volatile __u32 ring_size = MAX_FLOWS / FLOW_SHARDS;

static __always_inline struct half_ring *ring_of(__u32 shard, bool v6)
{
	__u32 index = shard + (v6 ? FLOW_SHARDS : 0);

	return bpf_map_lookup_elem(&ek_half_rings, &index);
}

/* room_taken counts an entry of a shard as used, or none if there was none left. It
 * returns which shard has little room now, for make_room, or 0. One in 64 entries is
 * kept free, so that flows that are opened on several CPUs at once find one.
 */
__noinline __u32 room_taken(__u32 shard, bool v6, __u32 entries)
{
	struct half_ring *ring = ring_of(shard, v6);

	if (!ring)
		return 0;
	if (__sync_fetch_and_add(&ring->used, entries) + 1 <= ring_size - ring_size / 64)
		return 0;
	return shard + (v6 ? FLOW_SHARDS : 0) + 1;
}

/* ring_push remembers a flow that is being opened, and returns the number of its place. */
static __always_inline __u32 ring_push(const union tuple *t, bool v6)
{
	__u32 shard = shard_of(t, v6), index, place;
	struct half_ring *ring = ring_of(shard, v6);

	if (!ring)
		return 0;
	if (DRY)
		return ring->head;
	place = __sync_fetch_and_add(&ring->head, 1);
	index = shard * ring_size + place % ring_size;
	if (v6) {
		struct flow6_key *key = bpf_map_lookup_elem(&ek_half_open6, &index);

		if (key)
			*key = t->v6;
	} else {
		struct flow_key *key = bpf_map_lookup_elem(&ek_half_open, &index);

		if (key)
			*key = t->v4;
	}
	return place;
}

/* ring_take takes the oldest entry out and returns the number of its place, or a
 * negative number when there is none or another CPU was faster.
 */
static __always_inline __s64 ring_take(struct half_ring *ring)
{
	__u32 head = READ_ONCE(ring->head), tail = READ_ONCE(ring->tail), from = tail;

	if (head - tail > ring_size)
		from = head - ring_size; /* the rest was written over */
	if ((__s32)(head - from) <= 0)
		return -1;
	if (__sync_val_compare_and_swap(&ring->tail, tail, from + 1) != tail)
		return -1;
	return from;
}

/* evictable says whether the flow that was found by the entry at a place may make room:
 * half-open, or long over. One whose generation is not the place is another than the
 * entry's: its ports were opened anew, it was written over the entry just now, or another CPU
 * was faster to open it. It has a place of its own.
 */
static __always_inline bool evictable(struct flow *flow, const union tuple *t, bool v6,
				      union flow_word w, __u32 place, __u64 now)
{
	return w.generation == (__u16)place &&
	       (flow_half_open(w) ||
		(w.state != FLOW_OWNED && READ_ONCE(flow->expires) + FLOW_GRACE <= now &&
		 !flow_live(flow, t, v6, w, now - FLOW_GRACE)));
}

/* overload_of returns the counters of the service of a server. */
static __always_inline struct overload *overload_of(__u32 server)
{
	struct server *srv = bpf_map_lookup_elem(&ek_servers, &server);
	__u32 service;

	if (!srv)
		return NULL;
	service = srv->service;
	return bpf_map_lookup_elem(&ek_overload, &service);
}

/* evict ends a flow and gives its entry back. */
static __always_inline bool evict(void *flows, struct flow *flow, const union tuple *t, bool v6,
				  union flow_word seen)
{
	struct overload *count;

	if (!flow_own(flow, t, v6, seen))
		return false;
	if (seen.state < FLOW_STATES) {
		flow_unbind(flow, seen, t, v6);
		count = overload_of(seen.server);
		if (count)
			count->evicted++;
	}
	if (!bpf_map_delete_elem(flows, t))
		return true;
	flow_bury(flow, seen); /* its bucket was locked */
	return false;
}

/* evict_oldest takes one flow out of a shard's ring and gives its entry back, if
 * that may be; 0 if not.
 */
static __always_inline int evict_oldest(__u32 shard, bool v6)
{
	void *flows = v6 ? bpf_map_lookup_elem(&ek_flows6, &shard)
			 : bpf_map_lookup_elem(&ek_flows, &shard);
	struct half_ring *ring = ring_of(shard, v6);
	union flow_word seen;
	union tuple victim;
	struct flow *flow;
	__u32 index;
	void *key;
	__s64 at;

	if (!ring || !flows || DRY)
		return 0;
	at = ring_take(ring);
	if (at < 0)
		return 0;
	index = shard * ring_size + (__u32)at % ring_size;
	key = v6 ? bpf_map_lookup_elem(&ek_half_open6, &index)
		 : bpf_map_lookup_elem(&ek_half_open, &index);
	if (!key)
		return 0;
	if (v6)
		victim.v6 = *(struct flow6_key *)key;
	else
		victim.v4 = *(struct flow_key *)key;
	flow = bpf_map_lookup_elem(flows, &victim);
	if (!flow)
		return 0;
	seen.word = READ_ONCE(flow->now.word);
	if (!evictable(flow, &victim, v6, seen, (__u32)at, clock_now()) ||
	    !evict(flows, flow, &victim, v6, seen))
		return 0;
	__sync_fetch_and_add(&ring->used, -1);
	return 1;
}

/* Functions of their own, so that the verifier follows each once. */
__noinline int evict_ipv4(__u32 shard)
{
	return evict_oldest(shard, false);
}

__noinline int evict_ipv6(__u32 shard)
{
	return evict_oldest(shard, true);
}

/* make_room gives one entry back, if it finds one, of the shard that room_taken named
 * above a verdict (later.h). It returns the verdict alone.
 */
__noinline int make_room(__u32 verdict)
{
	__u32 shard = (verdict >> ROOM_SHIFT) - 1, i;
	int done = 0;

	for (i = 0; i < EVICT_TRIES && !done; i++)
		done = shard < FLOW_SHARDS ? evict_ipv4(shard) : evict_ipv6(shard - FLOW_SHARDS);
	return verdict & ((1 << ROOM_SHIFT) - 1);
}

/* limit_allows spends one of a service's new flows (the generic cell rate
 * algorithm). full is when the burst is spent no more; each new flow moves it on by
 * one interval, and may not move it further ahead than the burst.
 */
static __always_inline bool limit_allows(__u32 id, __u32 rate, __u32 burst)
{
	__u64 interval = SECOND / (rate ? rate : 1), now = clock_now(), seen, next;
	struct limit *limit = bpf_map_lookup_elem(&ek_limits, &id);
	int i;

	if (!limit)
		return true;
	for (i = 0; i < LIMIT_TRIES; i++) {
		seen = READ_ONCE(limit->full);
		next = (seen > now ? seen : now) + interval;
		if (next - now > burst * interval)
			return false;
		if (DRY || __sync_val_compare_and_swap(&limit->full, seen, next) == seen)
			return true;
	}
	return false;
}

/* limit_refuses says whether a packet may not open a flow of the service with this id
 * and rate, and counts it.
 */
__noinline int limit_refuses(__u32 id, __u32 rate, __u32 burst)
{
	struct overload *count;

	if (limit_allows(id, rate, burst))
		return 0;
	count = DRY ? NULL : bpf_map_lookup_elem(&ek_overload, &id);
	if (count)
		count->limited++;
	return 1;
}

#endif
