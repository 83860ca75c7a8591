/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast way: plain packets (ahead.h) of flows that are established, by the flow's copy
 * (hot.h). It decides nothing that the way of all packets would decide otherwise, and
 * leaves that way each packet that is not plain: whatever changes a flow, has no copy, or
 * ends in an answer.
 */
#ifndef EK_FAST_H
#define EK_FAST_H

#include "ahead.h"
#include "forward.h"

#if !DRY

/* fast_length is a length from a header. 6.1 follows no bound through the change of byte
 * order, so one is put after it.
 */
static __always_inline __u32 fast_length(__be16 length)
{
	__u32 bytes = ntohs(length);

	__asm__ volatile("" : "+r"(bytes));
	return bytes & 0xffff;
}

/* fast_len and fast_proto read from the header once more wherever they are asked: to keep what they
 * said would take room on the stack, of which the whole program has no more.
 */
static __always_inline __u32 fast_len(const struct packet *p)
{
	if (p->v6)
		return fast_length(p->ip6->payload_len) + sizeof(*p->ip6);
	return fast_length(p->ip->tot_len);
}

static __always_inline __u8 fast_proto(const struct packet *p)
{
	return p->v6 ? p->ip6->nexthdr : p->ip->protocol;
}

/* fast_network reads the headers of IP, which ahead.h found to be there and plain; false if the
 * packet is not whole.
 */
static __always_inline bool fast_network(struct packet *p)
{
	if (p->v6) {
		p->ip6 = (void *)(p->eth + 1);
		p->header = sizeof(*p->ip6);
		p->len = fast_len(p);
		return (void *)p->ip6 + p->len <= p->end;
	}
	p->ip = (void *)(p->eth + 1);
	p->header = sizeof(*p->ip);
	p->len = fast_len(p);
	return p->len >= sizeof(*p->ip) && (void *)p->ip + p->len <= p->end;
}

/* fast_transport is where TCP or UDP begins. The compiler must not follow from the lengths that it is
 * there, as the verifier does not.
 */
static __always_inline void *fast_transport(const struct packet *p)
{
	struct ethhdr *eth = p->eth;

	if (!p->v6)
		return p->ip + 1;
	__asm__ volatile("" : "+r"(eth));
	return (struct ipv6hdr *)(eth + 1) + 1;
}

/* fast_parse fills p but for what is behind IP, which only NAT asks for again; false if the packet
 * has a reason to go up.
 */
static __always_inline bool fast_parse(__u32 in, struct packet *p)
{
	if (!port_accepts(p, in) || !fast_network(p))
		return false;
	p->proto = fast_proto(p);
	return p->proto == IPPROTO_TCP ? !tcp_refused(p, fast_transport(p))
				       : !udp_refused(p, fast_transport(p));
}

static __always_inline const void *fast_ports(const struct packet *p)
{
	return p->v6 ? (const void *)(p->ip6 + 1) : (const void *)(p->ip + 1);
}

/* fast_hash is hot_hash for a packet of the client, or with reply hot_hash_reply for one to it. */
static __always_inline __u64 fast_hash(const struct packet *p, bool reply)
{
	const __be32 *ours = reply ? p->ip6->saddr : p->ip6->daddr;
	const __be32 *client = reply ? p->ip6->daddr : p->ip6->saddr;
	__u32 ports = read4(fast_ports(p));

	if (!p->v6)
		return hot_hash4(read8(&p->ip->saddr), ports);
	return hot_hash6(words_mix(read8(ours), read8(ours + 2)), ports, read8(client),
			 read8(client + 2));
}

/* fast_is is hot_is for a packet, whose addresses and ports are compared as they lie there. */
static __always_inline bool fast_is(const struct hot_head *head, union hot_word w,
				    const struct packet *p)
{
	const __u64 *six = (const void *)((const struct hot6 *)head)->caddr;
	const __u64 *four = (const void *)&((const struct hot *)head)->caddr;
	const __be32 *addrs = p->ip6->saddr;
	__u32 ports = *(const __u32 *)&head->cport;

	if (hot_proto(w) != fast_proto(p))
		return false;
	if (!p->v6)
		return ports == read4(p->ip + 1) && four[0] == read8(&p->ip->saddr);
	return ports == read4(p->ip6 + 1) && six[0] == read8(addrs) && six[1] == read8(addrs + 2) &&
	       six[2] == read8(addrs + 4) && six[3] == read8(addrs + 6);
}

/* fast_find returns the copy of a packet's flow, and its word in was, or NULL if there is none.
 * What it says holds while its word is that one: fast_same. The word stays whole, since clang
 * would take a union apart here and put it together again.
 */
static __always_inline struct hot_head *fast_find(const struct packet *p, __u64 *was)
{
	__u64 hash = fast_hash(p, false), word;
	void *set = hot_set(hash, p->v6);
	struct hot_head *head;
	union hot_word w;

	if (!set)
		return NULL;
#pragma unroll
	for (int i = 0; i < hot_ways(p->v6); i++) {
		head = hot_way(set, hash, i, p->v6);
		word = READ_ONCE(head->now.word);
		load_barrier();
		w.word = word;
		if (!fast_is(head, w, p))
			continue;
		*was = word;
		return head;
	}
	return NULL;
}

/* fast_same says whether nobody has written to a copy since its word was read. */
static __always_inline bool fast_same(const struct hot_head *head, __u64 word)
{
	load_barrier();
	return READ_ONCE(head->now.word) == word;
}

