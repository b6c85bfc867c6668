/* SPDX-License-Identifier: MIT */
/*
 * core/alloc: what mem_alloc promises, and which allocator stands behind it. Each test runs in a child, because the
 * allocator is chosen once a process. Built twice: without jemalloc, and with it (-DWITH_JEMALLOC).
 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <usermap/usermap.h>

#include "core/alloc.h"

#ifdef WITH_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#define EXPECT(condition)                          \
	do {                                       \
		if (!(condition))                  \
			return __LINE__ % 250 + 1; \
	} while (0)

static void run(int (*fn)(void *arg))
{
	assert_int_equal(support_in_child(fn, NULL), 0);
}

static int allocate_all_sizes(void *unused)
{
	(void)unused;
	for (size_t size = 1; size < 5000; size = size * 5 / 4 + 1) {
		unsigned char *p = mem_alloc(size);

		EXPECT(p && (uintptr_t)p % 64 == 0);
		for (size_t i = 0; i < size; i++)
			EXPECT(p[i] == 0);
		memset(p, 0xff, size); /* so that the next one of the size finds it dirty */
		mem_free(p, size);
	}
	mem_free(NULL, 10);
	return 0;
}

static void memory_is_zeroed_and_64_byte_aligned(void **unused)
{
	(void)unused;
	run(allocate_all_sizes);
}

static int allocate_too_much(void *unused)
{
	(void)unused;
	EXPECT(!mem_alloc(SIZE_MAX));
	EXPECT(!mem_alloc(PTRDIFF_MAX));
	return 0;
}

static void exhausted_memory_is_NULL(void **unused)
{
	(void)unused;
	run(allocate_too_much);
}

static int allocate_refused(void *unused)
{
	void *p;

	(void)unused;
	support_fail_nth(2);
	EXPECT((p = mem_alloc(10)) != NULL);
	EXPECT(!mem_alloc(10));
	mem_free(p, 10);
	return 0;
}

static void a_test_can_make_an_allocation_fail(void **unused)
{
	(void)unused;
	run(allocate_refused);
}

/* An allocator of the host's that checks that it gets back what it gave, with the same size. */
static struct {
	void *p;
	size_t size;
} live[8];

static void *host_alloc(size_t size, size_t align)
{
	for (size_t i = 0; i < ARRAY_SIZE(live); i++) {
		if (live[i].p)
			continue;
		live[i].p = aligned_alloc(align, size);
		live[i].size = size;
		memset(live[i].p, 0xff, size);
		return live[i].p;
	}
	return NULL;
}

static void host_free(void *p, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(live); i++) {
		if (live[i].p == p && live[i].size == size) {
			free(p);
			live[i].p = NULL;
			return;
		}
	}
	_Exit(99);
}

static int use_host_allocator(void *unused)
{
	const struct usermap_allocator host = { host_alloc, host_free };
	void *p[9];

	(void)unused;
	EXPECT(usermap_set_allocator(&host) == 0);
	for (size_t i = 0; i < 8; i++) {
		EXPECT((p[i] = mem_alloc(i * 100 + 1)) != NULL);
		EXPECT(live[i].p == p[i] && *(char *)p[i] == 0);
	}
	EXPECT(!mem_alloc(1));
	for (size_t i = 0; i < 8; i++)
		mem_free(p[i], i * 100 + 1);
	for (size_t i = 0; i < 8; i++)
		EXPECT(!live[i].p);
	EXPECT(usermap_set_allocator(&host) == -EBUSY);
	return 0;
}

static void the_hosts_allocator_gets_back_what_it_gave(void **unused)
{
	(void)unused;
	run(use_host_allocator);
}

static int set_half_an_allocator(void *unused)
{
	const struct usermap_allocator only_alloc = { host_alloc, NULL }, only_free = { NULL, host_free };
	const struct usermap_allocator both = { host_alloc, host_free };

	(void)unused;
	EXPECT(usermap_set_allocator(NULL) == -EINVAL);
	EXPECT(usermap_set_allocator(&only_alloc) == -EINVAL);
	EXPECT(usermap_set_allocator(&only_free) == -EINVAL);
	EXPECT(usermap_set_allocator(&both) == 0);
	return 0;
}

static void half_an_allocator_is_EINVAL(void **unused)
{
	(void)unused;
	run(set_half_an_allocator);
}

static int set_allocator_late(void *unused)
{
	const struct usermap_allocator host = { host_alloc, host_free };
	void *p = mem_alloc(1);

	(void)unused;
	EXPECT(p && usermap_set_allocator(&host) == -EBUSY);
	mem_free(p, 1); /* would be 99 if it went to the host's */
	return 0;
}

static void an_allocator_after_the_first_allocation_is_EBUSY(void **unused)
{
	(void)unused;
	run(set_allocator_late);
}

#ifdef WITH_JEMALLOC
static uint64_t jemalloc_counter(const char *name)
{
	uint64_t value = 0;
	size_t length = sizeof(value);

	return mallctl(name, &value, &length, NULL, 0) == 0 ? value : UINT64_MAX;
}

static int ask_jemalloc(void *unused)
{
	uint64_t allocated = jemalloc_counter("thread.allocated"), freed = jemalloc_counter("thread.deallocated");
	void *p = mem_alloc(100000);

	(void)unused;
	EXPECT(p && jemalloc_counter("thread.allocated") - allocated >= 100000);
	mem_free(p, 100000);
	EXPECT(jemalloc_counter("thread.deallocated") - freed >= 100000);
	return 0;
}

static void jemalloc_is_used_where_the_process_has_it(void **unused)
{
	(void)unused;
	run(ask_jemalloc);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_64_byte_aligned),
		cmocka_unit_test(exhausted_memory_is_NULL),
		cmocka_unit_test(a_test_can_make_an_allocation_fail),
		cmocka_unit_test(the_hosts_allocator_gets_back_what_it_gave),
		cmocka_unit_test(half_an_allocator_is_EINVAL),
		cmocka_unit_test(an_allocator_after_the_first_allocation_is_EBUSY),
#ifdef WITH_JEMALLOC
		cmocka_unit_test(jemalloc_is_used_where_the_process_has_it),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
