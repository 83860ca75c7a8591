/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The clock: coarse, since a precise one costs as much as the rest of the
 * program, and IPVS's own timers are seconds late.
 */
#ifndef EK_CLOCK_H
#define EK_CLOCK_H

#include "kernel.h"

#define SECOND 1000000000ULL

/* With test_clock set at load time, tests turn the clock by test_now. */
const volatile bool test_clock = false;
__u64 test_now = 0;

/* Tests set how many looks at a clock lie between two steps that other CPUs may come between: the choice
 * of a place for a copy and its beginning, the last look at the flow and the copy's end, a flow that
 * makes its server full and the server's mark.
 */
const volatile __u32 test_pause = 0;

static __always_inline void test_wait(void)
{
	for (__u32 i = 0; i < test_pause; i++)
		bpf_ktime_get_ns();
}

/* clock_now is monotonic, in nanoseconds, a few milliseconds coarse. */
static __always_inline __u64 clock_now(void)
{
	if (test_clock)
		return READ_ONCE(test_now);
	return bpf_ktime_get_coarse_ns();
}

/* clock_precise is the same clock where the coarse one is not to be had: in
 * programs that user space runs.
 */
static __always_inline __u64 clock_precise(void)
{
	if (test_clock)
		return READ_ONCE(test_now);
	return bpf_ktime_get_ns();
}

#endif
