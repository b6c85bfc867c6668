/* SPDX-License-Identifier: MIT */
/* Updates: insert, and the three ways to replace. See hash.c. */
#include "map/hash.h"
#include "map/hash_walk.h"
#include "map/hash_write.h"

/* What an update has in hand. */
struct attempt {
	struct hash *h;
	struct writer *w;
	const void *key, *value;
	uint64_t flags;
	uint32_t index; /* the private element, 0: none yet */
	struct object *element;
	uint32_t taken;	  /* maps that evict: the element at hand, not filled yet, or 0 */
	bool prog;	  /* the program face's: of per-CPU values, this CPU's slot */
	int claim;	  /* slot claimed for it, -1 */
	uint32_t claimed; /* the index in that slot: the element may have been published elsewhere by a swap */
	bool credit;
};

/* Stores into per-CPU slots, of a new element or in place. */
static void store_slots(const struct attempt *a, uint32_t index)
{
	if (a->prog)
		percpu_store_one(&a->h->percpu, a->w->cpu, index, a->value);
	else
		percpu_store(&a->h->percpu, index, a->value);
}

/* The value of a new element. */
HASH_INLINE void fill_value(const struct attempt *a, struct hash_kind kind)
{
	const struct hash *h = a->h;

	if (kind.percpu) {
		store_slots(a, a->index);
		if (a->prog)
			percpu_clear_others(&h->percpu, a->w->cpu, a->index);
	} else if (caa_likely(hash_value_bytes(h, kind) == 8 && !kind.locked)) {
		words_store(element_value(h, a->element, kind), a->value, 8);
	} else if (kind.locked) {
		vlock_copy_in(&h->locks, element_value(h, a->element, kind), a->value);
	} else {
		words_store(element_value(h, a->element, kind), a->value, h->value_size);
	}
}

/* Fills the private element. */
HASH_INLINE void fill_element(struct attempt *a, struct hash_kind kind)
{
	struct hash *h = a->h;

	a->element = hash_element(h, a->index, kind);
	/* release fence: a stale reader that sees one of the stores below also sees that its line has moved, or that
	 * elements are swapped now (lookup_glance_word) */
	atomic_thread_fence(memory_order_release);
	/* relaxed: the commit publishes them */
	atomic_store_explicit(&a->element->owner, a->w->owner, memory_order_relaxed);
	atomic_store_explicit(&a->w->record->incoming, a->index, memory_order_relaxed);
	words_store(element_key(a->element), a->key, kind_key_size(h, kind));
	fill_value(a, kind);
}

/* An element by the map's policy, which may evict. Others may have all there are in hand just now: they are waited for.
 * 0, -ENOMEM. */
static __attribute__((noinline)) int take_evicted(struct attempt *a, uint64_t hash)
{
	struct evict *e = &a->h->evict;
	unsigned patience = HASH_PATIENCE;

	if (a->h->on_evict && a->h->evict.hazards && !writer_scratch(a->w, a->h->value_bytes))
		return -ENOMEM;
	for (;;) {
		a->taken = e->ops->take(e, a->w, hash);
		if (a->taken)
			return 0;
		if (!patience)
			return -ENOMEM;
		hash_let_others_run(&patience);
	}
}

/* The private element, filled. 0, -ENOMEM, -EAGAIN: no element at hand. */
HASH_INLINE int prepare_element(struct attempt *a, const struct hash_target *t, struct hash_kind kind)
{
	if (hash_evicts(a->h, kind)) {
		int err = a->taken ? 0 : take_evicted(a, t->hash);

		if (err)
			return err;
		a->index = a->taken;
		a->taken = 0;
		/* relaxed: a removal that reads it too early finds nothing */
		atomic_store_explicit(&evict_node(&a->h->evict, a->index)->bucket, t->bucket, memory_order_relaxed);
	} else {
		if (!slab_ready(&a->w->record->elements))
			return -EAGAIN;
		a->index = slab_take(&a->h->elements, &a->w->record->elements);
	}
	fill_element(a, kind);
	return 0;
}

