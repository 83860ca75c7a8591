/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tags of 802.1Q. One is taken out of a frame before anything reads it, and one is put
 * into a frame after everything else, so that all between knows frames without tags
 * only; ek_ports and the ways out say which VLAN they are of.
 */
#ifndef EK_VLAN_H
#define EK_VLAN_H

#include "later.h"
#include "maps.h"

/* What tag_push takes: an action, and above it a tag. */
#define TAG_ACTION 7
#define TAG_SHIFT 3

/* tagged is an action for a frame that is to have a tag with this id first, 0 for none.
 * The tag's priority is 0, as the kernel's is by default.
 */
static __always_inline int tagged(int action, __u16 vlan)
{
	if (likely(!vlan))
		return action;
	return later(LATER_TAG, (__u32)vlan << TAG_SHIFT | action);
}

/* frame_shift moves the beginning of a frame, with its addresses, and returns what lies
 * behind them there; NULL if that is impossible. A frame that has become longer has a
 * tag's room there.
 */
static __always_inline struct vlan_tag *frame_shift(struct xdp_md *ctx, int by)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 behind = by < 0 ? sizeof(struct vlan_tag) : 0, head[3];

	if (data + sizeof(head) > end)
		return NULL;
	__builtin_memcpy(head, data, sizeof(head));
	if (bpf_xdp_adjust_head(ctx, by))
		return NULL;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + sizeof(head) + behind > end)
		return NULL;
	__builtin_memcpy(data, head, sizeof(head));
	return data + sizeof(head);
}

/* tag_pop takes the tag out of a frame; false if that is impossible. */
static __always_inline bool tag_pop(struct xdp_md *ctx)
{
	return frame_shift(ctx, VLAN_HLEN);
}

/* tag_push puts a tag, in the machine's byte order, into a frame and returns the action.
 * What it becomes was counted already: a driver that has no room for four bytes cannot
 * run the program.
 */
static __always_inline int tag_push(struct xdp_md *ctx, __u16 tci, int action)
{
	struct vlan_tag *tag = frame_shift(ctx, -VLAN_HLEN);

	if (!tag)
		return XDP_ABORTED;
	tag->tpid = htons(ETH_P_8021Q);
	tag->tci = htons(tci);
	return action;
}

/* tag_later is the end of what tagged has left for later. */
static __always_inline int tag_later(struct xdp_md *ctx, int verdict)
{
	__u32 what = (__u32)verdict >> LATER_SHIFT;

	return tag_push(ctx, what >> TAG_SHIFT & VLAN_ID, what & TAG_ACTION);
}

#endif
