/* SPDX-License-Identifier: MIT */
/*
 * Hash functions of keys.
 *
 * With BPF_F_ZERO_SEED the walk order is part of the kernel's contract, so the hash is the kernel's: Bob Jenkins'
 * lookup3 (public domain, burtleburtle.net/bob/c/lookup3.c, 2006), seed 0. Otherwise it is the fastest good keyed one:
 * a multiplication folded onto itself for keys of 4 and 8 bytes, XXH3 for the rest.
 *
 * The result is 64 bits: buckets come from the low 32, tags from the high 32.
 */
#ifndef ENGINE_CORE_HASHFN_H
#define ENGINE_CORE_HASHFN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint32_t hash_rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static inline uint32_t hash_read32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

/* lookup3's hashlittle, on bytes read in little-endian order. */
static inline uint32_t hash_lookup3(const void *key, uint32_t size, uint32_t seed)
{
	const unsigned char *k = key;
	uint32_t a = 0xdeadbeef + size + seed, b = a, c = a;
	uint32_t tail[3] = { 0, 0, 0 };

	if (!size)
		return c;
	for (; size > 12; size -= 12, k += 12) {
		a += hash_read32(k);
		b += hash_read32(k + 4);
		c += hash_read32(k + 8);
		a = (a - c) ^ hash_rotate(c, 4), c += b;
		b = (b - a) ^ hash_rotate(a, 6), a += c;
		c = (c - b) ^ hash_rotate(b, 8), b += a;
		a = (a - c) ^ hash_rotate(c, 16), c += b;
		b = (b - a) ^ hash_rotate(a, 19), a += c;
		c = (c - b) ^ hash_rotate(b, 4), b += a;
	}
	memcpy(tail, k, size); /* the bytes behind the key count as zero */
	a += tail[0];
	b += tail[1];
	c += tail[2];
	c = (c ^ b) - hash_rotate(b, 14);
	a = (a ^ c) - hash_rotate(c, 11);
	b = (b ^ a) - hash_rotate(a, 25);
	c = (c ^ b) - hash_rotate(b, 16);
	a = (a ^ c) - hash_rotate(c, 4);
	b = (b ^ a) - hash_rotate(a, 14);
	return (c ^ b) - hash_rotate(b, 24);
}

/* The two halves of a 128-bit product, folded. */
static inline uint64_t hash_fold(uint64_t x, uint64_t seed)
{
	unsigned __int128 product = (unsigned __int128)(x ^ seed) * 0x9e3779b97f4a7c15ull;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* ordered: BPF_F_ZERO_SEED. size may be a constant, then the branches fold away. */
static inline __attribute__((always_inline)) uint64_t hash_key(const void *key, uint32_t size, uint64_t seed,
							       bool ordered)
{
	uint64_t x = 0;

	if (ordered) {
		x = hash_lookup3(key, size, 0);
		return x << 32 | x;
	}
	if (size == 8 || size == 4) {
		memcpy(&x, key, size);
		return hash_fold(x, seed);
	}
	return XXH3_64bits_withSeed(key, size, seed);
}

#endif
