/* SPDX-License-Identifier: MIT */
/*
 * The hash types: what their files share. hash.c opens with the essay.
 *
 * Operations exist in variants: for keys of 4 and 8 bytes and for others, for maps with grace periods and maps that
 * reuse at once, for the commonest map of all, 8 bytes to 8 bytes without BPF_F_ZERO_SEED ("pair"), for per-CPU values
 * and for values with a spin lock. Of maps that evict only private pairs have a variant of their own; the others reuse
 * at once, and such code asks hash_evicts(). The code is written once, in always-inline functions that take a constant struct
 * hash_kind; each file makes its variants with HASH_VARIANTS.
 */
#ifndef ENGINE_MAP_HASH_H
#define ENGINE_MAP_HASH_H

#include "core/credit.h"
#include "core/errno.h"
#include "core/evict.h"
#include "core/hashfn.h"
#include "core/line.h"
#include "core/overflow.h"
#include "core/percpu.h"
#include "core/vlock.h"
#include "core/words.h"
#include "core/writer.h"
#include "map/map.h"

#define HASH_INLINE static inline __attribute__((always_inline))
#define HASH_COLD   static __attribute__((noinline, cold))

struct hash_kind {
	uint32_t key_size; /* 0: not a constant */
	bool pair;	   /* key and value of 8 bytes, not ordered */
	bool grace;	   /* elements are reused after a grace period */
	bool percpu;	   /* values have a slot for each CPU, outside the elements; replaced in place */
	bool locked;	   /* values have a spin lock; BPF_F_LOCK replaces them in place */
	bool evicts;	   /* private, and evicts; others that do so are told by hash_evicts() */
};

#define HASH_PAIR   1
#define HASH_GRACE  2
#define HASH_PERCPU 4
#define HASH_LOCKED 8
#define HASH_EVICTS 16

#define HASH_KIND(size, traits)                                                                                        \
	((struct hash_kind){ size, ((traits)&HASH_PAIR) != 0, ((traits)&HASH_GRACE) != 0, ((traits)&HASH_PERCPU) != 0, \
			     ((traits)&HASH_LOCKED) != 0, ((traits)&HASH_EVICTS) != 0 })

/* X(name, key size, traits) */
#define HASH_PLAIN_VARIANTS(X)                       \
	X(pair_grace, 8, HASH_PAIR | HASH_GRACE)     \
	X(key4_grace, 4, HASH_GRACE)                 \
	X(key8_grace, 8, HASH_GRACE)                 \
	X(key_grace, 0, HASH_GRACE)                  \
	X(pair_at_once, 8, HASH_PAIR)                \
	X(key4_at_once, 4, 0)                        \
	X(key8_at_once, 8, 0)                        \
	X(key_at_once, 0, 0)                         \
	X(pair_evicts, 8, HASH_PAIR | HASH_EVICTS)   \
	X(locked_grace, 0, HASH_LOCKED | HASH_GRACE) \
	X(locked_at_once, 0, HASH_LOCKED)
#define HASH_PERCPU_VARIANTS(X)                       \
	X(percpu4_grace, 4, HASH_PERCPU | HASH_GRACE) \
	X(percpu8_grace, 8, HASH_PERCPU | HASH_GRACE) \
	X(percpu_grace, 0, HASH_PERCPU | HASH_GRACE)  \
	X(percpu4_at_once, 4, HASH_PERCPU)            \
	X(percpu8_at_once, 8, HASH_PERCPU)            \
	X(percpu_at_once, 0, HASH_PERCPU)
