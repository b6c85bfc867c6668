/* SPDX-License-Identifier: MIT */
/*
 * Operations that meet something bad end, and leave nothing behind that stops others: memory refused at an awkward
 * moment, a line that moves under a batch until the batch has to go entry by entry, a thread that ends in the middle of
 * a write. What would never end is broken off by the test.
 */
/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <usermap/usermap.h>

#include "core/alloc.h"
#include "core/reclaim.h"
#include "core/testpoint.h"
#include "map/hash.h"

#define CROWD (LINE_SLOTS + 1) /* entries that need an overflow node */

/* The next key from `key` on that belongs in this bucket of the first line. */
static uint64_t key_of_bucket(const struct usermap *map, uint64_t key, uint32_t bucket)
{
	const struct hash_kind kind = { .key_size = 8 };

	while (hash_target(hash_of(map), &key, kind).bucket != bucket)
		key++;
	return key;
}

/* Inserts CROWD keys, from `key` on, into the first bucket; returns the last, whose entry is in an overflow node. */
static uint64_t crowd_first_bucket(struct usermap *map, uint64_t key, const void *value)
{
	for (unsigned i = 0; i < CROWD; i++, key++) {
		key = key_of_bucket(map, key, 0);
		assert_int_equal(usermap_update_elem(map, &key, value, BPF_NOEXIST), 0);
	}
	return key - 1;
}

/* Memory refused */

#define BIG_ENTRIES  4096
#define BIG_VALUE    2048
#define NODES_WAIT   32
#define MANY_REFUSED 1000 /* an operation that tries more often would try for ever */

static bool refusing;
static unsigned refused;

static int refuse_pages(const char *what)
{
	if (!refusing || (strcmp(what, "populate") != 0 && strcmp(what, "fallocate") != 0))
		return 0;
	return ++refused <= MANY_REFUSED;
}

/* Overflow nodes that wait are a reason to try again only if it's nodes that are missing: elements don't come of it. */
static void update_without_memory_for_elements_is_ENOMEM_while_nodes_wait(void **state)
{
	struct usermap_opts opts = { .sz = sizeof(opts), .map_flags = BPF_F_NO_PREALLOC };
	static const unsigned char value[BIG_VALUE];
	struct usermap *map;
	uint64_t key = 0, in_node;
	int err = 0;

	(void)state;
	assert_int_equal(usermap_create(BPF_MAP_TYPE_HASH, "big", 8, BIG_VALUE, BIG_ENTRIES, &opts, &map), 0);
	in_node = crowd_first_bucket(map, BIG_ENTRIES, value);
	/* the same elements come back after each grace period, so that most of the elements' memory stays untouched */
	for (unsigned i = 0; i < 2000 && slab_waiting(&hash_of(map)->nodes) < NODES_WAIT; i++) {
		assert_int_equal(usermap_delete_elem(map, &in_node), 0);
		assert_int_equal(usermap_update_elem(map, &in_node, value, BPF_NOEXIST), 0);
		if (i % 8 == 0)
			reclaim_wait();
	}
	assert_true(slab_waiting(&hash_of(map)->nodes) >= NODES_WAIT);
	reclaim_wait();

	refused = 0;
	refusing = true;
	usermap_test_fail = refuse_pages;
	for (; key < BIG_ENTRIES - CROWD && !err; key++)
		err = usermap_update_elem(map, &key, value, BPF_NOEXIST);
	refusing = false;
	assert_int_equal(err, -ENOMEM);
	assert_in_range(refused, 1, MANY_REFUSED);
	assert_true(slab_waiting(&hash_of(map)->nodes) > 0);

	key--; /* the one that failed: nothing of it is left, and with memory it succeeds */
	assert_int_equal(usermap_update_elem(map, &key, value, BPF_NOEXIST), 0);
	usermap_test_fail = NULL;
	usermap_close(map);
}

/* A line that moves */

#define SPAN	    1024
#define MAX_CHANGES 24	   /* more than a batch copies in vain before it goes entry by entry */
#define MANY_POINTS 100000 /* a batch that passes more of them with nothing changing would go on for ever */

/* Changes to the line, made at the batch's own test points: another thread that is always faster. */
static struct {
	struct usermap *map;
	unsigned period, until, left; /* a change at each period-th point, `left` more of them */
	unsigned at_rest;	      /* points passed after the last change */
	uint64_t neighbour, newcomer; /* what is replaced, and what the last change inserts */
} mover;

