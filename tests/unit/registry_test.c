/* SPDX-License-Identifier: MIT */
/*
 * map/registry: handles are made whole or not at all. For every type and every kind of memory, each acquisition of
 * memory fails once, at creation, attaching and writing: the answer is -ENOMEM and nothing stays behind.
 */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "map/types.h"

#define S3FIFO_HASH 1000 /* an LRU_HASH with that policy */

static const unsigned types[] = { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH,
				  BPF_MAP_TYPE_LRU_PERCPU_HASH, S3FIFO_HASH };

static struct map_attr attributes(unsigned type, unsigned max_entries, unsigned flags)
{
	return (struct map_attr){ .type = type == S3FIFO_HASH ? BPF_MAP_TYPE_LRU_HASH : type,
				  .eviction = type == S3FIFO_HASH ? USERMAP_EVICTION_S3FIFO : 0,
				  .key_size = 4,
				  .value_size = 24,
				  .max_entries = max_entries,
				  .map_flags = flags,
				  .name = "registry" };
}

#define N_CPUS 4u

static const struct map_backing private = {
	.kind = BACKING_PRIVATE, .fd = -1, .reuse = USERMAP_REUSE_GRACE, .n_cpus = N_CPUS
};
static const struct map_backing in_memfd = {
	.kind = BACKING_MEMFD, .fd = -1, .reuse = USERMAP_REUSE_AT_ONCE, .n_cpus = N_CPUS
};

/* LRU types know no grace periods. */
static struct map_backing fitting(struct map_backing backing, const struct map_attr *attr)
{
	if (map_ops_find(attr->type)->evicts)
		backing.reuse = USERMAP_REUSE_AT_ONCE;
	return backing;
}

static struct usermap *make(struct map_attr attr, struct map_backing backing)
{
	struct usermap *map = NULL;

	backing = fitting(backing, &attr);
	assert_int_equal(map_create(&attr, &backing, &map), 0);
	assert_non_null(map);
	return map;
}

static int update(struct usermap *map, uint32_t key)
{
	uint64_t value[3 * N_CPUS] = { key, key, key };

	return map->ops->update(map, &key, value, BPF_ANY);
}

static void types_are_found_by_number(void **unused)
{
	(void)unused;
	for (unsigned type = 0; type < 100; type++) {
		const struct map_ops *ops = map_ops_find(type);

		if (ops)
			assert_int_equal(ops->type, type);
		assert_int_equal(ops != NULL,
				 type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_ARRAY ||
					 type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
					 type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH);
	}
}

static void map_flags_lose_the_access_of_the_descriptor(void **unused)
{
	(void)unused;
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		struct usermap *map = make(attributes(types[t], 10, BPF_F_RDONLY | BPF_F_WRONLY_PROG), in_memfd),
			       *again;

		assert_int_equal(map->map_flags, BPF_F_WRONLY_PROG);
		assert_int_equal(map_attach(map->region.fd, false, &again), 0);
		assert_int_equal(again->map_flags, BPF_F_WRONLY_PROG);
		assert_int_equal(again->max_entries, 10);
		assert_string_equal(again->region.header->layout.attr.name, "registry");
		map_put(again);
		map_put(map);
	}
}

static void seed_is_random_or_zero_and_shared(void **unused)
{
	struct usermap *first = make(attributes(BPF_MAP_TYPE_HASH, 10, 0), in_memfd), *again;
	struct usermap *second = make(attributes(BPF_MAP_TYPE_HASH, 10, 0), in_memfd);
	struct usermap *zero = make(attributes(BPF_MAP_TYPE_HASH, 10, BPF_F_ZERO_SEED), private);

	(void)unused;
	assert_int_not_equal(first->region.header->seed, second->region.header->seed);
	assert_int_equal(zero->region.header->seed, 0);
	assert_int_equal(map_attach(first->region.fd, false, &again), 0);
	assert_int_equal(again->region.header->seed, first->region.header->seed);
	map_put(again);
	map_put(first);
	map_put(second);
	map_put(zero);
}

static void handle_lives_until_the_last_put(void **unused)
{
	struct usermap *map = make(attributes(BPF_MAP_TYPE_ARRAY, 10, 0), private);
	struct holdings alive = support_holdings("/proc/self/task"), dead;

	(void)unused;
	map_get(map);
	map_put(map);
	support_assert_same(alive, support_holdings("/proc/self/task"));
	assert_int_equal(update(map, 3), 0);
	map_put(map);
	dead = support_holdings("/proc/self/task");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_int_not_equal(dead.mappings, alive.mappings);
#endif
	assert_int_equal(dead.fds, alive.fds);
}

static void file_appears_when_the_map_is_whole(void **unused)
{
	char directory[64], path[80];
	struct map_backing backing = { .kind = BACKING_PATH, .path = path, .fd = -1, .reuse = USERMAP_REUSE_AT_ONCE };
	const struct map_attr attr = attributes(BPF_MAP_TYPE_HASH, 100, 0);
	struct usermap *map, *again, *third = NULL;
	struct holdings before;
	struct stat st;

	(void)unused;
	snprintf(path, sizeof(path), "%s/map", support_scratch_make(directory));
	map = make(attr, backing);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(map_attach(map->region.fd, false, &again), 0);
	before = support_holdings(directory);
	assert_int_equal(map_create(&attr, &backing, &third), -EEXIST);
	support_assert_same(before, support_holdings(directory));
	assert_null(third);
	map_put(map);
	assert_int_equal(stat(path, &st), 0); /* a shared map lives in its file */
	map_put(again);
	assert_int_equal(unlink(path), 0);
	support_scratch_remove(directory);
}

