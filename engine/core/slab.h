/* SPDX-License-Identifier: MIT */
/*
 * Slabs: fixed-size objects (elements, overflow nodes) of a region, named by index; 0 is none.
 *
 * A writer takes from and gives to the cache in its own record, without an atomic operation. Objects move between
 * writers in chains of `chunk`, linked through their link words; a per-CPU list links the chains through the upper half
 * of the link word of each chain's first object, and is stolen from by CPUs whose own list is empty. Fresh objects come
 * from a bump index, `chunk` at a time.
 *
 * Two ways back:
 *  slab_give    at once: the object was never visible, or the map reuses at once and its readers validate;
 *  slab_retire  after a grace period. A writer collects a chain of `chunk` retired objects and pushes it, with a
 *               cookie, on one of WAITING stacks chosen by the cookie. A stack whose cookie is done is detached as a
 *               whole and becomes a per-CPU list. Cookies that are not done differ by at most one grace period, so that
 *               chains that share a stack wait at most a few periods too long, never too short: a stack's cookie is its
 *               newest.
 *
 * How many objects there are: those that the map needs, those that may wait (twice the budget), and what caches can
 * hide: RECORD_SHARE a record. Whoever holds a credit therefore always finds an element in the end.
 *
 * Hazards. Where values are stored in place (per-CPU values, BPF_F_LOCK) a writer may have found an element, stall, and
 * store when it serves another key already. On maps that reuse at once such a writer first announces the element in its
 * record (as announced, or as the value whose lock it takes), passes a full fence, and checks that the element still is
 * in its place. Whoever reuses elements looks, after a full fence of its own, which ones are announced, and puts those
 * aside. That is done for a whole chain at once: what is given back lies on a chain of its own (head[1]) until the
 * cache runs out.
 *
 * A thread stopped or killed anywhere keeps what its record's cache and its operation hold, no more; lists are
 * whole after every CAS.
 */
#ifndef ENGINE_CORE_SLAB_H
#define ENGINE_CORE_SLAB_H

#include <urcu/compiler.h>
#include <urcu/system.h>

#include "core/commit.h"
#include "core/record.h"
#include "core/region.h"

#define SLAB_WAITING 4
#define SLAB_RECORD_SHARE \
	5 /* chunks: two chains, a fresh range, an open chain of retired ones, and what an operation holds */

/* How every object begins. */
struct object {
	_Atomic uint64_t owner; /* {operation number, record} of the operation that has it, or had it last */
	/* Published elements: {stamp: high 56, uses: low 8}; the uses are by hits, and the policy, of a map that evicts
	 * (evict.h). In a chain: {first object of the next chain, next object} */
	_Atomic uint64_t link;
};

#define OBJECT_STAMP_SHIFT 8

/* Relaxed, both: the commit publishes it, and whoever reads it validates it by the line or the slot. */
static inline uint64_t object_stamp(const struct object *object)
{
	return atomic_load_explicit(&object->link, memory_order_relaxed) >> OBJECT_STAMP_SHIFT;
}
/* Of a private element, which then has no uses. */
static inline void object_set_stamp(struct object *object, uint64_t stamp)
{
	atomic_store_explicit(&object->link, stamp << OBJECT_STAMP_SHIFT, memory_order_relaxed);
}

/* The byte is stored to alone, so that a late hit spoils no stamp. It's the lowest: see words.h. */
static inline _Atomic uint8_t *object_used(struct object *object)
{
	return (_Atomic uint8_t *)&object->link;
}

struct percpu;

struct slab_chain {
	uint32_t head, count;
};

struct slab {
	unsigned char *base;
	uint32_t object_size;
	uint32_t n; /* objects 1 … n - 1; 0 is never used */
	uint32_t chunk;
	uint32_t n_cpus;
	struct cpu_line *lines;
	size_t list; /* offset of this slab's list in struct cpu_line */
	_Atomic uint64_t *fresh;
	struct region *region;
	uint64_t touched;	      /* objects below this were obtained at creation */
	const struct percpu *percpu;  /* slots that belong to the objects, NULL: none */
	const struct record *hazards; /* the records, if objects they announce must not be reused; else NULL */
	uint64_t budget; /* objects that may wait before a writer outside any section waits; 0: reuse at once */
	/* {cookie, first chain}, and about how many wait there. Every writer of the process, by CAS */
	struct {
		_Alignas(64) struct pair stack;
		_Atomic uint64_t count;
	} waiting[SLAB_WAITING];
	_Atomic uint64_t grace_waits, over_budget; /* for get_info; counters, relaxed */
};

