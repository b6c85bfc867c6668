/* SPDX-License-Identifier: MIT */
/*
 * The native face as a side: sound commands become calls on handles. So the private maps, whose memory is reused after
 * a grace period and whose small values are stored in place, answer the same streams as the command face's.
 */
#ifndef TESTS_SEMANTICS_NATIVE_H
#define TESTS_SEMANTICS_NATIVE_H

#include "abi.h"

/* The sides by their names: "private", "at-once" (private, memory reused immediately), "memfd"; NULL for others. One
 * at a time. */
abi_bpf native_find(const char *name);
/* The maps made from now on, until the next native_find(), are for so many CPUs. */
void native_for_cpus(uint32_t n_cpus);
/* The handle behind a descriptor that stands for it; NULL if there is none. */
struct usermap *native_handle(uint32_t fd);

#endif
