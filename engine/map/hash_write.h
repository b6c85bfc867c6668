/* SPDX-License-Identifier: MIT */
/* The steps that updates and deletes share. See hash.c. */
#ifndef ENGINE_MAP_HASH_WRITE_H
#define ENGINE_MAP_HASH_WRITE_H

#include "map/hash.h"

HASH_INLINE struct overflow_writer hash_overflow_writer(struct hash *h, struct writer *w, struct hash_kind kind)
{
	return (struct overflow_writer){ .nodes = &h->nodes,
					 .cache = &w->record->nodes,
					 .retired = kind.grace ? &w->retired_nodes : NULL,
					 .cpu = w->cpu,
					 .owner = w->owner };
}

/* Releases a slot that holds `index` under no tag; it may have been released for us, never reused. */
static inline void hash_release_slot(struct line *line, unsigned slot, uint32_t index)
{
	TEST_POINT(TP_RELEASE);
	/* release: our reads of the slot come before its next use */
	atomic_compare_exchange_strong_explicit(&line->index[slot], &index, 0, memory_order_release,
						memory_order_relaxed);
}

/* The commit of `next`. removes: it takes the entry at place out. */
HASH_INLINE bool hash_commit(struct writer *w, struct line *line, struct hash_place *place, line_word next,
			     bool removes, struct hash_kind kind)
{
	bool done;

	if (!kind.grace) {
		/* for recovery, ordered by the commit. Release: what was outgoing before has its owner by now (hash_evict.c) */
		atomic_store_explicit(&w->record->outgoing, removes ? place->index : 0, memory_order_release);
		if (removes)
			place->owner = atomic_load_explicit(&place->element->owner, memory_order_relaxed);
	}
	TEST_POINT(TP_COMMIT);
	done = pair_cas(&line->commit, place->w, next);
	if (done)
		TEST_POINT(TP_COMMITTED);
	return done;
}

/* hash_commit_delete of an entry in a node. */
int hash_commit_delete_node(struct hash *h, struct writer *w, struct line *line, struct hash_place *place,
			    struct hash_kind kind);

/* One commit that takes the entry at place out. 0, -ESTALE, -ENOMEM, -ENOBUFS. */
HASH_INLINE int hash_commit_delete(struct hash *h, struct writer *w, struct line *line, struct hash_place *place,
				   struct hash_kind kind)
{
	line_word next;

	if (caa_unlikely(place->depth >= 0))
		return hash_commit_delete_node(h, w, line, place, kind);
	next = line_with_tag(line_bump(place->w), place->slot, 0);
	return hash_commit(w, line, place, next, true, kind) ? 0 : -ESTALE;
}

/*
 * After a commit that took the entry at `place` out: releases its slot and returns the element that is ours to discard,
 * or 0. Grace: what the exchange gives, as a swap may have come in after the commit's snapshot; where nobody swaps, the
 * slot is ours, and a store will do. At once: the element of the snapshot, taken over by CAS of its owner word, so that
 * of a remover and a recoverer exactly one gets it. Maps that evict: by stores; a recoverer keeps its hands off what a
 * living writer's record names as outgoing (hash_evict.c).
 */
HASH_INLINE uint32_t hash_unlink(const struct hash *h, struct writer *w, struct line *line,
				 const struct hash_place *place, struct hash_kind kind)
{
	uint64_t owner = place->owner;

	if (place->depth < 0 && kind.grace) {
		TEST_POINT(TP_RELEASE);
		if (hash_replaces(h, kind) == REPLACE_IN_PLACE) {
			/* release: our reads of the slot come before its next use */
			atomic_store_explicit(&line->index[place->slot], 0, memory_order_release);
			return place->index;
		}
		/* acq_rel: the swapped-in element's bytes are visible; our reads come before the slot's next use */
		return atomic_exchange_explicit(&line->index[place->slot], 0, memory_order_acq_rel);
	}
	if (hash_evicts(h, kind)) {
		TEST_POINT(TP_RELEASE);
		/* relaxed: the commit ordered everything */
		atomic_store_explicit(&place->element->owner, w->owner, memory_order_relaxed);
		/* release: our reads of the slot come before its next use */
		if (place->depth < 0)
			atomic_store_explicit(&line->index[place->slot], 0, memory_order_release);
		return place->index;
	}
	if (place->depth < 0)
		hash_release_slot(line, place->slot, place->index);
	if (kind.grace)
		return place->index;
	/* relaxed: the commit ordered everything; the word only decides who */
	return atomic_compare_exchange_strong_explicit(&place->element->owner, &owner, w->owner, memory_order_relaxed,
						       memory_order_relaxed)
		       ? place->index
		       : 0;
}

