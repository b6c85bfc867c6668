/* SPDX-License-Identifier: MIT */
/*
 * BPF_MAP_TYPE_PERCPU_ARRAY: for each index a value with a slot for each CPU (core/percpu.h), always present.
 *
 * The region's only part is the slots. All memory is obtained at creation. Commands copy the slots of all CPUs, programs use
 * the one of the CPU they run on; G2 holds for each aligned 8 bytes, as in the kernel.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "core/percpu.h"
#include "map/array.h"
#include "map/types.h"

#define FLAGS	   (BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)
#define SLOT_MAX   32768u /* bytes: what the kernel can allocate for each CPU */
#define BULK_LINES 64	  /* cache lines of a bulk lookup that are on their way from memory together */

_Static_assert(sizeof(struct percpu) <= sizeof(((struct usermap *)0)->type_data), "the process-local part fits");

static inline const struct percpu *slots_of(const struct usermap *map)
{
	return (const struct percpu *)map->type_data;
}

static inline __u32 index_in(const void *key)
{
	__u32 index;

	memcpy(&index, key, sizeof(index));
	return index;
}

static int percpu_array_alloc_check(const struct map_attr *attr)
{
	const __u32 program_access = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

	if (attr->max_entries == 0 || attr->key_size != 4 || attr->value_size == 0 || attr->map_flags & ~(__u32)FLAGS ||
	    (attr->map_flags & program_access) == program_access ||
	    (attr->map_flags & BPF_F_NUMA_NODE && attr->numa_node != NUMA_NONE))
		return -EINVAL;
	/* the limit is a multiple of 8, so it's the same for the size and the size rounded up */
	return attr->value_size > SLOT_MAX ? -E2BIG : 0;
}

static int percpu_array_layout(struct region_layout *layout)
{
	return percpu_layout(layout, layout->attr.max_entries, layout->attr.max_entries) ? 0 : -ENOMEM;
}

/* A new region is zero, and so are the values. */
static int percpu_array_format(struct usermap *map)
{
	percpu_format(&map->region, &map->layout);
	return 0;
}

static int percpu_array_attach(struct usermap *map)
{
	percpu_attach((struct percpu *)map->type_data, &map->region, &map->layout, map->max_entries);
	return 0;
}

static void percpu_array_detach(struct usermap *map)
{
	(void)map;
}

static int percpu_array_lookup(struct usermap *map, const void *key, void *value, __u64 flags)
{
	__u32 index = index_in(key);

	(void)flags; /* the face knows that there's no lock */
	if (index >= map->max_entries)
		return -ENOENT;
	percpu_load(slots_of(map), index, value);
	return 0;
}

/* The program face brings BPF_F_LOCK this far; it comes last in the kernel's order. */
static int check_update(const struct usermap *map, __u32 index, __u64 flags)
{
	if ((flags & ~(__u64)BPF_F_LOCK) > BPF_EXIST)
		return -EINVAL;
	if (index >= map->max_entries)
		return -E2BIG;
	if (flags & BPF_NOEXIST)
		return -EEXIST;
	return flags & BPF_F_LOCK ? -EINVAL : 0;
}

static int percpu_array_update(struct usermap *map, const void *key, const void *value, __u64 flags)
{
	__u32 index = index_in(key);
	int error = check_update(map, index, flags);

	if (!error)
		percpu_store(slots_of(map), index, value);
	return error;
}

static int percpu_array_update_prog(struct usermap *map, const void *key, const void *value, __u64 flags)
{
	__u32 index = index_in(key);
	int error = check_update(map, index, flags);

	if (!error)
		percpu_store_one(slots_of(map), cpu_current(map->n_cpus), index, value);
	return error;
}

static void *percpu_array_lookup_percpu_ptr(struct usermap *map, const void *key, __u32 cpu)
{
	__u32 index = index_in(key);

	return __builtin_expect(index < map->max_entries, 1) ? percpu_slot(slots_of(map), cpu, index) : NULL;
}

static void *percpu_array_lookup_ptr(struct usermap *map, const void *key)
{
	return percpu_array_lookup_percpu_ptr(map, key, cpu_current(map->n_cpus));
}

static long percpu_array_for_each(struct usermap *map, usermap_for_each_fn fn, void *ctx)
{
	for (__u32 i = 0; i < map->max_entries; i++) {
		__u32 key = i; /* the callback's own */

		if (fn(map, &key, percpu_slot(slots_of(map), cpu_current(map->n_cpus), i), ctx))
			return (long)i + 1;
	}
	return map->max_entries;
}

static int percpu_array_percpu_add(struct usermap *map, const void *key, __u32 offset, __u64 delta)
{
	__u32 index = index_in(key);

	return __builtin_expect(index < map->max_entries, 1) ? percpu_add(slots_of(map), index, offset, delta)
							     : -ENOENT;
}

static void prefetch(const struct usermap *map, __u32 index)
{
	const struct percpu *slots = slots_of(map);

	for (__u32 cpu = 0; cpu < map->n_cpus && index < map->max_entries; cpu++)
		__builtin_prefetch(percpu_slot(slots, cpu, index));
}

static int percpu_array_lookup_bulk(struct usermap *map, const void *keys, void *values, __u32 n, __u64 *found)
{
	const __u32 group = map->n_cpus < BULK_LINES ? BULK_LINES / map->n_cpus : 1;
	const unsigned char *key = keys;
	unsigned char *out = values;
	int present = 0;

	memset(found, 0, ((size_t)n + 63) / 64 * sizeof(*found));
	for (__u32 start = 0, end; start < n; start = end) {
		end = n - start < group ? n : start + group;
		for (__u32 i = start; i < end; i++)
			prefetch(map, index_in(key + (size_t)i * 4));
		for (__u32 i = start; i < end; i++) {
			if (percpu_array_lookup(map, key + (size_t)i * 4, out + (size_t)i * map->value_bytes, 0))
				continue;
			found[i / 64] |= 1ull << (i % 64);
			present++;
		}
	}
	return present;
}

static void percpu_array_info(const struct usermap *map, struct usermap_info *info)
{
	info->count = map->max_entries;
	info->bytes_used = map->region.size;
}

const struct map_ops percpu_array_ops = {
	.type = BPF_MAP_TYPE_PERCPU_ARRAY,
	.percpu = true,
	.alloc_check = percpu_array_alloc_check,
	.layout = percpu_array_layout,
	.format = percpu_array_format,
	.attach = percpu_array_attach,
	.detach = percpu_array_detach,
	.lookup = percpu_array_lookup,
	.update = percpu_array_update,
	.delete = array_delete,
	.next_key = array_next_key,
	.lookup_batch = batch_lookup,
	.update_batch = batch_update,
	.lookup_bulk = percpu_array_lookup_bulk,
	.lookup_ptr = percpu_array_lookup_ptr,
	.update_prog = percpu_array_update_prog,
	.lookup_percpu_ptr = percpu_array_lookup_percpu_ptr,
	.for_each = percpu_array_for_each,
	.percpu_add = percpu_array_percpu_add,
	.info = percpu_array_info,
};
