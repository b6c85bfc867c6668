/* SPDX-License-Identifier: MIT */
/*
 * A signal handler between any two instructions of an update: the processor traps after each (TF), and after the n-th the
 * handler inserts into the same map until its thread has no element at hand. It may be told EBUSY. What the update and the
 * handler stored is there afterwards, and no element is in two entries, which shows when the map is filled.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <usermap/usermap.h>

#include "map/hash.h"

#define MAX_ENTRIES 1000u
#define STOPS	    700	  /* of an update; what isn't optimised has more instructions */
#define TRAP_FLAG   0x100 /* of EFLAGS */
#define NEW	    1000000u

enum { PRESENT = 1, ABSENT, HANDLERS };

static struct usermap *map;
static volatile unsigned left; /* instructions to go */
static volatile bool inside, came;
static volatile uint64_t handlers_end;

static int store(uint64_t key, uint64_t value)
{
	return usermap_update_elem(map, &key, &value, BPF_ANY);
}

static uint64_t value_of(uint64_t key)
{
	uint64_t value = 0;

	assert_int_equal(usermap_lookup_elem(map, &key, &value, 0), 0);
	return value;
}

static bool has_element(void)
{
	const struct hash *h = hash_of(map);

	return slab_ready(&thread_writer(h->writers.map_id)->record->elements);
}

static void intrude(void)
{
	came = true;
	while (has_element() && handlers_end < MAX_ENTRIES / 2 && !store(handlers_end, handlers_end))
		handlers_end++;
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];

	(void)sig;
	(void)info;
	*flags &= ~(greg_t)TRAP_FLAG;
	if (left) {
		left--;
		*flags |= TRAP_FLAG;
	} else if (inside) {
		inside = false;
		intrude();
	}
}

static void make(struct usermap_opts opts)
{
	opts.sz = sizeof(opts);
	assert_int_equal(usermap_create(BPF_MAP_TYPE_HASH, "handlers", 8, 8, MAX_ENTRIES, &opts, &map), 0);
	assert_int_equal(store(PRESENT, PRESENT), 0);
	handlers_end = HANDLERS;
	came = false;
}

/* Everything is there, also when every element has been used. */
static void check(uint64_t key)
{
	uint64_t next = NEW + 1;

	while (!store(next, next))
		next++;
	assert_int_equal(value_of(key), NEW);
	if (key == ABSENT)
		assert_int_equal(value_of(PRESENT), PRESENT);
	for (uint64_t i = HANDLERS; i < handlers_end; i++)
		assert_int_equal(value_of(i), i);
	for (uint64_t i = NEW + 1; i < next; i++)
		assert_int_equal(value_of(i), i);
	assert_int_equal(next - NEW - 1 + handlers_end - HANDLERS + 1 + (key == ABSENT), MAX_ENTRIES);
}

/* An update into a map of its own, with the handler after n instructions. How many it took, and a few more. */
static unsigned interrupt_after(unsigned n, struct usermap_opts opts, uint64_t key)
{
	unsigned took;

	make(opts);
	inside = true;
	left = n;
	raise(SIGTRAP);
	assert_int_equal(store(key, NEW), 0);
	inside = false;
	took = n - left;
	left = 0;
	check(key);
	usermap_close(map);
	return took;
}

static void interrupt_anywhere(struct usermap_opts opts, uint64_t key)
{
	unsigned all = interrupt_after(UINT_MAX, opts, key), stride = all / STOPS + 1, stored = 0, stops = 0;

	for (unsigned n = 0; n < all; n += stride) {
		interrupt_after(n, opts, key);
		stored += handlers_end > HANDLERS;
		stops += came;
	}
	print_message("%u instructions; the handler could store after %u of %u\n", all, stored, stops);
	assert_true(stored > 1 && stored < stops);
}

static void reused_at_once(void **state)
{
	(void)state;
	interrupt_anywhere((struct usermap_opts){ .reuse = USERMAP_REUSE_AT_ONCE }, PRESENT);
	interrupt_anywhere((struct usermap_opts){ .reuse = USERMAP_REUSE_AT_ONCE }, ABSENT);
}

static void reused_after_grace_periods(void **state)
{
	(void)state;
	interrupt_anywhere((struct usermap_opts){ .reuse = USERMAP_REUSE_GRACE }, PRESENT);
	interrupt_anywhere((struct usermap_opts){ .reuse = USERMAP_REUSE_GRACE }, ABSENT);
}

static void shared(void **state)
{
	(void)state;
	interrupt_anywhere((struct usermap_opts){ .memory = USERMAP_MEMORY_SHARED }, PRESENT);
	interrupt_anywhere((struct usermap_opts){ .memory = USERMAP_MEMORY_SHARED }, ABSENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reused_at_once),
		cmocka_unit_test(reused_after_grace_periods),
		cmocka_unit_test(shared),
	};
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	sigaction(SIGTRAP, &action, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
