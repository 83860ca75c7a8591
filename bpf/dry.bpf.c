// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/* The XDP program without effect, for `evenkeel explain`; see explain.h. */
#define DRY 1
#include "ek.bpf.c"
