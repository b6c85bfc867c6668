/* SPDX-License-Identifier: MIT */
/*
 * What fork() must not break: objects that the forking thread had retired, grace periods wanted at the fork, threads at
 * their first call, and sections while several threads fork at a time.
 *
 * A child's judgement is its exit status: cmocka's own failure would run the parent's remaining tests in the child.
 */
/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>
#include <usermap/helper.h>

#include "core/reclaim.h"
#include "stop.h"

#define CHILD_SECONDS 10 /* a child that hangs is ended */

/* Forks; whether the child finds all well. */
static bool well_in_child(bool (*judge)(void *context), void *context)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(CHILD_SECONDS);
		_exit(!judge(context));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return !status;
}

/* Retired objects */

#define ENTRIES 4096
#define RETIRED 24 /* fewer than make a chain that is closed */
#define ROUNDS	8

static void update_one(void *map)
{
	uint64_t key = ENTRIES, value = 1;

	usermap_update_elem(map, &key, &value, BPF_ANY);
}

static uint64_t value_of(uint64_t key, unsigned round)
{
	return key * ROUNDS + round;
}

/* Many entries at a time, so that an object that is handed out twice shows as a key with another's value. */
static bool entries_stay_apart(void *map)
{
	const uint64_t first = ENTRIES + 1, last = first + ENTRIES / 2;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t value;

		for (uint64_t key = first; key < last; key++) {
			value = value_of(key, round);
			if (usermap_update_elem(map, &key, &value, BPF_NOEXIST))
				return false;
		}
		for (uint64_t key = first; key < last; key++)
			if (usermap_lookup_elem(map, &key, &value, 0) || value != value_of(key, round))
				return false;
		for (uint64_t key = first; key < last; key++)
			if (usermap_delete_elem(map, &key))
				return false;
		reclaim_wait();
	}
	return true;
}

/* A grace period in progress would wait for the stopped thread, and fork() for the grace period. */
static void let_grace_periods_end(void)
{
	do
		reclaim_wait();
	while (!reclaim_rests());
}

/*
 * A thread that is inside a write at the fork makes the child rebuild the map's free objects from what is published.
 * Those in the forking thread's open chain are among them, so the chain must not bring them a second time.
 */
static void child_hands_out_once_what_the_forking_thread_had_retired(void **state)
{
	struct stopped writer;
	struct usermap *map;
	uint64_t key, value = 0;
	bool well;

	(void)state;
	assert_int_equal(usermap_create(BPF_MAP_TYPE_HASH, "forked", 8, 8, ENTRIES, NULL, &map), 0);
	let_grace_periods_end();
	for (key = 0; key < 2 * RETIRED; key++)
		assert_int_equal(usermap_update_elem(map, &key, &value, BPF_NOEXIST), 0);
	for (key = 0; key < RETIRED; key++)
		assert_int_equal(usermap_delete_elem(map, &key), 0);
	assert_true(stop_start(&writer, STOP_AT(TP_COMMIT), 0, update_one, map));
	well = well_in_child(entries_stay_apart, map);
	stop_finish(&writer);
	assert_true(well);
	usermap_close(map);
}

/* Grace periods wanted */

static atomic_bool done; /* tells the threads of a test to end */

/* Wants grace periods without end. */
static void *request(void *unused)
{
	while (!done) {
		reclaim_request();
		sched_yield();
	}
	return unused;
}

/* Only requests: whoever waits would run the grace period itself. Ended by the alarm if none comes. */
static bool grace_period_runs(void *unused)
{
	uint64_t cookie = reclaim_cookie();

	(void)unused;
	while (!reclaim_done(cookie)) {
		reclaim_request();
		usleep(100);
	}
	return true;
}

