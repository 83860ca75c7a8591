/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What balancing leaves for later: ways that are rare, or long. It returns, in place of
 * a verdict, what is to be done, and a function of its own does it with the packet
 * read again. So the verifier follows that once, and not at the end of each way
 * through balancing, and the stacks do not add up.
 */
#ifndef EK_LATER_H
#define EK_LATER_H

#include "kernel.h"

/* No verdict is as large as the first. */
enum later {
	LATER_RELATED = 128,	   /* the packet is of ICMP or ICMPv6 */
	LATER_UNREACHABLE = 129,   /* answer: no server can take the flow */
	LATER_EXCEEDED = 130,	   /* answer: the time to live is used up */
	LATER_TOO_BIG = 131,	   /* answer: with this MTU */
	LATER_TOO_BIG_REPLY = 132, /* the same to a NAT server */
	LATER_TUNNEL = 133,	   /* send it to this server by TUN */
	LATER_REPLY = 134,	   /* send a reply: LATER_ASK, LATER_COPY */
	LATER_BALANCE = 135,	   /* all of it: the fast way is not for this packet */
	LATER_TAG = 136,	   /* a verdict, after a tag was put into the frame */
};

#define LATER LATER_RELATED
#define LATER_KIND 0xff
#define LATER_SHIFT 8

/* What is to be done before a reply is sent. */
enum {
	LATER_ASK,  /* ask for its way */
	LATER_COPY, /* make a copy for those that follow, which have the same */
};

/* Above a verdict, or what stands for it, may be the number of a shard that has little
 * room left.
 */
#define ROOM_SHIFT 25

/* later is what stands for a verdict; value is the MTU, the server's index, what tag_push takes, or
 * LATER_ASK or LATER_COPY.
 */
static __always_inline int later(enum later kind, __u32 value)
{
	return (int)(kind | value << LATER_SHIFT);
}

/* later_room has room made in a shard before anything else that is left for later. */
static __always_inline int later_room(__u32 low)
{
	return (int)(low << ROOM_SHIFT);
}

#endif
