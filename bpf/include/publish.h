/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Making a new order of servers valid. */
#ifndef EK_PUBLISH_H
#define EK_PUBLISH_H

#include "maps.h"

#define PUBLISH_TRIES 1024

/* publish_order moves the cursor to where it stood, in terms of the order
 * that user space has just written into the half that is not in use, and makes
 * that half valid: one swap, so that no packet sees one without the other.
 * There is one writer, the holder of the lock on the pin directory.
 */
static __always_inline int publish_order(struct publish *ctx)
{
	__u32 service = ctx->service;
	union cursor *cursor = bpf_map_lookup_elem(&ek_cursors, &service);
	struct positions *moved;
	union cursor seen, next;
	__u32 zero = 0, place;
	int i;

	moved = bpf_map_lookup_elem(&ek_positions, &zero);
	if (!cursor || !moved)
		return -1;
	for (i = 0; i < PUBLISH_TRIES; i++) {
		seen.word = READ_ONCE(cursor->word);
		place = seen.position & (2 * MAX_ORDER - 1);
		__asm__ volatile("" : "+r"(place)); /* 6.1 follows no other bound here */
		next.position = moved->position[place];
		next.generation = seen.generation + 1;
		if (__sync_val_compare_and_swap(&cursor->word, seen.word, next.word) == seen.word) {
			ctx->generation = next.generation;
			return 0;
		}
	}
	return -1;
}

#endif
