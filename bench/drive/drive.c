// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/* What BPF_PROG_TEST_RUN cannot do alone: give each repetition its own packet.
 * drive writes the headers of the next packet into the frame and tail-calls the
 * program that is measured. Its own cost is measured with `empty` as target and
 * taken off. live writes the same packets and sends them out of an interface,
 * for runs with live frames; sink counts where they end. memory needs no packets: it
 * says what the machine's memory costs.
 */
#include "../../bpf/include/kernel.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define HEADERS4 54 /* Ethernet, IPv4, TCP */
#define HEADERS6 74 /* Ethernet, IPv6, TCP */

static long (*const bpf_tail_call)(void *ctx, void *map, __u32 index) = (void *)12;
static __u64 (*const clock_ns)(void) = (void *)5;
static long (*const redirect_to)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*const adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;
static void *(*const map_value)(void *map, const void *key) = (void *)1;

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
	__u32 mask;	/* flow number = index & mask */
	__u32 first;	/* the client's address of flow 0, of IPv6 the last four bytes */
	__u32 size;	/* of a frame */
	__u32 sum;	/* of the IPv4 header without the client's address */
	__u32 services; /* the virtual port is port + (flow & services) */
	__u16 port;
	__u8 reply; /* the client is the destination */
	__u8 ipv6;
	__u32 count; /* of packets since the plan was set */
	/* Of live frames: where to, and how far they are apart; 0 for no pause. */
	__u32 ifindex;
	__u32 stamp_at; /* where sink looks for the time of sending; 0 for nowhere */
	__u64 apart_ns;
	__u64 due_ns;
	__u64 forgive;	 /* set: a packet is due when it goes */
	__u64 frame[10]; /* the headers of all packets */
};

struct plan next;

/* stamps are the times of every BATCHth packet. What lies between two of them, if
 * nothing interrupted, is what that many packets cost; user space takes the median.
 */
#define BATCH 1024
#define STAMPS 16384
__u64 stamps[STAMPS];

/* span is what live sent between its first look at the clock since user space cleared it and
 * its latest, and when: once in LOOK packets, which is the kernel's batch.
 */
#define LOOK 64
struct span {
	__u64 first_ns;
	__u64 latest_ns;
	__u32 first; /* packets of the plan before the look */
	__u32 latest;
};

struct span span;

/* sunk counts the frames that reached a sink. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sunk SEC(".maps");

/* delays counts them by the time that they took: 16 steps for each doubling. */
#define STEPS 16
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64 * STEPS);
	__type(key, __u32);
	__type(value, __u64);
} delays SEC(".maps");

/* Fields are copied by whole words, each in one store that holds all of it: a
 * load that spans two fresh stores stalls, which no packet of a network card does.
 */
#define AT(type, base, offset) (*(type *)((__u8 *)(base) + (offset)))
#define COPY(type, offset) (AT(type, data, offset) = AT(type, from, offset))

/* lines are cache lines to read: each names the one that comes after it. User space
 * says how many there are.
 */
struct line {
	__u32 next;
	__u32 pad[15];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct line);
} lines SEC(".maps");

/* with_half returns a pair of addresses with one of them exchanged. */
static __always_inline __u64 with_half(__u64 both, __be32 addr, bool second)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	second = !second;
#endif
	if (second)
		return (both & 0xffffffff) | (__u64)addr << 32;
	return (both >> 32 << 32) | addr;
}

union ports {
	__u32 both;
	__u16 half[2];
};

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline __u32 ports_of(const void *from, int offset, __u32 flow)
{
	union ports p = { .both = AT(__u32, from, offset) };
	__be16 client = htons(1024 + (flow >> 16));

	if (next.reply) {
		p.half[1] = client;
		return p.both;
	}
	p.half[0] = client;
	if (next.services)
		p.half[1] = htons(next.port + (flow & next.services));
	return p.both;
}

/* write makes the frame the next packet of the plan. */
static __always_inline bool write(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;
	const void *from = next.frame;
	__u32 index = next.index, flow = index & next.mask;
	__u64 both;
	__be32 addr;
	long more;

	/* The program before may have put a header in front. */
	more = end - data;
	/* Else the compiler subtracts halves of pointers. */
	asm volatile("" : "+r"(more));
	more -= next.size;
	if (more) {
		if (adjust_head(ctx, more))
			return false;
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
	}
	if (data + HEADERS4 > end)
		return false;
	next.index = index * next.multiplier + next.increment;
	/* Low bits of such a sequence repeat soon, so addresses take the low and
	 * ports the high bits of the flow's number. */
	addr = htonl(next.first + (flow & 0xffff));
	COPY(__u64, 0);
	COPY(__u32, 8);
	COPY(__u16, 12);
	COPY(__u64, 14);
	if (next.ipv6) {
		if (data + HEADERS6 > end)
			return false;
		COPY(__u64, 22);
		both = AT(__u64, from, 30);
		AT(__u64, data, 30) = next.reply ? both : with_half(both, addr, true);
		COPY(__u64, 38);
		both = AT(__u64, from, 46);
		AT(__u64, data, 46) = next.reply ? with_half(both, addr, true) : both;
		AT(__u32, data, 54) = ports_of(from, 54, flow);
		COPY(__u64, 58);
		COPY(__u64, 66);
		return true;
	}
	AT(__u16, data, 22) = AT(__u16, from, 22);
	AT(__u16, data, 24) = fold(next.sum + (addr & 0xffff) + (addr >> 16));
	AT(__u64, data, 26) = with_half(AT(__u64, from, 26), addr, next.reply);
	AT(__u32, data, 34) = ports_of(from, 34, flow);
	COPY(__u64, 38);
	COPY(__u64, 46);
	return true;
}

