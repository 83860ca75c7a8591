/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sending a packet on: to the server by DR, NAT or TUN, or back to the client. */
#ifndef EK_FORWARD_H
#define EK_FORWARD_H

#include "flow.h"
#include "icmp.h"
#include "tunnel.h"

/* The route of a reply is asked for again when it is older than this, so that
 * a changed route or neighbour is followed.
 */
#define REPLY_ROUTE_AGE SECOND

static __always_inline void ttl_decrease(struct packet *p)
{
	if (p->v6) {
		p->ip6->hop_limit--;
		return;
	}
	p->ip->check = csum_less_ttl(p->ip->check);
	p->ip->ttl--;
}

/* l4_check_update leaves SCTP alone, whose sum covers no address, and whose port never
 * changes in XDP. It keeps UDP's "no checksum" and never writes it by accident. Both
 * families' sums cover the addresses, IPv6's header has none of its own.
 */
static __always_inline void l4_check_update(struct packet *p, __u64 diff)
{
	if (p->is_tcp) {
		p->tcp->check = csum_apply(p->tcp->check, diff);
	} else if (proto_is(p, IPPROTO_UDP) && p->udp->check) {
		p->udp->check = csum_apply(p->udp->check, diff);
		if (!p->udp->check)
			p->udp->check = 0xffff;
	}
}

/* nat_to_server makes a packet of the client the server's, and its time to live one less: both change
 * IPv4's checksum, once.
 */
static __always_inline void nat_to_server(struct packet *p, const struct server *srv)
{
	__u64 diff;

	if (p->v6) {
		diff = addr6_replace(p->ip6->daddr, srv->addr);
		p->ip6->hop_limit--;
	} else {
		__be32 addr = addr4_of(srv->addr);

		diff = csum_diff4(p->ip->daddr, addr);
		p->ip->check = csum_apply(p->ip->check, diff + csum_diff_ttl());
		p->ip->daddr = addr;
		p->ip->ttl--;
	}
	l4_check_update(p, diff + csum_diff2(p->dport, srv->port));
	if (p->is_tcp)
		p->tcp->dest = srv->port;
	else
		p->udp->dest = srv->port;
}

/* nat_from_server makes a packet of the flow with this tuple the service's, and its time to live one less. */
static __always_inline void nat_from_server(struct packet *p, const union tuple *t)
{
	__be16 vport = tuple_vport(t, p->v6);
	__u64 diff;

	if (p->v6) {
		diff = addr6_replace(p->ip6->saddr, t->v6.vaddr);
		p->ip6->hop_limit--;
	} else {
		diff = csum_diff4(p->ip->saddr, t->v4.vaddr);
		p->ip->check = csum_apply(p->ip->check, diff + csum_diff_ttl());
		p->ip->saddr = t->v4.vaddr;
		p->ip->ttl--;
	}
	l4_check_update(p, diff + csum_diff2(p->sport, vport));
	if (p->is_tcp)
		p->tcp->source = vport;
	else
		p->udp->source = vport;
}

/* send_by sends a frame out by an interface, with a tag if there is an id. */
static __always_inline int send_by(const struct packet *p, __u32 ifindex, __u16 vlan)
{
	if (ifindex == p->port->ifindex)
		return tagged(XDP_TX, vlan);
	return tagged(DRY ? XDP_REDIRECT : (int)bpf_redirect(ifindex, 0), vlan);
}

/* link_write writes both addresses of a frame, in whole words, from a map where the source's lies
 * behind the destination's.
 */
static __always_inline void link_write(struct ethhdr *eth, const void *dmac)
{
	void *to = eth;

	*(__u64 *)to = read8(dmac);
	*(__u32 *)(to + 8) = read4(dmac + 8);
}

/* leave writes the frame's addresses and sends it out. */
static __always_inline int leave(struct packet *p, __u32 ifindex, __u16 vlan, const __u8 *dmac,
				 const __u8 *smac, __u32 reason)
{
	mac_copy(p->eth->h_dest, dmac);
	mac_copy(p->eth->h_source, smac);
	explain_out(ifindex, vlan, dmac, smac);
	return finish(reason, send_by(p, ifindex, vlan));
}

/* tunnel_send sends a packet to a server in a tunnel. */
static __always_inline int tunnel_send(struct packet *p, __u32 index, const struct server *srv,
				       __u32 reason)
{
	const struct tunnel *tunnel = bpf_map_lookup_elem(&ek_tunnels, &index);

	ttl_decrease(p);
	if (!tunnel || !tunnel_wrap(p, tunnel, srv))
		return drop(REASON_INTERNAL);
	return leave(p, srv->ifindex, srv->vlan, srv->dmac, srv->smac, reason);
}

/* later_tunnel sends a packet of a client that to_server has left for later. */
static __always_inline int later_tunnel(struct packet *p, __u32 index)
{
	const struct server *srv = bpf_map_lookup_elem(&ek_servers, &index);

	return srv ? tunnel_send(p, index, srv, REASON_FORWARDED_TUN) : drop(REASON_INTERNAL);
}

/* to_server transmits a client's packet by a method: the server's for a new
 * flow, and afterwards the one that the flow was born with.
 */
