/* SPDX-License-Identifier: MIT */
/*
 * The lists of the kernel's LRU: what lies in PART_EVICT, and what is done to lists under their locks.
 *
 *   common        one set of lists FREE, INACTIVE, ACTIVE for all CPUs; each CPU has FREE and PENDING lists of its own
 *   NO_COMMON     each CPU has a set of FREE, INACTIVE, ACTIVE; nothing is common
 *
 * A list is linked by index through the elements' nodes (evict.h), both ways; 0 ends it. Additions are at the head, the
 * oldest is the tail. FREE lists are stacks. The node's `list` says on which list it is:
 */
#ifndef ENGINE_CORE_LRU_LISTS_H
#define ENGINE_CORE_LRU_LISTS_H

#include "core/evict.h"
#include "core/listlock.h"

enum lru_place {
	LRU_INACTIVE,
	LRU_ACTIVE,
	LRU_FREE,
	LRU_LOCAL_FREE, /* this one and the next: of the CPU that node->cpu says */
	LRU_PENDING,
	LRU_HAND, /* on none: some operation is evicting it. prev: its record */
	LRU_GIVEN, /* the same, and its entry's remover has given it back meanwhile: free, as soon as the evictor sees that */
};
#define LRU_PLACE   0x0fu
#define LRU_SUSPECT 0x40u /* free, but perhaps a writer announces that it stores into it */
#define LRU_KEPT    0x80u /* lru_repair.c: is linked anew */

struct lru_list {
	_Atomic uint32_t head, tail, count;
};

/* Linked by next alone: additions and removals are at the head. */
struct lru_stack {
	_Atomic uint32_t head, count;
};

/* By the lock's holder; counters and counts are read without. */
struct lru_set {
	_Alignas(64) struct listlock lock;
	struct lru_list list[2]; /* LRU_INACTIVE, LRU_ACTIVE */
	struct lru_stack free;
	_Atomic uint32_t next_rotation; /* an INACTIVE element, at which the next rotation begins; 0: the tail */
	_Atomic uint64_t rotations;
};

struct lru_local {
	_Alignas(64) struct listlock lock; /* not in use with NO_COMMON: there the set's lock guards the counters */
	struct lru_stack free;
	struct lru_list pending;
	_Atomic uint32_t next_steal; /* the CPU to steal from next */
	_Atomic uint64_t evictions, refills, steals;
	_Atomic uint32_t ahead[2]; /* hints: the next nodes to bring into the cache for a refill; 0: none */
};

_Static_assert(sizeof(struct lru_set) == 64 && sizeof(struct lru_local) == 64, "one cache line");

/* record->hand */
enum { LRU_EMPTY_HAND, LRU_FULL_HAND, LRU_DEAD_HAND /* to be emptied by a repair */ };

/* Elements on their way between lists, in nobody else's reach. */
#define LRU_BATCH 128u
struct lru_batch {
	uint32_t index[LRU_BATCH];
	unsigned n;
};

/* Relaxed throughout: what a lock guards is ordered by the lock, and what isn't guarded is a hint or a counter. Atomic, so
 * that what is checked is what is used: others may scribble on a shared region. */
static inline uint32_t lru_get(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}
static inline void lru_set(_Atomic uint32_t *p, uint32_t value)
{
	atomic_store_explicit(p, value, memory_order_relaxed);
}
/* An element's index that lies in the region: 0 instead of a wild one. */
static inline uint32_t lru_index(const struct evict *e, const _Atomic uint32_t *p)
{
	uint32_t index = lru_get(p);

	return index < e->elements->n ? index : 0;
}
static inline void lru_count(_Atomic uint64_t *counter, uint64_t n)
{
	if (n)
		atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
				      memory_order_relaxed);
}

static inline struct lru_local *lru_local(const struct evict *e, uint32_t cpu)
{
	return (struct lru_local *)e->part + cpu;
}
/* The set that a CPU's elements go to. */
static inline struct lru_set *lru_set_of(const struct evict *e, uint32_t cpu)
{
	return (struct lru_set *)(void *)lru_local(e, e->n_cpus) + (e->no_common ? cpu : 0);
}

/* acquire: pairs with lru_put, for who has no lock */
static inline uint32_t lru_place(const struct evict_node *node)
{
	return atomic_load_explicit(&node->list, memory_order_acquire) & LRU_PLACE;
}
static inline void lru_put(struct evict_node *node, uint32_t place)
{
	/* release: who sees the element there without the list's lock sees what was done to it before */
	atomic_store_explicit(&node->list, (uint8_t)place, memory_order_release);
}
static inline uint32_t lru_cpu(const struct evict *e, const struct evict_node *node)
{
	uint32_t cpu = atomic_load_explicit(&node->cpu, memory_order_relaxed);

	return cpu < e->n_cpus ? cpu : 0;
}
static inline bool lru_used(const struct evict *e, uint32_t index)
{
	return atomic_load_explicit(evict_used(e, index), memory_order_relaxed) != 0;
}

