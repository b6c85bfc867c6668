/* SPDX-License-Identifier: MIT */
/*
 * LOOKUP_BATCH and LOOKUP_AND_DELETE_BATCH: whole kernel-visible buckets at a time. See hash.c, and map.h for the
 * contract.
 *
 * Lookup: a bucket's entries are collected under one commit word, then copied; at once, the copy counts if the line has
 * not moved. Mostly that is done for a whole line at a time, and some lines go out together: if the caller's pages are known
 * to be good by copies to each, else bucket by bucket, as a bad pointer must be noticed at the bucket at which the kernel
 * does. A line that never rests would keep such a copy from succeeding, so after a few tries the entries are copied one by
 * one.
 *
 * Lookup and delete: one commit takes the whole bucket out, then the values are copied from elements that are ours
 * alone. So no update that returned 0 is lost, and a bad pointer is noticed when the entries are gone already: what the
 * kernel does.
 */
#include <string.h>

#include "core/alloc.h"
#include "map/hash_walk.h"
#include "map/hash_write.h"

#define COPY_TRIES     8
#define WAITING_MAX    64		  /* entries: a bit each in walk.ends */
#define WAITING_BYTES  4096		  /* of them; a line may wait in any case */
#define PREFETCH_AHEAD (8 * LINE_BUCKETS) /* buckets */

/* A batch on its way. */
struct walk {
	struct hash *h;
	struct map_batch *batch;
	struct writer *w; /* lookup and delete */
	uint32_t total;	  /* entries handed out */
	struct hash_bucket bucket;
	unsigned char *keys; /* of one bucket or a few lines, before they go out */
	unsigned char *values;
	uint32_t room; /* entries that both have room for */
	/* of lines, copied, but not handed out yet: how many, and a bit for each that is its bucket's last */
	uint32_t waiting;
	uint64_t ends;
};

static size_t room_bytes(const struct hash *h, uint32_t n)
{
	return (size_t)n * (h->key_size + h->value_bytes);
}

/* At least for a line. */
static int make_room(struct walk *walk, uint32_t n)
{
	unsigned char *more;

	if (n <= walk->room)
		return 0;
	n = n < LINE_SLOTS ? LINE_SLOTS : n;
	while (n < WAITING_MAX && room_bytes(walk->h, 2 * n) <= WAITING_BYTES)
		n *= 2;
	more = mem_alloc(room_bytes(walk->h, n));
	if (!more)
		return -ENOMEM;
	if (walk->keys)
		mem_free(walk->keys, room_bytes(walk->h, walk->room));
	walk->keys = more;
	walk->values = more + (size_t)n * walk->h->key_size;
	walk->room = n;
	return 0;
}

HASH_INLINE void copy_key(struct walk *walk, uint32_t i, uint32_t index, struct hash_kind kind)
{
	const struct hash *h = walk->h;
	uint32_t size = kind_key_size(h, kind);

	words_load(walk->keys + (size_t)i * size, element_key(slab_object(&h->elements, index)), size);
}

/* Where the caller has the next entry. */
static void *out_key(const struct walk *walk)
{
	return (void *)((uintptr_t)walk->batch->keys + (uintptr_t)walk->total * walk->h->key_size);
}
static void *out_value(const struct walk *walk)
{
	return (void *)((uintptr_t)walk->batch->values + (uintptr_t)walk->total * walk->h->value_bytes);
}

HASH_INLINE unsigned char *value_room(const struct walk *walk, uint32_t i, struct hash_kind kind)
{
	return walk->values + (size_t)i * hash_value_bytes(walk->h, kind);
}

/* 0, or what vlock_read_raw says. */
HASH_INLINE int copy_entry(struct walk *walk, uint32_t i, uint32_t index, struct hash_kind kind)
{
	const struct hash *h = walk->h;

	copy_key(walk, i, index, kind);
	if (kind.locked)
		return vlock_read_raw(&h->locks, index, value_room(walk, i, kind));
	hash_value_load(h, value_room(walk, i, kind), index, slab_object(&h->elements, index), kind);
	return 0;
}

