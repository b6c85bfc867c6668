/* SPDX-License-Identifier: MIT */
/*
 * BPF_MAP_TYPE_ARRAY: values side by side, each always present.
 *
 * The region's only part is the values, from offset 0, each rounded up to 8 bytes: what mmap of a BPF_F_MMAPABLE array
 * shows. All memory is obtained at creation. Values are read and written word by word (core/words.h): G2 holds for each
 * aligned 8 bytes, as in the kernel.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "core/sha256.h"
#include "core/words.h"
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
};

_Static_assert(sizeof(struct array) <= sizeof(((struct usermap *)0)->type_data), "the process-local part fits");

static inline const struct array *array_of(const struct usermap *map)
{
	return (const struct array *)map->type_data;
}

/* The value at the index in *key, NULL beyond the end. */
static inline void *array_value(const struct usermap *map, const void *key)
{
	const struct array *array = array_of(map);
	__u32 index;

	memcpy(&index, key, sizeof(index));
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

	return region_layout_add(layout, PART_ELEMENTS, size, size) ? 0 : -ENOMEM;
}

/* A new region is zero, and so are the values. */
static int array_format(struct usermap *map)
{
	(void)map;
	return 0;
}

static int array_attach(struct usermap *map)
{
	struct array *array = (struct array *)map->type_data;

	array->values = map->region.base; /* the first part: offset 0 */
	array->stride = words_stride(map->value_size);
	return 0;
}

static void array_detach(struct usermap *map)
{
	(void)map;
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

static int array_update(struct usermap *map, const void *key, const void *value, __u64 flags)
{
	void *found;

	/* The program face brings BPF_F_LOCK this far; it comes last in the kernel's order. */
	if ((flags & ~(__u64)BPF_F_LOCK) > BPF_EXIST)
		return -EINVAL;
	found = array_value(map, key);
	if (!found)
		return -E2BIG;
	if (flags & BPF_NOEXIST)
		return -EEXIST;
	if (flags & BPF_F_LOCK)
		return -EINVAL;
	array_store(found, value, map->value_size);
	return 0;
}

static int array_delete(struct usermap *map, const void *key)
{
	(void)map;
	(void)key;
	return -EINVAL;
}

static int array_next_key(struct usermap *map, const void *key, void *next_key)
{
	__u32 index = 0, last = map->max_entries - 1;

	if (key)
		memcpy(&index, key, sizeof(index));
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

static int array_lookup_bulk(struct usermap *map, const void *keys, void *values, __u32 n, __u64 *found)
{
	const size_t size = map->value_size;
	const unsigned char *key = keys;
	unsigned char *out = values;
	int present = 0;

	memset(found, 0, ((size_t)n + 63) / 64 * sizeof(*found));
	for (__u32 start = 0; start < n; start += ARRAY_GROUP) {
		__u32 end = n - start < ARRAY_GROUP ? n : start + ARRAY_GROUP;

		for (__u32 i = start; i < end; i++)
			array_prefetch(array_value(map, key + (size_t)i * 4), size);
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

static void array_info(const struct usermap *map, struct usermap_info *info)
{
	info->count = map->max_entries;
	info->bytes_used = map->region.size;
}

static void array_sha256(const struct usermap *map, unsigned char digest[SHA256_SIZE])
{
	sha256_words(array_of(map)->values, (uint64_t)map->max_entries * array_of(map)->stride, digest);
}

const struct map_ops array_ops = {
	.type = BPF_MAP_TYPE_ARRAY,
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
	.lookup_bulk = array_lookup_bulk,
	.lookup_ptr = array_lookup_ptr,
	.info = array_info,
	.sha256 = array_sha256,
};
