/* SPDX-License-Identifier: MIT */
/*
 * The program face: what a BPF program calls. No copies on lookup, no access modes but those of the memory itself:
 * freezing is for commands, programs write on.
 */
#include <usermap/helper.h>

#include "core/errno.h"
#include "core/lockmaps.h"
#include "core/thread.h"
#include "map/map.h"

void usermap_read_lock(void)
{
	thread_read_lock();
}

void usermap_read_unlock(void)
{
	thread_read_unlock();
}

void *usermap_helper_lookup_elem(struct usermap *map, const void *key)
{
	return map->ops->lookup_ptr(map, key);
}

void *usermap_helper_lookup_percpu_elem(struct usermap *map, const void *key, __u32 cpu)
{
	return map->ops->lookup_percpu_ptr && cpu < map->n_cpus ? map->ops->lookup_percpu_ptr(map, key, cpu) : NULL;
}

long usermap_helper_update_elem(struct usermap *map, const void *key, const void *value, __u64 flags)
{
	if (map->region.read_only) /* there is nothing to store into */
		return -EPERM;
	if (map->ops->update_prog)
		return map->ops->update_prog(map, key, value, flags);
	return map->ops->update(map, key, value, flags);
}

long usermap_helper_delete_elem(struct usermap *map, const void *key)
{
	if (map->region.read_only)
		return -EPERM;
	return map->ops->delete(map, key);
}

long usermap_helper_for_each_elem(struct usermap *map, usermap_for_each_fn fn, void *ctx, __u64 flags)
{
	long done;

	if (flags || !map->ops->for_each)
		return -EINVAL;
	thread_read_lock();
	done = map->ops->for_each(map, fn, ctx);
	thread_read_unlock();
	return done;
}

int usermap_percpu_add(struct usermap *map, const void *key, __u32 offset, __u64 delta)
{
	if (!map->ops->percpu_add || offset % 8 || map->value_size < 8 || offset > map->value_size - 8)
		return -EINVAL;
	if (map->region.read_only)
		return -EPERM;
	return map->ops->percpu_add(map, key, offset, delta);
}

/* The value whose lock is at the address, 0: none; and the locks it is among. */
static uint32_t find_lock(const struct bpf_spin_lock *lock, const struct value_locks **locks)
{
	*locks = lockmaps_find(lock);
	return *locks ? vlock_at(*locks, lock) : 0;
}

int usermap_helper_spin_lock(struct bpf_spin_lock *lock)
{
	const struct value_locks *locks;
	uint32_t value = find_lock(lock, &locks);
	struct writer *w;
	int error;

	if (!value)
		return -EINVAL;
	if (locks->writers->region->read_only)
		return -EPERM;
	w = writer_begin(locks->writers, 1, &error); /* this operation has nothing to choose by CPU */
	if (!w)
		return error;
	error = vlock_acquire_own(locks, w, value);
	writer_end(w);
	return error;
}

int usermap_helper_spin_unlock(struct bpf_spin_lock *lock)
{
	const struct value_locks *locks;
	uint32_t value = find_lock(lock, &locks);
	struct writer *w;

	if (!value)
		return -EINVAL;
	w = writer_find(locks->writers);
	if (!w)
		return -EPERM;
	if (writer_busy(w))
		return -EBUSY;
	if (!vlock_holds(locks, w, value))
		return -EPERM;
	vlock_release(locks, w);
	return 0;
}