/* Whether an operation elsewhere may have a credit in hand. One that is just asking is waited for: it soon knows. */
static bool credit_in_hand(const struct hash *h, const struct writer *w, unsigned *patience)
{
	uint32_t used = atomic_load_explicit(&h->header->records_used, memory_order_relaxed);

	for (uint32_t i = 0; i < used && i < RECORDS; i++) {
		_Atomic uint32_t *mark = &h->writers.records[i].credit;

		/* acquire: pairs with credit_unmark */
		while (i != w->index && atomic_load_explicit(mark, memory_order_acquire) != CREDIT_NONE) {
			if (!*patience || atomic_load_explicit(mark, memory_order_relaxed) == CREDIT_HELD)
				return true;
			hash_let_others_run(patience);
		}
	}
	return false;
}

/*
 * 0: a credit. -ESTALE: the line moved, look again. -E2BIG: at an instant at which the key was absent the map was full,
 * or, when patience is at its end, would have been if all writes in progress elsewhere had added an entry.
 */
static __attribute__((noinline)) int search_credit(struct hash *h, struct writer *w, const struct line *line,
						   line_word seen)
{
	unsigned patience = HASH_PATIENCE;
	uint64_t versions;
	bool full;

	for (;;) {
		credit_mark(w->record, CREDIT_ASKING);
		if (credit_take(h->cpu_lines, h->n_cpus, w->cpu, &versions)) {
			credit_mark(w->record, CREDIT_HELD);
			return 0;
		}
		credit_unmark(w->record);
		full = !credit_in_hand(h, w, &patience) && credit_none_since(h->cpu_lines, h->n_cpus, versions);
		/* the key may have come in meanwhile: then "full" was true at no instant at which it was absent */
		if (line_moved(line, seen))
			return -ESTALE;
		if (full || !patience)
			return -E2BIG;
		hash_let_others_run(&patience);
	}
}

/* As search_credit; nearly always the CPU has one. */
HASH_INLINE int take_credit(struct hash *h, struct writer *w, const struct line *line, line_word seen)
{
	credit_mark(w->record, CREDIT_ASKING);
	TEST_POINT(TP_CREDIT);
	if (caa_unlikely(!credit_take_from(&h->cpu_lines[w->cpu])))
		return search_credit(h, w, line, seen);
	credit_mark(w->record, CREDIT_HELD);
	return 0;
}

/* Tries each free slot once. */
HASH_INLINE void claim_slot(struct attempt *a, struct line *line, line_word w)
{
	for (line_match m = line_match_tag(w.second, 0); m; m &= m - 1) {
		unsigned slot = line_match_slot(m);
		uint32_t none = 0;

		if (atomic_load_explicit(&line->index[slot], memory_order_relaxed))
			continue;
		TEST_POINT(TP_CLAIM);
		/* release: the element's bytes are visible to whoever sees the index */
		if (atomic_compare_exchange_strong_explicit(&line->index[slot], &none, a->index, memory_order_release,
							    memory_order_relaxed)) {
			a->claim = (int)slot;
			a->claimed = a->index;
			TEST_POINT(TP_CLAIMED);
			return;
		}
	}
}

/* The stamp decides the place in the walk: see hash.c. Read and written under w; the commit tells whether that
 * holds. */
HASH_INLINE void set_stamp(struct attempt *a, const struct hash_target *t, const struct hash_place *place, bool found,
			   struct hash_kind kind)
{
	uint64_t stamp;

	if (hash_ordered(a->h, kind))
		stamp = 1 + hash_largest_stamp(a->h, t, place->w);
	else if (found && kind.grace && place->depth < 0) /* a swap may be retiring it: see hash_read_slot */
		hash_read_slot(a->h, t->line, place->slot, &stamp);
	else if (found)
		stamp = object_stamp(place->element);
	else
		stamp = a->w->owner;
	object_set_stamp(a->element, stamp);
}

