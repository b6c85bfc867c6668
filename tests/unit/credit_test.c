/* SPDX-License-Identifier: MIT */
/* Credits: exact, stolen one at a time, and "none" only if at some instant there was none (the double collect). */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/credit.h"
#include "core/testpoint.h"

#define CPUS 3

static struct cpu_line lines[CPUS];
static __thread uint64_t versions;

static void as_many_as_dealt_whatever_the_cpu(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < 20; n++) {
		credit_format(lines, CPUS, n);
		assert_int_equal(credit_count(lines, CPUS), n);
		for (uint32_t i = 0; i < n; i++)
			assert_true(credit_take(lines, CPUS, i % CPUS, &versions));
		assert_false(credit_take(lines, CPUS, 1, &versions));
		credit_give(lines, 2, 1);
		assert_true(credit_take(lines, CPUS, 0, &versions));
		assert_false(credit_take(lines, CPUS, 0, &versions));
	}
}

/* Between the two passes of the collect another thread frees a credit behind the scan and takes one ahead of it: there
 * was never an instant without a free credit, so the search must go on. */
static int moves;

static void move_a_credit(enum test_point point)
{
	if (point != TP_CREDIT_EMPTY || moves++)
		return;
	credit_give(lines, 0, 1);
}

static void a_credit_freed_between_the_passes_is_found(void **state)
{
	(void)state;
	credit_format(lines, CPUS, 0);
	moves = 0;
	usermap_test_point = move_a_credit;
	assert_true(credit_take(lines, CPUS, 0, &versions));
	usermap_test_point = NULL;
	assert_int_equal(moves, 1);
}

/* A credit that comes and goes between the passes leaves the counters empty: only the versions tell. */
static void come_and_go(enum test_point point)
{
	if (point != TP_CREDIT_EMPTY || moves++)
		return;
	usermap_test_point = NULL;
	credit_give(lines, 2, 1);
	assert_true(credit_take(lines, CPUS, 2, &versions));
	usermap_test_point = come_and_go;
}

static void a_credit_that_came_and_went_is_noticed(void **state)
{
	(void)state;
	credit_format(lines, CPUS, 0);
	moves = 0;
	usermap_test_point = come_and_go;
	assert_false(credit_take(lines, CPUS, 0, &versions));
	usermap_test_point = NULL;
	assert_int_equal(moves, 2); /* it collected twice, and the second time nothing moved */
}

/* What "none" was said of can be asked about later. */
static void none_since_holds_until_something_moves(void **state)
{
	(void)state;
	credit_format(lines, CPUS, 0);
	assert_false(credit_take(lines, CPUS, 0, &versions));
	assert_true(credit_none_since(lines, CPUS, versions));
	credit_give(lines, 2, 1);
	assert_false(credit_none_since(lines, CPUS, versions));
	assert_true(credit_take(lines, CPUS, 2, &versions));
	assert_false(credit_none_since(lines, CPUS, versions));
}

#define ROUNDS 200000

static void *take_and_give(void *arg)
{
	uint32_t cpu = (uint32_t)(uintptr_t)arg;
	uintptr_t failures = 0;

	for (int i = 0; i < ROUNDS; i++) {
		if (credit_take(lines, CPUS, cpu % CPUS, &versions))
			credit_give(lines, (cpu + (uint32_t)i) % CPUS, 1);
		else
			failures++;
	}
	return (void *)failures;
}

/* As many credits as threads, each holding at most one: a search can never fail. */
static void no_search_fails_while_one_is_free(void **state)
{
	pthread_t t[4];
	void *failures;

	(void)state;
	credit_format(lines, CPUS, 4);
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, take_and_give, (void *)i), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &failures);
		assert_null(failures);
	}
	assert_int_equal(credit_count(lines, CPUS), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_as_dealt_whatever_the_cpu),
		cmocka_unit_test(a_credit_freed_between_the_passes_is_found),
		cmocka_unit_test(a_credit_that_came_and_went_is_noticed),
		cmocka_unit_test(none_since_holds_until_something_moves),
		cmocka_unit_test(no_search_fails_while_one_is_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
