/* SPDX-License-Identifier: MIT */
/* Makes the key streams. See keys.h. */
#include "keys.h"

#include <err.h>
#include <stdlib.h>
#include <unistd.h>

/* A bijection of 64-bit numbers (the finalizer of splitmix64): distinct inputs make distinct, random-looking keys. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t *make_stream(enum keys_kind kind, size_t n, uint64_t first, uint64_t seed)
{
	uint64_t *keys = malloc(n * sizeof(*keys));

	if (!keys)
		err(1, "key stream of %zu", n);
	for (size_t i = 0; i < n; i++)
		keys[i] = kind == KEYS_RANDOM ? mix(first + i) : i;
	for (size_t i = n - 1; i > 0; i--) { /* Fisher-Yates; i < 2^32 */
		size_t j = (size_t)((mix(seed + i) >> 32) * (i + 1) >> 32);
		uint64_t key = keys[i];

		keys[i] = keys[j];
		keys[j] = key;
	}
	return keys;
}

const struct keys *keys_get(enum keys_kind kind, size_t n)
{
	static struct keys made[KEYS_KINDS][4];
	const uint64_t base = 1; /* mix(0) is 0, a key that some tables reserve */
	struct keys *k = made[kind], *end = k + 4;

	for (; k < end && k->n; k++)
		if (k->n == n)
			return k;
	if (k == end)
		errx(1, "too many key sets");
	k->n = n;
	k->fill = make_stream(kind, n, base, 1ull << 40);
	k->access = make_stream(kind, n, base, 2ull << 40);
	if (kind == KEYS_RANDOM && n <= KEYS_ABSENT_MAX)
		k->absent = make_stream(kind, n, base + n, 3ull << 40);
	return k;
}

size_t keys_cpus(void)
{
	static long cpus;

	if (!cpus) {
		cpus = sysconf(
			_SC_NPROCESSORS_CONF); /* glibc asks /sys/devices/system/cpu/possible, as bpf(2) goes by */
		if (cpus < 1 || cpus > KEYS_MAX_CPUS)
			errx(1, "this machine has %ld CPUs", cpus);
	}
	return (size_t)cpus;
}
