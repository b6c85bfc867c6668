/* SPDX-License-Identifier: MIT */
/* Grace periods and threads: cookies, waiting, sections at thread exit, calls from late destructors, fork. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/reclaim.h"
#include "core/thread.h"
#include "support.h"
#include <usermap/helper.h>

struct reader {
	pthread_t thread;
	sem_t inside, leave;
};

static void *read_until_told(void *arg)
{
	struct reader *r = arg;

	thread_read_lock();
	thread_read_lock(); /* sections nest */
	thread_read_unlock();
	assert_true(thread_in_section());
	sem_post(&r->inside);
	while (sem_wait(&r->leave) && errno == EINTR)
		;
	thread_read_unlock();
	assert_false(thread_in_section());
	return NULL;
}

static void start_reader(struct reader *r)
{
	sem_init(&r->inside, 0, 0);
	sem_init(&r->leave, 0, 0);
	assert_int_equal(pthread_create(&r->thread, NULL, read_until_told, r), 0);
	sem_wait(&r->inside);
}

static void end_reader(struct reader *r)
{
	sem_post(&r->leave);
	pthread_join(r->thread, NULL);
}

static void a_cookie_is_done_only_after_readers_have_left(void **state)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct reader r;
	uint64_t cookie;

	(void)state;
	start_reader(&r);
	cookie = reclaim_cookie();
	assert_false(reclaim_done(cookie));
	reclaim_request();
	nanosleep(&pause, NULL);
	assert_false(reclaim_done(cookie));
	end_reader(&r);
	reclaim_wait_for(cookie);
	assert_true(reclaim_done(cookie));
	reclaim_wait_for(cookie); /* done is done */
}

static void a_request_is_served_without_anybody_waiting(void **state)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t cookie = reclaim_cookie();

	(void)state;
	reclaim_request();
	while (!reclaim_done(cookie))
		nanosleep(&pause, NULL);
}

static void *exit_inside(void *unused)
{
	(void)unused;
	thread_read_lock();
	return NULL;
}

static void a_thread_that_exits_inside_a_section_ends_it(void **state)
{
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, exit_inside, NULL), 0);
	pthread_join(t, NULL);
	reclaim_wait();
}

/* A pthread key's destructor runs after liburcu has let go of the thread. */
static struct usermap *late_map;
static pthread_key_t late_key;
static int late_calls;

static void late(void *rounds)
{
	uint64_t key = (uint64_t)(uintptr_t)rounds, value;

	usermap_read_lock();
	assert_non_null(usermap_helper_lookup_elem(late_map, &key));
	usermap_read_unlock();
	value = key + 1;
	assert_int_equal(usermap_update_elem(late_map, &key, &value, BPF_EXIST), 0);
	late_calls++;
	if (key > 1)
		pthread_setspecific(late_key, (void *)(uintptr_t)(key - 1));
}

static void *use_late(void *use_early)
{
	uint64_t key = 3, value = 0;

	if (use_early)
		assert_int_equal(usermap_update_elem(late_map, &key, &value, 0), 0);
	pthread_setspecific(late_key, (void *)3);
	return NULL;
}

/* A thread whose first call of the library is in such a destructor registers one that glibc never runs nor frees: 32 bytes. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:__cxa_thread_atexit_impl";
}

static void destructors_of_pthread_keys_may_call_the_library(void **state)
{
	struct usermap_info info = { .sz = sizeof(info) };
	pthread_t t;

	(void)state;
	assert_int_equal(usermap_create(BPF_MAP_TYPE_HASH, "late", 8, 8, 4, NULL, &late_map), 0);
	for (uint64_t key = 1; key <= 3; key++)
		assert_int_equal(usermap_update_elem(late_map, &key, &key, 0), 0);
	assert_int_equal(pthread_key_create(&late_key, late), 0);
	for (uintptr_t early = 0; early < 2; early++) {
		late_calls = 0;
		assert_int_equal(pthread_create(&t, NULL, use_late, (void *)early), 0);
		pthread_join(t, NULL);
		assert_int_equal(late_calls, 3);
	}
	pthread_key_delete(late_key);
	reclaim_wait(); /* nobody was left registered inside a section */
	assert_int_equal(usermap_get_info(late_map, &info), 0);
	assert_int_equal(info.count, 3);
	usermap_close(late_map);
}

static void exited(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The forking thread is itself a reader that the running grace period waits for, and so is another thread. */
static void fork_inside_a_section_while_a_grace_period_runs(void **state)
{
	uint64_t before, cookie;
	pid_t child;

	(void)state;
	thread_read_lock();
	cookie = reclaim_cookie();
	reclaim_request();
	do
		before = atomic_load(&reclaim_sequence);
	while (!(before & 1)); /* it waits for us */
	child = fork();
	assert_false(reclaim_done(cookie)); /* stepping out for the fork let nothing be reclaimed */
	assert_true(thread_in_section());
	thread_read_unlock();
	assert_false(thread_in_section());
	reclaim_wait_for(cookie);
	reclaim_wait();
	if (!child)
		_exit(0);
	exited(child);
}

static void a_child_is_not_held_up_by_the_parents_readers(void **state)
{
	struct reader r;
	pid_t child;

	(void)state;
	start_reader(&r);
	child = fork();
	if (!child) {
		reclaim_wait();
		_exit(0);
	}
	exited(child);
	end_reader(&r);
}

static void ids_are_reused_and_unique(void **state)
{
	uint32_t ids[200], again;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_int_equal(thread_map_id_get(&ids[i]), 0);
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(ids[i], ids[j]);
	}
	thread_map_id_put(ids[77]);
	assert_int_equal(thread_map_id_get(&again), 0);
	assert_int_equal(again, ids[77]);
	for (uint32_t i = 0; i < ARRAY_SIZE(ids); i++)
		thread_map_id_put(ids[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cookie_is_done_only_after_readers_have_left),
		cmocka_unit_test(a_request_is_served_without_anybody_waiting),
		cmocka_unit_test(a_thread_that_exits_inside_a_section_ends_it),
		cmocka_unit_test(destructors_of_pthread_keys_may_call_the_library),
		cmocka_unit_test(fork_inside_a_section_while_a_grace_period_runs),
		cmocka_unit_test(a_child_is_not_held_up_by_the_parents_readers),
		cmocka_unit_test(ids_are_reused_and_unique),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
