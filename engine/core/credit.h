/* SPDX-License-Identifier: MIT */
/*
 * Capacity: exactly max_entries, without a shared counter.
 *
 * A map has max_entries credits; an entry holds one. Free credits lie in one counter a CPU, {version, count}. An insert
 * takes one from its CPU's counter, or steals one from another's, one at a time: a thief that moved several could be
 * stopped with credits in its hands that nobody sees. A removal gives its credit to its CPU's counter at once, whenever
 * the element's memory may be reused.
 *
 * "Full" is said only after a double collect: all counters were seen empty, and then seen again with the same versions.
 * As every change moves a version, there was an instant between the two passes at which no credit was free. The
 * versions only grow, so their sum stands for all of them.
 *
 * A credit can also be in hand: an insert's that is not committed yet, or a removal's that is not given back yet. Then
 * the map has fewer entries than credits are gone. So an operation marks its record before a credit can leave the
 * counters or an entry, and clears the mark after the credit has arrived; and the records are read between the passes
 * of the double collect. No mark seen, no version moved: no credit was free at the instant of the first pass, and each
 * that was in hand then had become an entry's when its mark was read. (One that was given back has moved a version.) The
 * marks are not read at one instant, so a removal may have begun meanwhile: entries together with the writes in progress
 * reached max_entries, which is what G3 says.
 */
#ifndef ENGINE_CORE_CREDIT_H
#define ENGINE_CORE_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/record.h"

/* Deals `n` credits out to the CPUs' counters of a new region. */
void credit_format(struct cpu_line *lines, uint32_t n_cpus, uint32_t n);

/* What a record's mark says: none in hand, perhaps one soon, perhaps one or more. */
enum { CREDIT_NONE, CREDIT_ASKING, CREDIT_HELD };

/* Takes a credit from one CPU's counter. */
static inline bool credit_take_from(struct cpu_line *line)
{
	/* relaxed: the CAS decides */
	uint64_t old = atomic_load_explicit(&line->credits, memory_order_relaxed);

	while ((uint32_t)old) {
		/* acq_rel: pairs with credit_give, and the mark is visible before the credit is gone. Next version: a
		 * double collect sees the change */
		if (atomic_compare_exchange_weak_explicit(&line->credits, &old, old + (1ull << 32) - 1,
							  memory_order_acq_rel, memory_order_relaxed))
			return true;
	}
	return false;
}

/* Takes a credit. false: at an instant of the call none was free; *versions names the counters' state at that
 * instant. */
bool credit_take(struct cpu_line *lines, uint32_t n_cpus, uint32_t cpu, uint64_t *versions);
/* Whether the counters are in that state still. */
bool credit_none_since(const struct cpu_line *lines, uint32_t n_cpus, uint64_t versions);

static inline void credit_mark(struct record *record, uint32_t mark)
{
	/* relaxed: the CAS that takes a credit, or commits a removal, releases it */
	atomic_store_explicit(&record->credit, mark, memory_order_relaxed);
}

static inline void credit_unmark(struct record *record)
{
	/* release: whoever sees the mark gone sees where the credit went */
	atomic_store_explicit(&record->credit, CREDIT_NONE, memory_order_release);
}

static inline void credit_give(struct cpu_line *lines, uint32_t cpu, uint32_t n)
{
	/* n more, next version. Release: what the remover did comes before the insert that takes the credit */
	atomic_fetch_add_explicit(&lines[cpu].credits, (1ull << 32) + n, memory_order_release);
}

/* Free credits now: exact when nobody writes. */
uint64_t credit_count(const struct cpu_line *lines, uint32_t n_cpus);

#endif
