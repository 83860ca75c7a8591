/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows and templates that come from another datapath, counted as if they had begun
 * here.
 */
#ifndef EK_IMPORT_H
#define EK_IMPORT_H

#include "overload.h"
#include "persist.h"

/* What ek_import returns. */
enum { IMPORT_DONE = 0, IMPORT_KNOWN = 1, IMPORT_FULL = 2 };

/* import_word is the word of a flow that began elsewhere. Replies of a NAT flow
 * passed there, so it is not one without output.
 */
static __always_inline union flow_word import_word(const struct import *in,
						   const struct server *srv)
{
	union flow_word w = { .server = in->server };

	w.state = in->state;
	w.flags = srv->forward == FORWARD_NAT ? FLOW_NAT : FLOW_NOOUTPUT;
	if (srv->forward == FORWARD_TUN)
		w.flags |= FLOW_TUN;
	w.flags |= state_inactive(in->state);
	return w;
}

/* import_replace is flow_replace for a flow without a packet: it puts the flow into
 * the entry of an old one and leaves it owned. A flow that lives here is younger
 * than what the other datapath knows.
 */
static __always_inline bool import_replace(struct flow *flow, union flow_word *w,
					   const struct server *srv, const union tuple *t, bool v6,
					   __u64 now, __u64 expires)
{
	union flow_word seen = { .word = READ_ONCE(flow->now.word) };

	if (seen.state == FLOW_OWNED || flow_live(flow, t, v6, seen, now) ||
	    !flow_own(flow, t, v6, seen))
		return false;
	conns_bind(w->server, srv, flow_is_active(*w));
	if (seen.state < FLOW_STATES)
		flow_unbind(flow, seen, t, v6);
	WRITE_ONCE(flow->expires, expires);
	WRITE_ONCE(flow->reply_checked, 0);
	w->generation = seen.generation + 1;
	return true;
}

/* import_insert is flow_insert without a packet; the new entry is owned. A place in
 * the ring of half-open flows it takes for its number only: it may make room.
 */
static __always_inline int import_insert(void *shard, union flow_word *w, const struct server *srv,
					 const union tuple *t, bool v6, __u64 expires)
{
	struct flow fresh = { .expires = expires };
	long err;

	w->generation = w->state == FLOW_UDP ? 0 : ring_push(t, v6);
	fresh.now = *w;
	fresh.now.state = FLOW_OWNED;
	err = bpf_map_update_elem(shard, t, &fresh, BPF_NOEXIST);
	if (err)
		return err == -EEXIST ? IMPORT_KNOWN : IMPORT_FULL;
	room_taken(shard_of(t, v6), v6, 1);
	conns_bind(w->server, srv, flow_is_active(*w));
	return IMPORT_DONE;
}

static __always_inline int import_flow(const struct import *in, const union tuple *t, bool v6)
{
	__u64 now = clock_precise(), expires = now + in->seconds * SECOND;
	void *shard = flow_shard(t, v6);
	__u32 index = in->server;
	struct server *srv = bpf_map_lookup_elem(&ek_servers, &index);
	int done = IMPORT_DONE;
	union flow_word w;
	struct flow *flow;

	if (!srv || !shard || in->state >= FLOW_STATES)
		return -1;
	w = import_word(in, srv);
	flow = bpf_map_lookup_elem(shard, t);
	if (!flow)
		done = import_insert(shard, &w, srv, t, v6, expires);
	else if (!import_replace(flow, &w, srv, t, v6, now, expires))
		done = IMPORT_KNOWN;
	if (done != IMPORT_DONE)
		return done;
	if (!flow)
		flow = bpf_map_lookup_elem(shard, t);
	if (!flow)
		return -1;
	if (!(w.flags & FLOW_NAT) || !reply_put(srv, t, v6, w.generation)) {
		flow_release(flow, w);
		return IMPORT_DONE;
	}
	flow_unbind(flow, w, t, v6);
	flow_bury(flow, w);
	return IMPORT_FULL;
}

/* import_template makes the template of a client, which holds no flows yet: those
 * that come along do not count in it. One that holds here stays.
 */
static __always_inline int import_template(const struct import *in, const union tuple *t, bool v6)
{
	__u64 now = clock_precise();
	__u32 index = in->server;
	struct server *srv = bpf_map_lookup_elem(&ek_servers, &index);
	union template_tuple key;
	union template_word seen;
	struct template *found;
	__u32 reason;

	if (!srv)
		return -1;
	template_tuple_of(t, v6, in->prefix, &key);
	found = template_find(&key, v6);
	if (found) {
		seen.word = READ_ONCE(found->now.word);
		if (template_holds(found, seen, now))
			return IMPORT_KNOWN;
	}
	reason = template_set(found, &key, v6, index, srv, in->timeout * SECOND, now);
	if (reason)
		return reason == REASON_FLOW_BUSY ? IMPORT_KNOWN : IMPORT_FULL;
	found = template_find(&key, v6);
	if (found) {
		WRITE_ONCE(found->expires, now + in->seconds * SECOND);
		template_release(found);
	}
	return IMPORT_DONE;
}

static __always_inline int import_as(const struct import *in, const union tuple *t, bool v6)
{
	return in->timeout ? import_template(in, t, v6) : import_flow(in, t, v6);
}

static __always_inline int import_any(const struct import *ctx)
{
	/* On the stack, since the kernel takes no key from an argument. */
	struct import in = *ctx;
	union tuple t = {};

	if (in.v6) {
		t.v6 = in.key;
		return import_as(&in, &t, true);
	}
	__builtin_memcpy(&t.v4, &in.key, sizeof(t.v4));
	return import_as(&in, &t, false);
}

#endif
