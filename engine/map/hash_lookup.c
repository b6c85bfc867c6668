/* SPDX-License-Identifier: MIT */
/* Lookups of one key and of many. See hash.c. */
#include <limits.h>
#include <string.h>

#include "core/alloc.h"
#include "map/hash.h"

#define BOUNCE	   512 /* values up to this size are validated in a buffer on the stack */
#define BULK_GROUP 32  /* lookups whose cache misses overlap */

HASH_INLINE void copy_value(const struct hash *h, void *value, uint32_t index, struct object *e, struct hash_kind kind)
{
	hash_value_load(h, value, index, e, kind);
	/* acquire fence: a value stored in place makes visible what came before its update */
	atomic_thread_fence(memory_order_acquire);
}

/* At once: the value must be whole before it may reach the caller's buffer, which stays untouched on a miss. */
HASH_INLINE int lookup_validated(const struct hash *h, const struct hash_target *t, const void *key, void *value,
				 struct hash_kind kind)
{
	struct hash_place place;
	unsigned char small[BOUNCE];
	uint32_t size = hash_value_bytes(h, kind);
	void *bounce = size <= BOUNCE ? small : mem_alloc(size);
	bool found;

	if (!bounce)
		return -ENOMEM;
	found = hash_find(h, t, key, &place, bounce, kind);
	if (found) {
		hash_mark_copy(h, place.element, kind);
		memcpy(value, bounce, size);
	}
	if (bounce != small)
		mem_free(bounce, size);
	return found ? 0 : -ENOENT;
}

/* Grace: inside a section, the element stays what it is. */
HASH_INLINE int lookup_found(const struct hash *h, const struct hash_target *t, const void *key, void *value,
			     struct hash_kind kind)
{
	struct hash_place place;

	if (!hash_find(h, t, key, &place, NULL, kind))
		return -ENOENT;
	copy_value(h, value, place.index, place.element, kind);
	return 0;
}

/*
 * Values with a lock are never copied while someone stores in place, with BPF_F_LOCK and without. At once, the copy
 * counts if the line has not moved meanwhile.
 */
HASH_INLINE int lookup_locked(const struct hash *h, const struct hash_target *t, const void *key, void *value,
			      struct hash_kind kind)
{
	struct hash_place place;
	unsigned char small[BOUNCE];
	void *bounce = h->value_size <= BOUNCE ? small : mem_alloc(h->value_size);
	int err;

	if (!bounce)
		return -ENOMEM;
	do {
		if (!hash_find(h, t, key, &place, NULL, kind))
			err = -ENOENT;
		else
			err = vlock_read_raw(&h->locks, place.index, bounce);
	} while (err == -EAGAIN || (err != -ENOENT && !kind.grace && line_moved(t->line, place.w)));
	if (!err)
		memcpy(value, bounce, h->value_size);
	if (bounce != small)
		mem_free(bounce, h->value_size);
	return err;
}

/* Inside a section on grace maps. */
HASH_INLINE int lookup_target(const struct hash *h, const struct hash_target *t, const void *key, void *value,
			      struct hash_kind kind)
{
	if (kind.locked)
		return lookup_locked(h, t, key, value, kind);
	return kind.grace ? lookup_found(h, t, key, value, kind) : lookup_validated(h, t, key, value, kind);
}

/*
 * Values of up to a word are whole in a register, and count if the line has not moved. At once that is all there is to
 * it. With grace periods it spares the section as long as nobody swaps: then an element leaves its slot by a commit,
 * before it can serve another key.
 */
HASH_INLINE int lookup_glance_word(const struct hash *h, const struct hash_target *t, const void *key, void *value,
				   struct hash_kind kind)
{
	uint32_t size = hash_value_bytes(h, kind);
	struct hash_place place;
	uint64_t word;
	int got = size <= 8 && !kind.percpu ? hash_glance(h, t, key, &place, &word, kind) : -1;

