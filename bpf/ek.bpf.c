// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/* The XDP datapath. A packet's way through it, top to bottom: parse, find its
 * flow or open one, forward. Every way out counts one reason.
 */
#include "ahead.h"
#include "fast.h"
#include "fast_reply.h"
#include "forward.h"
#include "open.h"
#include "related.h"
#include "service.h"
#if !DRY
#include "import.h"
#include "publish.h"
#include "sweep.h"
#endif

char _license[] SEC("license") = "Dual BSD/GPL";

/* existing forwards a packet of a flow that lives. */
static __always_inline int existing(struct packet *p, const union tuple *t, struct flow *flow,
				    union flow_word w, __u64 now)
{
	__u32 index = w.server;
	struct server *srv = bpf_map_lookup_elem(&ek_servers, &index);
	__u64 was = w.word, set = READ_ONCE(flow->expires);

	if (!srv)
		return drop(REASON_INTERNAL);
	explain_service(srv->service);
	explain_server(index);
	explain_flow(WAY_FLOW, flow, w);
	if (srv->flags & SERVER_DELETED)
		return drop(REASON_SERVER_DELETED);
	if (!flow_advance(flow, t, &w, INPUT, p, now))
		return drop(REASON_FLOW_BUSY);
	if (w.word == was && flow_steady(w) && srv->flags == SERVER_RESOLVED)
		copy_make(flow, t, p->v6, w, set);
	stats_in(index, &srv->service, p->len, 0);
	return to_server(p, index, srv, flow_method(w));
}

/* opens says why this packet may not open a flow, or 0. */
static __always_inline __u32 opens(const struct packet *p)
{
	if (p->sport == htons(20))
		return REASON_SOURCE_PORT_20;
	if (p->is_tcp && (p->event & (TCP_SYN | TCP_RST)) != TCP_SYN)
		return REASON_NO_FLOW;
	if (!p->is_tcp && proto_is(p, IPPROTO_SCTP) && p->event != SCTP_INIT)
		return REASON_NO_FLOW;
	return 0;
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
	stats_in(index, &svc->id, p->len, 1);
	conns_unbind(index, srv, 0);
	return to_server(p, index, srv, srv->forward);
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
		chosen = persistent_select(svc, p, o->tuple, o->now, &reason);
	else
		chosen = service_select(svc, p);
	if (reason)
		return drop(reason);
	if (chosen == SELECT_BUSY)
		return drop(REASON_CURSOR_BUSY);
	if (chosen < 0)
		return later(LATER_UNREACHABLE, 0);
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
	stats_in(index, &svc->id, p->len, 1);
	return to_server(p, index, srv, srv->forward);
}

/* reuses says whether a packet begins a new connection on the ports of one
 * that is over (IPVS's conn_reuse_mode 1). A flow that a template controls goes
 * on with its server.
 */
static __always_inline bool reuses(const struct packet *p, union flow_word w)
{
	if (w.flags & FLOW_CONTROLLED)
		return false;
	if (p->is_tcp)
		return p->event & TCP_SYN && (w.state == FLOW_TIME_WAIT || w.state == FLOW_CLOSE);
	return w.state == FLOW_SCTP_CLOSED && p->event == SCTP_INIT;
}

/* answer forwards a NAT server's packet of the flow with this tuple to the client. */
static __always_inline int answer(struct packet *p, const union tuple *t, __u64 now)
{
	void *shard = flow_shard(t, p->v6);
	union flow_word w;
	struct server *srv;
	struct flow *flow;
	__u32 index;
	__u64 was;
	bool plain;

	if (!shard)
		return drop(REASON_INTERNAL);
	flow = bpf_map_lookup_elem(shard, t);
	if (!flow)
		return pass(REASON_NO_FLOW);
	w.word = READ_ONCE(flow->now.word);
	if (w.state == FLOW_OWNED)
		return drop(REASON_FLOW_BUSY);
	if (!flow_live(flow, t, p->v6, w, now))
		return pass(REASON_NO_FLOW);
	index = w.server;
	srv = bpf_map_lookup_elem(&ek_servers, &index);
	if (!srv)
		return drop(REASON_INTERNAL);
	explain_service(srv->service);
	explain_server(index);
	was = w.word;
	if (!flow_advance(flow, t, &w, OUTPUT, p, now))
		return drop(REASON_FLOW_BUSY);
	plain = w.word == was && flow_steady(w) && srv->flags == SERVER_RESOLVED;
	stats_out(index, &srv->service, p->len);
	return to_client(p, flow, t, now, plain && hot_looked());
}

/* stranger handles a packet without a live flow: a NAT server's answer, the
 * first packet of a flow, or nothing of ours.
 */
