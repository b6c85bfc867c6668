/* SPDX-License-Identifier: MIT */
/*
 * Tables of rules about bpf(2). Each row is a test named after its rule, and is run twice: on the engine's command
 * face, and on the live kernel where it is Linux 6.18 and permits bpf(2), so that the table itself is checked.
 */
#ifndef TESTS_FACES_ROWS_H
#define TESTS_FACES_ROWS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <usermap/bpf.h>

#include "../semantics/abi.h"
#include "../semantics/kernel.h"

/* One row on one side: what a test function finds in *state. */
struct row_test {
	abi_bpf bpf;
	const void *row;
};

struct row_table {
	const void *rows; /* an array of structs that begin with `const char *name` */
	size_t size;	  /* of one */
	size_t count;
	CMUnitTestFunction test;
};

#define ROW_TABLE(rows, test)                                                   \
	{                                                                       \
		rows, sizeof((rows)[0]), sizeof(rows) / sizeof((rows)[0]), test \
	}

static inline void row_name(char *to, size_t size, const char *side, const void *row)
{
	const char *name;

	memcpy(&name, row, sizeof(name));
	snprintf(to, size, "%s: %s", side, name);
}

/* Rows for rules that take more than one call, and what runs them. */
struct act_row {
	const char *name;
	void (*act)(abi_bpf bpf);
};

static inline void run_act(void **state)
{
	const struct row_test *test = *state;

	((const struct act_row *)test->row)->act(test->bpf);
}

static inline int run_tables(const char *group, const struct row_table *tables, size_t n_tables)
{
	const char *why;
	bool kernel = kernel_is_oracle(&why);
	size_t n = 0, total = 0;

	for (size_t t = 0; t < n_tables; t++)
		total += 2 * tables[t].count;

	struct CMUnitTest *tests = calloc(total, sizeof(*tests));
	struct row_test *states = calloc(total, sizeof(*states));
	char(*names)[160] = calloc(total, sizeof(*names));

	for (size_t t = 0; t < n_tables; t++) {
		for (size_t i = 0; i < tables[t].count; i++) {
			const void *row = (const char *)tables[t].rows + i * tables[t].size;

			for (int side = 0; side < 1 + kernel; side++, n++) {
				row_name(names[n], sizeof(names[n]), side ? "kernel" : "engine", row);
				states[n] = (struct row_test){ side ? kernel_bpf : usermap_bpf, row };
				tests[n] = (struct CMUnitTest){ names[n], tables[t].test, NULL, NULL, &states[n] };
			}
		}
	}
	if (!kernel)
		fprintf(stderr, "not checked against the live kernel: %s\n", why);

	int failed = _cmocka_run_group_tests(group, tests, n, NULL, NULL);

	free(tests);
	free(states);
	free(names);
	return failed;
}

/* The result, or -errno. */
static inline long call(abi_bpf bpf, int cmd, union abi_attr *attr, unsigned size)
{
	long result = bpf(cmd, attr, size);

	return result < 0 ? -errno : result;
}

/* An address that has nothing behind it. */
static inline void *nowhere(void)
{
	static unsigned char *page;

	if (!page)
		page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(page != MAP_FAILED);
	return page;
}

static inline uint64_t address(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

#endif
