/* SPDX-License-Identifier: MIT */
/* The program face: for_each, read-side sections, and threads that come and go. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <usermap/helper.h>

#include "../semantics/cpus.h"

#define HASH	     BPF_MAP_TYPE_HASH
#define ARRAY	     BPF_MAP_TYPE_ARRAY
#define PERCPU_HASH  BPF_MAP_TYPE_PERCPU_HASH
#define PERCPU_ARRAY BPF_MAP_TYPE_PERCPU_ARRAY

static const enum bpf_map_type types[] = { HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY };

#define N 100u /* entries, and room for as many */

static struct usermap *make(enum bpf_map_type type, __u32 value_size, __u32 max_entries, int kind, __u32 map_flags)
{
	struct usermap_opts opts = {
		.sz = sizeof(opts),
		.map_flags = map_flags,
		.memory = kind == 2 ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE,
		.reuse = kind == 1 ? USERMAP_REUSE_AT_ONCE : USERMAP_REUSE_DEFAULT,
	};
	struct usermap *map = NULL;

	assert_int_equal(usermap_create(type, NULL, 4, value_size, max_entries, &opts, &map), 0);
	return map;
}

static bool is_hash(enum bpf_map_type type)
{
	return type == HASH || type == PERCPU_HASH;
}

/* A map of N entries, key k with value 2 k on this CPU; hashes have room for as many again. */
static struct usermap *filled(enum bpf_map_type type, int kind, __u32 map_flags)
{
	struct usermap *map = make(type, 8, is_hash(type) ? 2 * N : N, kind, is_hash(type) ? map_flags : 0);

	cpus_pin(0);
	for (__u32 key = 0; key < N; key++) {
		__u64 value = 2 * key;

		assert_int_equal(usermap_helper_update_elem(map, &key, &value, 0), 0);
	}
	return map;
}

struct visit {
	struct usermap *map;
	long stop_at; /* the visit that returns 1; 0: none */
	long visits;
	__u32 keys[2 * N];
	long (*then)(struct visit *visit, const void *key);
};

static long visit_one(struct usermap *map, const void *key, void *value, void *ctx)
{
	struct visit *visit = ctx;
	__u32 number;

	memcpy(&number, key, sizeof(number));
	assert_ptr_equal(map, visit->map);
	assert_int_equal(*(__u64 *)value, 2 * number);
	assert_ptr_equal(usermap_helper_lookup_elem(map, key), value); /* this CPU's slot, too */
	assert_true(visit->visits < 2 * N);
	visit->keys[visit->visits++] = number;
	if (visit->then)
		return visit->then(visit, key);
	return visit->visits == visit->stop_at;
}

static void for_each_meets_each_entry_in_the_order_of_the_walk(void **state)
{
	(void)state;
	for (int i = 0; i < 4 * 3 * 2; i++) {
		struct usermap *map = filled(types[i % 4], i / 4 % 3, i / 12 ? BPF_F_ZERO_SEED : 0);
		struct visit visit = { .map = map };
		__u32 key = 0;

		assert_int_equal(usermap_helper_for_each_elem(map, visit_one, &visit, 0), N);
		assert_int_equal(visit.visits, N);
		for (__u32 n = 0; n < N; n++) {
			assert_int_equal(usermap_get_next_key(map, n ? &key : NULL, &key), 0);
			assert_int_equal(visit.keys[n], key);
		}
		usermap_close(map);
	}
}

static void for_each_stops_and_counts_the_callback_that_stopped(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct usermap *map = filled(types[i], 0, 0);

		for (long stop_at = 1; stop_at <= N; stop_at += 33) {
			struct visit visit = { .map = map, .stop_at = stop_at };

			assert_int_equal(usermap_helper_for_each_elem(map, visit_one, &visit, 0), stop_at);
			assert_int_equal(visit.visits, stop_at);
		}
		assert_int_equal(usermap_helper_for_each_elem(map, visit_one, NULL, 1), -EINVAL);
		assert_int_equal(usermap_helper_for_each_elem(map, visit_one, NULL, 1ull << 63), -EINVAL);
		usermap_close(map);
		map = make(types[i], 8, 4, 0, 0);
		if (is_hash(types[i]))
			assert_int_equal(usermap_helper_for_each_elem(map, visit_one, NULL, 0), 0);
		usermap_close(map);
	}
}

static long remove_it(struct visit *visit, const void *key)
{
	assert_int_equal(usermap_helper_delete_elem(visit->map, key), 0);
	assert_int_equal(usermap_helper_delete_elem(visit->map, key), -ENOENT);
	return 0;
}

static long put_it_again(struct visit *visit, const void *key)
{
	__u32 number;
	__u64 value;

	memcpy(&number, key, sizeof(number));
	value = 2 * number;
	assert_int_equal(usermap_helper_update_elem(visit->map, key, &value, BPF_EXIST), 0);
	return 0;
}

static long walk_inside(struct visit *visit, const void *key)
{
	struct visit inner = { .map = visit->map };

	(void)key;
	assert_int_equal(usermap_helper_for_each_elem(visit->map, visit_one, &inner, 0), N);
	return visit->visits == 3;
}

static void each_is_met_once(const struct visit *visit)
{
	bool met[N] = { false };

	assert_int_equal(visit->visits, N);
	for (__u32 i = 0; i < N; i++) {
		assert_false(met[visit->keys[i]]);
		met[visit->keys[i]] = true;
	}
}

