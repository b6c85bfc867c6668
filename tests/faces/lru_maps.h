/* SPDX-License-Identifier: MIT */
/*
 * LRU maps for the tests of the native and the program face: of each kind there is, small, with 4-byte keys; and what is
 * in them.
 */
#ifndef TESTS_FACES_LRU_MAPS_H
#define TESTS_FACES_LRU_MAPS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <usermap/helper.h>

#define LRU	   BPF_MAP_TYPE_LRU_HASH
#define LRU_PERCPU BPF_MAP_TYPE_LRU_PERCPU_HASH
#define NO_COMMON  BPF_F_NO_COMMON_LRU
#define S3FIFO	   USERMAP_EVICTION_S3FIFO

#define OPTS(...)                                              \
	{                                                      \
		.sz = sizeof(struct usermap_opts), __VA_ARGS__ \
	}

struct lru_kind {
	const char *name;
	enum bpf_map_type type;
	__u32 map_flags, eviction;
};

static const struct lru_kind lru_kinds[] = {
	{ "LRU_HASH", LRU, 0, 0 },
	{ "LRU_PERCPU_HASH", LRU_PERCPU, 0, 0 },
	{ "LRU_HASH no common", LRU, NO_COMMON, 0 },
	{ "LRU_PERCPU_HASH no common", LRU_PERCPU, NO_COMMON, 0 },
	{ "LRU_HASH s3fifo", LRU, 0, S3FIFO },
	{ "LRU_PERCPU_HASH s3fifo", LRU_PERCPU, 0, S3FIFO },
};
enum { LRU_KINDS = sizeof(lru_kinds) / sizeof(lru_kinds[0]) };

/* Up to so many CPUs have slots in these tests. */
#define LRU_CPUS 512

/* value_size 8. opts: but for what the kind says. */
static inline struct usermap *lru_make(const struct lru_kind *kind, __u32 max_entries, struct usermap_opts opts)
{
	struct usermap_info info = { .sz = sizeof(info) };
	struct usermap *map = NULL;
	int error;

	opts.map_flags |= kind->map_flags;
	opts.eviction = kind->eviction;
	error = usermap_create(kind->type, "lru", 4, 8, max_entries, &opts, &map);
	if (error)
		print_error("%s of %u\n", kind->name, max_entries);
	assert_int_equal(error, 0);
	assert_true(usermap_get_info(map, &info) == 0 && info.value_bytes <= LRU_CPUS * sizeof(__u64));
	return map;
}

static inline struct usermap_info lru_info(const struct usermap *map)
{
	struct usermap_info info = { .sz = sizeof(info) };

	assert_int_equal(usermap_get_info(map, &info), 0);
	return info;
}

/* By a command: all slots get the value. */
static inline int lru_put(struct usermap *map, __u32 key, __u64 value, __u64 flags)
{
	__u64 slots[LRU_CPUS];

	for (int i = 0; i < LRU_CPUS; i++)
		slots[i] = value;
	return usermap_update_elem(map, &key, slots, flags);
}

/* By a command: the slots; -ENOENT. */
static inline int lru_slots(struct usermap *map, __u32 key, __u64 slots[LRU_CPUS])
{
	return usermap_lookup_elem(map, &key, slots, 0);
}

/* By a command, which is no hit with the kernel's policy. */
static inline bool lru_has(struct usermap *map, __u32 key)
{
	__u64 slots[LRU_CPUS];

	return lru_slots(map, key, slots) == 0;
}

/* By a program. */
static inline bool lru_hit(struct usermap *map, __u32 key)
{
	bool hit;

	usermap_read_lock();
	hit = usermap_helper_lookup_elem(map, &key) != NULL;
	usermap_read_unlock();
	return hit;
}

/* Entries, by a walk; keys of 4 bytes. */
static inline __u64 lru_count(struct usermap *map)
{
	__u32 key, *from = NULL;
	__u64 n = 0;

	while (usermap_get_next_key(map, from, &key) == 0) {
		from = &key;
		n++;
	}
	return n;
}

#endif