/* Chunk size for objects of this size. */
uint32_t slab_chunk(uint32_t object_size);
/* Objects that a map needing `n` of them, of which `budget` may wait, has in all; at most 2^32 - 1. */
uint64_t slab_objects(uint64_t n, uint64_t budget, uint32_t object_size);

/* 0, -ENOMEM (memory, or the hard limit of waiting objects), -EAGAIN: over the budget, wait and come again. */
int slab_refill(struct slab *slab, struct cache *cache, uint32_t cpu, bool may_wait);
void slab_spill(struct slab *slab, struct cache *cache, uint32_t cpu);
void slab_close_chain(struct slab *slab, struct slab_chain *open);
/* Waits until the objects that have waited longest are free to use. The caller is outside any section. false: none
 * wait. */
bool slab_wait(struct slab *slab);
uint64_t slab_waiting(const struct slab *slab);
/* In a process with one thread, with empty caches: hands every object back whose owner word isn't `keep`. */
void slab_rebuild(struct slab *slab, uint64_t keep);

/* The object of an index from memory that others can write: a wild index becomes object 0, which belongs to nobody. */
static inline void *slab_object(const struct slab *slab, uint32_t index)
{
	return slab->base + (size_t)(index < slab->n ? index : 0) * slab->object_size;
}

static inline _Atomic uint64_t *slab_link(const struct slab *slab, uint32_t index)
{
	return &((struct object *)slab_object(slab, index))->link;
}

static inline bool slab_ready(const struct cache *cache)
{
	return cache->head[0] || cache->next < cache->end;
}

/* An object from the cache, which is ready. */
static inline uint32_t slab_take(struct slab *slab, struct cache *cache)
{
	/* read once: a shared record may be scribbled on */
	uint32_t index = CMM_LOAD_SHARED(cache->head[0]);

	if (!index)
		return cache->next++;
	/* relaxed: the chain is this writer's own */
	cache->head[0] = (uint32_t)atomic_load_explicit(slab_link(slab, index), memory_order_relaxed);
	cache->count[0]--;
	__builtin_prefetch(slab_object(slab, cache->head[0]), 1); /* cold by now; the next operation finds it warm */
	return index;
}

/* slab_give where hazards are looked at before the object is taken again. */
void slab_give_suspect(struct slab *slab, struct cache *cache, uint32_t cpu, uint32_t index);

/* slab_give of an object that was taken and never became visible: it can be taken again at once. */
static inline void slab_put_back(struct slab *slab, struct cache *cache, uint32_t cpu, uint32_t index)
{
	if (cache->count[0] >= slab->chunk)
		slab_spill(slab, cache, cpu);
	if (!cache->head[0])
		cache->count[0] = 0; /* a chain from a thread that ended may have been shorter than counted */
	/* relaxed: the chain is this writer's own; stale readers of the word validate what they read */
	atomic_store_explicit(slab_link(slab, index), cache->head[0], memory_order_relaxed);
	cache->head[0] = index;
	cache->count[0]++;
}

static inline void slab_give(struct slab *slab, struct cache *cache, uint32_t cpu, uint32_t index)
{
	if (caa_unlikely(slab->hazards))
		slab_give_suspect(slab, cache, cpu, index);
	else
		slab_put_back(slab, cache, cpu, index);
}

static inline void slab_retire(struct slab *slab, struct slab_chain *open, uint32_t index)
{
	/* release: whoever still reads the word as a stamp finds the element gone from its slot */
	atomic_store_explicit(slab_link(slab, index), open->head, memory_order_release);
	open->head = index;
	if (++open->count == slab->chunk)
		slab_close_chain(slab, open);
}

#endif