#define HASH_VARIANTS(X) HASH_PLAIN_VARIANTS(X) HASH_PERCPU_VARIANTS(X)
/* For walks: what a constant key size saves there is little, but for the commonest map. */
#define HASH_WALK_VARIANTS(X)                        \
	X(pair_grace, 8, HASH_PAIR | HASH_GRACE)     \
	X(key_grace, 0, HASH_GRACE)                  \
	X(pair_at_once, 8, HASH_PAIR)                \
	X(key_at_once, 0, 0)                         \
	X(locked_grace, 0, HASH_LOCKED | HASH_GRACE) \
	X(locked_at_once, 0, HASH_LOCKED)            \
	X(percpu_grace, 0, HASH_PERCPU | HASH_GRACE) \
	X(percpu_at_once, 0, HASH_PERCPU)

/* The process-local part, in map->type_data. Constant after attach, but for what slabs and writers mark. */
struct hash {
	struct line *lines;
	uint32_t bucket_mask; /* n_buckets - 1 */
	uint32_t key_size;
	uint32_t value_size;
	uint32_t value_bytes; /* in the caller's buffers: per-CPU values have all slots there */
	uint32_t max_entries;
	uint32_t chain_max;  /* nodes in a chain at most; what is longer is no work of ours */
	uint32_t key_stride; /* room of the key in an element */
	uint32_t n_cpus;
	uint64_t seed;
	bool ordered;  /* BPF_F_ZERO_SEED: the kernel's walk order */
	bool in_place; /* values of up to 8 bytes on maps with grace periods, not ordered */
	struct region_header *header;
	_Atomic uint32_t draining; /* enum below; set by the first lookup_and_delete, read by all operations */
	struct cpu_line *cpu_lines;
	struct slab elements;
	struct slab nodes;
	struct writer_set writers;
	struct percpu percpu;		/* per-CPU values: slot i belongs to element i */
	struct value_locks locks;	/* values with a spin lock: value i is element i's */
	struct process_slots processes; /* of a shared map with locks: for values, or an LRU's lists */
	struct evict evict;		/* LRU types: who gets which element */
	usermap_evict_fn on_evict;	/* the same; NULL: none */
	void *on_evict_ctx;
};

_Static_assert(sizeof(struct hash) <= sizeof(((struct usermap *)0)->type_data), "fits the handle");

static inline struct hash *hash_of(const struct usermap *map)
{
	return (struct hash *)(uintptr_t)map->type_data;
}

HASH_INLINE bool hash_ordered(const struct hash *h, struct hash_kind kind)
{
	return !kind.pair && h->ordered;
}

/* Whether a full map gives an entry up. Its elements are its policy's: no slab, no credits. */
HASH_INLINE bool hash_evicts(const struct hash *h, struct hash_kind kind)
{
	return kind.evicts || (!kind.grace && !kind.locked && h->evict.ops);
}

/* A hit by a program, or by a copy. */
HASH_INLINE void hash_mark(const struct hash *h, struct object *e, struct hash_kind kind)
{
	if (hash_evicts(h, kind))
		evict_mark(&h->evict, e);
}
HASH_INLINE void hash_mark_copy(const struct hash *h, struct object *e, struct hash_kind kind)
{
	if (hash_evicts(h, kind) && h->evict.mark_copies)
		evict_mark(&h->evict, e);
}

/* In the caller's buffers. */
HASH_INLINE uint32_t hash_value_bytes(const struct hash *h, struct hash_kind kind)
{
	return kind.pair ? 8 : kind.percpu ? h->value_bytes : h->value_size;
}

#define PAIR_ELEMENT_SIZE 32u

HASH_INLINE struct object *hash_element(const struct hash *h, uint32_t index, struct hash_kind kind)
{
	if (kind.pair && (kind.grace || kind.evicts)) /* private memory: the index is ours, and needs no check */
		return (struct object *)(h->elements.base + (size_t)index * PAIR_ELEMENT_SIZE);
	if (kind.pair)
		return (struct object *)(h->elements.base +
					 (size_t)(index < h->elements.n ? index : 0) * PAIR_ELEMENT_SIZE);
	return slab_object(&h->elements, index);
}

/* An element: the object header (the link word has the stamp while it is published), the key, the value, each padded to
 * whole words. */
