/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* IPVS's view of a TCP connection: next state by direction, event and state. */
#ifndef EK_TCP_STATE_H
#define EK_TCP_STATE_H

#include "contract.h"

/* EVENT_NONE is a segment with none of the four flags. */
enum tcp_event { EVENT_NONE, EVENT_SYN, EVENT_FIN, EVENT_ACK, EVENT_RST };

/* INPUT_ONLY holds for DR as long as no reply was seen. It equals
 * FLOW_NOOUTPUT, so that the flag picks the table without a branch.
 */
enum direction { INPUT = 0, OUTPUT = 1, INPUT_ONLY = FLOW_NOOUTPUT };

/* The tables are padded to powers of two, so that a masked index stays inside:
 * branches here would multiply the paths that the verifier has to follow.
 */
#define TCP_STATES 16
#define TCP_EVENTS 8

#define NO FLOW_NONE
#define ES FLOW_ESTABLISHED
#define SS FLOW_SYN_SENT
#define SR FLOW_SYN_RECV
#define FW FLOW_FIN_WAIT
#define TW FLOW_TIME_WAIT
#define CL FLOW_CLOSE
#define CW FLOW_CLOSE_WAIT
#define LA FLOW_LAST_ACK
#define LI FLOW_LISTEN
#define SA FLOW_SYNACK

/* clang-format off */
static const __u8 tcp_next[4][TCP_EVENTS][TCP_STATES] = {
	[INPUT] = {
		/*		 NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
		[EVENT_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		[EVENT_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
		[EVENT_FIN] = { CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW },
		[EVENT_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
		[EVENT_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR },
	},
	[OUTPUT] = {
		[EVENT_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		[EVENT_SYN] = { SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR },
		[EVENT_FIN] = { TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW },
		[EVENT_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES },
		[EVENT_RST] = { CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL },
	},
	[INPUT_ONLY] = {
		[EVENT_NONE] = { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		[EVENT_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
		[EVENT_FIN] = { CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW },
		[EVENT_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
		[EVENT_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL },
	},
};
/* clang-format on */

#undef NO
#undef ES
#undef SS
#undef SR
#undef FW
#undef TW
#undef CL
#undef CW
#undef LA
#undef LI
#undef SA

/* The event by the flags FIN, SYN, RST and ACK (0x17): RST counts before SYN,
 * SYN before FIN, FIN before ACK.
 */
#define TCP_FLAGS 0x17

static const __u8 tcp_events[32] = {
	[TCP_ACK] = EVENT_ACK,
	[TCP_FIN] = EVENT_FIN,
	[TCP_FIN | TCP_ACK] = EVENT_FIN,
	[TCP_SYN] = EVENT_SYN,
	[TCP_SYN | TCP_ACK] = EVENT_SYN,
	[TCP_SYN | TCP_FIN] = EVENT_SYN,
	[TCP_SYN | TCP_FIN | TCP_ACK] = EVENT_SYN,
	[TCP_RST] = EVENT_RST,
	[TCP_RST | TCP_ACK] = EVENT_RST,
	[TCP_RST | TCP_FIN] = EVENT_RST,
	[TCP_RST | TCP_FIN | TCP_ACK] = EVENT_RST,
	[TCP_RST | TCP_SYN] = EVENT_RST,
	[TCP_RST | TCP_SYN | TCP_ACK] = EVENT_RST,
	[TCP_RST | TCP_SYN | TCP_FIN] = EVENT_RST,
	[TCP_RST | TCP_SYN | TCP_FIN | TCP_ACK] = EVENT_RST,
};

static __always_inline __u8 tcp_event(__u8 flags)
{
	return tcp_events[flags & TCP_FLAGS];
}

/* tcp_state_next is the state that a segment leads to. */
static __always_inline __u8 tcp_state_next(__u8 dir, __u8 event, __u8 state)
{
	const __u8 *table = &tcp_next[0][0][0];
	__u32 index = (dir * TCP_EVENTS + event) * TCP_STATES + state;

	index &= sizeof(tcp_next) - 1;
	__asm__ volatile("" : "+r"(index)); /* the mask belongs where the index is used */
	return table[index];
}

/* state_inactive is FLOW_INACTIVE for a state, of any protocol, that does not count as
 * active, otherwise 0.
 */
static __always_inline __u8 state_inactive(__u8 state)
{
	const __u32 active = 1 << FLOW_ESTABLISHED | 1 << FLOW_SYN_SENT | 1 << FLOW_SYN_RECV |
			     1 << FLOW_SYNACK | 1 << FLOW_SCTP_ESTABLISHED;

	_Static_assert(FLOW_INACTIVE == 1, "the flag is the bit that the shift leaves");
	return ~(active >> (state & 31)) & FLOW_INACTIVE;
}

#endif