SEC("xdp")
int drive(struct xdp_md *ctx)
{
	__u32 n = next.count;

	if (!(n % BATCH))
		stamps[n / BATCH % STAMPS] = clock_ns();
	next.count = n + 1;
	if (!write(ctx))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

static __always_inline void look(void)
{
	span.latest_ns = clock_ns();
	span.latest = next.count;
	if (span.first_ns)
		return;
	span.first_ns = span.latest_ns;
	span.first = next.count;
}

/* live sends a packet, if it is time for one. */
SEC("xdp")
int live(struct xdp_md *ctx)
{
	__u8 *data, *end;

	if (next.apart_ns) {
		__u64 now = clock_ns();

		if (!next.due_ns)
			next.due_ns = now;
		if (now < next.due_ns)
			return XDP_DROP;
		if (next.forgive)
			next.due_ns = now;
	}
	if (!write(ctx))
		return XDP_ABORTED;
	if (next.apart_ns) {
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
		if (data + 50 > end)
			return XDP_ABORTED;
		/* When it was due, not when it went: a late one has waited. */
		AT(__u64, data, 42) = next.due_ns;
		next.due_ns += next.apart_ns;
	}
	if (!(next.count % LOOK))
		look();
	next.count++;
	return redirect_to(next.ifindex, 0);
}

static __always_inline __u32 step_of(__u64 ns)
{
	__u32 power = 0;
	__u64 rest = ns;

	if (rest >> 32) {
		power += 32;
		rest >>= 32;
	}
	if (rest >> 16) {
		power += 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		power += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		power += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		power += 2;
		rest >>= 2;
	}
	if (rest >> 1)
		power += 1;
	if (power < 4)
		return ns & 15;
	return power * STEPS + ((ns >> (power - 4)) & (STEPS - 1));
}

/* sink is the end of the way: it counts IPv4 frames, and takes all away. */
SEC("xdp")
int sink(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;
	__u32 key = 0, at = next.stamp_at & 0x7f;
	__u64 *n, now, sent;

	if (data + 14 > end || AT(__be16, data, 12) != htons(0x0800))
		return XDP_DROP;
	n = map_value(&sunk, &key);
	if (n)
		*n += 1;
	if (!at || data + at + 8 > end)
		return XDP_DROP;
	now = clock_ns();
	sent = AT(__u64, data, at);
	key = step_of(now > sent ? now - sent : 0);
	n = map_value(&delays, &key);
	if (n)
		*n += 1;
	return XDP_DROP;
}

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	return XDP_DROP;
}

static __always_inline void swap_macs(__u8 *data)
{
	__u16 *mac = (void *)data;
	__u16 a = mac[0], b = mac[1], c = mac[2];

	mac[0] = mac[3];
	mac[1] = mac[4];
	mac[2] = mac[5];
	mac[3] = a;
	mac[4] = b;
	mac[5] = c;
}

static __always_inline bool readable(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;
	__be16 proto;

	if (data + HEADERS4 > end)
		return false;
	proto = AT(__be16, data, 12);
	return (proto == htons(0x0800) && data[14] == 0x45) ||
	       (proto == htons(0x86dd) && data[20] != 44);
}

/* least is the least that a balancer does with a frame: look at its headers,
 * swap the addresses, send it back.
 */
SEC("xdp")
int least(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;

	if (!readable(ctx) || data + 12 > end)
		return XDP_PASS;
	swap_macs(data);
	return XDP_TX;
}

/* relay is the least between two interfaces. */
__u32 relay_to;

SEC("xdp")
int relay(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;

	if (!readable(ctx) || data + 12 > end)
		return XDP_PASS;
	swap_macs(data);
	return redirect_to(relay_to, 0);
}

/* line is the one that memory reads next. */
__u32 line;

/* memory reads one line after the other, each where the one before says: nothing of
 * it can begin earlier, so what it costs is the latency of the memory.
 */
#define READS 256
SEC("xdp")
int memory(struct xdp_md *ctx)
{
	struct line *at;
	__u32 key = line;
	int i;

	for (i = 0; i < READS; i++) {
		at = map_value(&lines, &key);
		if (!at)
			return XDP_ABORTED;
		key = at->next;
	}
	line = key;
	return XDP_DROP;
}
