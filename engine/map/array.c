/* SPDX-License-Identifier: MIT */
/*
 * BPF_MAP_TYPE_ARRAY: values side by side, each always present.
 *
 * The region's first part is the values, from offset 0, each rounded up to 8 bytes: what mmap of a BPF_F_MMAPABLE array
 * shows. All memory is obtained at creation. Values are read and written word by word (core/words.h): G2 holds for each
 * aligned 8 bytes, as in the kernel.
 *
 * Arrays whose values have a spin lock are a variant with operations of its own: the lock's bytes are neither written
 * nor shown, and with BPF_F_LOCK values are stored and copied whole (core/vlock.h). They have more parts: thread
 * records, process slots, spare values.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "core/sha256.h"
#include "core/vlock.h"
#include "core/words.h"
#include "map/array.h"
#include "map/types.h"

#define ARRAY_FLAGS                                                                                               \
	(BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG | BPF_F_MMAPABLE | \
	 BPF_F_INNER_MAP)
#define ARRAY_GROUP 32 /* values of a bulk lookup that are on their way from memory together */
#define CACHE_LINE  64

/* The process-local part. Written by attach only. */
struct array {
	unsigned char *values;
	size_t stride;
	struct writer_set writers; /* this and what follows: of arrays with spin locks alone */
	struct process_slots processes;
	struct value_locks locks; /* value i + 1 is the one at index i */
};

_Static_assert(sizeof(struct array) <= sizeof(((struct usermap *)0)->type_data), "the process-local part fits");

static inline struct array *array_of(const struct usermap *map)
{
	return (struct array *)(uintptr_t)map->type_data;
}

static inline __u32 array_index(const void *key)
{
	__u32 index;

	memcpy(&index, key, sizeof(index));
	return index;
}

/* The value at the index in *key, NULL beyond the end. */
static inline void *array_value(const struct usermap *map, const void *key)
{
	const struct array *array = array_of(map);
	__u32 index = array_index(key);

	return __builtin_expect(index < map->max_entries, 1) ? array->values + index * array->stride : NULL;
}

/* Loads and stores with the common size known to the compiler. */
static inline void array_load(void *dst, const void *value, size_t size)
{
	if (size == 8)
		words_load(dst, value, 8);
	else
		words_load(dst, value, size);
}

static inline void array_store(void *value, const void *src, size_t size)
{
	if (size == 8)
		words_store(value, src, 8);
	else
		words_store(value, src, size);
}

static int array_alloc_check(const struct map_attr *attr)
{
	const __u32 program_access = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

	if (attr->max_entries == 0 || attr->key_size != 4 || attr->value_size == 0 ||
	    attr->map_flags & ~(__u32)ARRAY_FLAGS || (attr->map_flags & program_access) == program_access)
		return -EINVAL;
	return attr->value_size > INT_MAX ? -E2BIG : 0;
}

static int array_layout(struct region_layout *layout)
{
	/* 2^32 values of 2^31 bytes don't overflow; the region's own limit refuses them */
	uint64_t size = layout->attr.max_entries * (uint64_t)words_stride(layout->attr.value_size);
	bool fits = region_layout_add(layout, PART_ELEMENTS, size, size);

	if (layout->attr.spin_lock)
		fits = fits && region_layout_add(layout, PART_RECORDS, RECORDS * sizeof(struct record), 0) &&
		       vlock_layout(layout);
	return fits ? 0 : -ENOMEM;
}

/* A new region is zero, and so are the values. */
static int array_format(struct usermap *map)
{
	(void)map;
	return 0;
}

/* In a forked child: what threads that are gone held has been released, but for the records of those inside an
 * operation. */
static void array_repair(struct writer_set *set, struct writer *self)
{
	/* relaxed throughout: the process has one thread */
	uint32_t used = atomic_load_explicit(&set->region->header->records_used, memory_order_relaxed);

	for (uint32_t i = 0; i < used; i++) {
		struct record *record = &set->records[i];
		uint64_t op = atomic_load_explicit(&record->op, memory_order_relaxed);

		if (self && record == self->record)
			continue;
		atomic_store_explicit(&record->op, (op + 1) & ~1ull, memory_order_relaxed);
		atomic_store_explicit(&record->holder, 0, memory_order_relaxed);
	}
}

