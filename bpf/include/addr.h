/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of both families. An IPv6 address is four words in network order,
 * an IPv4 address one.
 */
#ifndef EK_ADDR_H
#define EK_ADDR_H

#include "csum.h"

static __always_inline void addr6_copy(void *to, const void *from)
{
	__u32 *x = to;
	const __u32 *y = from;

	x[0] = y[0];
	x[1] = y[1];
	x[2] = y[2];
	x[3] = y[3];
}

static __always_inline bool addr6_equal(const void *a, const void *b)
{
	const __u32 *x = a, *y = b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

/* addr6_mix is one word that depends on all of the address, in network order. */
static __always_inline __u32 addr6_mix(const void *addr)
{
	const __u32 *x = addr;

	return x[0] ^ x[1] ^ x[2] ^ x[3];
}

/* addr4_of is the IPv4 address in a v4-mapped one. */
static __always_inline __be32 addr4_of(const __u8 *mapped)
{
	return *(const __be32 *)(mapped + 12);
}

/* addr6_replace puts another address in the place of one, and returns what that adds to a sum: csum_diff4 of
 * all words. The compiler must add up each before it goes on, or it keeps them on the stack.
 */
static __always_inline __u64 addr6_replace(void *at, const void *by)
{
	const __be32 *y = by;
	__be32 *x = at;
	__u64 diff = 0;

#pragma unroll
	for (int i = 0; i < 4; i++) {
		__be32 was = x[i], is = y[i];

		x[i] = is;
		diff += csum_diff4(was, is);
		__asm__ volatile("" : "+r"(diff));
	}
	return diff;
}

/* join4, join2 and join1 are two words, or bytes, that lie in a row as one. */
static __always_inline __u64 join4(__be32 first, __be32 second)
{
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		return (__u64)second << 32 | first;
	return (__u64)first << 32 | second;
}

static __always_inline __u32 join2(__be16 first, __be16 second)
{
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		return (__u32)second << 16 | first;
	return (__u32)first << 16 | second;
}

static __always_inline __u32 join1(__u32 first, __u32 second)
{
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		return second << 8 | first;
	return first << 8 | second;
}

/* read4 and read8 read words of a packet or a map, which need not be aligned: a pointer to void says
 * nothing of what it points into, and what clang knows to be less aligned it reads in parts.
 */
static __always_inline __u32 read4(const void *at)
{
	return *(const __u32 *)at;
}

static __always_inline __u64 read8(const void *at)
{
	return *(const __u64 *)at;
}

/* words_mix is a word that depends on both of an address, whose last bytes, the busiest, must not fall
 * together: those of the first move up by one.
 */
static __always_inline __u64 words_mix(__u64 first, __u64 second)
{
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		return first >> 8 ^ second;
	return first << 8 ^ second;
}

/* addr_is_v4 says whether an address is a v4-mapped one. */
static __always_inline bool addr_is_v4(const void *addr)
{
	const __be32 *x = addr;

	return !x[0] && !x[1] && x[2] == htonl(0xffff);
}

static __always_inline void addr4_map(__u8 *to, __be32 addr)
{
	__u32 *x = (__u32 *)to;

	x[0] = x[1] = 0;
	x[2] = htonl(0xffff);
	x[3] = addr;
}

/* addr_masked is one word of an address with the bits behind the prefix cleared;
 * at is the number of bits before the word.
 */
static __always_inline __be32 addr_masked(__be32 word, __u32 at, __u32 prefix)
{
	if (prefix >= at + 32)
		return word;
	if (prefix <= at)
		return 0;
	return word & htonl(~0U << ((32 - (prefix - at)) & 31));
}

#endif
