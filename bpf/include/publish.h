/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What user space has the program do to its own state. */
#ifndef EK_PUBLISH_H
#define EK_PUBLISH_H

#include "select.h"

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
	__u32 place;
	int i;

	moved = bpf_map_lookup_elem(&ek_positions, &only);
	if (!cursor || !moved)
		return -1;
	for (i = 0; i < PUBLISH_TRIES; i++) {
		seen.word = READ_ONCE(cursor->word);
		place = seen.position & (MAX_POSITIONS - 1);
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

/* edit_server brings the overload mark in line with new thresholds. */
static __always_inline int edit_server(struct edit *ctx)
{
	__u32 server = ctx->server;
	struct server *srv = bpf_map_lookup_elem(&ek_servers, &server);
	struct server_conns *conns = conns_find(server);

	if (!srv || !conns)
		return -1;
	WRITE_ONCE(conns->overloaded,
		   threshold_edited(srv, conns_total(conns), READ_ONCE(conns->overloaded),
				    ctx->old_upper, ctx->old_lower));
	return 0;
}

#endif
