/* SPDX-License-Identifier: MIT */
/* The program face: spin locks in values, taken by pointer. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <usermap/helper.h>

#include "child.h"

struct value {
	__u64 before;
	struct bpf_spin_lock lock;
	__u32 after;
	__u64 words[8];
};

/* HASH and ARRAY; private, private that reuses at once, shared. */
enum { KINDS = 6 };

static struct usermap *make(int kind)
{
	struct usermap_opts opts = {
		.sz = sizeof(opts),
		.memory = kind / 2 == 2 ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE,
		.reuse = kind / 2 == 1 ? USERMAP_REUSE_AT_ONCE : USERMAP_REUSE_DEFAULT,
		.spin_lock = 1,
		.spin_lock_off = offsetof(struct value, lock),
	};
	struct usermap *map = NULL;
	struct value value = { .before = 1 };
	enum bpf_map_type type = kind & 1 ? BPF_MAP_TYPE_ARRAY : BPF_MAP_TYPE_HASH;

	assert_int_equal(usermap_create(type, NULL, 4, sizeof(value), 3, &opts, &map), 0);
	for (__u32 key = 0; key < 3; key++)
		assert_int_equal(usermap_helper_update_elem(map, &key, &value, 0), 0);
	return map;
}

static struct value *find(struct usermap *map, __u32 key)
{
	struct value *value = usermap_helper_lookup_elem(map, &key);

	assert_non_null(value);
	return value;
}

static int update_locked(struct usermap *map, __u32 key)
{
	struct value value = { .before = 2, .lock = { 0xffffffff } };

	return usermap_update_elem(map, &key, &value, BPF_F_LOCK);
}

static int read_locked(struct usermap *map, __u32 key, struct value *value)
{
	return usermap_lookup_elem(map, &key, value, BPF_F_LOCK);
}

static void a_lock_is_taken_once_and_given_back_once(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		struct usermap *map = make(kind), *other = make(kind);
		struct value *value, *neighbour, *elsewhere;

		usermap_read_lock();
		value = find(map, 0);
		neighbour = find(map, 1);
		elsewhere = find(other, 0);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(usermap_helper_spin_unlock(&value->lock), -EPERM);
			assert_int_equal(usermap_helper_spin_lock(&value->lock), 0);
			assert_int_equal(usermap_helper_spin_lock(&value->lock), -EDEADLK);
			assert_int_equal(usermap_helper_spin_lock(&neighbour->lock), -EDEADLK);
			assert_int_equal(usermap_helper_spin_unlock(&neighbour->lock), -EPERM);
			assert_int_equal(usermap_helper_spin_lock(&elsewhere->lock), 0); /* one in each map */
			assert_int_equal(usermap_helper_spin_unlock(&value->lock), 0);
			assert_int_equal(usermap_helper_spin_unlock(&elsewhere->lock), 0);
			assert_int_equal(usermap_helper_spin_lock(&neighbour->lock), 0);
			assert_int_equal(usermap_helper_spin_unlock(&neighbour->lock), 0);
		}
		usermap_read_unlock();
		usermap_close(other);
		usermap_close(map);
	}
}

static void an_address_where_no_lock_is_is_EINVAL(void **state)
{
	struct bpf_spin_lock nobodys = { 0 };
	struct usermap *plain = NULL;
	__u32 key = 0;

	(void)state;
	assert_int_equal(usermap_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 64, 2, NULL, &plain), 0);
	for (int kind = 0; kind < KINDS; kind++) {
		struct usermap *map = make(kind);
		char *value;

		usermap_read_lock();
		value = (char *)find(map, 1);
		for (size_t off = 0; off < sizeof(struct value); off += 4) {
			struct bpf_spin_lock *lock = (struct bpf_spin_lock *)(value + off);

			if (off == offsetof(struct value, lock))
				continue;
			assert_int_equal(usermap_helper_spin_lock(lock), -EINVAL);
			assert_int_equal(usermap_helper_spin_unlock(lock), -EINVAL);
		}
		assert_int_equal(usermap_helper_spin_lock(&nobodys), -EINVAL);
		assert_int_equal(usermap_helper_spin_lock(NULL), -EINVAL);
		assert_int_equal(usermap_helper_spin_unlock(NULL), -EINVAL);
		assert_int_equal(usermap_helper_spin_lock(usermap_helper_lookup_elem(plain, &key)), -EINVAL);
		usermap_read_unlock();
		usermap_close(map);
	}
	usermap_close(plain);
}

