/* SPDX-License-Identifier: MIT */
#include "core/stock.h"

#include "core/testpoint.h"

#define ROUNDS 4 /* that a search is repeated because others interfere; what is missed is found later */

static struct stock *stock_of(const struct evict *e)
{
	return e->part;
}

static _Atomic uint64_t *owner_of(const struct evict *e, uint32_t index)
{
	return &((struct object *)slab_object(e->elements, index))->owner;
}

static uint64_t bit_of(uint32_t cpu)
{
	return 1ull << cpu % 64;
}

void stock_format(const struct evict *e)
{
	/* relaxed: the region isn't visible to others yet */
	atomic_store_explicit(&stock_of(e)->fresh, 1, memory_order_relaxed);
}

static bool claim(const struct evict *e, struct writer *w, uint32_t index)
{
	uint64_t none = 0;

	/* acquire: whatever was done with the element before it was given comes before what its next owner does.
	 * seq_cst: see stock_give */
	return atomic_compare_exchange_strong_explicit(owner_of(e, index), &none, w->owner, memory_order_seq_cst,
						       memory_order_seq_cst);
}

/* acquire: the link behind the head is visible. Torn: then the CAS that uses it fails. */
static struct pair_value read_pair(const struct pair *p)
{
	struct pair_value v;

	v.first = atomic_load_explicit(&p->first, memory_order_acquire);
	v.second = atomic_load_explicit(&p->second, memory_order_acquire);
	return v;
}

static void push(const struct evict *e, uint32_t cpu, uint32_t index)
{
	struct pair *stack = &stock_of(e)->lines[cpu].free;
	struct evict_node *node = evict_node(e, index);

	for (;;) {
		struct pair_value old = read_pair(stack);
		uint64_t count = (old.second >> 32) + 1;

		/* relaxed: the CAS publishes it */
		atomic_store_explicit(&node->next, (uint32_t)old.second, memory_order_relaxed);
		TEST_POINT(TP_SLAB);
		if (pair_cas(stack, old, (struct pair_value){ old.first + 1, count << 32 | index }))
			return;
	}
}

/* 0: the stack is empty. */
static uint32_t pop(const struct evict *e, uint32_t cpu)
{
	struct pair *stack = &stock_of(e)->lines[cpu].free;

	for (;;) {
		struct pair_value old = read_pair(stack);
		uint32_t index = (uint32_t)old.second, next;
		uint64_t count = (old.second >> 32) - 1;

		if (!index || index >= e->elements->n) /* the latter in hostile files */
			return 0;
		/* another may have popped it and pushed it elsewhere: then the version has moved */
		next = atomic_load_explicit(&evict_node(e, index)->next, memory_order_relaxed);
		TEST_POINT(TP_SLAB);
		if (!pair_cas(stack, old, (struct pair_value){ old.first + 1, next ? count << 32 | next : 0 }))
			continue;
		/* seq_cst: see stock_give */
		atomic_store_explicit(&evict_node(e, index)->cpu, 0, memory_order_seq_cst);
		return index;
	}
}

static void hint(const struct evict *e, uint32_t cpu, uint32_t index)
{
	_Atomic uint64_t *stocked = &stock_of(e)->stocked;

	/* relaxed: published by the push */
	atomic_store_explicit(&evict_node(e, index)->cpu, (uint16_t)(cpu + 1), memory_order_relaxed);
	TEST_POINT(TP_SLAB);
	push(e, cpu, index);
	TEST_POINT(TP_SLAB);
	/* seq_cst: after the push; see take_by_bit */
	if (!(atomic_load_explicit(stocked, memory_order_seq_cst) & bit_of(cpu)))
		atomic_fetch_or_explicit(stocked, bit_of(cpu), memory_order_seq_cst);
	TEST_POINT(TP_SLAB);
}

/*
 * Who pops the hint before the owner word is 0 clears `cpu`, looks at the owner word, and drops the hint. Here it's the
 * other way round, the owner word first and then `cpu`: so he sees that the element is free, or it shows here that the hint
 * is gone. Then the element is taken back, and pushed again. There is no bound: each time it's some popper's step that
 * interferes, of which a search has a bounded number, and an element without a hint would be counted as an entry.
 */
void stock_give(const struct evict *e, struct writer *w, uint32_t index)
{
	_Atomic uint16_t *cpu = &evict_node(e, index)->cpu;

	do {
		if (!atomic_load_explicit(cpu, memory_order_relaxed))
			hint(e, w->cpu, index);
		/* seq_cst: as said above. It releases, too: see claim */
		atomic_store_explicit(owner_of(e, index), 0, memory_order_seq_cst);
	} while (!atomic_load_explicit(cpu, memory_order_seq_cst) && claim(e, w, index));
}

/* An element that was free, if no hint at it is left: else it's left to who finds that. There is one if it was taken and
 * given since it was seen. */
