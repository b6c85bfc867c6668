/* SPDX-License-Identifier: MIT */
/*
 * LRU maps of several processes, and by descriptors: one map, whoever looks; info, freezing and access of the command
 * face; a process that is killed takes no entry with it.
 */
#include <signal.h>
#include <sys/mman.h>
#include <usermap/bpf.h>

#include "../semantics/abi.h"
#include "../semantics/cpus.h"
#include "child.h"
#include "lru_maps.h"

static struct usermap *make_shared(const struct lru_kind *kind, __u32 max_entries, const char *path)
{
	struct usermap_opts opts = OPTS(.memory = USERMAP_MEMORY_SHARED, .path = path);

	return lru_make(kind, max_entries, opts);
}

static struct usermap *attach(const struct usermap *map)
{
	struct usermap *other = NULL;
	int fd = usermap_get_fd(map);

	CHECK(usermap_open_fd(fd, NULL, &other) == 0);
	close(fd);
	return other;
}

static void join(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void whoever_opens_the_file_has_the_same_map(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/dev/shm/usermap-lru-test-%d", getpid());
	for (int k = 0; k < LRU_KINDS; k++) {
		struct usermap *map = make_shared(&lru_kinds[k], 9, path), *other;
		struct usermap_opts wrong = OPTS(.eviction = lru_kinds[k].eviction ? 0 : S3FIFO, .n_cpus = 1);

		for (__u32 key = 0; key < 5; key++)
			assert_int_equal(lru_put(map, key, key, 0), 0);
		assert_int_equal(usermap_open(path, &wrong, &other), -EINVAL); /* the file says what it is */
		assert_int_equal(usermap_open(path, NULL, &other), 0);
		usermap_close(map);
		assert_int_equal(lru_info(other).eviction, lru_kinds[k].eviction);
		assert_int_equal(lru_info(other).map_flags, lru_kinds[k].map_flags);
		assert_int_equal(lru_info(other).count, lru_count(other));
		for (__u32 key = 0; key < 100; key++)
			assert_int_equal(lru_put(other, key, key, 0), 0);
		assert_true(lru_info(other).count <= lru_info(other).max_entries);
		assert_true(lru_info(other).evictions >= 100 - lru_info(other).max_entries);
		usermap_close(other);
		unlink(path);
	}
}

static void an_attachment_has_no_callback(void **state)
{
	struct usermap *map = make_shared(&lru_kinds[0], 4, NULL), *other;
	struct usermap_opts opts = OPTS(.on_evict_ctx = &opts);
	int fd = usermap_get_fd(map);

	(void)state;
	assert_int_equal(usermap_open_fd(fd, &opts, &other), -EINVAL);
	close(fd);
	usermap_close(map);
}

/* Deletions of both processes. */
static _Atomic __u64 *deleted;

/* Keys [from, from + 30000), each with a value of its own, while the other process has the rest. */
static void churn(struct usermap *map, __u32 from)
{
	__u64 slots[LRU_CPUS];

	for (__u32 i = 0; i < 30000; i++) {
		__u32 key = from + i, seen = i * 2654435761u % 60000;

		CHECK(lru_put(map, key, key * 7ull, BPF_NOEXIST) == 0);
		CHECK(lru_slots(map, seen, slots) == -ENOENT || slots[0] == seen * 7ull);
		if (i % 3 == 0)
			lru_hit(map, seen);
		if (i % 5 == 0 && usermap_delete_elem(map, &key) == 0)
			++*deleted;
	}
}

static void two_processes_evict_from_one_map(void **state)
{
	(void)state;
	deleted = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(deleted, MAP_FAILED);
	for (int k = 0; k < LRU_KINDS; k++) {
		struct usermap *map = make_shared(&lru_kinds[k], 100, NULL);
		struct usermap_info info;
		pid_t pid;

		*deleted = 0;
		pid = fork();
		if (pid == 0) {
			churn(attach(map), 0);
			_exit(0);
		}
		churn(map, 30000);
		join(pid);
		info = lru_info(map);
		assert_true(info.count > 0 && info.count <= info.max_entries);
		assert_int_equal(info.count, lru_count(map));
		assert_int_equal(info.count, 60000 - *deleted - info.evictions);
		usermap_close(map);
	}
	munmap((void *)deleted, 4096);
}

static void churn_for_ever(struct usermap *map)
{
	for (__u32 i = 0;; i++) {
		__u32 key = i * 2654435761u % 1000;

		if (i % 64 == 0)
			cpus_pin(i / 64);
		lru_put(map, key, key * 7ull, 0);
		lru_hit(map, key / 2);
		if (i % 4 == 0)
			usermap_delete_elem(map, &key);
	}
}

/* Uses every free element of this CPU up: when an insert has evicted n entries, n - 1 of their elements are still free. */
static void use_up(struct usermap *map, __u32 *next)
{
	__u64 before, gone;

	do {
		before = lru_info(map).evictions;
		assert_int_equal(lru_put(map, (*next)++, 1, 0), 0);
		gone = lru_info(map).evictions - before;
	} while (!gone);
	while (--gone)
		assert_int_equal(lru_put(map, (*next)++, 1, 0), 0);
}

/* Whether every element can serve an entry, and all of them at once; if this process may use the CPUs of all lists. */
static void check_capacity(struct usermap *map, const char *name)
{
	__u32 next = 1000000;

	if (!cpus_all_usable())
		return;

	for (int round = 0; round < 20; round++) /* whatever lies about is found meanwhile */
		for (__u32 cpu = 0; cpu < cpus_usable(); cpu++) {
			cpus_pin(cpu);
			for (int n = 0; n < 100; n++) {
				assert_int_equal(lru_put(map, next, 1, 0), 0);
				lru_hit(map, next++); /* so that S3-FIFO looks farther than at what has just come */
			}
		}
	for (__u32 cpu = 0; cpu < cpus_usable(); cpu++) {
		cpus_pin(cpu);
		use_up(map, &next);
	}
	if (lru_count(map) != lru_info(map).max_entries)
		print_error("%s: %llu entries\n", name, (unsigned long long)lru_count(map));
	assert_int_equal(lru_count(map), lru_info(map).max_entries);
	assert_int_equal(lru_info(map).count, lru_info(map).max_entries);
}

/* Wherever it was killed: the others go on, and every element comes to be used again. */
static void a_killed_process_takes_nothing_with_it(void **state)
{
	enum { SIZE = 60, KILLS = 40 };
	__u64 slots[LRU_CPUS];

	(void)state;
	for (int k = 0; k < LRU_KINDS; k++) {
		struct usermap *map = make_shared(&lru_kinds[k], SIZE, NULL);

		for (int n = 0; n < KILLS; n++) {
			pid_t pid = fork();

			if (pid == 0)
				churn_for_ever(attach(map));
			cpus_pin((uint32_t)n);
			usleep(500 + 137 * (unsigned)n % 2000);
			assert_int_equal(kill(pid, SIGKILL), 0);
			assert_int_equal(waitpid(pid, NULL, 0), pid);
			for (__u32 key = 0; key < 300; key++) {
				assert_int_equal(lru_put(map, key, key * 7ull, 0), 0);
				assert_true(lru_has(map, key));
			}
			assert_true(lru_count(map) <= lru_info(map).max_entries);
		}
		for (__u32 key = 0; key < 1000; key++) {
			assert_true(lru_slots(map, key, slots) == -ENOENT || slots[0] == key * 7ull);
			usermap_delete_elem(map, &key);
		}
		assert_int_equal(lru_count(map), 0);
		check_capacity(map, lru_kinds[k].name);
		usermap_close(map);
	}
}

static long bpf(int cmd, union abi_attr *attr)
{
	long result = usermap_bpf(cmd, attr, sizeof(*attr));

	return result < 0 ? -errno : result;
}

static int create_fd(uint32_t type, uint32_t max_entries, uint32_t flags)
{
	union abi_attr attr = { .create = { .map_type = type,
					    .key_size = 4,
					    .value_size = 8,
					    .max_entries = max_entries,
					    .map_flags = flags } };
	long fd = bpf(ABI_MAP_CREATE, &attr);

	assert_true(fd >= 0);
	return (int)fd;
}

static long elem(int cmd, int fd, __u32 key)
{
	__u64 slots[LRU_CPUS] = { 0 };
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = (uintptr_t)&key, .value = (uintptr_t)slots } };

	return bpf(cmd, &attr);
}

