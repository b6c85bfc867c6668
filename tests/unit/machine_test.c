/* SPDX-License-Identifier: MIT */
/* core/machine: the kernel's lists of ids, and what is read from them. */
#include "support.h"

#include <unistd.h>

#include "core/machine.h"

static void id_list_counts_every_id_once(void **unused)
{
	static const struct {
		const char *list;
		unsigned count;
	} rows[] = {
		{ "0\n", 1 },	    { "0-1\n", 2 }, { "0-3,5\n", 5 }, { "0,2,4-7,9\n", 7 },
		{ "0-127\n", 128 }, { "", 0 },	    { "\n", 0 },      { "0-4294967295\n", 4096 },
		{ "3-1\n", 0 },	    { "0,x\n", 1 }, { "0-\n", 0 },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (id_list_count(rows[i].list) != rows[i].count)
			print_error("list %s", rows[i].list);
		assert_int_equal(id_list_count(rows[i].list), rows[i].count);
	}
}

static void id_list_has_what_is_in_its_ranges(void **unused)
{
	(void)unused;
	assert_true(id_list_has("0-3,5,8-9\n", 0));
	assert_true(id_list_has("0-3,5,8-9\n", 3));
	assert_false(id_list_has("0-3,5,8-9\n", 4));
	assert_true(id_list_has("0-3,5,8-9\n", 5));
	assert_false(id_list_has("0-3,5,8-9\n", 7));
	assert_true(id_list_has("0-3,5,8-9\n", 9));
	assert_false(id_list_has("0-3,5,8-9\n", 10));
	assert_false(id_list_has("\n", 0));
}

static void possible_cpus_are_at_least_those_online(void **unused)
{
	(void)unused;
	assert_true(possible_cpus() >= (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
	assert_int_equal(possible_cpus(), possible_cpus());
}

static void numa_node_0_and_none_are_ok_absent_ones_are_not(void **unused)
{
	(void)unused;
	assert_true(numa_node_ok(0));
	assert_true(numa_node_ok(UINT32_MAX));
	assert_false(numa_node_ok(4096));
	assert_false(numa_node_ok(UINT32_MAX - 1));
}

static void memory_is_available_up_to_what_the_machine_has(void **unused)
{
	uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	(void)unused;
	assert_true(memory_available(1 << 20));
	assert_false(memory_available(all));
	assert_false(memory_available(UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(id_list_counts_every_id_once),
		cmocka_unit_test(id_list_has_what_is_in_its_ranges),
		cmocka_unit_test(possible_cpus_are_at_least_those_online),
		cmocka_unit_test(numa_node_0_and_none_are_ok_absent_ones_are_not),
		cmocka_unit_test(memory_is_available_up_to_what_the_machine_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
