/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The order of loads and stores, where more than compare-and-swap depends on it. */
#ifndef EK_BARRIER_H
#define EK_BARRIER_H

#include "kernel.h"

/* Set where the processor may load in another order than the program says. */
const volatile bool weak_order = true;

/* full_barrier keeps all loads and stores before it before those after it. The sum is asked for:
 * an atomic instruction that fetches nothing orders nothing on arm64.
 */
static __always_inline void full_barrier(void)
{
	__u64 any = 0;

	any = __sync_fetch_and_add(&any, 1);
	__asm__ volatile("" : : "r"(any) : "memory");
}

/* load_barrier keeps the loads before it before those after it, on a processor that is weak_order. */
static __always_inline void load_barrier(void)
{
	if (unlikely(weak_order))
		full_barrier();
	else
		__asm__ volatile("" : : : "memory");
}

#endif
