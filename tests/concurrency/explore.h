/* SPDX-License-Identifier: MIT */
/* What the explorer runs: a scenario is a small map's contents and, for each of two or three threads, a few operations. */
#ifndef TESTS_CONCURRENCY_EXPLORE_H
#define TESTS_CONCURRENCY_EXPLORE_H

#include <stdbool.h>
#include <stdint.h>

enum step_kind {
	STEP_END,
	STEP_ANY,
	STEP_NOEXIST,
	STEP_EXIST,
	STEP_DELETE,
	STEP_LOOKUP,
	STEP_TAKE,       /* lookup_and_delete_elem */
	STEP_POINTER,    /* program-face lookup; the pointer must stay the same entry in its section (reuse = grace only) */
	STEP_BULK,       /* lookup_bulk of all keys: one lookup each */
	STEP_LOOKUP_ALL, /* lookup_batch over the whole map: one lookup a key */
	STEP_TAKE_ALL,   /* lookup_and_delete_batch over the whole map: one take a key */
};

/* A step on key `key`; the value stored is the step's own, so that each value tells where it comes from. */
struct step {
	enum step_kind kind;
	unsigned key;
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
};

/* Keys 0 … 3 have one hash tag, and all keys one line. */
#define FILLER 8

extern const struct scenario scenarios[];
extern const unsigned n_scenarios;

#endif
