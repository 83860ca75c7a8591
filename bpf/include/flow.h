/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow table behind five operations: flow_find, flow_open, flow_advance,
 * flow_kill, and the walk in sweep.h. The rules that keep the counters exact:
 *
 *  - The word of a flow changes by compare-and-swap only, and the winner
 *    applies the difference to server_conns, once.
 *  - A flow dies by becoming FLOW_DEAD; that counts it out. Its entry stays
 *    and a packet of the same tuple may take it over, again by a swap.
 *  - Only the sweep gives entries back: it makes FLOW_DEAD FLOW_REMOVED, which
 *    nobody takes over, and then deletes the key.
 */
#ifndef EK_FLOW_H
#define EK_FLOW_H

#include "clock.h"
#include "persist.h"
#include "tcp_state.h"

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
		WRITE_ONCE(conns->overloaded, 1);
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

/* flow_method is the forwarding method that the flow was born with; the server's
 * own may have been changed since.
 */
static __always_inline __u8 flow_method(union flow_word w)
{
	if (w.flags & FLOW_NAT)
		return FORWARD_NAT;
	return w.flags & FLOW_TUN ? FORWARD_TUN : FORWARD_DR;
}

/* flow_live says whether the flow exists for a packet at this time. */
static __always_inline bool flow_live(const struct flow *flow, union flow_word w, __u64 now)
{
	return w.state < FLOW_STATES && READ_ONCE(flow->expires) > now;
}

/* flow_give counts a flow out of its template. */
static __always_inline void flow_give(const union tuple *t, bool v6, __u8 prefix)
{
	union template_tuple key;

	template_tuple_of(t, v6, prefix, &key);
	template_give(&key, v6);
}

/* flow_unbind counts a flow out and forgets its reply tuple. Only who won the
 * swap that ended the flow may call it.
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

/* flow_kill ends a live flow as it was seen; false if somebody was faster. */
static __always_inline bool flow_kill(struct flow *flow, const union tuple *t, bool v6,
				      union flow_word seen)
{
	union flow_word dead = seen;

	dead.state = FLOW_DEAD;
	if (__sync_val_compare_and_swap(&flow->now.word, seen.word, dead.word) != seen.word)
		return false;
	flow_unbind(flow, seen, t, v6);
	return true;
}

/* flow_timeout is how long a flow in this state lives without a packet. */
static __always_inline __u64 flow_timeout(__u8 state)
{
	__u32 zero = 0, index = state & 15;
	struct settings *settings = bpf_map_lookup_elem(&ek_settings, &zero);

	if (!settings)
		return 0;
	__asm__ volatile("" : "+r"(index)); /* the mask belongs where the index is used */
	return settings->timeout[index] * SECOND;
}

/* flow_touch sets the time of death. A difference of less than a second, or an
 * eighth of a short time-out, is not worth a write to a cache line that other
 * CPUs read.
 */
static __always_inline void flow_touch(struct flow *flow, __u8 state, __u64 now)
{
	__u64 timeout = flow_timeout(state);
	__u64 expires = now + timeout, set = READ_ONCE(flow->expires);
	__u64 slack = timeout / 8 < SECOND ? timeout / 8 : SECOND;

	if (expires - set + slack > 2 * slack)
		WRITE_ONCE(flow->expires, expires);
}

/* flow_step returns what a packet makes of a flow's word. */
static __always_inline union flow_word flow_step(union flow_word w, enum direction dir,
						 const struct packet *p)
{
	__u8 table = dir;

	if (!p->is_tcp)
		return w;
	if (dir == OUTPUT)
		w.flags &= ~FLOW_NOOUTPUT;
	else
		table = w.flags & FLOW_NOOUTPUT;
	w.state = tcp_state_next(table, tcp_event(p->tcp_flags), w.state);
	w.flags = (w.flags & ~FLOW_INACTIVE) | tcp_state_inactive(w.state);
	return w;
}

/* flow_advance applies a packet to a live flow: state, counters, time of
 * death. It returns false when the flow ended meanwhile.
 */
static __always_inline bool flow_advance(struct flow *flow, union flow_word *w, enum direction dir,
					 const struct packet *p, __u64 now)
{
	union flow_word seen = *w, next, found;
	int i;

	for (i = 0; i < ADVANCE_TRIES; i++) {
		next = flow_step(seen, dir, p);
		if (DRY) {
			explain_flow(dir == OUTPUT ? WAY_REPLY : WAY_FLOW, flow, next);
			*w = next;
			return true;
		}
		found.word = seen.word;
		if (next.word != seen.word)
			found.word = __sync_val_compare_and_swap(&flow->now.word, seen.word,
								 next.word);
		if (found.word == seen.word) {
			conns_active(seen.server, flow_is_active(next) - flow_is_active(seen));
			flow_touch(flow, next.state, now);
			*w = next;
			return true;
		}
		if (found.server != seen.server || found.generation != seen.generation ||
		    found.state >= FLOW_STATES)
			return false;
		seen = found;
	}
	return false;
}

