/* SPDX-License-Identifier: MIT */
/* usermap's native face: private with reuse after a grace period (the default), private with reuse at once, shared. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <usermap/usermap.h>

#include "form.h"
#include "peers/map.h"

static inline bool table_lookup(void *table, uint64_t key, uint64_t *value)
{
	const form_key map_key = (form_key)key;

	return usermap_lookup_elem(table, &map_key, value, FORM_FLAGS) == 0;
}

static inline bool table_insert(void *table, uint64_t key, const uint64_t *value)
{
	const form_key map_key = (form_key)key;

	return usermap_update_elem(table, &map_key, value, FORM_INSERT | FORM_FLAGS) == 0;
}

static inline bool table_update(void *table, uint64_t key, const uint64_t *value)
{
	const form_key map_key = (form_key)key;

	return usermap_update_elem(table, &map_key, value, BPF_ANY | FORM_FLAGS) == 0;
}

static inline bool table_delete(void *table, uint64_t key)
{
	const form_key map_key = (form_key)key;

	return usermap_delete_elem(table, &map_key) == 0;
}

#include "peers/loops.h"

static const struct usermap_batch_opts batch_opts = { .sz = sizeof(batch_opts), .elem_flags = FORM_FLAGS };

/* Room for a batch's values; taken once for a loop's thousands of operations. */
static uint64_t *values_new(void)
{
	return malloc(TABLE_BATCH * VALUE_WORDS * sizeof(uint64_t));
}

static size_t bulk(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	const size_t words = VALUE_WORDS;
	uint64_t *values = values_new();
	form_key room[TABLE_BATCH];
	__u64 found[TABLE_BATCH / 64];
	size_t right = 0;

	(void)generation;
	for (size_t i = 0, step; values && i < n; i += step) {
		step = n - i < TABLE_BATCH ? n - i : TABLE_BATCH;
		usermap_lookup_bulk(table, form_keys(keys + i, room, step), values, (uint32_t)step, found);
		for (size_t j = 0; j < step; j++)
			right += found[j / 64] >> (j % 64) & value_is_right(values + j * words, words, keys[i + j]);
	}
	free(values);
	return right;
}

static size_t batch_update(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	const size_t words = VALUE_WORDS;
	uint64_t *values = values_new();
	form_key room[TABLE_BATCH];
	size_t right = 0;

	for (size_t i = 0, step; values && i < n; i += step) {
		uint32_t count;

		step = n - i < TABLE_BATCH ? n - i : TABLE_BATCH;
		for (size_t j = 0; j < step; j++)
			value_make(values + j * words, words, keys[i + j], generation);
		count = (uint32_t)step;
		if (usermap_update_batch(table, form_keys(keys + i, room, step), values, &count, &batch_opts) == 0)
			right += count;
	}
	free(values);
	return right;
}

static size_t batch_delete(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	form_key room[TABLE_BATCH];
	size_t right = 0;

	(void)generation;
	for (size_t i = 0, step; i < n; i += step) {
		uint32_t count;

		step = n - i < TABLE_BATCH ? n - i : TABLE_BATCH;
		count = (uint32_t)step;
		if (usermap_delete_batch(table, form_keys(keys + i, room, step), &count, &batch_opts) == 0)
			right += count;
	}
	return right;
}

/* From the start of the map, again and again, until n entries were seen. 0 if one of them is wrong. */
static size_t batch_walk(void *table, uint64_t *values, size_t n)
{
	const size_t words = VALUE_WORDS;
	form_key keys[TABLE_BATCH];
	uint32_t walk, count;
	void *from = NULL;
	size_t right = 0;
	int result;

	while (right < n) {
		count = n - right < TABLE_BATCH ? (uint32_t)(n - right) : TABLE_BATCH;
		result = usermap_lookup_batch(table, from, &walk, keys, values, &count, &batch_opts);
		if (result == -ENOSPC) /* the next bucket has more entries than were still asked for */
			return n;
		if (result && result != -ENOENT)
			return 0;
		from = result ? NULL : &walk;
		for (uint32_t i = 0; i < count; i++)
			if (!value_is_right(values + i * words, words, keys[i]))
				return 0;
		right += count;
	}
	return right;
}

static size_t batch_lookup(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	uint64_t *values = values_new();
	size_t right = values ? batch_walk(table, values, n) : 0;

	(void)keys;
	(void)generation;
	free(values);
	return right;
}

static void *create_private(size_t n)
{
	return map_create(n, USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_DEFAULT);
}

static void *create_at_once(size_t n)
{
	return map_create(n, USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_AT_ONCE);
}

static void *create_shared(size_t n)
{
	return map_create(n, USERMAP_MEMORY_SHARED, USERMAP_REUSE_AT_ONCE);
}

#define USERMAP_LOOPS TABLE_LOOPS, bulk, batch_lookup, batch_update, batch_delete

const struct table_ops FORM_TABLE(usermap) = {
	.name = "usermap",
	.note = "private, reuse as is the default, huge pages, touched at creation",
	.create = create_private,
	.destroy = map_destroy,
	.loop = { USERMAP_LOOPS },
	.census = MAP_CENSUS,
};

const struct table_ops FORM_TABLE(usermap_at_once) = {
	.name = "usermap_at_once",
	.note = "private, reuse at once, huge pages, touched at creation",
	.create = create_at_once,
	.destroy = map_destroy,
	.loop = { USERMAP_LOOPS },
	.census = MAP_CENSUS,
};

const struct table_ops FORM_TABLE(usermap_shared) = {
	.name = "usermap_shared",
	.note = "memfd, reuse at once, 4 KiB pages unless shmem THP is on, touched at creation",
	.create = create_shared,
	.destroy = map_destroy,
	.loop = { USERMAP_LOOPS },
	.census = MAP_CENSUS,
};