	if (caa_unlikely(got <= 0))
		return got;
	if (kind.grace && caa_unlikely(hash_replaces(h, kind) != REPLACE_IN_PLACE))
		return -1;
	hash_mark_copy(h, place.element, kind);
	memcpy(value, &word, size <= 8 ? size : 8);
	return 1;
}

HASH_INLINE int lookup_glance_section(const struct hash *h, const struct hash_target *t, const void *key, void *value,
				      struct hash_kind kind)
{
	struct urcu_bp_reader *section = thread_section_begin();
	struct hash_place place;
	int got;

	if (caa_unlikely(!section))
		return -1;
	got = hash_glance(h, t, key, &place, NULL, kind);
	if (kind.locked && got > 0)
		got = vlock_read(&h->locks, place.index, value) ? -1 : 1;
	else if (caa_likely(got > 0))
		copy_value(h, value, place.index, place.element, kind);
	thread_section_end(section);
	return got;
}

HASH_INLINE void *pointer_of(const struct hash *h, const struct hash_target *t, const void *key, struct hash_kind kind)
{
	struct hash_place place;

	if (!hash_find(h, t, key, &place, NULL, kind))
		return NULL;
	hash_mark(h, place.element, kind);
	return hash_value_pointer(h, place.index, place.element, kind);
}

/* The element that the first slot with the target's tag names, into the cache. A wrong guess costs a miss, no more. */
HASH_INLINE void prefetch_element(const struct hash *h, const struct hash_target *t)
{
	uint64_t tags = atomic_load_explicit(&t->line->commit.second, memory_order_relaxed);
	line_match m = line_match_tag(tags, t->tag);

	if (m)
		__builtin_prefetch(slab_object(
			&h->elements, atomic_load_explicit(&t->line->index[line_match_slot(m)], memory_order_relaxed)));
}

/* Lines, then elements, of keys that are written to next; in groups, so that the first of them are there when they are
 * used. */
HASH_INLINE void prefetch_keys(const struct hash *h, const unsigned char *keys, uint32_t n, struct hash_kind kind)
{
	struct hash_target t[BULK_GROUP];

	n = n < BULK_GROUP ? n : BULK_GROUP;
	for (uint32_t i = 0; i < n; i++) {
		t[i] = hash_target(h, keys + (size_t)i * kind_key_size(h, kind), kind);
		__builtin_prefetch(t[i].line, 1);
	}
	for (uint32_t i = 0; i < n; i++)
		prefetch_element(h, &t[i]);
}

HASH_INLINE int lookup_group(const struct hash *h, const unsigned char *keys, unsigned char *values, uint32_t n,
			     uint32_t *found, struct hash_kind kind)
{
	uint32_t size = kind_key_size(h, kind);
	struct hash_target t[BULK_GROUP];

	*found = 0;
	for (uint32_t i = 0; i < n; i++) {
		t[i] = hash_target(h, keys + (size_t)i * size, kind);
		__builtin_prefetch(t[i].line);
	}
	for (uint32_t i = 0; i < n; i++)
		prefetch_element(h, &t[i]);
	for (uint32_t i = 0; i < n; i++) {
		const void *key = keys + (size_t)i * size;
		unsigned char *value = values + (size_t)i * hash_value_bytes(h, kind);

		int err = lookup_target(h, &t[i], key, value, kind);

		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		*found |= 1u << i;
	}
	return 0;
}

HASH_INLINE int lookup_bulk(const struct hash *h, const unsigned char *keys, unsigned char *values, uint32_t n,
			    __u64 *found, struct hash_kind kind)
{
	int total = 0, err = 0;

	if (n > INT_MAX)
		return -EINVAL;
	memset(found, 0, ((size_t)n + 63) / 64 * sizeof(*found));
	for (uint32_t i = 0; i < n && !err; i += BULK_GROUP) {
		uint32_t bits;

		if (kind.grace)
			thread_read_lock();
		err = lookup_group(h, keys + (size_t)i * kind_key_size(h, kind),
				   values + (size_t)i * hash_value_bytes(h, kind),
				   n - i < BULK_GROUP ? n - i : BULK_GROUP, &bits, kind);
		if (kind.grace)
			thread_read_unlock();
		found[i / 64] |= (uint64_t)bits << i % 64;
		total += __builtin_popcount(bits);
	}
	return err ? err : total;
}

