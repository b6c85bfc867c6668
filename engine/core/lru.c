/* SPDX-License-Identifier: MIT */
/*
 * The kernel's LRU: evicts what the kernel would evict, entry by entry. An approximate LRU: an entry that was hit gets
 * another round; the lists are put in order now and then, many elements at a time, so that most operations touch only
 * what is their CPU's own.
 *
 *   take ->  local PENDING -----flush----> INACTIVE <--rotate--> ACTIVE
 *              ^      |                       |
 *              |   give,steal               evict
 *              |      v                       v
 *              +-- local FREE <----refill-- FREE <--give
 *
 * Common lists. take() pops the CPU's FREE list; the element goes to the head of its PENDING list, unused, and is looked
 * at again when that FREE list has run out. Then a refill: PENDING moves to ACTIVE (used) or INACTIVE; the lists are
 * rotated; up to `target` elements come from FREE; if they are fewer, the rest is evicted, from the INACTIVE tail, the
 * used ones excepted. If there's nothing at all, an element is stolen from another CPU's lists. give() returns a pending
 * element to the FREE list of its CPU, others to the common one.
 * BPF_F_NO_COMMON_LRU. Each CPU has a share of the elements and a set of lists; take() rotates every time, 4 elements
 * at most, evicts up to 4 if FREE is empty, and puts the element on INACTIVE.
 * Which element goes where, and at which end, is the kernel's choice and visible to programs; hence each detail here.
 *
 * Locks. One for a CPU's local lists, one for each set. A refill has both, in this order; lru_repair() has all, in the
 * order of the CPUs, the sets last. No other operation has two. None is held while an entry is removed:
 *
 * Evicting. The victims are chosen under the set's lock and taken off its lists, into the evictor's HAND; the locks are
 * released; remove() takes each out of the table or fails, if a writer is faster; then the evicted go to the FREE list,
 * as they were chosen, and the others to ACTIVE: some writer is just at them, and they shall not be looked at again before
 * the rest. A writer that removes an entry whose element is in a hand gives it back by HAND -> GIVEN, by which the evictor
 * knows that it is free. An evictor whose victims were all lost starts over.
 *
 * So where an element is, is in its node's `list`, and changes
 *   under the lock of the list that it's on, or goes to;
 *   from HAND: by the evictor, who CASes because of
 *   HAND -> GIVEN: by CAS of the writer that has won the entry.
 * Elements that no entry has, but a writer, are on PENDING, INACTIVE or ACTIVE like others: remove() tells.
 *
 * Values stored in place (LRU_PERCPU_HASH). A free element that some writer may have announced (slab.h) before it left
 * its entry is marked as suspect, and not handed out as long as it is announced. Whether any of a refill's elements is
 * announced is asked once for all.
 *
 * A process killed
 *   with a lock, leaves the lock to be found with a word that is over (listlock.c), and lists in the middle of a
 *     change: whoever finds that makes all lists anew, from the nodes' `list` (lru_repair.c);
 *   with elements in its hand, leaves its record's `hand` mark. Whoever finds nothing more to take, and every
 *     LOOK-th refill, looks for such records; their elements become INACTIVE;
 *   between take() and publishing, or between removing and give(), leaves an element on a list like others, in no
 *     entry. It ages, is chosen, and remove() finds that its owner is dead.
 * Nothing is lost for longer.
 *
 * Hostile regions (G9). Every index is bounded by evict_node(), every walk by the number of elements. Lists that were
 * scribbled on yield wrong elements, which remove() or the table's checks refuse, or none.
 */
#include "core/lru_lists.h"

#define SCANS	  LRU_BATCH /* of common lists: nodes looked at by one rotation or eviction */
#define OWN_SCANS 4	    /* of a CPU's own lists; and so many are evicted at once */
#define TRIES	  4	    /* searches before take() says no */
#define GIVES	  1000	    /* looks at a node that moves while it's given back; it can't, so often */
#define LOOK	  64	    /* refills between looks for the dead */
#define AHEAD	  8	    /* victims whose cache misses overlap */

/* Attributes and places */

static uint32_t own_share(const struct evict *e)
{
	return (e->elements->n - 1) / e->n_cpus;
}

static bool lru_layout(struct region_layout *layout, uint32_t n)
{
	uint32_t sets = layout->attr.map_flags & BPF_F_NO_COMMON_LRU ? layout->n_cpus : 1;
	uint64_t size = layout->n_cpus * sizeof(struct lru_local) + sets * sizeof(struct lru_set);

	(void)n;
	return region_layout_add(layout, PART_EVICT, size, size);
}

