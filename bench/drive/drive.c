// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/* What BPF_PROG_TEST_RUN cannot do alone: give each repetition its own packet.
 * drive writes the headers of the next packet into the frame and tail-calls the
 * program that is measured. Its own cost is measured with `empty` as target and
 * taken off.
 */
#include "../../bpf/include/kernel.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define HEADERS 54 /* Ethernet, IPv4, TCP */

static long (*const bpf_tail_call)(void *ctx, void *map, __u32 index) = (void *)12;

struct {
	__uint(type, 3 /* BPF_MAP_TYPE_PROG_ARRAY */);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

/* plan says which packets come; user space writes it between runs. */
struct plan {
	__u32 index;	  /* of the next packet; it goes on from run to run */
	__u32 multiplier; /* index = index * multiplier + increment */
	__u32 increment;
	__u32 mask;	  /* flow number = index & mask */
	__u32 first_addr; /* the client's, of flow 0, in the machine's order */
	__u8 reply;	  /* the client is the destination */
	__u8 pad[3];
	__u8 frame[56]; /* the headers of all packets */
};

struct plan next;

struct headers {
	__u64 word[6];
	__u32 rest;
	__u16 end;
} __packed;

SEC("xdp")
int drive(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;
	const struct headers *from = (const void *)next.frame;
	struct headers *to = (void *)data;
	__u32 index = next.index, flow;
	__be32 addr;
	__be16 port;

	if (data + HEADERS > end)
		return XDP_ABORTED;
	next.index = index * next.multiplier + next.increment;
	/* Low bits of such a sequence repeat soon, so addresses take the low and
	 * ports the high bits of the flow's number. */
	flow = index & next.mask;
	addr = htonl(next.first_addr + (flow & 0xffff));
	port = htons(1024 + (flow >> 16));

	to->word[0] = from->word[0];
	to->word[1] = from->word[1];
	to->word[2] = from->word[2];
	to->word[3] = from->word[3];
	to->word[4] = from->word[4];
	to->word[5] = from->word[5];
	to->rest = from->rest;
	to->end = from->end;
	if (next.reply) {
		*(__be32 *)(data + 30) = addr;
		*(__be16 *)(data + 36) = port;
	} else {
		*(__be32 *)(data + 26) = addr;
		*(__be16 *)(data + 34) = port;
	}
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* least is the least that a balancer does with a frame: look at its headers,
 * swap the addresses, send it back.
 */
SEC("xdp")
int least(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;
	__u16 *mac = (void *)data;
	__u16 a, b, c;

	if (data + HEADERS > end)
		return XDP_DROP;
	if (*(__be16 *)(data + 12) != htons(0x0800) || data[14] != 0x45)
		return XDP_PASS;
	a = mac[0];
	b = mac[1];
	c = mac[2];
	mac[0] = mac[3];
	mac[1] = mac[4];
	mac[2] = mac[5];
	mac[3] = a;
	mac[4] = b;
	mac[5] = c;
	return XDP_TX;
}