static __always_inline int to_server(struct packet *p, __u32 index, const struct server *srv,
				     __u8 method)
{
	__u32 added = method == FORWARD_TUN ? tunnel_added(index, srv) : 0;

	if (srv->flags & SERVER_LOCAL)
		return pass(REASON_LOCAL_SERVER);
	if (!(srv->flags & SERVER_RESOLVED))
		return drop(REASON_NO_NEXT_HOP);
	if (packet_ttl(p) <= 1)
		return later(LATER_EXCEEDED, 0);
	if (srv->mtu && p->len + added > srv->mtu)
		return later(LATER_TOO_BIG, srv->mtu - added);
	if (method == FORWARD_TUN)
		return later(LATER_TUNNEL, index);
	if (method == FORWARD_NAT)
		nat_to_server(p, srv);
	else
		ttl_decrease(p);
	return leave(p, srv->ifindex, srv->vlan, srv->dmac, srv->smac,
		     method == FORWARD_NAT ? REASON_FORWARDED_NAT : REASON_FORWARDED_DR);
}

/* reply_route asks the kernel's routing and neighbour tables how a reply
 * reaches the client, and keeps the answer with the flow. Where they have no
 * neighbour (the kernel itself never talks to our clients) the reply takes the
 * way that the request came. It is not kept with a flow that is half-open: that
 * one may make room for another flow at any time, which would find it. It returns
 * the MTU of that way, 0 if not known.
 */
static __always_inline __u32 reply_route(struct packet *p, struct flow *flow, union flow_word w,
					 const union tuple *t, __u64 now, struct link *way,
					 __u16 *vlan)
{
	struct fib_params fib = {};
	const struct port *port;
	__u16 mtu = 0;
	long err;

	fib.family = p->v6 ? AF_INET6 : AF_INET;
	fib.l4_protocol = p->proto;
	fib.sport = tuple_vport(t, p->v6);
	fib.dport = p->dport;
	fib.tot_len = p->len;
	fib.ifindex = p->port->device;
	if (p->v6) {
		addr6_copy(fib.src, t->v6.vaddr);
		addr6_copy(fib.dst, p->ip6->daddr);
	} else {
		fib.tos = p->ip->tos;
		fib.src[0] = t->v4.vaddr;
		fib.dst[0] = p->ip->daddr;
	}
	err = bpf_fib_lookup(p->ctx, &fib, sizeof(fib), 0);
	if (err == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return fib.tot_len;
	if (err == BPF_FIB_LKUP_RET_SUCCESS) {
		mtu = fib.tot_len;
		port = bpf_map_lookup_elem(&ek_ports, &fib.ifindex);
		*vlan = port ? port->vlan : 0;
		way->ifindex = *vlan ? port->ifindex : fib.ifindex;
		mac_copy(way->dmac, fib.dmac);
		mac_copy(way->smac, fib.smac);
	} else {
		*way = flow->request;
		*vlan = flow->request_vlan;
	}
	if (DRY || flow_half_open(w))
		return mtu;
	/* By exchange: what is written between is for nobody to keep (hop_of). */
	__sync_lock_test_and_set(&flow->reply_checked, 0);
	flow->reply = *way;
	flow->reply_vlan = *vlan;
	WRITE_ONCE(flow->reply_mtu, mtu);
	__sync_lock_test_and_set(&flow->reply_checked, now);
	return mtu;
}

/* reply_known_way says whether the way of a flow's replies need not be asked for. */
static __always_inline bool reply_known_way(const struct flow *flow, __u64 now)
{
	__u64 checked = READ_ONCE(flow->reply_checked);

	return checked && now - checked < REPLY_ROUTE_AGE;
}

/* reply_send transmits a server's packet by a way that is known. */
static __always_inline int reply_send(struct packet *p, const struct link *way, __u16 vlan,
				      __u32 mtu, const union tuple *t)
{
	if (mtu && p->len > mtu)
		return later(LATER_TOO_BIG_REPLY, mtu);
	nat_from_server(p, t);
	return leave(p, way->ifindex, vlan, way->dmac, way->smac, REASON_FORWARDED_REPLY);
}

/* to_client transmits a server's packet as if the virtual service had sent
 * it. A time to live that is used up is dropped: the kernel could not answer
 * in the virtual service's name. With copy those that follow may go by one.
 */
static __always_inline int to_client(struct packet *p, struct flow *flow, const union tuple *t,
				     __u64 now, bool copy)
{
	if (packet_ttl(p) <= 1)
		return drop(REASON_TTL_EXCEEDED);
	if (!reply_known_way(flow, now))
		return later(LATER_REPLY, LATER_ASK);
	if (copy)
		return later(LATER_REPLY, LATER_COPY);
	return reply_send(p, &flow->reply, flow->reply_vlan, READ_ONCE(flow->reply_mtu), t);
}

/* later_reply is the rest of to_client; what is the verdict that it left. */
static __always_inline int later_reply(struct packet *p, __u32 what)
{
	__u64 now = clock_now();
	struct link way = {};
	union flow_word w;
	struct flow *flow;
	union tuple t;
	void *shard;
	__u32 mtu;
	__u16 vlan;

	if (!tuple_of_reply(p, &t))
		return pass(REASON_NO_FLOW);
	shard = flow_shard(&t, p->v6);
	flow = shard ? bpf_map_lookup_elem(shard, &t) : NULL;
	if (!flow)
		return pass(REASON_NO_FLOW);
	w.word = READ_ONCE(flow->now.word);
	/* It may be another flow's answer by now. */
	if (what >> LATER_SHIFT == LATER_COPY && reply_known_way(flow, now)) {
		if (flow_steady(w))
			copy_make_reply(flow, &t, p->v6, w);
		return reply_send(p, &flow->reply, flow->reply_vlan, READ_ONCE(flow->reply_mtu),
				  &t);
	}
	mtu = reply_route(p, flow, w, &t, now, &way, &vlan);
	return reply_send(p, &way, vlan, mtu, &t);
}

#endif
