/* SPDX-License-Identifier: MIT */
/*
 * The table of descriptors' numbers, step by step: an answer of the kernel's is entered only if no number has changed its
 * meaning since it was asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "face/fd_numbers.h"

#define ENTRY ((uintptr_t)0x1000 | 3)
#define OTHER ((uintptr_t)0x2000 | 1)

static void set(int fd, uintptr_t entry)
{
	fd_number_prepare(fd);
	fd_number_set(fd, entry, fd_numbers_now());
}

static int forget_all(void **state)
{
	(void)state;
	fd_numbers_forget(0);
	return 0;
}

static void an_answer_is_entered(void **state)
{
	(void)state;
	assert_int_equal(fd_number_get(10), 0);
	set(10, ENTRY);
	assert_int_equal(fd_number_get(10), ENTRY);
	assert_int_equal(fd_number_get(11), 0);
	set(10, OTHER);
	assert_int_equal(fd_number_get(10), OTHER);
}

static void an_answer_from_before_a_change_is_not(void **state)
{
	uint64_t asked;

	(void)state;
	fd_number_prepare(10);
	asked = fd_numbers_now();
	fd_numbers_begin();
	fd_numbers_end();
	fd_number_set(10, ENTRY, asked);
	assert_int_equal(fd_number_get(10), 0);
	fd_number_set(10, ENTRY, fd_numbers_now());
	assert_int_equal(fd_number_get(10), ENTRY);
}

static void an_answer_during_a_change_is_not(void **state)
{
	uint64_t asked = fd_numbers_now();

	(void)state;
	fd_number_prepare(10);
	fd_numbers_begin();
	fd_number_set(10, ENTRY, asked);
	assert_int_equal(fd_number_get(10), 0);
	set(10, ENTRY); /* asked while it is going on */
	assert_int_equal(fd_number_get(10), 0);
	asked = fd_numbers_now();
	fd_numbers_begin(); /* another, which ends first */
	fd_numbers_end();
	fd_number_set(10, ENTRY, fd_numbers_now());
	assert_int_equal(fd_number_get(10), 0);
	fd_numbers_end();
	fd_number_set(10, ENTRY, asked);
	assert_int_equal(fd_number_get(10), 0);
	set(10, ENTRY);
	assert_int_equal(fd_number_get(10), ENTRY);
}

static void a_forked_child_has_no_change_going_on(void **state)
{
	uint64_t asked = fd_numbers_now();

	(void)state;
	fd_numbers_begin();
	fd_numbers_fork_child();
	fd_number_prepare(10);
	fd_number_set(10, ENTRY, asked);
	assert_int_equal(fd_number_get(10), 0);
	set(10, ENTRY);
	assert_int_equal(fd_number_get(10), ENTRY);
	fd_numbers_begin();
	fd_numbers_end();
	set(10, OTHER);
	assert_int_equal(fd_number_get(10), OTHER);
}

static void the_standard_ones_never_are(void **state)
{
	(void)state;
	for (int fd = 0; fd < 3; fd++) {
		set(fd, ENTRY);
		assert_int_equal(fd_number_get(fd), 0);
	}
	set(3, ENTRY);
	assert_int_equal(fd_number_get(3), ENTRY);
}

static void ranges_are_cleared(void **state)
{
	static const int numbers[] = { 3, 1022, 1023, 1024, 1025, 5000, 1048575 };
	enum { N = sizeof(numbers) / sizeof(numbers[0]) };

	(void)state;
	for (int i = 0; i < N; i++)
		set(numbers[i], ENTRY);
	fd_numbers_clear(1023, 1024);
	for (int i = 0; i < N; i++)
		assert_int_equal(fd_number_get(numbers[i]), numbers[i] == 1023 || numbers[i] == 1024 ? 0 : ENTRY);
	fd_numbers_clear(5000, 5000);
	assert_int_equal(fd_number_get(5000), 0);
	assert_int_equal(fd_number_get(1025), ENTRY);
	fd_numbers_clear(4, UINT32_MAX);
	assert_int_equal(fd_number_get(1048575), 0);
	assert_int_equal(fd_number_get(1022), 0);
	assert_int_equal(fd_number_get(3), ENTRY);
	assert_true(fd_numbers_any(0, UINT32_MAX));
	assert_false(fd_numbers_any(1u << 20, UINT32_MAX));
}

static void a_map_s_numbers_are_forgotten(void **state)
{
	(void)state;
	set(7, ENTRY);
	set(8, OTHER);
	set(2000, (ENTRY & ~NUMBER_ACCESS) | 1);
	fd_numbers_forget(ENTRY & ~NUMBER_ACCESS);
	assert_int_equal(fd_number_get(7), 0);
	assert_int_equal(fd_number_get(2000), 0);
	assert_int_equal(fd_number_get(8), OTHER);
}

static void numbers_beyond_the_table_have_none(void **state)
{
	(void)state;
	set(1 << 20, ENTRY);
	set(INT32_MAX, ENTRY);
	set(-1, ENTRY);
	assert_int_equal(fd_number_get(1 << 20), 0);
	assert_int_equal(fd_number_get(INT32_MAX), 0);
	assert_int_equal(fd_number_get(-1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_answer_is_entered, forget_all),
		cmocka_unit_test_setup(an_answer_from_before_a_change_is_not, forget_all),
		cmocka_unit_test_setup(an_answer_during_a_change_is_not, forget_all),
		cmocka_unit_test_setup(a_forked_child_has_no_change_going_on, forget_all),
		cmocka_unit_test_setup(the_standard_ones_never_are, forget_all),
		cmocka_unit_test_setup(ranges_are_cleared, forget_all),
		cmocka_unit_test_setup(a_map_s_numbers_are_forgotten, forget_all),
		cmocka_unit_test_setup(numbers_beyond_the_table_have_none, forget_all),
	};

	return cmocka_run_group_tests_name("numbers", tests, NULL, NULL);
}
