/* SPDX-License-Identifier: MIT */
/*
 * The types there are, and the life of a handle: a map made or attached to, counted, let go.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "core/alloc.h"
#include "core/lockmaps.h"
#include "core/thread.h"
#include "core/words.h"
#include "map/types.h"

static const struct map_ops *const types[] = {
	&hash_ops, &array_ops, &percpu_hash_ops, &percpu_array_ops, &lru_hash_ops, &lru_percpu_hash_ops,
};

const struct map_ops *map_ops_find(__u32 type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i]->type == type)
			return types[i];
	return NULL;
}

static int layout_make(const struct map_ops *ops, struct region_layout *layout)
{
	int error = ops->layout(layout);

	return error ? error : region_layout_end(layout) ? 0 : -ENOMEM;
}

static int seed_make(struct usermap *map)
{
	uint64_t seed = 0;

	if (!(map->map_flags & BPF_F_ZERO_SEED) && getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -errno;
	map->region.header->seed = seed;
	return 0;
}

/* Attach may put a variant's table of operations in the place of the type's. */
static int attach_type(struct usermap *map)
{
	int error = map->ops->attach(map);

	if (error || !map->spin_lock)
		return error;
	error = lockmaps_add(map->ops->value_locks(map));
	if (error)
		map->ops->detach(map);
	return error;
}

/* Fills a handle in whose region is there, from a checked copy of its layout. fresh: nobody else sees the region yet */
static int handle_attach(struct usermap *map, const struct map_ops *ops, const struct region_layout *layout, bool fresh)
{
	int error;

	map->ops = ops;
	map->layout = *layout;
	map->key_size = layout->attr.key_size;
	map->value_size = layout->attr.value_size;
	map->max_entries = layout->attr.max_entries;
	map->map_flags = layout->attr.map_flags;
	map->n_cpus = ops->percpu ? layout->n_cpus : 1;
	map->value_bytes = ops->percpu ? (__u32)words_stride(map->value_size) * map->n_cpus : map->value_size;
	map->spin_lock = layout->attr.spin_lock;
	map->spin_lock_off = layout->attr.spin_lock_off;
	map->reuse = (enum usermap_reuse)layout->reuse;
	map->read_only = map->region.read_only;
	atomic_init(&map->refs, 1);
	error = thread_map_id_get(&map->local_id);
	if (error)
		return error;
	if (fresh)
		error = seed_make(map);
	if (!error && fresh)
		error = ops->format(map);
	if (!error)
		error = attach_type(map);
	if (error)
		thread_map_id_put(map->local_id);
	return error;
}

static void handle_detach(struct usermap *map)
{
	thread_map_id_put(map->local_id);
	if (map->spin_lock)
		lockmaps_remove(map->ops->value_locks(map));
	map->ops->detach(map);
}

static void handle_free(struct usermap *map)
{
	region_close(&map->region);
	mem_free(map, sizeof(*map));
}

static int create(struct usermap *map, const struct map_attr *attr, const struct map_backing *backing)
{
	static const enum region_kind kinds[] = {
		[BACKING_PRIVATE] = REGION_PRIVATE,
		[BACKING_PATH] = REGION_PATH,
		[BACKING_MEMFD] = REGION_MEMFD,
		[BACKING_FD] = REGION_FD,
	};
	const struct map_ops *ops = map_ops_find(attr->type);
	struct region_layout layout = { .attr = *attr,
					.reuse = (uint32_t)backing->reuse,
					.n_cpus = backing->n_cpus ? backing->n_cpus : possible_cpus() };
	int error;

	if (!ops)
		return -EINVAL;
	layout.attr.map_flags &= ~(__u32)(BPF_F_RDONLY | BPF_F_WRONLY); /* a descriptor's, not the map's */
	error = layout_make(ops, &layout);
	if (error)
		return error;
	error = region_create(&map->region, &layout, kinds[backing->kind], backing->path, backing->fd);
	if (error)
		return error;
	map->on_evict = backing->on_evict;
	map->on_evict_ctx = backing->on_evict_ctx;
	error = handle_attach(map, ops, &layout, true);
	if (error)
		return error;
	error = region_publish(&map->region, backing->kind == BACKING_PATH ? backing->path : NULL);
	if (error)
		handle_detach(map);
	return error;
}