/* The cheap replacement: one CAS of the index. */
static bool swap(struct attempt *a, const struct hash_target *t, struct hash_place *place)
{
	uint32_t old = place->index;

	TEST_POINT(TP_SWAP);
	/* acq_rel: publishes the element, and takes over the old one */
	if (!atomic_compare_exchange_strong_explicit(&t->line->index[place->slot], &old, a->index, memory_order_acq_rel,
						     memory_order_relaxed))
		return false;
	TEST_POINT(TP_RETIRE);
	slab_retire(&a->h->elements, &a->w->retired_elements, old);
	a->index = 0;
	return true;
}

HASH_INLINE void update_committed(struct attempt *a, const struct hash_target *t, struct hash_place *place, bool found,
				  struct hash_kind kind)
{
	uint32_t published = a->index, replaced = 0;

	a->claim = -1;
	a->index = 0;
	if (found)
		replaced = hash_unlink(a->h, a->w, t->line, place, kind);
	else
		a->credit = false; /* the entry has it now */
	if (hash_evicts(a->h, kind) && a->h->evict.ops->published)
		a->h->evict.ops->published(&a->h->evict, a->w, published, replaced);
	else if (found)
		hash_mark(a->h, a->element, kind);
	hash_discard(a->h, a->w, replaced, kind);
}

/* commit_update where nodes change: the entry is in one, or there is no slot to be had. */
HASH_COLD int commit_update_nodes(struct attempt *a, const struct hash_target *t, struct hash_place *place, bool found,
				  struct hash_kind kind)
{
	bool in_node = found && place->depth >= 0;
	struct overflow_writer ow = hash_overflow_writer(a->h, a->w, kind);
	struct overflow_change change;
	line_word next = line_bump(place->w);
	int err = overflow_build(&ow, t->line, place->w, in_node ? place->depth : -1, place->slot,
				 a->claim < 0 ? a->index : 0, t->tag, &change);

	if (err)
		return err;
	next = line_with_overflow(next, change.root);
	if (a->claim >= 0)
		next = line_with_tag(next, (unsigned)a->claim, t->tag);
	if (found && !in_node)
		next = line_with_tag(next, place->slot, 0);
	if (!hash_commit(a->w, t->line, place, next, found, kind)) {
		overflow_undo(&ow, &change);
		return -ESTALE;
	}
	overflow_committed(&ow, &change);
	update_committed(a, t, place, found, kind);
	return 0;
}

/* commit_update where a slot is claimed, and the entry, if there is one, is in another. */
HASH_INLINE bool commit_slots(struct attempt *a, const struct hash_target *t, struct hash_place *place, bool found,
			      struct hash_kind kind)
{
	line_word next = line_with_tag(line_bump(place->w), (unsigned)a->claim, t->tag);

	if (found)
		next = line_with_tag(next, place->slot, 0);
	if (!hash_commit(a->w, t->line, place, next, found, kind))
		return false;
	update_committed(a, t, place, found, kind);
	return true;
}

/* One commit that brings the new element in and the old one, if there is one, out. 0, -ESTALE, -ENOMEM. */
HASH_INLINE int commit_update(struct attempt *a, const struct hash_target *t, struct hash_place *place, bool found,
			      struct hash_kind kind)
{
	if (a->claim < 0)
		claim_slot(a, t->line, place->w);
	if (caa_unlikely(a->claim < 0 || (found && place->depth >= 0)))
		return commit_update_nodes(a, t, place, found, kind);
	return commit_slots(a, t, place, found, kind) ? 0 : -ESTALE;
}

