/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting: one reason for each packet, and totals per service and server. */
#ifndef EK_STATS_H
#define EK_STATS_H

#include "explain.h"
#include "parse.h"

/* reason_keys are keys of ek_reasons by themselves, since to put one on the stack and point there
 * takes the program three instructions more.
 */
_Static_assert(MAX_REASONS == 64, "as many as there are keys");
#define EIGHT_KEYS(n) n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7
static const __u32 reason_keys[MAX_REASONS] = {
	EIGHT_KEYS(0),	EIGHT_KEYS(8),	EIGHT_KEYS(16), EIGHT_KEYS(24),
	EIGHT_KEYS(32), EIGHT_KEYS(40), EIGHT_KEYS(48), EIGHT_KEYS(56),
};

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
	packets = bpf_map_lookup_elem(
		&ek_reasons, __builtin_constant_p(reason) ? &reason_keys[reason] : &reason);
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

/* stats_in and stats_out count a packet of a server and a service. The service's number is pointed at
 * where it stands in a map, which is a key as it is.
 */
static __always_inline void stats_in(__u32 server, const __u32 *service, __u32 bytes, __u32 conns)
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
	s = bpf_map_lookup_elem(&ek_service_stat, service);
	if (s) {
		s->conns += conns;
		s->in_pkts++;
		s->in_bytes += bytes;
	}
}

static __always_inline void stats_out(__u32 server, const __u32 *service, __u32 bytes)
{
	struct stats *s;

	if (DRY)
		return;
	s = bpf_map_lookup_elem(&ek_server_stats, &server);
	if (s) {
		s->out_pkts++;
		s->out_bytes += bytes;
	}
	s = bpf_map_lookup_elem(&ek_service_stat, service);
	if (s) {
		s->out_pkts++;
		s->out_bytes += bytes;
	}
}

#endif