static void lru_attach(struct evict *e)
{
	uint32_t half = own_share(e) / 2;

	e->hit_adds = EVICT_USED_MAX;
	e->mark_copies = false;
	e->target = half < 1 ? 1 : half > LRU_BATCH ? LRU_BATCH : half;
}

static void set_cpu(struct evict_node *node, uint32_t cpu)
{
	atomic_store_explicit(&node->cpu, (uint16_t)cpu, memory_order_relaxed); /* relaxed: under the list's lock */
}

static void lru_format(struct evict *e)
{
	uint32_t share = own_share(e) ? own_share(e) : 1;

	for (uint32_t i = e->elements->n - 1; i; i--) {
		uint32_t cpu = (i - 1) / share < e->n_cpus ? (i - 1) / share : e->n_cpus - 1;

		set_cpu(evict_node(e, i), cpu);
		lru_push_free(e, &lru_set_of(e, cpu)->free, i, LRU_FREE);
	}
	for (uint32_t cpu = 0; cpu < e->n_cpus; cpu++)
		lru_set(&lru_local(e, cpu)->next_steal, cpu);
}

/* Takes a lock; the caller has none. */
static void lock(struct evict *e, struct writer *w, struct listlock *l)
{
	while (!listlock_acquire(l, w))
		lru_repair(e, w);
}

/* The element is this operation's. */
static void hand_out(const struct evict *e, struct writer *w, uint32_t index)
{
	struct object *element = slab_object(e->elements, index);

	/* relaxed: the list's lock, or the commit of the entry, publishes them */
	atomic_store_explicit(evict_used(e, index), 0, memory_order_relaxed);
	atomic_store_explicit(&element->owner, w->owner, memory_order_relaxed);
	if (e->hazards) {
		w->taken.owner = w->owner;
		w->taken.index = index;
	}
}

/* Evicting */

/* Says of w's record whether elements are in its hand. Under the lock under which they are taken. */
static void mark_hand(const struct writer *w, bool any)
{
	/* release: unmarked when they are elsewhere; marked before the lock is released */
	atomic_store_explicit(&w->record->hand, any ? LRU_FULL_HAND : LRU_EMPTY_HAND, memory_order_release);
}

/* Elements that are free now, and how many entries were evicted for that. */
struct lru_harvest {
	struct lru_batch freed;
	unsigned evicted;
	uint8_t suspect; /* LRU_SUSPECT, or 0 */
};

/* Evicts an element in the hand. */
static bool evict_one(struct evict *e, struct writer *w, uint32_t index, struct lru_harvest *harvest)
{
	enum evict_removed removed = e->remove(e, w, index);

	if (removed == EVICT_NOT)
		return false;
	harvest->evicted += removed == EVICT_ENTRY;
	harvest->freed.index[harvest->freed.n++] = index;
	return true;
}

/* Back to a list, from the hand. false: it was given back meanwhile. Under the list's lock. */
static bool put_back(const struct evict *e, struct lru_list *list, uint32_t index, uint8_t place)
{
	uint8_t hand = LRU_HAND;

	/* acquire: with GIVEN, what the remover did to the element; release: as in lru_put */
	if (!atomic_compare_exchange_strong_explicit(&evict_node(e, index)->list, &hand, place, memory_order_acq_rel,
						     memory_order_acquire))
		return false;
	lru_push(e, list, index, place);
	return true;
}

/* Takes the victims out of the table. */
static void evict(struct evict *e, struct writer *w, const struct lru_batch *victims, struct lru_harvest *harvest)
{
	struct lru_set *set = lru_set_of(e, w->cpu);
	struct lru_batch lost;

	lost.n = 0;
	TEST_POINT(TP_HAND);
	for (unsigned i = 0; i < victims->n && i < AHEAD; i++)
		e->prefetch(e, victims->index[i]);
	for (unsigned i = 0; i < victims->n; i++) {
		if (i + AHEAD < victims->n)
			e->prefetch(e, victims->index[i + AHEAD]);
		if (!evict_one(e, w, victims->index[i], harvest))
			lost.index[lost.n++] = victims->index[i];
	}
	if (caa_unlikely(lost.n)) {
		lock(e, w, &set->lock);
		for (unsigned i = 0; i < lost.n; i++)
			if (!put_back(e, &set->list[LRU_ACTIVE], lost.index[i], LRU_ACTIVE))
				harvest->freed.index[harvest->freed.n++] = lost.index[i];
		listlock_release(&set->lock);
	}
	harvest->suspect = evict_any_announced(e, harvest->freed.index, harvest->freed.n) ? LRU_SUSPECT : 0;
}

