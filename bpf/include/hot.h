/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a packet needs of a flow that is established, in one cache line: a copy of the
 * flow, beside the flow table and never instead of it. It may always be missing. The
 * rules that keep it true:
 *
 *  - Only flows in a state that their next plain packet leaves as it is are copied.
 *  - Whoever takes a flow out of such a state drops the copy after that, and spoils one
 *    that is being filled, whosever it is. Who makes a copy looks at the flow once more
 *    before it is one. So no packet goes by a copy once that is done.
 *  - A copy says when it was used, and a packet that goes by it writes no other time. So
 *    whoever finds a flow's time over, or is about to write it, looks at the copy too
 *    (flow.h). User space does not: it has a sweep write the time back. So does who gives
 *    a copy's place away. Now and then a packet looks at the flow itself.
 *  - A copy changes under its word: who fills it makes it HOT_BUSY by
 *    compare-and-swap, and ends it so, and each filling has another turn. A reader looks
 *    at the word before and after the rest.
 *  - Answers of a NAT server go by a copy of their own, which has the number of their next hop
 *    (hop.h) as well. It lies where their own tuple says, and is dropped with the other. They
 *    write nothing to it: once a second one of them looks at the flow and makes it anew. Of
 *    two flows whose answers look the same the younger one gets them: who opens it drops the
 *    copy of the other, and who makes one looks at whose the answers are, as at the flow.
 *  - The time alone is written without: should the place be another flow's just then,
 *    that one was used just then as well, and its answers may go by it for a second. Who writes it looks at the word after that, and
 *    who gives the place away looks at the time after it made the copy HOT_BUSY: one of
 *    them sees the other, so no time is lost.
 */
#ifndef EK_HOT_H
#define EK_HOT_H

#include "barrier.h"
#include "clock.h"
#include "tuple.h"

#if !DRY

/* Copies lie in sets: of IPv4's as many bytes as a processor fetches at once. IPv6's sets are
 * larger, since a flow that finds its set full costs more there: in a table that is half full
 * 1 flow in 100 does, as with IPv4 4 do.
 */
#define HOT_WAYS 4
#define HOT_WAYS6 8
#define HOT_SETS (MAX_FLOWS / HOT_WAYS)

enum {
	HOT_EMPTY = 0,
	HOT_BUSY = 1,	/* somebody fills it */
	HOT_SPOILT = 2, /* and shall leave it empty */
	HOT_FULL = 4,	/* the least of a copy: hot_kind */
};

union hot_word {
	__u64 word;
	struct {
		__u32 server; /* index into ek_servers */
		__u16 hop;    /* of answers: how they leave, a number of hop.h */
		__u8 turn;
		__u8 kind;
	};
};

/* The kind of a copy is the protocol, TCP or UDP, above the forwarding method. For answers it has
 * a bit that neither protocol has.
 */
#define HOT_METHOD_BITS 2
#define HOT_REPLY 0x20

struct hot_head {
	union hot_word now;
	__be16 cport;
	__be16 vport;
	__u32 until; /* the tick at which the time is looked at again */
	__u64 used;  /* when, in nanoseconds, but for the lowest four bits: HOT_LOOKS */
};

/* How often the time is moved on before a packet looks at the flow itself; as many from
 * the beginning where the time-out is too short for that.
 */
#define HOT_LOOKS 15

/* A flow that pauses for longer is looked at, too: such flows gain nothing by a copy, and
 * get none.
 */
#define HOT_PAUSE (4 * SECOND)

/* After so long a copy's place is given to another flow. */
#define HOT_IDLE HOT_PAUSE

/* A packet that finds another before it within this part of the slack (copy.h) has its flow's
 * copy take the place of one that is used seldom, but not yet idle. Where the time-out is
 * short, only such flows get a copy.
 */
#define HOT_OFTEN 4
#define HOT_SELDOM (2 * SECOND)

struct hot {
	struct hot_head head;
	__be32 caddr;
	__be32 vaddr;
};

struct hot6 {
	struct hot_head head;
	__u8 caddr[16];
	__u8 vaddr[16];
	__u64 pad;
};

struct hot_set {
	struct hot way[HOT_WAYS];
};

struct hot6_set {
	struct hot6 way[HOT_WAYS6];
};