/* What the update didn't need, or an error left over. */
static void put_back(struct attempt *a, struct line *line)
{
	if (a->claim >= 0)
		hash_release_slot(line, (unsigned)a->claim, a->claimed);
	if (a->h->evict.ops && (a->index || a->taken))
		a->h->evict.ops->give(&a->h->evict, a->w, a->index ? a->index : a->taken);
	else if (a->index) /* for this update's next attempt, too: it relies on having an element at hand */
		slab_put_back(&a->h->elements, &a->w->record->elements, a->w->cpu, a->index);
	a->claim = -1;
	a->index = a->taken = 0;
	if (atomic_load_explicit(&a->w->record->credit, memory_order_relaxed) == CREDIT_NONE)
		return;
	if (a->credit)
		credit_give(a->h->cpu_lines, a->w->cpu, 1);
	a->credit = false;
	credit_unmark(a->w->record);
}

/* A store into an entry's slots. false: the entry may have moved, look again. */
HASH_INLINE bool store_percpu(struct attempt *a, const struct hash_target *t, const struct hash_place *place,
			      struct hash_kind kind)
{
	bool there;

	hash_announce(a->w, place->index, kind);
	there = !line_moved(t->line, place->w);
	if (there) {
		TEST_POINT(TP_STORE);
		atomic_thread_fence(memory_order_release); /* release: as in update_glance */
		store_slots(a, place->index);
		hash_mark(a->h, place->element, kind);
	}
	hash_announce_end(a->w);
	return there;
}

/* BPF_F_LOCK on an entry: stores under the value's lock. What is found again when the lock is held was in the map after
 * the lock was taken: whoever removes it reads its value, or reuses it, after the lock is released. 0, -ESTALE: look
 * again, errors. */
static int lock_and_store(struct attempt *a, const struct hash_target *t, struct hash_place *place,
			  struct hash_kind kind)
{
	uint32_t index = place->index;
	int err = vlock_acquire(&a->h->locks, a->w, index);

	if (err)
		return err == -EAGAIN ? -ESTALE : err;
	if (hash_find(a->h, t, a->key, place, NULL, kind) && place->index == index)
		err = vlock_store(&a->h->locks, a->w, index, a->value);
	else
		err = -ESTALE;
	vlock_release(&a->h->locks, a->w);
	return err;
}

/* An update of an entry that is replaced in place. 0, errors; -ESTALE: look again; 1: it isn't replaced so. */
HASH_INLINE int update_in_place(struct attempt *a, const struct hash_target *t, struct hash_place *place,
				struct hash_kind kind)
{
	if (kind.percpu)
		return store_percpu(a, t, place, kind) ? 0 : -ESTALE;
	if (kind.locked && a->flags & BPF_F_LOCK) {
		put_back(a, t->line); /* what an attempt to insert had: nobody shall wait for it while this one waits */
		return lock_and_store(a, t, place, kind);
	}
	if (kind.grace && hash_replaces(a->h, kind) == REPLACE_IN_PLACE) {
		TEST_POINT(TP_STORE);
		atomic_thread_fence(memory_order_release); /* release: as in update_glance */
		words_store(element_value(a->h, place->element, kind), a->value, hash_value_bytes(a->h, kind));
		return 0;
	}
	return 1;
}

/* 0 and errors: done. -EAGAIN: no element at hand. */
HASH_INLINE int try_update(struct attempt *a, const struct hash_target *t, struct hash_kind kind)
{
	struct hash *h = a->h;
	struct hash_place place;

	for (;;) {
		bool found = hash_find(h, t, a->key, &place, NULL, kind);
		int err;

		if (found && a->flags & BPF_NOEXIST)
			return -EEXIST;
		if (!found && a->flags & BPF_EXIST)
			return -ENOENT;
		if (found) {
			err = update_in_place(a, t, &place, kind);
			if (err == -ESTALE)
				continue;
			if (err <= 0)
				return err;
		}
		if (!found && !a->credit && !hash_evicts(h, kind)) {
			err = take_credit(h, a->w, t->line, place.w);
			if (err == -ESTALE)
				continue;
			if (err)
				return err;
			a->credit = true;
		}
		if (!a->index) {
			err = prepare_element(a, t, kind);
			if (err)
				return err;
		}
		set_stamp(a, t, &place, found, kind);
		if (kind.grace && found && place.depth < 0 && hash_replaces(h, kind) == REPLACE_BY_SWAP) {
			if (swap(a, t, &place))
				return 0;
			continue;
		}
		err = commit_update(a, t, &place, found, kind);
		if (err != -ESTALE)
			return err;
	}
}

