/* SPDX-License-Identifier: MIT */
/* A map of keys and values that are made from ids (value.h): what all tests here work on. */
#ifndef TESTS_CONCURRENCY_IDMAP_H
#define TESTS_CONCURRENCY_IDMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <usermap/usermap.h>

#define IDMAP_KEY_MAX 24
#define IDMAP_TORN    9999 /* what the operations return when bytes are not those of one id */
#define IDMAP_BATCH   96   /* entries of one batch call */
#define IDMAP_CPUS    2	   /* slots of a per-CPU value */
#define IDMAP_LOCK    8	   /* where values with a spin lock have it */

enum idmap_values {
	IDMAP_PLAIN,
	IDMAP_PERCPU, /* PERCPU_HASH: each word of each slot has an id */
	IDMAP_LOCKED, /* HASH with a spin lock: read as one, with BPF_F_LOCK and without */
};

/* Whether a full map gives entries up, and which. */
enum idmap_eviction {
	IDMAP_KEEPS,   /* it doesn't: HASH and PERCPU_HASH */
	IDMAP_LRU,     /* the kernel's LRU, IDMAP_CPUS CPUs' lists */
	IDMAP_LRU_ONE, /* the same with one CPU's lists; IDMAP_PLAIN only */
	IDMAP_S3FIFO,
};

struct idmap_kind {
	const char *name;
	enum usermap_memory memory;
	enum usermap_reuse reuse;
	uint32_t map_flags, key_size, value_size; /* IDMAP_PERCPU: 8 or 16; IDMAP_LOCKED: 16 and more */
	enum idmap_values values;
	enum idmap_eviction eviction;
};

struct idmap {
	struct usermap *map;
	const struct idmap_kind *kind;
	uint32_t max_entries; /* of the map: may be more than was asked for */
};

/*
 * What was read: of a per-CPU value the id that each word is of, the words of the first slot first. Concurrent stores may
 * leave different ones. Other values are whole, or torn: one id, the rest is 0.
 */
#define IDMAP_WORDS 4
struct idmap_ids {
	uint64_t word[IDMAP_WORDS];
};
#define IDMAP_ZERO (UINT64_C(1) << 63) /* the id of a word of zeros in a per-CPU value */

/* How many words of idmap_ids are in use. */
unsigned idmap_words(const struct idmap_kind *kind);
/* A value that was stored as one. */
struct idmap_ids idmap_ids_of(const struct idmap_kind *kind, uint64_t id);

/* What evicts entries from private maps made from now on tells this of each; NULL: nobody. err: 0, or IDMAP_TORN. */
extern void (*idmap_evicted)(int err, uint32_t key, const struct idmap_ids *value);
/* Exits the program if the map can't be made. */
void idmap_create(struct idmap *m, const struct idmap_kind *kind, uint32_t max_entries);

/* 0, what the library returned, or IDMAP_TORN. *value: an id, 0 if there is none; of a per-CPU value the one that all words
 * have, else it's torn. flags: BPF_F_LOCK for values with a spin lock. */
int idmap_update(const struct idmap *m, uint32_t key, uint64_t value, uint64_t flags);
int idmap_delete(const struct idmap *m, uint32_t key);
int idmap_lookup(const struct idmap *m, uint32_t key, uint64_t *value);
int idmap_take(const struct idmap *m, uint32_t key, uint64_t *value);
/* Lookup, or lookup_and_delete, that tells words apart. */
int idmap_get(const struct idmap *m, uint32_t key, bool take, uint64_t flags, struct idmap_ids *value);
/* n <= 16 keys in one call: the ids of those found, 0 elsewhere. 0, IDMAP_TORN, or -EPROTO: the marks are wrong. */
int idmap_bulk(const struct idmap *m, const uint32_t *keys, struct idmap_ids *values, unsigned n);
/* The entry behind a program-face pointer, not of a per-CPU type; inside a section. */
int idmap_value_of(const struct idmap *m, const void *pointer, uint64_t *value);
const void *idmap_pointer(const struct idmap *m, uint32_t key);
/* Program face, values with a spin lock: stores the value under the lock, in pieces; calls `between` in the middle. */
int idmap_hold(const struct idmap *m, uint32_t key, uint64_t value, void (*between)(void));
/* Program face: a hit, which maps that evict take note of. Whether the key was there. */
bool idmap_use(const struct idmap *m, uint32_t key);
/* Per-CPU types, program face: stores into this CPU's slot; adds to the first word of this CPU's slot. The slot: idmap_slot(),
 * if the thread stays on its CPU. */
int idmap_update_slot(const struct idmap *m, uint32_t key, uint64_t value, uint64_t flags);
int idmap_add(const struct idmap *m, uint32_t key, uint64_t delta);
unsigned idmap_slot(void);
/* The key after *key; 0 for the first. */
int idmap_next(const struct idmap *m, uint32_t *key);
/* The whole map by batches, taken out of it or not: calls `each` with every entry. 0, IDMAP_TORN, or an unexpected error. */
int idmap_batch(const struct idmap *m, bool take, uint64_t elem_flags,
		void (*each)(void *context, uint32_t key, const struct idmap_ids *value), void *context);
uint64_t idmap_count(const struct idmap *m);

#endif