static void info_by_descriptor_has_the_rounded_size(void **state)
{
	(void)state;
	for (uint32_t type = ABI_LRU_HASH; type <= ABI_LRU_PERCPU_HASH; type++) {
		int fd = create_fd(type, 5, ABI_F_NO_COMMON_LRU | ABI_F_RDONLY);
		uint32_t info[ABI_MAP_INFO_SIZE / 4] = { 0 };
		union abi_attr attr = {
			.info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)info }
		};

		assert_int_equal(bpf(ABI_OBJ_GET_INFO_BY_FD, &attr), 0);
		assert_int_equal(info[0], type);
		assert_int_equal(info[3], 8);
		assert_int_equal(info[4], (5 + cpus_possible() - 1) / cpus_possible() * cpus_possible());
		assert_int_equal(info[5], ABI_F_NO_COMMON_LRU);
		close(fd);
	}
}

static void access_of_descriptors_and_freezing(void **state)
{
	(void)state;
	for (uint32_t type = ABI_LRU_HASH; type <= ABI_LRU_PERCPU_HASH; type++) {
		union abi_attr freeze = { .freeze_fd = 0 };
		int fd = create_fd(type, 5, ABI_F_RDONLY);

		assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, fd, 1), -EPERM);
		assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, fd, 1), -ENOENT);
		close(fd);
		fd = create_fd(type, 5, ABI_F_WRONLY);
		assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, fd, 1), 0);
		assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, fd, 1), -EPERM);
		assert_int_equal(elem(ABI_MAP_LOOKUP_AND_DELETE_ELEM, fd, 1), -EPERM);
		close(fd);
		fd = create_fd(type, 5, 0);
		assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, fd, 1), 0);
		freeze.freeze_fd = (uint32_t)fd;
		assert_int_equal(bpf(ABI_MAP_FREEZE, &freeze), 0);
		assert_int_equal(bpf(ABI_MAP_FREEZE, &freeze), -EPERM);
		assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, fd, 2), -EPERM);
		assert_int_equal(elem(ABI_MAP_LOOKUP_AND_DELETE_ELEM, fd, 1), -EPERM);
		assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, fd, 1), 0);
		close(fd);
	}
}

