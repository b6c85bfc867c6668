/* SPDX-License-Identifier: MIT */
/* core/lockmaps: what is found at an address is what was added there, at rest and while other maps come and go. */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/lockmaps.h"

#define MAPS 100
#define ROOM 4096 /* a region takes up to half of it */

/* Maps that are nothing but an address. */
static struct {
	struct region region;
	struct writer_set writers;
	struct value_locks locks;
	bool there;
} maps[MAPS];

static unsigned char *address_of(unsigned map, size_t at)
{
	return (unsigned char *)(uintptr_t)((map + 1) * ROOM + at);
}

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MAPS; i++) {
		maps[i].region.base = address_of(i, 0);
		maps[i].region.size = 1 + support_random_below(ROOM / 2);
		maps[i].writers.region = &maps[i].region;
		maps[i].locks.writers = &maps[i].writers;
	}
	return 0;
}

static void change(unsigned map)
{
	if (maps[map].there)
		lockmaps_remove(&maps[map].locks);
	else
		assert_int_equal(lockmaps_add(&maps[map].locks), 0);
	maps[map].there = !maps[map].there;
}

static void check(unsigned map)
{
	const struct value_locks *expected = maps[map].there ? &maps[map].locks : NULL;

	assert_ptr_equal(lockmaps_find(address_of(map, 0)), expected);
	assert_ptr_equal(lockmaps_find(address_of(map, support_random_below(maps[map].region.size))), expected);
	assert_ptr_equal(lockmaps_find(address_of(map, maps[map].region.size - 1)), expected);
	assert_null(lockmaps_find(address_of(map, maps[map].region.size)));
	assert_null(lockmaps_find(address_of(map, 0) - 1));
}

static void remove_all(void)
{
	for (unsigned i = 0; i < MAPS; i++)
		if (maps[i].there)
			change(i);
}

static void what_is_there_is_found_and_nothing_else(void **state)
{
	(void)state;
	assert_null(lockmaps_find(address_of(0, 0)));
	for (unsigned i = 0; i < 3000; i++) {
		change((unsigned)support_random_below(i < 1000 ? 10 : MAPS));
		check((unsigned)support_random_below(MAPS));
	}
	for (unsigned i = 0; i < MAPS; i++)
		check(i);
	remove_all();
	for (unsigned i = 0; i < MAPS; i++)
		check(i);
}

/* The first test of all: later ones find the tables large. */
static void addition_without_memory_is_ENOMEM_and_changes_nothing(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (unsigned i = 0; i < MAPS; i++) {
		support_fail_nth(1);
		maps[i].there = !lockmaps_add(&maps[i].locks);
		support_fail_nth(0);
		check(i);
		if (!maps[i].there && refused++ % 4)
			change(i);
	}
	assert_in_range(refused, 4, MAPS - 1);
	remove_all();
}

static atomic_bool done;

static void *find_steady(void *wrong)
{
	while (!atomic_load_explicit(&done, memory_order_relaxed))
		if (lockmaps_find(address_of(MAPS / 2, 0)) != &maps[MAPS / 2].locks)
			*(bool *)wrong = true;
	return NULL;
}

static void readers_find_a_map_while_others_come_and_go(void **state)
{
	pthread_t reader;
	bool wrong = false;

	(void)state;
	change(MAPS / 2);
	done = false;
	assert_int_equal(pthread_create(&reader, NULL, find_steady, &wrong), 0);
	for (unsigned i = 0; i < 200000; i++) {
		unsigned map = (unsigned)support_random_below(MAPS);

		if (map != MAPS / 2)
			change(map);
	}
	done = true;
	pthread_join(reader, NULL);
	assert_false(wrong);
	remove_all();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addition_without_memory_is_ENOMEM_and_changes_nothing),
		cmocka_unit_test(what_is_there_is_found_and_nothing_else),
		cmocka_unit_test(readers_find_a_map_while_others_come_and_go),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, setup, NULL);
}
