/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <usermap/helper.h>

#include "memory.h"
#include "native.h"
#include "typeinfo.h"

#define HANDLES 1024

/* A descriptor of an empty file stands for a handle. The test closes it; the handle is closed at the next creation. */
static struct {
	struct usermap *map;
	ino_t file; /* tells whether the number still means the file */
} handles[HANDLES];
static struct usermap_opts kind;

static void *pointer(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static ino_t file_of(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) ? 0 : stat.st_ino;
}

static void collect(void)
{
	for (int fd = 0; fd < HANDLES; fd++)
		if (handles[fd].map && file_of(fd) != handles[fd].file) {
			usermap_close(handles[fd].map);
			handles[fd].map = NULL;
		}
}

/* A descriptor of a file with the raw types stands for them. */
static int native_types(const struct abi_btf_load *load)
{
	int fd = memfd_create("types", MFD_CLOEXEC);

	if (fd < 0 || write(fd, pointer(load->btf), load->size) != (ssize_t)load->size) {
		fprintf(stderr, "no file for types\n");
		exit(1);
	}
	return fd;
}

/* The native face finds a spin lock by types, or is told where it is: every other map has it so. */
static void add_types(struct usermap_opts *opts, const struct abi_create *create, unsigned char raw[TYPEINFO_MAX])
{
	static bool turn;
	ssize_t size;

	if (!create->btf_value_type_id)
		return;
	size = pread((int)create->btf_fd, raw, TYPEINFO_MAX, 0);
	turn = !turn;
	if (turn) {
		opts->spin_lock = 1;
		opts->spin_lock_off = typeinfo_lock_off(raw);
	} else {
		opts->btf = raw;
		opts->btf_size = (uint32_t)size;
		opts->btf_key_type_id = create->btf_key_type_id;
		opts->btf_value_type_id = create->btf_value_type_id;
	}
}

static int native_create(const struct abi_create *create)
{
	struct usermap_opts opts = kind;
	unsigned char raw[TYPEINFO_MAX];
	struct usermap *map;
	int error, fd;

	opts.map_flags = create->map_flags;
	opts.numa_node = create->numa_node;
	opts.map_extra = create->map_extra;
	add_types(&opts, create, raw);
	error = usermap_create((enum bpf_map_type)create->map_type, create->map_name, create->key_size,
			       create->value_size, create->max_entries, &opts, &map);
	if (error)
		return error;
	collect();
	fd = memfd_create("handle", MFD_CLOEXEC);
	if (fd < 0 || fd >= HANDLES) {
		fprintf(stderr, "no descriptor to stand for a handle\n");
		exit(1);
	}
	handles[fd].map = map;
	handles[fd].file = file_of(fd);
	return fd;
}

struct usermap *native_handle(uint32_t fd)
{
	return fd < HANDLES ? handles[fd].map : NULL;
}

/* Every other lookup goes through the program face, if a value is the same there, and a lookup is no use that an LRU map
 * remembers. */
static int native_lookup(struct usermap *map, const void *key, void *value, uint64_t flags)
{
	static bool turn;
	struct usermap_info info = { .sz = sizeof(info) };
	const void *found;

	turn = !turn;
	if (flags || turn)
		return usermap_lookup_elem(map, key, value, flags);
	usermap_get_info(map, &info);
	if (info.spin_lock || info.value_bytes != info.value_size || abi_is_lru(info.type))
		return usermap_lookup_elem(map, key, value, flags);
	usermap_read_lock();
	found = usermap_helper_lookup_elem(map, key);
	if (found)
		memcpy(value, found, info.value_size);
	usermap_read_unlock();
	return found ? 0 : -ENOENT;
}

