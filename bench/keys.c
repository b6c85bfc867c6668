/* SPDX-License-Identifier: MIT */
/* Makes the key streams. See keys.h. */
#include "keys.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hitratio/trace.h"

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

static const struct trace_kind *find_trace(const char *name)
{
	for (size_t i = 0; i < trace_n_kinds; i++)
		if (strcmp(trace_kinds[i].name, name) == 0)
			return &trace_kinds[i];
	errx(1, "no trace %s", name);
}

const struct keys_trace *keys_trace_get(size_t n)
{
	static struct keys_trace made[2];
	struct keys_trace *t = made, *end = made + 2;
	struct trace numbers;
	size_t length = 4;
	uint64_t *keys;

	for (; t < end && t->n; t++)
		if (t->n == n)
			return t;
	if (t == end)
		errx(1, "too many traces");
	while (length < 4 * n)
		length *= 2;
	keys = malloc(length * sizeof(*keys));
	if (!keys)
		err(1, "trace of %zu", length);
	numbers = trace_make(find_trace("zipf-0.99"), (uint32_t)n, length, 1);
	for (size_t i = 0; i < length; i++)
		keys[i] = mix(1 + numbers.keys[i]);
	free(numbers.keys);
	*t = (struct keys_trace){ .n = n, .mask = length - 1, .keys = keys };
	return t;
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
