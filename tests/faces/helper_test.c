/* SPDX-License-Identifier: MIT */
/* The program face: pointers, slots of this CPU, for_each, counters, and threads that come and go. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include <usermap/helper.h>

#include "../semantics/cpus.h"

#define HASH	     BPF_MAP_TYPE_HASH
#define ARRAY	     BPF_MAP_TYPE_ARRAY
#define PERCPU_HASH  BPF_MAP_TYPE_PERCPU_HASH
#define PERCPU_ARRAY BPF_MAP_TYPE_PERCPU_ARRAY

/* Memory of a map: private; private that reuses at once; shared. */
enum memory { GRACE, AT_ONCE, SHARED, MEMORIES };

static struct usermap *make(enum bpf_map_type type, __u32 value_size, __u32 max_entries, int memory, __u32 n_cpus)
{
	struct usermap_opts opts = {
		.sz = sizeof(opts),
		.memory = memory == SHARED ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE,
		.reuse = memory == AT_ONCE ? USERMAP_REUSE_AT_ONCE : USERMAP_REUSE_DEFAULT,
		.n_cpus = n_cpus,
	};
	struct usermap *map = NULL;

	assert_int_equal(usermap_create(type, NULL, 4, value_size, max_entries, &opts, &map), 0);
	return map;
}

static __u32 this_cpu(void)
{
	unsigned cpu = 0;

	assert_int_equal(syscall(SYS_getcpu, &cpu, NULL, NULL), 0);
	return cpu;
}

static long put(struct usermap *map, __u32 key, __u64 value, __u64 flags)
{
	return usermap_helper_update_elem(map, &key, &value, flags);
}

/* All slots of a value of 8 bytes, or one slot. */
static void slots(struct usermap *map, __u32 key, __u64 *to)
{
	assert_int_equal(usermap_lookup_elem(map, &key, to, 0), 0);
}

static __u64 slot(struct usermap *map, __u32 key, __u32 cpu)
{
	__u64 all[512];

	slots(map, key, all);
	return all[cpu];
}

static void store_slots(struct usermap *map, __u32 key, __u64 value)
{
	__u64 all[512];

	for (int i = 0; i < 512; i++)
		all[i] = value;
	assert_int_equal(usermap_update_elem(map, &key, all, 0), 0);
}

static void a_lookup_gives_an_aligned_pointer_or_NULL(void **state)
{
	__u32 here = 1, absent = 9;

	(void)state;
	for (int i = 0; i < 4 * MEMORIES; i++) {
		static const enum bpf_map_type types[] = { HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY };
		struct usermap *map = make(types[i % 4], 8, 4, i / 4, 0);
		__u64 *value, *again;

		assert_int_equal(put(map, here, 77, 0), 0);
		usermap_read_lock();
		value = usermap_helper_lookup_elem(map, &here);
		assert_non_null(value);
		assert_int_equal((uintptr_t)value % 8, 0);
		assert_null(usermap_helper_lookup_elem(map, &absent));
		usermap_read_unlock();

		cpus_pin(0);
		usermap_read_lock();
		assert_int_equal(put(map, here, 78, 0), 0);
		value = usermap_helper_lookup_elem(map, &here);
		again = usermap_helper_lookup_elem(map, &here);
		assert_ptr_equal(value, again);
		assert_int_equal(*value, 78);
		*value = 79;
		usermap_read_unlock();
		assert_int_equal(slot(map, here, types[i % 4] >= PERCPU_HASH ? this_cpu() : 0), 79);
		usermap_close(map);
	}
}

/* On each CPU, pointers, updates and adds are to that CPU's slot and to no other. */
static void programs_work_on_the_slot_of_their_cpu(void **state)
{
	__u32 key = 1;

	(void)state;
	for (int i = 0; i < 2 * MEMORIES; i++) {
		struct usermap *map = make(i & 1 ? PERCPU_HASH : PERCPU_ARRAY, 8, 4, i / 2, 0);
		__u64 expected[512] = { 0 }, found[512];

		store_slots(map, key, 0);
		for (__u32 n = 0; n < 3 * cpus_possible(); n++) {
			__u64 *value;

			cpus_pin(n);
			usermap_read_lock();
			value = usermap_helper_lookup_elem(map, &key);
			assert_int_equal(*value, expected[this_cpu()]);
			*value += 1;
			assert_ptr_equal(usermap_helper_lookup_percpu_elem(map, &key, this_cpu()), value);
			usermap_read_unlock();
			assert_int_equal(put(map, key, slot(map, key, this_cpu()) + 1000, BPF_EXIST), 0);
			assert_int_equal(usermap_percpu_add(map, &key, 0, 1000000), 0);
			expected[this_cpu()] += 1001001;
		}
		slots(map, key, found);
		assert_memory_equal(found, expected, cpus_possible() * sizeof(__u64));
		usermap_close(map);
	}
}