/*
 * Entry by entry, newest first, each under a commit word of its own. The cursor is the stamp, which replacements
 * inherit: an entry that is there throughout is met once. 0, -ENOMEM, -ENOSPC.
 */
HASH_INLINE int copy_one_by_one(struct walk *walk, uint32_t bucket, struct hash_kind kind)
{
	const struct line *line = hash_line(walk->h, bucket);
	uint64_t below = UINT64_MAX;
	uint32_t kept = 0;

	for (;;) {
		int err = hash_collect(walk->h, bucket, &walk->bucket);
		uint32_t i = 0;

		if (err)
			return err;
		while (i < walk->bucket.n && walk->bucket.entries[i].stamp >= below)
			i++;
		if (i == walk->bucket.n)
			break;
		if (kept == walk->batch->max - walk->total)
			return -ENOSPC;
		if (kept == walk->room) { /* it has grown: from the start, with more room */
			err = make_room(walk, 2 * kept + 1);
			if (err)
				return err;
			below = UINT64_MAX;
			kept = 0;
			continue;
		}
		err = copy_entry(walk, kept, walk->bucket.entries[i].index, kind);
		if (err == -EAGAIN || line_moved(line, walk->bucket.w))
			continue;
		if (err)
			return err;
		below = walk->bucket.entries[i].stamp;
		kept++;
	}
	walk->bucket.n = kept;
	return 0;
}

/* A bucket's entries, copied. 0, -ENOMEM, -ENOSPC: more than the batch has room left for. */
HASH_INLINE int take_copies(struct walk *walk, uint32_t bucket, struct hash_kind kind)
{
	const struct line *line = hash_line(walk->h, bucket);

	for (unsigned i = 0;; i++) {
		int err = hash_collect(walk->h, bucket, &walk->bucket);

		if (!err && walk->bucket.n > walk->batch->max - walk->total)
			err = -ENOSPC;
		if (!err)
			err = make_room(walk, walk->bucket.n);
		if (err)
			return err;
		for (uint32_t e = 0; e < walk->bucket.n && !err; e++)
			err = copy_entry(walk, e, walk->bucket.entries[e].index, kind);
		if (err != -EAGAIN && (kind.grace || !line_moved(line, walk->bucket.w)))
			return err;
		if (i == COPY_TRIES)
			return copy_one_by_one(walk, bucket, kind);
	}
}

/* The entries of one bucket of a line without overflow, newest first. Returns how many. */
HASH_INLINE unsigned line_entries(const struct hash *h, const struct line *line, uint32_t slots,
				  uint32_t index[LINE_SLOTS])
{
	uint64_t stamps[LINE_SLOTS], stamp;
	unsigned n = 0;

	if (caa_likely(!(slots & (slots - 1)))) { /* one, and no order to find out; or none */
		index[0] = atomic_load_explicit(&line->index[slots ? __builtin_ctz(slots) : 0], memory_order_acquire);
		return slots != 0;
	}
	for (; slots; slots &= slots - 1) {
		uint32_t i = hash_read_slot(h, line, (unsigned)__builtin_ctz(slots), &stamp);
		unsigned at = n++;

		for (; at && stamps[at - 1] < stamp; at--) {
			stamps[at] = stamps[at - 1];
			index[at] = index[at - 1];
		}
		stamps[at] = stamp;
		index[at] = i;
	}
	return n;
}

/* The common case of a lookup: a line without overflow, whose entries are copied together. n: how many each of its
 * buckets has. false: it must be done bucket by bucket. */
HASH_INLINE bool copy_line(struct walk *walk, const struct line *line, unsigned n[LINE_BUCKETS], struct hash_kind kind)
{
	line_word w = line_read(line);
	uint32_t index[LINE_SLOTS];
	unsigned copied = walk->waiting;

	if (line_overflow(w))
		return false;
	for (unsigned b = 0; b < LINE_BUCKETS; b++) {
		n[b] = line_entries(walk->h, line, line_bucket_slots(w.second, b), index);
		for (unsigned i = 0; i < n[b]; i++)
			if (copy_entry(walk, copied++, index[i], kind))
				return false;
	}
	return !line_moved(line, w);
}

