/* SPDX-License-Identifier: MIT */
/* Checks that the faces share: creation, names, option structs, batches. See check.h. */
#include "face/check.h"

#include "core/machine.h"

#define BOTH(flags, a, b) (((flags) & ((a) | (b))) == ((a) | (b)))

int check_create(const struct map_attr *attr, const struct map_ops **ops)
{
	if (attr->map_extra != 0)
		return -EINVAL;
	if (BOTH(attr->map_flags, BPF_F_RDONLY, BPF_F_WRONLY))
		return -EINVAL;
	if ((attr->map_flags & BPF_F_NUMA_NODE) && !numa_node_ok(attr->numa_node))
		return -EINVAL;
	*ops = map_ops_find(attr->type);
	if (!*ops)
		return -EINVAL;
	return (*ops)->alloc_check(attr);
}

/* isalnum as the kernel has it: the letters of Latin-1 too. Not the C library's, which follows the locale. */
static bool is_alnum(unsigned char c)
{
	bool ascii = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');

	return ascii || (c >= 0xc0 && c != 0xd7 && c != 0xf7);
}

int check_name(char to[16], const char *from)
{
	size_t length = strnlen(from, 16);

	if (length == 16)
		return -EINVAL;
	for (size_t i = 0; i < length; i++)
		if (!is_alnum((unsigned char)from[i]) && from[i] != '_' && from[i] != '.')
			return -EINVAL;
	memset(to, 0, 16);
	memcpy(to, from, length);
	return 0;
}

int check_opts(void *to, size_t known_size, const void *opts)
{
	const unsigned char *bytes = opts;
	size_t size;

	memset(to, 0, known_size);
	if (!opts)
		return 0;
	memcpy(&size, opts, sizeof(size));
	if (size < sizeof(size) || size > 4096) /* no struct of options is that large */
		return -EINVAL;
	for (size_t i = known_size; i < size; i++)
		if (bytes[i])
			return -EINVAL;
	memcpy(to, opts, size < known_size ? size : known_size);
	return 0;
}

typedef int (*batch_op)(struct usermap *map, struct map_batch *batch);

static batch_op find_batch_op(const struct usermap *map, enum batch_kind kind)
{
	switch (kind) {
	case BATCH_LOOKUP:
		return map->ops->lookup_batch;
	case BATCH_LOOKUP_AND_DELETE:
		return map->ops->lookup_and_delete_batch;
	case BATCH_UPDATE:
		return map->ops->update_batch;
	case BATCH_DELETE:
		return map->ops->delete_batch;
	}
	return NULL;
}

unsigned batch_access(enum batch_kind kind)
{
	switch (kind) {
	case BATCH_LOOKUP:
		return MAY_READ;
	case BATCH_LOOKUP_AND_DELETE:
		return MAY_READ | MAY_WRITE;
	default:
		return MAY_WRITE;
	}
}

int check_batch(const struct usermap *map, enum batch_kind kind, __u64 elem_flags, __u64 flags)
{
	bool lookup = kind == BATCH_LOOKUP || kind == BATCH_LOOKUP_AND_DELETE;

	if (!find_batch_op(map, kind))
		return -ENOTSUPP;
	if (elem_flags & ~(__u64)(map->spin_lock ? BPF_F_LOCK : 0)) /* nothing else is a flag of batches */
		return -EINVAL;
	if (lookup && map->ops->batch_flags_checked && flags)
		return -EINVAL;
	return 0;
}

int run_batch(struct usermap *map, enum batch_kind kind, struct map_batch *batch)
{
	return find_batch_op(map, kind)(map, batch);
}
