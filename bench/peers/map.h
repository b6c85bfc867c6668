/* SPDX-License-Identifier: MIT */
/* The engine's map of one form (form.h): how it is made, and what it tells of itself. */
#include <usermap/usermap.h>

#include "form.h"
#include "table.h"

#ifdef FORM_S3FIFO
enum { MAP_EVICTION = USERMAP_EVICTION_S3FIFO };
#define MAP_SUFFIX "_s3fifo"
#else
enum { MAP_EVICTION = USERMAP_EVICTION_KERNEL };
#define MAP_SUFFIX ""
#endif

static inline void *map_create(size_t n, enum usermap_memory memory, enum usermap_reuse reuse)
{
	const struct usermap_opts opts = { .sz = sizeof(opts),
					   .map_flags = FORM_MAP_FLAGS,
					   .memory = memory,
					   .reuse = reuse,
					   .spin_lock = VALUE_FIRST,
					   .eviction = MAP_EVICTION };
	struct usermap *map;

	if (usermap_create(FORM_TYPE, "bench", sizeof(form_key), VALUE_SIZE, form_entries(n), &opts, &map))
		return NULL;
	return map;
}

static inline void map_destroy(void *table)
{
	usermap_close(table);
}

#ifdef FORM_LRU

static inline struct table_census map_census(void *table)
{
	struct usermap_info info = { .sz = sizeof(info) };

	usermap_get_info(table, &info);
	return (struct table_census){ .present = info.count, .capacity = info.max_entries, .evicted = info.evictions };
}

#define MAP_CENSUS map_census
#else
#define MAP_CENSUS NULL
#endif