static void move_line(enum test_point point)
{
	uint64_t value = 1;

	if (!mover.left && ++mover.at_rest > MANY_POINTS) {
		usermap_test_point = NULL;
		fail_msg("the batch doesn't end"); /* a lookup on this map holds nothing: it can be left so */
	}
	if (point != TP_DATA || !mover.left || --mover.until)
		return;
	usermap_test_point = NULL;
	mover.until = mover.period;
	mover.left--;
	assert_int_equal(
		usermap_update_elem(mover.map, mover.left ? &mover.neighbour : &mover.newcomer, &value, BPF_ANY), 0);
	usermap_test_point = move_line;
}

static void batch_over_an_empty_bucket(unsigned period, unsigned changes)
{
	uint64_t keys[SPAN], values[SPAN];
	__u32 in = 1, out = 0, count = SPAN;
	int err;

	mover.period = mover.until = period;
	mover.left = changes;
	mover.at_rest = 0;
	usermap_test_point = move_line;
	err = usermap_lookup_batch(mover.map, &in, &out, keys, values, &count, NULL);
	usermap_test_point = NULL;
	assert_int_equal(err, -ENOENT);
	assert_in_range(count, 0, 1);
	if (count) {
		assert_int_equal(mover.left, 0);
		assert_int_equal(keys[0], mover.newcomer);
		assert_int_equal(values[0], 1);
	}
}

/*
 * The first line has an overflow node, its second bucket is empty, and gets an entry at each moment of a batch that
 * begins there: also when the batch, having room for nothing, goes entry by entry already.
 */
static void lookup_batch_ends_when_an_empty_bucket_grows_under_it(void **state)
{
	struct usermap_opts opts = { .sz = sizeof(opts), .memory = USERMAP_MEMORY_SHARED };
	uint64_t value = 0;
	unsigned grown = 0;

	(void)state;
	assert_int_equal(usermap_create(BPF_MAP_TYPE_HASH, "moving", 8, 8, SPAN, &opts, &mover.map), 0);
	mover.neighbour = crowd_first_bucket(mover.map, 0, &value);
	mover.newcomer = key_of_bucket(mover.map, 0, 1);
	for (unsigned period = 1; period <= 4; period++)
		for (unsigned changes = 1; changes <= MAX_CHANGES; changes++) {
			batch_over_an_empty_bucket(period, changes);
			if (!mover.left) {
				grown++;
				assert_int_equal(usermap_delete_elem(mover.map, &mover.newcomer), 0);
			}
			mover.left = 0;
		}
	assert_in_range(grown, MAX_CHANGES, 4 * MAX_CHANGES);
	usermap_close(mover.map);
}

/* A thread that ends */

#define WRITES 1000

static _Thread_local bool ends_at_commit;

static void end_at_commit(enum test_point point)
{
	if (ends_at_commit && point == TP_COMMIT)
		pthread_exit(NULL);
}

static void *end_inside_an_update(void *map)
{
	uint64_t key = 1, value = 1;

	ends_at_commit = true;
	usermap_update_elem(map, &key, &value, BPF_ANY);
	return map; /* not reached */
}

struct writes {
	struct usermap *map;
	int err; /* the first one's that fails */
};

static void *write_often(void *argument)
{
	struct writes *w = argument;
	uint64_t key = 2;

	for (uint64_t i = 0; i < WRITES && !w->err; i++)
		w->err = usermap_update_elem(w->map, &key, &i, BPF_ANY);
	return NULL;
}

/* The thread's record says that an operation is going on: whoever got it next would seem to be a handler that interrupts
 * that operation, and be told -EBUSY. */
static void writes_after_a_thread_ended_inside_one_succeed(void **state)
{
	struct writes w = { .err = 0 };
	uint64_t key = 2, value = 0;
	pthread_t thread;
	void *returned;

	(void)state;
	assert_int_equal(usermap_create(BPF_MAP_TYPE_HASH, "left", 8, 8, 64, NULL, &w.map), 0);
	usermap_test_point = end_at_commit;
	assert_int_equal(pthread_create(&thread, NULL, end_inside_an_update, w.map), 0);
	assert_int_equal(pthread_join(thread, &returned), 0);
	usermap_test_point = NULL;
	assert_null(returned);
	assert_int_equal(pthread_create(&thread, NULL, write_often, &w), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(w.err, 0);
	assert_int_equal(usermap_lookup_elem(w.map, &key, &value, 0), 0);
	assert_int_equal(value, WRITES - 1);
	usermap_close(w.map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(update_without_memory_for_elements_is_ENOMEM_while_nodes_wait),
		cmocka_unit_test(lookup_batch_ends_when_an_empty_bucket_grows_under_it),
		cmocka_unit_test(writes_after_a_thread_ended_inside_one_succeed),
	};

	return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
