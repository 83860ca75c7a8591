/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Persistence: a template sends all new flows of a group of clients to the
 * server that the first one got. Its server counts even without weight or over
 * its threshold, unless it was removed. A template outlives its time while it
 * holds live flows together; then it gets 60 s again and again, and never its
 * own time-out back (IPVS).
 *
 * The rules for the word are those of the flow table: swaps only, the winner
 * counts, and only the sweep gives entries back.
 */
#ifndef EK_PERSIST_H
#define EK_PERSIST_H

#include "clock.h"
#include "select.h"
#include "tuple.h"

#define TEMPLATE_EXTENSION (60 * SECOND)
#define TEMPLATE_TRIES 4
#define GIVE_TRIES 32

/* template_holds says whether a template counts for a new flow: it lives, or
 * its time is over and it still holds flows together.
 */
static __always_inline bool template_holds(const struct template *t, union template_word w,
					   __u64 now)
{
	return w.state == TEMPLATE_LIVE && (READ_ONCE(t->expires) > now || READ_ONCE(t->controls));
}

/* template_touch gives a template its time anew. */
static __always_inline void template_touch(struct template *t, __u64 now)
{
	if (READ_ONCE(t->expires) <= now)
		WRITE_ONCE(t->timeout, TEMPLATE_EXTENSION);
	WRITE_ONCE(t->expires, now + READ_ONCE(t->timeout));
}

/* template_use counts a new flow into the template and returns its server, or
 * SELECT_NONE when it does not hold or its server was removed. The count goes
 * up before the word is looked at again: whoever ends the template meanwhile
 * has either seen the flow, or is seen here.
 */
static __always_inline __s64 template_use(struct template *t, __u64 now)
{
	union template_word seen;
	struct server *srv;
	__u32 index;
	int i;

	for (i = 0; i < TEMPLATE_TRIES; i++) {
		seen.word = READ_ONCE(t->now.word);
		if (!template_holds(t, seen, now))
			return SELECT_NONE;
		index = seen.server;
		srv = bpf_map_lookup_elem(&ek_servers, &index);
		if (!srv || srv->flags & SERVER_DELETED)
			return SELECT_NONE;
		if (DRY)
			return index;
		__sync_fetch_and_add(&t->controls, 1);
		if (READ_ONCE(t->now.word) == seen.word) {
			template_touch(t, now);
			return index;
		}
		__sync_fetch_and_add(&t->controls, -1);
	}
	return SELECT_BUSY;
}

/* template_release counts a flow out. It stands alone because its loop, inlined, was
 * most of what the verifier had to follow.
 */
__noinline int template_release(struct template *t)
{
	__u32 seen;
	int i;

	if (!t)
		return 0;
	for (i = 0; i < GIVE_TRIES; i++) {
		seen = READ_ONCE(t->controls);
		if (!seen || __sync_val_compare_and_swap(&t->controls, seen, seen - 1) == seen)
			break;
	}
	return 0;
}

/* template_give counts a flow out of the template. */
static __always_inline void template_give(const union template_tuple *key, bool v6)
{
	struct template *t = template_find(key, v6);

	if (t && !DRY)
		template_release(t);
}

/* template_bind counts a template in; by the old rules it may mark its server. */
static __always_inline void template_bind(__u32 server, const struct server *srv)
{
	struct server_conns *conns = conns_find(server);

	if (!conns)
		return;
	__sync_fetch_and_add(&conns->persistent, 1);
	if (old_thresholds && threshold_bound(srv, conns_total(conns)))
		WRITE_ONCE(conns->overloaded, 1);
}

/* template_unbind counts a template out. */
static __always_inline void template_unbind(__u32 server)
{
	struct server_conns *conns = conns_find(server);

	if (conns)
		__sync_fetch_and_add(&conns->persistent, -1);
}

/* template_set makes a template, with one flow, for the server that was just
 * chosen. old is the entry of the same clients that no longer holds, if there
 * is one; it may count flows of a server that was removed, and keeps them. It
 * returns 0, or the reason why there is no template.
 */
static __always_inline __u32 template_set(struct template *old, const union template_tuple *key,
					  bool v6, __u32 server, const struct server *srv,
					  __u64 timeout, __u64 now)
{
	struct template fresh = { .expires = now + timeout, .timeout = timeout, .controls = 1 };
	union template_word seen;
	long err;

	fresh.now.server = server;
	fresh.now.state = TEMPLATE_LIVE;
	if (DRY && !old)
		return assume.templates_full ? REASON_TEMPLATES_FULL : 0;
	if (!old) {
		err = template_add(key, v6, &fresh);
		if (err)
			return err == -EEXIST ? REASON_FLOW_BUSY : REASON_TEMPLATES_FULL;
		template_bind(server, srv);
		return 0;
	}
	seen.word = READ_ONCE(old->now.word);
	if (DRY)
		return seen.state == TEMPLATE_REMOVED ? REASON_FLOW_BUSY : 0;
	fresh.now.generation = seen.generation + 1;
	if (seen.state == TEMPLATE_REMOVED ||
	    __sync_val_compare_and_swap(&old->now.word, seen.word, fresh.now.word) != seen.word)
		return REASON_FLOW_BUSY;
	__sync_fetch_and_add(&old->controls, 1);
	WRITE_ONCE(old->timeout, timeout);
	WRITE_ONCE(old->expires, now + timeout);
	template_bind(server, srv);
	if (seen.state == TEMPLATE_LIVE)
		template_unbind(seen.server);
	return 0;
}

/* persistent_select returns the server of the client's template, or chooses
 * one and makes the template; *reason is set if that was not possible.
 */
static __always_inline __s64 persistent_select(const struct service *svc, const struct packet *p,
					       const union tuple *tuple, __u64 now, __u32 *reason)
{
	union template_tuple key;
	struct template *t;
	struct server *srv;
	__s64 chosen;
	__u32 index;

	template_tuple_of(tuple, p->v6, svc->prefix, &key);
	t = template_find(&key, p->v6);
	if (t) {
		chosen = template_use(t, now);
		if (chosen != SELECT_NONE) {
			if (DRY)
				told.templated = chosen >= 0;
			return chosen;
		}
	}
	chosen = service_select(svc, p);
	if (chosen < 0)
		return chosen;
	index = (__u32)chosen;
	srv = bpf_map_lookup_elem(&ek_servers, &index);
	if (!srv) {
		*reason = REASON_INTERNAL;
		return chosen;
	}
	*reason = template_set(t, &key, p->v6, index, srv, svc->persistence * SECOND, now);
	return chosen;
}

#endif