/* All sets are one entry, so that the program has its address and looks nothing up. The loader may give
 * it more or fewer: hot_shift.
 */
struct hot_sets {
	struct hot_set set[HOT_SETS];
};

struct hot6_sets {
	struct hot6_set set[HOT_SETS / 2];
};

/* The flag has them begin with a cache line, and lets user space read them in place. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct hot_sets);
} ek_hot SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct hot6_sets);
} ek_hot6 SEC(".maps");

/* 64 less the binary logarithm of the number of IPv4's sets; IPv6 has half as many. The verifier knows it,
 * and so that no set lies behind the last.
 */
const volatile __u32 hot_shift = 48;

/* The kernel's ticks per second. 100 is right or too low. */
const volatile __u32 tick_rate = 100;

/* After so many packets without a copy, few packets look for one. Tests raise it. */
const volatile __u32 hot_patience = 256;

/* What a hit makes good of that: where fewer than one packet in five has a copy, to look
 * for it costs more than it wins.
 */
#define HOT_HIT 4

/* Then one packet in so many looks. */
#define HOT_RARELY 32

/* Packets without a copy, by CPU; each in a cache line of its own. CPUs with the same
 * number here spoil nothing but the guess.
 */
#define HOT_CPUS 256
struct hot_luck {
	__u32 misses;
	__u32 left;   /* packets that did not look */
	__u32 doubts; /* 1 if it is counted in hot_doubt */
	__u32 pad[13];
} hot_luck[HOT_CPUS];

/* How many CPUs have lost half of their patience. While none has, nobody looks at its own luck,
 * and hits need not be counted. A CPU that gets no more packets stays what it was, which costs the
 * others that look. In a cache line of its own.
 */
struct {
	__u32 cpus;
	__u32 pad[15];
} hot_doubt __attribute__((aligned(64)));

/* tick_now reads a variable of the kernel, where clock_now calls a function. */
static __always_inline __u32 tick_now(void)
{
	if (unlikely(test_clock))
		return READ_ONCE(test_now) * tick_rate / SECOND;
	return bpf_jiffies64();
}

/* hot_luck_here returns what this CPU counted. */
static __always_inline struct hot_luck *hot_luck_here(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return &hot_luck[cpu & (HOT_CPUS - 1)];
}

static __always_inline bool hot_doubted(void)
{
	return READ_ONCE(hot_doubt.cpus);
}

/* hot_worth says whether a packet should look for a copy: with many flows that send
 * little, each look is a cache miss for nothing.
 */
static __always_inline bool hot_worth(bool doubted)
{
	struct hot_luck *luck;

	if (likely(!doubted))
		return true;
	luck = hot_luck_here();
	return luck->misses < hot_patience || !(++luck->left & (HOT_RARELY - 1));
}

/* hot_looked says whether it said so of this packet. Few others have reason to make a copy. */
static __always_inline bool hot_looked(void)
{
	const struct hot_luck *luck;

	if (likely(!hot_doubted()))
		return true;
	luck = hot_luck_here();
	return luck->misses < hot_patience || !(luck->left & (HOT_RARELY - 1));
}

/* hot_hit counts a look that found a copy. */
static __always_inline void hot_hit(bool doubted)
{
	struct hot_luck *luck;

	if (likely(!doubted))
		return;
	luck = hot_luck_here();
	if (luck->misses > HOT_HIT) {
		luck->misses -= HOT_HIT;
		return;
	}
	luck->misses = 0;
	if (__sync_lock_test_and_set(&luck->doubts, 0))
		__sync_fetch_and_add(&hot_doubt.cpus, -1);
}

/* hot_miss counts one that found none. */
static __always_inline void hot_miss(void)
{
	struct hot_luck *luck = hot_luck_here();

	if (luck->misses >= hot_patience)
		return;
	luck->misses++;
	if (luck->doubts || luck->misses < hot_patience / 2)
		return;
	if (!__sync_lock_test_and_set(&luck->doubts, 1))
		__sync_fetch_and_add(&hot_doubt.cpus, 1);
}

/* hot_mix need not withstand somebody who looks for collisions: they cost what the
 * way without copies costs.
 */
static __always_inline __u64 hot_mix(__u64 sum, __u64 word)
{
	sum = (sum ^ word) * 0x9e3779b97f4a7c15ULL;
	return sum ^ sum >> 32;
}

