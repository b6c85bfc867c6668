/* SPDX-License-Identifier: MIT */
/*
 * Threads stopped in the middle of a store in place: into per-CPU slots, and under a value's lock. What they announced or
 * locked is all they keep: one element, or one entry's lock. Lookup_and_delete waits for what it must give, for nothing else.
 */
#include "scenario.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define KEYS	    12
#define MAX_ENTRIES 8
#define HANG	    60 /* seconds after which what should go on hasn't */

static const struct idmap_kind *const first_kind = scenario_kinds;

static bool is_last(const struct idmap_kind *kind)
{
	return kind == first_kind + n_scenario_kinds;
}

/* A map with four entries, keys[i]: i + 1. What is removed serves again at once. */
static void make(struct idmap *m, const struct idmap_kind *kind, uint32_t *keys)
{
	idmap_create(m, kind, MAX_ENTRIES);
	scenario_reuse_soon(m);
	scenario_keys_of_one_line(m, 1, keys, KEYS);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(idmap_update(m, keys[i], i + 1, BPF_NOEXIST), 0);
}

static void has(const struct idmap *m, uint32_t key, uint64_t expected)
{
	uint64_t value;

	assert_int_equal(idmap_lookup(m, key, &value), 0);
	assert_int_equal(value, expected);
}

static void all_are(const struct idmap_ids *ids, const struct idmap_kind *kind, uint64_t expected)
{
	const struct idmap_ids all = idmap_ids_of(kind, expected);

	assert_memory_equal(ids, &all, sizeof(all));
}

/* Uses up every element that is free: all that come have their own values to the end. */
static void turn_elements_over(const struct idmap *m, const uint32_t *keys, unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++) {
		unsigned n = 0;

		while (idmap_update(m, WHOLE_FRESH + n, WHOLE_FRESH + n, BPF_NOEXIST) == 0)
			n++;
		assert_int_equal(n, MAX_ENTRIES - 3);
		for (unsigned i = 0; i < n; i++)
			has(m, WHOLE_FRESH + i, WHOLE_FRESH + i);
		for (unsigned i = 1; i < 4; i++)
			has(m, keys[i], i + 1);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(idmap_delete(m, WHOLE_FRESH + i), 0);
	}
}

static void stop_store_and_turn_over(const struct idmap_kind *kind, unsigned rounds)
{
	bool locked = kind->values == IDMAP_LOCKED;
	struct scenario_op op = { .kind = OP_UPDATE, .value = 77, .flags = BPF_EXIST | (locked ? BPF_F_LOCK : 0) },
			   other = { .kind = OP_UPDATE, .value = 2, .flags = BPF_EXIST };
	struct stopped stopped, holder;
	uint32_t keys[KEYS];
	struct idmap m;

	make(&m, kind, keys);
	op.m = other.m = &m;
	op.key = keys[0];
	other.key = keys[1];
	assert_true(stop_start(&stopped, STOP_AT(locked ? TP_REDO : TP_STORE), 0, scenario_run_op, &op));
	assert_int_equal(idmap_delete(&m, keys[0]), 0);
	turn_elements_over(&m, keys, 1);
	/* another writer has a free element at hand: so those that are left are needed to the last */
	assert_true(stop_start(&holder, STOP_AT(TP_SNAPSHOT), 0, scenario_run_op, &other));
	turn_elements_over(&m, keys, rounds);
	for (unsigned i = 0; i < MAX_ENTRIES - 3; i++)
		assert_int_equal(idmap_update(&m, WHOLE_FRESH + i, i + 1, BPF_NOEXIST), 0);
	assert_int_equal(idmap_update(&m, WHOLE_FRESH + MAX_ENTRIES, 1, BPF_ANY), -E2BIG);
	stop_finish(&stopped);
	stop_finish(&holder);
	assert_int_equal(op.result, 0); /* just before the delete */
	assert_int_equal(other.result, 0);
	for (unsigned i = 0; i < MAX_ENTRIES - 3; i++) {
		has(&m, WHOLE_FRESH + i, i + 1);
		assert_int_equal(idmap_delete(&m, WHOLE_FRESH + i), 0);
	}
	turn_elements_over(&m, keys, 10);
	scenario_is_whole(&m, keys, KEYS, "after a stopped store");
	usermap_close(m.map);
}