static bool claim_alone(const struct evict *e, struct writer *w, uint32_t index)
{
	if (!claim(e, w, index))
		return false;
	if (!atomic_load_explicit(&evict_node(e, index)->cpu, memory_order_relaxed))
		return true;
	stock_give(e, w, index);
	return false;
}

/* From one CPU's stack. 0: it was empty. The bound is for hostile files: an honest stack is not longer. */
static uint32_t take_from(const struct evict *e, struct writer *w, uint32_t cpu)
{
	for (uint32_t i = 0; i < e->elements->n; i++) {
		uint32_t index = pop(e, cpu);

		TEST_POINT(TP_SLAB);
		if (!index || claim_alone(e, w, index))
			return index;
	}
	return 0;
}

static uint32_t take_fresh(const struct evict *e, struct writer *w)
{
	_Atomic uint32_t *fresh = &stock_of(e)->fresh;
	uint32_t index = atomic_load_explicit(fresh, memory_order_relaxed);

	while (index && index < e->elements->n) {
		TEST_POINT(TP_SLAB);
		/* relaxed: the index only counts, who has the element its owner word says */
		if (!atomic_compare_exchange_weak_explicit(fresh, &index, index + 1, memory_order_relaxed,
							   memory_order_relaxed))
			continue;
		if (claim(e, w, index))
			return index;
		index++;
	}
	return 0;
}

/* From the stacks that share a bit. If they are empty the bit is cleared; then they are looked at again, for whoever
 * pushed before that has seen the bit set, and left it. */
static uint32_t take_by_bit(const struct evict *e, struct writer *w, uint32_t bit)
{
	_Atomic uint64_t *stocked = &stock_of(e)->stocked;

	for (unsigned cleared = 0; cleared < 2; cleared++) {
		for (uint32_t cpu = bit; cpu < e->n_cpus; cpu += 64) {
			uint32_t index = take_from(e, w, cpu);

			if (!index)
				continue;
			if (cleared) /* relaxed: it's a hint; what lies behind it is ordered by the stack */
				atomic_fetch_or_explicit(stocked, bit_of(bit), memory_order_relaxed);
			return index;
		}
		if (!cleared) /* seq_cst: between the looks; against push and load in stock_give */
			atomic_fetch_and_explicit(stocked, ~bit_of(bit), memory_order_seq_cst);
	}
	return 0;
}

uint32_t stock_take(const struct evict *e, struct writer *w)
{
	struct stock *stock = stock_of(e);
	uint32_t index = take_from(e, w, w->cpu);
	uint64_t bits;

	if (index)
		return index;
	index = take_fresh(e, w);
	for (unsigned round = 0; !index && round < ROUNDS; round++) {
		bits = atomic_load_explicit(&stock->stocked, memory_order_relaxed);
		if (!bits)
			break;
		for (; bits && !index; bits &= bits - 1)
			index = take_by_bit(e, w, (uint32_t)__builtin_ctzll(bits));
	}
	return index;
}

uint32_t stock_meet(const struct evict *e, struct writer *w, uint32_t index)
{
	uint32_t found = stock_take(e, w);

	if (!found && claim_alone(e, w, index))
		return index;
	if (!found)
		found = stock_take(e, w);
	/* a popper that died has left it marked as if there were a hint */
	return found ? found : claim(e, w, index) ? index : 0;
}

uint64_t stock_count(const struct evict *e)
{
	const struct stock *stock = stock_of(e);
	uint32_t fresh = atomic_load_explicit(&stock->fresh, memory_order_relaxed);
	uint64_t count = fresh < e->elements->n ? e->elements->n - fresh : 0;

	for (uint32_t cpu = 0; cpu < e->n_cpus; cpu++)
		count += atomic_load_explicit(&stock->lines[cpu].free.second, memory_order_relaxed) >> 32;
	return count;
}

/* Relaxed throughout: the process has one thread. */
void stock_rebuild(const struct evict *e, uint64_t keep, uint64_t published)
{
	struct stock *stock = stock_of(e);
	uint32_t fresh = atomic_load_explicit(&stock->fresh, memory_order_relaxed);

	for (uint32_t cpu = 0; cpu < e->n_cpus; cpu++)
		atomic_store_explicit(&stock->lines[cpu].free.second, 0, memory_order_relaxed);
	for (uint32_t index = 1; index < fresh && index < e->elements->n; index++) {
		atomic_store_explicit(&evict_node(e, index)->cpu, 0, memory_order_relaxed);
		if (atomic_load_explicit(owner_of(e, index), memory_order_relaxed) == keep) {
			atomic_store_explicit(owner_of(e, index), published, memory_order_relaxed);
			continue;
		}
		hint(e, index % e->n_cpus, index);
		atomic_store_explicit(owner_of(e, index), 0, memory_order_relaxed);
	}
}
