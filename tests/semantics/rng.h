/* SPDX-License-Identifier: MIT */
/*
 * The random numbers of the streams: splitmix64. Every stream, key and value is a function of one seed, on any
 * machine, so that a failure replays and a recorded transcript fits.
 */
#ifndef TESTS_SEMANTICS_RNG_H
#define TESTS_SEMANTICS_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t x = rng->state += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* The bias for n below 2^16 is under 2^-48. */
static inline uint32_t rng_below(struct rng *rng, uint32_t n)
{
	return (uint32_t)(rng_next(rng) % n);
}

static inline bool rng_one_in(struct rng *rng, uint32_t n)
{
	return rng_below(rng, n) == 0;
}

#define RNG_PICK(rng, table) ((table)[rng_below(rng, (uint32_t)(sizeof(table) / sizeof((table)[0])))])

#endif