/* An update in place at a glance. false: it takes more. */
HASH_INLINE bool update_glance(struct hash *h, const void *key, const void *value, uint64_t flags,
			       struct hash_kind kind)
{
	struct hash_target t = hash_target(h, key, kind);
	struct writer *w = thread_writer(h->writers.map_id);
	struct urcu_bp_reader *section = thread_section_begin();
	bool stored = false;
	struct hash_place place;
	uint64_t op;

	if (caa_unlikely(!section))
		return false;
	if (caa_likely(w && flags != BPF_NOEXIST) && caa_likely((op = writer_enter_briefly(w)) != 0)) {
		if (caa_likely(hash_replaces(h, kind) == REPLACE_IN_PLACE) &&
		    hash_glance(h, &t, key, &place, NULL, kind) > 0) {
			TEST_POINT(TP_STORE);
			/* release fence: what came before the update is visible to whoever sees it */
			atomic_thread_fence(memory_order_release);
			words_store(element_value(h, place.element, kind), value, hash_value_bytes(h, kind));
			stored = true;
		}
		writer_leave(w, op);
	}
	thread_section_end(section);
	return stored;
}

/* The entry at place, in a slot, gets a new element by a commit. false: nothing was done. */
HASH_INLINE bool replace_in_slot(struct attempt *a, const struct hash_target *t, struct hash_place *place,
				 struct hash_kind kind)
{
	struct cache *cache = &a->w->record->elements;

	a->index = slab_take(&a->h->elements, cache);
	fill_element(a, kind);
	set_stamp(a, t, place, true, kind);
	claim_slot(a, t->line, place->w);
	if (caa_likely(a->claim >= 0) && caa_likely(commit_slots(a, t, place, true, kind)))
		return true;
	if (a->claim >= 0)
		hash_release_slot(t->line, (unsigned)a->claim, a->index);
	slab_put_back(&a->h->elements, cache, a->w->cpu, a->index);
	return false;
}

/*
 * A replacement by commit at a glance, on maps that reuse at once. false: it takes more, and is begun again. The steps are
 * try_update's. What counts is how few instructions they are, and stores above all: the processor begins the next update's
 * cache misses while this one waits for its own, unless its queues are full before it gets there.
 */
HASH_INLINE bool replace_glance(struct hash *h, const void *key, const void *value, uint64_t flags,
				struct hash_kind kind)
{
	struct attempt a = { .h = h, .key = key, .value = value, .claim = -1 };
	struct hash_target t;
	struct hash_place place;
	bool done;

	if (caa_unlikely(hash_evicts(h, kind) || hash_ordered(h, kind) || flags == BPF_NOEXIST))
		return false;
	a.w = thread_writer(h->writers.map_id);
	if (caa_unlikely(!a.w || writer_busy(a.w)))
		return false;
	t = hash_target(h, key, kind);
	writer_enter(a.w);
	a.w->cpu = cpu_current(h->n_cpus);
	place.depth = -1;
	/* whether an element is at hand is asked inside the operation: before, a signal handler might have taken it */
	done = caa_likely(slab_ready(&a.w->record->elements)) &&
	       hash_glance(h, &t, key, &place, NULL, kind) > 0 && replace_in_slot(&a, &t, &place, kind);
	writer_end(a.w);
	return done;
}

/* An update of a map that evicts. The kernel takes its element before it knows whether it needs it: even an update that
 * fails, or replaces, may evict, and even its own key. A per-CPU value that must exist is stored in place. */