HASH_INLINE unsigned char *element_key(struct object *e)
{
	return (unsigned char *)(e + 1);
}
HASH_INLINE unsigned char *element_value(const struct hash *h, struct object *e, struct hash_kind kind)
{
	return element_key(e) + (kind.key_size ? 8 : h->key_stride);
}
HASH_INLINE uint32_t kind_key_size(const struct hash *h, struct hash_kind kind)
{
	return kind.key_size ? kind.key_size : h->key_size;
}

/* Whether the element's key, which may be changing on a map that reuses at once, equals the caller's. */
HASH_INLINE bool element_has_key(const struct hash *h, struct object *e, const void *key, struct hash_kind kind)
{
	const word_t *word = (const word_t *)element_key(e);
	const unsigned char *k = key;
	uint32_t size = kind_key_size(h, kind);
	uint64_t x = 0;

	for (; size >= 8; size -= 8, k += 8, word++) {
		memcpy(&x, k, 8);
		if (__atomic_load_n(word, __ATOMIC_RELAXED) != x) /* relaxed: the version is checked afterwards */
			return false;
	}
	if (!size)
		return true;
	x = 0;
	memcpy(&x, k, size);
	return __atomic_load_n(word, __ATOMIC_RELAXED) == x;
}

/* A value of a kind without a lock, word by word: whoever needs it whole validates it. */
HASH_INLINE void hash_value_load(const struct hash *h, void *dst, uint32_t index, struct object *e,
				 struct hash_kind kind)
{
	if (kind.percpu)
		percpu_load(&h->percpu, index, dst);
	else if (caa_likely(hash_value_bytes(h, kind) == 8))
		words_load(dst, element_value(h, e, kind), 8);
	else
		words_load(dst, element_value(h, e, kind), h->value_size);
}

/* What the program face points to. */
HASH_INLINE void *hash_value_pointer(const struct hash *h, uint32_t index, struct object *e, struct hash_kind kind)
{
	return kind.percpu ? (void *)percpu_slot(&h->percpu, cpu_current(h->n_cpus), index) : element_value(h, e, kind);
}

static inline bool hash_is_percpu(const struct map_attr *attr)
{
	return attr->type == BPF_MAP_TYPE_PERCPU_HASH || attr->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}
