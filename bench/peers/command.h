/* SPDX-License-Identifier: MIT */
/*
 * A map behind bpf(2) or behind usermap_bpf(): the same code for both, so that they are given equal work. The
 * including file defines first
 *
 *	static inline long command(int cmd, union bpf_attr *attr, unsigned int size);
 *
 * As libbpf does, each operation clears the part of the attr that its command uses and passes that size.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "form.h"
#include "lock_type.h"
#include "table.h"

struct command_map {
	int fd;
	uint32_t capacity;
	uint32_t walk; /* where the next TABLE_BATCH_LOOKUP goes on */
	bool walking;
	form_key keys[TABLE_BATCH];
	uint64_t values[]; /* TABLE_BATCH of VALUE_WORDS */
};

#define ATTR_END(field) (offsetof(union bpf_attr, field) + sizeof(((union bpf_attr *)NULL)->field))

static inline uint64_t address(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static inline bool command_elem(void *table, int cmd, uint64_t key, const uint64_t *value, uint64_t flags)
{
	unsigned int size = cmd == BPF_MAP_DELETE_ELEM ? ATTR_END(key) : ATTR_END(flags);
	const form_key map_key = (form_key)key;
	union bpf_attr attr;

	memset(&attr, 0, ATTR_END(flags));
	attr.map_fd = (uint32_t)((struct command_map *)table)->fd;
	attr.key = address(&map_key);
	attr.value = address(value);
	attr.flags = flags;
	return command(cmd, &attr, size) == 0;
}

static inline bool table_lookup(void *table, uint64_t key, uint64_t *value)
{
	return command_elem(table, BPF_MAP_LOOKUP_ELEM, key, value, FORM_FLAGS);
}

static inline bool table_insert(void *table, uint64_t key, const uint64_t *value)
{
	return command_elem(table, BPF_MAP_UPDATE_ELEM, key, value, FORM_INSERT | FORM_FLAGS);
}

static inline bool table_update(void *table, uint64_t key, const uint64_t *value)
{
	return command_elem(table, BPF_MAP_UPDATE_ELEM, key, value, BPF_ANY | FORM_FLAGS);
}

static inline bool table_delete(void *table, uint64_t key)
{
	return command_elem(table, BPF_MAP_DELETE_ELEM, key, NULL, 0);
}

#include "peers/loops.h"

static size_t command_batch(struct command_map *map, int cmd, const uint64_t *keys, const uint64_t *values, uint32_t n)
{
	union bpf_attr attr;

	memset(&attr, 0, ATTR_END(batch));
	attr.batch.map_fd = (uint32_t)map->fd;
	attr.batch.keys = address(form_keys(keys, map->keys, n));
	attr.batch.values = address(values);
	attr.batch.count = n;
	attr.batch.elem_flags = FORM_FLAGS;
	return command(cmd, &attr, ATTR_END(batch)) == 0 ? attr.batch.count : 0;
}

static size_t command_batch_update(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	struct command_map *map = table;
	const size_t words = VALUE_WORDS;
	size_t right = 0;

	for (size_t i = 0, step; i < n; i += step) {
		step = n - i < TABLE_BATCH ? n - i : TABLE_BATCH;
		for (size_t j = 0; j < step; j++)
			value_make(map->values + j * words, words, keys[i + j], generation);
		right += command_batch(map, BPF_MAP_UPDATE_BATCH, keys + i, map->values, (uint32_t)step);
	}
	return right;
}

static size_t command_batch_delete(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	size_t right = 0;

	(void)generation;
	for (size_t i = 0, step; i < n; i += step) {
		step = n - i < TABLE_BATCH ? n - i : TABLE_BATCH;
		right += command_batch(table, BPF_MAP_DELETE_BATCH, keys + i, NULL, (uint32_t)step);
	}
	return right;
}

/* Goes on where the last call stopped, round and round. A batch is whole buckets, so it may be less than asked. */
static size_t command_batch_lookup(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	struct command_map *map = table;
	const size_t words = VALUE_WORDS;
	size_t right = 0;

	(void)keys;
	(void)generation;
	while (right < n) {
		union bpf_attr attr;
		long result;

		memset(&attr, 0, ATTR_END(batch));
		attr.batch.map_fd = (uint32_t)map->fd;
		attr.batch.in_batch = map->walking ? address(&map->walk) : 0;
		attr.batch.out_batch = address(&map->walk);
		attr.batch.keys = address(map->keys);
		attr.batch.values = address(map->values);
		attr.batch.elem_flags = FORM_FLAGS;
		attr.batch.count = n - right < TABLE_BATCH ? (uint32_t)(n - right) : TABLE_BATCH;
		result = command(BPF_MAP_LOOKUP_BATCH, &attr, ATTR_END(batch));
		if (result && errno == ENOSPC) /* the next bucket has more entries than were still asked for */
			return n;
		if (result && errno != ENOENT)
			return 0;
		map->walking = result == 0;
		for (uint32_t i = 0; i < attr.batch.count; i++)
			if (!value_is_right(map->values + i * words, words, map->keys[i]))
				return 0;
		right += attr.batch.count;
	}
	return right;
}

#ifdef FORM_LRU

/* Walks the map. */
static struct table_census command_census(void *table)
{
	struct command_map *map = table;
	struct table_census census = { .capacity = map->capacity, .evicted = TABLE_UNKNOWN };
	uint32_t walk = 0;
	long result;

	do {
		union bpf_attr attr;

		memset(&attr, 0, ATTR_END(batch));
		attr.batch.map_fd = (uint32_t)map->fd;
		attr.batch.in_batch = census.present ? address(&walk) : 0;
		attr.batch.out_batch = address(&walk);
		attr.batch.keys = address(map->keys);
		attr.batch.values = address(map->values);
		attr.batch.count = TABLE_BATCH;
		result = command(BPF_MAP_LOOKUP_BATCH, &attr, ATTR_END(batch));
		census.present += attr.batch.count;
	} while (result == 0);
	return census;
}

#define COMMAND_CENSUS command_census

#else
#define COMMAND_CENSUS NULL
#endif

/* The type of values with a spin lock; -1: the form has none, or no type can be had. */
static int command_load_type(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.btf = address(&lock_type);
	attr.btf_size = sizeof(lock_type);
	return VALUE_FIRST ? (int)command(BPF_BTF_LOAD, &attr, ATTR_END(btf_log_level)) : -1;
}

static void *command_create(size_t n)
{
	struct command_map *map = calloc(1, sizeof(*map) + TABLE_BATCH * VALUE_WORDS * sizeof(*map->values));
	int type = command_load_type();
	union bpf_attr attr;

	if (!map)
		return NULL;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = FORM_TYPE;
	attr.key_size = sizeof(form_key);
	attr.value_size = VALUE_SIZE;
	map->capacity = form_entries(n);
	attr.max_entries = map->capacity;
	attr.map_flags = FORM_MAP_FLAGS;
	if (type >= 0) {
		attr.btf_fd = (uint32_t)type;
		attr.btf_key_type_id = sizeof(form_key) == 4 ? LOCK_TYPE_U32 : LOCK_TYPE_U64;
		attr.btf_value_type_id = LOCK_TYPE_VALUE;
	}
	map->fd = (int)command(BPF_MAP_CREATE, &attr, ATTR_END(map_extra));
	if (type >= 0)
		close(type);
	if (map->fd >= 0)
		return map;
	free(map);
	return NULL;
}

static void command_destroy(void *table)
{
	struct command_map *map = table;

	close(map->fd);
	free(map);
}

#define COMMAND_LOOPS TABLE_LOOPS, NULL, command_batch_lookup, command_batch_update, command_batch_delete
