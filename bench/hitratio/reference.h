/* SPDX-License-Identifier: MIT */
/* Caches to compare with, simulated: how many requests of a trace they have in them, if what is missing is stored. */
#ifndef BENCH_HITRATIO_REFERENCE_H
#define BENCH_HITRATIO_REFERENCE_H

#include "trace.h"

/* Gives up the entry whose next request is the farthest away (Belady 1966): nobody can have more hits. */
size_t reference_optimum(const struct trace *trace, uint32_t size);
/* Gives up the entry that has gone longest without a request. */
size_t reference_lru(const struct trace *trace, uint32_t size);

#endif
