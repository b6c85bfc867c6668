/* SPDX-License-Identifier: MIT */
/*
 * The program face: what a BPF program calls. No copies on lookup, no access modes but those of the memory itself:
 * freezing is for commands, programs write on.
 */
#include <usermap/helper.h>

#include "core/errno.h"
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

long usermap_helper_update_elem(struct usermap *map, const void *key, const void *value, __u64 flags)
{
	if (map->region.read_only) /* there is nothing to store into */
		return -EPERM;
	return map->ops->update(map, key, value, flags);
}

long usermap_helper_delete_elem(struct usermap *map, const void *key)
{
	if (map->region.read_only)
		return -EPERM;
	return map->ops->delete(map, key);
}
