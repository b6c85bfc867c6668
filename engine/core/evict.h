/* SPDX-License-Identifier: MIT */
/*
 * What a map that evicts wants of its eviction policy: which element the next entry gets.
 *
 * Such a map has exactly max_entries elements, and the policy hands them out: elements that are in no entry, and when
 * there are none, those of entries that it evicts. It knows elements by their index, and the table by one hook, remove,
 * by which it takes an entry's element out of the table; no lock of the policy is held meanwhile.
 *
 * An element is, at each instant, in one of these hands:
 *   the policy's   free, or published in the table (the policy remembers it for eviction)
 *   a writer's     from take() to the commit that publishes it, or give(); from the commit that removes it to give()
 * A writer that wants to remove an entry and a policy that evicts it race for the same commit; who wins has the element.
 *
 * What the policy notes of an element lies in its struct evict_node, in an array beside the elements: a hit doesn't
 * need it, so it finds the elements as close together as a HASH's. How often an entry was used is a byte of the element's
 * own header (slab.h), in the cache line of its key. Hits set it, without a lock: a store, and only if it isn't at its
 * largest already, so that entries hit often cost their readers no write.
 */
#ifndef ENGINE_CORE_EVICT_H
#define ENGINE_CORE_EVICT_H

#include <usermap/usermap.h>

#include "core/slab.h"
#include "core/writer.h"

struct evict_node {
	_Atomic uint32_t prev, next; /* list links. By the policy, under its locks */
	_Atomic uint32_t
		bucket;	      /* the key's. By the writer that has the element; read by remove(). Relaxed: a stale one
	                              * finds nothing */
	_Atomic uint16_t cpu; /* whose lists it belongs to. By the policy */
	_Atomic uint8_t list; /* where it is: the policy's names. By the policy */
	uint8_t unused;
};

_Static_assert(sizeof(struct evict_node) == 16, "doesn't straddle cache lines");

#define EVICT_USED_MAX 2 /* s3fifo.c counts so far: with 3, what was popular once stays too long */

struct evict;

/*
 * Takes element `index` out of the table. Called with no list lock held, inside an operation of w. The caller has the
 * element, unless it's EVICT_NOT.
 */
enum evict_removed {
	EVICT_NOT,   /* it's in no entry, but some writer's; or the entry can't be removed at present */
	EVICT_ENTRY, /* it was in an entry, which is gone; the eviction callback has run */
	EVICT_LEFT,  /* it was in no entry and nobody's: deleted a moment ago, or left behind by a writer that died */
};
typedef enum evict_removed (*evict_remove_fn)(struct evict *e, struct writer *w, uint32_t index);
/* The same, ahead of time: begins the cache misses that remove() will have. */
typedef void (*evict_prefetch_fn)(const struct evict *e, uint32_t index);

struct evict_ops {
	/* Adds PART_EVICT, for a map of n elements whose attributes and CPUs are in *layout. */
	bool (*layout)(struct region_layout *layout, uint32_t n);
	void (*format)(struct evict *e); /* of a new region, after attach: all elements are free */
	void (*attach)(struct evict *e); /* sets what struct evict says is the policy's */
	bool take_first; /* updates take their element before they look the key up, as the kernel's LRU does */
	/* An element for a new entry, whose key has this hash; its owner word is w->owner, its `used` 0. 0: none could be
	 * had just now; the caller may wait and try again. May evict. */
	uint32_t (*take)(struct evict *e, struct writer *w, uint64_t hash);
	/* Back from a writer: in no entry any more, or never in one. */
	void (*give)(struct evict *e, struct writer *w, uint32_t index);
	/* The element was published; replaced: the element whose entry it took over, which the writer gives back
	 * afterwards, or 0. May be NULL. */
	void (*published)(struct evict *e, struct writer *w, uint32_t index, uint32_t replaced);
	/* In a process with one thread: makes everything new. Elements whose owner word is `keep` are published, all others
	 * free. */
	void (*rebuild)(struct evict *e, uint64_t keep);
	void (*info)(const struct evict *e, struct usermap_info *info); /* the eviction counters */
	uint64_t (*free)(const struct evict *e); /* elements in no entry; exact when nobody writes */
};

/* The process-local view. Constant after attach. */
struct evict {
	const struct evict_ops *ops; /* NULL: the map doesn't evict */
	const struct slab *elements; /* 1 … n - 1 */
	struct writer_set *writers;
	evict_remove_fn remove;
	evict_prefetch_fn prefetch;
	const struct record
		*hazards;	  /* the records, if elements that they announce must not be handed out; else NULL */
	struct evict_node *nodes; /* PART_EVICT_NODES */
	void *part;		  /* PART_EVICT */
	uint32_t n_cpus;
	bool no_common; /* BPF_F_NO_COMMON_LRU */
	/* the policy's, by its attach: */
	uint8_t hit_adds;     /* to an element's uses; 0: hits are not marked, as in a region that is only read */
	bool mark_copies;     /* lookups by copy are hits, too; else only the program face's are */
	uint32_t target;      /* lru.c: how many elements a refill gets; s3fifo.c: entries on probation, a CPU */
	void *rings, *ghosts; /* s3fifo.c: in PART_EVICT */
};

/* Adds what a map of n elements has for its policy. */
bool evict_layout(struct region_layout *layout, const struct evict_ops *ops, uint32_t n);

static inline struct evict_node *evict_node(const struct evict *e, uint32_t index)
{
	return &e->nodes[index < e->elements->n ? index : 0];
}

/* Hits since the policy last looked, at most EVICT_USED_MAX. By hits and the policy, relaxed: a hit that is lost in a race
 * is no harm. */
static inline _Atomic uint8_t *evict_used(const struct evict *e, uint32_t index)
{
	return object_used(slab_object(e->elements, index));
}

/* A hit. */
static inline void evict_mark(const struct evict *e, struct object *element)
{
	_Atomic uint8_t *used = object_used(element);

	/* the second load spares the common case a register */
	if (caa_unlikely(atomic_load_explicit(used, memory_order_relaxed) < EVICT_USED_MAX) && e->hit_adds)
		atomic_store_explicit(used, (uint8_t)(atomic_load_explicit(used, memory_order_relaxed) + e->hit_adds),
				      memory_order_relaxed);
}

/* Whether a writer announces that it stores into one of the elements in place: then that one must not serve another key
 * yet. Has the full fence that pairs with the announcement's. */
bool evict_any_announced(const struct evict *e, const uint32_t *elements, unsigned n);

static inline bool evict_announced(const struct evict *e, uint32_t index)
{
	return evict_any_announced(e, &index, 1);
}

extern const struct evict_ops lru_ops;	  /* core/lru.c: evicts what the kernel evicts */
extern const struct evict_ops s3fifo_ops; /* core/s3fifo.c */

#endif
