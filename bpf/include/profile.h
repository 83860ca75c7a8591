/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where kernels differ in what IPVS decides, chosen at load time. */
#ifndef EK_PROFILE_H
#define EK_PROFILE_H

#include "contract.h"

/* Kernels before 6.1.183 and 6.12.104 count 256 * active + inactive in lc and
 * wlc, and set and clear the overload mark by other rules.
 */
const volatile bool old_overhead = false;
const volatile bool old_thresholds = false;

/* CONFIG_IP_VS_SH_TAB_BITS of the kernel to follow. */
const volatile __u8 sh_bits = 8;

/* threshold_release is the number of flows below which an overloaded server
 * takes new ones again.
 */
static __always_inline __u32 threshold_release(const struct server *srv)
{
	return srv->lower ? srv->lower : srv->upper - (srv->upper >> 2);
}

/* threshold_bound says whether binding the flow that made total overloads the
 * server.
 */
static __always_inline bool threshold_bound(const struct server *srv, __u32 total)
{
	if (!srv->upper)
		return false;
	if (old_thresholds)
		return total >= srv->upper;
	return total == srv->upper && total >= threshold_release(srv);
}

/* threshold_unbound says whether the flow that went and left total ends it. */
static __always_inline bool threshold_unbound(const struct server *srv, __u32 total)
{
	if (!old_thresholds)
		return total + 1 == threshold_release(srv) && total < srv->upper;
	if (srv->lower)
		return total < srv->lower;
	if (srv->upper)
		return (__u64)total * 4 < (__u64)srv->upper * 3;
	return true;
}

/* threshold_edited returns the mark of a server whose thresholds were changed. */
static __always_inline bool threshold_edited(const struct server *srv, __u32 total, bool mark,
					     __u32 old_upper, __u32 old_lower)
{
	if (old_thresholds)
		return mark && srv->upper && srv->upper <= old_upper;
	if (srv->upper == old_upper && srv->lower == old_lower)
		return mark;
	if (!srv->upper)
		return false;
	if (total >= srv->upper)
		return true;
	return mark && total >= threshold_release(srv);
}

#endif