/* A bulk lookup must say what single ones say: of each key whether it is there, and of those that are the value. */
static int check_bulk(struct usermap *map, const void *keys, uint32_t count)
{
	struct usermap_info info = { .sz = sizeof(info) };
	__u64 *found = need_memory(count / 8 + 8);
	unsigned char *values, *value;
	int present = 0, bulk;

	usermap_get_info(map, &info);
	values = need_memory((size_t)count * info.value_bytes);
	value = need_memory(info.value_bytes);
	bulk = usermap_lookup_bulk(map, keys, values, count, found);
	for (uint32_t i = 0; i < count; i++) {
		bool there = usermap_lookup_elem(map, (const char *)keys + (size_t)i * info.key_size, value, 0) == 0;

		if (!there)
			memset(value, 0, info.value_bytes); /* untouched in the bulk's values */
		present += there;
		if (there != (found[i / 64] >> i % 64 & 1) ||
		    memcmp(value, values + (size_t)i * info.value_bytes, info.value_bytes))
			present = -1000000;
	}
	free(found);
	free(values);
	free(value);
	return bulk == present ? 0 : -EIO; /* no map answers that: it is noticed */
}

static int native_elem(int cmd, const struct abi_elem *elem)
{
	struct usermap *map = native_handle(elem->map_fd);
	void *key = pointer(elem->key), *value = pointer(elem->value);

	if (!map)
		return -EBADF;
	switch (cmd) {
	case ABI_MAP_LOOKUP_ELEM:
		return native_lookup(map, key, value, elem->flags);
	case ABI_MAP_UPDATE_ELEM:
		return usermap_update_elem(map, key, value, elem->flags);
	case ABI_MAP_DELETE_ELEM:
		return usermap_delete_elem(map, key);
	case ABI_MAP_GET_NEXT_KEY:
		return usermap_get_next_key(map, key, value);
	case ABI_MAP_LOOKUP_AND_DELETE_ELEM:
		return usermap_lookup_and_delete_elem(map, key, value, elem->flags);
	case ABI_MAP_FREEZE:
		return usermap_freeze(map);
	default:
		return -EINVAL;
	}
}

static int native_batch(int cmd, struct abi_batch *batch)
{
	struct usermap_batch_opts opts = { sizeof(opts), batch->elem_flags, batch->flags };
	struct usermap *map = native_handle(batch->map_fd);
	void *in = pointer(batch->in_batch), *out = pointer(batch->out_batch);
	void *keys = pointer(batch->keys), *values = pointer(batch->values);

	if (!map)
		return -EBADF;
	if (cmd == ABI_MAP_UPDATE_BATCH && check_bulk(map, keys, batch->count))
		return -EIO;
	switch (cmd) {
	case ABI_MAP_LOOKUP_BATCH:
		return usermap_lookup_batch(map, in, out, keys, values, &batch->count, &opts);
	case ABI_MAP_LOOKUP_AND_DELETE_BATCH:
		return usermap_lookup_and_delete_batch(map, in, out, keys, values, &batch->count, &opts);
	case ABI_MAP_UPDATE_BATCH:
		return usermap_update_batch(map, keys, values, &batch->count, &opts);
	default:
		return usermap_delete_batch(map, keys, &batch->count, &opts);
	}
}

static long native_bpf(int cmd, void *user, unsigned size)
{
	union abi_attr attr;
	int result;

	memset(&attr, 0, sizeof(attr));
	memcpy(&attr, user, size < sizeof(attr) ? size : sizeof(attr));
	if (cmd == ABI_MAP_CREATE) {
		result = native_create(&attr.create);
	} else if (cmd == ABI_BTF_LOAD) {
		result = native_types(&attr.btf);
	} else if (cmd >= ABI_MAP_LOOKUP_BATCH && cmd <= ABI_MAP_DELETE_BATCH) {
		result = native_batch(cmd, &attr.batch);
		memcpy((char *)user + offsetof(struct abi_batch, count), &attr.batch.count, sizeof(attr.batch.count));
	} else {
		result = native_elem(cmd, &attr.elem);
	}
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

abi_bpf native_find(const char *name)
{
	static const struct {
		const char *name;
		uint32_t memory, reuse;
	} kinds[] = {
		{ "private", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_DEFAULT }, /* GRACE but for LRU maps */
		{ "at-once", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_AT_ONCE },
		{ "memfd", USERMAP_MEMORY_SHARED, USERMAP_REUSE_AT_ONCE },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(name, kinds[i].name) == 0) {
			kind = (struct usermap_opts){ .sz = sizeof(kind),
						      .memory = kinds[i].memory,
						      .reuse = kinds[i].reuse };
			return native_bpf;
		}
	return NULL;
}

void native_for_cpus(uint32_t n_cpus)
{
	kind.n_cpus = n_cpus;
}