int map_check_spin_lock(const struct map_attr *attr)
{
	if (!attr->spin_lock)
		return attr->spin_lock_off ? -EINVAL : 0;
	if (attr->spin_lock != 1 || attr->spin_lock_off % 4 || attr->value_size < 4 ||
	    attr->spin_lock_off > attr->value_size - 4)
		return -EINVAL;
	if (attr->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return -EACCES;
	return attr->type == BPF_MAP_TYPE_HASH || attr->type == BPF_MAP_TYPE_ARRAY ? 0 : -EOPNOTSUPP;
}

int map_check_eviction(const struct map_attr *attr)
{
	const struct map_ops *ops = map_ops_find(attr->type);

	if (attr->eviction == USERMAP_EVICTION_KERNEL)
		return 0;
	if (attr->eviction != USERMAP_EVICTION_S3FIFO || !ops || !ops->evicts)
		return -EINVAL;
	return attr->map_flags & BPF_F_NO_COMMON_LRU ? -EINVAL : 0;
}

/* Whether the name ends, with nothing behind it. */
static bool name_ok(const char name[16])
{
	static const char zeros[16];
	size_t length = strnlen(name, sizeof(zeros));

	return length < sizeof(zeros) && memcmp(name + length, zeros, sizeof(zeros) - length) == 0;
}

/* Whether the layout that a file claims is the one this library gives a map of those attributes. */
static bool layout_is_ours(const struct region_layout *found)
{
	const struct map_attr *attr = &found->attr;
	const struct map_ops *ops = map_ops_find(attr->type);
	struct region_layout ours = { .attr = *attr, .reuse = found->reuse, .n_cpus = found->n_cpus };

	if (!ops || found->n_cpus < 1 || found->n_cpus > MAP_MAX_CPUS || found->reuse != USERMAP_REUSE_AT_ONCE)
		return false;
	if (attr->map_extra || attr->map_flags & (BPF_F_RDONLY | BPF_F_WRONLY) || !name_ok(attr->name))
		return false;
	if (map_check_spin_lock(attr) || map_check_eviction(attr))
		return false;
	return ops->alloc_check(attr) == 0 && layout_make(ops, &ours) == 0 && region_layout_equal(&ours, found);
}

static int attach(struct usermap *map, int fd, bool read_only)
{
	struct region_layout found;
	int error = region_attach(&map->region, fd, read_only, &found);

	if (error)
		return error;
	if (!layout_is_ours(&found))
		return -EINVAL;
	region_advise(&map->region, &found);
	return handle_attach(map, map_ops_find(found.attr.type), &found, false);
}

static struct usermap *handle_alloc(void)
{
	struct usermap *map = mem_alloc(sizeof(*map));

	if (map)
		map->region.fd = -1;
	return map;
}

int map_create(const struct map_attr *attr, const struct map_backing *backing, struct usermap **map)
{
	struct usermap *made = handle_alloc();
	int error = made ? create(made, attr, backing) : -ENOMEM;

	if (!error)
		*map = made;
	else if (made)
		handle_free(made);
	return error;
}

int map_attach(int fd, bool read_only, struct usermap **map)
{
	struct usermap *made = handle_alloc();
	int error = made ? attach(made, fd, read_only) : -ENOMEM;

	if (!error)
		*map = made;
	else if (made)
		handle_free(made);
	return error;
}

void map_get(struct usermap *map)
{
	/* relaxed: the caller holds a reference already, so nothing can end meanwhile */
	atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
}

void map_put(struct usermap *map)
{
	/* acq_rel: what other holders did comes before the end */
	if (atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) != 1)
		return;
	handle_detach(map);
	handle_free(map);
}
