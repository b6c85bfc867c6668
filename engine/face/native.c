/* SPDX-License-Identifier: MIT */
/*
 * The native face: handles and -errno. Arguments are trusted; what is checked is what the kernel's contract says.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>
#include <usermap/usermap.h>

#include "core/alloc.h"
#include "face/btf.h"
#include "face/check.h"
#include "face/mapfile.h"
#include "face/usercopy.h"

/* Refused to a handle that may not write. Frozen counts as that. */
static inline int check_write(const struct usermap *map)
{
	return __builtin_expect(map->read_only || map_is_frozen(map), 0) ? -EPERM : 0;
}

static inline int check_read(const struct usermap *map)
{
	return __builtin_expect(map->write_only, 0) ? -EPERM : 0;
}

/* Where the memory of a new map comes from. */
static int backing_of(const struct usermap_opts *opts, struct map_backing *backing)
{
	__u32 memory = opts->memory;

	if (memory > USERMAP_MEMORY_SHARED || opts->reuse > USERMAP_REUSE_AT_ONCE || opts->n_cpus > MAP_MAX_CPUS)
		return -EINVAL;
	if (memory == USERMAP_MEMORY_DEFAULT)
		memory = opts->path ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE;
	*backing = (struct map_backing){ .path = opts->path,
					 .reuse = (enum usermap_reuse)opts->reuse,
					 .n_cpus = opts->n_cpus,
					 .on_evict = opts->on_evict,
					 .on_evict_ctx = opts->on_evict_ctx };
	if (memory == USERMAP_MEMORY_PRIVATE) {
		backing->kind = BACKING_PRIVATE;
		return opts->path ? -EINVAL : 0;
	}
	if (opts->on_evict) /* another process can't call it */
		return -EINVAL;
	backing->kind = opts->path ? BACKING_PATH : BACKING_MEMFD;
	return backing->reuse == USERMAP_REUSE_GRACE ? -EINVAL : 0;
}

/* What the options ask of the type. */
static int options_of_type(const struct map_ops *ops, const struct usermap_opts *opts, struct map_backing *backing)
{
	if (opts->n_cpus && !ops->percpu && !ops->evicts)
		return -EINVAL;
	if (ops->evicts ? backing->reuse == USERMAP_REUSE_GRACE : opts->on_evict || opts->on_evict_ctx)
		return -EINVAL;
	if (backing->reuse == USERMAP_REUSE_DEFAULT)
		backing->reuse =
			backing->kind == BACKING_PRIVATE && !ops->evicts ? USERMAP_REUSE_GRACE : USERMAP_REUSE_AT_ONCE;
	return 0;
}

/* Whether what the options say of types and locks goes together. */
static bool types_ok(const struct usermap_opts *opts)
{
	if (opts->reserved)
		return false;
	if (!opts->btf)
		return !opts->btf_size && !opts->btf_key_type_id && !opts->btf_value_type_id;
	return opts->btf_value_type_id && !opts->spin_lock && !opts->spin_lock_off;
}

/* The checks that the kernel makes when the map exists. */
static int check_last(struct map_attr *attr, const char *name, const struct usermap_opts *opts)
{
	int error = check_name(attr->name, name ? name : "");

	if (!error && opts->btf)
		error = check_btf(attr, opts->btf, opts->btf_size, opts->btf_key_type_id, opts->btf_value_type_id);
	return error;
}