/* The freed elements go to a free list of w's CPU, from the hand. Under its lock. */
static void store_harvest(const struct evict *e, const struct writer *w, struct lru_stack *free, uint32_t place,
			  const struct lru_harvest *harvest)
{
	for (unsigned i = 0; i < harvest->freed.n; i++) {
		set_cpu(evict_node(e, harvest->freed.index[i]), w->cpu);
		lru_push_free(e, free, harvest->freed.index[i], place | harvest->suspect);
	}
	lru_count(&lru_local(e, w->cpu)->evictions, harvest->evicted);
	mark_hand(w, false);
}

/*
 * A refill walks along INACTIVE, from its tail and from the rotation's place, and each node tells where the next one is. In
 * a large map that would be a wait for memory at each. So every take() in between goes one step of both walks: it reads
 * a node that the one before has asked for, and asks for the next. Nothing depends on what it meets: no lock is needed.
 */
static void look_ahead(const struct evict *e, struct lru_local *local)
{
	for (unsigned i = 0; i < 2; i++) {
		uint32_t index = lru_index(e, &local->ahead[i]);

		if (!index)
			continue;
		index = lru_index(e, &evict_node(e, index)->prev);
		__builtin_prefetch(evict_node(e, index), 1);
		lru_set(&local->ahead[i], index);
	}
}

/* Where the next refill's walks will begin. Under both locks. */
static void look_from(const struct evict *e, struct lru_local *local, const struct lru_set *set)
{
	lru_set(&local->ahead[0], lru_get(&set->list[LRU_INACTIVE].tail));
	lru_set(&local->ahead[1], e->no_common ? 0 : lru_get(&set->next_rotation));
}

/* Common lists */

/* Under both locks. The victims are in the hand then. */
static void refill(const struct evict *e, const struct writer *w, struct lru_local *local, struct lru_set *set,
		   struct lru_batch *victims)
{
	unsigned n;

	lru_flush(e, set, &local->pending);
	lru_rotate(e, set, SCANS);
	for (n = 0; n < e->target; n++) {
		uint32_t index = lru_pop_any(e, &set->free);

		if (!index)
			break;
		set_cpu(evict_node(e, index), w->cpu);
		lru_push_free(e, &local->free, index, LRU_LOCAL_FREE | lru_suspect(evict_node(e, index)));
	}
	if (n < e->target)
		lru_choose(e, set, w, SCANS, e->target - n, victims);
	look_from(e, local, set);
	lru_count(&local->refills, 1);
	if (victims->n)
		mark_hand(w, true);
}

/* Pops the local FREE list. Under its lock. */
static uint32_t take_free(const struct evict *e, struct writer *w, struct lru_local *local)
{
	uint32_t index = lru_pop_free(e, &local->free);

	if (index) {
		hand_out(e, w, index);
		lru_push(e, &local->pending, index, LRU_PENDING);
		look_ahead(e, local);
	}
	return index;
}

/* From the local lists, refilled if need be. 0: victims may be in the hand. */
static uint32_t take_local(struct evict *e, struct writer *w, struct lru_batch *victims)
{
	struct lru_local *local = lru_local(e, w->cpu);
	struct lru_set *set = lru_set_of(e, w->cpu);
	uint32_t index;

	for (;;) {
		lock(e, w, &local->lock);
		index = take_free(e, w, local);
		if (caa_likely(index))
			break;
		if (listlock_acquire(&set->lock, w)) {
			refill(e, w, local, set, victims);
			listlock_release(&set->lock);
			if (!victims->n)
				index = take_free(e, w, local);
			break;
		}
		listlock_release(&local->lock);
		lru_repair(e, w);
	}
	listlock_release(&local->lock);
	return index;
}

/* Evicts the victims, and takes from what that gives. */
static uint32_t take_evicted(struct evict *e, struct writer *w, const struct lru_batch *victims)
{
	struct lru_local *local = lru_local(e, w->cpu);
	struct lru_harvest harvest;
	uint32_t index;

	harvest.freed.n = harvest.evicted = 0;
	evict(e, w, victims, &harvest);
	lock(e, w, &local->lock);
	store_harvest(e, w, &local->free, LRU_LOCAL_FREE, &harvest);
	index = take_free(e, w, local);
	listlock_release(&local->lock);
	return index;
}