/*
 * The changes. An operation may end at any instruction; the stores are in such an order that a walk from a list's head, along
 * next, then still meets every element of the list but, at most, the one that is moved, or the oldest.
 */

/* To the head; `place` goes to node->list. */
static inline void lru_push(const struct evict *e, struct lru_list *list, uint32_t index, uint32_t place)
{
	struct evict_node *node = evict_node(e, index);
	uint32_t head = lru_index(e, &list->head);

	lru_set(&node->prev, 0);
	lru_set(&node->next, head);
	lru_put(node, place);
	TEST_POINT(TP_LIST);
	lru_set(&list->head, index);
	if (head)
		lru_set(&evict_node(e, head)->prev, index);
	else
		lru_set(&list->tail, index);
	TEST_POINT(TP_LIST);
	lru_set(&list->count, lru_get(&list->count) + 1);
}

static inline void lru_unlink(const struct evict *e, struct lru_list *list, uint32_t index)
{
	struct evict_node *node = evict_node(e, index);
	uint32_t prev = lru_index(e, &node->prev), next = lru_index(e, &node->next);

	TEST_POINT(TP_LIST);
	if (prev)
		lru_set(&evict_node(e, prev)->next, next);
	else
		lru_set(&list->head, next);
	TEST_POINT(TP_LIST);
	if (next)
		lru_set(&evict_node(e, next)->prev, prev);
	else
		lru_set(&list->tail, prev);
	lru_set(&list->count, lru_get(&list->count) - 1);
}

static inline void lru_push_free(const struct evict *e, struct lru_stack *stack, uint32_t index, uint32_t place)
{
	struct evict_node *node = evict_node(e, index);

	lru_set(&node->next, lru_get(&stack->head));
	lru_put(node, place);
	TEST_POINT(TP_LIST);
	lru_set(&stack->head, index);
	TEST_POINT(TP_LIST);
	lru_set(&stack->count, lru_get(&stack->count) + 1);
}

/* The newest; 0: there is none. */
static inline uint32_t lru_pop_any(const struct evict *e, struct lru_stack *stack)
{
	uint32_t index = lru_index(e, &stack->head);

	if (index) {
		lru_set(&stack->head, lru_index(e, &evict_node(e, index)->next));
		TEST_POINT(TP_LIST);
		lru_set(&stack->count, lru_get(&stack->count) - 1);
	}
	return index;
}

static inline uint32_t lru_suspect(const struct evict_node *node)
{
	return atomic_load_explicit(&node->list, memory_order_relaxed) & LRU_SUSPECT;
}

/* lru_pop_free where some are suspect. */
uint32_t lru_pop_trusted(const struct evict *e, struct lru_stack *stack);

/* The newest that no writer announces; 0: there is none. */
static inline uint32_t lru_pop_free(const struct evict *e, struct lru_stack *stack)
{
	return caa_unlikely(e->hazards) ? lru_pop_trusted(e, stack) : lru_pop_any(e, stack);
}

/* Off all lists, in w's hand. */
static inline void lru_to_hand(struct evict_node *node, const struct writer *w)
{
	lru_set(&node->prev, w->index);
	lru_put(node, LRU_HAND);
}

/* Under the set's lock. The oldest pending elements first, to ACTIVE or INACTIVE. */
void lru_flush(const struct evict *e, struct lru_set *set, struct lru_list *pending);
/* Gives used elements another round. */
void lru_rotate(const struct evict *e, struct lru_set *set, unsigned scans);
/* Takes an element out of the set, wherever it is. */
void lru_remove(const struct evict *e, struct lru_set *set, uint32_t index);
/* Elements to evict, off their lists and in w's hand: unused ones from the INACTIVE tail, at most `want`, looking at
 * `scans`; one at least, whatever its use, if there's any. */
void lru_choose(const struct evict *e, struct lru_set *set, const struct writer *w, unsigned scans, unsigned want,
		struct lru_batch *batch);

/* Makes the lists whole after operations that ended while they were changing them, or had elements in their hands. Called
 * with no list lock held (lru_repair.c). */
void lru_repair(struct evict *e, struct writer *w);
/* Looks for elements in the hands of operations that are over without having put them back; has them back. Whether there
 * were any. */
bool lru_recover(struct evict *e, struct writer *w);
void lru_rebuild(struct evict *e, uint64_t keep);

#endif