static void a_cpu_without_a_slot_shares_one(void **state)
{
	__u32 key = 1, n = cpus_possible();

	(void)state;
	for (int i = 0; i < 2 * MEMORIES; i++) {
		struct usermap *map = make(i & 1 ? PERCPU_HASH : PERCPU_ARRAY, 8, 4, i / 2, 1);

		for (__u32 cpu = 0; cpu < n; cpu++) {
			cpus_pin(cpu);
			assert_int_equal(usermap_percpu_add(map, &key, 0, 1), i & 1 && !cpu ? -ENOENT : 0);
			if (i & 1 && !cpu)
				assert_int_equal(put(map, key, 1, 0), 0);
		}
		assert_int_equal(slot(map, key, 0), n);
		usermap_close(map);
	}
}

static void lookup_percpu_gives_the_slot_of_any_cpu(void **state)
{
	__u32 key = 1, absent = 9;

	(void)state;
	for (int i = 0; i < 2 * MEMORIES; i++) {
		struct usermap *map = make(i & 1 ? PERCPU_HASH : PERCPU_ARRAY, 8, 4, i / 2, 3);

		store_slots(map, key, 5);
		usermap_read_lock();
		for (__u32 cpu = 0; cpu < 3; cpu++) {
			__u64 *value = usermap_helper_lookup_percpu_elem(map, &key, cpu);

			assert_non_null(value);
			assert_int_equal(*value, 5);
			*value = 100 + cpu;
		}
		assert_null(usermap_helper_lookup_percpu_elem(map, &key, 3));
		assert_null(usermap_helper_lookup_percpu_elem(map, &key, ~0u));
		assert_null(usermap_helper_lookup_percpu_elem(map, &absent, 0));
		usermap_read_unlock();
		for (__u32 cpu = 0; cpu < 3; cpu++)
			assert_int_equal(slot(map, key, cpu), 100 + cpu);
		usermap_close(map);
	}
	for (int i = 0; i < 2; i++) {
		struct usermap *map = make(i ? HASH : ARRAY, 8, 4, GRACE, 0);

		assert_int_equal(put(map, key, 1, 0), 0);
		usermap_read_lock();
		assert_null(usermap_helper_lookup_percpu_elem(map, &key, 0));
		usermap_read_unlock();
		usermap_close(map);
	}
}

static void an_insert_clears_the_other_slots_and_an_update_leaves_them(void **state)
{
	(void)state;
	for (int memory = GRACE; memory < MEMORIES; memory++) {
		struct usermap *map = make(PERCPU_HASH, 8, 2, memory, 5);
		__u32 key = 1;

		cpus_pin(1);
		for (int round = 0; round < 100; round++) { /* elements are used again */
			store_slots(map, key, 0xdead);
			assert_int_equal(put(map, key, 7, BPF_EXIST), 0);
			for (__u32 cpu = 0; cpu < 5; cpu++)
				assert_int_equal(slot(map, key, cpu), cpu == this_cpu() % 5 ? 7 : 0xdead);
			assert_int_equal(usermap_helper_delete_elem(map, &key), 0);
			assert_int_equal(put(map, key, 8, BPF_NOEXIST), 0);
			for (__u32 cpu = 0; cpu < 5; cpu++)
				assert_int_equal(slot(map, key, cpu), cpu == this_cpu() % 5 ? 8 : 0);
		}
		usermap_close(map);
	}
}

static void helpers_leave_the_padding_of_slots_alone(void **state)
{
	__u32 key = 1;

	(void)state;
	for (int i = 0; i < 2 * MEMORIES; i++) {
		struct usermap *map = make(i & 1 ? PERCPU_HASH : PERCPU_ARRAY, 3, 2, i / 2, 2);
		unsigned char value[3] = { 1, 2, 3 };
		__u64 all[2];

		cpus_pin(0);
		store_slots(map, key, ~0ull);
		assert_int_equal(usermap_helper_update_elem(map, &key, value, 0), 0);
		slots(map, key, all);
		assert_int_equal(all[this_cpu() % 2], 0xffffffffff030201);
		assert_int_equal(all[!(this_cpu() % 2)], ~0ull);
		usermap_close(map);
	}
}