/* hot_hash4 and hot_hash6 take addresses, and both ports, as they lie in a packet: of the client, or of
 * answers to it.
 */
static __always_inline __u64 hot_hash4(__u64 addrs, __u32 ports)
{
	return hot_mix(hot_mix(0, addrs), ports);
}

/* hot_last makes the last byte of eight, the busiest of an address, the lowest of the word: a product's
 * highest bits alone depend on the highest byte.
 */
static __always_inline __u64 hot_last(__u64 word)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(word) : word;
}

static __always_inline __u64 hot_hash6(__u64 ours, __u32 ports, __u64 client, __u64 client_end)
{
	__u64 sum = (hot_last(ours) ^ (__u64)ports << 32) * 0x9e3779b97f4a7c15ULL;

	/* The products do not wait for each other. The ports are where the address has its quieter bytes. */
	sum += hot_last(client) * 0xc2b2ae3d27d4eb4fULL;
	sum += hot_last(client_end) * 0x165667b19e3779f9ULL;
	return hot_mix(0, sum ^ sum >> 32);
}

/* hot_hash says where the copy of a tuple lies, which programs of other versions must find: who
 * changes it changes the layout of the maps.
 */
static __always_inline __u64 hot_hash(const union tuple *t, bool v6)
{
	const __be32 *c = (const __be32 *)t->v6.caddr, *v = (const __be32 *)t->v6.vaddr;

	if (v6)
		return hot_hash6(words_mix(join4(v[0], v[1]), join4(v[2], v[3])),
				 join2(t->v6.cport, t->v6.vport), join4(c[0], c[1]),
				 join4(c[2], c[3]));
	return hot_hash4(join4(t->v4.caddr, t->v4.vaddr), join2(t->v4.cport, t->v4.vport));
}

/* hot_hash_reply says it of the copy for answers. */
static __always_inline __u64 hot_hash_reply(const union reply_tuple *key, bool v6)
{
	const __be32 *c = (const __be32 *)key->v6.caddr, *s = (const __be32 *)key->v6.saddr;

	if (v6)
		return hot_hash6(words_mix(join4(s[0], s[1]), join4(s[2], s[3])),
				 join2(key->v6.sport, key->v6.cport), join4(c[0], c[1]),
				 join4(c[2], c[3]));
	return hot_hash4(join4(key->v4.saddr, key->v4.caddr), join2(key->v4.sport, key->v4.cport));
}

/* hot_set returns the set for a hash, by its highest bits; the lowest say where in the set to begin. */
static __always_inline void *hot_set(__u64 hash, bool v6)
{
	void *set = v6 ? bpf_map_lookup_elem(&ek_hot6, &only) : bpf_map_lookup_elem(&ek_hot, &only);
	__u64 index;

	index = hash >> (hot_shift + v6);
	if (set)
		set += index * (v6 ? sizeof(struct hot6_set) : sizeof(struct hot_set));
	__asm__ volatile("" : "+r"(set)); /* or the compiler adds it up again for each way */
	return set;
}

static __always_inline int hot_ways(bool v6)
{
	return v6 ? HOT_WAYS6 : HOT_WAYS;
}

/* hot_way returns the way of a set that is number i from where its hash begins. */
static __always_inline struct hot_head *hot_way(void *set, __u64 hash, int i, bool v6)
{
	__u64 way = (hash ^ i) & (hot_ways(v6) - 1);

	__asm__ volatile("" : "+r"(way)); /* the mask belongs where the index is used */
	if (v6)
		return &((struct hot6_set *)set)->way[way].head;
	return &((struct hot_set *)set)->way[way].head;
}

/* hot_kind is the kind of a copy. */
static __always_inline __u8 hot_kind(__u8 proto, __u8 method)
{
	return proto << HOT_METHOD_BITS | method;
}

/* hot_proto is the protocol of a copy, and no protocol where there is none. */
static __always_inline __u8 hot_proto(union hot_word w)
{
	return w.kind >> HOT_METHOD_BITS;
}

static __always_inline __u8 hot_method(union hot_word w)
{
	return w.kind & ((1 << HOT_METHOD_BITS) - 1);
}

/* hot_is says whether a copy whose word was read is that of a tuple's flow, or the one for its answers:
 * reply is 0 or HOT_REPLY.
 */
