/* SPDX-License-Identifier: MIT */
/*
 * What the explorer runs: a scenario is a small map's contents and, for each of two or three threads, a few operations. An
 * experiment is one run of it.
 */
#ifndef TESTS_CONCURRENCY_EXPLORE_H
#define TESTS_CONCURRENCY_EXPLORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "history.h"
#include "idmap.h"

enum step_kind {
	STEP_END,
	STEP_ANY,
	STEP_NOEXIST,
	STEP_EXIST,
	STEP_DELETE,
	STEP_LOOKUP,
	STEP_TAKE,       /* lookup_and_delete_elem */
	STEP_POINTER,    /* program-face lookup; the pointer must stay the same entry in its section (reuse = grace only) */
	STEP_USE,        /* maps that evict: program-face lookup, a hit; what it finds is not looked at */
	STEP_SLOT,       /* per-CPU: program-face update, of this CPU's slot */
	STEP_ADD,        /* per-CPU: percpu_add */
	STEP_HOLD,       /* spin lock: program-face store under the lock, word by word. Where nobody removes or replaces */
	STEP_BULK,       /* lookup_bulk of all keys: one lookup each */
	STEP_LOOKUP_ALL, /* lookup_batch over the whole map: one lookup a key */
	STEP_TAKE_ALL,   /* lookup_and_delete_batch over the whole map: one take a key */
};

/* A step on key `key`; the value stored is the step's own, so that each value tells where it comes from. */
struct step {
	enum step_kind kind;
	unsigned key;
	bool lock; /* with BPF_F_LOCK, where values have a lock */
};

#define SCENARIO_THREADS 3
#define SCENARIO_STEPS 4

struct scenario {
	const char *name;
	unsigned max_entries;
	unsigned fill; /* entries made first that fill the line's slots: keys FILLER, FILLER + 1 … */
	unsigned present[4]; /* further entries made before the threads run: key + 1 */
	struct step thread[SCENARIO_THREADS][SCENARIO_STEPS];
	bool spread; /* the threads run on different CPUs, so they begin with different per-CPU lists */
	enum idmap_values only; /* IDMAP_PLAIN: for maps of any values */
	bool evicts; /* for maps that evict alone */
	bool fill_used; /* the entries that fill the line are hit: they are not the first to be evicted */
	/* Before the threads run, a process dies in an update of key 0 with BPF_F_LOCK: at each of its steps in turn. Shared
	 * maps with locked values only */
	bool dies;
};

/* Keys 0 … 3 have one hash tag, and all keys one line. */
#define FILLER 8

extern const struct scenario scenarios[];
extern const unsigned n_scenarios;

/* One run. `ops` of a thread are written by it alone. */
#define EXPERIMENT_OPS 24
struct experiment {
	const struct scenario *scenario;
	const struct idmap_kind *kind;
	uint32_t key_id[HISTORY_KEYS];
	uint64_t used; /* the keys that the scenario speaks of, as a mask */
	struct idmap m;
	atomic_uint_fast64_t clock;
	struct history history;
	struct {
		unsigned n;
		struct history_op op[EXPERIMENT_OPS];
	} ops[SCENARIO_THREADS + 1]; /* the last: of the main thread, its evictions */
	bool drained;
	unsigned death;	 /* the step at which the process dies */
	bool died;	 /* it had so many */
	char wrong[256]; /* what was found wrong, "" so far */
};

/* The present time of the history. */
uint64_t experiment_now(struct experiment *x);
/* Notes what is wrong, if it is the first. */
__attribute__((format(printf, 2, 3))) void experiment_wrong(struct experiment *x, const char *format, ...);
/* Looks up, or takes; a torn value fails the run. */
int experiment_get(struct experiment *x, uint32_t key_id, bool take, uint64_t flags, struct idmap_ids *value);
/* What idmap_evicted is to be: notes the eviction as an operation of the history, by which the thread took the entry out. */
void experiment_evicted(int err, uint32_t key_id, const struct idmap_ids *value);
/* The calling thread acts in the experiment from now on, as thread SCENARIO_THREADS if it isn't one of the scenario's; NULL:
 * no more, and its evictions are not noted. */
void experiment_act(struct experiment *x, unsigned thread);
/* The steps of one thread (explore_steps.c). */
void experiment_run_thread(struct experiment *x, unsigned thread);

#endif
