/* SPDX-License-Identifier: MIT */
/*
 * S3-FIFO: an eviction policy that takes no lock, for users who don't need the kernel's choice entry by entry.
 *
 * The idea (Yang, Zhang, Qiu, Yue, Vinayak: "FIFO queues are all you need for cache eviction", SOSP 2023): most keys of most
 * workloads are asked for once. A new entry is on probation in a small queue, a tenth of the map. When it comes to the
 * queue's end it moves to the main part if it was used meanwhile; else it's evicted, and its key remembered for a while as
 * a ghost. A key that comes back as a ghost goes to the main part at once. There the entries are visited in turn: each use,
 * up to two, earns an entry another round.
 *
 * The shape here, chosen by simulation for what it takes to run without locks, and better than the original on loops:
 *
 *   small   a ring of {generation, index} for each CPU. The ring's size is the queue's length: its oldest entry is at the
 *           place where the next one goes. A power of two.
 *   main    isn't a queue: it is all elements that are in no small queue, and a hand goes round over the array of elements
 *           as a clock's does. Nothing can overflow, and nothing published can be forgotten.
 *   ghosts  fingerprints (ghost.h), as many as the map has elements.
 *   free    elements: stock.h. They are taken first: an entry is evicted only when there are none.
 *
 * A CPU goes over the array in pieces of its own, so that the hand that all share moves once for a whole piece. Ring, piece
 * and ghosts are changed by plain stores: threads that meet on one CPU, or have left it, may overwrite each other's. They
 * lose a hint so, not an element: who has an element its owner word says alone, changed by CAS, in the table's commits
 * (evict_ops, remove) or in the stock. With that an insert that evicts costs the policy no atomic instruction.
 *
 * An element's `list` says where it is: on probation, or in the main part. The hand passes over those on probation, but
 * each time they are a step nearer to the main part (AGED), and the second time they are in it. An honest ring has them for
 * a much shorter time. So this finds what else would be overlooked: entries in the rings of CPUs that have gone idle, those
 * that a lost store has made a ring forget, and the elements that a killed process has left in nobody's hands. The
 * hand tries to remove such an element like any other, and remove() knows that its owner is dead.
 *
 * What a process leaves that is killed
 *   in take, after an entry was removed, or in a writer's hand: an element whose owner is dead; the hand finds it
 *   between a commit and published: an entry in no ring; it ages
 *   in stock.c: a free element on no stack; the hand finds it (stock_meet)
 *
 * The hand's work is bounded: after 64 entries that earned another round the next one must go, whatever its uses; and
 * after three rounds over all elements, in which everything has aged, there is nothing to be had at present.
 */
#include "core/ghost.h"
#include "core/stock.h"

#define SMALL_SHARE 10 /* one of so many entries is on probation */
#define ROUNDS_MAX  64 /* entries that one eviction gives another round */
#define PIECE_MAX   64 /* elements that a CPU goes over before it asks for more */

/* The owner word of entries that were rebuilt: an operation that is over. */
#define OWNER_REBUILT (1ull << RECORD_BITS)

/* An element's list. */
enum { SMALL, AGED, MAIN };

/* A CPU's. By the writers that began there, by plain stores: what is overwritten is a hint. */
struct s3fifo_cpu {
	_Alignas(64) _Atomic uint32_t place; /* in the ring: of the oldest entry, and of the next one */
	_Atomic uint64_t piece;		     /* of the array: {elements left, the next one} */
};

/* PART_EVICT: the stock; the hand; a line for each CPU; the rings; the ghosts. */
struct s3fifo {
	_Alignas(64) _Atomic uint64_t hand; /* elements that were given out in pieces; grows for ever. Everybody */
	struct s3fifo_cpu cpus[];
};

static uint32_t ring_size(uint32_t n, uint32_t n_cpus)
{
	uint32_t share = n / SMALL_SHARE / n_cpus;

	return share > 1 ? 1u << (31 - __builtin_clz(share)) : 1;
}

/* Each begins a cache line. */
static uint32_t ring_stride(uint32_t size)
{
	return size < 8 ? 8 : size;
}

static uint32_t n_ghost_buckets(uint32_t n)
{
	return n / GHOST_PLACES + 1;
}

static struct s3fifo *s3fifo_of(const struct evict *e)
{
	return (struct s3fifo *)((unsigned char *)e->part + stock_size(e->n_cpus));
}