/* The oldest pending element that was not used, or the oldest at all. */
static uint32_t oldest_pending(const struct evict *e, const struct lru_list *pending)
{
	uint32_t oldest = lru_index(e, &pending->tail), index = oldest;

	for (uint32_t i = 0; index && i < e->elements->n; i++) {
		const struct evict_node *node = evict_node(e, index);

		if (!lru_used(e, index))
			return index;
		index = lru_index(e, &node->prev);
	}
	return oldest;
}

/* An element off another CPU's local lists, into the hand. *pending: it's to be evicted. */
static uint32_t grab(struct evict *e, struct writer *w, struct lru_local *from, bool *pending)
{
	uint32_t index;

	lock(e, w, &from->lock);
	index = lru_pop_free(e, &from->free);
	*pending = !index;
	if (!index) {
		index = oldest_pending(e, &from->pending);
		if (index)
			lru_unlink(e, &from->pending, index);
	}
	if (index) {
		lru_to_hand(evict_node(e, index), w);
		mark_hand(w, true);
	}
	listlock_release(&from->lock);
	return index;
}

/* Gets an element of another CPU into the hand, free. */
static void steal_from(struct evict *e, struct writer *w, uint32_t cpu, struct lru_harvest *harvest)
{
	struct lru_local *from = lru_local(e, cpu);
	bool pending;
	uint32_t index = grab(e, w, from, &pending);

	if (!index)
		return;
	TEST_POINT(TP_HAND);
	if (!pending) {
		harvest->freed.index[harvest->freed.n++] = index;
	} else if (!evict_one(e, w, index, harvest)) {
		lock(e, w, &from->lock);
		if (!put_back(e, &from->pending, index, LRU_PENDING))
			harvest->freed.index[harvest->freed.n++] = index;
		listlock_release(&from->lock);
	}
	harvest->suspect = evict_any_announced(e, harvest->freed.index, harvest->freed.n) ? LRU_SUSPECT : 0;
}

static uint32_t steal(struct evict *e, struct writer *w)
{
	struct lru_local *local = lru_local(e, w->cpu);
	uint32_t cpu = lru_get(&local->next_steal) % e->n_cpus, index;
	struct lru_harvest harvest;

	harvest.freed.n = harvest.evicted = 0;
	for (uint32_t i = 0; i < e->n_cpus && !harvest.freed.n; i++) {
		steal_from(e, w, cpu, &harvest);
		cpu = (cpu + 1) % e->n_cpus;
	}
	lock(e, w, &local->lock);
	store_harvest(e, w, &local->free, LRU_LOCAL_FREE, &harvest);
	lru_set(&local->next_steal, cpu);
	lru_count(&local->steals, harvest.freed.n);
	index = take_free(e, w, local);
	listlock_release(&local->lock);
	return index;
}

static bool look_is_due(const struct evict *e, const struct writer *w)
{
	return atomic_load_explicit(&lru_local(e, w->cpu)->refills, memory_order_relaxed) % LOOK == 0;
}

static uint32_t take_common(struct evict *e, struct writer *w)
{
	struct lru_batch victims;
	uint32_t index;

	for (unsigned i = 0; i < TRIES; i++) {
		victims.n = 0;
		index = take_local(e, w, &victims);
		if (caa_likely(index))
			return index;
		if (victims.n)
			index = take_evicted(e, w, &victims);
		if (!index)
			index = steal(e, w);
		if (!index || look_is_due(e, w))
			lru_recover(e, w);
		if (index)
			return index;
	}
	return 0;
}

/* Lists of the CPU's own */

static uint32_t take_own_free(const struct evict *e, struct writer *w, struct lru_set *set)
{
	uint32_t index = lru_pop_free(e, &set->free);

	if (index) {
		hand_out(e, w, index);
		lru_push(e, &set->list[LRU_INACTIVE], index, LRU_INACTIVE);
		look_ahead(e, lru_local(e, w->cpu));
	}
	return index;
}

/* From the FREE list, or victims are in the hand. */
static uint32_t take_own_at_hand(struct evict *e, struct writer *w, struct lru_set *set, struct lru_batch *victims)
{
	uint32_t index;

	lock(e, w, &set->lock);
	lru_rotate(e, set, OWN_SCANS);
	index = take_own_free(e, w, set);
	if (!index) {
		lru_choose(e, set, w, OWN_SCANS, OWN_SCANS, victims);
		look_from(e, lru_local(e, w->cpu), set);
		lru_count(&lru_local(e, w->cpu)->refills, 1);
		mark_hand(w, victims->n != 0);
	}
	listlock_release(&set->lock);
	return index;
}