static void commands_with_F_LOCK_by_the_holder_are_EDEADLK(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		struct usermap *map = make(kind);
		struct value *value, copy;
		__u32 key = 0;

		usermap_read_lock();
		value = find(map, 0);
		assert_int_equal(usermap_helper_spin_lock(&value->lock), 0);
		assert_int_equal(update_locked(map, 0), -EDEADLK);
		assert_int_equal(update_locked(map, 1), -EDEADLK); /* it would be the second */
		copy = *value;
		assert_int_equal(usermap_helper_update_elem(map, &key, &copy, BPF_F_LOCK), -EDEADLK);
		assert_int_equal(read_locked(map, 0, &copy), -EDEADLK);
		assert_int_equal(usermap_lookup_elem(map, &key, &copy, 0), kind & 1 ? 0 : -EDEADLK);
		assert_int_equal(read_locked(map, 1, &copy), 0); /* reading takes no lock */
		assert_int_equal(usermap_lookup_and_delete_elem(map, &key, &copy, 0), kind & 1 ? -524 : -EDEADLK);
		assert_int_equal(value->before, 1);
		assert_int_equal(usermap_helper_spin_unlock(&value->lock), 0);
		assert_int_equal(update_locked(map, 0), 0);
		usermap_read_unlock();
		usermap_close(map);
	}
}

static void a_map_that_may_only_be_read_has_no_lock_to_take(void **state)
{
	struct usermap_opts read_only = { .sz = sizeof(read_only), .map_flags = BPF_F_RDONLY };

	(void)state;
	for (int kind = 4; kind < KINDS; kind++) {
		struct usermap *map = make(kind), *other;
		int fd = usermap_get_fd(map);

		assert_int_equal(usermap_open_fd(fd, &read_only, &other), 0);
		close(fd);
		usermap_read_lock();
		assert_int_equal(usermap_helper_spin_lock(&find(other, 0)->lock), -EPERM);
		assert_int_equal(usermap_helper_spin_lock(&find(map, 0)->lock), 0);
		assert_int_equal(usermap_helper_spin_unlock(&find(map, 0)->lock), 0);
		usermap_read_unlock();
		usermap_close(other);
		usermap_close(map);
	}
}

struct one_thread {
	struct usermap *map;
	atomic_int step;
};

static void *take_and_exit(void *arg)
{
	struct one_thread *t = arg;
	__u32 key = 0;
	struct value *value;

	usermap_read_lock();
	value = usermap_helper_lookup_elem(t->map, &key);
	if (usermap_helper_spin_lock(&value->lock))
		return NULL;
	value->before = 77;
	return t; /* with the lock, and inside the section */
}

static void a_thread_that_exits_gives_its_lock_back(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		struct one_thread t = { .map = make(kind) };
		struct value copy;

		for (int i = 0; i < 10; i++) {
			pthread_t thread;
			void *result;

			assert_int_equal(pthread_create(&thread, NULL, take_and_exit, &t), 0);
			assert_int_equal(pthread_join(thread, &result), 0);
			assert_ptr_equal(result, &t);
			assert_int_equal(read_locked(t.map, 0, &copy), 0);
			assert_int_equal(copy.before, 77); /* what it stored stays */
			assert_int_equal(copy.lock.val, 0);
			assert_int_equal(update_locked(t.map, 0), 0);
		}
		usermap_close(t.map);
	}
}

static void *use_while_held(void *arg)
{
	struct one_thread *t = arg;
	struct value copy = { 0 };
	__u32 key = 0;

	usermap_read_lock();
	if (usermap_helper_spin_unlock(&((struct value *)usermap_helper_lookup_elem(t->map, &key))->lock) != -EPERM)
		return NULL;
	usermap_read_unlock();
	atomic_store(&t->step, 1);
	if (read_locked(t->map, 0, &copy) || copy.before != 5 || copy.words[7] != 5)
		return NULL;
	if (atomic_load(&t->step) != 2 || update_locked(t->map, 0))
		return NULL;
	return t;
}

