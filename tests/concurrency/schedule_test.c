/* SPDX-License-Identifier: MIT */
/* Tests of the scheduler itself: it explores exactly the schedules there are, finds a planted race, and repeats it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "schedule.h"

struct race {
	int counter;
	unsigned points; /* of each thread */
	pthread_mutex_t lock;
	bool locked; /* the increment is made under the lock */
};

/* A read-modify-write that isn't atomic, with decision points in it. */
static void increment(void *context, unsigned thread)
{
	struct race *race = context;
	int seen;

	(void)thread;
	if (race->locked)
		pthread_mutex_lock(&race->lock);
	seen = race->counter;
	for (unsigned i = 0; i < race->points; i++)
		schedule_point(false);
	race->counter = seen + 1;
	if (race->locked)
		pthread_mutex_unlock(&race->lock);
}

struct totals {
	unsigned schedules, lost;
	struct schedule_log example; /* of a lost increment */
};

static struct totals search_all(unsigned threads, unsigned points, unsigned bound)
{
	static struct schedule_search search;
	struct totals totals = { 0 };

	schedule_search_init(&search, bound);
	do {
		struct race race = { .points = points };
		struct schedule_log log;

		assert_int_equal(schedule_run(threads, increment, &race, &search.policy, &log), SCHEDULE_DONE);
		totals.schedules++;
		if (race.counter != (int)threads) {
			totals.lost++;
			totals.example = log;
		}
	} while (schedule_search_next(&search));
	assert_int_equal(search.diverged, 0);
	return totals;
}

static void without_preemption_there_is_one_schedule_an_order_and_no_race(void **state)
{
	struct totals totals = search_all(3, 2, 0);

	(void)state;
	assert_int_equal(totals.schedules, 6); /* 3! */
	assert_int_equal(totals.lost, 0);
}

static void without_bound_every_interleaving_is_explored_once(void **state)
{
	(void)state;
	assert_int_equal(search_all(2, 2, 100).schedules, 20);   /* of twice 3 segments: 6! / (3! 3!) */
	assert_int_equal(search_all(3, 1, 100).schedules, 90);   /* of three times 2: 6! / 2!^3 */
}

static void one_preemption_finds_the_planted_race_and_the_log_repeats_it(void **state)
{
	struct totals totals = search_all(2, 3, 1);
	struct schedule_replay replay;
	char text[1024] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	(void)state;
	assert_true(totals.lost > 0);
	schedule_print(&totals.example, out);
	fclose(out);
	for (int i = 0; i < 3; i++) {
		struct race race = { .points = 3 };
		struct schedule_log log;

		assert_true(schedule_parse(&replay, text));
		assert_int_equal(schedule_run(2, increment, &race, &replay.policy, &log), SCHEDULE_DONE);
		assert_int_equal(race.counter, 1);
	}
}

static void random_schedules_follow_their_seed(void **state)
{
	unsigned lost = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		int counter[2];

		for (int i = 0; i < 2; i++) {
			struct schedule_random random;
			struct race race = { .points = 4 };
			struct schedule_log log;

			schedule_random_init(&random, seed, 2);
			assert_int_equal(schedule_run(2, increment, &race, &random.policy, &log), SCHEDULE_DONE);
			counter[i] = race.counter;
		}
		assert_int_equal(counter[0], counter[1]);
		lost += counter[0] != 2;
	}
	assert_in_range(lost, 1, 99);
}

static void few_preemptions_follow_their_seed_and_find_the_planted_race(void **state)
{
	unsigned lost = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		int counter[2];

		for (int i = 0; i < 2; i++) {
			struct schedule_few few;
			struct race race = { .points = 4 };
			struct schedule_log log;

			schedule_few_init(&few, seed, 1, 8);
			assert_int_equal(schedule_run(2, increment, &race, &few.policy, &log), SCHEDULE_DONE);
			assert_in_range(log.n, 0, 3); /* the preemption, and who begins, and who goes on behind it */
			counter[i] = race.counter;
		}
		assert_int_equal(counter[0], counter[1]);
		lost += counter[0] != 2;
	}
	assert_in_range(lost, 1, 99);
}

static void a_thread_that_sleeps_for_another_is_set_aside(void **state)
{
	static struct schedule_search search;
	unsigned schedules = 0;

	(void)state;
	schedule_search_init(&search, 1);
	do {
		struct race race = { .points = 2, .lock = PTHREAD_MUTEX_INITIALIZER, .locked = true };
		struct schedule_log log;

		assert_int_equal(schedule_run(2, increment, &race, &search.policy, &log), SCHEDULE_DONE);
		assert_int_equal(race.counter, 2);
		schedules++;
	} while (schedule_search_next(&search));
	assert_true(schedules > 2);
}

/* Waits for the other thread's flag, passing points: must not starve the other. */
static void spin(void *context, unsigned thread)
{
	volatile bool *flag = context;

	if (thread == 1)
		*flag = true;
	while (!*flag)
		schedule_point(false);
}

static void a_spinning_thread_yields(void **state)
{
	static struct schedule_search search;
	volatile bool flag = false;
	struct schedule_log log;

	(void)state;
	schedule_search_init(&search, 0);
	assert_int_equal(schedule_run(2, spin, (void *)&flag, &search.policy, &log), SCHEDULE_DONE);
	assert_in_range(log.n_steps, SCHEDULE_PATIENCE, 2 * SCHEDULE_PATIENCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_preemption_there_is_one_schedule_an_order_and_no_race),
		cmocka_unit_test(without_bound_every_interleaving_is_explored_once),
		cmocka_unit_test(one_preemption_finds_the_planted_race_and_the_log_repeats_it),
		cmocka_unit_test(random_schedules_follow_their_seed),
		cmocka_unit_test(few_preemptions_follow_their_seed_and_find_the_planted_race),
		cmocka_unit_test(a_thread_that_sleeps_for_another_is_set_aside),
		cmocka_unit_test(a_spinning_thread_yields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
