/* SPDX-License-Identifier: MIT */
/*
 * Keys that crowd together: with BPF_F_ZERO_SEED it is known in which bucket a key lies, so keys can be found that all
 * lie in a few. Chance alone gives a bucket hardly more than five.
 */
#ifndef TESTS_SEMANTICS_CROWD_H
#define TESTS_SEMANTICS_CROWD_H

#include <stddef.h>
#include <stdint.h>

/* Bob Jenkins' lookup3 with seed 0. */
uint32_t crowd_hash(const void *key, size_t size);

/* Finds `count` numbers, ascending, such that the keys of key_size bytes that begin with them and go on with zeros lie
 * in the first bucket, in the third or in the last, of pow2(max_entries). The caller frees them. */
uint32_t *crowd_numbers(uint32_t key_size, uint32_t max_entries, uint32_t count);

#endif