static __always_inline int stranger(struct opening *o)
{
	struct packet *p = o->p;
	const struct service *svc;
	union tuple answered;
	__u32 reason;

	if (may_answer(p) && tuple_of_reply(p, &answered))
		return answer(p, &answered, o->now);
	svc = service_find(p);
	if (!svc)
		return pass(REASON_NO_SERVICE);
	explain_service(svc->id);
	reason = opens(p);
	if (reason)
		return pass(reason);
	if (svc->rate && limit_refuses(svc->id, svc->rate, svc->burst))
		return drop(REASON_RATE_LIMITED);
	return schedule(o, svc);
}

static __always_inline int balance(struct packet *p)
{
	struct opening o = { .p = p, .now = clock_now() };
	union flow_word w;
	union tuple tuple;
	int action;

	tuple_of_request(p, &tuple);
	o.tuple = &tuple;
	o.shard = flow_shard(&tuple, p->v6);
	if (!o.shard)
		return drop(REASON_INTERNAL);
	o.old = bpf_map_lookup_elem(o.shard, &tuple);
	if (o.old) {
		w.word = READ_ONCE(o.old->now.word);
		if (w.state == FLOW_OWNED)
			return drop(REASON_FLOW_BUSY);
		if (flow_live(o.old, &tuple, p->v6, w, o.now) && !reuses(p, w))
			return existing(p, &tuple, o.old, w, o.now);
		o.seen = w;
	}
	action = stranger(&o);
	/* The connection that is over ends even if no new one takes its place. */
	if (o.old && o.seen.state < FLOW_STATES && !DRY)
		flow_kill(o.old, &tuple, p->v6, o.seen);
	return action | later_room(o.low);
}