/* The child inherits that a grace period is wanted, but not the engine thread that would run it. */
static void child_runs_grace_periods_that_were_wanted_at_the_fork(void **state)
{
	pthread_t requester;
	bool well = true;

	(void)state;
	done = false;
	assert_int_equal(pthread_create(&requester, NULL, request, NULL), 0);
	reclaim_wait();
	for (unsigned i = 0; i < 20 && well; i++)
		well = well_in_child(grace_period_runs, NULL);
	done = true;
	pthread_join(requester, NULL);
	assert_true(well);
}

/* First calls */

static atomic_uint begun, ended; /* registrations */

/* Instead of liburcu's own, which has a lock that a child mustn't inherit: that, with time for a fork. */
void urcu_bp_register(void)
{
	void (*registration)(void) = (void (*)(void))dlsym(RTLD_NEXT, "urcu_bp_register");

	begun++;
	usleep(20000);
	registration();
	ended++;
}

static void *read_once(void *unused)
{
	usermap_read_lock();
	usermap_read_unlock();
	return unused;
}

static bool nobody_registers(void *unused)
{
	(void)unused;
	return begun == ended;
}

static void a_fork_waits_for_a_thread_at_its_first_call(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		unsigned before = begun;
		pthread_t thread;
		bool well;

		assert_int_equal(pthread_create(&thread, NULL, read_once, NULL), 0);
		while (begun == before)
			sched_yield();
		well = well_in_child(nobody_registers, NULL);
		pthread_join(thread, NULL);
		assert_true(well);
	}
}

/* The lock is also taken where nothing can hold a thread back: who forks needn't have it any more. */
static bool reads_at_once(void *unused)
{
	unsigned before = begun;

	read_once(unused);
	return begun == before;
}

static void *fork_first(void *well)
{
	*(bool *)well = well_in_child(reads_at_once, NULL);
	return NULL;
}

static void the_thread_of_a_child_is_registered(void **state)
{
	pthread_t thread;
	bool well = false;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, fork_first, &well), 0);
	pthread_join(thread, NULL);
	assert_true(well);
}

/* Several forks */

#define FORKERS	 3
#define SECTIONS 200

static void *fork_without_end(void *unused)
{
	while (!done) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	return unused;
}

/* Lets the engine thread begin the next grace period as soon as one has ended. */
static void *wait_without_end(void *unused)
{
	while (!done)
		reclaim_wait();
	return unused;
}

/*
 * A thread that forks inside a section steps out of it while it waits for the grace period in progress. When another's
 * fork is done first, no grace period may begin that would take the first for outside and end.
 */
static void no_grace_period_passes_a_section_whose_thread_forks_with_others(void **state)
{
	pthread_t forkers[FORKERS], waiter;
	unsigned passed = 0;

	(void)state;
	done = false;
	assert_int_equal(pthread_create(&waiter, NULL, wait_without_end, NULL), 0);
	for (unsigned i = 0; i < FORKERS; i++)
		assert_int_equal(pthread_create(&forkers[i], NULL, fork_without_end, NULL), 0);
	for (unsigned i = 0; i < SECTIONS && !passed; i++) {
		uint64_t cookie;
		pid_t pid;

		usermap_read_lock();
		cookie = reclaim_cookie();
		usleep(300); /* a grace period begins, and waits for this section; so do the other forks */
		pid = fork();
		if (!pid)
			_exit(0);
		passed += reclaim_done(cookie);
		usermap_read_unlock();
		waitpid(pid, NULL, 0);
	}
	done = true;
	for (unsigned i = 0; i < FORKERS; i++)
		pthread_join(forkers[i], NULL);
	pthread_join(waiter, NULL);
	assert_int_equal(passed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_hands_out_once_what_the_forking_thread_had_retired),
		cmocka_unit_test(child_runs_grace_periods_that_were_wanted_at_the_fork),
		cmocka_unit_test(a_fork_waits_for_a_thread_at_its_first_call),
		cmocka_unit_test(the_thread_of_a_child_is_registered),
		cmocka_unit_test(no_grace_period_passes_a_section_whose_thread_forks_with_others),
	};

	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
