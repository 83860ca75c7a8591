/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Telling packets that are nobody's of ours apart by one byte for each end. A byte that is set
 * says that the end may be a service's or a server's, since others may share it; one
 * that is not set says for certain that it is not.
 */
#ifndef EK_FOREIGN_H
#define EK_FOREIGN_H

#include "explain.h"
#include "parse.h"

/* known_ends returns the bytes. What a packet says is read after that: to keep it meanwhile would
 * take room on the stack.
 */
static __always_inline const struct known *known_ends(void)
{
	const struct known *known = bpf_map_lookup_elem(&ek_known, &only);

	__asm__ volatile("" : : : "memory");
	return known;
}

/* end_known says whether the byte of an address and a port is set. The protocol does not count. Package
 * lbmaps finds the same byte. The product's high bits depend on all.
 */
static __always_inline bool end_known(const struct known *known, __u32 addr, __be16 port)
{
	__u32 end = ((addr ^ (__u32)port << 16) * 0x9e3779b1U) >> (32 - KNOWN_BITS);

	return READ_ONCE(known->end[end]);
}

/* source_known says it of the end that a packet is from. */
static __always_inline bool source_known(const struct known *known, const struct packet *p)
{
	return end_known(known, p->v6 ? addr6_mix(p->ip6->saddr) : p->ip->saddr, p->sport);
}

/* may_answer says whether a packet may be from a server. The dry program looks at each, as
 * it tells of all that would be found.
 */
static __always_inline bool may_answer(const struct packet *p)
{
	const struct known *known = DRY ? NULL : known_ends();

	return !known || source_known(known, p);
}

/* foreign says whether a packet is certainly neither to a service nor from a server, of
 * those that are there and those that flows still remember.
 */
static __always_inline bool foreign(const struct packet *p)
{
	const struct known *known = known_ends();

	return known &&
	       !end_known(known, p->v6 ? addr6_mix(p->ip6->daddr) : p->ip->daddr, p->dport) &&
	       !source_known(known, p);
}

#endif
