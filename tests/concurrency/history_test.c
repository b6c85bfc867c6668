/* SPDX-License-Identifier: MIT */
/* Tests of the checkers themselves: right histories pass, each kind of wrong one is caught, and so is a torn value. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "history.h"
#include "value.h"

static struct history history;

static int empty_history(void **state)
{
	(void)state;
	history.n = 0;
	history.max_entries = 2;
	history.words = 1;
	history.exact = false;
	return 0;
}

static struct history_op *add(enum history_kind kind, unsigned key, uint64_t value, int result, uint64_t called,
			      uint64_t returned)
{
	struct history_op *op = &history.op[history.n];

	*op = (struct history_op){ .kind = kind, .thread = history.n, .key = key, .value = { value, value },
				   .result = result, .called = called, .returned = returned };
	history.n++;
	return op;
}

static void update(unsigned key, uint64_t value, uint64_t flags, int result, uint64_t called, uint64_t returned)
{
	add(HISTORY_UPDATE, key, value, result, called, returned)->flags = flags;
}

static void lookup(unsigned key, uint64_t value, uint64_t called, uint64_t returned)
{
	add(HISTORY_LOOKUP, key, value, value ? 0 : -ENOENT, called, returned);
}

static void take(unsigned key, uint64_t value, uint64_t called, uint64_t returned)
{
	add(HISTORY_TAKE, key, value, value ? 0 : -ENOENT, called, returned);
}

static void delete(unsigned key, int result, uint64_t called, uint64_t returned)
{
	add(HISTORY_DELETE, key, 0, result, called, returned);
}

static void is_right(void)
{
	assert_int_equal(history_check(&history), HISTORY_OK);
}

static void is_wrong(void)
{
	assert_int_equal(history_check(&history), HISTORY_WRONG);
}

static void sequential_history_is_right(void **state)
{
	(void)state;
	lookup(0, 0, 1, 2);
	update(0, 7, BPF_ANY, 0, 3, 4);
	update(0, 8, BPF_NOEXIST, -EEXIST, 5, 6);
	update(1, 9, BPF_EXIST, -ENOENT, 7, 8);
	update(0, 10, BPF_EXIST, 0, 9, 10);
	update(1, 11, BPF_NOEXIST, 0, 11, 12);
	update(2, 12, BPF_ANY, -E2BIG, 13, 14);
	take(0, 10, 15, 16);
	delete(1, 0, 17, 18);
	delete(1, -ENOENT, 19, 20);
	is_right();
}

static void overlapping_operations_may_take_effect_in_either_order(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 10);
	lookup(0, 0, 2, 3);
	lookup(0, 1, 4, 5);
	is_right();
}

static void a_value_that_vanishes_again_is_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 10);
	lookup(0, 1, 2, 3);
	lookup(0, 0, 4, 5);
	is_wrong();
}

static void a_missed_key_is_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(0, 2, BPF_ANY, 0, 3, 10);
	lookup(0, 0, 4, 5);
	is_wrong();
}

static void a_value_read_after_its_replacement_is_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(0, 2, BPF_ANY, 0, 3, 4);
	lookup(0, 1, 5, 6);
	is_wrong();
}

static void a_value_of_another_key_is_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(1, 2, BPF_ANY, 0, 3, 4);
	lookup(0, 2, 5, 6);
	is_wrong();
}

static void two_winners_of_noexist_are_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_NOEXIST, 0, 1, 5);
	update(0, 2, BPF_NOEXIST, 0, 2, 6);
	is_wrong();
}

static void two_deleters_of_one_entry_are_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 2);
	delete(0, 0, 3, 6);
	take(0, 1, 4, 5);
	is_wrong();
}

/* The run of the lookup_and_delete model that failed: the update returned OK, its value was neither taken nor kept. */
static void an_update_lost_by_lookup_and_delete_is_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(0, 2, BPF_EXIST, 0, 3, 7);
	take(0, 1, 4, 8);
	lookup(0, 0, 9, 10);
	is_wrong();
}

static void one_entry_too_many_is_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 4);
	update(1, 2, BPF_ANY, 0, 2, 5);
	update(2, 3, BPF_ANY, 0, 3, 6);
	is_wrong();
}

static void e2big_with_room_is_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(1, 2, BPF_ANY, -E2BIG, 3, 4);
	is_wrong();
}

static void e2big_beside_an_insert_that_fills_the_map_is_right(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(1, 2, BPF_ANY, 0, 3, 8);
	update(2, 3, BPF_ANY, -E2BIG, 4, 5);
	lookup(1, 0, 6, 7);
	is_right();
	history.exact = true;
	is_wrong();
}

static void e2big_beside_a_delete_is_right_unless_exact(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(1, 2, BPF_ANY, 0, 3, 4);
	delete(0, 0, 5, 10);
	lookup(0, 0, 6, 7);
	update(2, 3, BPF_ANY, -E2BIG, 8, 9);
	is_right();
	history.exact = true;
	is_wrong();
}