int usermap_create(enum bpf_map_type type, const char *name, __u32 key_size, __u32 value_size, __u32 max_entries,
		   const struct usermap_opts *opts, struct usermap **map)
{
	const struct map_ops *ops;
	struct usermap_opts wanted;
	struct map_backing backing;
	struct map_attr attr = {
		.type = (__u32)type,
		.key_size = key_size,
		.value_size = value_size,
		.max_entries = max_entries,
	};
	struct usermap *made;
	int late, error = check_opts(&wanted, sizeof(wanted), opts);

	if (!error)
		error = types_ok(&wanted) ? backing_of(&wanted, &backing) : -EINVAL;
	if (error)
		return error;
	attr.map_flags = wanted.map_flags;
	attr.numa_node = wanted.numa_node;
	attr.map_extra = wanted.map_extra;
	attr.spin_lock = wanted.spin_lock;
	attr.spin_lock_off = wanted.spin_lock_off;
	attr.eviction = wanted.eviction;
	error = check_create(&attr, &ops);
	if (!error)
		error = options_of_type(ops, &wanted, &backing);
	if (!error)
		error = map_check_eviction(&attr);
	if (!error)
		error = map_check_spin_lock(&attr);
	if (error)
		return error;
	late = check_last(&attr, name, &wanted);
	if (late) /* lack of memory comes first; but a file must not appear for nothing */
		backing.kind = BACKING_PRIVATE;
	error = map_create(&attr, &backing, &made);
	if (!error && late) {
		map_put(made);
		error = late;
	}
	if (error)
		return error;
	made->read_only = attr.map_flags & BPF_F_RDONLY;
	made->write_only = attr.map_flags & BPF_F_WRONLY;
	*map = made;
	return 0;
}

/* Options of an attachment: BPF_F_RDONLY, nothing else. */
static int open_opts(const struct usermap_opts *opts, bool *read_only)
{
	struct usermap_opts wanted, allowed = { 0 };
	int error = check_opts(&wanted, sizeof(wanted), opts);

	if (error)
		return error;
	*read_only = wanted.map_flags & BPF_F_RDONLY;
	allowed.sz = wanted.sz;
	allowed.map_flags = *read_only ? BPF_F_RDONLY : 0;
	return memcmp(&wanted, &allowed, sizeof(wanted)) ? -EINVAL : 0;
}

int usermap_open_fd(int fd, const struct usermap_opts *opts, struct usermap **map)
{
	bool read_only;
	int error = open_opts(opts, &read_only);

	return error ? error : map_attach(fd, read_only, map);
}

int usermap_open(const char *path, const struct usermap_opts *opts, struct usermap **map)
{
	bool read_only;
	int fd, error = open_opts(opts, &read_only);

	if (error)
		return error;
	/* NONBLOCK: a pipe under that name must not keep us waiting for its other end */
	fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	error = map_attach(fd, read_only, map);
	close(fd);
	return error;
}

