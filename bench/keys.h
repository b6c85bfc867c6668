/* SPDX-License-Identifier: MIT */
/*
 * The keys and values that every table of a benchmark run is given: the same keys, in the same random orders.
 * The orders are shuffles of the whole set, so neither the next bucket nor the next element can be guessed by a
 * prefetcher; the streams themselves are read in sequence, which costs every table the same.
 */
#ifndef BENCH_KEYS_H
#define BENCH_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum keys_kind {
	KEYS_RANDOM,  /* 8 random-looking bytes */
	KEYS_INDEXES, /* 0 to n - 1, for arrays */
	KEYS_KINDS,
};

struct keys {
	size_t n;
	const uint64_t *fill;	/* n distinct keys, the order of insertion */
	const uint64_t *access; /* the same keys, another order */
	const uint64_t *absent; /* n other keys; NULL above KEYS_ABSENT_MAX, and of indexes */
};

#define KEYS_ABSENT_MAX (2u << 20)

/* The streams for @n keys, made once and kept until exit. Not thread-safe: the first call comes from one thread. */
const struct keys *keys_get(enum keys_kind kind, size_t n);

/* The possible CPUs of this machine: how many values a per-CPU map has a key. */
enum { KEYS_MAX_CPUS = 4096 };
size_t keys_cpus(void);

/*
 * A value carries its key's low half and the generation of its writer: a reader can tell a right value from a wrong
 * one without knowing who wrote last, and a checking pass can tell that the last writes were all made.
 */
static inline uint64_t value_for(uint64_t key, uint32_t generation)
{
	return (uint64_t)generation << 32 | (uint32_t)key;
}

static inline bool value_fits(uint64_t value, uint64_t key)
{
	return (uint32_t)value == (uint32_t)key;
}

#ifdef __cplusplus
}
#endif
#endif