static __always_inline bool hot_is(const struct hot_head *head, union hot_word w,
				   const union tuple *t, bool v6, __u8 reply)
{
	const struct hot6 *six = (const void *)head;
	const struct hot *four = (const void *)head;

	if (v6)
		return hot_proto(w) == (t->v6.proto | reply) && head->cport == t->v6.cport &&
		       head->vport == t->v6.vport && addr6_equal(six->caddr, t->v6.caddr) &&
		       addr6_equal(six->vaddr, t->v6.vaddr);
	return hot_proto(w) == (t->v4.proto | reply) && head->cport == t->v4.cport &&
	       head->vport == t->v4.vport && four->caddr == t->v4.caddr &&
	       four->vaddr == t->v4.vaddr;
}

/* hot_answers says whether it is one for answers with this tuple: servers are not told apart. */
static __always_inline bool hot_answers(const struct hot_head *head, union hot_word w,
					const union reply_tuple *key, bool v6)
{
	if (v6)
		return hot_proto(w) == (key->v6.proto | HOT_REPLY) &&
		       head->cport == key->v6.cport &&
		       addr6_equal(((const struct hot6 *)head)->caddr, key->v6.caddr);
	return hot_proto(w) == (key->v4.proto | HOT_REPLY) && head->cport == key->v4.cport &&
	       ((const struct hot *)head)->caddr == key->v4.caddr;
}

/* hot_used is when a copy was used, or when the flow was as one for its answers was made. */
static __always_inline __u64 hot_used(const struct hot_head *head)
{
	return READ_ONCE(head->used) & ~(__u64)HOT_LOOKS;
}

/* hot_stamp writes when a copy was used, now or up to slack ago: by so much its flow's time
 * of death may be wrong.
 */
static __always_inline void hot_stamp(struct hot_head *head, __u64 used, __u64 now, __u64 slack)
{
	__u64 looks = slack < SECOND ? HOT_LOOKS : 0;

	WRITE_ONCE(head->used, (used & ~(__u64)HOT_LOOKS) | looks);
	WRITE_ONCE(head->until, tick_now() + (used + slack - now) * tick_rate / SECOND);
}

/* hot_move moves the time of a copy on, if that is a second old; false if the packet
 * should look at the flow itself. What is more than two seconds old counts twice, so that the
 * flow's own time is never much more than thirty seconds behind.
 */
static __always_inline bool hot_move(struct hot_head *head, union hot_word w)
{
	__u64 now = clock_now(), seen = READ_ONCE(head->used), looks = seen & HOT_LOOKS;
	__u64 since = now - (seen - looks);

	if (looks == HOT_LOOKS || since > HOT_PAUSE)
		return false;
	if (since <= SECOND)
		return true;
	looks += since > 2 * SECOND ? 2 : 1;
	if (looks > HOT_LOOKS)
		return false;
	WRITE_ONCE(head->used, (now & ~(__u64)HOT_LOOKS) | looks);
	WRITE_ONCE(head->until, tick_now() + tick_rate);
	full_barrier();
	return READ_ONCE(head->now.word) == w.word;
}

/* hot_holds says whether a packet at this tick need not look at the time. */
static __always_inline bool hot_holds(const struct hot_head *head, __u32 tick)
{
	return READ_ONCE(head->until) - tick - 1 < tick_rate;
}

/* hot_own returns the copy of a tuple's flow, however old, or NULL. */
static __always_inline struct hot_head *hot_own(const union tuple *t, bool v6)
{
	__u64 hash = hot_hash(t, v6);
	void *set = hot_set(hash, v6);
	struct hot_head *head;
	union hot_word w;

	if (!set)
		return NULL;
#pragma unroll
	for (int i = 0; i < hot_ways(v6); i++) {
		head = hot_way(set, hash, i, v6);
		w.word = READ_ONCE(head->now.word);
		load_barrier();
		if (hot_is(head, w, t, v6, 0))
			return head;
	}
	return NULL;
}

/* hot_use says whether a packet may go by a copy with this word, which is used by it. */
static __always_inline bool hot_use(struct hot_head *head, union hot_word w)
{
	return likely(hot_holds(head, tick_now())) || hot_move(head, w);
}

#else

#define hot_looked() false

#endif

#endif
