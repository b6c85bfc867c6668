/* SPDX-License-Identifier: MIT */
/*
 * An LRU without a map: elements, lists, records and processes in a region, and a table that knows of each element only
 * whether it's in an entry. Writers are made here: a thread needs no state of its own, and a test can let one end anywhere.
 */
#ifndef TESTS_UNIT_LRU_FIXTURE_H
#define TESTS_UNIT_LRU_FIXTURE_H

#include "support.h"

#include "core/lru_lists.h"
#include "core/process.h"

#define FIXTURE_WRITERS 8

struct fixture {
	struct region region;
	struct region_layout layout;
	struct slab elements;
	struct process_slots processes;
	struct writer_set writers;
	struct writer w[FIXTURE_WRITERS];
	struct evict e;
};

struct fixture_shape {
	uint32_t n; /* elements */
	uint32_t n_cpus;
	bool no_common;
	bool shared; /* a memfd, with process slots; the writers are this process's */
	bool in_place;
};

/* What the word behind an element's header says: the fake table. */
enum { FIXTURE_OUT, FIXTURE_IN };

/* A policy's map; ops may be lru_ops. NULL on failure. */
struct fixture *fixture_make(const struct fixture_shape *shape);
void fixture_free(struct fixture *f);
/* All writers belong to this process from now on: a child calls it. */
void fixture_join(struct fixture *f);

/* An operation of a writer on a CPU. */
struct writer *fixture_begin(struct fixture *f, unsigned writer, uint32_t cpu);
void fixture_end(struct writer *w);

bool fixture_present(const struct fixture *f, uint32_t index);
void fixture_publish(struct fixture *f, uint32_t index);
/* Takes an element out of its entry for a writer; it's still to be given back. false: it's in none. */
bool fixture_unpublish(struct fixture *f, struct writer *w, uint32_t index);
/* take() and publish, in an operation of its own. The element, or 0. */
uint32_t fixture_insert(struct fixture *f, unsigned writer, uint32_t cpu);
bool fixture_delete(struct fixture *f, unsigned writer, uint32_t cpu, uint32_t index);
uint32_t fixture_entries(const struct fixture *f);

/* That each element is on exactly one list, that lists, links and counts agree, that locks are free, and no element is in a
 * hand. */
void fixture_check(const struct fixture *f);

#endif
