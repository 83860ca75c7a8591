/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Telling packets that are nobody's of ours apart by one bit of each end. A set bit
 * says that the end may be a service's or a server's, since others may share it; one
 * that is not set says for certain that it is not.
 */
#ifndef EK_FOREIGN_H
#define EK_FOREIGN_H

#include "explain.h"
#include "parse.h"

/* end_known says whether the bit of an address and a port is set. The protocol does not
 * count. Package lbmaps finds the same bit. The product's high bits depend on all.
 */
static __always_inline bool end_known(__u32 addr, __be16 port)
{
	__u32 bit = ((addr ^ (__u32)port << 16) * 0x9e3779b1U) >> (32 - KNOWN_BITS);
	__u32 index = bit / 64;
	__u64 *word = bpf_map_lookup_elem(&ek_known, &index);

	return !word || READ_ONCE(*word) >> (bit & 63) & 1;
}

/* may_answer says whether a packet may be from a server. The dry program looks at each, as
 * it tells of all that would be found.
 */
static __always_inline bool may_answer(const struct packet *p)
{
	return DRY || end_known(p->v6 ? addr6_mix(p->ip6->saddr) : p->ip->saddr, p->sport);
}

/* foreign says whether a packet is certainly neither to a service nor from a server, of
 * those that are there and those that flows still remember.
 */
static __always_inline bool foreign(const struct packet *p)
{
	if (p->v6)
		return !end_known(addr6_mix(p->ip6->daddr), p->dport) &&
		       !end_known(addr6_mix(p->ip6->saddr), p->sport);
	return !end_known(p->ip->daddr, p->dport) && !end_known(p->ip->saddr, p->sport);
}

#endif