/* The entry goes, the map is filled to the brim and emptied again and again: the element into which a stopped thread is about
 * to store is the only one that doesn't come, in whichever round the thread goes on. */
static void a_stopped_store_withholds_one_element(void **state)
{
	(void)state;
	alarm(HANG);
	for (const struct idmap_kind *kind = first_kind; !is_last(kind); kind++)
		for (unsigned rounds = 1; rounds < 12 && kind->values != IDMAP_PLAIN; rounds++)
			stop_store_and_turn_over(kind, rounds);
	alarm(0);
}

/* Whether the operation ends without waiting for another thread; if not, it is left stopped where it waits. */
static bool goes_on(struct stopped *stopped, struct scenario_op *op)
{
	if (stop_start(stopped, STOP_AT(TP_WAIT), 0, scenario_run_op, op))
		return false;
	stop_finish(stopped);
	return true;
}

static void lookup_and_delete_waits_for_stores_into_what_it_takes_only(void **state)
{
	static const struct scenario_op stores[] = {
		{ .kind = OP_UPDATE, .value = 77, .flags = BPF_EXIST },
		{ .kind = OP_UPDATE, .value = 77, .flags = BPF_EXIST | BPF_F_LOCK },
	};

	(void)state;
	for (const struct idmap_kind *kind = first_kind; !is_last(kind); kind++)
		for (unsigned batch = 0; batch < 2; batch++) {
			bool locked = kind->values == IDMAP_LOCKED;
			struct scenario_op store = stores[locked], other = { .kind = OP_TAKE },
					   take = { .kind = batch ? OP_TAKE_ALL : OP_TAKE };
			struct stopped storing, taking;
			uint32_t keys[KEYS];
			struct idmap m;

			if (kind->values == IDMAP_PLAIN)
				continue;
			make(&m, kind, keys);
			store.m = other.m = take.m = &m;
			store.key = take.key = keys[0];
			other.key = keys[1];
			assert_true(
				stop_start(&storing, STOP_AT(locked ? TP_REDO : TP_STORE), 0, scenario_run_op, &store));
			assert_true(goes_on(&taking, &other));
			assert_int_equal(other.result, 0);
			all_are(&other.found, kind, 2);
			assert_false(goes_on(&taking, &take));
			stop_finish(&storing);
			stop_finish(&taking);
			assert_int_equal(store.result, 0);
			assert_int_equal(take.result, 0);
			all_are(&take.found, kind, 77); /* what was stored isn't lost */
			scenario_is_whole(&m, keys, KEYS, "after a take that waited");
			usermap_close(m.map);
		}
}

/* So it is for additions: what percpu_add said was added is taken. */
static void lookup_and_delete_waits_for_additions_to_what_it_takes(void **state)
{
	(void)state;
	for (const struct idmap_kind *kind = first_kind; !is_last(kind); kind++) {
		struct scenario_op add = { .kind = OP_ADD, .value = 1000 }, take = { .kind = OP_TAKE };
		struct stopped adding, taking;
		uint64_t sum = 0;
		uint32_t keys[KEYS];
		struct idmap m;

		if (kind->values != IDMAP_PERCPU)
			continue;
		make(&m, kind, keys);
		add.m = take.m = &m;
		add.key = take.key = keys[0];
		assert_true(stop_start(&adding, STOP_AT(TP_STORE), 0, scenario_run_op, &add));
		assert_false(goes_on(&taking, &take));
		stop_finish(&adding);
		stop_finish(&taking);
		assert_int_equal(add.result, 0);
		assert_int_equal(take.result, 0);
		for (unsigned i = 0; i < idmap_words(kind); i++)
			sum += take.found.word[i] - 1;
		assert_int_equal(sum, 1000);
		scenario_is_whole(&m, keys, KEYS, "after an addition");
		usermap_close(m.map);
	}
}