static uint32_t take_own(struct evict *e, struct writer *w)
{
	struct lru_set *set = lru_set_of(e, w->cpu);
	struct lru_harvest harvest;
	struct lru_batch victims;
	uint32_t index;

	for (unsigned i = 0; i < TRIES; i++) {
		victims.n = harvest.freed.n = harvest.evicted = 0;
		index = take_own_at_hand(e, w, set, &victims);
		if (index)
			return index;
		evict(e, w, &victims, &harvest);
		lock(e, w, &set->lock);
		store_harvest(e, w, &set->free, LRU_FREE, &harvest);
		index = take_own_free(e, w, set);
		listlock_release(&set->lock);
		if (!index || look_is_due(e, w))
			lru_recover(e, w);
		if (index)
			return index;
	}
	return 0;
}

static uint32_t lru_take(struct evict *e, struct writer *w, uint64_t hash)
{
	(void)hash;
	return e->no_common ? take_own(e, w) : take_common(e, w);
}

/* Giving back */

/* The mark of a free element. One that this operation was handed has been in no entry since it was looked at. */
static uint8_t suspicion(const struct evict *e, const struct writer *w, uint32_t index)
{
	return !e->hazards || (w->taken.owner == w->owner && w->taken.index == index) ? 0 : LRU_SUSPECT;
}

/* Each: whether the element was there. */
static bool give_pending(struct evict *e, struct writer *w, struct evict_node *node, uint32_t index)
{
	struct lru_local *local = lru_local(e, lru_cpu(e, node));
	bool there;

	lock(e, w, &local->lock);
	there = lru_place(node) == LRU_PENDING && local == lru_local(e, lru_cpu(e, node));
	if (there) {
		lru_unlink(e, &local->pending, index);
		lru_push_free(e, &local->free, index, LRU_LOCAL_FREE | suspicion(e, w, index));
	}
	listlock_release(&local->lock);
	return there;
}

static bool give_to_set(struct evict *e, struct writer *w, struct evict_node *node, uint32_t index)
{
	struct lru_set *set = lru_set_of(e, lru_cpu(e, node));
	bool there;

	lock(e, w, &set->lock);
	there = lru_place(node) == LRU_INACTIVE || lru_place(node) == LRU_ACTIVE;
	if (there) {
		lru_remove(e, set, index);
		lru_push_free(e, &set->free, index, LRU_FREE | suspicion(e, w, index));
	}
	listlock_release(&set->lock);
	return there;
}

static bool give_to_evictor(struct evict_node *node)
{
	uint8_t hand = LRU_HAND;

	/* release: what was done to the element comes before what its next owner does */
	return atomic_compare_exchange_strong_explicit(&node->list, &hand, LRU_GIVEN, memory_order_release,
						       memory_order_relaxed);
}

static void lru_give(struct evict *e, struct writer *w, uint32_t index)
{
	struct evict_node *node = evict_node(e, index);
	bool done = !index;

	for (unsigned i = 0; !done && i < GIVES; i++) {
		switch (lru_place(node)) {
		case LRU_PENDING:
			done = give_pending(e, w, node, index);
			break;
		case LRU_INACTIVE:
		case LRU_ACTIVE:
			done = give_to_set(e, w, node, index);
			break;
		case LRU_HAND:
			done = give_to_evictor(node);
			break;
		default: /* free, says the region, whatever the table says: it was scribbled on */
			done = true;
		}
	}
}

/* Counters */

static void lru_info(const struct evict *e, struct usermap_info *info)
{
	for (uint32_t cpu = 0; cpu < e->n_cpus; cpu++) {
		const struct lru_local *local = lru_local(e, cpu);

		info->evictions += atomic_load_explicit(&local->evictions, memory_order_relaxed);
		info->refills += atomic_load_explicit(&local->refills, memory_order_relaxed);
		info->steals += atomic_load_explicit(&local->steals, memory_order_relaxed);
		if (cpu == 0 || e->no_common)
			info->rotations += atomic_load_explicit(&lru_set_of(e, cpu)->rotations, memory_order_relaxed);
	}
}

static uint64_t lru_free(const struct evict *e)
{
	uint64_t sum = 0;

	for (uint32_t cpu = 0; cpu < e->n_cpus; cpu++) {
		sum += lru_get(&lru_local(e, cpu)->free.count);
		if (cpu == 0 || e->no_common)
			sum += lru_get(&lru_set_of(e, cpu)->free.count);
	}
	return sum;
}

const struct evict_ops lru_ops = {
	.layout = lru_layout,
	.format = lru_format,
	.attach = lru_attach,
	.take_first = true,
	.take = lru_take,
	.give = lru_give,
	.rebuild = lru_rebuild,
	.info = lru_info,
	.free = lru_free,
};