/* A removed element goes: to wait for a grace period, to its policy, or back at once. */
HASH_INLINE void hash_discard(struct hash *h, struct writer *w, uint32_t index, struct hash_kind kind)
{
	TEST_POINT(TP_RETIRE);
	if (!index)
		return;
	if (kind.grace)
		slab_retire(&h->elements, &w->retired_elements, index);
	else if (hash_evicts(h, kind))
		h->evict.ops->give(&h->evict, w, index);
	else
		slab_give(&h->elements, &w->record->elements, w->cpu, index);
}

/*
 * Stores in place into per-CPU values and under a value's lock. See slab.h for hazards.
 *
 * Announces the element before a store. What follows must check that the element still is in its place. At once:
 * against the reuse of the element (strike_announced). Both: against lookup_and_delete, which waits for stores under
 * way (hash_settle).
 */
HASH_INLINE void hash_announce(struct writer *w, uint32_t index, struct hash_kind kind)
{
	TEST_POINT(TP_ANNOUNCE);
	/* relaxed: the fence follows */
	atomic_store_explicit(&w->record->announced, index, memory_order_relaxed);
	if (kind.grace)
		urcu_bp_smp_mb_slave(); /* the other side has membarrier */
	else
		atomic_thread_fence(memory_order_seq_cst); /* against the fences of strike_announced and hash_settle */
	TEST_POINT(TP_ANNOUNCED);
}

static inline void hash_announce_end(struct writer *w)
{
	/* release: the stores come before the end of their announcement */
	atomic_store_explicit(&w->record->announced, 0, memory_order_release);
}

/*
 * How often an operation lets others run while one of them has in hand what it needs: first by yields, then, as the one
 * may be waiting for another CPU, by naps; some 30 milliseconds in all.
 */
#define HASH_PATIENCE 600
void hash_let_others_run(unsigned *patience);

/* Whether the thread holds the lock of some value of the map, taken by the program face. */
static inline bool hash_holds_lock(const struct writer *w)
{
	return atomic_load_explicit(&w->record->lock, memory_order_relaxed) !=
	       0; /* relaxed: only this thread writes it */
}

#ifdef USERMAP_TEST_POINTS
extern unsigned
	hash_settle_patience; /* rounds that hash_settle waits; tests that stop threads don't wait for seconds */
#endif

/* Waits until stores in place into n removed elements have ended. Patience has an end: see hash_write.c. */
void hash_settle(struct hash *h, const struct writer *w, const uint32_t *elements, uint32_t n);

/* The value of an element that a commit has made this writer's own. */
HASH_INLINE void hash_removed_load(struct hash *h, struct writer *w, void *dst, uint32_t index, struct hash_kind kind)
{
	struct object *e = slab_object(&h->elements, index);

	if (!kind.locked) {
		hash_value_load(h, dst, index, e, kind);
		return;
	}
	/* whoever stores under the lock has found the element before the commit, or won't: see lock_and_store */
	bool locked = index && vlock_acquire_own(&h->locks, w, index) == 0;

	vlock_copy_out(&h->locks, dst, element_value(h, e, kind));
	if (locked)
		vlock_release(&h->locks, w);
}

/* The largest stamp in the target's bucket, 0 if it is empty. Under w: the commit tells whether it holds. */
uint64_t hash_largest_stamp(const struct hash *h, const struct hash_target *t, line_word w);

/*
 * These three may wait, and leave the operation meanwhile (it goes on under a new number): otherwise a thread that
 * waits for a grace period, and one that drains inside a section, would wait for each other. The caller holds no claim,
 * no element and no credit, and is in no section of its own.
 */

/* Gets elements for the writer's cache. Waits for a grace period if more elements than the budget wait for one and the
 * thread is in no section at all. 0, -ENOMEM. */
int hash_supply(struct hash *h, struct writer *w);

/* After -ENOBUFS: whether waiting for a grace period has made overflow nodes free, so that trying again makes sense. */
bool hash_wait_for_nodes(struct hash *h, struct writer *w);

/* Values whose updates were stores in place are replaced from now on, and no such store is under way any more. */
void hash_drain(struct hash *h, struct writer *w);

#endif
