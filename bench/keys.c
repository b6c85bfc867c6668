/* SPDX-License-Identifier: MIT */
/* Makes the key streams. See keys.h. */
#include "keys.h"

#include <err.h>
#include <stdlib.h>

/* A bijection of 64-bit numbers (the finalizer of splitmix64): distinct inputs make distinct, random-looking keys. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t *make_stream(size_t n, uint64_t first, uint64_t seed)
{
	uint64_t *keys = malloc(n * sizeof(*keys));

	if (!keys)
		err(1, "key stream of %zu", n);
	for (size_t i = 0; i < n; i++)
		keys[i] = mix(first + i);
	for (size_t i = n - 1; i > 0; i--) { /* Fisher-Yates; i < 2^32 */
		size_t j = (size_t)((mix(seed + i) >> 32) * (i + 1) >> 32);
		uint64_t key = keys[i];

		keys[i] = keys[j];
		keys[j] = key;
	}
	return keys;
}

const struct keys *keys_get(size_t n)
{
	static struct keys made[8];
	const uint64_t base = 1; /* mix(0) is 0, a key that some tables reserve */
	struct keys *k = made;

	for (; k < made + 8 && k->n; k++)
		if (k->n == n)
			return k;
	if (k == made + 8)
		errx(1, "too many key sets");
	k->n = n;
	k->fill = make_stream(n, base, 1ull << 40);
	k->access = make_stream(n, base, 2ull << 40);
	k->absent = n <= KEYS_ABSENT_MAX ? make_stream(n, base + n, 3ull << 40) : NULL;
	return k;
}