struct update_row {
	enum bpf_map_type type;
	__u32 key;
	__u64 flags;
	long expected;
};

/* Each on a fresh map with key 1 and room for one more; arrays have 2 entries. Key 9 is absent, key 5 finds no room. */
static const struct update_row update_rows[] = {
	{ HASH, 1, BPF_ANY, 0 },
	{ HASH, 1, BPF_NOEXIST, -EEXIST },
	{ HASH, 9, BPF_EXIST, -ENOENT },
	{ HASH, 9, 3, -EINVAL },
	{ HASH, 9, BPF_F_LOCK, -EINVAL },
	{ HASH, 1, BPF_F_LOCK | BPF_NOEXIST, -EINVAL },
	{ HASH, 1, 1ull << 32, -EINVAL },
	{ PERCPU_HASH, 1, BPF_ANY, 0 },
	{ PERCPU_HASH, 9, BPF_NOEXIST, 0 },
	{ PERCPU_HASH, 1, BPF_NOEXIST, -EEXIST },
	{ PERCPU_HASH, 1, BPF_EXIST, 0 },
	{ PERCPU_HASH, 9, BPF_EXIST, -ENOENT },
	{ PERCPU_HASH, 1, 3, -EINVAL },
	{ PERCPU_HASH, 1, BPF_F_LOCK, -EINVAL },
	{ PERCPU_HASH, 1, BPF_F_LOCK | BPF_NOEXIST, -EINVAL },
	{ PERCPU_HASH, 1, 8, -EINVAL }, /* what later kernels call BPF_F_CPU, for commands alone */
	{ PERCPU_HASH, 1, 16, -EINVAL },
	{ ARRAY, 1, BPF_ANY, 0 },
	{ ARRAY, 1, BPF_NOEXIST, -EEXIST },
	{ ARRAY, 9, BPF_NOEXIST, -E2BIG },
	{ ARRAY, 9, 3, -EINVAL },
	{ ARRAY, 1, BPF_F_LOCK, -EINVAL },
	{ ARRAY, 1, BPF_F_LOCK | BPF_NOEXIST, -EEXIST },
	{ ARRAY, 9, BPF_F_LOCK | BPF_NOEXIST, -E2BIG },
	{ PERCPU_ARRAY, 1, BPF_ANY, 0 },
	{ PERCPU_ARRAY, 1, BPF_EXIST, 0 },
	{ PERCPU_ARRAY, 1, BPF_NOEXIST, -EEXIST },
	{ PERCPU_ARRAY, 9, BPF_NOEXIST, -E2BIG },
	{ PERCPU_ARRAY, 9, 3, -EINVAL },
	{ PERCPU_ARRAY, 1, BPF_F_LOCK, -EINVAL },
	{ PERCPU_ARRAY, 1, BPF_F_LOCK | BPF_NOEXIST, -EEXIST },
	{ PERCPU_ARRAY, 9, BPF_F_LOCK | BPF_NOEXIST, -E2BIG },
	{ PERCPU_ARRAY, 1, 8, -EINVAL },
};

static void updates_have_the_errno_of_helpers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(update_rows) / sizeof(update_rows[0]); i++) {
		const struct update_row *row = &update_rows[i];
		struct usermap *map = make(row->type, 8, 2, GRACE, 0);

		assert_int_equal(put(map, 1, 11, 0), 0);
		assert_int_equal(put(map, row->key, 12, row->flags), row->expected);
		if (row->type == HASH || row->type == PERCPU_HASH) {
			put(map, 9, 12, 0);
			assert_int_equal(put(map, 5, 12, 0), -E2BIG);
			assert_int_equal(put(map, 5, 12, BPF_EXIST), -ENOENT);
			assert_int_equal(usermap_helper_delete_elem(map, &(__u32){ 5 }), -ENOENT);
		} else {
			assert_int_equal(usermap_helper_delete_elem(map, &(__u32){ 1 }), -EINVAL);
		}
		usermap_close(map);
	}
}

