/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Next hops towards clients, by number: a copy (hot.h) has room for a number only, and many flows
 * have the same one. They come from the flows, which have asked the kernel (reply_route).
 */
#ifndef EK_HOP_H
#define EK_HOP_H

#include "barrier.h"
#include "clock.h"
#include "maps.h"

#if !DRY

/* One more than a hop's index is its number, which fits a copy. */
#define MAX_HOPS 16384

/* The places there are, a power of two. Tests have fewer. */
const volatile __u32 hop_places = MAX_HOPS;

/* A hop lies in one of so many places from where its hash says. */
#define HOP_TRIES 4

/* Its place is another's after so many seconds without a flow that asked for it. Copies forget
 * their hop after one or two.
 */
#define HOP_KEEP 60

struct hop {
	struct link link;
	__u16 vlan;
	__u16 mtu;  /* largest IP packet on the way, 0 not known */
	__u32 used; /* the second after which a flow had it last, from 1; 0 never; or HOP_BUSY */
};

/* HOP_BUSY says that somebody writes the hop. Until then, and after, it does not change. */
#define HOP_BUSY 0xffffffffU

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_HOPS);
	__type(key, __u32);
	__type(value, struct hop);
} ek_hops SEC(".maps");

/* hop_words is a hop as words, of which the first five say where it leads. */
#define hop_words(h) ((const __u32 *)(const void *)(h))

static __always_inline bool hop_same(const struct hop *a, const struct hop *b)
{
	const __u32 *x = hop_words(a), *y = hop_words(b);

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && x[4] == y[4];
}

static __always_inline __u32 hop_hash(const struct hop *hop)
{
	const __u32 *x = hop_words(hop);

	return ((x[0] ^ x[1] ^ x[2] ^ x[3] ^ x[4]) * 0x9e3779b1U) >> 16;
}

static __always_inline struct hop *hop_at(__u32 index)
{
	return bpf_map_lookup_elem(&ek_hops, &index);
}

/* hop_keep says that a hop is used now; false if somebody writes another there, which begins with a
 * swap.
 */
static __always_inline bool hop_keep(struct hop *place, __u32 used, __u32 now)
{
	return (__s32)(now - used) <= 0 ||
	       __sync_val_compare_and_swap(&place->used, used, now) == used;
}

/* hop_claim writes a hop into a place that is nobody's any more; false if somebody was faster. */
static __always_inline bool hop_claim(struct hop *place, __u32 used, const struct hop *hop)
{
	if (__sync_val_compare_and_swap(&place->used, used, HOP_BUSY) != used)
		return false;
	place->link = hop->link;
	place->vlan = hop->vlan;
	place->mtu = hop->mtu;
	__sync_lock_test_and_set(&place->used, hop->used);
	return true;
}

/* hop_number returns the number of a hop that is used now, or 0 if all its places are taken. The first
 * round looks for the hop, the second for a place.
 */
static __always_inline __u16 hop_number(const struct hop *hop)
{
	__u32 first = hop_hash(hop), used;
	struct hop *place;

	for (__u32 i = 0; i < 2 * HOP_TRIES; i++) {
		__u32 index = (first + i % HOP_TRIES) & (hop_places - 1);

		place = bpf_map_lookup_elem(&ek_hops, &index);
		if (!place)
			return 0;
		used = READ_ONCE(place->used);
		load_barrier();
		if (i >= HOP_TRIES) {
			/* Another CPU may be a second ahead. */
			if (used != HOP_BUSY && (!used || (__s32)(hop->used - used) >= HOP_KEEP))
				return hop_claim(place, used, hop) ? index + 1 : 0;
		} else if (used != HOP_BUSY && hop_same(place, hop)) {
			return hop_keep(place, used, hop->used) ? index + 1 : 0;
		}
	}
	return 0;
}

#endif

#endif
