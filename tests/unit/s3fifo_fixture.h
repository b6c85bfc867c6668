/* SPDX-License-Identifier: MIT */
/* What the tests of S3-FIFO and its stock share: a policy over a fake table, in which an element's entry is one word. */
#ifndef TESTS_UNIT_S3FIFO_FIXTURE_H
#define TESTS_UNIT_S3FIFO_FIXTURE_H

#include "core/evict.h"
#include "core/region.h"
#include "support.h"

#define MAX_N	1000u
#define CPUS	2u
#define WRITERS 4u

extern struct region_layout layout;
extern struct record records[WRITERS];
extern struct writer writer[WRITERS];
extern struct slab elements;
extern unsigned char *part; /* PART_EVICT */
extern struct evict map;
extern _Atomic uint64_t in_entry[MAX_N + 1]; /* the table: the owner word with which an element was published, or 0 */
extern atomic_uint removals;		     /* that the policy has tried */

/* A new, empty map of n elements. */
void make(uint32_t n);
_Atomic uint64_t *owner_of(uint32_t index);

/* A writer's operation, and what may happen in it. */
void op_begin(struct writer *w, uint32_t cpu);
void op_end(struct writer *w);
void publish(struct writer *w, uint32_t index, uint32_t replaced);
/* Takes an element out of its entry. false: another was faster, or it's in none. */
bool unlink_entry(struct writer *w, uint32_t index);

/* Whole operations. insert: returns the element, 0 if none could be had. */
uint32_t insert(struct writer *w, uint32_t cpu, uint64_t hash);
/* An entry that is used moves to the main part, and the hand must find room there; a scan wouldn't move it. */
uint32_t insert_and_use(struct writer *w, uint32_t cpu);
void delete_entry(struct writer *w, uint32_t cpu, uint32_t index);
void hit(uint32_t index);

/* Elements in entries. */
uint32_t published(void);

#endif
