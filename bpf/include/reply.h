/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tuples of NAT servers' packets: which flow an answer is of. */
#ifndef EK_REPLY_H
#define EK_REPLY_H

#include "hot_write.h"

static __always_inline bool reply_known(const union reply_tuple *key, bool v6)
{
	void *reply;

	if (v6)
		reply = bpf_map_lookup_elem(&ek_replies6, key);
	else
		reply = bpf_map_lookup_elem(&ek_replies, key);
	if (!reply)
		return false;
	__asm__ volatile(""); /* or the compiler computes with the pointer */
	return true;
}

/* reply_take gives the tuple of a NAT server's packets, which another flow may have, to a flow, and drops
 * the copy that the answers go by: who makes one later looks here.
 */
static __always_inline long reply_take(const union reply_tuple *key, const void *reply, bool v6)
{
	long err;

	if (v6)
		err = bpf_map_update_elem(&ek_replies6, key, reply, 0);
	else
		err = bpf_map_update_elem(&ek_replies, key, reply, 0);
	full_barrier();
	if (!err)
		hot_drop_reply(key, v6);
	return err;
}

/* reply_put makes the tuple of a NAT server's packets known; 0 or an error. */
static __always_inline long reply_put(const struct server *srv, const union tuple *t, bool v6,
				      __u16 generation)
{
	union reply_tuple key;
	long err;

	reply_tuple_of(srv, t, v6, &key);
	if (DRY) {
		if (!assume.replies_full)
			return 0;
		return reply_known(&key, v6) ? 0 : -1;
	}
	if (v6) {
		struct reply6 reply = { .vport = t->v6.vport, .generation = generation };

		addr6_copy(reply.vaddr, t->v6.vaddr);
		err = bpf_map_update_elem(&ek_replies6, &key, &reply, BPF_NOEXIST);
		return err == -EEXIST ? reply_take(&key, &reply, v6) : err;
	} else {
		struct reply reply = { .vaddr = t->v4.vaddr,
				       .vport = t->v4.vport,
				       .generation = generation };

		err = bpf_map_update_elem(&ek_replies, &key, &reply, BPF_NOEXIST);
		return err == -EEXIST ? reply_take(&key, &reply, v6) : err;
	}
}

/* reply_is says whether the server's packets are answers to a flow, and not to a younger one. */
static __always_inline bool reply_is(const union reply_tuple *key, const union tuple *t, bool v6,
				     __u16 generation)
{
	if (v6) {
		const struct reply6 *reply = bpf_map_lookup_elem(&ek_replies6, key);

		return reply && addr6_equal(reply->vaddr, t->v6.vaddr) &&
		       reply->vport == t->v6.vport && reply->generation == generation;
	} else {
		const struct reply *reply = bpf_map_lookup_elem(&ek_replies, key);

		return reply && reply->vaddr == t->v4.vaddr && reply->vport == t->v4.vport &&
		       reply->generation == generation;
	}
}

/* reply_forget takes the tuple away, unless it belongs to a younger flow by now,
 * of this entry or of another service on the same server.
 */
static __always_inline void reply_forget(const struct server *srv, const union tuple *t, bool v6,
					 __u16 generation)
{
	union reply_tuple key;

	reply_tuple_of(srv, t, v6, &key);
	if (!reply_is(&key, t, v6, generation))
		return;
	if (v6)
		bpf_map_delete_elem(&ek_replies6, &key);
	else
		bpf_map_delete_elem(&ek_replies, &key);
}

#endif
