/* SPDX-License-Identifier: MIT */
/* The machine's CPUs: how many slots a per-CPU value has, and which of them is "this CPU's". */
#ifndef TESTS_SEMANTICS_CPUS_H
#define TESTS_SEMANTICS_CPUS_H

#include <stdbool.h>
#include <stdint.h>

/* Possible CPUs, as the kernel counts them for per-CPU values. */
uint32_t cpus_possible(void);
/* CPUs that this thread may run on. */
uint32_t cpus_usable(void);
/* Whether those are all, and they are numbered from 0: then a stream's CPU number n is CPU n. */
bool cpus_all_usable(void);
/* From now on this thread runs on one CPU: the n-th that it may run on, counted round and round. */
void cpus_pin(uint32_t n);

#endif
