/* SPDX-License-Identifier: MIT */
/* The traces. Ranks by Zipf's law are drawn by rejection from a curve above the law (Hoermann and Derflinger 1996). */
#include "trace.h"

#include <err.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static uint64_t state;

static uint64_t draw(void)
{
	/* splitmix64 */
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static double draw_real(void)
{
	return (double)(draw() >> 11) * 0x1p-53;
}

struct zipf {
	double skew, n;
	double from, to; /* areas below the curve, that of the first rank cut to its own */
};

/* The area below x^-skew from 1 to x, and its inverse. */
static double area(const struct zipf *z, double x)
{
	return expm1((1 - z->skew) * log(x)) / (1 - z->skew);
}

static double area_inverse(const struct zipf *z, double a)
{
	return exp(log1p(a * (1 - z->skew)) / (1 - z->skew));
}

static struct zipf zipf_make(double skew, double n)
{
	struct zipf z = { .skew = skew, .n = n };

	z.from = area(&z, 1.5) - 1;
	z.to = area(&z, n + 0.5);
	return z;
}

/* A rank from 0; the lower the more frequent. */
static uint32_t zipf_draw(const struct zipf *z)
{
	for (;;) {
		double a = z->from + draw_real() * (z->to - z->from);
		double rank = floor(area_inverse(z, a) + 0.5);

		rank = fmin(fmax(rank, 1), z->n);
		if (a >= area(z, rank + 0.5) - pow(rank, -z->skew))
			return (uint32_t)rank - 1;
	}
}

static uint32_t times(uint32_t size, double factor)
{
	double n = ceil(size * factor);

	return n < 2 ? 2 : (uint32_t)n;
}

static void generate_zipf(struct trace *trace, const struct trace_kind *kind, uint32_t size)
{
	struct zipf zipf = zipf_make(kind->skew, times(size, kind->spread));

	trace->n_keys = times(size, kind->spread);
	for (size_t i = 0; i < trace->n; i++)
		trace->keys[i] = zipf_draw(&zipf);
}

/* After each 5 times as many requests as the cache holds, a scan of twice as many keys that come never again. */
static void generate_scans(struct trace *trace, const struct trace_kind *kind, uint32_t size)
{
	struct zipf zipf = zipf_make(kind->skew, times(size, kind->spread));
	size_t period = (size_t)7 * size;

	trace->n_keys = times(size, kind->spread);
	for (size_t i = 0; i < trace->n; i++)
		trace->keys[i] = i % period < (size_t)5 * size ? zipf_draw(&zipf) : trace->n_keys++;
}

static void generate_loop(struct trace *trace, const struct trace_kind *kind, uint32_t size)
{
	trace->n_keys = times(size, kind->spread);
	for (size_t i = 0; i < trace->n; i++)
		trace->keys[i] = (uint32_t)(i % trace->n_keys);
}

/* Four requests of five go round the loop, the others are by Zipf's law to ten times as many other keys as the cache
 * holds. */
static void generate_noisy_loop(struct trace *trace, const struct trace_kind *kind, uint32_t size)
{
	uint32_t length = times(size, kind->spread), at = 0;
	struct zipf zipf = zipf_make(kind->skew, times(size, 10));

	trace->n_keys = length + times(size, 10);
	for (size_t i = 0; i < trace->n; i++) {
		if (draw() % 5 == 0)
			trace->keys[i] = length + zipf_draw(&zipf);
		else
			trace->keys[i] = at++ % length;
	}
}

const struct trace_kind trace_kinds[] = {
	{ "zipf-0.6", "Zipf's law, 10 times as many keys as the cache holds", generate_zipf, 0.6, 10 },
	{ "zipf-0.8", "", generate_zipf, 0.8, 10 },
	{ "zipf-0.99", "", generate_zipf, 0.99, 10 },
	{ "zipf-0.6-wide", "the same, 100 times as many", generate_zipf, 0.6, 100 },
	{ "zipf-0.8-wide", "", generate_zipf, 0.8, 100 },
	{ "zipf-0.99-wide", "", generate_zipf, 0.99, 100 },
	{ "scan-0.8", "zipf-0.8 with long scans of keys that come once", generate_scans, 0.8, 10 },
	{ "scan-0.99", "", generate_scans, 0.99, 10 },
	{ "loop-1.1", "round and round a loop 1.1 times as long as the cache", generate_loop, 0, 1.1 },
	{ "loop-1.5", "", generate_loop, 0, 1.5 },
	{ "loop-2", "", generate_loop, 0, 2 },
	{ "noise-1.1", "loop-1.1, and among it a fifth by Zipf's law", generate_noisy_loop, 0.8, 1.1 },
	{ "noise-1.5", "", generate_noisy_loop, 0.8, 1.5 },
};
const size_t trace_n_kinds = sizeof(trace_kinds) / sizeof(trace_kinds[0]);

struct trace trace_make(const struct trace_kind *kind, uint32_t size, size_t n, uint64_t seed)
{
	struct trace trace = { .n = n, .keys = malloc(n * sizeof(*trace.keys)) };

	if (!trace.keys)
		err(EXIT_FAILURE, "a trace of %zu requests", n);
	state = seed;
	kind->generate(&trace, kind, size);
	return trace;
}
