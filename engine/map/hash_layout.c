/* SPDX-License-Identifier: MIT */
/* What may be asked of the hash types at creation, and what a map is made of. */
#include <errno.h>

#include "map/hash.h"

#define HASH_FLAGS                                                                                                 \
	(BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_ZERO_SEED | BPF_F_RDONLY_PROG | \
	 BPF_F_WRONLY_PROG | BPF_F_NO_COMMON_LRU)
#define HASH_MAX_SUM	 ((4u << 20) - 48) /* key_size + value_size must be less */
#define HASH_MAX_ENTRIES (1u << 31)
#define HASH_MIN_BUDGET	 (64u << 10)

static bool flags_ok(const struct map_attr *attr)
{
	const __u32 prog = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG, fd = BPF_F_RDONLY | BPF_F_WRONLY;

	return !(attr->map_flags & ~(__u32)HASH_FLAGS) && (attr->map_flags & prog) != prog &&
	       (attr->map_flags & fd) != fd && (hash_is_lru(attr) || !(attr->map_flags & BPF_F_NO_COMMON_LRU));
}

/* Memory of per-CPU values, and of lists of a CPU's own, lies where its CPU is. */
static bool node_ok(const struct map_attr *attr)
{
	bool each = hash_is_percpu(attr) || attr->map_flags & BPF_F_NO_COMMON_LRU;

	return !each || !(attr->map_flags & BPF_F_NUMA_NODE) || attr->numa_node == NUMA_NONE;
}

int hash_alloc_check(const struct map_attr *attr)
{
	if (!flags_ok(attr))
		return -EINVAL;
	if (hash_is_lru(attr) && attr->map_flags & BPF_F_NO_PREALLOC)
		return -ENOTSUPP;
	if (!node_ok(attr) || !attr->key_size || !attr->value_size || !attr->max_entries)
		return -EINVAL;
	if ((uint64_t)attr->key_size + attr->value_size >= HASH_MAX_SUM)
		return -E2BIG;
	return hash_is_percpu(attr) && words_stride(attr->value_size) > PERCPU_MAX_VALUE ? -E2BIG : 0;
}

const struct evict_ops *hash_policy(const struct map_attr *attr)
{
	if (!hash_is_lru(attr))
		return NULL;
	return attr->eviction == USERMAP_EVICTION_S3FIFO ? &s3fifo_ops : &lru_ops;
}

uint32_t hash_n_buckets(const struct map_attr *attr)
{
	return attr->max_entries > 1 ? 1u << (32 - __builtin_clz(attr->max_entries - 1)) : 1;
}

static uint32_t n_lines(const struct map_attr *attr)
{
	uint32_t n = hash_n_buckets(attr);

	return n > LINE_BUCKETS ? n / LINE_BUCKETS : 1;
}

/* Elements don't straddle cache lines more than their size demands. */
_Static_assert(sizeof(struct object) + 8 + 8 == PAIR_ELEMENT_SIZE, "what hash_element_size gives a pair");

uint32_t hash_element_size(const struct map_attr *attr)
{
	size_t size = sizeof(struct object) + words_stride(attr->key_size);

	if (!hash_is_percpu(attr))
		size += words_stride(attr->value_size);
	return size <= 32 ? 32 : (uint32_t)((size + 63) & ~(size_t)63);
}

uint32_t hash_element_footprint(const struct region_layout *layout)
{
	const struct map_attr *attr = &layout->attr;
	uint32_t outside = hash_is_percpu(attr) ? (uint32_t)words_stride(attr->value_size) * layout->n_cpus : 0;

	return hash_element_size(attr) + outside;
}

uint64_t hash_budget(const struct region_layout *layout)
{
	uint32_t max = layout->attr.max_entries;

	if (layout->reuse != USERMAP_REUSE_GRACE)
		return 0;
	return max > HASH_MIN_BUDGET ? max : HASH_MIN_BUDGET;
}

uint64_t hash_n_elements(const struct region_layout *layout)
{
	if (hash_is_lru(&layout->attr))
		return (uint64_t)layout->attr.max_entries + 1;
	return slab_objects(layout->attr.max_entries, hash_budget(layout), hash_element_footprint(layout));
}

uint64_t hash_n_nodes(const struct region_layout *layout)
{
	return overflow_nodes(n_lines(&layout->attr), layout->attr.max_entries, hash_budget(layout));
}

uint64_t hash_elements_preallocated(const struct map_attr *attr)
{
	/* object 0 may always be read */
	return 1 + (uint64_t)(attr->map_flags & BPF_F_NO_PREALLOC ? 0 : attr->max_entries);
}

/* BPF_F_NO_COMMON_LRU: the CPUs' shares are equal. */
static uint64_t round_entries(const struct region_layout *layout)
{
	uint64_t max = layout->attr.max_entries, n = layout->n_cpus;

	return layout->attr.map_flags & BPF_F_NO_COMMON_LRU ? (max + n - 1) / n * n : max;
}

static bool add_parts(struct region_layout *layout)
{
	const struct map_attr *attr = &layout->attr;
	const struct evict_ops *policy = hash_policy(attr);
	uint64_t lists = (uint64_t)layout->n_cpus * sizeof(struct cpu_line) + sizeof(struct fresh_line);
	uint64_t lines = (uint64_t)n_lines(attr) * sizeof(struct line), element = hash_element_size(attr);

	return region_layout_add(layout, PART_INDEX, lines, lines) &&
	       region_layout_add(layout, PART_ELEMENTS, hash_n_elements(layout) * element,
				 hash_elements_preallocated(attr) * element) &&
	       region_layout_add(layout, PART_NODES, hash_n_nodes(layout) * sizeof(struct node), 0) &&
	       region_layout_add(layout, PART_RECORDS, RECORDS * sizeof(struct record), 0) &&
	       region_layout_add(layout, PART_LISTS, lists, lists) && (!attr->spin_lock || vlock_layout(layout)) &&
	       (!policy || process_layout(layout)) && (!policy || evict_layout(layout, policy, attr->max_entries)) &&
	       (!hash_is_percpu(attr) ||
		percpu_layout(layout, hash_n_elements(layout), hash_elements_preallocated(attr)));
}

int hash_layout(struct region_layout *layout)
{
	uint64_t max = round_entries(layout);

	/* not among the first checks: in the kernel, tokens and devices come before */
	if (max > HASH_MAX_ENTRIES)
		return -E2BIG;
	layout->attr.max_entries = (uint32_t)max;
	return add_parts(layout) ? 0 : -ENOMEM;
}
