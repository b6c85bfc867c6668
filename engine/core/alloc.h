/* SPDX-License-Identifier: MIT */
/*
 * Small private memory: handles, tables of threads, bounce buffers. What maps hold is in regions.
 */
#ifndef ENGINE_CORE_ALLOC_H
#define ENGINE_CORE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* size > 0. Zeroed, 64-byte aligned; NULL when exhausted. */
void *mem_alloc(size_t size);
/* size: that of mem_alloc. p may be NULL. */
void mem_free(void *p, size_t size);

/* Whether a test wants the acquisition of memory that follows to fail. `what` names the call: "alloc", "mmap", … */
#ifdef USERMAP_TEST_POINTS
extern int (*usermap_test_fail)(const char *what); /* NULL: nothing fails */
#endif
static inline bool mem_refused(const char *what)
{
#ifdef USERMAP_TEST_POINTS
	return usermap_test_fail && usermap_test_fail(what);
#else
	(void)what;
	return false;
#endif
}

#endif