static const struct map_ops array_lock_ops;

static void attach_locks(struct usermap *map)
{
	struct array *array = array_of(map);

	array->writers = (struct writer_set){ .region = &map->region,
					      .records = region_part(&map->region, &map->layout, PART_RECORDS),
					      .records_offset = map->layout.offset[PART_RECORDS],
					      .map_id = map->local_id,
					      .locks = &array->locks,
					      .private_memory = map->region.fd < 0,
					      .repair = array_repair };
	if (map->region.fd >= 0) {
		process_attach(&array->processes, &map->region, &map->layout);
		array->writers.processes = &array->processes;
	}
	vlock_attach(&array->locks, &array->writers, &map->layout, array->values - array->stride, array->stride,
		     (uint64_t)map->max_entries + 1);
	map->ops = &array_lock_ops;
}

static int array_attach(struct usermap *map)
{
	struct array *array = array_of(map);

	array->values = map->region.base; /* the first part: offset 0 */
	array->stride = words_stride(map->value_size);
	if (map->spin_lock)
		attach_locks(map);
	return 0;
}

static void array_detach(struct usermap *map)
{
	if (array_of(map)->writers.processes)
		process_leave(array_of(map)->writers.processes);
}

static int array_lookup(struct usermap *map, const void *key, void *value, __u64 flags)
{
	const void *found = array_value(map, key);

	(void)flags;
	if (!found)
		return -ENOENT;
	array_load(value, found, map->value_size);
	return 0;
}

static void *array_lookup_ptr(struct usermap *map, const void *key)
{
	return array_value(map, key);
}

/* An update's checks: 0 and the value to store to, or an error. The program face brings BPF_F_LOCK as far as this;
 * whether there is a lock comes last in the kernel's order. */
static inline int check_update(const struct usermap *map, const void *key, __u64 flags, void **found)
{
	if ((flags & ~(__u64)BPF_F_LOCK) > BPF_EXIST)
		return -EINVAL;
	*found = array_value(map, key);
	if (!*found)
		return -E2BIG;
	return flags & BPF_NOEXIST ? -EEXIST : 0;
}

static int array_update(struct usermap *map, const void *key, const void *value, __u64 flags)
{
	void *found;
	int error = check_update(map, key, flags, &found);

	if (error)
		return error;
	if (flags & BPF_F_LOCK)
		return -EINVAL;
	array_store(found, value, map->value_size);
	return 0;
}

int array_delete(struct usermap *map, const void *key)
{
	(void)map;
	(void)key;
	return -EINVAL;
}

int array_next_key(struct usermap *map, const void *key, void *next_key)
{
	__u32 index = key ? array_index(key) : 0, last = map->max_entries - 1;

	if (key && index == last)
		return -ENOENT;
	index = key && index < last ? index + 1 : 0;
	memcpy(next_key, &index, sizeof(index));
	return 0;
}

/* Asks for the value's first lines (NULL: harmless); the hardware follows a longer run by itself. */
static inline void array_prefetch(const unsigned char *value, size_t size)
{
	__builtin_prefetch(value);
	if (size > CACHE_LINE)
		__builtin_prefetch(value + CACHE_LINE);
}

static void array_prefetch_keys(struct usermap *map, const void *keys, __u32 n)
{
	for (__u32 i = 0; i < n; i++)
		array_prefetch(array_value(map, (const unsigned char *)keys + (size_t)i * 4), map->value_size);
}

static int array_lookup_bulk(struct usermap *map, const void *keys, void *values, __u32 n, __u64 *found)
{
	const size_t size = map->value_size;
	const unsigned char *key = keys;
	unsigned char *out = values;
	int present = 0;

	memset(found, 0, ((size_t)n + 63) / 64 * sizeof(*found));
	for (__u32 start = 0; start < n; start += ARRAY_GROUP) {
		__u32 end = n - start < ARRAY_GROUP ? n : start + ARRAY_GROUP;

		array_prefetch_keys(map, key + (size_t)start * 4, end - start);
		for (__u32 i = start; i < end; i++) {
			const void *value = array_value(map, key + (size_t)i * 4);

			if (!value)
				continue;
			array_load(out + i * size, value, size);
			found[i / 64] |= 1ull << (i % 64);
			present++;
		}
	}
	return present;
}

