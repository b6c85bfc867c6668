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

/* Requests to a cache: keys as often as Zipf's law with exponent 0.99 has them, of ten times the keys that the cache holds. */
struct keys_trace {
	size_t n;    /* keys that the cache holds */
	size_t mask; /* the trace's length - 1; the length is a power of two, and at least four times n */
	const uint64_t *keys;
};

/* The streams for @n keys, made once and kept until exit. Not thread-safe: the first call comes from one thread. */
const struct keys *keys_get(enum keys_kind kind, size_t n);
const struct keys_trace *keys_trace_get(size_t n);

/* Key number @i of a stream in which none comes twice; cheap enough to be made where it's used. Where each thread needs a
 * stream of its own, that of thread t begins at t * KEYS_THREAD_STEP. */
#define KEYS_FRESH_STEP	 0x9e3779b97f4a7c15u
#define KEYS_THREAD_STEP (UINT64_C(1) << 40 | 341 * 1024)
static inline uint64_t keys_fresh(uint64_t i)
{
	return i * KEYS_FRESH_STEP;
}

/* The possible CPUs of this machine: how many values a per-CPU map has a key. */
enum { KEYS_MAX_CPUS = 4096 };
size_t keys_cpus(void);

/* Entries of an LRU map, or of a CPU's share of one, in which n keys stay: every CPU keeps up to 128 elements free, for which
 * the others would evict. */
static inline size_t keys_lru_share(size_t n)
{
	return n + 256 * keys_cpus();
}

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
