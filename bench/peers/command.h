/* SPDX-License-Identifier: MIT */
/*
 * A HASH map behind bpf(2) or behind usermap_bpf(): the same code for both, so that they are given equal work. The
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

#include "keys.h"
#include "table.h"

struct command_map {
	int fd;
	uint32_t walk; /* where the next TABLE_BATCH_LOOKUP goes on */
	bool walking;
	uint64_t keys[TABLE_BATCH], values[TABLE_BATCH];
};

#define ATTR_END(field) (offsetof(union bpf_attr, field) + sizeof(((union bpf_attr *)NULL)->field))

static inline uint64_t address(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static inline long command_elem(void *table, int cmd, const uint64_t *key, uint64_t *value, uint64_t flags)
{
	unsigned int size = cmd == BPF_MAP_DELETE_ELEM ? ATTR_END(key) : ATTR_END(flags);
	union bpf_attr attr;

	memset(&attr, 0, ATTR_END(flags));
	attr.map_fd = (uint32_t)((struct command_map *)table)->fd;
	attr.key = address(key);
	attr.value = address(value);
	attr.flags = flags;
	return command(cmd, &attr, size);
}

static inline bool table_lookup(void *table, uint64_t key, uint64_t *value)
{
	return command_elem(table, BPF_MAP_LOOKUP_ELEM, &key, value, 0) == 0;
}

static inline bool table_insert(void *table, uint64_t key, uint64_t value)
{
	return command_elem(table, BPF_MAP_UPDATE_ELEM, &key, &value, BPF_NOEXIST) == 0;
}

static inline bool table_update(void *table, uint64_t key, uint64_t value)
{
	return command_elem(table, BPF_MAP_UPDATE_ELEM, &key, &value, BPF_ANY) == 0;
}

static inline bool table_delete(void *table, uint64_t key)
{
	return command_elem(table, BPF_MAP_DELETE_ELEM, &key, NULL, 0) == 0;
}

#include "peers/loops.h"

static size_t command_batch(struct command_map *map, int cmd, const uint64_t *keys, const uint64_t *values, uint32_t n)
{
	union bpf_attr attr;

	memset(&attr, 0, ATTR_END(batch));
	attr.batch.map_fd = (uint32_t)map->fd;
	attr.batch.keys = address(keys);
	attr.batch.values = address(values);
	attr.batch.count = n;
	return command(cmd, &attr, ATTR_END(batch)) == 0 ? attr.batch.count : 0;
}

static size_t command_batch_update(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	struct command_map *map = table;
	size_t right = 0;

	for (size_t i = 0, step; i < n; i += step) {
		step = n - i < TABLE_BATCH ? n - i : TABLE_BATCH;
		for (size_t j = 0; j < step; j++)
			map->values[j] = value_for(keys[i + j], generation);
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
		attr.batch.count = n - right < TABLE_BATCH ? (uint32_t)(n - right) : TABLE_BATCH;
		result = command(BPF_MAP_LOOKUP_BATCH, &attr, ATTR_END(batch));
		if (result && errno == ENOSPC) /* the next bucket has more entries than were still asked for */
			return n;
		if (result && errno != ENOENT)
			return 0;
		map->walking = result == 0;
		for (uint32_t i = 0; i < attr.batch.count; i++)
			if (!value_fits(map->values[i], map->keys[i]))
				return 0;
		right += attr.batch.count;
	}
	return right;
}

static void *command_create(size_t max_entries)
{
	struct command_map *map = calloc(1, sizeof(*map));
	union bpf_attr attr;

	if (!map)
		return NULL;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_HASH;
	attr.key_size = sizeof(uint64_t);
	attr.value_size = sizeof(uint64_t);
	attr.max_entries = (uint32_t)max_entries;
	map->fd = (int)command(BPF_MAP_CREATE, &attr, ATTR_END(map_extra));
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