static void a_handle_and_a_descriptor_are_the_same_map(void **state)
{
	(void)state;
	cpus_pin(0);
	for (uint32_t type = ABI_LRU_HASH; type <= ABI_LRU_PERCPU_HASH; type++) {
		int fd = create_fd(type, 8, 0);
		struct usermap *map;

		assert_int_equal(usermap_from_fd(fd, &map), 0);
		for (__u32 key = 0; key < 8; key++)
			assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, fd, key), 0);
		assert_true(lru_hit(map, 0)); /* a program keeps it from being evicted */
		for (__u32 key = 8; key < 12; key++)
			assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, fd, key), 0);
		assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, fd, 0), 0);
		assert_true(lru_info(map).evictions > 0);
		assert_int_equal(lru_info(map).count, lru_count(map));
		usermap_close(map);
		close(fd);
	}
}

/* More than there are thread records, and none leaves its own. */
static void any_number_of_processes_may_come_and_go(void **state)
{
	struct usermap *map = make_shared(&lru_kinds[0], 64, NULL);

	(void)state;
	for (__u32 i = 0; i < 4200; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(lru_put(map, i, i, BPF_ANY) != 0); /* and its destructors don't run */
		join(pid);
	}
	usermap_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_of_processes_may_come_and_go),
		cmocka_unit_test(two_processes_evict_from_one_map), /* before this thread sits on one CPU */
		cmocka_unit_test(a_killed_process_takes_nothing_with_it),
		cmocka_unit_test(whoever_opens_the_file_has_the_same_map),
		cmocka_unit_test(an_attachment_has_no_callback),
		cmocka_unit_test(info_by_descriptor_has_the_rounded_size),
		cmocka_unit_test(access_of_descriptors_and_freezing),
		cmocka_unit_test(a_handle_and_a_descriptor_are_the_same_map),
	};

	return cmocka_run_group_tests_name("lru share", tests, NULL, NULL);
}
