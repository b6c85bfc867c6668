/* SPDX-License-Identifier: MIT */
/* A map of keys and values that are made from ids (value.h): what all tests here work on. */
#ifndef TESTS_CONCURRENCY_IDMAP_H
#define TESTS_CONCURRENCY_IDMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <usermap/usermap.h>

#define IDMAP_KEY_MAX 24
#define IDMAP_TORN 9999    /* what the operations return when bytes are not those of one id */
#define IDMAP_BATCH 96     /* entries of one batch call */

struct idmap_kind {
	const char *name;
	enum usermap_memory memory;
	enum usermap_reuse reuse;
	uint32_t map_flags, key_size, value_size;
};

struct idmap {
	struct usermap *map;
	const struct idmap_kind *kind;
	uint32_t max_entries;
};

/* Exits the program if the map can't be made. */
void idmap_create(struct idmap *m, const struct idmap_kind *kind, uint32_t max_entries);

/* 0, what the library returned, or IDMAP_TORN. *value: an id, 0 if there is none. */
int idmap_update(const struct idmap *m, uint32_t key, uint64_t value, uint64_t flags);
int idmap_delete(const struct idmap *m, uint32_t key);
int idmap_lookup(const struct idmap *m, uint32_t key, uint64_t *value);
int idmap_take(const struct idmap *m, uint32_t key, uint64_t *value);
/* Keys 1 … n in one call, n <= 16: the ids of those found, 0 elsewhere. 0, IDMAP_TORN, or -EPROTO: the marks are wrong. */
int idmap_bulk(const struct idmap *m, const uint32_t *keys, uint64_t *values, unsigned n);
/* The entry behind a program-face pointer; inside a section. */
int idmap_value_of(const struct idmap *m, const void *pointer, uint64_t *value);
const void *idmap_pointer(const struct idmap *m, uint32_t key);
/* The key after *key; 0 for the first. */
int idmap_next(const struct idmap *m, uint32_t *key);
/* The whole map by batches, taken out of it or not: calls `each` with every entry. 0, IDMAP_TORN, or an unexpected error. */
int idmap_batch(const struct idmap *m, bool take, void (*each)(void *context, uint32_t key, uint64_t value), void *context);
uint64_t idmap_count(const struct idmap *m);

#endif
