/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A flow and its copy (hot.h): making one, and the time that both keep together. */
#ifndef EK_COPY_H
#define EK_COPY_H

#include "hop.h"
#include "reply.h"

/* flow_method is the forwarding method that the flow was born with; the server's
 * own may have been changed since.
 */
static __always_inline __u8 flow_method(union flow_word w)
{
	if (w.flags & FLOW_NAT)
		return FORWARD_NAT;
	return w.flags & FLOW_TUN ? FORWARD_TUN : FORWARD_DR;
}

/* flow_steady says whether a flow is in a state that plain packets leave as it is. */
static __always_inline bool flow_steady(union flow_word w)
{
	return w.state == FLOW_ESTABLISHED || w.state == FLOW_UDP;
}

/* flow_timeout is how long a flow in this state lives without a packet. */
static __always_inline __u64 flow_timeout(__u8 state)
{
	__u32 index = state & 31;
	struct settings *settings = bpf_map_lookup_elem(&ek_settings, &only);

	if (!settings)
		return 0;
	__asm__ volatile("" : "+r"(index)); /* the mask belongs where the index is used */
	return settings->timeout[index] * SECOND;
}

/* flow_slack is by how much a time of death may differ from what it should be before it is
 * written: a second, or an eighth of a short time-out.
 */
static __always_inline __u64 flow_slack(__u64 timeout)
{
	return timeout / 8 < SECOND ? timeout / 8 : SECOND;
}

#if !DRY
/* copy_time returns the time of death of a flow as its copy has it. */
static __always_inline __u64 copy_time(const struct flow *flow, const struct hot_head *head)
{
	union flow_word w = { .word = READ_ONCE(flow->now.word) };

	return hot_used(head) + flow_timeout(w.state);
}

/* copy_back writes it into the flow, if it is later, and returns what stands there. */
static __always_inline __u64 copy_back(struct flow *flow, const struct hot_head *head)
{
	__u64 death = copy_time(flow, head), set = READ_ONCE(flow->expires);

	if ((__s64)(death - set) <= 0)
		return set;
	__sync_val_compare_and_swap(&flow->expires, set, death);
	return death;
}

/* keeps says whether a flow lives at a time by its copy, though not by its own time. */
static __always_inline int keeps(struct flow *flow, const union tuple *t, bool v6, __u64 now)
{
	struct hot_head *head = hot_own(t, v6);

	return head && copy_time(flow, head) > now && copy_back(flow, head) > now;
}

/* touches is flow_touch for a flow in a steady state that has a copy; 0 if it has none. */
static __always_inline int touches(struct flow *flow, const union tuple *t, bool v6, __u64 now)
{
	union flow_word w = { .word = READ_ONCE(flow->now.word) };
	__u64 timeout = flow_timeout(w.state), slack = flow_slack(timeout);
	struct hot_head *head = hot_own(t, v6);
	__u64 death = now + timeout, set;

	if (!head)
		return 0;
	set = copy_back(flow, head);
	if (death - set + slack <= 2 * slack)
		return 1;
	hot_stamp(head, now, now, slack);
	__sync_val_compare_and_swap(&flow->expires, set, death);
	return 1;
}

/* copy_leave writes the time of a copy back whose place is given away, unless it is one for answers:
 * those have the flow's own.
 */
static __always_inline void copy_leave(const struct hot_head *head, union hot_word w, bool v6)
{
	union flow_word is;
	struct flow *flow;
	union tuple t;
	void *shard;

	if (hot_proto(w) & HOT_REPLY)
		return;
	hot_tuple(head, w, v6, &t);
	shard = flow_shard(&t, v6);
	flow = shard ? bpf_map_lookup_elem(shard, &t) : NULL;
	if (!flow)
		return;
	is.word = READ_ONCE(flow->now.word);
	if (is.server == w.server && flow_steady(is))
		copy_back(flow, head);
}