int usermap_get_fd(const struct usermap *map)
{
	uint32_t id;
	int fd, error;

	if (map->region.fd < 0)
		return -EINVAL;
	fd = region_reopen(&map->region, map->read_only ? O_RDONLY : O_RDWR);
	if (fd < 0)
		return fd;
	/* A map of the command face: the descriptor serves that face too. relaxed: written before the map was handed
	 * out */
	id = atomic_load_explicit(&map->region.header->id, memory_order_relaxed);
	error = id ? mapfile_park(fd, mapfile_key(fd, id), map->read_only ? MAY_READ : MAY_READ | MAY_WRITE) : 0;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

void usermap_close(struct usermap *map)
{
	if (map)
		map_put(map);
}

int usermap_lookup_elem(struct usermap *map, const void *key, void *value, __u64 flags)
{
	int error = __builtin_expect((flags & ~(__u64)BPF_F_LOCK) != 0, 0) ? -EINVAL : check_read(map);

	if (!error)
		error = check_lock_flag(map, flags);
	return error ? error : map->ops->lookup(map, key, value, flags);
}

int usermap_update_elem(struct usermap *map, const void *key, const void *value, __u64 flags)
{
	int error = check_write(map);

	if (!error)
		error = check_lock_flag(map, flags);
	return error ? error : map->ops->update(map, key, value, flags);
}

int usermap_delete_elem(struct usermap *map, const void *key)
{
	return check_write(map) ?: map->ops->delete(map, key);
}

int usermap_lookup_and_delete_elem(struct usermap *map, const void *key, void *value, __u64 flags)
{
	int error = flags & ~(__u64)BPF_F_LOCK ? -EINVAL : 0;

	if (!error)
		error = check_read(map) ?: check_write(map);
	if (!error)
		error = check_lock_flag(map, flags);
	if (error)
		return error;
	return map->ops->lookup_and_delete ? map->ops->lookup_and_delete(map, key, value, flags) : -ENOTSUPP;
}

int usermap_get_next_key(struct usermap *map, const void *key, void *next_key)
{
	return check_read(map) ?: map->ops->next_key(map, key, next_key);
}

int usermap_freeze(struct usermap *map)
{
	return freeze_map(map, !map->read_only);
}

static int batch(struct usermap *map, enum batch_kind kind, struct map_batch *args, __u32 *count,
		 const struct usermap_batch_opts *opts)
{
	struct usermap_batch_opts wanted;
	unsigned need = batch_access(kind);
	int error = check_opts(&wanted, sizeof(wanted), opts);

	if (!error && (need & MAY_READ))
		error = check_read(map);
	if (!error && (need & MAY_WRITE))
		error = check_write(map);
	if (!error)
		error = check_batch(map, kind, wanted.elem_flags, wanted.flags);
	if (error || !*count)
		return error;
	args->io = &trusted_io;
	args->max = *count;
	args->elem_flags = wanted.elem_flags;
	error = run_batch(map, kind, args);
	*count = args->count;
	return error;
}

int usermap_update_batch(struct usermap *map, const void *keys, const void *values, __u32 *count,
			 const struct usermap_batch_opts *opts)
{
	struct map_batch args = { .keys = (void *)(uintptr_t)keys, .values = (void *)(uintptr_t)values };

	return batch(map, BATCH_UPDATE, &args, count, opts);
}

int usermap_delete_batch(struct usermap *map, const void *keys, __u32 *count, const struct usermap_batch_opts *opts)
{
	struct map_batch args = { .keys = (void *)(uintptr_t)keys };

	return batch(map, BATCH_DELETE, &args, count, opts);
}

int usermap_lookup_batch(struct usermap *map, const void *in_batch, void *out_batch, void *keys, void *values,
			 __u32 *count, const struct usermap_batch_opts *opts)
{
	struct map_batch args = { .in_batch = in_batch, .out_batch = out_batch, .keys = keys, .values = values };

	return batch(map, BATCH_LOOKUP, &args, count, opts);
}

int usermap_lookup_and_delete_batch(struct usermap *map, const void *in_batch, void *out_batch, void *keys,
				    void *values, __u32 *count, const struct usermap_batch_opts *opts)
{
	struct map_batch args = { .in_batch = in_batch, .out_batch = out_batch, .keys = keys, .values = values };

	return batch(map, BATCH_LOOKUP_AND_DELETE, &args, count, opts);
}

int usermap_lookup_bulk(struct usermap *map, const void *keys, void *values, __u32 n, __u64 *found)
{
	if (n > INT_MAX)
		return -EINVAL;
	return check_read(map) ?: map->ops->lookup_bulk(map, keys, values, n, found);
}

int usermap_get_info(const struct usermap *map, struct usermap_info *info)
{
	size_t size = info->sz < sizeof(*info) ? info->sz : sizeof(*info);
	struct usermap_info all = {
		.sz = size,
		.type = map->ops->type,
		.key_size = map->key_size,
		.value_size = map->value_size,
		.max_entries = map->max_entries,
		.map_flags = map->map_flags,
		.memory = map->region.fd < 0 ? USERMAP_MEMORY_PRIVATE : USERMAP_MEMORY_SHARED,
		.reuse = map->reuse,
		.frozen = map_is_frozen(map),
		.map_extra = map->layout.attr.map_extra,
		.bytes_reserved = map->region.size,
		.huge_pages = map->region.huge_pages,
		.n_cpus = map->n_cpus,
		.value_bytes = map->value_bytes,
		.spin_lock = map->spin_lock,
		.spin_lock_off = map->spin_lock_off,
	};

	if (size < offsetof(struct usermap_info, max_entries))
		return -EINVAL;
	memcpy(all.name, map->layout.attr.name, sizeof(all.name));
	all.bytes_used = region_resident(&map->region);
	map->ops->info(map, &all);
	all.fill_permille = (__u32)(all.count * 1000 / map->max_entries);
	memcpy(info, &all, size);
	return 0;
}
