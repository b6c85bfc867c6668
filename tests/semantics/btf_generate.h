/* SPDX-License-Identifier: MIT */
/* BTF by chance: mostly as compilers make it, with everything that the checks look at made wrong now and then. */
#ifndef TESTS_SEMANTICS_BTF_GENERATE_H
#define TESTS_SEMANTICS_BTF_GENERATE_H

#include "btf_build.h"

/* The BTF of a seed. How many types were meant is the result. */
uint32_t btf_generate(uint64_t seed, struct btf_bytes *raw);

#endif
