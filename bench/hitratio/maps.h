/* SPDX-License-Identifier: MIT */
/* The maps under test, used as a cache by a program: a key is looked up, and stored if it's absent. */
#ifndef BENCH_HITRATIO_MAPS_H
#define BENCH_HITRATIO_MAPS_H

#include <stdbool.h>
#include <usermap/usermap.h>

#include "trace.h"

#define MAPS_BLOCK 65536 /* requests that the kernel's program is given at once; traces are multiples of it */

/* Hits. Every hit's value is checked: a wrong one ends the program. */
size_t maps_engine(const struct trace *trace, uint32_t size, enum usermap_eviction eviction);
/* The same by the live kernel. false: it doesn't let us. */
bool maps_kernel(const struct trace *trace, uint32_t size, size_t *hits);

#endif