/* The elements of a line that the walk will reach soon, into the cache. Unused slots name elements, too, or none. */
HASH_INLINE void prefetch_ahead(const struct hash *h, uint32_t bucket)
{
	const struct line *line;

	if (bucket + PREFETCH_AHEAD > h->bucket_mask)
		return;
	line = hash_line(h, bucket + PREFETCH_AHEAD);
	for (unsigned s = 0; s < LINE_SLOTS; s++)
		__builtin_prefetch(
			slab_object(&h->elements, atomic_load_explicit(&line->index[s], memory_order_relaxed)));
}

/* One commit that empties the collected bucket. 0, -ESTALE, -ENOMEM. */
HASH_INLINE int commit_empty(struct walk *walk, uint32_t bucket, uint64_t *owners, struct hash_kind kind)
{
	struct overflow_writer ow = hash_overflow_writer(walk->h, walk->w, kind);
	struct overflow_change change = { 0, 0, 0, 0 };
	struct line *line = hash_line(walk->h, bucket);
	line_word next = line_bump(walk->bucket.w);
	bool in_nodes = false;
	int err;

	for (uint32_t i = 0; i < walk->bucket.n; i++) {
		const struct hash_entry *e = &walk->bucket.entries[i];
		struct object *object = slab_object(&walk->h->elements, e->index);

		owners[i] = atomic_load_explicit(&object->owner, memory_order_relaxed);
		if (e->slot < LINE_SLOTS)
			next = line_with_tag(next, e->slot, 0);
		else
			in_nodes = true;
	}
	if (in_nodes) {
		err = overflow_build_without(&ow, line, walk->bucket.w, bucket % LINE_BUCKETS, &change);
		if (err)
			return err;
		next = line_with_overflow(next, change.root);
	}
	credit_mark(walk->w->record, CREDIT_HELD);
	/* relaxed: for recovery, ordered by the commit */
	atomic_store_explicit(&walk->w->record->outgoing, OUTGOING_MANY, memory_order_relaxed);
	TEST_POINT(TP_COMMIT);
	if (!pair_cas(&line->commit, walk->bucket.w, next)) {
		credit_unmark(walk->w->record);
		overflow_undo(&ow, &change);
		return -ESTALE;
	}
	TEST_POINT(TP_COMMITTED);
	overflow_committed(&ow, &change);
	return 0;
}

/* Waits for the stores in place into what a commit has taken out, a few entries at a time. */
static void settle_bucket(struct walk *walk)
{
	uint32_t elements[4 * LINE_SLOTS];

	for (uint32_t i = 0; i < walk->bucket.n;) {
		uint32_t n = 0;

		while (i < walk->bucket.n && n < sizeof(elements) / sizeof(elements[0]))
			elements[n++] = walk->bucket.entries[i++].index;
		hash_settle(walk->h, walk->w, elements, n);
	}
}

/* After the commit: releases slots, copies what was removed, discards it. */
HASH_INLINE void take_removed(struct walk *walk, uint32_t bucket, const uint64_t *owners, struct hash_kind kind)
{
	struct line *line = hash_line(walk->h, bucket);

	/* as in try_delete: before anything waits */
	if (!hash_evicts(walk->h, kind))
		credit_give(walk->h->cpu_lines, walk->w->cpu, walk->bucket.n);
	credit_unmark(walk->w->record);
	if (kind.percpu)
		settle_bucket(walk);
	for (uint32_t i = 0; i < walk->bucket.n; i++) {
		const struct hash_entry *e = &walk->bucket.entries[i];
		struct hash_place place = { .index = e->index,
					    .element = slab_object(&walk->h->elements, e->index),
					    .slot = e->slot,
					    .depth = e->slot < LINE_SLOTS ? -1 : 0,
					    .owner = owners[i] };
		uint32_t index = hash_unlink(walk->h, walk->w, line, &place, kind);

		copy_key(walk, i, index, kind);
		hash_removed_load(walk->h, walk->w, value_room(walk, i, kind), index, kind);
		hash_discard(walk->h, walk->w, index, kind);
	}
}

