/* SPDX-License-Identifier: MIT */
/*
 * The lists of the kernel's LRU: the changes that move many elements, under the lists' locks. What they mean is told in
 * lru.c.
 */
#include "core/lru_lists.h"

uint32_t lru_pop_trusted(const struct evict *e, struct lru_stack *stack)
{
	uint32_t index = lru_index(e, &stack->head), newer = 0;

	for (uint32_t i = 0; index && i < e->elements->n; i++) {
		struct evict_node *node = evict_node(e, index);
		uint32_t next = lru_index(e, &node->next);

		if (caa_likely(!lru_suspect(node)) || !evict_announced(e, index)) {
			lru_set(newer ? &evict_node(e, newer)->next : &stack->head, next);
			lru_set(&stack->count, lru_get(&stack->count) - 1);
			return index;
		}
		newer = index;
		index = next;
	}
	return 0;
}

/* Off one of a set's lists. What the next rotation would begin with leaves that to its neighbour at the head's side. */
static void take_out(const struct evict *e, struct lru_set *set, uint32_t index, uint32_t from)
{
	if (lru_index(e, &set->next_rotation) == index)
		lru_set(&set->next_rotation, lru_index(e, &evict_node(e, index)->prev));
	lru_unlink(e, &set->list[from], index);
}

static void move(const struct evict *e, struct lru_set *set, uint32_t index, enum lru_place from, enum lru_place to)
{
	take_out(e, set, index, from);
	/* relaxed: a hit that comes between is lost, which is no harm */
	atomic_store_explicit(evict_used(e, index), 0, memory_order_relaxed);
	lru_push(e, &set->list[to], index, to);
}

void lru_remove(const struct evict *e, struct lru_set *set, uint32_t index)
{
	take_out(e, set, index, lru_place(evict_node(e, index)) == LRU_ACTIVE ? LRU_ACTIVE : LRU_INACTIVE);
}

/* All of a list goes, as it is, before the head of another. Their places are set. */
static void splice(const struct evict *e, struct lru_list *from, struct lru_list *to)
{
	uint32_t first = lru_index(e, &from->head), last = lru_index(e, &from->tail), old = lru_index(e, &to->head);

	if (!first)
		return;
	lru_set(&evict_node(e, last)->next, old);
	TEST_POINT(TP_LIST);
	lru_set(&to->head, first);
	if (old)
		lru_set(&evict_node(e, old)->prev, last);
	else
		lru_set(&to->tail, last);
	lru_set(&to->count, lru_get(&to->count) + lru_get(&from->count));
	TEST_POINT(TP_LIST);
	lru_set(&from->head, 0);
	lru_set(&from->tail, 0);
	lru_set(&from->count, 0);
}

void lru_flush(const struct evict *e, struct lru_set *set, struct lru_list *pending)
{
	uint32_t index = lru_index(e, &pending->tail);

	/* one by one to the head, the oldest first: in the end those for INACTIVE lie there as they lay here */
	for (uint32_t i = 0; index && i < e->elements->n; i++) {
		struct evict_node *node = evict_node(e, index);
		uint32_t newer = lru_index(e, &node->prev);

		if (lru_used(e, index)) {
			atomic_store_explicit(evict_used(e, index), 0, memory_order_relaxed); /* relaxed: as in move */
			lru_unlink(e, pending, index);
			lru_push(e, &set->list[LRU_ACTIVE], index, LRU_ACTIVE);
		} else {
			lru_put(node, LRU_INACTIVE);
		}
		index = newer;
	}
	splice(e, pending, &set->list[LRU_INACTIVE]);
}

/* From the ACTIVE tail: the unused become inactive. Ends with the one that was first at the start. */
static void rotate_active(const struct evict *e, struct lru_set *set, unsigned scans)
{
	uint32_t first = lru_index(e, &set->list[LRU_ACTIVE].head), index = lru_index(e, &set->list[LRU_ACTIVE].tail);

	for (unsigned i = 0; index && i < scans; i++) {
		const struct evict_node *node = evict_node(e, index);
		uint32_t newer = lru_index(e, &node->prev);

		move(e, set, index, LRU_ACTIVE, lru_used(e, index) ? LRU_ACTIVE : LRU_INACTIVE);
		if (index == first)
			return;
		index = newer;
	}
}

/* From where the last rotation ended, toward the head and round again: the used become active. One turn at most. */
static void rotate_inactive(const struct evict *e, struct lru_set *set, unsigned scans)
{
	const struct lru_list *inactive = &set->list[LRU_INACTIVE];
	uint32_t start = lru_index(e, &set->next_rotation), next = start, last;

	last = start ? lru_index(e, &evict_node(e, start)->next) : 0;
	if (!last)
		last = lru_index(e, &inactive->head);
	for (unsigned i = 0; i < scans; i++) {
		uint32_t index = next ? next : lru_index(e, &inactive->tail);
		const struct evict_node *node = evict_node(e, index);

		if (!index)
			break;
		next = lru_index(e, &node->prev);
		if (lru_used(e, index))
			move(e, set, index, LRU_INACTIVE, LRU_ACTIVE);
		if (index == last)
			break;
	}
	lru_set(&set->next_rotation, next);
}

void lru_rotate(const struct evict *e, struct lru_set *set, unsigned scans)
{
	if (lru_get(&set->list[LRU_INACTIVE].count) < lru_get(&set->list[LRU_ACTIVE].count))
		rotate_active(e, set, scans);
	rotate_inactive(e, set, scans);
	lru_count(&set->rotations, 1);
}

static void choose(const struct evict *e, const struct writer *w, uint32_t index, struct lru_batch *batch)
{
	lru_to_hand(evict_node(e, index), w);
	batch->index[batch->n++] = index;
}

/* Makes an element the tail; those behind it are on no list any more. */
static void cut_behind(const struct evict *e, struct lru_list *list, uint32_t index)
{
	lru_set(index ? &evict_node(e, index)->next : &list->head, 0);
	lru_set(&list->tail, index);
}

/* Unused elements from the INACTIVE tail; the used ones before the last of them become active. */
static void choose_unused(const struct evict *e, struct lru_set *set, const struct writer *w, unsigned scans,
			  unsigned want, struct lru_batch *batch)
{
	struct lru_list *inactive = &set->list[LRU_INACTIVE];
	uint32_t index = lru_index(e, &inactive->tail);

	for (unsigned i = 0; index && i < scans && batch->n < want; i++) {
		const struct evict_node *node = evict_node(e, index);
		uint32_t newer = lru_index(e, &node->prev);

		if (lru_used(e, index)) {
			cut_behind(e, inactive, index);
			move(e, set, index, LRU_INACTIVE, LRU_ACTIVE);
		} else {
			if (lru_get(&set->next_rotation) == index)
				lru_set(&set->next_rotation, newer);
			choose(e, w, index, batch);
		}
		index = newer;
	}
	cut_behind(e, inactive, index);
	lru_set(&inactive->count, lru_get(&inactive->count) - batch->n);
}

void lru_choose(const struct evict *e, struct lru_set *set, const struct writer *w, unsigned scans, unsigned want,
		struct lru_batch *batch)
{
	enum lru_place from = LRU_INACTIVE;
	uint32_t index;

	choose_unused(e, set, w, scans, want, batch);
	if (batch->n)
		return;
	if (!lru_get(&set->list[LRU_INACTIVE].tail))
		from = LRU_ACTIVE;
	index = lru_index(e, &set->list[from].tail);
	if (index) {
		take_out(e, set, index, from);
		choose(e, w, index, batch);
	}
}