static void a_callback_may_delete_and_update_what_it_is_given(void **state)
{
	(void)state;
	for (int i = 0; i < 4 * 3; i++) {
		struct usermap *map = filled(types[i % 4], i / 4, 0);
		struct usermap_info info = { .sz = sizeof(info) };
		struct visit visit = { .map = map, .then = put_it_again };

		assert_int_equal(usermap_helper_for_each_elem(map, visit_one, &visit, 0), N);
		each_is_met_once(&visit);
		visit = (struct visit){ .map = map, .then = walk_inside };
		assert_int_equal(usermap_helper_for_each_elem(map, visit_one, &visit, 0), 3);
		if (is_hash(types[i % 4])) {
			visit = (struct visit){ .map = map, .then = remove_it };
			assert_int_equal(usermap_helper_for_each_elem(map, visit_one, &visit, 0), N);
			each_is_met_once(&visit);
			assert_int_equal(usermap_get_info(map, &info), 0);
			assert_int_equal(info.count, 0);
		}
		usermap_close(map);
	}
}

/* There a callback that replaces what it's given moves it to the head of its bucket, as in the kernel. */
static void a_replacement_under_ZERO_SEED_is_not_met_twice(void **state)
{
	struct usermap *map = filled(HASH, 0, BPF_F_ZERO_SEED);
	struct visit visit = { .map = map, .then = put_it_again };

	(void)state;
	assert_int_equal(usermap_helper_for_each_elem(map, visit_one, &visit, 0), N);
	each_is_met_once(&visit);
	usermap_close(map);
}

/* Replaces a key so often that every element that may be used again is. */
static void churn(struct usermap *map, __u32 key, int times)
{
	__u64 value[512] = { 0 };

	for (int i = 0; i < times; i++) {
		int error = usermap_delete_elem(map, &key);

		assert_true(!error || error == -ENOENT);
		assert_int_equal(usermap_update_elem(map, &key, value, 0), 0);
	}
}

/* G6, for the values of HASH and the slots of PERCPU_HASH. */
static void a_pointer_is_the_same_entry_until_the_last_section_ends(void **state)
{
	__u32 key = 1;

	(void)state;
	cpus_pin(0);
	for (int i = 0; i < 2; i++) {
		struct usermap *map = make(i ? PERCPU_HASH : HASH, 16, 1, 0, 0);
		__u64 value[2] = { 0x1111, 0x2222 }, *pointer;

		assert_int_equal(usermap_helper_update_elem(map, &key, value, 0), 0);
		usermap_read_lock();
		usermap_read_lock();
		pointer = usermap_helper_lookup_elem(map, &key);
		assert_int_equal(usermap_helper_delete_elem(map, &key), 0);
		usermap_read_unlock(); /* the outer one goes on */
		churn(map, 2, 1000);
		assert_memory_equal(pointer, value, sizeof(value));
		assert_null(usermap_helper_lookup_elem(map, &key));
		usermap_read_unlock();
		usermap_close(map);
	}
}

static void *use_all(void *arg)
{
	struct usermap *map = arg;
	__u32 key = 7;
	__u64 value = 14;

	usermap_read_lock();
	if (!usermap_helper_lookup_elem(map, &key) || usermap_helper_update_elem(map, &key, &value, BPF_EXIST))
		arg = NULL;
	usermap_read_unlock();
	return arg;
}

static void *leave_inside_a_section(void *arg)
{
	__u32 key = 7;

	usermap_read_lock();
	usermap_read_lock();
	return usermap_helper_lookup_elem(arg, &key) ? arg : NULL;
}

static void *lookup_without_writing(void *arg)
{
	__u32 key = 7;
	__u64 value[512];

	return usermap_lookup_elem(arg, &key, value, 0) ? NULL : arg;
}

static void run_threads(void *(*body)(void *), struct usermap *map, int n)
{
	for (int i = 0; i < n; i++) {
		pthread_t thread;
		void *result;

		assert_int_equal(pthread_create(&thread, NULL, body, map), 0);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_ptr_equal(result, map);
	}
}

static void threads_need_no_registration(void **state)
{
	(void)state;
	for (int i = 0; i < 4 * 3; i++) {
		struct usermap *map = filled(types[i % 4], i / 4, 0);

		run_threads(use_all, map, 20);
		run_threads(lookup_without_writing, map, 20);
		usermap_close(map);
	}
}

/* A section that never ended would keep every removed element: writers would wait for ever. */
static void a_thread_that_exits_inside_a_section_ends_it(void **state)
{
	struct usermap *map = filled(HASH, 0, 0), *small = make(HASH, 16, 1, 0, 0);
	struct usermap_info info = { .sz = sizeof(info) };

	(void)state;
	run_threads(leave_inside_a_section, map, 50);
	assert_int_equal(usermap_get_info(small, &info), 0);
	churn(small, 1, (int)(2 * info.waiting_budget));
	usermap_close(small);
	usermap_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(for_each_meets_each_entry_in_the_order_of_the_walk),
		cmocka_unit_test(for_each_stops_and_counts_the_callback_that_stopped),
		cmocka_unit_test(a_callback_may_delete_and_update_what_it_is_given),
		cmocka_unit_test(a_replacement_under_ZERO_SEED_is_not_met_twice),
		cmocka_unit_test(a_pointer_is_the_same_entry_until_the_last_section_ends),
		cmocka_unit_test(threads_need_no_registration),
		cmocka_unit_test(a_thread_that_exits_inside_a_section_ends_it),
	};

	return cmocka_run_group_tests_name("helper_walk", tests, NULL, NULL);
}
