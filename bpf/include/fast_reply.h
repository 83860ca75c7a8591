/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast way of NAT servers' answers, by a copy of their own beside the one of the client's packets
 * (fast.h). An answer changes nothing of it: once its time is over, they take the way of all
 * packets, which makes it anew and asks for the next hop again.
 */
#ifndef EK_FAST_REPLY_H
#define EK_FAST_REPLY_H

#include "fast.h"
#include "hop.h"

#if !DRY

/* slow is the verdict that leaves a packet to the way of all packets. It is made where it is returned: the
 * compiler would keep it in a register all the way there.
 */
static __always_inline int slow(void)
{
	int verdict = LATER_BALANCE;

	__asm__ volatile("" : "+r"(verdict));
	return verdict;
}

/* answer_is is hot_answers for a packet to a client. */
static __always_inline bool answer_is(const struct hot_head *head, union hot_word w,
				      const struct packet *p)
{
	const struct udphdr *udp = fast_ports(p);
	const __u64 *six = (const void *)((const struct hot6 *)head)->caddr;
	const __be32 *client = p->ip6->daddr;

	if (hot_proto(w) != (fast_proto(p) | HOT_REPLY) || head->cport != udp->dest)
		return false;
	if (!p->v6)
		return ((const struct hot *)head)->caddr == p->ip->daddr;
	return six[0] == read8(client) && six[1] == read8(client + 2);
}

/* answer_from says whether a packet is from a server. */
static __always_inline bool answer_from(const struct packet *p, const struct server *srv)
{
	const struct udphdr *udp = fast_ports(p);

	if (srv->flags != SERVER_RESOLVED || srv->port != udp->source)
		return false;
	if (p->v6)
		return addr6_equal(srv->addr, p->ip6->saddr);
	return addr4_of(srv->addr) == p->ip->saddr;
}

/* answer_find returns the copy that an answer goes by, its word in was, and the server, or NULL if there is
 * none. A client's port may have copies for the answers of several servers in a set.
 */
static __always_inline struct hot_head *answer_find(const struct packet *p, __u64 *was,
						    const struct server **server)
{
	__u64 hash = fast_hash(p, true);
	void *set = hot_set(hash, p->v6);
	const struct server *srv;
	struct hot_head *head;
	union hot_word w;

	if (!set)
		return NULL;
#pragma unroll
	for (int i = 0; i < hot_ways(p->v6); i++) {
		head = hot_way(set, hash, i, p->v6);
		w.word = READ_ONCE(head->now.word);
		load_barrier();
		if (!answer_is(head, w, p))
			continue;
		srv = bpf_map_lookup_elem(&ek_servers, &w.server);
		if (!srv || !answer_from(p, srv))
			continue;
		*was = w.word;
		*server = srv;
		return head;
	}
	return NULL;
}

/* answer_service fills in the service's end of a copy's tuple. */
static __always_inline void answer_service(const struct hot_head *head, bool v6, union tuple *t)
{
	if (v6) {
		t->v6.vport = head->vport;
		addr6_copy(t->v6.vaddr, ((const struct hot6 *)head)->vaddr);
	} else {
		t->v4.vport = head->vport;
		t->v4.vaddr = ((const struct hot *)head)->vaddr;
	}
}

/* answer_send sends an answer as reply_send does, unless that answers it or drops it. */
static __always_inline int answer_send(struct packet *p, __u32 index, const struct server *srv,
				       const struct hop *hop, const union tuple *t)
{
	p->len = fast_len(p);
	if (packet_ttl(p) <= 1 || (unlikely(p->len > hop->mtu) && READ_ONCE(hop->mtu)))
		return slow();
	stats_out(index, &srv->service, p->len);
	if (!fast_nat(p, srv, t))
		return drop(REASON_INTERNAL);
	link_write(p->eth, hop->link.dmac);
	return finish(REASON_FORWARDED_REPLY, send_by(p, hop->link.ifindex, hop->vlan));
}

/* answer_balance sends an answer by its copy. One whose time is over is neither good luck nor bad. */
static __always_inline int answer_balance(__u32 in, struct packet *p)
{
	bool doubted = hot_doubted();
	const struct server *srv = NULL;
	const struct hop *hop;
	struct hot_head *head;
	union hot_word w;
	union tuple t;
	__u64 word = 0;

	if (!hot_worth(doubted) || !fast_parse(in, p))
		return slow();
	head = answer_find(p, &word, &srv);
	if (unlikely(!head)) {
		hot_miss();
		return slow();
	}
	if (!hot_holds(head, tick_now()))
		return slow();
	w.word = word;
	hop = hop_at(w.hop - 1);
	answer_service(head, p->v6, &t);
	load_barrier();
	if (!hop || READ_ONCE(head->now.word) != word)
		return slow();
	hot_hit(doubted);
	return answer_send(p, w.server, srv, hop, &t);
}

/* Functions of their own: the program has no room on its stack for more in place. Static, so that the verifier
 * knows of the frame and its end what the caller has found out.
 */
static __noinline int answer_fast4(struct xdp_md *ctx, __u32 in, struct ethhdr *eth, void *end)
{
	struct packet p = { .ctx = ctx, .eth = eth, .end = end, .v6 = false };

	return answer_balance(in, &p);
}

static __noinline int answer_fast6(struct xdp_md *ctx, __u32 in, struct ethhdr *eth, void *end)
{
	struct packet p = { .ctx = ctx, .eth = eth, .end = end, .v6 = true };

	return answer_balance(in, &p);
}

#endif

#endif