/* Creates with the n-th acquisition failing, for every n. */
static void fail_every_acquisition_of_create(struct map_attr attr, struct map_backing backing, const char *directory)
{
	struct holdings before = support_holdings(directory);
	int error = -ENOMEM;

	for (unsigned n = 1; error; n++) {
		struct usermap *map = NULL;

		support_fail_nth(n);
		error = map_create(&attr, &backing, &map);
		support_fail_nth(0);
		if (!error) {
			assert_true(n > 4); /* otherwise nothing was tried */
			map_put(map);
		} else {
			assert_int_equal(error, -ENOMEM);
			assert_null(map);
			support_assert_same(before, support_holdings(directory));
		}
	}
}

static void every_failed_acquisition_of_create_is_ENOMEM_and_leaves_nothing(void **unused)
{
	char directory[64], path[80];

	(void)unused;
	snprintf(path, sizeof(path), "%s/map", support_scratch_make(directory));
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		for (unsigned kind = BACKING_PRIVATE; kind <= BACKING_FD; kind++) {
			int fd = memfd_create("test", MFD_CLOEXEC);
			const struct map_attr attr = attributes(types[t], 1000, 0);
			const struct map_backing backing = { .kind = kind,
							     .path = kind == BACKING_PATH ? path : NULL,
							     .fd = fd,
							     .reuse = kind == BACKING_PRIVATE ? USERMAP_REUSE_GRACE
											      : USERMAP_REUSE_AT_ONCE };

			fail_every_acquisition_of_create(attr, fitting(backing, &attr), directory);
			unlink(path);
			close(fd);
		}
	}
	support_scratch_remove(directory);
}

static void every_failed_acquisition_of_attach_is_ENOMEM_and_leaves_nothing(void **unused)
{
	(void)unused;
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		struct usermap *map = make(attributes(types[t], 100, 0), in_memfd);
		struct holdings before = support_holdings("/proc/self/task");
		int error = -ENOMEM;

		for (unsigned n = 1; error; n++) {
			struct usermap *again = NULL;

			support_fail_nth(n);
			error = map_attach(map->region.fd, false, &again);
			support_fail_nth(0);
			if (!error) {
				assert_true(n > 2);
				map_put(again);
			} else {
				assert_int_equal(error, -ENOMEM);
				assert_null(again);
			}
			support_assert_same(before, support_holdings("/proc/self/task"));
		}
		map_put(map);
	}
}

/* Inserts max_entries entries. Whoever needs memory for it doesn't get it at first. Returns how many there were. */
static unsigned fill(struct usermap *map)
{
	unsigned failures = 0;

	for (uint32_t key = 0; key < map->max_entries; key++) {
		int error;

		support_fail_nth(1);
		error = update(map, key);
		support_fail_nth(0);
		if (error) {
			assert_int_equal(error, -ENOMEM);
			assert_int_equal(update(map, key), 0);
			failures++;
		}
	}
	return failures;
}

static void failed_acquisitions_of_writes_lose_no_capacity(void **unused)
{
	const struct map_backing backings[] = { private, in_memfd };

	(void)unused;
	for (size_t b = 0; b < ARRAY_SIZE(backings); b++) {
		struct usermap *map = make(attributes(BPF_MAP_TYPE_HASH, 20000, BPF_F_NO_PREALLOC), backings[b]);

		assert_true(fill(map) > 0);
		assert_int_equal(update(map, 20000), -E2BIG); /* G3 */
		for (uint32_t key = 0; key < 20000; key++) {
			uint64_t value[3];

			assert_int_equal(map->ops->lookup(map, &key, value, 0), 0);
			assert_int_equal(value[2], key);
			assert_int_equal(map->ops->delete(map, &key), 0);
		}
		fill(map);
		assert_int_equal(update(map, 20000), -E2BIG);
		map_put(map);
	}
}

/* What the library makes once a process, so that it isn't counted as left behind. */
static int warm_up(void **unused)
{
	(void)unused;
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		struct usermap *map = make(attributes(types[t], 1000, 0), private);

		for (uint32_t key = 0; key < 1000; key++)
			assert_int_equal(update(map, key), 0);
		for (uint32_t key = 0; key < 1000; key++)
			map->ops->delete(map, &key);
		map_put(map);
	}
	support_holdings("/tmp");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_are_found_by_number),
		cmocka_unit_test(map_flags_lose_the_access_of_the_descriptor),
		cmocka_unit_test(seed_is_random_or_zero_and_shared),
		cmocka_unit_test(handle_lives_until_the_last_put),
		cmocka_unit_test(file_appears_when_the_map_is_whole),
		cmocka_unit_test(every_failed_acquisition_of_create_is_ENOMEM_and_leaves_nothing),
		cmocka_unit_test(every_failed_acquisition_of_attach_is_ENOMEM_and_leaves_nothing),
		cmocka_unit_test(failed_acquisitions_of_writes_lose_no_capacity),
	};

	return cmocka_run_group_tests(tests, warm_up, NULL);
}