static void helpers_write_frozen_maps_and_maps_that_commands_may_only_read(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct usermap_opts opts = { .sz = sizeof(opts), .map_flags = i ? BPF_F_RDONLY : 0 };
		struct usermap *map;

		assert_int_equal(usermap_create(PERCPU_HASH, NULL, 4, 8, 4, &opts, &map), 0);
		assert_int_equal(usermap_freeze(map), i ? -EPERM : 0);
		assert_int_equal(put(map, 1, 11, 0), 0);
		assert_int_equal(usermap_percpu_add(map, &(__u32){ 1 }, 0, 1), 0);
		assert_int_equal(usermap_helper_delete_elem(map, &(__u32){ 1 }), 0);
		usermap_close(map);
	}
}

static long count_one(struct usermap *map, const void *key, void *value, void *ctx)
{
	(void)map, (void)key, (void)value;
	++*(long *)ctx;
	return 0;
}

static void a_read_only_mapping_is_for_reading(void **state)
{
	static const enum bpf_map_type types[] = { HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY };
	struct usermap_opts read_only = { .sz = sizeof(read_only), .map_flags = BPF_F_RDONLY };
	__u32 key = 1;

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct usermap *map = make(types[i], 8, 2, SHARED, 0), *other;
		bool percpu = types[i] >= PERCPU_HASH;
		int fd = usermap_get_fd(map);
		long count = 0;

		assert_int_equal(usermap_open_fd(fd, &read_only, &other), 0);
		close(fd);
		cpus_pin(0);
		assert_int_equal(put(map, key, 11, 0), 0);
		assert_int_equal(put(other, key, 12, 0), -EPERM);
		assert_int_equal(usermap_helper_delete_elem(other, &key), -EPERM);
		assert_int_equal(usermap_percpu_add(other, &key, 0, 1), percpu ? -EPERM : -EINVAL);
		usermap_read_lock();
		assert_int_equal(*(__u64 *)usermap_helper_lookup_elem(other, &key), 11);
		usermap_read_unlock();
		assert_int_equal(usermap_helper_for_each_elem(other, count_one, &count, 0), i & 1 ? 2 : 1);
		usermap_close(other);
		usermap_close(map);
	}
}

static void adds_are_checked(void **state)
{
	__u32 key = 1, absent = 9;

	(void)state;
	for (int i = 0; i < 2 * MEMORIES; i++) {
		struct usermap *map = make(i & 1 ? PERCPU_HASH : PERCPU_ARRAY, 20, 2, i / 2, 0);
		unsigned char value[20] = { 0 };

		assert_int_equal(usermap_helper_update_elem(map, &key, value, 0), 0);
		assert_int_equal(usermap_percpu_add(map, &key, 0, 1), 0);
		assert_int_equal(usermap_percpu_add(map, &key, 8, 1), 0);
		assert_int_equal(usermap_percpu_add(map, &key, 16, 1), -EINVAL); /* the counter's end is padding */
		assert_int_equal(usermap_percpu_add(map, &key, 4, 1), -EINVAL);
		assert_int_equal(usermap_percpu_add(map, &key, ~7u, 1), -EINVAL);
		assert_int_equal(usermap_percpu_add(map, &absent, 0, 1), -ENOENT);
		assert_int_equal(usermap_percpu_add(map, &absent, 4, 1), -EINVAL);
		usermap_close(map);
		map = make(i & 1 ? PERCPU_HASH : PERCPU_ARRAY, 7, 2, i / 2, 0);
		assert_int_equal(usermap_percpu_add(map, &key, 0, 1), -EINVAL);
		usermap_close(map);
		map = make(i & 1 ? HASH : ARRAY, 8, 2, i / 2, 0);
		assert_int_equal(usermap_percpu_add(map, &key, 0, 1), -EINVAL);
		usermap_close(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lookup_gives_an_aligned_pointer_or_NULL),
		cmocka_unit_test(programs_work_on_the_slot_of_their_cpu),
		cmocka_unit_test(a_cpu_without_a_slot_shares_one),
		cmocka_unit_test(lookup_percpu_gives_the_slot_of_any_cpu),
		cmocka_unit_test(an_insert_clears_the_other_slots_and_an_update_leaves_them),
		cmocka_unit_test(helpers_leave_the_padding_of_slots_alone),
		cmocka_unit_test(updates_have_the_errno_of_helpers),
		cmocka_unit_test(helpers_write_frozen_maps_and_maps_that_commands_may_only_read),
		cmocka_unit_test(a_read_only_mapping_is_for_reading),
		cmocka_unit_test(adds_are_checked),
	};

	return cmocka_run_group_tests_name("helper", tests, NULL, NULL);
}
