/* SPDX-License-Identifier: MIT */
/*
 * usermap's program face, used as a BPF program uses the kernel's: one read-side section for a run of operations, a
 * pointer from each lookup, the value read through it.
 */
#include <stdint.h>
#include <usermap/helper.h>

static inline bool table_lookup(void *table, uint64_t key, uint64_t *value)
{
	const uint64_t *found = usermap_helper_lookup_elem(table, &key);

	if (!found)
		return false;
	*value = __atomic_load_n(found, __ATOMIC_RELAXED);
	return true;
}

static inline bool table_insert(void *table, uint64_t key, uint64_t value)
{
	return usermap_helper_update_elem(table, &key, &value, BPF_NOEXIST) == 0;
}

static inline bool table_update(void *table, uint64_t key, uint64_t value)
{
	return usermap_helper_update_elem(table, &key, &value, BPF_ANY) == 0;
}

static inline bool table_delete(void *table, uint64_t key)
{
	return usermap_helper_delete_elem(table, &key) == 0;
}

#define LOOP_ENTER() usermap_read_lock()
#define LOOP_LEAVE() usermap_read_unlock()
#include "peers/loops.h"

static void *create(size_t max_entries)
{
	const struct usermap_opts opts = { .sz = sizeof(opts) };
	struct usermap *map;

	if (usermap_create(BPF_MAP_TYPE_HASH, "bench", sizeof(uint64_t), sizeof(uint64_t), (uint32_t)max_entries, &opts,
			   &map))
		return NULL;
	return map;
}

static void destroy(void *table)
{
	usermap_close(table);
}

const struct table_ops usermap_program_table = {
	.name = "usermap_program",
	.note = "program face: pointers inside one section a run; private, reuse after a grace period",
	.create = create,
	.destroy = destroy,
	.loop = { TABLE_LOOPS },
};