static inline bool hash_is_lru(const struct map_attr *attr)
{
	return attr->type == BPF_MAP_TYPE_LRU_HASH || attr->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* What a map of these attributes is made of (hash_layout.c). */
int hash_alloc_check(const struct map_attr *attr);
int hash_layout(struct region_layout *layout);
uint32_t hash_n_buckets(const struct map_attr *attr);
uint64_t hash_budget(const struct region_layout *layout); /* elements that may wait for a grace period */
/* The elements: bytes of one; with what it has outside of itself; how many; and how many are obtained at creation. */
uint32_t hash_element_size(const struct map_attr *attr);
uint32_t hash_element_footprint(const struct region_layout *layout);
uint64_t hash_n_elements(const struct region_layout *layout);
uint64_t hash_elements_preallocated(const struct map_attr *attr);
uint64_t hash_n_nodes(const struct region_layout *layout);
const struct evict_ops *hash_policy(const struct map_attr *attr); /* NULL: the map doesn't evict */

/* The policy's way to take an entry out (hash_evict.c). */
enum evict_removed hash_evict(struct evict *e, struct writer *w, uint32_t index);
void hash_evict_prefetch(const struct evict *e, uint32_t index);

/* Where a key belongs. */
struct hash_target {
	struct line *line;
	uint64_t hash;
	uint32_t bucket;
	uint8_t tag;
};

HASH_INLINE struct hash_target hash_target(const struct hash *h, const void *key, struct hash_kind kind)
{
	uint64_t hash = hash_key(key, kind_key_size(h, kind), h->seed, hash_ordered(h, kind));
	uint32_t bucket = (uint32_t)hash & h->bucket_mask;

	return (struct hash_target){ &h->lines[bucket / LINE_BUCKETS], hash, bucket,
				     line_tag_of(bucket, (uint32_t)(hash >> 32)) };
}

/* Where a key was found, and the commit word under which that was true. */
struct hash_place {
	line_word w;
	uint32_t index;
	struct object *element;
	unsigned slot;	/* of the line, or of the node */
	int depth;	/* -1: in the line; else hops from the root */
	uint64_t owner; /* of the element, read before a commit that removes it */
};

/* The part of a search behind the line's own slots. 1 found, 0 not there, -ESTALE the line moved. */
HASH_INLINE int hash_find_overflow(const struct hash *h, const struct hash_target *t, const void *key,
				   struct hash_place *place, struct hash_kind kind)
{
	uint32_t at = line_overflow(place->w);

	/* the bound is for hostile files: an honest chain is not longer */
	for (uint32_t depth = 0; at && depth < h->chain_max; depth++) {
		const struct node *node = node_at(&h->nodes, at);

		for (line_match m = line_match_tag(node_tags(node), t->tag); m; m &= m - 1) {
			unsigned slot = line_match_slot(m);
			uint32_t index = node_index(node, slot);
			struct object *e = slab_object(&h->elements, index);

			if (!element_has_key(h, e, key, kind))
				continue;
			place->index = index;
			place->element = e;
			place->slot = slot;
			place->depth = (int)depth;
			return 1;
		}
		at = node_next(node);
		/* at once: the node may serve another line by now, and its link lead anywhere */
		if (!kind.grace && line_moved(t->line, place->w))
			return -ESTALE;
	}
	return 0;
}

/*
 * Finds a key under one commit word: `place` is then valid as long as the commit word is. With `copy`, the value is
 * copied out before the commit word is checked, so what is returned was whole. On absence place->w is the word that
 * says so.
 */
HASH_INLINE bool hash_find(const struct hash *h, const struct hash_target *t, const void *key, struct hash_place *place,
			   void *copy, struct hash_kind kind)
{
	for (;;) {
		bool found = false;
		int behind;

		*place = (struct hash_place){ .w = line_read(t->line), .depth = -1 };
		for (line_match m = line_match_tag(place->w.second, t->tag); m; m &= m - 1) {
			place->slot = line_match_slot(m);
			/* acquire: the element's bytes were written before its index */
			place->index = atomic_load_explicit(&t->line->index[place->slot], memory_order_acquire);
			TEST_POINT(TP_INDEX);
			place->element = hash_element(h, place->index, kind);
			found = element_has_key(h, place->element, key, kind);
			if (found)
				break;
		}
		if (!found && caa_unlikely(line_overflow(place->w))) {
			behind = hash_find_overflow(h, t, key, place, kind);
			if (behind < 0)
				continue;
			found = behind > 0;
		}
		TEST_POINT(TP_DATA);
		if (found && copy)
			hash_value_load(h, copy, place->index, place->element, kind);
		if (caa_likely(!line_moved(t->line, place->w)))
			return found;
	}
}

/*
 * What hash_find finds at the first look, nearly always: the key in the first slot with its tag, or no such tag and no
 * overflow. 1: found; place->w, index, element and slot are set and, with `word`, the first word of its value: all were
 * the key's at an instant of the call. 0: absent. -1: hash_find must tell.
 */
HASH_INLINE int hash_glance(const struct hash *h, const struct hash_target *t, const void *key,
			    struct hash_place *place, uint64_t *word, struct hash_kind kind)
{
	line_word w = line_read(t->line);
	line_match m = line_match_tag(w.second, t->tag);

	if (!m)
		return caa_unlikely(line_overflow(w) || line_moved(t->line, w)) ? -1 : 0;
	place->w = w;
	place->slot = line_match_slot(m);
	/* acquire: the element's bytes were written before its index */
	place->index = atomic_load_explicit(&t->line->index[place->slot], memory_order_acquire);
	place->element = hash_element(h, place->index, kind);
	TEST_POINT(TP_INDEX);
	if (caa_unlikely(!element_has_key(h, place->element, key, kind)))
		return -1;
	TEST_POINT(TP_DATA);
	if (word) /* relaxed: validated with the rest */
		*word = __atomic_load_n((const word_t *)element_value(h, place->element, kind), __ATOMIC_RELAXED);
	return caa_unlikely(line_moved(t->line, w)) ? -1 : 1;
}

/* How a map with grace periods replaces the value of an entry in a slot, at present. */
enum hash_replacement { REPLACE_IN_PLACE, REPLACE_BY_COMMIT, REPLACE_BY_SWAP };

/* h->draining */
enum { DRAIN_NONE, DRAIN_UNDER_WAY, DRAIN_DONE };

/*
 * Maps that store in place stop doing so for ever at the first lookup_and_delete (hash_drain). While operations that
 * store in place may still be running nobody swaps, and after that everybody does. So an operation that sees
 * REPLACE_IN_PLACE knows that no swap happens before it ends.
 */
HASH_INLINE enum hash_replacement hash_replaces(const struct hash *h, struct hash_kind kind)
{
	uint32_t draining;

	if (kind.percpu)
		return REPLACE_IN_PLACE;
	if (!kind.pair && !h->in_place)
		return h->ordered ? REPLACE_BY_COMMIT : REPLACE_BY_SWAP;
	/* acquire: pairs with hash_drain; the operation's number was visible before this load */
	draining = atomic_load_explicit(&h->draining, memory_order_acquire);
	if (caa_likely(draining == DRAIN_NONE))
		return REPLACE_IN_PLACE;
	return draining == DRAIN_DONE ? REPLACE_BY_SWAP : REPLACE_BY_COMMIT;
}

/* The variants' operations: lookup, update, delete, … of each, defined in the files named. */
#define HASH_DECLARE(name, size, traits)                                                                         \
	int hash_lookup_##name(struct usermap *map, const void *key, void *value, __u64 flags);                  \
	void *hash_lookup_ptr_##name(struct usermap *map, const void *key);                                      \
	int hash_lookup_bulk_##name(struct usermap *map, const void *keys, void *values, __u32 n, __u64 *found); \
	void hash_prefetch_##name(struct usermap *map, const void *keys, __u32 n);                               \
	int hash_update_##name(struct usermap *map, const void *key, const void *value, __u64 flags);            \
	int hash_delete_##name(struct usermap *map, const void *key);                                            \
	int hash_lookup_and_delete_##name(struct usermap *map, const void *key, void *value, __u64 flags);
HASH_VARIANTS(HASH_DECLARE)

#define HASH_WALK_DECLARE(name, size, traits)                                              \
	int hash_next_key_##name(struct usermap *map, const void *key, void *next_key);    \
	long hash_for_each_##name(struct usermap *map, usermap_for_each_fn fn, void *ctx); \
	int hash_lookup_batch_##name(struct usermap *map, struct map_batch *batch);        \
	int hash_lookup_and_delete_batch_##name(struct usermap *map, struct map_batch *batch);
HASH_WALK_VARIANTS(HASH_WALK_DECLARE)

#define HASH_PERCPU_DECLARE(name, size, traits)                                                            \
	void *hash_lookup_percpu_ptr_##name(struct usermap *map, const void *key, __u32 cpu);              \
	int hash_update_prog_##name(struct usermap *map, const void *key, const void *value, __u64 flags); \
	int hash_percpu_add_##name(struct usermap *map, const void *key, __u32 offset, __u64 delta);
HASH_PERCPU_VARIANTS(HASH_PERCPU_DECLARE)

/* Rebuilds a private map in a forked child (hash_repair.c). */
void hash_repair(struct writer_set *set, struct writer *self);

#endif
