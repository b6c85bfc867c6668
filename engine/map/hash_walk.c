/* SPDX-License-Identifier: MIT */
/*
 * Walking: collecting buckets, and get_next_key. See hash.c.
 *
 * A cursor is (bucket, stamp): the next entry is the bucket's with the largest stamp below, else the first of the next
 * bucket that isn't empty. Stamps of entries that stay don't change, so an entry that is present throughout is met
 * exactly once, whatever comes and goes around it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "map/hash_walk.h"

#define BOUNCE 512 /* keys up to this size are validated in a buffer on the stack */

uint32_t hash_read_slot(const struct hash *h, const struct line *line, unsigned slot, uint64_t *stamp)
{
	uint32_t index, again = atomic_load_explicit(&line->index[slot], memory_order_acquire);

	do {
		index = again;
		*stamp = object_stamp(slab_object(&h->elements, index));
		/* acquire fence: the stamp was read before the index is read again */
		atomic_thread_fence(memory_order_acquire);
		again = atomic_load_explicit(&line->index[slot], memory_order_acquire);
	} while (again != index);
	return index;
}

bool hash_stamp(const struct hash *h, const struct hash_target *t, const struct hash_place *place, uint64_t *stamp)
{
	if (place->depth < 0)
		hash_read_slot(h, t->line, place->slot, stamp);
	else
		*stamp = object_stamp(place->element);
	return !line_moved(t->line, place->w);
}

static int add(struct hash_bucket *out, struct hash_entry entry)
{
	if (out->n == out->room) {
		if (out->room > UINT32_MAX / 4)
			return -ENOMEM;

		uint32_t room = 4 * out->room;
		struct hash_entry *more = mem_alloc(room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		memcpy(more, out->entries, out->n * sizeof(*more));
		hash_bucket_free(out);
		out->entries = more;
		out->room = room;
	}
	out->entries[out->n++] = entry;
	return 0;
}

void hash_bucket_free(struct hash_bucket *bucket)
{
	if (bucket->entries != bucket->few && bucket->entries)
		mem_free(bucket->entries, bucket->room * sizeof(*bucket->entries));
}

static int collect_overflow(const struct hash *h, const struct line *line, unsigned bucket, struct hash_bucket *out)
{
	uint32_t at = line_overflow(out->w);

	for (uint32_t hops = 0; at && hops < h->chain_max; hops++) {
		const struct node *node = node_at(&h->nodes, at);

		for (uint32_t slots = line_bucket_slots(node_tags(node), bucket); slots; slots &= slots - 1) {
			uint32_t index = node_index(node, (unsigned)__builtin_ctz(slots));
			uint64_t stamp = object_stamp(slab_object(&h->elements, index));
			int err = add(out, (struct hash_entry){ stamp, index, LINE_SLOTS });

			if (err)
				return err;
		}
		at = node_next(node);
		if (line_moved(line, out->w))
			return -ESTALE;
	}
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct hash_entry *x = a, *y = b;

	return x->stamp < y->stamp ? 1 : x->stamp > y->stamp ? -1 : 0;
}

static void sort(struct hash_bucket *out)
{
	if (out->n > 8) {
		qsort(out->entries, out->n, sizeof(*out->entries), newest_first);
		return;
	}
	for (uint32_t i = 1; i < out->n; i++) {
		struct hash_entry e = out->entries[i];
		uint32_t j = i;

		for (; j && out->entries[j - 1].stamp < e.stamp; j--)
			out->entries[j] = out->entries[j - 1];
		out->entries[j] = e;
	}
}

int hash_collect(const struct hash *h, uint32_t bucket, struct hash_bucket *out)
{
	const struct line *line = hash_line(h, bucket);
	int err;

	if (!out->entries) {
		out->entries = out->few;
		out->room = sizeof(out->few) / sizeof(out->few[0]);
	}
	do {
		out->n = 0;
		out->w = line_read(line);
		out->line_empty = !out->w.second && !line_overflow(out->w);
		for (uint32_t slots = line_bucket_slots(out->w.second, bucket % LINE_BUCKETS); slots;
		     slots &= slots - 1) {
			struct hash_entry *e = &out->entries[out->n++]; /* there is always room for a line */

			e->slot = (uint8_t)__builtin_ctz(slots);
			e->index = hash_read_slot(h, line, e->slot, &e->stamp);
		}
		err = collect_overflow(h, line, bucket % LINE_BUCKETS, out);
	} while (err == -ESTALE || (!err && line_moved(line, out->w)));
	if (!err)
		sort(out);
	return err;
}

/* The key of the newest of the collected entries below the stamp, into the buffer. 1, 0: none, -ESTALE: look again. */
static int next_in_bucket(const struct hash *h, uint32_t bucket, uint64_t below, void *key, struct hash_bucket *found)
{
	int err = hash_collect(h, bucket, found);

	if (err)
		return err;
	for (uint32_t i = 0; i < found->n; i++) {
		if (found->entries[i].stamp >= below)
			continue;
		words_load(key, element_key(slab_object(&h->elements, found->entries[i].index)), h->key_size);
		/* grace: the key stays in the section; a swap keeps it. At once: the element may serve another key by
		 * now */
		return h->elements.budget || !line_moved(hash_line(h, bucket), found->w) ? 1 : -ESTALE;
	}
	return 0;
}

static int next_from(const struct hash *h, uint32_t bucket, uint64_t below, void *key)
{
	struct hash_bucket found = { .n = 0 };
	int got;

	for (;;) {
		do
			got = next_in_bucket(h, bucket, below, key, &found);
		while (got == -ESTALE);
		if (got)
			break;
		if (found.line_empty)
			bucket |= LINE_BUCKETS - 1;
		if (bucket >= h->bucket_mask) {
			got = -ENOENT;
			break;
		}
		bucket++;
		below = UINT64_MAX;
	}
	hash_bucket_free(&found);
	return got > 0 ? 0 : got;
}

HASH_INLINE int next_key(const struct hash *h, const void *key, void *next, struct hash_kind kind)
{
	uint64_t below = UINT64_MAX;
	uint32_t bucket = 0;

	while (key) {
		struct hash_target t = hash_target(h, key, kind);
		struct hash_place place;

		if (!hash_find(h, &t, key, &place, NULL, kind))
			break; /* absent: from the start */
		if (hash_stamp(h, &t, &place, &below)) {
			bucket = t.bucket;
			break;
		}
	}
	return next_from(h, bucket, below, next);
}

/* The caller's buffer is touched only if there is a next key; it may be the key's own. */
HASH_INLINE int next_key_bounced(const struct hash *h, const void *key, void *next, struct hash_kind kind)
{
	unsigned char small[BOUNCE];
	uint32_t size = kind_key_size(h, kind);
	void *bounce = size <= BOUNCE ? small : mem_alloc(size);
	int err;

	if (!bounce)
		return -ENOMEM;
	if (kind.grace)
		thread_read_lock();
	err = next_key(h, key, bounce, kind);
	if (kind.grace)
		thread_read_unlock();
	if (!err)
		memcpy(next, bounce, size);
	if (bounce != small)
		mem_free(bounce, size);
	return err;
}

#define VARIANT(name, size, traits)                                                        \
	int hash_next_key_##name(struct usermap *map, const void *key, void *next)         \
	{                                                                                  \
		return next_key_bounced(hash_of(map), key, next, HASH_KIND(size, traits)); \
	}
HASH_WALK_VARIANTS(VARIANT)