/* A thread that stays stopped is given up: the take ends, and what is stored later is nobody's. */
static void lookup_and_delete_loses_its_patience_with_a_stopped_store(void **state)
{
	(void)state;
	for (const struct idmap_kind *kind = first_kind; !is_last(kind); kind++) {
		struct scenario_op store = { .kind = OP_UPDATE, .value = 77, .flags = BPF_EXIST };
		struct stopped storing;
		uint32_t keys[KEYS];
		uint64_t value;
		struct idmap m;

		if (kind->values != IDMAP_PERCPU)
			continue;
		make(&m, kind, keys);
		store.m = &m;
		store.key = keys[0];
		assert_true(stop_start(&storing, STOP_AT(TP_STORE), 0, scenario_run_op, &store));
		assert_int_equal(idmap_take(&m, keys[0], &value), 0);
		assert_int_equal(value, 1);
		turn_elements_over(&m, keys, 100);
		stop_finish(&storing);
		turn_elements_over(&m, keys, 10);
		scenario_is_whole(&m, keys, KEYS, "after a store that was given up");
		usermap_close(m.map);
	}
}

/* The lock's holder is stopped in the middle of its store: who wants the value whole waits, and sees it whole. */
static void a_stopped_holder_holds_up_those_who_want_its_value(void **state)
{
	static const struct scenario_op waiting_ops[] = {
		{ .kind = OP_LOOKUP },	   { .kind = OP_LOOKUP, .flags = BPF_F_LOCK },
		{ .kind = OP_LOOKUP_ALL }, { .kind = OP_UPDATE, .value = 88, .flags = BPF_EXIST | BPF_F_LOCK },
		{ .kind = OP_TAKE },	   { .kind = OP_TAKE_ALL },
	};
	enum { N_OPS = sizeof(waiting_ops) / sizeof(waiting_ops[0]) };

	(void)state;
	for (const struct idmap_kind *kind = first_kind; !is_last(kind); kind++)
		for (unsigned i = 0; i < N_OPS; i++)
			for (unsigned skip = 0; kind->values == IDMAP_LOCKED && skip < 2;
			     skip++) { /* spare, then value */
				struct scenario_op store = { .kind = OP_UPDATE,
							     .value = 77,
							     .flags = BPF_EXIST | BPF_F_LOCK },
						   other = { .kind = OP_LOOKUP, .flags = BPF_F_LOCK },
						   op = waiting_ops[i];
				struct stopped storing, waiting;
				uint32_t keys[KEYS];
				struct idmap m;

				make(&m, kind, keys);
				store.m = other.m = op.m = &m;
				store.key = op.key = keys[0];
				other.key = keys[1];
				assert_true(stop_start(&storing, STOP_AT(TP_COPY), skip, scenario_run_op, &store));
				assert_true(goes_on(&waiting, &other));
				assert_int_equal(other.result, 0);
				assert_false(goes_on(&waiting, &op));
				stop_finish(&storing);
				stop_finish(&waiting);
				assert_int_equal(store.result, 0);
				assert_int_equal(op.result, 0);
				if (op.kind != OP_UPDATE)
					all_are(&op.found, kind, 77);
				scenario_is_whole(&m, keys, KEYS, "after a wait for a lock");
				usermap_close(m.map);
			}
}