/* Each lookup is a glance, and what a glance can't tell, out of its way. */
HASH_INLINE int lookup_glance(const struct hash *h, const struct hash_target *t, const void *key, void *value,
			      struct hash_kind kind)
{
	if (kind.locked && !kind.grace)
		return -1;
	return kind.grace && !kind.pair ? lookup_glance_section(h, t, key, value, kind)
					: lookup_glance_word(h, t, key, value, kind);
}

HASH_INLINE int lookup_slow(const struct hash *h, const void *key, void *value, struct hash_kind kind)
{
	struct hash_target t = hash_target(h, key, kind);
	int err;

	if (kind.grace)
		thread_read_lock();
	err = lookup_target(h, &t, key, value, kind);
	if (kind.grace)
		thread_read_unlock();
	return err;
}

#define VARIANT(name, size, traits)                                                                             \
	HASH_COLD int lookup_slow_##name(const struct hash *h, const void *key, void *value)                    \
	{                                                                                                       \
		return lookup_slow(h, key, value, HASH_KIND(size, traits));                                     \
	}                                                                                                       \
	int hash_lookup_##name(struct usermap *map, const void *key, void *value, __u64 flags)                  \
	{                                                                                                       \
		const struct hash_kind kind = HASH_KIND(size, traits);                                          \
		struct hash *h = hash_of(map);                                                                  \
		struct hash_target t = hash_target(h, key, kind);                                               \
		int got = lookup_glance(h, &t, key, value, kind);                                               \
                                                                                                                \
		(void)flags; /* BPF_F_LOCK: values with a lock are always read so */                            \
		return caa_likely(got > 0) ? 0 : got ? lookup_slow_##name(h, key, value) : -ENOENT;             \
	}                                                                                                       \
	HASH_COLD void *lookup_ptr_slow_##name(struct usermap *map, const void *key)                            \
	{                                                                                                       \
		const struct hash_kind kind = HASH_KIND(size, traits);                                          \
		struct hash_target t = hash_target(hash_of(map), key, kind);                                    \
                                                                                                                \
		return pointer_of(hash_of(map), &t, key, kind);                                                 \
	}                                                                                                       \
	void *hash_lookup_ptr_##name(struct usermap *map, const void *key)                                      \
	{                                                                                                       \
		const struct hash_kind kind = HASH_KIND(size, traits);                                          \
		struct hash *h = hash_of(map);                                                                  \
		struct hash_target t = hash_target(h, key, kind);                                               \
		struct hash_place place;                                                                        \
		int got = hash_glance(h, &t, key, &place, NULL, kind);                                          \
                                                                                                                \
		if (caa_likely(got > 0)) {                                                                      \
			hash_mark(h, place.element, kind);                                                      \
			return hash_value_pointer(h, place.index, place.element, kind);                         \
		}                                                                                               \
		return got ? lookup_ptr_slow_##name(map, key) : NULL;                                           \
	}                                                                                                       \
	void hash_prefetch_##name(struct usermap *map, const void *keys, __u32 n)                               \
	{                                                                                                       \
		prefetch_keys(hash_of(map), keys, n, HASH_KIND(size, traits));                                  \
	}                                                                                                       \
	int hash_lookup_bulk_##name(struct usermap *map, const void *keys, void *values, __u32 n, __u64 *found) \
	{                                                                                                       \
		return lookup_bulk(hash_of(map), keys, values, n, found, HASH_KIND(size, traits));              \
	}
HASH_VARIANTS(VARIANT)
