/* SPDX-License-Identifier: MIT */
/*
 * usermap's program face, used as a BPF program uses the kernel's: one read-side section for a run of operations, a
 * pointer from each lookup, the value read through it. Per-CPU types: this CPU's slot. Values with a spin lock are read
 * and written under it.
 */
#include <stdint.h>
#include <usermap/helper.h>

#define FORM_THIS_CPU
#include "form.h"
#include "peers/map.h"

#ifdef FORM_LOCKED

enum { WORDS = VALUE_SIZE / sizeof(uint64_t) };

static inline bool table_lookup(void *table, uint64_t key, uint64_t *value)
{
	const form_key map_key = (form_key)key;
	uint64_t *found = usermap_helper_lookup_elem(table, &map_key);

	if (!found || usermap_helper_spin_lock((struct bpf_spin_lock *)found))
		return false;
	value[0] = 0;
	for (int i = VALUE_FIRST; i < WORDS; i++)
		value[i] = found[i];
	return usermap_helper_spin_unlock((struct bpf_spin_lock *)found) == 0;
}

static inline bool table_update(void *table, uint64_t key, const uint64_t *value)
{
	const form_key map_key = (form_key)key;
	uint64_t *found = usermap_helper_lookup_elem(table, &map_key);

	if (!found || usermap_helper_spin_lock((struct bpf_spin_lock *)found))
		return false;
	for (int i = VALUE_FIRST; i < WORDS; i++)
		found[i] = value[i];
	return usermap_helper_spin_unlock((struct bpf_spin_lock *)found) == 0;
}

#else

static inline bool table_lookup(void *table, uint64_t key, uint64_t *value)
{
	const form_key map_key = (form_key)key;
	const uint64_t *found = usermap_helper_lookup_elem(table, &map_key);

	if (!found)
		return false;
	*value = __atomic_load_n(found, __ATOMIC_RELAXED);
	return true;
}

static inline bool table_update(void *table, uint64_t key, const uint64_t *value)
{
	const form_key map_key = (form_key)key;

	return usermap_helper_update_elem(table, &map_key, value, BPF_ANY) == 0;
}

#endif

#ifdef FORM_PERCPU

/* A program's insert leaves the other CPUs' slots zero. So that a thread which is moved finds right values there, maps are
 * filled by the copy face. */
static inline bool table_insert(void *table, uint64_t key, const uint64_t *value)
{
	const form_key map_key = (form_key)key;
	uint64_t slots[KEYS_MAX_CPUS];

	for (size_t cpu = 0; cpu < keys_cpus(); cpu++)
		slots[cpu] = *value;
	return usermap_update_elem(table, &map_key, slots, FORM_INSERT) == 0;
}

/* In any slot: the thread may have been moved since it wrote. */
static inline bool table_holds(void *table, uint64_t key, uint32_t generation)
{
	const form_key map_key = (form_key)key;

	for (uint32_t cpu = 0; cpu < keys_cpus(); cpu++) {
		const uint64_t *slot = usermap_helper_lookup_percpu_elem(table, &map_key, cpu);

		if (slot && *slot == value_for(key, generation))
			return true;
	}
	return false;
}

#define LOOP_HOLDS

#else

static inline bool table_insert(void *table, uint64_t key, const uint64_t *value)
{
	const form_key map_key = (form_key)key;

	return usermap_helper_update_elem(table, &map_key, value, FORM_INSERT) == 0;
}

#endif

static inline bool table_delete(void *table, uint64_t key)
{
	const form_key map_key = (form_key)key;

	return usermap_helper_delete_elem(table, &map_key) == 0;
}

#define LOOP_ENTER() usermap_read_lock()
#define LOOP_LEAVE() usermap_read_unlock()
#include "peers/loops.h"

static void *create_default(size_t n)
{
	return map_create(n, USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_DEFAULT);
}

static void *create_at_once(size_t n)
{
	return map_create(n, USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_AT_ONCE);
}

const struct table_ops FORM_TABLE(usermap_program) = {
	.name = "usermap_program" MAP_SUFFIX,
	.note = "program face: pointers inside one section a run; private, reuse as is the default",
	.create = create_default,
	.destroy = map_destroy,
	.loop = { TABLE_LOOPS },
	.census = MAP_CENSUS,
};

const struct table_ops FORM_TABLE(usermap_program_at_once) = {
	.name = "usermap_program_at_once",
	.note = "program face; private, reuse at once",
	.create = create_at_once,
	.destroy = map_destroy,
	.loop = { TABLE_LOOPS },
	.census = MAP_CENSUS,
};