static void e2big_of_a_key_that_is_present_is_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(1, 2, BPF_ANY, 0, 3, 4);
	update(0, 3, BPF_ANY, -E2BIG, 5, 6);
	is_wrong();
}

static void ebusy_and_enomem_are_wrong(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, -EBUSY, 1, 2);
	is_wrong();
	history.n = 0;
	update(0, 1, BPF_ANY, -ENOMEM, 1, 2);
	is_wrong();
}

static void a_long_overlapping_history_is_decided(void **state)
{
	(void)state;
	history.max_entries = HISTORY_KEYS;
	for (unsigned i = 0; i < HISTORY_OPS; i++) /* four threads' operations on one key, each overlapping three others */
		update(0, i + 1, BPF_ANY, 0, 4 * i + 1, 4 * i + 14);
	is_right();
	history.op[HISTORY_OPS - 1] =
		(struct history_op){ .kind = HISTORY_LOOKUP, .value = { 1 }, .called = 500, .returned = 501 };
	is_wrong();
}

static void words_may_differ_but_each_must_be_right(void **state)
{
	(void)state;
	history.words = 2;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(0, 2, BPF_ANY, 0, 3, 10);
	lookup(0, 1, 4, 5);
	history.op[2].value[1] = 2;
	is_right();
	lookup(0, 1, 6, 7); /* the second word is as before the update again */
	is_wrong();
}

static void a_store_into_one_slot_leaves_the_others(void **state)
{
	(void)state;
	history.words = 2;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(0, 2, BPF_ANY, 0, 3, 4);
	history.op[1].kept = 2;
	lookup(0, 2, 5, 6);
	is_wrong();
	history.op[2].value[1] = 1;
	is_right();
	delete(0, 0, 7, 8);
	update(0, 3, BPF_NOEXIST, 0, 9, 10);
	history.op[4].kept = 2;
	lookup(0, 3, 11, 12);
	is_wrong();
	history.op[5].value[1] = HISTORY_ZERO;
	is_right();
}

static void an_addition_that_is_neither_taken_nor_kept_is_wrong(void **state)
{
	(void)state;
	update(0, 100, BPF_ANY, 0, 1, 2);
	add(HISTORY_ADD, 0, 7, 0, 3, 8);
	take(0, 100, 4, 9);
	is_wrong();
	history.op[2].value[0] = 107;
	is_right();
	add(HISTORY_ADD, 0, 7, 0, 10, 11);
	is_wrong(); /* to an entry that isn't there */
	history.op[3].result = -ENOENT;
	is_right();
}

/* A process that died inside an update: others see its value from some instant on, or never. */
static void an_update_that_never_returned_takes_effect_once_or_not_at_all(void **state)
{
	(void)state;
	update(0, 1, BPF_ANY, 0, 1, 2);
	update(0, 2, BPF_ANY, 0, 3, UINT64_MAX);
	history.op[1].pending = true;
	lookup(0, 1, 4, 5);
	is_right();
	lookup(0, 2, 6, 7);
	is_right();
	lookup(0, 1, 8, 9);
	is_wrong();
}

static void every_mixture_of_two_values_is_torn(void **state)
{
	static const size_t sizes[] = { 16, 64, 100, 1000, VALUE_MAX };
	unsigned char a[VALUE_MAX], b[VALUE_MAX];
	uint64_t id;

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		value_fill(a, sizes[s], 41);
		assert_true(value_id(a, sizes[s], &id) && id == 41);
		for (size_t cut = 8; cut < sizes[s]; cut += 8) {
			value_fill(b, sizes[s], 42);
			memcpy(b, a, cut);
			assert_false(value_id(b, sizes[s], &id));
		}
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, empty_history)
	const struct CMUnitTest tests[] = {
		TEST(sequential_history_is_right),
		TEST(overlapping_operations_may_take_effect_in_either_order),
		TEST(a_value_that_vanishes_again_is_wrong),
		TEST(a_missed_key_is_wrong),
		TEST(a_value_read_after_its_replacement_is_wrong),
		TEST(a_value_of_another_key_is_wrong),
		TEST(two_winners_of_noexist_are_wrong),
		TEST(two_deleters_of_one_entry_are_wrong),
		TEST(an_update_lost_by_lookup_and_delete_is_wrong),
		TEST(one_entry_too_many_is_wrong),
		TEST(e2big_with_room_is_wrong),
		TEST(e2big_beside_an_insert_that_fills_the_map_is_right),
		TEST(e2big_beside_a_delete_is_right_unless_exact),
		TEST(e2big_of_a_key_that_is_present_is_wrong),
		TEST(ebusy_and_enomem_are_wrong),
		TEST(a_long_overlapping_history_is_decided),
		TEST(words_may_differ_but_each_must_be_right),
		TEST(a_store_into_one_slot_leaves_the_others),
		TEST(an_addition_that_is_neither_taken_nor_kept_is_wrong),
		TEST(an_update_that_never_returned_takes_effect_once_or_not_at_all),
		TEST(every_mixture_of_two_values_is_torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
