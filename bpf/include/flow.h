/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow table behind five operations: flow_find, flow_advance and flow_kill,
 * flow_open in open.h, and the walk in sweep.h. The rules that keep the counters exact:
 *
 *  - The word of a flow changes by compare-and-swap only, and the winner
 *    applies the difference to server_conns, once.
 *  - Who opens a flow in an old entry, or ends or deletes one, first makes its word
 *    FLOW_OWNED. Until it puts another word there nobody else writes to the entry, and
 *    its key stays. A new entry comes with its flow's word, but owned if that one's answers
 *    come through us; one that is not may end before it is counted in.
 *  - A flow that ended is FLOW_DEAD. Its entry stays, and a packet of the same
 *    tuple may take it over.
 *  - Entries are given back by the sweep and, in a full table, by a packet that
 *    opens a flow (overload.h). The kernel uses a deleted entry again at once,
 *    perhaps while another CPU still holds a pointer to it. That CPU changes
 *    nothing: the new flow has another generation, so a swap fails, and what
 *    is not in the word is written only by the owner, or after a swap to a state
 *    that is not given back within a second, or (expires) by a swap itself.
 */
#ifndef EK_FLOW_H
#define EK_FLOW_H

#include "copy.h"
#include "persist.h"
#include "tcp_state.h"

/* How long after its time a flow is certainly held by no packet. */
#define FLOW_GRACE SECOND

/* How often a transition starts again because another CPU changed the flow. */
#define ADVANCE_TRIES 4

/* conns_active moves a server's active flows by 1 or -1. */
static __always_inline void conns_active(__u32 server, int change)
{
	struct server_conns *conns;

	if (!change || DRY)
		return;
	conns = conns_find(server);
	if (conns)
		__sync_fetch_and_add(&conns->active, change);
}

/* conns_mark marks a server that is full by the flow that made total. Whoever counted one out meanwhile
 * may have met no mark, so it takes it away for him.
 */
__noinline int conns_mark(__u32 server, __s32 total)
{
	struct server *srv = bpf_map_lookup_elem(&ek_servers, &server);
	struct server_conns *conns = conns_find(server);
	__s32 left;

	if (!srv || !conns)
		return 0;
	test_wait();
	__sync_lock_test_and_set(&conns->overloaded, 1);
	left = READ_ONCE(conns->total);
	if (left < total && left < (__s32)threshold_release(srv))
		WRITE_ONCE(conns->overloaded, 0);
	return 0;
}

/* conns_bind counts a flow in, and marks a server that is full by it. */
static __always_inline void conns_bind(__u32 server, const struct server *srv, int active)
{
	struct server_conns *conns = conns_find(server);
	__u32 total;

	if (!conns || DRY)
		return;
	total = __sync_fetch_and_add(&conns->total, 1) + 1;
	if (active)
		__sync_fetch_and_add(&conns->active, 1);
	if (threshold_bound(srv, total))
		conns_mark(server, total);
}

/* conns_unbind counts a flow out, and frees a server that has room by it. */
static __always_inline void conns_unbind(__u32 server, const struct server *srv, int active)
{
	struct server_conns *conns = conns_find(server);
	__u32 total;

	if (!conns || DRY)
		return;
	if (active)
		__sync_fetch_and_add(&conns->active, -1);
	total = __sync_fetch_and_add(&conns->total, -1) - 1;
	if (READ_ONCE(conns->overloaded) && threshold_unbound(srv, total))
		WRITE_ONCE(conns->overloaded, 0);
}

static __always_inline int flow_is_active(union flow_word w)
{
	return (w.flags & FLOW_INACTIVE) ^ FLOW_INACTIVE;
}

/* flow_half_open says whether a connection was asked for, but not yet taken up. Such
 * flows make room in a full table.
 */
static __always_inline bool flow_half_open(union flow_word w)
{
	return w.state == FLOW_SYN_RECV ||
	       (w.state >= FLOW_SCTP_INIT1 && w.state <= FLOW_SCTP_COOKIE_SENT);
}

/* flow_give counts a flow out of its template. */
static __always_inline void flow_give(const union tuple *t, bool v6, __u8 prefix)
{
	union template_tuple key;

	template_tuple_of(t, v6, prefix, &key);
	template_give(&key, v6);
}

/* flow_unbind counts a flow out and forgets its reply tuple. Only the owner may
 * call it.
 */
static __always_inline void flow_unbind(const struct flow *flow, union flow_word w,
					const union tuple *t, bool v6)
{
	__u32 index = w.server;
	struct server *srv;

	srv = bpf_map_lookup_elem(&ek_servers, &index);
	if (!srv)
		return;
	conns_unbind(index, srv, flow_is_active(w));
	if (w.flags & FLOW_CONTROLLED)
		flow_give(t, v6, flow->prefix);
	if (w.flags & FLOW_NAT)
		reply_forget(srv, t, v6, w.generation);
}

/* flow_own makes a flow this CPU's own, as it was seen; false if somebody was faster. */
static __always_inline bool flow_own(struct flow *flow, const union tuple *t, bool v6,
				     union flow_word seen)
{
	union flow_word owned = seen;

	owned.state = FLOW_OWNED;
	if (__sync_val_compare_and_swap(&flow->now.word, seen.word, owned.word) != seen.word)
		return false;
	if (flow_steady(seen))
		copy_drop(flow, t, v6, seen);
	return true;
}

/* flow_release ends that. An exchange, since a store may overtake the ones before it. */
static __always_inline void flow_release(struct flow *flow, union flow_word w)
{
	__sync_lock_test_and_set(&flow->now.word, w.word);
}