/* begin balances a packet that was read, unless there is a reason against it. */
static __always_inline int begin(struct packet *p, __u32 reason)
{
	if (likely(!reason)) {
		if (!ahead_looked(p) && foreign(p))
			return pass(REASON_NO_SERVICE);
		return balance(p);
	}
	if (reason == REASON_OTHER_PROTOCOL && p->proto == (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return later(LATER_RELATED, 0);
	return pass(reason);
}

/* Each family has functions of its own, and each part of the way is one (later.h). in is
 * the port that the frame came in by.
 */
__noinline int balance_ipv4(struct xdp_md *ctx, __u32 in)
{
	struct packet p = { .v6 = false };

	return begin(&p, packet_parse(ctx, in, &p));
}

__noinline int related_ipv4(struct xdp_md *ctx, __u32 in)
{
	struct packet p = { .v6 = false };
	__u32 reason = network_parse(ctx, in, &p);

	return reason ? pass(reason) : related_forward(&p);
}

__noinline int answer_ipv4(struct xdp_md *ctx, __u32 in, __u32 what)
{
	struct packet p = { .v6 = false };
	__u32 reason = packet_parse(ctx, in, &p);

	return reason ? pass(reason) : later_answer(&p, what);
}

__noinline int reply_ipv4(struct xdp_md *ctx, __u32 in, __u32 what)
{
	struct packet p = { .v6 = false };
	__u32 reason = packet_parse(ctx, in, &p);

	return reason ? pass(reason) : later_reply(&p, what);
}

__noinline int tunnel_ipv4(struct xdp_md *ctx, __u32 in, __u32 index)
{
	struct packet p = { .v6 = false };
	__u32 reason = network_parse(ctx, in, &p);

	return reason ? pass(reason) : later_tunnel(&p, index);
}

__noinline int balance_ipv6(struct xdp_md *ctx, __u32 in)
{
	struct packet p = { .v6 = true };

	return begin(&p, packet_parse(ctx, in, &p));
}

__noinline int related_ipv6(struct xdp_md *ctx, __u32 in)
{
	struct packet p = { .v6 = true };
	__u32 reason = network_parse(ctx, in, &p);

	return reason ? pass(reason) : related_forward(&p);
}

__noinline int answer_ipv6(struct xdp_md *ctx, __u32 in, __u32 what)
{
	struct packet p = { .v6 = true };
	__u32 reason = packet_parse(ctx, in, &p);

	return reason ? pass(reason) : later_answer(&p, what);
}

__noinline int reply_ipv6(struct xdp_md *ctx, __u32 in, __u32 what)
{
	struct packet p = { .v6 = true };
	__u32 reason = packet_parse(ctx, in, &p);

	return reason ? pass(reason) : later_reply(&p, what);
}

__noinline int tunnel_ipv6(struct xdp_md *ctx, __u32 in, __u32 index)
{
	struct packet p = { .v6 = true };
	__u32 reason = network_parse(ctx, in, &p);

	return reason ? pass(reason) : later_tunnel(&p, index);
}

/* rest_ipv4 does what a verdict stands for. */
static __always_inline int rest_ipv4(struct xdp_md *ctx, __u32 in, int verdict)
{
	if (verdict == LATER_BALANCE)
		verdict = balance_ipv4(ctx, in);
	if (unlikely((__u32)verdict >> ROOM_SHIFT))
		verdict = make_room(verdict);
	if (unlikely((verdict & LATER_KIND) == LATER_REPLY))
		verdict = reply_ipv4(ctx, in, verdict);
	if (likely(verdict < LATER))
		return verdict;
	switch (verdict & LATER_KIND) {
	case LATER_TAG:
		break;
	case LATER_TUNNEL:
		verdict = tunnel_ipv4(ctx, in, (__u32)verdict >> LATER_SHIFT);
		break;
	case LATER_RELATED:
		verdict = related_ipv4(ctx, in);
		break;
	default:
		verdict = answer_ipv4(ctx, in, verdict);
	}
	return verdict < LATER ? verdict : tag_later(ctx, verdict);
}

#if DRY

/* The dry program goes all the way, to tell of it. */
#define first_ipv4(ctx, kept, in) LATER_BALANCE
#define tagged_ipv4(ctx, in) LATER_BALANCE
#define first_ipv6(ctx, kept, in) LATER_BALANCE
#define tagged_ipv6(ctx, in) LATER_BALANCE

#else

/* first_ipv4 does what needs no more than a look at the headers, or goes the fast way. in points to the
 * interface and kept to the context, so that only packets that need them have them read.
 */
static __always_inline int first_ipv4(struct xdp_md *ctx, struct xdp_md *volatile *kept,
				      const __u32 *in)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	enum ahead ahead = ahead_ipv4(eth, end);

	if (likely(ahead == AHEAD_PLAIN))
		return fast_ipv4(kept, in, eth, end);
	if (ahead == AHEAD_PLAIN_ANSWER)
		return answer_fast4(ctx, *in, eth, end);
	return ahead == AHEAD_FOREIGN ? pass(REASON_NO_SERVICE) : LATER_BALANCE;
}

/* tagged_ipv4 and tagged_ipv6 are first_ipv4 and first_ipv6 as functions of their own, so that the program has
 * one of each in place.
 */
static __noinline int tagged_ipv4(struct xdp_md *ctx, __u32 in)
{
	struct xdp_md *volatile kept = ctx;

	return first_ipv4(ctx, &kept, &in);
}

static __always_inline int first_ipv6(struct xdp_md *ctx, struct xdp_md *volatile *kept,
				      const __u32 *in)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	enum ahead ahead = ahead_ipv6(eth, end);

	if (likely(ahead == AHEAD_PLAIN))
		return fast_ipv6(kept, in, eth, end);
	if (ahead == AHEAD_PLAIN_ANSWER)
		return answer_fast6(ctx, *in, eth, end);
	return ahead == AHEAD_FOREIGN ? pass(REASON_NO_SERVICE) : LATER_BALANCE;
}

static __noinline int tagged_ipv6(struct xdp_md *ctx, __u32 in)
{
	struct xdp_md *volatile kept = ctx;

	return first_ipv6(ctx, &kept, &in);
}

#endif

static __always_inline int ipv4(struct xdp_md *ctx, __u32 in)
{
	return rest_ipv4(ctx, in, tagged_ipv4(ctx, in));
}

/* plain_ipv4 is ipv4 for a frame without a tag, the most frequent: the fast way is no call, and
 * what it has sent is asked for nothing more. The context of the rest is read where it is of use, or
 * the compiler would have it at hand all the way there.
 */
static __always_inline int plain_ipv4(struct xdp_md *ctx, struct xdp_md *volatile *kept)
{
	int verdict = first_ipv4(ctx, kept, &ctx->ingress_ifindex);

	if (likely((__u32)verdict < LATER))
		return verdict;
	ctx = *kept;
	return rest_ipv4(ctx, ctx->ingress_ifindex, verdict);
}

static __always_inline int rest_ipv6(struct xdp_md *ctx, __u32 in, int verdict)
{
	if (verdict == LATER_BALANCE)
		verdict = balance_ipv6(ctx, in);
	if (unlikely((__u32)verdict >> ROOM_SHIFT))
		verdict = make_room(verdict);
	if (unlikely((verdict & LATER_KIND) == LATER_REPLY))
		verdict = reply_ipv6(ctx, in, verdict);
	if (likely(verdict < LATER))
		return verdict;
	switch (verdict & LATER_KIND) {
	case LATER_TAG:
		break;
	case LATER_TUNNEL:
		verdict = tunnel_ipv6(ctx, in, (__u32)verdict >> LATER_SHIFT);
		break;
	case LATER_RELATED:
		verdict = related_ipv6(ctx, in);
		break;
	default:
		verdict = answer_ipv6(ctx, in, verdict);
	}
	return verdict < LATER ? verdict : tag_later(ctx, verdict);
}

