/* SPDX-License-Identifier: MIT */
/*
 * google-benchmark for C: the part of it that the benchmarks use. A benchmark's function runs its timed work in
 *
 *	while (gbench_keep_running_batch(state, n))
 *		do n operations;
 *
 * in each of its threads: the first call waits until all of them are there, the last one until all have finished.
 * What comes before and after is not timed.
 */
#ifndef BENCH_GBENCH_H
#define BENCH_GBENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gbench;	     /* a registered benchmark */
struct gbench_state; /* one thread's run of it */

typedef void gbench_fn(struct gbench_state *state, void *arg);

struct gbench *gbench_register(const char *name, gbench_fn *fn, void *arg);
void gbench_threads(struct gbench *b, int threads);
void gbench_real_time(struct gbench *b); /* rates by wall time; without: by the threads' CPU time */
void gbench_min_time(struct gbench *b, double seconds);
void gbench_iterations(struct gbench *b, int64_t n); /* exactly this many instead of a time */

bool gbench_keep_running_batch(struct gbench_state *state, int64_t n);
int gbench_thread_index(const struct gbench_state *state);
int gbench_thread_count(const struct gbench_state *state);
void gbench_items(struct gbench_state *state, int64_t n);      /* done by this thread; gives items_per_second */
void gbench_skip(struct gbench_state *state, const char *why); /* reported; gbench_main fails */

void gbench_context(const char *key, const char *value); /* a line of the report's head */
/* Runs what is registered and asked for by the usual --benchmark_ options. Unless told otherwise it repeats each
 * benchmark and shuffles the repetitions of all of them, so that what disturbs the machine disturbs all alike; compare the
 * medians of one run, and nothing else. Returns main's result: 1 after a skip. */
int gbench_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