/* flow_bury leaves an owned flow to whoever comes next. */
static __always_inline void flow_bury(struct flow *flow, union flow_word w)
{
	w.state = FLOW_DEAD;
	flow_release(flow, w);
}

/* flow_kill ends a live flow as it was seen; false if somebody was faster. */
static __always_inline bool flow_kill(struct flow *flow, const union tuple *t, bool v6,
				      union flow_word seen)
{
	if (!flow_own(flow, t, v6, seen))
		return false;
	flow_unbind(flow, seen, t, v6);
	flow_bury(flow, seen);
	return true;
}

/* flow_live says whether the flow exists for a packet at this time. */
static __always_inline bool flow_live(struct flow *flow, const union tuple *t, bool v6,
				      union flow_word w, __u64 now)
{
	if (w.state >= FLOW_STATES)
		return false;
	return READ_ONCE(flow->expires) > now || (flow_steady(w) && copy_keeps(flow, t, v6, now));
}

/* flow_touch sets the time of death. A small difference is not worth a write to a cache
 * line that other CPUs read. The swap fails if the entry was given to another flow
 * meanwhile; should that have happened just before, that flow's next packet sets its time
 * right. Without a tuple the copy is not looked at.
 */
static __always_inline void flow_touch(struct flow *flow, const union tuple *t, bool v6,
				       union flow_word w, __u64 now)
{
	__u64 timeout = flow_timeout(w.state), slack = flow_slack(timeout);
	__u64 death = now + timeout, set = READ_ONCE(flow->expires);

	if (death - set + slack <= 2 * slack)
		return;
	if (t && flow_steady(w) && copy_touch(flow, t, v6, now))
		return;
	__sync_val_compare_and_swap(&flow->expires, set, death);
}

/* flow_step returns what a packet makes of a flow's word. */
static __always_inline union flow_word flow_step(union flow_word w, __u32 dir, __u64 is_tcp,
						 __u8 event)
{
	__u8 table = dir;

	if (!is_tcp && !(w.state & FLOW_SCTP))
		return w;
	if (dir == OUTPUT)
		w.flags &= ~FLOW_NOOUTPUT;
	else
		table = w.flags & FLOW_NOOUTPUT;
	w.state = is_tcp ? tcp_state_next(table, tcp_event(event), w.state)
			 : sctp_state_next(table, event, w.state);
	w.flags = (w.flags & ~FLOW_INACTIVE) | state_inactive(w.state);
	return w;
}

/* flow_swap puts next in the place of a flow's word, if that is still as it was seen,
 * and returns what was found there.
 */
static __always_inline union flow_word flow_swap(struct flow *flow, union flow_word seen,
						 union flow_word next, const union tuple *t,
						 bool v6, __u64 now)
{
	union flow_word found = seen;

	if (next.word != seen.word)
		found.word = __sync_val_compare_and_swap(&flow->now.word, seen.word, next.word);
	if (found.word == seen.word) {
		conns_active(seen.server, flow_is_active(next) - flow_is_active(seen));
		flow_touch(flow, t, v6, next, now);
	}
	return found;
}

/* flow_same says whether a word is of the same flow as another, and of a live one. */
static __always_inline bool flow_same(union flow_word found, union flow_word seen)
{
	return found.server == seen.server && found.generation == seen.generation &&
	       found.state < FLOW_STATES;
}

/* FLOW_LOST is no flow's word. */
#define FLOW_LOST (~0ULL)

/* flow_retry is flow_advance once another CPU has changed the flow to word. It is rare,
 * so the verifier follows it once, and not on every way. It returns the word that the
 * flow has now, or FLOW_LOST. The packet's direction, is_tcp and event stand in
 * a byte each of what.
 */
__noinline __u64 flow_retry(struct flow *flow, __u64 word, __u32 what)
{
	union flow_word seen = { .word = word }, next, found;
	__u64 now = clock_now();
	int i;

	if (!flow)
		return FLOW_LOST;
	for (i = 1; i < ADVANCE_TRIES; i++) {
		next = flow_step(seen, what >> 16 & 1, what >> 8 & 1, what);
		found = flow_swap(flow, seen, next, NULL, false, now);
		if (found.word == seen.word)
			return next.word;
		if (!flow_same(found, seen))
			break;
		seen = found;
	}
	return FLOW_LOST;
}

/* flow_advance applies a packet to a live flow: state, counters, time of
 * death. It returns false when the flow ended meanwhile.
 */
static __always_inline bool flow_advance(struct flow *flow, const union tuple *t,
					 union flow_word *w, enum direction dir,
					 const struct packet *p, __u64 now)
{
	union flow_word next = flow_step(*w, dir, p->is_tcp, p->event), found;

	if (DRY) {
		explain_flow(dir == OUTPUT ? WAY_REPLY : WAY_FLOW, flow, next);
		*w = next;
		return true;
	}
	found = flow_swap(flow, *w, next, t, p->v6, now);
	if (likely(found.word == w->word)) {
		if (flow_steady(*w) && !flow_steady(next))
			copy_drop(flow, t, p->v6, next);
		*w = next;
		return true;
	}
	if (!flow_same(found, *w))
		return false;
	w->word = flow_retry(flow, found.word, dir << 16 | p->is_tcp << 8 | p->event);
	if (w->word == FLOW_LOST)
		return false;
	if (!flow_steady(*w))
		copy_drop(flow, t, p->v6, *w);
	return true;
}

#endif