/* copy_put fills the copy of a flow, or with key the one for its answers, which leave by a hop, unless there
 * is no place for it that was not used since.
 */
static __always_inline int copy_put(struct flow *flow, const union tuple *t,
				    const union reply_tuple *key, bool v6, union flow_word w,
				    __u32 hop, __u64 since)
{
	union hot_word copy = {}, seen = {}, busy;
	struct hot_head *place = hot_place(t, key, v6, since, &seen);
	union flow_word after;
	__u64 timeout, left;

	if (!place)
		return 0;
	left = READ_ONCE(place->used);
	/* Where it was never moved on, the flow has the same time. */
	if (seen.kind >= HOT_FULL && left & HOT_LOOKS)
		copy_leave(place, seen, v6);
	/* Before the swap: who takes the flow out of its state looks here after that. */
	WRITE_ONCE(flow->copied, 1);
	test_wait();
	busy = hot_begin(place, seen);
	if (busy.kind != HOT_BUSY)
		return 0;
	if (seen.kind >= HOT_FULL && READ_ONCE(place->used) != left) {
		hot_end(place, busy, seen); /* it is used after all */
		return 0;
	}
	hot_fill(place, t, v6);
	timeout = flow_timeout(w.state);
	hot_stamp(place, READ_ONCE(flow->expires) - timeout, clock_now(), flow_slack(timeout));
	/* Who changes the state writes the time after it. */
	load_barrier();
	after.word = READ_ONCE(flow->now.word);
	if (after.server == w.server && after.generation == w.generation && flow_steady(after) &&
	    (!key || reply_is(key, t, v6, w.generation))) {
		copy.server = w.server;
		copy.hop = hop;
		copy.kind = hot_kind(v6 ? t->v6.proto : t->v4.proto, flow_method(w)) |
			    (key ? HOT_REPLY << HOT_METHOD_BITS : 0);
	}
	test_wait();
	hot_end(place, busy, copy);
	return 0;
}

/* copies puts a copy of a flow, as a packet has left it, where the next packets find it,
 * unless the packet comes long after another. set was the flow's time of death before it.
 */
static __always_inline int copies(struct flow *flow, const union tuple *t, bool v6, __u64 word,
				  __u64 set)
{
	union flow_word w = { .word = word };
	__u64 timeout = flow_timeout(w.state), slack = flow_slack(timeout), now = clock_now();
	__u64 pause = now + timeout - set;
	bool often = pause <= slack / HOT_OFTEN;

	if (!often && (slack < SECOND || pause > HOT_PAUSE))
		return 0;
	return copy_put(flow, t, NULL, v6, w, 0, now - (often ? HOT_SELDOM : HOT_IDLE));
}

/* replies puts one for its answers, whose next hop was asked for not long ago. */
static __always_inline int replies(struct flow *flow, const union tuple *t, bool v6, __u64 word,
				   __u32 hop)
{
	union flow_word w = { .word = word };
	__u32 index = w.server;
	const struct server *srv = bpf_map_lookup_elem(&ek_servers, &index);
	union reply_tuple key;

	if (!srv)
		return 0;
	reply_tuple_of(srv, t, v6, &key);
	return copy_put(flow, t, &key, v6, w, hop, clock_now() - HOT_IDLE);
}

/* hop_of returns the number of the next hop of a flow's answers, 0 for none. */
__noinline int hop_of(const struct flow *flow)
{
	struct hop hop = {};
	__u64 checked;

	if (!flow)
		return 0;
	checked = READ_ONCE(flow->reply_checked);
	load_barrier();
	hop.link = flow->reply;
	hop.vlan = flow->reply_vlan;
	hop.mtu = READ_ONCE(flow->reply_mtu);
	hop.used = clock_now() / SECOND + 1;
	load_barrier();
	if (!checked || !hop.link.ifindex || READ_ONCE(flow->reply_checked) != checked)
		return 0; /* reply_route writes it just now, or knew of none */
	return hop_number(&hop);
}