/* fast_leave is leave for a server. */
static __always_inline int fast_leave(struct packet *p, const struct server *srv, __u32 reason)
{
	link_write(p->eth, srv->dmac);
	return finish(reason, send_by(p, srv->ifindex, srv->vlan));
}

/* fast_tunnel sends a packet to a server by the usual kind of tunnel; others are for
 * later. Few servers have no known MTU, so that is asked last, here and in fast_send.
 */
static __always_inline int fast_tunnel(struct packet *p, __u32 index, const struct server *srv)
{
	__u32 len = p->len + sizeof(struct iphdr), ttl;

	if (p->v6 || !srv->outer)
		return to_server(p, index, srv, FORWARD_TUN);
	ttl = p->ip->ttl;
	if (ttl <= 1)
		return later(LATER_EXCEEDED, 0);
	if (unlikely(len > srv->mtu) && READ_ONCE(srv->mtu))
		return later(LATER_TOO_BIG, srv->mtu - sizeof(struct iphdr));
	ttl_decrease(p);
	p->ctx = *p->kept;
	if (!tunnel_wrap_plain(p, srv, ttl - 1))
		return drop(REASON_INTERNAL);
	return fast_leave(p, srv, REASON_FORWARDED_TUN);
}

/* fast_behind fills in what is behind IP, but for whether TCP's header is there, which the verifier has
 * to be told where it is used.
 */
static __always_inline void fast_behind(struct packet *p)
{
	p->tcp = fast_transport(p);
	p->udp = fast_transport(p);
	p->proto = fast_proto(p);
	p->is_tcp = p->proto == IPPROTO_TCP;
	p->sport = p->udp->source;
	p->dport = p->udp->dest;
}

/* fast_rewrite is nat_from_server for an answer of the flow with a tuple, or without one
 * nat_to_server.
 */
static __always_inline void fast_rewrite(struct packet *p, const struct server *srv,
					 const union tuple *t)
{
	if (t)
		nat_from_server(p, t);
	else
		nat_to_server(p, srv);
}

/* fast_nat is that with what is behind IP; false, which cannot be, where the verifier takes it for cut
 * off.
 */
static __always_inline bool fast_nat(struct packet *p, const struct server *srv,
				     const union tuple *t)
{
	fast_behind(p);
	if (!p->is_tcp) {
		fast_rewrite(p, srv, t);
		return true;
	}
	if ((void *)(p->tcp + 1) > p->end)
		return false;
	fast_rewrite(p, srv, t);
	return true;
}

/* fast_send is to_server for one that has a next hop. */
static __always_inline int fast_send(struct packet *p, __u32 index, const struct server *srv,
				     __u8 method)
{
	if (method == FORWARD_TUN)
		return fast_tunnel(p, index, srv);
	if (packet_ttl(p) <= 1)
		return later(LATER_EXCEEDED, 0);
	if (unlikely(p->len > srv->mtu) && READ_ONCE(srv->mtu))
		return later(LATER_TOO_BIG, srv->mtu);
	if (method != FORWARD_NAT)
		ttl_decrease(p);
	else if (!fast_nat(p, srv, NULL))
		return drop(REASON_INTERNAL);
	return fast_leave(p, srv,
			  method == FORWARD_NAT ? REASON_FORWARDED_NAT : REASON_FORWARDED_DR);
}

/* fast_forward sends a packet of the flow with this copy to its server, which is looked up by the number as
 * it lies there. A server that is deleted or has no next hop keeps no flow in use. A copy that is of
 * no use is bad luck, unless somebody writes to it just now.
 */
static __always_inline int fast_forward(struct packet *p, struct hot_head *head, union hot_word w,
					bool doubted)
{
	const struct server *srv = bpf_map_lookup_elem(&ek_servers, &head->now.server);
	__u32 index = w.server;

	if (unlikely(!srv || !fast_same(head, w.word) || srv->flags != SERVER_RESOLVED))
		return LATER_BALANCE;
	if (!hot_use(head, w)) {
		hot_miss();
		return LATER_BALANCE;
	}
	hot_hit(doubted);
	p->len = fast_len(p);
	stats_in(index, &srv->service, p->len, 0);
	return fast_send(p, index, srv, hot_method(w));
}

static __always_inline int fast_balance(const __u32 *in, struct packet *p)
{
	bool doubted = hot_doubted();
	struct hot_head *head;
	union hot_word w;
	__u64 word = 0;

	if (!hot_worth(doubted) || !fast_parse(*in, p))
		return LATER_BALANCE;
	head = fast_find(p, &word);
	w.word = word;
	if (likely(head))
		return fast_forward(p, head, w, doubted);
	hot_miss();
	return LATER_BALANCE;
}

/* fast_ipv4 and fast_ipv6 are no functions of their own: where the kernel guards returns, each is
 * mispredicted. The context stands on the stack, since few packets need it, and all would go without a
 * register for it.
 */
static __always_inline int fast_ipv4(struct xdp_md *volatile *kept, const __u32 *in,
				     struct ethhdr *eth, void *end)
{
	struct packet p = { .kept = kept, .eth = eth, .end = end, .v6 = false };

	return fast_balance(in, &p);
}

static __always_inline int fast_ipv6(struct xdp_md *volatile *kept, const __u32 *in,
				     struct ethhdr *eth, void *end)
{
	struct packet p = { .kept = kept, .eth = eth, .end = end, .v6 = true };

	return fast_balance(in, &p);
}

#endif

#endif
