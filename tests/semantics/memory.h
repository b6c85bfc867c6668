/* SPDX-License-Identifier: MIT */
/* Memory for the tests: zeroed, and a test that can't have it ends. */
#ifndef TESTS_SEMANTICS_MEMORY_H
#define TESTS_SEMANTICS_MEMORY_H

#include <stdio.h>
#include <stdlib.h>

static inline void *need_memory(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p) {
		perror("memory for the test");
		exit(1);
	}
	return p;
}

static inline void *more_memory(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (!p) {
		perror("memory for the test");
		exit(1);
	}
	return p;
}

#endif
