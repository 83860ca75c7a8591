/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Filling and dropping the copies of hot.h, by the rules there. */
#ifndef EK_HOT_WRITE_H
#define EK_HOT_WRITE_H

#include "hot.h"

#if !DRY

/* drop_copy drops what is in a way if it is the copy of a tuple's flow, or with key the one for answers
 * with that, or may become one. False if it changed meanwhile.
 */
static __always_inline bool drop_copy(struct hot_head *head, const union tuple *t,
				      const union reply_tuple *key, bool v6)
{
	union hot_word w = { .word = READ_ONCE(head->now.word) }, next = w;

	load_barrier();
	next.kind = w.kind == HOT_BUSY ? HOT_SPOILT : HOT_EMPTY;
	if (w.kind != HOT_BUSY &&
	    !(key ? hot_answers(head, w, key, v6) : hot_is(head, w, t, v6, 0)))
		return true;
	return __sync_val_compare_and_swap(&head->now.word, w.word, next.word) == w.word;
}

/* Twice, since one that is being filled may become full just then. Whatever is filled later
 * finds the flow, and whose the answers are, as it is now.
 */
static __always_inline int drop_copies(const union tuple *t, const union reply_tuple *key, bool v6)
{
	__u64 hash = key ? hot_hash_reply(key, v6) : hot_hash(t, v6);
	void *set = hot_set(hash, v6);
	struct hot_head *head;

	if (!set)
		return 0;
#pragma unroll
	for (int i = 0; i < hot_ways(v6); i++) {
		head = hot_way(set, hash, i, v6);
		if (!drop_copy(head, t, key, v6))
			drop_copy(head, t, key, v6);
	}
	return 0;
}

/* drop_both drops both copies of a tuple's flow with a word. */
static __always_inline int drop_both(const union tuple *t, bool v6, __u64 word)
{
	union flow_word w = { .word = word };
	__u32 index = w.server;
	const struct server *srv;
	union reply_tuple key;

	drop_copies(t, NULL, v6);
	if (!(w.flags & FLOW_NAT))
		return 0;
	srv = bpf_map_lookup_elem(&ek_servers, &index);
	if (!srv)
		return 0;
	reply_tuple_of(srv, t, v6, &key);
	return drop_copies(t, &key, v6);
}

/* Functions of their own, so that the verifier follows each once. */
__noinline int hot_drop4(const struct flow_key *t, __u64 word)
{
	return t ? drop_both((const union tuple *)t, false, word) : 0;
}

__noinline int hot_drop6(const struct flow6_key *t, __u64 word)
{
	return t ? drop_both((const union tuple *)t, true, word) : 0;
}

__noinline int hot_drop_reply4(const struct reply_key *key)
{
	return key ? drop_copies(NULL, (const union reply_tuple *)key, false) : 0;
}

__noinline int hot_drop_reply6(const struct reply6_key *key)
{
	return key ? drop_copies(NULL, (const union reply_tuple *)key, true) : 0;
}

/* hot_drop drops the copies of a tuple's flow. The tuple is copied, since it may be the key of
 * a map, which the kernel lets no such function write to.
 */
static __always_inline void hot_drop(const union tuple *t, bool v6, union flow_word w)
{
	if (v6) {
		struct flow6_key key = t->v6;

		hot_drop6(&key, w.word);
	} else {
		struct flow_key key = t->v4;

		hot_drop4(&key, w.word);
	}
}

/* hot_drop_reply drops the copy that answers with this tuple go by. */
static __always_inline void hot_drop_reply(const union reply_tuple *key, bool v6)
{
	if (v6)
		hot_drop_reply6(&key->v6);
	else
		hot_drop_reply4(&key->v4);
}

/* hot_place returns where to put the copy of a tuple's flow, or with key the one for its answers, and in
 * seen what is there: a place that is empty, or else of a flow that was not used since. NULL if
 * there is none, or the flow has the copy. Only one for answers is made anew, in its place.
 */
static __always_inline struct hot_head *hot_place(const union tuple *t,
						  const union reply_tuple *key, bool v6,
						  __u64 since, union hot_word *seen)
{
	__u64 hash = key ? hot_hash_reply(key, v6) : hot_hash(t, v6);
	void *set = hot_set(hash, v6);
	struct hot_head *head, *place = NULL;
	union hot_word w;

	if (!set)
		return NULL;
#pragma unroll
	for (int i = 0; i < hot_ways(v6); i++) {
		head = hot_way(set, hash, i, v6);
		w.word = READ_ONCE(head->now.word);
		load_barrier();
		if (hot_is(head, w, t, v6, key ? HOT_REPLY : 0)) {
			if (!key || hot_holds(head, tick_now()))
				return NULL;
			*seen = w;
			return head;
		}
		if (w.kind == HOT_EMPTY ? place && seen->kind == HOT_EMPTY
					: place || w.kind < HOT_FULL || hot_used(head) > since)
			continue;
		place = head;
		*seen = w;
	}
	return place;
}

/* hot_tuple is the tuple of a copy. */
static __always_inline void hot_tuple(const struct hot_head *head, union hot_word w, bool v6,
				      union tuple *t)
{
	const struct hot6 *six = (const void *)head;
	const struct hot *four = (const void *)head;

	if (v6) {
		t->v6 = (struct flow6_key){ .cport = head->cport,
					    .vport = head->vport,
					    .proto = hot_proto(w) };
		addr6_copy(t->v6.caddr, six->caddr);
		addr6_copy(t->v6.vaddr, six->vaddr);
	} else {
		t->v4 = (struct flow_key){ .caddr = four->caddr,
					   .vaddr = four->vaddr,
					   .cport = head->cport,
					   .vport = head->vport,
					   .proto = hot_proto(w) };
	}
}

/* hot_begin makes a place, as it was seen, this CPU's own and returns its word; of another
 * kind than HOT_BUSY if another CPU was faster.
 */
static __always_inline union hot_word hot_begin(struct hot_head *head, union hot_word seen)
{
	union hot_word busy = seen, none = {};

	busy.kind = HOT_BUSY;
	busy.turn++;
	if (__sync_val_compare_and_swap(&head->now.word, seen.word, busy.word) != seen.word)
		return none;
	return busy;
}

/* hot_fill writes a tuple into such a place. */
static __always_inline void hot_fill(struct hot_head *head, const union tuple *t, bool v6)
{
	struct hot6 *six = (void *)head;
	struct hot *four = (void *)head;

	if (v6) {
		head->cport = t->v6.cport;
		head->vport = t->v6.vport;
		addr6_copy(six->caddr, t->v6.caddr);
		addr6_copy(six->vaddr, t->v6.vaddr);
	} else {
		head->cport = t->v4.cport;
		head->vport = t->v4.vport;
		four->caddr = t->v4.caddr;
		four->vaddr = t->v4.vaddr;
	}
}

static __always_inline void hot_pause(void)
{
	for (__u32 i = 0; i < test_pause; i++)
		bpf_ktime_get_ns();
}

/* hot_end makes it what next says, unless it was spoilt meanwhile. */
static __always_inline void hot_end(struct hot_head *head, union hot_word busy, union hot_word next)
{
	next.turn = busy.turn;
	if (__sync_val_compare_and_swap(&head->now.word, busy.word, next.word) == busy.word)
		return;
	next.kind = HOT_EMPTY;
	__sync_lock_test_and_set(&head->now.word, next.word);
}

#else

#define hot_drop(t, v6, w) ((void)(t), (void)(v6), (void)(w))
#define hot_drop_reply(key, v6) ((void)(key), (void)(v6))

#endif

#endif
