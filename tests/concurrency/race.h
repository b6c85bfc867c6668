/* SPDX-License-Identifier: MIT */
/* The frame that free-running tests share: workers in threads and forked processes, rounds, and what a test is. */
#ifndef TESTS_CONCURRENCY_RACE_H
#define TESTS_CONCURRENCY_RACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "history.h"
#include "idmap.h"

#define RACE_WORKERS 256
#define RACE_KEYS 400 /* ids 1 … of the keys of tests of maps that evict */

struct race_tally {
	uint64_t sum, n; /* of hashes of values, or of counters */
};

/* What the workers of all processes share. A test's `check` runs while all workers wait. */
struct race_arena {
	atomic_bool excused; /* in this round some removal may have lost its patience: see race_excuse() */
	struct history history; /* of the burst test: each worker writes its own part */
	struct {
		uint64_t last;       /* value of its key's last successful update; by the key's updater */
		bool present;        /* the updater has not seen its key taken since; by the updater, and by check */
		uint64_t sum, n;     /* values that must have been taken (updater), or were taken (taker): hashes added up */
		/* Maps that evict. Own entries that were gone; entries that this worker evicted; counts of the own ones */
		struct race_tally gone, evicted;
		uint64_t inserted, removed;
	} worker[RACE_WORKERS];
	/* The same: what each key's worker knows of it. By that worker, and by check */
	struct {
		uint64_t last;
		bool present;
	} key[RACE_KEYS + 1];
};

struct race_worker {
	unsigned id, n_workers;
	uint64_t random;
	uint64_t sequence; /* of the values this worker stores */
	uint64_t updates_since; /* race_milliseconds() when its update began that may evict */
	unsigned round;
	struct idmap m;
	struct race_arena *arena;
};

struct race_test {
	const char *name;
	uint32_t (*max_entries)(unsigned n_workers, uint64_t random);
	/* One round of one worker; all workers run theirs at the same time. */
	void (*work)(struct race_worker *worker);
	/* After each round, by one worker, while the others wait. */
	void (*check)(struct race_worker *worker);
	/* Before the first round, by one worker, while the others wait; may be NULL. */
	void (*prepare)(struct race_worker *worker);
	enum idmap_values only; /* IDMAP_PLAIN: for maps of any values */
	/* Maps that evict: an eviction by this worker, of a private map. NULL: the test is for other maps. */
	void (*evicted)(struct race_worker *worker, uint32_t key, const struct idmap_ids *value);
	bool told; /* for private maps alone, which tell of evictions */
};

extern const struct race_test race_tests[], race_evict_tests[];
extern const unsigned n_race_tests, n_race_evict_tests;

/* A number that the worker's seed determines. */
uint64_t race_random(struct race_worker *worker);

/* A hash of a value, to be added up. */
uint64_t race_scatter(uint64_t value);

/* Ends the run as failed. */
__attribute__((noreturn, format(printf, 2, 3))) void race_fail(const struct race_worker *worker, const char *format, ...);

/* Passes an operation's result on; a torn value, -EBUSY or -ENOMEM fails the run. */
int race_checked(struct race_worker *worker, const char *what, int err);
/* The operations, so checked; where values have a lock, at random with BPF_F_LOCK. An update that has waited in vain for what
 * other inserts have in hand says -E2BIG, full or not: it's tried again. */
int race_update(struct race_worker *worker, uint32_t key, uint64_t value, uint64_t flags);
int race_delete(struct race_worker *worker, uint32_t key);
int race_lookup(struct race_worker *worker, uint32_t key, struct idmap_ids *value);
/* lookup_and_delete of per-CPU values, and an eviction that is told of, wait for stores under way, but not for ever: a thread
 * that gets no CPU for long loses its update. So calls that have taken long, since `since`, excuse their round. */
uint64_t race_milliseconds(void);
void race_excuse(struct race_worker *worker, uint64_t since);
int race_take(struct race_worker *worker, uint32_t key, struct idmap_ids *value);
/* The id that all words of a value have; else the run fails. */
uint64_t race_one_id(struct race_worker *worker, uint32_t key, const struct idmap_ids *value);
int race_lookup_one(struct race_worker *worker, uint32_t key, uint64_t *value);
int race_take_one(struct race_worker *worker, uint32_t key, uint64_t *value);
/* By pointer: twice in one section; the same both times where the map promises it. */
int race_lookup_pointer(struct race_worker *worker, uint32_t key, uint64_t *value);
/* The whole map by batches: calls `each` with every key and value. */
void race_batch(struct race_worker *worker, bool take,
		void (*each)(struct race_worker *worker, uint32_t key, const struct idmap_ids *value));

#endif
