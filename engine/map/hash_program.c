/* SPDX-License-Identifier: MIT */
/* What only the program face does: walks with callbacks, another CPU's slot, counting in this CPU's slot. See hash.c.
 * */
#include <errno.h>
#include <string.h>

#include "core/alloc.h"
#include "map/hash_walk.h"
#include "map/hash_write.h"

#define BOUNCE 512 /* keys up to this size are handed to callbacks in a buffer on the stack */

/* Where a walk is: the next entry is the bucket's newest below the stamp. */
struct cursor {
	struct hash_bucket bucket;
	uint32_t number;
	uint64_t below;
};

/* The next entry of the cursor's bucket, with its key copied. 1, 0: the bucket has no more, -ENOMEM. */
HASH_INLINE int next_entry(const struct hash *h, struct cursor *c, void *key, uint32_t *index, struct hash_kind kind)
{
	const struct line *line = hash_line(h, c->number);

	for (;;) {
		uint32_t i = 0;
		int err = hash_collect(h, c->number, &c->bucket);

		if (err)
			return err;
		while (i < c->bucket.n && c->bucket.entries[i].stamp >= c->below)
			i++;
		if (i == c->bucket.n)
			return 0;
		*index = c->bucket.entries[i].index;
		words_load(key, element_key(slab_object(&h->elements, *index)), kind_key_size(h, kind));
		if (!kind.grace && line_moved(line, c->bucket.w))
			continue;
		c->below = c->bucket.entries[i].stamp;
		return 1;
	}
}

/* The bucket is collected anew after each callback, which may have changed it. */
HASH_INLINE long each(struct usermap *map, usermap_for_each_fn fn, void *ctx, void *key, struct cursor *c,
		      struct hash_kind kind)
{
	const struct hash *h = hash_of(map);
	long called = 0;

	for (c->number = 0;; c->number++) {
		uint32_t index = 0;
		int got;

		c->below = UINT64_MAX;
		while ((got = next_entry(h, c, key, &index, kind)) > 0) {
			struct object *e = hash_element(h, index, kind);

			called++;
			if (fn(map, key, hash_value_pointer(h, index, e, kind), ctx))
				return called;
		}
		if (got < 0)
			return got;
		if (c->bucket.line_empty)
			c->number |= LINE_BUCKETS - 1;
		if (c->number >= h->bucket_mask)
			return called;
	}
}

HASH_INLINE long for_each(struct usermap *map, usermap_for_each_fn fn, void *ctx, struct hash_kind kind)
{
	_Alignas(8) unsigned char small[BOUNCE];
	struct cursor c = { .number = 0 };
	void *key = map->key_size <= BOUNCE ? small : mem_alloc(map->key_size);
	long called;

	if (!key)
		return -ENOMEM;
	thread_read_lock();
	called = each(map, fn, ctx, key, &c, kind);
	thread_read_unlock();
	hash_bucket_free(&c.bucket);
	if (key != small)
		mem_free(key, map->key_size);
	return called;
}

#define VARIANT(name, size, traits)                                                       \
	long hash_for_each_##name(struct usermap *map, usermap_for_each_fn fn, void *ctx) \
	{                                                                                 \
		return for_each(map, fn, ctx, HASH_KIND(size, traits));                   \
	}
HASH_WALK_VARIANTS(VARIANT)

HASH_INLINE void *percpu_pointer(const struct hash *h, const void *key, uint32_t cpu, struct hash_kind kind)
{
	struct hash_target t = hash_target(h, key, kind);
	struct hash_place place;

	if (!hash_find(h, &t, key, &place, NULL, kind))
		return NULL;
	hash_mark(h, place.element, kind);
	return percpu_slot(&h->percpu, cpu, place.index);
}

/* One entry's add. 0, -ENOENT, -EOPNOTSUPP. */
HASH_INLINE int add(const struct hash *h, struct writer *w, const void *key, uint32_t offset, uint64_t delta,
		    struct hash_kind kind)
{
	struct hash_target t = hash_target(h, key, kind);
	struct hash_place place;
	int got, err = 0;
	bool there;

	do {
		got = hash_glance(h, &t, key, &place, NULL, kind);
		if (caa_unlikely(got < 0))
			got = hash_find(h, &t, key, &place, NULL, kind);
		if (!got)
			return -ENOENT;
		hash_announce(w, place.index, kind);
		there = !line_moved(t.line, place.w);
		if (caa_likely(there)) {
			TEST_POINT(TP_STORE);
			atomic_thread_fence(memory_order_release); /* release: as in update_glance */
			err = percpu_add(&h->percpu, place.index, offset, delta);
			hash_mark(h, place.element, kind);
		}
		hash_announce_end(w);
	} while (caa_unlikely(!there));
	return err;
}

HASH_INLINE int percpu_add_key(struct hash *h, const void *key, uint32_t offset, uint64_t delta, struct hash_kind kind)
{
	struct writer *w;
	int err = 0;

	w = writer_begin(&h->writers, h->n_cpus, &err);
	if (caa_unlikely(!w))
		return err;
	if (kind.grace)
		thread_read_lock();
	err = add(h, w, key, offset, delta, kind);
	if (kind.grace)
		thread_read_unlock();
	writer_end(w);
	return err;
}

#define PERCPU_VARIANT(name, size, traits)                                                          \
	void *hash_lookup_percpu_ptr_##name(struct usermap *map, const void *key, __u32 cpu)        \
	{                                                                                           \
		return percpu_pointer(hash_of(map), key, cpu, HASH_KIND(size, traits));             \
	}                                                                                           \
	int hash_percpu_add_##name(struct usermap *map, const void *key, __u32 offset, __u64 delta) \
	{                                                                                           \
		return percpu_add_key(hash_of(map), key, offset, delta, HASH_KIND(size, traits));   \
	}
HASH_PERCPU_VARIANTS(PERCPU_VARIANT)
