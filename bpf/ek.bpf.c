// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/* The XDP datapath. A packet's way through it, top to bottom: parse, find its
 * flow or open one, forward. Every way out counts one reason.
 */
#include "forward.h"
#include "publish.h"
#include "service.h"
#include "sweep.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* existing forwards a packet of a flow that lives. */
static __always_inline int existing(struct packet *p, struct flow *flow, union flow_word w,
				    __u64 now)
{
	__u32 index = w.server;
	struct server *srv = bpf_map_lookup_elem(&ek_servers, &index);

	if (!srv)
		return drop(REASON_INTERNAL);
	if (srv->flags & SERVER_DELETED)
		return drop(REASON_SERVER_DELETED);
	if (!flow_advance(flow, &w, INPUT, p, now))
		return drop(REASON_FLOW_BUSY);
	stats_in(index, srv->service, p->len, 0);
	return to_server(p, srv);
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

/* schedule chooses a server for a new flow. old is the entry of the same
 * tuple, if there is one that may be taken over.
 */
static __always_inline int schedule(struct packet *p, const struct service *svc, void *shard,
				    struct flow_key *key, struct flow *old, union flow_word seen,
				    __u64 now)
{
	__s64 chosen = service_select(svc, p);
	__u32 index = (__u32)chosen;
	union flow_word w;
	struct server *srv;
	__u32 reason;

	if (chosen == SELECT_BUSY)
		return drop(REASON_CURSOR_BUSY);
	if (chosen < 0)
		return icmp_error(p, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, REASON_PORT_UNREACHABLE,
				  REASON_NO_SERVER);
	srv = bpf_map_lookup_elem(&ek_servers, &index);
	if (!srv)
		return drop(REASON_INTERNAL);
	w = flow_born(index, srv, p);
	reason = flow_open(shard, key, old, seen, &w, srv, now, p);
	if (reason)
		return drop(reason);
	stats_in(index, svc->id, p->len, 1);
	return to_server(p, srv);
}

/* reuses says whether a packet begins a new connection on the ports of one
 * that is over (IPVS's conn_reuse_mode 1).
 */
static __always_inline bool reuses(const struct packet *p, union flow_word w)
{
	return p->is_tcp && (p->tcp_flags & (TCP_SYN | TCP_RST)) == TCP_SYN &&
	       (w.state == FLOW_TIME_WAIT || w.state == FLOW_CLOSE);
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
	if (!flow_advance(flow, &w, OUTPUT, p, now))
		return drop(REASON_FLOW_BUSY);
	stats_out(index, srv->service, p->len);
	return to_client(p, flow, reply, now);
}

/* stranger handles a packet without a live flow: a NAT server's answer, the
 * first packet of a flow, or nothing of ours.
 */
static __always_inline int stranger(struct packet *p, void *shard, struct flow_key *key,
				    struct flow *old, union flow_word seen, __u64 now)
{
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
		return answer(p, reply, now);
	svc = service_find(p->ip->daddr, p->dport, p->ip->protocol);
	if (!svc)
		return pass(REASON_NO_SERVICE);
	reason = opens(p);
	if (reason)
		return pass(reason);
	return schedule(p, svc, shard, key, old, seen, now);
}

static __always_inline int balance(struct packet *p)
{
	__u64 now = clock_now();
	union flow_word w = {};
	struct flow_key key;
	struct flow *flow;
	void *shard;

	flow_key_of(p, &key);
	shard = flow_shard(&key);
	if (!shard)
		return drop(REASON_INTERNAL);
	flow = bpf_map_lookup_elem(shard, &key);
	if (flow) {
		w.word = READ_ONCE(flow->now.word);
		if (w.state == FLOW_REMOVED)
			return drop(REASON_FLOW_BUSY);
		if (flow_live(flow, w, now) && !reuses(p, w))
			return existing(p, flow, w, now);
	}
	return stranger(p, shard, &key, flow, w, now);
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

/* ek_sweep walks one shard of the flow table. */
SEC("syscall")
int ek_sweep(struct sweep *ctx)
{
	return sweep_shard(ctx);
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
