/* SPDX-License-Identifier: MIT */
/*
 * Counters without a map: what can be had at best where keys are known to be small numbers, threads are few and known,
 * and nobody else has to see the counters.
 */
#include <sched.h>
#include <stdlib.h>

#include "counters/counter.h"
#include "keys.h"

enum { LINE = 64 };

/* A row of n counters for each thread or CPU, on lines of its own. */
struct rows {
	size_t n_rows;
	size_t row; /* words from one to the next */
	uint64_t *words;
};

static void *create_rows(size_t n_rows, size_t n)
{
	struct rows *r = malloc(sizeof(*r));
	size_t row = (n * sizeof(uint64_t) + LINE - 1) / LINE * LINE;

	if (!r)
		return NULL;
	*r = (struct rows){ n_rows, row / sizeof(uint64_t), aligned_alloc(LINE, n_rows * row) };
	if (!r->words) {
		free(r);
		return NULL;
	}
	for (size_t i = 0; i < n_rows * r->row; i++)
		r->words[i] = 0;
	return r;
}

static void destroy(void *counters)
{
	struct rows *r = counters;

	free(r->words);
	free(r);
}

static uint64_t sum(void *counters, uint64_t key)
{
	const struct rows *r = counters;
	uint64_t total = 0;

	for (size_t i = 0; i < r->n_rows; i++)
		total += r->words[i * r->row + key];
	return total;
}

static void *create_one(size_t n, const uint64_t *keys)
{
	(void)keys;
	return create_rows(1, n);
}

static bool add_atomic(void *counters, int thread, const uint64_t *keys)
{
	uint64_t *words = ((struct rows *)counters)->words;

	(void)thread;
	for (size_t i = 0; i < COUNTER_ADDS; i++)
		__atomic_fetch_add(&words[keys[i]], 1, __ATOMIC_RELAXED);
	return true;
}

static void *create_for_threads(size_t n, const uint64_t *keys)
{
	(void)keys;
	return create_rows(COUNTER_MAX_THREADS, n);
}

/* Relaxed loads and stores: a reader may look at any time, so each add is made, and none is merged with the next. */
static bool add_own(void *counters, int thread, const uint64_t *keys)
{
	const struct rows *r = counters;
	uint64_t *words = r->words + (size_t)thread * r->row;

	for (size_t i = 0; i < COUNTER_ADDS; i++)
		__atomic_store_n(&words[keys[i]], __atomic_load_n(&words[keys[i]], __ATOMIC_RELAXED) + 1,
				 __ATOMIC_RELAXED);
	return true;
}

static void *create_for_cpus(size_t n, const uint64_t *keys)
{
	(void)keys;
	return create_rows(keys_cpus(), n);
}

static bool add_on_cpu(void *counters, int thread, const uint64_t *keys)
{
	const struct rows *r = counters;

	(void)thread;
	for (size_t i = 0; i < COUNTER_ADDS; i++) {
		size_t cpu = (size_t)sched_getcpu();

		if (cpu >= r->n_rows)
			return false;
		__atomic_fetch_add(&r->words[cpu * r->row + keys[i]], 1, __ATOMIC_RELAXED);
	}
	return true;
}

const struct counter_ops counter_atomic = {
	.name = "atomic",
	.note = "an array all threads share, atomic adds",
	.create = create_one,
	.destroy = destroy,
	.add = add_atomic,
	.read = sum,
};

const struct counter_ops counter_thread = {
	.name = "thread",
	.note = "an array for each thread, plain adds",
	.create = create_for_threads,
	.destroy = destroy,
	.add = add_own,
	.read = sum,
};

const struct counter_ops counter_getcpu = {
	.name = "getcpu",
	.note = "an array for each CPU, sched_getcpu() and atomic adds",
	.create = create_for_cpus,
	.destroy = destroy,
	.add = add_on_cpu,
	.read = sum,
};
