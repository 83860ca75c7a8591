// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/* The XDP datapath. A packet's way through it, top to bottom: parse, find its
 * flow or open one, forward. Every way out counts one reason.
 */
#include "forward.h"
#include "service.h"
#if !DRY
#include "publish.h"
#include "sweep.h"
#endif

char _license[] SEC("license") = "Dual BSD/GPL";

/* existing forwards a packet of a flow that lives. */
static __always_inline int existing(struct packet *p, struct flow *flow, union flow_word w,
				    __u64 now)
{
	__u32 index = w.server;
	struct server *srv = bpf_map_lookup_elem(&ek_servers, &index);

	if (!srv)
		return drop(REASON_INTERNAL);
	explain_service(srv->service);
	explain_server(index);
	explain_flow(WAY_FLOW, flow, w);
	if (srv->flags & SERVER_DELETED)
		return drop(REASON_SERVER_DELETED);
	if (!flow_advance(flow, &w, INPUT, p, now))
		return drop(REASON_FLOW_BUSY);
	stats_in(index, srv->service, p->len, 0);
	return to_server(p, srv, flow_method(w));
}

/* opens says why this packet may not open a flow, or 0. */
static __always_inline __u32 opens(const struct packet *p)
{
	if (p->sport == htons(20))
		return REASON_SOURCE_PORT_20;
	if (p->is_tcp && (p->tcp_flags & (TCP_SYN | TCP_RST)) != TCP_SYN)
		return REASON_NO_FLOW;
	return 0;
}

/* no_server answers a client whom no server can take. */
static __always_inline int no_server(struct packet *p)
{
	return icmp_error(p, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, REASON_PORT_UNREACHABLE,
			  REASON_NO_SERVER);
}

/* one_packet forwards a datagram of a service with ops: no flow is left of it,
 * though it counts while it passes.
 */
static __always_inline int one_packet(struct packet *p, const struct service *svc, __u32 index,
				      const struct server *srv)
{
	union flow_word none = {};

	explain_flow(WAY_ONE_PACKET, NULL, none);
	conns_bind(index, srv, 0);
	stats_in(index, svc->id, p->len, 1);
	conns_unbind(index, srv, 0);
	return to_server(p, srv, srv->forward);
}

/* schedule chooses a server for a new flow. */
static __always_inline int schedule(struct opening *o, const struct service *svc)
{
	struct packet *p = o->p;
	struct server *srv;
	__u32 reason = 0;
	__s64 chosen;
	__u32 index;

	if (svc->persistence)
		chosen = persistent_select(svc, p, o->now, &reason);
	else
		chosen = service_select(svc, p);
	if (reason)
		return drop(reason);
	if (chosen == SELECT_BUSY)
		return drop(REASON_CURSOR_BUSY);
	if (chosen < 0)
		return no_server(p);
	index = (__u32)chosen;
	srv = bpf_map_lookup_elem(&ek_servers, &index);
	if (!srv)
		return drop(REASON_INTERNAL);
	explain_server(index);
	if (svc->flags & SERVICE_ONE_PACKET)
		return one_packet(p, svc, index, srv);
	o->controlled = svc->persistence != 0;
	o->prefix = svc->prefix;
	reason = flow_open(o, index, srv);
	if (reason)
		return drop(reason);
	stats_in(index, svc->id, p->len, 1);
	return to_server(p, srv, srv->forward);
}

/* reuses says whether a packet begins a new connection on the ports of one
 * that is over (IPVS's conn_reuse_mode 1). A flow that a template controls goes
 * on with its server.
 */
static __always_inline bool reuses(const struct packet *p, union flow_word w)
{
	return p->is_tcp && (p->tcp_flags & (TCP_SYN | TCP_RST)) == TCP_SYN &&
	       (w.state == FLOW_TIME_WAIT || w.state == FLOW_CLOSE) && !(w.flags & FLOW_CONTROLLED);
}

/* answer forwards a packet of a NAT server to the client. */
static __always_inline int answer(struct packet *p, const struct reply *reply, __u64 now)
{
	struct flow_key key = {
		.caddr = p->ip->daddr,
		.vaddr = reply->vaddr,
		.cport = p->dport,
		.vport = reply->vport,
		.proto = p->ip->protocol,
	};
	void *shard = flow_shard(&key);
	union flow_word w;
	struct server *srv;
	struct flow *flow;
	__u32 index;

	if (!shard)
		return drop(REASON_INTERNAL);
	flow = bpf_map_lookup_elem(shard, &key);
	if (!flow)
		return pass(REASON_NO_FLOW);
	w.word = READ_ONCE(flow->now.word);
	if (!flow_live(flow, w, now))
		return pass(REASON_NO_FLOW);
	index = w.server;
	srv = bpf_map_lookup_elem(&ek_servers, &index);
	if (!srv)
		return drop(REASON_INTERNAL);
	explain_service(srv->service);
	explain_server(index);
	if (!flow_advance(flow, &w, OUTPUT, p, now))
		return drop(REASON_FLOW_BUSY);
	stats_out(index, srv->service, p->len);
	return to_client(p, flow, reply, now);
}

/* stranger handles a packet without a live flow: a NAT server's answer, the
 * first packet of a flow, or nothing of ours.
 */
static __always_inline int stranger(struct opening *o)
{
	struct packet *p = o->p;
	struct reply_key rkey = {
		.saddr = p->ip->saddr,
		.caddr = p->ip->daddr,
		.sport = p->sport,
		.cport = p->dport,
		.proto = p->ip->protocol,
	};
	const struct service *svc;
	const struct reply *reply;
	__u32 reason;

	reply = bpf_map_lookup_elem(&ek_replies, &rkey);
	if (reply)
		return answer(p, reply, o->now);
	svc = service_find(p->ip->daddr, p->dport, p->ip->protocol);
	if (!svc)
		return pass(REASON_NO_SERVICE);
	explain_service(svc->id);
	reason = opens(p);
	if (reason)
		return pass(reason);
	return schedule(o, svc);
}

static __always_inline int balance(struct packet *p)
{
	struct opening o = { .p = p, .now = clock_now() };
	union flow_word w;

	flow_key_of(p, &o.key);
	o.shard = flow_shard(&o.key);
	if (!o.shard)
		return drop(REASON_INTERNAL);
	o.old = bpf_map_lookup_elem(o.shard, &o.key);
	if (o.old) {
		w.word = READ_ONCE(o.old->now.word);
		if (w.state == FLOW_REMOVED)
			return drop(REASON_FLOW_BUSY);
		if (flow_live(o.old, w, o.now) && !reuses(p, w))
			return existing(p, o.old, w, o.now);
		o.seen = w;
	}
	return stranger(&o);
}

SEC("xdp")
int ek_xdp(struct xdp_md *ctx)
{
	struct packet p = {};
	__u32 reason = packet_parse(ctx, &p);

	if (reason)
		return pass(reason);
	return balance(&p);
}

#if !DRY
/* ek_sweep walks one shard of the flow table. */
SEC("syscall")
int ek_sweep(struct sweep *ctx)
{
	return sweep_shard(ctx);
}

/* ek_sweep_tmpl walks the persistence templates. */
SEC("syscall")
int ek_sweep_tmpl(struct sweep *ctx)
{
	return sweep_templates(ctx);
}

/* ek_publish makes the order that was written last valid for a service. */
SEC("syscall")
int ek_publish(struct publish *ctx)
{
	return publish_order(ctx);
}

/* ek_edit follows a change of a server's thresholds. */
SEC("syscall")
int ek_edit(struct edit *ctx)
{
	return edit_server(ctx);
}
#endif