static __always_inline int ipv6(struct xdp_md *ctx, __u32 in)
{
	return rest_ipv6(ctx, in, tagged_ipv6(ctx, in));
}

static __always_inline int plain_ipv6(struct xdp_md *ctx, struct xdp_md *volatile *kept)
{
	int verdict = first_ipv6(ctx, kept, &ctx->ingress_ifindex);

	if (likely((__u32)verdict < LATER))
		return verdict;
	ctx = *kept;
	return rest_ipv6(ctx, ctx->ingress_ifindex, verdict);
}

/* vlan_device returns the index of the VLAN device that a frame with this tag is of: the
 * interface itself where the tag has a priority only (802.1Q, 9.6), 0 for one that
 * user space did not tell of.
 */
static __always_inline __u32 vlan_device(__u32 in, __u16 tci)
{
	struct vlan_key key = { .ifindex = in, .vlan = tci & VLAN_ID };
	__u32 *device;

	if (!key.vlan)
		return in;
	device = bpf_map_lookup_elem(&ek_vlans, &key);
	return device ? *device : 0;
}

/* vlan balances a frame with a tag as if it had come in by the VLAN device. What the
 * kernel is to look at gets its tag back as it was.
 */
static __always_inline int vlan(struct xdp_md *ctx)
{
	struct vlan_tag *tag = (void *)(long)ctx->data + 2 * ETH_ALEN;
	__be16 proto;
	int verdict;
	__u32 in;
	__u16 tci;

	if ((void *)(tag + 1) > (void *)(long)ctx->data_end)
		return pass(REASON_TRUNCATED);
	proto = tag->proto;
	tci = ntohs(tag->tci);
	if (proto == htons(ETH_P_8021Q) || proto == htons(ETH_P_8021AD))
		return pass(REASON_DOUBLE_TAG);
	if (proto != htons(ETH_P_IP) && proto != htons(ETH_P_IPV6))
		return pass(REASON_NOT_IP);
	in = vlan_device(ctx->ingress_ifindex, tci);
	if (!in)
		return pass(REASON_VLAN_TAG);
	if (!tag_pop(ctx))
		return drop(REASON_INTERNAL);
	verdict = proto == htons(ETH_P_IP) ? ipv4(ctx, in) : ipv6(ctx, in);
	return verdict == XDP_PASS ? tag_push(ctx, tci, XDP_PASS) : verdict;
}

SEC("xdp")
int ek_xdp(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct xdp_md *volatile kept = ctx;

	if (likely(ahead_whole(eth, end))) {
		if (likely(frame_type(eth) == htons(ETH_P_IP)))
			return plain_ipv4(ctx, &kept);
	} else if ((void *)(eth + 1) > end) {
		return pass(REASON_TRUNCATED);
	} else if (frame_type(eth) == htons(ETH_P_IP)) {
		return rest_ipv4(ctx, ctx->ingress_ifindex, LATER_BALANCE);
	}
	if (eth->h_proto == htons(ETH_P_IPV6))
		return plain_ipv6(ctx, &kept);
	if (eth->h_proto == htons(ETH_P_8021Q))
		return vlan(ctx);
	if (eth->h_proto == htons(ETH_P_8021AD))
		return pass(REASON_DOUBLE_TAG);
	return pass(REASON_NOT_IP);
}

#if !DRY
/* ek_sweep looks at flows of one shard, by their keys in ek_sweep_keys. */
SEC("syscall")
int ek_sweep(struct sweep *ctx)
{
	return sweep_shard(ctx, false, sweep_flow4);
}

SEC("syscall")
int ek_sweep6(struct sweep *ctx)
{
	return sweep_shard(ctx, true, sweep_flow6);
}

/* ek_sweep_tmpl looks at persistence templates. */
SEC("syscall")
int ek_sweep_tmpl(struct sweep *ctx)
{
	return sweep_templates(ctx, sweep_template4);
}

SEC("syscall")
int ek_sweep_tmpl6(struct sweep *ctx)
{
	return sweep_templates(ctx, sweep_template6);
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

/* ek_import takes a flow or a template over from another datapath. */
SEC("syscall")
int ek_import(struct import *ctx)
{
	return import_any(ctx);
}
#endif
