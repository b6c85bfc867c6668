/* SPDX-License-Identifier: MIT */
/*
 * The allocator behind small private memory: the one the host has set, else jemalloc if the process has it, else
 * malloc.
 *
 * The library isn't linked with jemalloc, because then it couldn't be loaded by dlopen (its thread-local storage has no
 * room left). The references are weak: they are there where an executable brings jemalloc along.
 */
#include "core/alloc.h"

#include <errno.h>
#include <jemalloc/jemalloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <usermap/usermap.h>

#pragma weak mallocx
#pragma weak sdallocx

#define MEM_ALIGN 64

#ifdef USERMAP_TEST_POINTS
int (*usermap_test_fail)(const char *what);
#endif

static void *jemalloc_alloc(size_t size, size_t align)
{
	return mallocx(size, MALLOCX_ALIGN(align));
}

static void jemalloc_free(void *p, size_t size)
{
	sdallocx(p, size, MALLOCX_ALIGN(MEM_ALIGN));
}

static void *libc_alloc(size_t size, size_t align)
{
	return aligned_alloc(align, size);
}

static void libc_free(void *p, size_t size)
{
	(void)size;
	free(p);
}

static const struct usermap_allocator jemalloc_allocator = { jemalloc_alloc, jemalloc_free };
static const struct usermap_allocator libc_allocator = { libc_alloc, libc_free };

/* Set once, by usermap_set_allocator or the first allocation: what one allocator gave the same one must take back. */
static _Atomic(const struct usermap_allocator *) chosen;

static const struct usermap_allocator *allocator(void)
{
	/* acquire: the host's functions were stored before the pointer to them */
	const struct usermap_allocator *current = atomic_load_explicit(&chosen, memory_order_acquire);

	if (current)
		return current;

	const struct usermap_allocator *preset = mallocx && sdallocx ? &jemalloc_allocator : &libc_allocator;

	/* acquire: as above, when another thread was first */
	if (atomic_compare_exchange_strong_explicit(&chosen, &current, preset, memory_order_acquire,
						    memory_order_acquire))
		return preset;
	return current;
}

int usermap_set_allocator(const struct usermap_allocator *wanted)
{
	static struct usermap_allocator given; /* written by the one call that finds `taken` clear */
	static atomic_flag taken = ATOMIC_FLAG_INIT;
	const struct usermap_allocator *none = NULL;

	if (!wanted || !wanted->alloc || !wanted->free)
		return -EINVAL;
	/* relaxed: the flag orders nothing, it elects one caller */
	if (atomic_load_explicit(&chosen, memory_order_relaxed) ||
	    atomic_flag_test_and_set_explicit(&taken, memory_order_relaxed))
		return -EBUSY;
	given = *wanted;
	/* release: `given` before the pointer to it */
	if (!atomic_compare_exchange_strong_explicit(&chosen, &none, &given, memory_order_release,
						     memory_order_relaxed))
		return -EBUSY;
	return 0;
}

/* Whole lines, also because aligned_alloc wants a multiple of the alignment. */
static size_t whole_lines(size_t size)
{
	return (size + MEM_ALIGN - 1) & ~(size_t)(MEM_ALIGN - 1);
}

void *mem_alloc(size_t size)
{
	if (size > PTRDIFF_MAX - MEM_ALIGN || mem_refused("alloc"))
		return NULL;

	void *p = allocator()->alloc(whole_lines(size), MEM_ALIGN);

	if (p)
		memset(p, 0, size);
	return p;
}

void mem_free(void *p, size_t size)
{
	if (p)
		allocator()->free(p, whole_lines(size));
}