static long array_for_each(struct usermap *map, usermap_for_each_fn fn, void *ctx)
{
	for (__u32 i = 0; i < map->max_entries; i++) {
		__u32 key = i;

		if (fn(map, &key, array_value(map, &key), ctx))
			return (long)i + 1;
	}
	return map->max_entries;
}

static void array_info(const struct usermap *map, struct usermap_info *info)
{
	info->count = map->max_entries;
	if (!map->spin_lock) /* else records and spares are not all touched: what the kernel says of the region stands */
		info->bytes_used = map->region.size;
}

static void array_sha256(const struct usermap *map, unsigned char digest[SHA256_SIZE])
{
	sha256_words(array_of(map)->values, (uint64_t)map->max_entries * array_of(map)->stride, digest);
}

/* Values with a spin lock */

static int lock_lookup(struct usermap *map, const void *key, void *value, __u64 flags)
{
	const void *found = array_value(map, key);
	int error;

	if (!found)
		return -ENOENT;
	if (flags & BPF_F_LOCK) {
		do
			error = vlock_read(&array_of(map)->locks, array_index(key) + 1, value);
		while (error == -EAGAIN);
		return error;
	}
	vlock_copy_out(&array_of(map)->locks, value, found);
	return 0;
}

static int store_locked(struct array *array, __u32 index, const void *value)
{
	int error;
	struct writer *w = writer_begin(&array->writers, 1, &error); /* there are no lists to choose by CPU */

	if (!w)
		return error;
	error = vlock_acquire_own(&array->locks, w, index + 1);
	if (!error) {
		error = vlock_store(&array->locks, w, index + 1, value);
		vlock_release(&array->locks, w);
	}
	writer_end(w);
	return error;
}

static int lock_update(struct usermap *map, const void *key, const void *value, __u64 flags)
{
	void *found;
	int error = check_update(map, key, flags, &found);

	if (error)
		return error;
	if (flags & BPF_F_LOCK)
		return store_locked(array_of(map), array_index(key), value);
	vlock_copy_in(&array_of(map)->locks, found, value);
	return 0;
}

static int lock_lookup_bulk(struct usermap *map, const void *keys, void *values, __u32 n, __u64 *found)
{
	int present = 0;

	memset(found, 0, ((size_t)n + 63) / 64 * sizeof(*found));
	for (__u32 i = 0; i < n; i++) {
		const void *key = (const unsigned char *)keys + (size_t)i * 4;

		if (lock_lookup(map, key, (unsigned char *)values + (size_t)i * map->value_size, 0))
			continue;
		found[i / 64] |= 1ull << (i % 64);
		present++;
	}
	return present;
}

static const struct value_locks *array_value_locks(struct usermap *map)
{
	return &array_of(map)->locks;
}

/* Attach puts it in the place of array_ops. */
static const struct map_ops array_lock_ops = {
	.type = BPF_MAP_TYPE_ARRAY,
	.detach = array_detach,
	.lookup = lock_lookup,
	.update = lock_update,
	.delete = array_delete,
	.next_key = array_next_key,
	.lookup_batch = batch_lookup,
	.update_batch = batch_update,
	.prefetch = array_prefetch_keys,
	.lookup_bulk = lock_lookup_bulk,
	.lookup_ptr = array_lookup_ptr,
	.for_each = array_for_each,
	.value_locks = array_value_locks,
	.info = array_info,
	.sha256 = array_sha256,
};

const struct map_ops array_ops = {
	.type = BPF_MAP_TYPE_ARRAY,
	.can_map = true,
	.alloc_check = array_alloc_check,
	.layout = array_layout,
	.format = array_format,
	.attach = array_attach,
	.detach = array_detach,
	.lookup = array_lookup,
	.update = array_update,
	.delete = array_delete,
	.next_key = array_next_key,
	.lookup_batch = batch_lookup,
	.update_batch = batch_update,
	.prefetch = array_prefetch_keys,
	.lookup_bulk = array_lookup_bulk,
	.lookup_ptr = array_lookup_ptr,
	.for_each = array_for_each,
	.info = array_info,
	.sha256 = array_sha256,
};
