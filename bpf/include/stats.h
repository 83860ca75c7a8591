/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting: one reason for each packet, and totals per service and server. */
#ifndef EK_STATS_H
#define EK_STATS_H

#include "explain.h"
#include "parse.h"

/* finish counts the packet's reason and returns the action, so that no way
 * out of the program is left uncounted.
 */
static __always_inline int finish(__u32 reason, int action)
{
	__u64 *packets;

	if (DRY) {
		told.reason = reason;
		return action;
	}
	packets = bpf_map_lookup_elem(&ek_reasons, &reason);
	if (packets)
		(*packets)++;
	return action;
}

static __always_inline int pass(__u32 reason)
{
	return finish(reason, XDP_PASS);
}

static __always_inline int drop(__u32 reason)
{
	return finish(reason, XDP_DROP);
}

static __always_inline void stats_in(__u32 server, __u32 service, __u32 bytes, __u32 conns)
{
	struct stats *s;

	if (DRY)
		return;
	s = bpf_map_lookup_elem(&ek_server_stats, &server);
	if (s) {
		s->conns += conns;
		s->in_pkts++;
		s->in_bytes += bytes;
	}
	s = bpf_map_lookup_elem(&ek_service_stat, &service);
	if (s) {
		s->conns += conns;
		s->in_pkts++;
		s->in_bytes += bytes;
	}
}

static __always_inline void stats_out(__u32 server, __u32 service, __u32 bytes)
{
	struct stats *s;

	if (DRY)
		return;
	s = bpf_map_lookup_elem(&ek_server_stats, &server);
	if (s) {
		s->out_pkts++;
		s->out_bytes += bytes;
	}
	s = bpf_map_lookup_elem(&ek_service_stat, &service);
	if (s) {
		s->out_pkts++;
		s->out_bytes += bytes;
	}
}

#endif
