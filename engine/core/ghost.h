/* SPDX-License-Identifier: MIT */
/*
 * Ghosts: which keys were evicted lately, by 16-bit fingerprints; about as many as the table has places.
 *
 * A ghost goes into the bucket that its key's hash names, 8 fingerprints in two words, and pushes the oldest of them out;
 * so it's remembered while about 8 others come into its bucket, and no time need be noted. It's a guess by nature: some
 * other key may have its fingerprint, and of two that come into one bucket at an instant one may be lost. Relaxed
 * throughout, therefore: nothing is ordered by it.
 */
#ifndef ENGINE_CORE_GHOST_H
#define ENGINE_CORE_GHOST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define GHOST_PLACES 8

struct ghost_bucket {
	_Alignas(16) _Atomic uint64_t young, old; /* 4 fingerprints each, the lowest is the youngest; 0: none */
};

/* Any writer, by plain loads and stores. */
struct ghosts {
	struct ghost_bucket *buckets;
	uint32_t n;
};

static inline struct ghost_bucket *ghost_bucket(struct ghosts ghosts, uint32_t hash)
{
	return &ghosts.buckets[(uint64_t)hash * ghosts.n >> 32];
}

/* The bucket comes from the upper bits. */
static inline uint64_t ghost_fingerprint(uint32_t hash)
{
	return (uint16_t)hash ? (uint16_t)hash : 1;
}

static inline void ghost_add(struct ghosts ghosts, uint32_t hash)
{
	struct ghost_bucket *b = ghost_bucket(ghosts, hash);
	uint64_t young = atomic_load_explicit(&b->young, memory_order_relaxed);
	uint64_t old = atomic_load_explicit(&b->old, memory_order_relaxed);

	atomic_store_explicit(&b->old, old << 16 | young >> 48, memory_order_relaxed);
	atomic_store_explicit(&b->young, young << 16 | ghost_fingerprint(hash), memory_order_relaxed);
}

/* Clears the youngest place of a word that holds the fingerprint. */
static inline bool ghost_drop_from(_Atomic uint64_t *word, uint64_t fingerprint)
{
	const uint64_t ones = 0x0001000100010001;
	uint64_t places = atomic_load_explicit(word, memory_order_relaxed), differs = places ^ fingerprint * ones;
	/* the upper bit of each place that doesn't differ; above the first one perhaps also of others */
	uint64_t same = (differs - ones) & ~differs & ones << 15;

	if (!same)
		return false;
	atomic_store_explicit(word, places & ~(0xffffull << (__builtin_ctzll(same) - 15)), memory_order_relaxed);
	return true;
}

/* Whether the key was there; it isn't any more. */
static inline bool ghost_drop(struct ghosts ghosts, uint32_t hash)
{
	struct ghost_bucket *b = ghost_bucket(ghosts, hash);

	return ghost_drop_from(&b->young, ghost_fingerprint(hash)) || ghost_drop_from(&b->old, ghost_fingerprint(hash));
}

#endif
