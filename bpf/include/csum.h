/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Internet checksums, changed by the difference only (RFC 1624). Nothing is
 * validated here, as IPVS validates nothing: a wrong sum stays wrong.
 */
#ifndef EK_CSUM_H
#define EK_CSUM_H

#include "kernel.h"

/* csum_fold makes a checksum of the sum of words of two or four bytes, less than 2^47. The product's upper
 * half is the sum of both halves, and the lower one carries into it what that leaves out.
 */
static __always_inline __u16 csum_fold(__u64 sum)
{
	__u32 low = (sum & 0xffff) + (sum >> 16);

	return (__u16)(~(low * 0x10001 + (low >> 16)) >> 16);
}

/* csum_diff2 and csum_diff4 return what replacing one value by another adds
 * to a sum; differences of several values may be added up.
 */
static __always_inline __u64 csum_diff2(__be16 from, __be16 to)
{
	return (__u16)~from + (__u32)to;
}

static __always_inline __u64 csum_diff4(__be32 from, __be32 to)
{
	return (__u64)~from + to;
}

/* csum_diff_ttl is that of a time to live that is one less, the high byte of its word. */
static __always_inline __u64 csum_diff_ttl(void)
{
	return htons(0xfeff);
}

static __always_inline __u16 csum_apply(__u16 check, __u64 diff)
{
	return csum_fold((__u16)~check + diff);
}

/* csum_less_ttl is csum_apply for a time to live that is one less, the high byte of its
 * word: the sum of the others is so much less, so its complement more.
 */
static __always_inline __u16 csum_less_ttl(__u16 check)
{
	__u32 more = (__u32)check + htons(0x0100);

	return (__u16)(more + ((more + 1) >> 16));
}

static __always_inline __u32 csum_add(const __u16 *word, int count)
{
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < count; i++)
		sum += word[i];
	return sum;
}

#endif