/* A bucket's entries, removed and copied. As take_copies. */
HASH_INLINE int take_entries(struct walk *walk, uint32_t bucket, struct hash_kind kind)
{
	uint64_t few[LINE_SLOTS], *owners = few;
	uint32_t room = LINE_SLOTS;
	int err;

	do {
		err = hash_collect(walk->h, bucket, &walk->bucket);
		if (err || !walk->bucket.n)
			break;
		if (walk->bucket.n > walk->batch->max - walk->total)
			err = -ENOSPC;
		if (!err)
			err = make_room(walk, walk->bucket.n);
		if (!err && walk->bucket.n > room) {
			if (owners != few)
				mem_free(owners, room * sizeof(*owners));
			room = walk->bucket.n;
			owners = mem_alloc(room * sizeof(*owners));
			if (!owners)
				return -ENOMEM;
		}
		if (!err)
			err = commit_empty(walk, bucket, owners, kind);
	} while (err == -ESTALE);
	if (!err && walk->bucket.n)
		take_removed(walk, bucket, owners, kind);
	if (owners != few)
		mem_free(owners, room * sizeof(*owners));
	return err;
}

/* Entries [from, from + n) of the walk's buffers go to the caller. */
static int hand_out(struct walk *walk, uint32_t from, uint32_t n)
{
	const struct hash *h = walk->h;
	const struct map_batch *b = walk->batch;

	if (b->io->out(out_key(walk), walk->keys + (size_t)from * h->key_size, (size_t)n * h->key_size) ||
	    b->io->out(out_value(walk), walk->values + (size_t)from * h->value_bytes, (size_t)n * h->value_bytes))
		return -EFAULT;
	walk->total += n;
	return 0;
}

/* What waits goes to the caller. A bad pointer must be noticed at the bucket at which the kernel does. */
static int flush(struct walk *walk)
{
	const struct user_io *io = walk->batch->io;
	uint32_t n = walk->waiting, from = 0;
	uint64_t ends = walk->ends;

	walk->waiting = 0;
	walk->ends = 0;
	if (!n || (io->sure(out_key(walk), (size_t)n * walk->h->key_size) &&
		   io->sure(out_value(walk), (size_t)n * walk->h->value_bytes)))
		return n ? hand_out(walk, 0, n) : 0;
	for (; ends; ends &= ends - 1) {
		uint32_t end = (uint32_t)__builtin_ctzll(ends) + 1;

		if (hand_out(walk, from, end - from))
			return -EFAULT;
		from = end;
	}
	return 0;
}

/* A copied line's buckets, which lie behind what waits, wait as well, as far as they fit into the batch. 1: all; 0,
 * -ENOSPC: *bucket didn't; -EFAULT. */
HASH_INLINE int hand_out_line(struct walk *walk, uint32_t *bucket, const unsigned n[LINE_BUCKETS])
{
	uint32_t left = walk->batch->max - walk->total, room = walk->room < WAITING_MAX ? walk->room : WAITING_MAX;

	for (unsigned b = 0; b < LINE_BUCKETS; b++) {
		if (caa_unlikely(walk->waiting + n[b] > left)) {
			*bucket += b;
			return walk->total + walk->waiting ? 0 : -ENOSPC;
		}
		walk->waiting += n[b];
		walk->ends |= n[b] ? 1ull << (walk->waiting - 1) : 0;
	}
	return walk->waiting > room - LINE_SLOTS && flush(walk) ? -EFAULT : 1;
}

/* 1: *bucket is done. 0: it doesn't fit any more. -ENOSPC, -ENOMEM, -EFAULT. */
HASH_INLINE int walk_bucket(struct walk *walk, uint32_t bucket, struct hash_kind kind)
{
	int err = walk->w ? take_entries(walk, bucket, kind) : take_copies(walk, bucket, kind);

	if (err)
		return walk->total ? 0 : err;
	return walk->bucket.n && hand_out(walk, 0, walk->bucket.n) ? -EFAULT : 1;
}