static inline _Atomic uint64_t *ring_of(const struct evict *e, uint32_t cpu)
{
	return (_Atomic uint64_t *)e->rings + (size_t)cpu * ring_stride(e->target);
}

static inline struct ghosts ghosts_of(const struct evict *e)
{
	return (struct ghosts){ e->ghosts, n_ghost_buckets(e->elements->n - 1) };
}

static bool s3fifo_layout(struct region_layout *layout, uint32_t n)
{
	uint64_t size = stock_size(layout->n_cpus) + sizeof(struct s3fifo);

	size += layout->n_cpus *
		(sizeof(struct s3fifo_cpu) + ring_stride(ring_size(n, layout->n_cpus)) * sizeof(uint64_t));
	size += (uint64_t)n_ghost_buckets(n) * sizeof(struct ghost_bucket);
	return region_layout_add(layout, PART_EVICT, size, size);
}

static void s3fifo_attach(struct evict *e)
{
	e->hit_adds = 1;
	e->mark_copies = true;
	e->target = ring_size(e->elements->n - 1, e->n_cpus);
	e->rings = &s3fifo_of(e)->cpus[e->n_cpus];
	e->ghosts = ring_of(e, e->n_cpus);
}

static void s3fifo_format(struct evict *e)
{
	stock_format(e);
}

/* relaxed: what is decided by it is decided again by a CAS */
static inline uint64_t owner_of(const struct evict *e, uint32_t index)
{
	return atomic_load_explicit(&((const struct object *)slab_object(e->elements, index))->owner,
				    memory_order_relaxed);
}

/* What a ring says of an element: the low half of the owner word tells it from its later lives, nearly always. */
static inline uint64_t ring_entry(const struct evict *e, uint32_t index)
{
	return owner_of(e, index) << 32 | index;
}

/* The node of a ring's entry, if its element is still on probation there; else NULL. */
static inline struct evict_node *on_probation(const struct evict *e, uint64_t entry)
{
	struct evict_node *node = evict_node(e, (uint32_t)entry);

	if (!entry || (uint32_t)entry >= e->elements->n || ring_entry(e, (uint32_t)entry) != entry ||
	    atomic_load_explicit(&node->list, memory_order_relaxed) == MAIN)
		return NULL;
	return node;
}

/* Node fields, here and below: relaxed. They are hints, and whoever has the element orders its contents. */
static inline void move_to_main(const struct evict *e, uint32_t index, uint32_t used)
{
	atomic_store_explicit(evict_used(e, index), (uint8_t)used, memory_order_relaxed);
	atomic_store_explicit(&evict_node(e, index)->list, MAIN, memory_order_relaxed);
}

