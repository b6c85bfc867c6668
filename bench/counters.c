/* SPDX-License-Identifier: MIT */
/*
 * Ways to count under google-benchmark: add/way/counters, 1 and 2 threads, wall time, one hot counter and 10 k of them.
 * Each benchmark ends by reading every counter: one that lost an add, or made none, fails.
 */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "counters/counter.h"
#include "gbench.h"
#include "keys.h"

static const struct counter_ops *const ways[] = {
	&counter_percpu_array, &counter_percpu_array_shared,
	&counter_percpu_hash,  &counter_percpu_hash_shared,
	&counter_hash_pointer, &counter_atomic,
	&counter_thread,       &counter_getcpu,
	&counter_kernel_array, &counter_kernel_hash,
};

struct benchmark {
	const struct counter_ops *ops;
	size_t n;
	const uint64_t *keys; /* COUNTER_ADDS of them, each counter as often as any other */
	void *counters;	      /* of the running benchmark */
	uint64_t calls;	      /* that its threads have made */
	int inside;	      /* threads in it */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the last three, outside the timed loop */

/* The first thread in makes the counters. */
static void begin(struct benchmark *b)
{
	pthread_mutex_lock(&lock);
	if (!b->inside++) {
		b->calls = 0;
		b->counters = b->ops->create(b->n, b->keys);
		if (!b->counters)
			err(1, "%s: can't make %zu counters", b->ops->name, b->n);
	}
	pthread_mutex_unlock(&lock);
}

static bool counts_are_exact(const struct benchmark *b)
{
	for (uint64_t key = 0; key < b->n; key++)
		if (b->ops->read(b->counters, key) != b->calls * (COUNTER_ADDS / b->n))
			return false;
	return true;
}

/* The last thread out reads them. */
static void end(struct gbench_state *state, struct benchmark *b, uint64_t calls)
{
	pthread_mutex_lock(&lock);
	b->calls += calls;
	if (!--b->inside) {
		if (!counts_are_exact(b))
			gbench_skip(state, "the counters don't hold what was added");
		b->ops->destroy(b->counters);
	}
	pthread_mutex_unlock(&lock);
}

static void run(struct gbench_state *state, void *arg)
{
	struct benchmark *b = arg;
	int thread = gbench_thread_index(state);
	uint64_t calls = 0;
	bool ok;

	begin(b);
	ok = b->ops->add(b->counters, thread, b->keys); /* untimed: brings the counters into the caches */
	calls++;
	while (gbench_keep_running_batch(state, COUNTER_ADDS)) {
		ok &= b->ops->add(b->counters, thread, b->keys);
		calls++;
	}
	gbench_items(state, (int64_t)(calls - 1) * COUNTER_ADDS);
	if (!ok)
		gbench_skip(state, "an add failed");
	end(state, b, calls);
}

static void add(const struct counter_ops *ops, size_t n, const uint64_t *keys, int threads)
{
	struct benchmark *b = calloc(1, sizeof(*b));
	struct gbench *g;
	char name[96];

	if (!b)
		err(1, NULL);
	*b = (struct benchmark){ .ops = ops, .n = n, .keys = keys };
	snprintf(name, sizeof(name), "add/%s/%zu", ops->name, n);
	g = gbench_register(name, run, b);
	gbench_threads(g, threads);
	gbench_real_time(g);
	gbench_min_time(g, 0.02);
}

static void add_all(void)
{
	static const uint64_t hot[COUNTER_ADDS];
	const uint64_t *all = keys_get(KEYS_INDEXES, COUNTER_ADDS)->access;

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		void *probe = ways[i]->create(1, hot);

		if (!probe) {
			warn("%s is not available here", ways[i]->name);
			continue;
		}
		ways[i]->destroy(probe);
		gbench_context(ways[i]->name, ways[i]->note);
		for (int threads = 1; threads <= COUNTER_MAX_THREADS; threads++) {
			add(ways[i], 1, hot, threads);
			add(ways[i], COUNTER_ADDS, all, threads);
		}
	}
}

int main(int argc, char **argv)
{
	add_all();
	return gbench_main(argc, argv);
}
