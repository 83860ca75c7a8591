/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Opening a flow, in the entry of an old one or in a free one. */
#ifndef EK_OPEN_H
#define EK_OPEN_H

#include "overload.h"

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
	__u32 low; /* set if the shard has little room left; for make_room */
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
	w.state = FLOW_NONE;
	if (o->p->is_tcp)
		return flow_step(w, INPUT, true, o->p->event);
	/* An INIT alone opens a flow of SCTP. Computed, since each branch would be two ways
	 * to follow for the verifier.
	 */
	_Static_assert(IPPROTO_UDP >> 7 == 0 && IPPROTO_SCTP >> 7 == 1, "the bit tells them apart");
	w.state = FLOW_UDP + (o->p->proto >> 7) * (FLOW_SCTP_INIT1 - FLOW_UDP);
	return w;
}

/* way_back notes the way to where the frame came from. */
static __always_inline void way_back(struct flow *flow, const struct packet *p)
{
	flow->request.ifindex = p->port->ifindex;
	mac_copy(flow->request.dmac, p->eth->h_source);
	mac_copy(flow->request.smac, p->eth->h_dest);
	flow->request_vlan = p->port->vlan;
}

/* flow_replace puts a new flow into the entry of an old one, which may be live
 * (port reuse), expired or dead, and leaves it owned. The new one is counted in
 * before the old one is counted out.
 */
static __always_inline __u32 flow_replace(const struct opening *o, union flow_word w,
					  const struct server *srv)
{
	struct flow *flow = o->old;

	if (DRY)
		return 0;
	if (!flow_own(flow, o->tuple, o->p->v6, o->seen))
		return REASON_FLOW_BUSY;
	conns_bind(w.server, srv, flow_is_active(w));
	if (o->seen.state < FLOW_STATES)
		flow_unbind(flow, o->seen, o->tuple, o->p->v6);
	WRITE_ONCE(flow->expires, o->now + flow_timeout(w.state));
	WRITE_ONCE(flow->reply_checked, 0);
	way_back(flow, o->p);
	WRITE_ONCE(flow->prefix, o->prefix);
	return 0;
}

/* flow_generation is one that neither the old flow of this entry has, nor a flow that
 * had this memory a moment ago: places in the ring are given out once. Datagrams'
 * flows have no place; they are not evicted.
 */
static __always_inline __u16 flow_generation(const struct opening *o)
{
	__u16 next = o->old ? o->seen.generation + 1 : 0, place;

	if (!o->p->is_tcp && proto_is(o->p, IPPROTO_UDP))
		return next;
	place = ring_push(o->tuple, o->p->v6);
	return o->old && place == o->seen.generation ? next : place;
}

/* flow_insert adds a new entry; 0, or the reason why there is none. A flow that is whole is open with it,
 * and counted in a moment after; any other it leaves owned. The place in the ring of a flow that found
 * no room, or another CPU's entry, leads nowhere.
 */
static __always_inline __u32 flow_insert(struct opening *o, union flow_word *w, bool whole,
					 const struct server *srv)
{
	struct flow flow = { .prefix = o->prefix };
	long err;

	if (DRY)
		return assume.flows_full ? REASON_FLOW_TABLE_FULL : 0;
	flow.expires = o->now + flow_timeout(w->state);
	way_back(&flow, o->p);
	if (whole)
		w->generation = flow_generation(o);
	flow.now = *w;
	if (!whole)
		flow.now.state = FLOW_OWNED;
	err = bpf_map_update_elem(o->shard, o->tuple, &flow, BPF_NOEXIST);
	if (err == -EEXIST)
		return REASON_FLOW_BUSY;
	o->low = room_taken(shard_of(o->tuple, o->p->v6), o->p->v6, !err);
	if (err)
		return REASON_FLOW_TABLE_FULL;
	conns_bind(w->server, srv, flow_is_active(*w));
	return 0;
}

/* flow_open binds a new flow to a server. It returns 0, or the reason why the
 * flow is not open. One in a new entry is whole with it, unless its answers come through us: their tuple
 * must be there as well before anybody else sees the flow.
 */
static __always_inline __u32 flow_open(struct opening *o, __u32 server, const struct server *srv)
{
	union flow_word w = flow_born(server, srv, o);
	bool whole = !o->old && !(w.flags & FLOW_NAT);
	struct flow *flow = o->old;
	bool v6 = o->p->v6;
	__u32 reason;

	__asm__ volatile("" : "+r"(w.word)); /* or the compiler keeps it in pieces, on the stack */
	reason = flow ? flow_replace(o, w, srv) : flow_insert(o, &w, whole, srv);
	if (reason) {
		if (o->controlled)
			flow_give(o->tuple, v6, o->prefix);
		return reason;
	}
	if (!whole || DRY)
		w.generation = flow_generation(o);
	explain_flow(WAY_NEW, flow, w);
	if (whole)
		return 0;
	if (w.flags & FLOW_NAT && reply_put(srv, o->tuple, v6, w.generation))
		reason = REASON_FLOW_TABLE_FULL;
	if (!flow)
		flow = bpf_map_lookup_elem(o->shard, o->tuple);
	if (!flow || DRY)
		return reason;
	if (reason) {
		flow_unbind(flow, w, o->tuple, v6);
		flow_bury(flow, w);
		return reason;
	}
	flow_release(flow, w);
	return 0;
}

#endif
