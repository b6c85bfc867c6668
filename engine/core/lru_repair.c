/* SPDX-License-Identifier: MIT */
/*
 * Makes the lists of the kernel's LRU whole: after an operation that ended with a lock, or with elements in its hand, and in
 * the copy that a forked child has of a private map.
 *
 * Which list an element is on is in its node. So the lists are made anew from the nodes: first each list's chain is walked
 * from its head, as far as it leads to elements of this list that the walk hasn't met yet, and back links, tail and count
 * are set; this keeps the order (lru_lists.h: nearly every element is in the chain). Then those that were not met go to
 * the heads of their lists. What the walk has met is marked, in the node.
 *
 * The walk leaves the chain as it was, so that a repairer that is killed leaves its successor the same work. It's
 * known that there is work, as the dead one's locks are to be seized, and its record's `hand` is set until all is done.
 *
 * All locks are held, seized in one order, so that of several repairers one does the work and the others find nothing to do.
 * Elements in the hands of living evictors stay there. Those in a dead one's become INACTIVE: whether they are in the
 * table yet, in nobody's hands, or given back, is for remove() to find out when they are chosen again.
 */
#include "core/lru_lists.h"

static uint32_t n_locks(const struct evict *e)
{
	return e->n_cpus + (e->no_common ? e->n_cpus : 1);
}

/* The locks in their order; also those that such a map doesn't use, for who meets a wild node. */
static struct listlock *nth_lock(const struct evict *e, uint32_t i)
{
	return i < e->n_cpus ? &lru_local(e, i)->lock : &lru_set_of(e, i - e->n_cpus)->lock;
}

/* Marks the records of the dead that had elements in their hands. Whether there are any. */
static bool find_dead_hands(const struct evict *e, const struct writer *w, bool mark)
{
	const struct writer_set *set = e->writers;
	/* acquire, here and below: as in listlock_over */
	uint32_t used = atomic_load_explicit(&set->region->header->records_used, memory_order_acquire);
	bool any = false;

	for (uint32_t i = 0; i < used && i < RECORDS; i++) {
		struct record *record = &set->records[i];
		uint64_t op = atomic_load_explicit(&record->op, memory_order_acquire);

		if (i == w->index || atomic_load_explicit(&record->hand, memory_order_acquire) == LRU_EMPTY_HAND ||
		    !listlock_over(set, op << RECORD_BITS | i))
			continue;
		any = true;
		if (mark)
			atomic_store_explicit(&record->hand, LRU_DEAD_HAND, memory_order_relaxed); /* relaxed: locked */
	}
	return any;
}

/* When nothing is in the hands of those that were marked any more. */
static void forget_dead_hands(const struct evict *e)
{
	const struct writer_set *set = e->writers;
	uint32_t used = atomic_load_explicit(&set->region->header->records_used, memory_order_acquire);

	for (uint32_t i = 0; i < used && i < RECORDS; i++) {
		_Atomic uint32_t *hand = &set->records[i].hand;

		/* release: when the lists are whole. Who dies before leaves the mark */
		if (atomic_load_explicit(hand, memory_order_relaxed) == LRU_DEAD_HAND)
			atomic_store_explicit(hand, LRU_EMPTY_HAND, memory_order_release);
	}
}

/* Whether the element that is in a hand is in no living one. */
static bool hand_is_dead(const struct evict *e, const struct evict_node *node)
{
	const struct writer_set *set = e->writers;
	uint32_t record = lru_get(&node->prev);

	return record >= atomic_load_explicit(&set->region->header->records_used, memory_order_acquire) ||
	       record >= RECORDS ||
	       atomic_load_explicit(&set->records[record].hand, memory_order_relaxed) != LRU_FULL_HAND;
}

/* The list that a node is to be on, LRU_HAND or LRU_GIVEN if it's to stay on none. */
static uint32_t judge(const struct evict *e, const struct evict_node *node)
{
	uint32_t place = lru_place(node);

	if (place <= LRU_FREE || (place < LRU_HAND && !e->no_common))
		return place;
	if ((place == LRU_HAND || place == LRU_GIVEN) && !hand_is_dead(e, node))
		return place;
	return LRU_INACTIVE; /* the safe one: remove() knows more */
}

/* The list's head, and all of it if it isn't a stack. */
struct chain {
	_Atomic uint32_t *head;
	struct lru_stack *stack;
	struct lru_list *list;
};

static struct chain stack_chain(struct lru_stack *stack)
{
	return (struct chain){ .head = &stack->head, .stack = stack };
}

static struct chain list_chain(struct lru_list *list)
{
	return (struct chain){ .head = &list->head, .list = list };
}

/* The list of a CPU that has this name. */
static struct chain chain_of(const struct evict *e, uint32_t cpu, uint32_t place)
{
	switch (place) {
	case LRU_FREE:
		return stack_chain(&lru_set_of(e, cpu)->free);
	case LRU_LOCAL_FREE:
		return stack_chain(&lru_local(e, cpu)->free);
	case LRU_PENDING:
		return list_chain(&lru_local(e, cpu)->pending);
	default:
		return list_chain(&lru_set_of(e, cpu)->list[place]);
	}
}

