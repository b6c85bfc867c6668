/* SPDX-License-Identifier: MIT */
/*
 * Real threads, one at a time.
 *
 * schedule_run() runs a body in a few threads such that exactly one of them moves; at every test point of the engine (and at
 * the end of a body) a policy decides who moves next. A run is thus determined by its decisions and can be repeated. The
 * threads are real ones, so thread-local state, thread records and read-side sections are the engine's own.
 *
 * A thread that sleeps in the kernel on something another thread must do (a grace period) can't reach its next point: it is
 * set aside, and joins again when it gets there. A thread at a waiting point, or that passes SCHEDULE_PATIENCE points without
 * a switch, waits for another one: it must yield. No progress at all, or a run of more than SCHEDULE_MAX_STEPS points, is a
 * hang: the engine has failed.
 */
#ifndef TESTS_CONCURRENCY_SCHEDULE_H
#define TESTS_CONCURRENCY_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SCHEDULE_THREADS 4
#define SCHEDULE_PATIENCE 200
#define SCHEDULE_MAX_STEPS 20000

struct schedule_choice {
	unsigned n;                          /* threads that can move, > 0 */
	unsigned thread[SCHEDULE_THREADS];   /* who; the default comes first */
	bool running_first;                  /* the default is the running thread: any other one is a preemption */
};

struct schedule_policy {
	/* The position in choice->thread of who moves next. Called for each decision, in order, with its number. */
	unsigned (*choose)(struct schedule_policy *policy, unsigned step, const struct schedule_choice *choice);
};

/* A run as it went: the decisions that weren't the default. */
struct schedule_log {
	unsigned n_steps;
	unsigned n; /* may exceed the room */
	struct {
		unsigned step, thread;
	} other[64];
};

enum schedule_result { SCHEDULE_DONE, SCHEDULE_HUNG };

/*
 * Runs body(context, 0 … n - 1), all to the end. After SCHEDULE_HUNG the threads are stuck for good: the process can only
 * report and exit.
 */
enum schedule_result schedule_run(unsigned n, void (*body)(void *context, unsigned thread), void *context,
				  struct schedule_policy *policy, struct schedule_log *log);

/* A decision point of the test's own; waiting: in a loop for another thread. Does nothing outside schedule_run(). */
void schedule_point(bool waiting);

/* "step:thread,step:thread…", "-" for the default schedule. */
void schedule_print(const struct schedule_log *log, FILE *out);

/* Replays what schedule_print printed. */
struct schedule_replay {
	struct schedule_policy policy;
	struct schedule_log log;
	unsigned at;
};
bool schedule_parse(struct schedule_replay *replay, const char *text);

/* Uniformly random switches at about one point in `period`. Deterministic in the seed. */
struct schedule_random {
	struct schedule_policy policy;
	uint64_t state;
	unsigned period;
};
void schedule_random_init(struct schedule_random *random, uint64_t seed, unsigned period);

/* Preempts at `n` random ones of the first `span` steps, and nowhere else. Deterministic in the seed. */
#define SCHEDULE_FEW 3
struct schedule_few {
	struct schedule_policy policy;
	uint64_t state;
	unsigned n, at[SCHEDULE_FEW];
};
void schedule_few_init(struct schedule_few *few, uint64_t seed, unsigned n, unsigned span);

/*
 * Depth-first search of all schedules with at most `bound` preemptions (a switch away from a thread that could have gone on;
 * switches at the end of a body, or of spinning or sleeping threads, are free). Run, next, run, next … until next says false.
 * Of a run's free switches so many are varied; after that the threads that wait have their turns, so that each run ends.
 */
#define SCHEDULE_DEPTH 4096
#define SCHEDULE_FREE 24
struct schedule_search {
	struct schedule_policy policy;
	unsigned bound;
	unsigned depth; /* decisions of the current run */
	unsigned prefix; /* decisions that are fixed for the current run */
	unsigned preemptions;
	unsigned free; /* switches, so far in the run */
	unsigned diverged; /* decisions that could not be repeated because the engine behaved differently (timing) */
	bool too_deep;
	struct {
		unsigned char chosen, options;
	} path[SCHEDULE_DEPTH];
};
void schedule_search_init(struct schedule_search *search, unsigned bound);
bool schedule_search_next(struct schedule_search *search);

#endif