/* Plain updates and deletes take no lock, and after them the entry has a new one. */
static void a_stopped_holder_holds_up_no_plain_write(void **state)
{
	(void)state;
	for (const struct idmap_kind *kind = first_kind; !is_last(kind); kind++)
		for (unsigned deletes = 0; deletes < 2; deletes++) {
			struct scenario_op store = { .kind = OP_UPDATE, .value = 77, .flags = BPF_EXIST | BPF_F_LOCK };
			struct stopped storing;
			uint32_t keys[KEYS];
			struct idmap m;

			if (kind->values != IDMAP_LOCKED)
				continue;
			make(&m, kind, keys);
			store.m = &m;
			store.key = keys[0];
			assert_true(stop_start(&storing, STOP_AT(TP_COPY), 1, scenario_run_op, &store));
			if (deletes)
				assert_int_equal(idmap_delete(&m, keys[0]), 0);
			assert_int_equal(idmap_update(&m, keys[0], 5, deletes ? BPF_NOEXIST : BPF_EXIST), 0);
			has(&m, keys[0], 5);
			assert_int_equal(idmap_update(&m, keys[0], 6, BPF_EXIST | BPF_F_LOCK), 0);
			stop_finish(&storing);
			assert_int_equal(store.result, 0);
			has(&m, keys[0], 6);
			scenario_is_whole(&m, keys, KEYS, "after a write past a lock");
			usermap_close(m.map);
		}
}

/* An operation found the element under its key, and stops. The element is recycled; another key's holder is stopped with the
 * element's lock. The operation must see that it has no business there, and not wait. */
static void a_lock_of_an_element_that_was_recycled_isnt_waited_for(void **state)
{
	static const struct {
		struct scenario_op op;
		uint32_t at;
		unsigned skip;
	} cases[] = {
		{ { .kind = OP_UPDATE, .value = 66, .flags = BPF_EXIST | BPF_F_LOCK }, STOP_AT(TP_ANNOUNCE), 0 },
		{ { .kind = OP_LOOKUP }, STOP_AT(TP_DATA), 2 }, /* in the middle of the value */
		{ { .kind = OP_LOOKUP, .flags = BPF_F_LOCK }, STOP_AT(TP_DATA), 2 },
	};

	(void)state;
	alarm(HANG);
	for (const struct idmap_kind *kind = first_kind; !is_last(kind); kind++)
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct scenario_op op = cases[i].op,
					   store = { .kind = OP_UPDATE, .value = 77, .flags = BPF_EXIST | BPF_F_LOCK };
			struct stopped storing, late;
			uint32_t keys[KEYS];
			struct idmap m;

			if (kind->values != IDMAP_LOCKED || kind->reuse != USERMAP_REUSE_AT_ONCE)
				continue;
			make(&m, kind, keys);
			store.m = op.m = &m;
			op.key = keys[0];
			store.key = keys[5];
			assert_true(stop_start(&late, cases[i].at, cases[i].skip, scenario_run_op, &op));
			assert_int_equal(idmap_delete(&m, keys[0]), 0);
			assert_int_equal(idmap_update(&m, keys[5], 5, BPF_NOEXIST), 0); /* gets the element */
			assert_true(stop_start(&storing, STOP_AT(TP_REDO), 0, scenario_run_op, &store));
			stop_finish(&late);
			assert_int_equal(op.result, -ENOENT);
			stop_finish(&storing);
			assert_int_equal(store.result, 0);
			has(&m, keys[5], 77);
			scenario_is_whole(&m, keys, KEYS, "after a late comer");
			usermap_close(m.map);
		}
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stopped_store_withholds_one_element),
		cmocka_unit_test(lookup_and_delete_waits_for_stores_into_what_it_takes_only),
		cmocka_unit_test(lookup_and_delete_waits_for_additions_to_what_it_takes),
		cmocka_unit_test(lookup_and_delete_loses_its_patience_with_a_stopped_store),
		cmocka_unit_test(a_stopped_holder_holds_up_those_who_want_its_value),
		cmocka_unit_test(a_stopped_holder_holds_up_no_plain_write),
		cmocka_unit_test(a_lock_of_an_element_that_was_recycled_isnt_waited_for),
	};

	return cmocka_run_group_tests_name("stores in place", tests, NULL, NULL);
}
