/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* IPVS's view of an SCTP association: next state by direction, event and state. A
 * packet counts by its first chunk, but for an ABORT behind a COOKIE ECHO or COOKIE
 * ACK, which may be bundled (RFC 9260, 3).
 */
#ifndef EK_SCTP_STATE_H
#define EK_SCTP_STATE_H

#include "tcp_state.h"

/* SCTP_DATA is what moves nothing: data, its acknowledgements, heartbeats and
 * whatever IPVS does not know.
 */
enum sctp_event {
	SCTP_DATA = 0,
	SCTP_INIT = 1,
	SCTP_INIT_ACK = 2,
	SCTP_COOKIE_ECHO = 3,
	SCTP_COOKIE_ACK = 4,
	SCTP_SHUTDOWN = 5,
	SCTP_SHUTDOWN_ACK = 6,
	SCTP_SHUTDOWN_COMPLETE = 7,
	SCTP_ERROR = 8,
	SCTP_ABORT = 9,
};

/* The numbers of chunks that are events of their own (RFC 9260, 3.2). */
#define CHUNK_ABORT 6
#define CHUNK_COOKIE_ECHO 10
#define CHUNK_COOKIE_ACK 11

static const __u8 sctp_events[16] = {
	[1] = SCTP_INIT,
	[2] = SCTP_INIT_ACK,
	[CHUNK_ABORT] = SCTP_ABORT,
	[7] = SCTP_SHUTDOWN,
	[8] = SCTP_SHUTDOWN_ACK,
	[9] = SCTP_ERROR,
	[CHUNK_COOKIE_ECHO] = SCTP_COOKIE_ECHO,
	[CHUNK_COOKIE_ACK] = SCTP_COOKIE_ACK,
	[14] = SCTP_SHUTDOWN_COMPLETE,
};

#define SCTP_STATES 16
#define SCTP_EVENTS 16

#define NO FLOW_SCTP_NONE
#define I1 FLOW_SCTP_INIT1
#define IN FLOW_SCTP_INIT
#define CS FLOW_SCTP_COOKIE_SENT
#define CR FLOW_SCTP_COOKIE_REPLIED
#define CW FLOW_SCTP_COOKIE_WAIT
#define CO FLOW_SCTP_COOKIE
#define CE FLOW_SCTP_COOKIE_ECHOED
#define ES FLOW_SCTP_ESTABLISHED
#define SS FLOW_SCTP_SHUTDOWN_SENT
#define SR FLOW_SCTP_SHUTDOWN_RECEIVED
#define SA FLOW_SCTP_SHUTDOWN_ACK_SENT
#define RJ FLOW_SCTP_REJECTED
#define CL FLOW_SCTP_CLOSED

/* clang-format off */
static const __u8 sctp_next[4][SCTP_EVENTS][SCTP_STATES] = {
	[INPUT] = {
		/*			     NO  I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL */
		[SCTP_DATA]		= { ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_INIT]		= { I1, IN, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, IN, IN },
		[SCTP_INIT_ACK]		= { CW, CW, CW, CS, CR, CO, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_COOKIE_ECHO]	= { CR, IN, IN, CR, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_COOKIE_ACK]	= { ES, I1, IN, CS, CR, CW, CO, ES, ES, SS, SR, SA, RJ, CL },
		[SCTP_SHUTDOWN]		= { SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL },
		[SCTP_SHUTDOWN_ACK]	= { CL, IN, IN, CS, CR, CW, CO, CE, ES, CL, SR, CL, RJ, CL },
		[SCTP_SHUTDOWN_COMPLETE] = { CL, CL, CL, CS, CR, CW, CO, CE, ES, SS, SR, CL, RJ, CL },
		[SCTP_ERROR]		= { CL, I1, IN, CS, CR, CW, CO, CL, ES, SS, SR, SA, RJ, CL },
		[SCTP_ABORT]		= { CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL },
	},
	[OUTPUT] = {
		[SCTP_DATA]		= { ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_INIT]		= { CW, CW, CW, CW, CW, CW, CW, CW, ES, CW, CW, CW, CW, CW },
		[SCTP_INIT_ACK]		= { CS, CS, CS, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_COOKIE_ECHO]	= { CE, CE, CE, CE, CE, CE, CE, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_COOKIE_ACK]	= { ES, ES, ES, ES, ES, ES, ES, ES, ES, SS, SR, SA, RJ, CL },
		[SCTP_SHUTDOWN]		= { SS, SS, SS, SS, SS, SS, SS, SS, SS, SS, SR, SA, RJ, CL },
		[SCTP_SHUTDOWN_ACK]	= { SA, SA, SA, SA, SA, CW, CO, CE, ES, SA, SA, SA, RJ, CL },
		[SCTP_SHUTDOWN_COMPLETE] = { CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_ERROR]		= { CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_ABORT]		= { CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
	},
	[INPUT_ONLY] = {
		[SCTP_DATA]		= { ES, I1, IN, CS, CR, ES, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_INIT]		= { I1, IN, IN, IN, IN, IN, CO, CE, ES, SS, SR, SA, IN, IN },
		[SCTP_INIT_ACK]		= { CE, CE, CE, CE, CE, CE, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_COOKIE_ECHO]	= { ES, ES, ES, ES, ES, ES, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_COOKIE_ACK]	= { ES, I1, IN, ES, ES, CW, ES, ES, ES, SS, SR, SA, RJ, CL },
		[SCTP_SHUTDOWN]		= { SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL },
		[SCTP_SHUTDOWN_ACK]	= { CL, IN, IN, CS, CR, CW, CO, CE, CL, CL, SR, CL, RJ, CL },
		[SCTP_SHUTDOWN_COMPLETE] = { CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, CL, CL, RJ, CL },
		[SCTP_ERROR]		= { CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL },
		[SCTP_ABORT]		= { CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL },
	},
};
/* clang-format on */

#undef NO
#undef I1
#undef IN
#undef CS
#undef CR
#undef CW
#undef CO
#undef CE
#undef ES
#undef SS
#undef SR
#undef SA
#undef RJ
#undef CL

/* sctp_state_next is the state that a packet leads to. */
static __always_inline __u8 sctp_state_next(__u8 dir, __u8 event, __u8 state)
{
	const __u8 *table = &sctp_next[0][0][0];
	__u32 index = (dir * SCTP_EVENTS + event) * SCTP_STATES + (state & (SCTP_STATES - 1));

	/* Masked where the index is used, and in one: of an OR kernel 6.1 forgets the bounds. */
	__asm__ volatile("%0 &= %1" : "+r"(index) : "i"(sizeof(sctp_next) - 1));
	return table[index];
}

#endif
