/* SPDX-License-Identifier: MIT */
/* core/machine: the kernel's lists of ids, and what is read from them. */
#include "support.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

static void id_list_ends_behind_its_largest_id(void **unused)
{
	static const struct {
		const char *list;
		unsigned end;
	} rows[] = {
		{ "0\n", 1 }, { "0-1\n", 2 }, { "0-3,5\n", 6 },	     { "7,2\n", 8 },
		{ "\n", 0 },  { "3-1\n", 0 }, { "0-99999\n", 4096 },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(id_list_end(rows[i].list), rows[i].end);
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
	assert_true(possible_cpu_ids() >= possible_cpus());
	assert_true(possible_cpu_ids() > (unsigned)sched_getcpu());
}

static void numa_node_0_and_none_are_ok_absent_ones_are_not(void **unused)
{
	(void)unused;
	assert_true(numa_node_ok(0));
	assert_true(numa_node_ok(UINT32_MAX));
	assert_false(numa_node_ok(4096));
	assert_false(numa_node_ok(UINT32_MAX - 1));
}

#define PAGE	  4096u
#define NO_ANSWER (-1)

/* The memory policy of the page, and its nodes (of the first 64); NO_ANSWER where the kernel doesn't tell. */
static int policy_of(void *page, unsigned long *nodes)
{
	unsigned long mask[16] = { 0 };
	int mode;

	if (syscall(SYS_get_mempolicy, &mode, mask, 8 * sizeof(mask), page, MPOL_F_ADDR) != 0)
		return NO_ANSWER;
	*nodes = mask[0];
	return mode;
}

static void write_file(const char *directory, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (strchr(name, '/')) {
		*strrchr(path, '/') = '\0';
		mkdir(path, 0700);
		path[strlen(path)] = '/'; /* the rest is still behind it */
	}
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void remove_nodes(const char *directory, const char *const *names, size_t n)
{
	char path[256];

	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		assert_int_equal(unlink(path), 0);
		if (strchr(names[i], '/')) {
			*strrchr(path, '/') = '\0';
			assert_int_equal(rmdir(path), 0);
		}
	}
}

/* The machine that the files describe has two nodes; this one may have just the first, and then refuses the second. */
static void areas_prefer_the_node_of_their_cpu(void **unused)
{
	static const char *const names[] = { "online", "node0/cpulist", "node1/cpulist" };
	unsigned char *base = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long nodes = 0;
	char directory[64];

	(void)unused;
	assert_true(base != MAP_FAILED);
	support_scratch_make(directory);
	write_file(directory, names[0], "0-1\n");
	write_file(directory, names[1], "0,2-3\n");
	write_file(directory, names[2], "1\n");
	numa_spread(directory, base, PAGE, 3);
	if (policy_of(base, &nodes) != NO_ANSWER) {
		assert_int_equal(policy_of(base, &nodes), MPOL_PREFERRED);
		assert_int_equal(nodes, 1);
		assert_int_equal(policy_of(base + 1 * PAGE, &nodes), numa_node_ok(1) ? MPOL_PREFERRED : MPOL_DEFAULT);
		assert_int_equal(policy_of(base + 2 * PAGE, &nodes), MPOL_PREFERRED);
		assert_int_equal(nodes, 1);
		assert_int_equal(policy_of(base + 3 * PAGE, &nodes), MPOL_DEFAULT); /* behind the areas */
	}
	remove_nodes(directory, names, ARRAY_SIZE(names));
	support_scratch_remove(directory);
	munmap(base, 4 * PAGE);
}

static void a_machine_with_one_node_has_no_preference(void **unused)
{
	static const char *const names[] = { "online", "node0/cpulist" };
	unsigned char *base = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long nodes = 0;
	char directory[64];

	(void)unused;
	assert_true(base != MAP_FAILED);
	support_scratch_make(directory);
	numa_spread(directory, base, PAGE, 1); /* a kernel without NUMA */
	write_file(directory, names[0], "0\n");
	write_file(directory, names[1], "0-3\n");
	numa_spread(directory, base, PAGE, 1);
	assert_true(policy_of(base, &nodes) == MPOL_DEFAULT || policy_of(base, &nodes) == NO_ANSWER);
	remove_nodes(directory, names, ARRAY_SIZE(names));
	support_scratch_remove(directory);
	munmap(base, PAGE);
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
		cmocka_unit_test(id_list_ends_behind_its_largest_id),
		cmocka_unit_test(id_list_has_what_is_in_its_ranges),
		cmocka_unit_test(possible_cpus_are_at_least_those_online),
		cmocka_unit_test(numa_node_0_and_none_are_ok_absent_ones_are_not),
		cmocka_unit_test(areas_prefer_the_node_of_their_cpu),
		cmocka_unit_test(a_machine_with_one_node_has_no_preference),
		cmocka_unit_test(memory_is_available_up_to_what_the_machine_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
