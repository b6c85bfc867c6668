/* SPDX-License-Identifier: MIT */
/*
 * Linearizability of a small history of map operations (G1, G3).
 *
 * A history is a set of operations with the times of their calls and returns. It is linearizable if the operations can be put
 * in one order that keeps every "returned before the other was called", in which each result is what a sequential map
 * gives. The search is Wing and Gong's, with Lowe's memory of visited states: complete and sound, exponential only in the
 * number of operations that overlap.
 */
#ifndef TESTS_CONCURRENCY_HISTORY_H
#define TESTS_CONCURRENCY_HISTORY_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_OPS 64
#define HISTORY_KEYS 16
#define HISTORY_WORDS 4

/* ADD: to a counter that is there. */
enum history_kind { HISTORY_LOOKUP, HISTORY_UPDATE, HISTORY_DELETE, HISTORY_TAKE, HISTORY_ADD };

struct history_op {
	enum history_kind kind;
	unsigned thread;
	unsigned key;      /* < HISTORY_KEYS */
	uint64_t flags;    /* UPDATE: BPF_ANY, BPF_NOEXIST, BPF_EXIST */
	uint64_t value[HISTORY_WORDS]; /* ids, never 0: stored by UPDATE, returned by LOOKUP and TAKE (torn: an id nobody
					* stored); what ADD adds */
	unsigned kept;     /* UPDATE: the words, as a mask, that it leaves as they are; HISTORY_ZERO in a new entry */
	bool pending;      /* it never returned: may have taken effect or not */
	int result;        /* 0 or -errno */
	uint64_t called;   /* times: called < returned, all different; pending: returned is UINT64_MAX */
	uint64_t returned;
};

#define HISTORY_ZERO (UINT64_C(1) << 63)

struct history {
	unsigned n;
	unsigned max_entries;
	unsigned words; /* of a value; 0: one */
	bool exact; /* the rule for -E2BIG, see history_check() */
	struct history_op op[HISTORY_OPS];
};

enum history_verdict { HISTORY_OK, HISTORY_WRONG, HISTORY_UNDECIDED /* more states than the memory holds */ };

/*
 * Judges a history of a map that was empty at its beginning.
 *
 * A value of several words may be stored and read in pieces (per-CPU values), but each word must be right: the history is
 * judged for each of them as if it were all there is.
 *
 * -E2BIG is right where the key is absent and the map has max_entries entries. If the history isn't `exact`, writes in
 * progress elsewhere count as well, as far as they can have room in hand that no entry has: the engine says so when a
 * writer has been stopped for longer than it waits.
 */
enum history_verdict history_check(const struct history *history);

void history_print(const struct history *history, FILE *out);

#endif