/* Functions of their own, so that the verifier follows each once. */
__noinline int keeps4(struct flow *flow, const struct flow_key *t, __u64 now)
{
	return flow && t ? keeps(flow, (const union tuple *)t, false, now) : 0;
}

__noinline int keeps6(struct flow *flow, const struct flow6_key *t, __u64 now)
{
	return flow && t ? keeps(flow, (const union tuple *)t, true, now) : 0;
}

__noinline int touches4(struct flow *flow, const struct flow_key *t, __u64 now)
{
	return flow && t ? touches(flow, (const union tuple *)t, false, now) : 0;
}

__noinline int touches6(struct flow *flow, const struct flow6_key *t, __u64 now)
{
	return flow && t ? touches(flow, (const union tuple *)t, true, now) : 0;
}

__noinline int copies4(struct flow *flow, const struct flow_key *t, __u64 word, __u64 set)
{
	return flow && t ? copies(flow, (const union tuple *)t, false, word, set) : 0;
}

__noinline int copies6(struct flow *flow, const struct flow6_key *t, __u64 word, __u64 set)
{
	return flow && t ? copies(flow, (const union tuple *)t, true, word, set) : 0;
}

__noinline int replies4(struct flow *flow, const struct flow_key *t, __u64 word, __u32 hop)
{
	return flow && t ? replies(flow, (const union tuple *)t, false, word, hop) : 0;
}

__noinline int replies6(struct flow *flow, const struct flow6_key *t, __u64 word, __u32 hop)
{
	return flow && t ? replies(flow, (const union tuple *)t, true, word, hop) : 0;
}

/* copy_drop drops the copies of a flow whose state was changed by a swap just before; w is its word before
 * or after that.
 */
static __always_inline void copy_drop(const struct flow *flow, const union tuple *t, bool v6,
				      union flow_word w)
{
	if (READ_ONCE(flow->copied))
		hot_drop(t, v6, w);
}

/* copy_keeps copies the tuple as hot_drop does. */
static __always_inline bool copy_keeps(struct flow *flow, const union tuple *t, bool v6, __u64 now)
{
	if (!READ_ONCE(flow->copied))
		return false;
	if (v6) {
		struct flow6_key key = t->v6;

		return keeps6(flow, &key, now);
	} else {
		struct flow_key key = t->v4;

		return keeps4(flow, &key, now);
	}
}

static __always_inline bool copy_touch(struct flow *flow, const union tuple *t, bool v6, __u64 now)
{
	if (!READ_ONCE(flow->copied))
		return false;
	return v6 ? touches6(flow, &t->v6, now) : touches4(flow, &t->v4, now);
}

static __always_inline void copy_make(struct flow *flow, const union tuple *t, bool v6,
				      union flow_word w, __u64 set)
{
	if (v6)
		copies6(flow, &t->v6, w.word, set);
	else
		copies4(flow, &t->v4, w.word, set);
}

/* copy_make_reply lets the answers of a flow go by a copy, too. */
static __always_inline void copy_make_reply(struct flow *flow, const union tuple *t, bool v6,
					    union flow_word w)
{
	__u32 hop = hop_of(flow);

	if (!hop)
		return;
	if (v6)
		replies6(flow, &t->v6, w.word, hop);
	else
		replies4(flow, &t->v4, w.word, hop);
}

#else

#define copy_drop(flow, t, v6, w) ((void)(flow), (void)(t), (void)(v6), (void)(w))
#define copy_keeps(flow, t, v6, now) ((void)(t), (void)(v6), false)
#define copy_touch(flow, t, v6, now) ((void)(v6), false)
#define copy_make(flow, t, v6, w, set) ((void)(t), (void)(set))
#define copy_make_reply(flow, t, v6, w) ((void)(t), (void)(v6))

#endif

#endif
