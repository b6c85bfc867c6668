/* SPDX-License-Identifier: MIT */
/*
 * Stock: the elements of a map that evicts, as far as they are free; without a lock.
 *
 * The owner word alone says whether an element is free: it's 0. Whoever changes it from 0 to an owner word of his own has
 * the element, however he came upon it. So nothing else need be exact for an element to be in one hand, and nothing that
 * a killed thread leaves behind can put it into two.
 *
 * Free elements are found on stacks, one a CPU, {version; count, index of the first}, linked through the nodes' `next`. A
 * word of bits tells which stacks may have some, so that a full map, where none has, shows that by one shared word which
 * nobody writes. Elements that were never handed out come from a bump index, and need no formatting.
 *
 * An element's node says, in `cpu`, that it's on a stack. Only who has the element sets that, before he pushes it, and
 * only who popped it clears it; so no element is pushed twice, whoever is stopped wherever. The owner word becomes 0 after
 * the push, and so whoever sees 0 and finds nothing on the stacks knows that somebody is just taking it, or died there. A
 * hint at an element that has an owner still is dropped by who pops it; the giver sees that afterwards, and pushes again.
 * And who took an element that there is a hint at again gives it back.
 *
 * Linearization points: the CAS of the owner word takes, the store of 0 gives.
 *
 * What a process leaves that is killed in stock_take: an element without an owner, on no stack, perhaps marked as if it
 * were: then it's never pushed again. In stock_give: one that the dead still own, on a stack or not. The policy, which
 * meets every element now and then, takes the former by stock_meet, and the latter as it takes all that the dead have.
 * Until then they are missing from the count.
 */
#ifndef ENGINE_CORE_STOCK_H
#define ENGINE_CORE_STOCK_H

#include "core/evict.h"

/* One for each CPU, behind the common line. */
struct stock_line {
	_Alignas(64) struct pair free; /* everybody writes, by CAS */
};

struct stock {
	_Alignas(
		64) _Atomic uint64_t stocked; /* bit cpu % 64: some of these CPUs' stacks may not be empty. Everybody */
	_Atomic uint32_t fresh;		      /* elements from this one on were never handed out. Everybody, by CAS */
	struct stock_line lines[];
};

/* It lies at the beginning of PART_EVICT, in this many bytes. */
static inline size_t stock_size(uint32_t n_cpus)
{
	return sizeof(struct stock) + n_cpus * sizeof(struct stock_line);
}

void stock_format(const struct evict *e);
/* An element that was free and is w's now, 0: there is none. */
uint32_t stock_take(const struct evict *e, struct writer *w);
/* Makes an element of w's free. */
void stock_give(const struct evict *e, struct writer *w, uint32_t index);
/* As stock_take, when some element was seen to be free: that one, if no other is found. */
uint32_t stock_meet(const struct evict *e, struct writer *w, uint32_t index);
/* Elements on stacks, or never handed out. */
uint64_t stock_count(const struct evict *e);
/* As evict_ops.rebuild; the owner word of what is published becomes `published`. */
void stock_rebuild(const struct evict *e, uint64_t keep, uint64_t published);

#endif