/* The rest of the line that *bucket begins or is in. 1: done, *bucket is its last; else as walk_bucket. */
HASH_INLINE int walk_line(struct walk *walk, uint32_t *bucket, struct hash_kind kind)
{
	unsigned n[LINE_BUCKETS];
	int err;

	if (*bucket % LINE_BUCKETS == 0) {
		prefetch_ahead(walk->h, *bucket);
		if (!walk->w && !make_room(walk, LINE_SLOTS) && copy_line(walk, hash_line(walk->h, *bucket), n, kind)) {
			err = hand_out_line(walk, bucket, n);
			*bucket |= err > 0 ? LINE_BUCKETS - 1 : 0;
			return err;
		}
	}
	if (flush(walk))
		return -EFAULT;
	for (;; (*bucket)++) {
		err = walk_bucket(walk, *bucket, kind);
		if (err <= 0)
			return err;
		if (walk->bucket.line_empty)
			*bucket |= LINE_BUCKETS - 1;
		if (*bucket % LINE_BUCKETS == LINE_BUCKETS - 1 || *bucket >= walk->h->bucket_mask)
			return 1;
	}
}

/* From *bucket on, until the room is full. 0: *bucket comes next. -ENOENT: the end. -ENOSPC, -ENOMEM, -EFAULT. */
HASH_INLINE int walk_buckets(struct walk *walk, uint32_t *bucket, struct hash_kind kind)
{
	int err;

	for (;; (*bucket)++) {
		do {
			if (kind.grace)
				thread_read_lock();
			err = walk_line(walk, bucket, kind);
			if (kind.grace)
				thread_read_unlock();
		} while (err == -ENOBUFS && walk->w && hash_wait_for_nodes(walk->h, walk->w));
		if (err <= 0)
			break;
		if (*bucket >= walk->h->bucket_mask) {
			*bucket = walk->h->bucket_mask + 1;
			err = -ENOENT;
			break;
		}
	}
	return flush(walk) ? -EFAULT : err;
}

HASH_INLINE int batch_walk(struct hash *h, struct map_batch *batch, bool removes, struct hash_kind kind)
{
	struct walk walk = { .h = h, .batch = batch };
	uint32_t bucket = 0;
	int err = 0;

	if (batch->in_batch && batch->io->in(&bucket, batch->in_batch, sizeof(bucket)))
		return -EFAULT;
	if (bucket > h->bucket_mask)
		return -ENOENT;
	if (removes) {
		walk.w = writer_begin(&h->writers, h->n_cpus, &err);
		if (!walk.w)
			return err;
		if (kind.locked && hash_holds_lock(walk.w)) {
			writer_end(walk.w);
			return -EDEADLK;
		}
		if (kind.grace)
			hash_drain(h, walk.w);
	}
	err = walk_buckets(&walk, &bucket, kind);
	if (err == -ENOBUFS)
		err = -ENOMEM;
	if (removes)
		writer_end(walk.w);
	hash_bucket_free(&walk.bucket);
	if (walk.keys)
		mem_free(walk.keys, room_bytes(h, walk.room));
	if (!err || err == -ENOENT || err == -ENOSPC) {
		if (batch->io->out(batch->out_batch, &bucket, sizeof(bucket)))
			return -EFAULT;
		batch->count = walk.total;
	}
	return err;
}

#define VARIANT(name, size, traits)                                                           \
	int hash_lookup_batch_##name(struct usermap *map, struct map_batch *batch)            \
	{                                                                                     \
		return batch_walk(hash_of(map), batch, false, HASH_KIND(size, traits));       \
	}                                                                                     \
	int hash_lookup_and_delete_batch_##name(struct usermap *map, struct map_batch *batch) \
	{                                                                                     \
		return batch_walk(hash_of(map), batch, true, HASH_KIND(size, traits));        \
	}
HASH_WALK_VARIANTS(VARIANT)