HASH_INLINE int update_evicting(struct attempt *a, const struct hash_target *t, struct hash_kind kind)
{
	bool first = a->h->evict.ops->take_first && !(kind.percpu && a->flags & BPF_EXIST);
	int err;

	__builtin_prefetch(t->line, 1); /* the element takes its time */
	err = first ? take_evicted(a, t->hash) : 0;
	if (!err)
		err = try_update(a, t, kind);
	put_back(a, t->line);
	return err == -ENOBUFS ? -ENOMEM : err;
}

HASH_INLINE int update(struct hash *h, const void *key, const void *value, uint64_t flags, bool prog,
		       struct hash_kind kind)
{
	struct hash_target t = hash_target(h, key, kind);
	struct attempt a = { .h = h, .key = key, .value = value, .flags = flags, .prog = prog, .claim = -1 };
	int err = 0, supply;

	a.w = writer_begin(&h->writers, h->n_cpus, &err);
	if (!a.w)
		return err;
	if (hash_evicts(h, kind)) {
		err = update_evicting(&a, &t, kind);
		writer_end(a.w);
		return err;
	}
	do {
		/* an element before the section begins, as only here can a grace period be waited for; an update that
		 * turns out to need none succeeds without */
		supply = slab_ready(&a.w->record->elements) ? 0 : hash_supply(h, a.w);
		if (kind.grace)
			thread_read_lock();
		err = try_update(&a, &t, kind);
		put_back(&a, t.line);
		if (kind.grace)
			thread_read_unlock();
		if (err == -EAGAIN)
			err = supply ? supply : -ENOMEM; /* 0: a shared record was scribbled on */
	} while (caa_unlikely(err == -ENOBUFS) && hash_wait_for_nodes(h, a.w));
	writer_end(a.w);
	return err == -ENOBUFS ? -ENOMEM : err;
}

/* The flags an update takes; the faces let BPF_F_LOCK pass for values with a lock only, but for programs. */
HASH_INLINE bool flags_ok(uint64_t flags, struct hash_kind kind)
{
	return (kind.locked ? flags & ~(uint64_t)BPF_F_LOCK : flags) <= BPF_EXIST;
}

/* The common update is a glance at the key's place, and a store or a commit; the rest is out of its way. */
#define VARIANT(name, size, traits)                                                                            \
	static __attribute__((noinline)) int update_##name(struct hash *h, const void *key, const void *value, \
							   uint64_t flags)                                     \
	{                                                                                                      \
		return update(h, key, value, flags, false, HASH_KIND(size, traits));                           \
	}                                                                                                      \
	int hash_update_##name(struct usermap *map, const void *key, const void *value, __u64 flags)           \
	{                                                                                                      \
		const struct hash_kind kind = HASH_KIND(size, traits);                                         \
		struct hash *h = hash_of(map);                                                                 \
                                                                                                               \
		if (caa_unlikely(!flags_ok(flags, kind)))                                                      \
			return -EINVAL;                                                                        \
		if (kind.pair && kind.grace && caa_likely(update_glance(h, key, value, flags, kind)))          \
			return 0;                                                                              \
		if (!kind.grace && !kind.percpu && !kind.locked &&                                             \
		    caa_likely(replace_glance(h, key, value, flags, kind)))                                    \
			return 0;                                                                              \
		return update_##name(h, key, value, flags);                                                    \
	}
HASH_VARIANTS(VARIANT)

#define PERCPU_VARIANT(name, size, traits)                                                                \
	int hash_update_prog_##name(struct usermap *map, const void *key, const void *value, __u64 flags) \
	{                                                                                                 \
		const struct hash_kind kind = HASH_KIND(size, traits);                                    \
                                                                                                          \
		if (caa_unlikely(!flags_ok(flags, kind)))                                                 \
			return -EINVAL;                                                                   \
		return update(hash_of(map), key, value, flags, true, kind);                               \
	}
HASH_PERCPU_VARIANTS(PERCPU_VARIANT)
