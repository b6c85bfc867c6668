/* SPDX-License-Identifier: MIT */
/*
 * libbpf's contract for maps (bpf_map__lookup_elem and siblings): the sizes that the caller has are compared with the
 * map's, then the call is the native face's. Errors are returned as -errno and left in errno as well.
 */
#include <errno.h>
#include <usermap/usermap.h>

#include "map/map.h"

/* The one way out. */
static int answer(int result)
{
	if (result < 0)
		errno = -result;
	return result;
}

static int check_sizes(const struct usermap *map, size_t key_sz, size_t value_sz)
{
	return key_sz == map->key_size && value_sz == map->value_bytes ? 0 : -EINVAL;
}

int usermap__lookup_elem(struct usermap *map, const void *key, size_t key_sz, void *value, size_t value_sz, __u64 flags)
{
	return answer(check_sizes(map, key_sz, value_sz) ?: usermap_lookup_elem(map, key, value, flags));
}

int usermap__update_elem(struct usermap *map, const void *key, size_t key_sz, const void *value, size_t value_sz,
			 __u64 flags)
{
	return answer(check_sizes(map, key_sz, value_sz) ?: usermap_update_elem(map, key, value, flags));
}

int usermap__delete_elem(struct usermap *map, const void *key, size_t key_sz, __u64 flags)
{
	int error = check_sizes(map, key_sz, map->value_bytes);

	if (!error && flags) /* the kernel's delete takes none */
		error = -EINVAL;
	return answer(error ? error : usermap_delete_elem(map, key));
}

int usermap__lookup_and_delete_elem(struct usermap *map, const void *key, size_t key_sz, void *value, size_t value_sz,
				    __u64 flags)
{
	return answer(check_sizes(map, key_sz, value_sz) ?: usermap_lookup_and_delete_elem(map, key, value, flags));
}

int usermap__get_next_key(struct usermap *map, const void *cur_key, void *next_key, size_t key_sz)
{
	return answer(check_sizes(map, key_sz, map->value_bytes) ?: usermap_get_next_key(map, cur_key, next_key));
}