static void set_marks(struct evict_node *node, uint32_t place, uint32_t marks)
{
	lru_put(node, place | marks);
}

static uint32_t marks_of(const struct evict_node *node)
{
	return atomic_load_explicit(&node->list, memory_order_relaxed) & ~LRU_PLACE;
}

/* The walk along a list. */
static void keep_chain(const struct evict *e, uint32_t cpu, uint32_t place)
{
	const struct chain chain = chain_of(e, cpu, place);
	uint32_t index = lru_index(e, chain.head), last = 0, n = 0;

	while (index) {
		struct evict_node *node = evict_node(e, index);
		uint32_t marks = marks_of(node);

		if (lru_place(node) != place || chain_of(e, lru_cpu(e, node), place).head != chain.head ||
		    marks & LRU_KEPT)
			break;
		set_marks(node, place, marks | LRU_KEPT);
		lru_set(&node->prev, last);
		TEST_POINT(TP_LIST);
		last = index;
		n++;
		index = lru_index(e, &node->next);
	}
	lru_set(last ? &evict_node(e, last)->next : chain.head, 0);
	if (chain.list)
		lru_set(&chain.list->tail, last);
	lru_set(chain.list ? &chain.list->count : &chain.stack->count, n);
}

static void add_to_chain(const struct evict *e, uint32_t index, uint32_t place, uint32_t marks)
{
	const struct chain chain = chain_of(e, lru_cpu(e, evict_node(e, index)), place);

	if (chain.list)
		lru_push(e, chain.list, index, place | marks);
	else
		lru_push_free(e, chain.stack, index, place | marks);
}

/* All lists, from the nodes. */
static void relink(const struct evict *e)
{
	for (uint32_t cpu = 0; cpu < e->n_cpus; cpu++)
		for (uint32_t place = 0; place < LRU_HAND; place++)
			if (place <= LRU_FREE ? cpu == 0 || e->no_common : !e->no_common)
				keep_chain(e, cpu, place);
	for (uint32_t i = 1; i < e->elements->n; i++) {
		struct evict_node *node = evict_node(e, i);
		uint32_t place = lru_place(node), marks = marks_of(node);

		if (marks & LRU_KEPT)
			set_marks(node, place, marks & ~LRU_KEPT);
		else if (place < LRU_HAND)
			add_to_chain(e, i, place, marks);
	}
	for (uint32_t cpu = 0; cpu < (e->no_common ? e->n_cpus : 1); cpu++) {
		_Atomic uint32_t *start = &lru_set_of(e, cpu)->next_rotation;
		const struct evict_node *node = evict_node(e, lru_get(start));

		if (lru_place(node) != LRU_INACTIVE || lru_set_of(e, lru_cpu(e, node)) != lru_set_of(e, cpu))
			lru_set(start, 0);
	}
}

void lru_repair(struct evict *e, struct writer *w)
{
	bool broken = false;

	for (uint32_t i = 0; i < n_locks(e); i++)
		broken |= listlock_seize(nth_lock(e, i), w);
	broken |= find_dead_hands(e, w, true);
	for (uint32_t i = 1; broken && i < e->elements->n; i++) {
		struct evict_node *node = evict_node(e, i);
		uint32_t place = judge(e, node);

		/* a remover that finds the element in the dead hand still, and gives it to that, does no harm */
		if (place < LRU_HAND)
			set_marks(node, place, marks_of(node) & LRU_SUSPECT);
	}
	if (broken) {
		relink(e);
		forget_dead_hands(e);
	}
	for (uint32_t i = 0; i < n_locks(e); i++)
		listlock_release(nth_lock(e, i));
}

bool lru_recover(struct evict *e, struct writer *w)
{
	bool any = find_dead_hands(e, w, false);

	if (any)
		lru_repair(e, w);
	return any;
}

/* Relaxed: one thread. */
void lru_rebuild(struct evict *e, uint64_t keep)
{
	for (uint32_t i = 0; i < n_locks(e); i++)
		atomic_store_explicit(&nth_lock(e, i)->word, 0, memory_order_relaxed);
	for (uint32_t i = 1; i < e->elements->n; i++) {
		struct object *element = slab_object(e->elements, i);
		struct evict_node *node = evict_node(e, i);
		uint32_t place = lru_place(node);
		bool published = atomic_load_explicit(&element->owner, memory_order_relaxed) == keep;

		if (published)
			atomic_store_explicit(&element->owner, 0, memory_order_relaxed);
		if (published && place != LRU_ACTIVE && place != LRU_PENDING)
			place = LRU_INACTIVE;
		else if (!published && place != LRU_LOCAL_FREE)
			place = LRU_FREE;
		set_marks(node, place, 0);
	}
	relink(e);
}