static void who_holds_a_lock_keeps_others_from_reading_and_writing(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		struct one_thread t = { .map = make(kind) };
		struct value *value;
		pthread_t thread;
		void *result;

		usermap_read_lock();
		value = find(t.map, 0);
		assert_int_equal(usermap_helper_spin_lock(&value->lock), 0);
		value->before = 4;
		assert_int_equal(pthread_create(&thread, NULL, use_while_held, &t), 0);
		while (!atomic_load(&t.step))
			sched_yield();
		for (int i = 0; i < 20; i++)
			usleep(100);
		value->before = 5;
		value->words[7] = 5;
		atomic_store(&t.step, 2);
		assert_int_equal(usermap_helper_spin_unlock(&value->lock), 0);
		usermap_read_unlock();
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_ptr_equal(result, &t);
		usermap_close(t.map);
	}
}

enum { THREADS = 4, TIMES = 5000 };

static void *count(void *arg)
{
	struct usermap *map = arg;
	__u32 key = 1;

	for (int i = 0; i < TIMES; i++) {
		struct value *value;

		usermap_read_lock();
		value = usermap_helper_lookup_elem(map, &key);
		if (usermap_helper_spin_lock(&value->lock))
			return NULL;
		value->words[0]++;
		value->words[7]++;
		usermap_helper_spin_unlock(&value->lock);
		usermap_read_unlock();
	}
	return arg;
}

static struct usermap *shared_with_children;

static void count_in_a_child(void)
{
	CHECK(count(shared_with_children) == shared_with_children);
}

static void counts_under_the_lock_are_exact(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		struct usermap *map = make(kind);
		bool shared = kind / 2 == 2;
		pthread_t threads[THREADS];
		struct value value;
		void *result;

		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, count, map), 0);
		shared_with_children = map;
		if (shared)
			in_child(count_in_a_child);
		for (int i = 0; i < THREADS; i++) {
			assert_int_equal(pthread_join(threads[i], &result), 0);
			assert_ptr_equal(result, map);
		}
		assert_int_equal(read_locked(map, 1, &value), 0);
		assert_int_equal(value.words[0], (THREADS + shared) * TIMES);
		assert_int_equal(value.words[7], (THREADS + shared) * TIMES);
		usermap_close(map);
	}
}

/* A program's own use of values, and commands without F_LOCK, go on beside a holder. */
static void a_held_lock_stops_nobody_who_does_not_ask_for_it(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind += 2) { /* HASH: replaces and deletes whole elements */
		struct usermap *map = make(kind);
		struct value *value, fresh = { .before = 9 }, copy;
		__u32 key = 0;

		usermap_read_lock();
		value = find(map, 0);
		assert_int_equal(usermap_helper_spin_lock(&value->lock), 0);
		assert_int_equal(usermap_update_elem(map, &key, &fresh, BPF_EXIST), 0);
		assert_int_equal(usermap_lookup_elem(map, &key, &copy, 0), 0);
		assert_int_equal(copy.before, 9);
		assert_int_equal(usermap_delete_elem(map, &key), 0);
		for (int i = 0; i < 100; i++) {
			assert_int_equal(usermap_update_elem(map, &key, &fresh, 0), 0);
			/* its lock is another */
			assert_int_equal(usermap_lookup_elem(map, &key, &copy, BPF_F_LOCK), 0);
			assert_int_equal(usermap_delete_elem(map, &key), 0);
		}
		assert_int_equal(value->before, 1); /* memory under a held lock isn't used again */
		assert_int_equal(usermap_helper_spin_unlock(&value->lock), 0);
		usermap_read_unlock();
		usermap_close(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lock_is_taken_once_and_given_back_once),
		cmocka_unit_test(an_address_where_no_lock_is_is_EINVAL),
		cmocka_unit_test(commands_with_F_LOCK_by_the_holder_are_EDEADLK),
		cmocka_unit_test(a_map_that_may_only_be_read_has_no_lock_to_take),
		cmocka_unit_test(a_thread_that_exits_gives_its_lock_back),
		cmocka_unit_test(who_holds_a_lock_keeps_others_from_reading_and_writing),
		cmocka_unit_test(counts_under_the_lock_are_exact),
		cmocka_unit_test(a_held_lock_stops_nobody_who_does_not_ask_for_it),
	};

	return cmocka_run_group_tests_name("spin_lock", tests, NULL, NULL);
}