/* opening is a packet that may open a flow, with what is known of its tuple. It
 * holds no storage that helpers are given the address of, so that the compiler can
 * keep it, and the packet, in registers.
 */
struct opening {
	struct packet *p;
	__u64 now;
	void *shard;
	const union tuple *tuple;
	struct flow *old; /* the entry of the same tuple, which may be taken over */
	union flow_word seen;
	__u8 prefix; /* of the template that controls the flow */
	bool controlled;
};

/* flow_born is the word of a flow that this packet opens. */
static __always_inline union flow_word flow_born(__u32 server, const struct server *srv,
						 const struct opening *o)
{
	union flow_word w = {};

	w.server = server;
	w.flags = FLOW_INACTIVE | (srv->forward == FORWARD_NAT ? FLOW_NAT : FLOW_NOOUTPUT) |
		  (srv->forward == FORWARD_TUN ? FLOW_TUN : 0) |
		  (o->controlled ? FLOW_CONTROLLED : 0);
	w.state = o->p->is_tcp ? FLOW_NONE : FLOW_UDP;
	return flow_step(w, INPUT, o->p);
}

/* link_turn is the way back to where the frame came from. */
static __always_inline void link_turn(struct link *link, const struct packet *p)
{
	link->ifindex = p->ctx->ingress_ifindex;
	mac_copy(link->dmac, p->eth->h_source);
	mac_copy(link->smac, p->eth->h_dest);
}

/* flow_replace puts a new flow into the entry of an old one, which may be live
 * (port reuse), expired or dead. The new one is counted in before the old one
 * is counted out.
 */
static __always_inline bool flow_replace(const struct opening *o, union flow_word *w,
					 const struct server *srv)
{
	struct flow *flow = o->old;

	w->generation = o->seen.generation + 1;
	if (DRY)
		return true;
	/* Before the swap: the sweep must not meet the new word with the old time. */
	WRITE_ONCE(flow->expires, o->now + flow_timeout(w->state));
	if (__sync_val_compare_and_swap(&flow->now.word, o->seen.word, w->word) != o->seen.word)
		return false;
	WRITE_ONCE(flow->reply_checked, 0);
	link_turn(&flow->request, o->p);
	conns_bind(w->server, srv, flow_is_active(*w));
	if (o->seen.state < FLOW_STATES)
		flow_unbind(flow, o->seen, o->tuple, o->p->v6);
	WRITE_ONCE(flow->prefix, o->prefix);
	return true;
}

/* flow_insert adds a new entry; 0, or the reason why there is none. */
static __always_inline __u32 flow_insert(const struct opening *o, union flow_word w,
					 const struct server *srv)
{
	struct flow flow = { .prefix = o->prefix };
	long err;

	if (DRY)
		return assume.flows_full ? REASON_FLOW_TABLE_FULL : 0;
	flow.now = w;
	flow.expires = o->now + flow_timeout(w.state);
	link_turn(&flow.request, o->p);
	err = bpf_map_update_elem(o->shard, o->tuple, &flow, BPF_NOEXIST);
	if (err)
		return err == -EEXIST ? REASON_FLOW_BUSY : REASON_FLOW_TABLE_FULL;
	conns_bind(w.server, srv, flow_is_active(w));
	return 0;
}

/* flow_open binds a new flow to a server. It returns 0, or the reason why the
 * flow is not open.
 */
static __always_inline __u32 flow_open(const struct opening *o, __u32 server,
				       const struct server *srv)
{
	union flow_word w = flow_born(server, srv, o);
	struct flow *flow = o->old;
	bool v6 = o->p->v6;
	__u32 reason;

	if (flow)
		reason = flow_replace(o, &w, srv) ? 0 : REASON_FLOW_BUSY;
	else
		reason = flow_insert(o, w, srv);
	if (reason) {
		if (o->controlled)
			flow_give(o->tuple, v6, o->prefix);
		return reason;
	}
	explain_flow(WAY_NEW, flow, w);
	if (!(w.flags & FLOW_NAT) || !reply_put(srv, o->tuple, v6, w.generation))
		return 0;
	if (!flow)
		flow = bpf_map_lookup_elem(o->shard, o->tuple);
	if (flow && !DRY)
		flow_kill(flow, o->tuple, v6, w);
	return REASON_FLOW_TABLE_FULL;
}

#endif