/* Counts what the writer did; only it writes its record. */
static inline void count(_Atomic uint64_t *counter, uint32_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* The element, if it was in an entry, which is evicted. One that was in none is free, if it wasn't known already; then some
 * free element is as good. 0: neither. */
static uint32_t evict_entry(struct evict *e, struct writer *w, uint32_t index)
{
	enum evict_removed removed = e->remove(e, w, index);

	if (removed == EVICT_NOT)
		return 0;
	if (removed == EVICT_LEFT) {
		stock_give(e, w, index);
		return stock_take(e, w);
	}
	count(&w->record->evictions, 1);
	return index;
}

/* The oldest on probation, if that's the one to go; else 0, and it's on probation no more. */
static inline uint32_t evict_small(struct evict *e, struct writer *w)
{
	uint32_t place = atomic_load_explicit(&s3fifo_of(e)->cpus[w->cpu].place, memory_order_relaxed);
	_Atomic uint64_t *slot = &ring_of(e, w->cpu)[place & (e->target - 1)];
	uint64_t entry = atomic_load_explicit(slot, memory_order_relaxed);
	struct evict_node *node = on_probation(e, entry);
	uint32_t hash, got;

	if (!node)
		return 0;
	atomic_store_explicit(slot, 0, memory_order_relaxed);
	if (atomic_load_explicit(evict_used(e, (uint32_t)entry), memory_order_relaxed)) {
		move_to_main(e, (uint32_t)entry, 0);
		count(&w->record->rotations, 1);
		return 0;
	}
	hash = atomic_load_explicit(&node->prev, memory_order_relaxed);
	got = evict_entry(e, w, (uint32_t)entry);
	if (got == (uint32_t)entry)
		ghost_add(ghosts_of(e), hash);
	return got;
}

/* A piece of the array for a CPU: {how many, the first}. */
static uint64_t next_piece(const struct evict *e)
{
	uint32_t n = e->elements->n - 1, size = n / (16 * e->n_cpus);

	size = size > PIECE_MAX ? PIECE_MAX : size ? size : 1;
	return (uint64_t)size << 32 |
	       (atomic_fetch_add_explicit(&s3fifo_of(e)->hand, size, memory_order_relaxed) % n + 1);
}

/* Where the hand goes next. */
static uint32_t next_in_turn(const struct evict *e, uint32_t cpu)
{
	_Atomic uint64_t *piece = &s3fifo_of(e)->cpus[cpu].piece;
	uint64_t rest = atomic_load_explicit(piece, memory_order_relaxed);
	uint32_t index;

	if (!(rest >> 32))
		rest = next_piece(e);
	index = (uint32_t)rest;
	if (!index || index >= e->elements->n) /* behind the end of the array; or scribbled on */
		index = 1;
	atomic_store_explicit(piece, ((rest >> 32) - 1) << 32 | (index + 1), memory_order_relaxed);
	return index;
}

/* Whether the hand passes over an element; if so it's a step nearer to the main part. */
static bool ages(struct evict_node *node)
{
	uint8_t list = atomic_load_explicit(&node->list, memory_order_relaxed);

	if (list >= MAIN)
		return false;
	atomic_store_explicit(&node->list, (uint8_t)(list + 1), memory_order_relaxed);
	return true;
}

static bool earns_a_round(const struct evict *e, uint32_t index)
{
	uint32_t used = atomic_load_explicit(evict_used(e, index), memory_order_relaxed);

	if (used)
		atomic_store_explicit(evict_used(e, index), (uint8_t)(used - 1), memory_order_relaxed);
	return used;
}

/* The first in turn in the main part without a use; or a free one, if there is one now. */
static uint32_t evict_main(struct evict *e, struct writer *w)
{
	uint64_t steps = 3ull * e->elements->n + ROUNDS_MAX;
	uint32_t rounds = 0, found = 0;

	while (!found && steps--) {
		uint32_t index = next_in_turn(e, w->cpu);
		struct evict_node *node = evict_node(e, index);

		if (!owner_of(e, index))
			found = stock_meet(e, w, index);
		else if (ages(node))
			continue;
		else if (rounds < ROUNDS_MAX && earns_a_round(e, index))
			rounds++;
		else
			found = evict_entry(e, w, index);
	}
	count(&w->record->rotations, rounds);
	return found;
}

/* A free element, else an entry's. */
static uint32_t take_any(struct evict *e, struct writer *w)
{
	uint32_t index = stock_take(e, w);

	if (!index)
		index = evict_small(e, w);
	return index ? index : evict_main(e, w);
}

/* take_any, but none that some writer still stores into. Those are put aside meanwhile, linked by `prev`, which means
 * something else only in entries; they are no more than there are records. */
static uint32_t take_unannounced(struct evict *e, struct writer *w)
{
	uint32_t aside = 0, index = 0;

	for (unsigned i = 0; i <= RECORDS && (index = take_any(e, w)) && evict_announced(e, index); i++) {
		atomic_store_explicit(&evict_node(e, index)->prev, aside, memory_order_relaxed);
		aside = index;
		index = 0;
	}
	for (unsigned i = 0; aside && i <= RECORDS; i++) {
		uint32_t next = atomic_load_explicit(&evict_node(e, aside)->prev, memory_order_relaxed);

		stock_give(e, w, aside);
		aside = next;
	}
	return index;
}

static uint32_t s3fifo_take(struct evict *e, struct writer *w, uint64_t hash)
{
	uint32_t ghost = (uint32_t)(hash >> 32), index;
	struct evict_node *node;

	__builtin_prefetch(ghost_bucket(ghosts_of(e), ghost), 1); /* for s3fifo_published */
	index = e->hazards ? take_unannounced(e, w) : take_any(e, w);
	if (!index)
		return 0;
	node = evict_node(e, index);
	atomic_store_explicit(&node->prev, ghost, memory_order_relaxed);
	atomic_store_explicit(&node->list, SMALL, memory_order_relaxed);
	atomic_store_explicit(evict_used(e, index), 0, memory_order_relaxed);
	return index;
}

static void s3fifo_give(struct evict *e, struct writer *w, uint32_t index)
{
	stock_give(e, w, index);
}

static inline struct evict_node *node_in_ring(const struct evict *e, const _Atomic uint64_t *ring, uint32_t at)
{
	return evict_node(e, (uint32_t)atomic_load_explicit(&ring[at & (e->target - 1)], memory_order_relaxed));
}

/* The next ones to go are cold by now. They are fetched in time, and then what their evictions take. */
static inline void prefetch_oldest(const struct evict *e, const _Atomic uint64_t *ring, uint32_t at)
{
	uint32_t soon = (uint32_t)atomic_load_explicit(&ring[(at + 1) & (e->target - 1)], memory_order_relaxed);
	uint32_t ghost = atomic_load_explicit(&evict_node(e, soon)->prev, memory_order_relaxed);

	__builtin_prefetch(node_in_ring(e, ring, at + 3), 1);
	__builtin_prefetch(ghost_bucket(ghosts_of(e), ghost), 1);
	e->prefetch(e, soon);
}

/* A new entry is on probation. What is in its place in the ring still, when the map isn't full, goes to the main part. */
static inline void push_small(const struct evict *e, uint32_t cpu, uint32_t index)
{
	_Atomic uint32_t *place = &s3fifo_of(e)->cpus[cpu].place;
	uint32_t at = atomic_load_explicit(place, memory_order_relaxed);
	_Atomic uint64_t *ring = ring_of(e, cpu), *slot = &ring[at & (e->target - 1)];
	uint64_t entry = atomic_load_explicit(slot, memory_order_relaxed);

	if (entry && on_probation(e, entry))
		move_to_main(e, (uint32_t)entry, 0);
	atomic_store_explicit(slot, ring_entry(e, index), memory_order_relaxed);
	atomic_store_explicit(place, at + 1, memory_order_relaxed);
	prefetch_oldest(e, ring, at + 1);
}

/* An entry whose element was replaced has been used. */
static void s3fifo_published(struct evict *e, struct writer *w, uint32_t index, uint32_t replaced)
{
	struct evict_node *node = evict_node(e, index);
	uint32_t used;

	if (replaced) {
		used = atomic_load_explicit(evict_used(e, replaced), memory_order_relaxed) + 1;
		move_to_main(e, index, used < EVICT_USED_MAX ? used : EVICT_USED_MAX);
	} else if (ghost_drop(ghosts_of(e), atomic_load_explicit(&node->prev, memory_order_relaxed))) {
		move_to_main(e, index, 0);
	} else {
		push_small(e, w->cpu, index);
	}
}

/* Relaxed throughout: the process has one thread. What the hand and the ghosts know stays. */
static void s3fifo_rebuild(struct evict *e, uint64_t keep)
{
	stock_rebuild(e, keep, OWNER_REBUILT);
	for (uint32_t cpu = 0; cpu < e->n_cpus; cpu++)
		for (uint32_t i = 0; i < e->target; i++)
			atomic_store_explicit(&ring_of(e, cpu)[i], 0, memory_order_relaxed);
	for (uint32_t index = 1; index < e->elements->n; index++)
		atomic_store_explicit(&evict_node(e, index)->list, MAIN, memory_order_relaxed);
}

static void s3fifo_info(const struct evict *e, struct usermap_info *info)
{
	uint32_t used = atomic_load_explicit(&e->writers->region->header->records_used, memory_order_relaxed);

	for (uint32_t i = 0; i < used && i < RECORDS; i++) {
		const struct record *record = &e->writers->records[i];

		info->evictions += atomic_load_explicit(&record->evictions, memory_order_relaxed);
		info->rotations += atomic_load_explicit(&record->rotations, memory_order_relaxed);
	}
}

const struct evict_ops s3fifo_ops = {
	.layout = s3fifo_layout,
	.format = s3fifo_format,
	.attach = s3fifo_attach,
	.take = s3fifo_take,
	.give = s3fifo_give,
	.published = s3fifo_published,
	.rebuild = s3fifo_rebuild,
	.info = s3fifo_info,
	.free = stock_count,
};
