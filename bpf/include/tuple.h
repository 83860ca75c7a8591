/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The keys of flows, replies and templates, which lie in other maps for each
 * family. v6 says which member of a union holds; it is a constant in every program.
 */
#ifndef EK_TUPLE_H
#define EK_TUPLE_H

#include "explain.h"
#include "parse.h"

union tuple {
	struct flow_key v4;
	struct flow6_key v6;
};

union reply_tuple {
	struct reply_key v4;
	struct reply6_key v6;
};

union template_tuple {
	struct template_key v4;
	struct template6_key v6;
};

static __always_inline __be16 tuple_vport(const union tuple *t, bool v6)
{
	return v6 ? t->v6.vport : t->v4.vport;
}

/* tuple_of_request is the flow's tuple in a packet of the client. */
static __always_inline void tuple_of_request(const struct packet *p, union tuple *t)
{
	if (p->v6) {
		addr6_copy(t->v6.caddr, p->ip6->saddr);
		addr6_copy(t->v6.vaddr, p->ip6->daddr);
		t->v6.cport = p->sport;
		t->v6.vport = p->dport;
		t->v6.proto = p->proto;
		t->v6.pad[0] = t->v6.pad[1] = t->v6.pad[2] = 0;
		return;
	}
	t->v4.caddr = p->ip->saddr;
	t->v4.vaddr = p->ip->daddr;
	t->v4.cport = p->sport;
	t->v4.vport = p->dport;
	t->v4.proto = p->proto;
	t->v4.pad[0] = t->v4.pad[1] = t->v4.pad[2] = 0;
}

/* reply_tuple_of is the tuple of a server's packets that answer a flow. */
static __always_inline void reply_tuple_of(const struct server *srv, const union tuple *t, bool v6,
					   union reply_tuple *out)
{
	if (v6) {
		out->v6 = (struct reply6_key){ .sport = srv->port,
					       .cport = t->v6.cport,
					       .proto = t->v6.proto };
		addr6_copy(out->v6.saddr, srv->addr);
		addr6_copy(out->v6.caddr, t->v6.caddr);
	} else {
		out->v4 = (struct reply_key){ .saddr = addr4_of(srv->addr),
					      .caddr = t->v4.caddr,
					      .sport = srv->port,
					      .cport = t->v4.cport,
					      .proto = t->v4.proto };
	}
}

/* tuple_of_answered looks a server's tuple up in the map of replies, and completes
 * the tuple of the flow that it answers; false if it answers none.
 */
static __always_inline bool tuple_of_answered(const union reply_tuple *key, bool v6, union tuple *t)
{
	if (v6) {
		const struct reply6 *reply = bpf_map_lookup_elem(&ek_replies6, key);

		if (!reply)
			return false;
		t->v6 = (struct flow6_key){ .cport = key->v6.cport,
					    .vport = reply->vport,
					    .proto = key->v6.proto };
		addr6_copy(t->v6.caddr, key->v6.caddr);
		addr6_copy(t->v6.vaddr, reply->vaddr);
	} else {
		const struct reply *reply = bpf_map_lookup_elem(&ek_replies, key);

		if (!reply)
			return false;
		t->v4 = (struct flow_key){ .caddr = key->v4.caddr,
					   .vaddr = reply->vaddr,
					   .cport = key->v4.cport,
					   .vport = reply->vport,
					   .proto = key->v4.proto };
	}
	return true;
}

/* tuple_of_reply is tuple_of_answered for a packet of the server. */
static __always_inline bool tuple_of_reply(const struct packet *p, union tuple *t)
{
	union reply_tuple key;

	if (p->v6) {
		key.v6 = (struct reply6_key){ .sport = p->sport,
					      .cport = p->dport,
					      .proto = p->proto };
		addr6_copy(key.v6.saddr, p->ip6->saddr);
		addr6_copy(key.v6.caddr, p->ip6->daddr);
	} else {
		key.v4 = (struct reply_key){ .saddr = p->ip->saddr,
					     .caddr = p->ip->daddr,
					     .sport = p->sport,
					     .cport = p->dport,
					     .proto = p->proto };
	}
	return tuple_of_answered(&key, p->v6, t);
}

/* shard_of is the number of the map that holds a flow. The multiplier is 2^32 divided
 * by the golden ratio; its product's high bits depend on every bit of the sum.
 */
static __always_inline __u32 shard_of(const union tuple *t, bool v6)
{
	__u32 mix;

	_Static_assert(FLOW_SHARDS == 16, "the shift keeps four bits");
	if (v6)
		mix = addr6_mix(t->v6.caddr) ^ ((__u32)t->v6.cport << 16 | t->v6.vport);
	else
		mix = t->v4.caddr ^ ((__u32)t->v4.cport << 16 | t->v4.vport);
	return (mix * 0x9e3779b1U) >> 28;
}

static __always_inline void explain_tuple(const union tuple *t, bool v6)
{
	if (!DRY)
		return;
	told.v6 = v6;
	told.shard = shard_of(t, v6);
	if (v6)
		told.key6 = t->v6;
	else
		told.key = t->v4;
}

/* flow_shard returns the map that holds the tuple's flow. */
static __always_inline void *flow_shard(const union tuple *t, bool v6)
{
	__u32 shard = shard_of(t, v6);

	explain_tuple(t, v6);
	if (v6)
		return bpf_map_lookup_elem(&ek_flows6, &shard);
	return bpf_map_lookup_elem(&ek_flows, &shard);
}

/* template_tuple_of is the key of the template for a flow's client. */
static __always_inline void template_tuple_of(const union tuple *t, bool v6, __u8 prefix,
					      union template_tuple *out)
{
	if (v6) {
		const __be32 *client = (const __be32 *)t->v6.caddr;
		__be32 *group = (__be32 *)out->v6.caddr;

		group[0] = addr_masked(client[0], 0, prefix);
		group[1] = addr_masked(client[1], 32, prefix);
		group[2] = addr_masked(client[2], 64, prefix);
		group[3] = addr_masked(client[3], 96, prefix);
		addr6_copy(out->v6.vaddr, t->v6.vaddr);
		out->v6.vport = t->v6.vport;
		out->v6.proto = t->v6.proto;
		out->v6.prefix = prefix;
	} else {
		out->v4.caddr = addr_masked(t->v4.caddr, 0, prefix);
		out->v4.vaddr = t->v4.vaddr;
		out->v4.vport = t->v4.vport;
		out->v4.proto = t->v4.proto;
		out->v4.prefix = prefix;
	}
}

static __always_inline struct template *template_find(const union template_tuple *key, bool v6)
{
	if (v6)
		return bpf_map_lookup_elem(&ek_templates6, key);
	return bpf_map_lookup_elem(&ek_templates, key);
}

static __always_inline long template_add(const union template_tuple *key, bool v6,
					 const struct template *fresh)
{
	if (v6)
		return bpf_map_update_elem(&ek_templates6, key, fresh, BPF_NOEXIST);
	return bpf_map_update_elem(&ek_templates, key, fresh, BPF_NOEXIST);
}

#endif
