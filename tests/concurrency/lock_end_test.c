/* SPDX-License-Identifier: MIT */
/*
 * Operations that meet a locked value and can't wait for its lock: its holder may be waiting for this very thread, or
 * the entry is gone, or a hostile file says that there is a holder. They end, and lookups that fail have done nothing.
 */
#include "lock_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map/hash.h"
#include "stop.h"

#define HANG	  30 /* seconds after which what should end hasn't */
#define MAX_WORDS 128
#define UNTOUCHED 0x6f

/* The caller's buffer */

/* A lookup that is stopped, and then finds that somebody has the lock. */
struct reading {
	struct usermap *map;
	bool holds_other; /* of another key: so it must not wait for this one's */
	uint64_t value[MAX_WORDS];
	int result;
};

static void read_value(void *argument)
{
	struct reading *r = argument;
	uint32_t other = the_key + 1;
	struct bpf_spin_lock *lock = NULL;

	usermap_read_lock();
	if (r->holds_other)
		lock = usermap_helper_lookup_elem(r->map, &other);
	if (lock && usermap_helper_spin_lock(lock))
		abort();
	r->result = usermap_lookup_elem(r->map, &the_key, r->value, BPF_F_LOCK);
	if (lock)
		usermap_helper_spin_unlock(lock);
	usermap_read_unlock();
}

static struct usermap *make_two(struct kind kind, unsigned words)
{
	const struct usermap_opts opts = { .sz = sizeof(opts),
					   .memory = kind.shared ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE,
					   .spin_lock = 1 };
	const uint64_t value[MAX_WORDS] = { [1] = OLD };
	struct usermap *map;

	usermap_test_point = NULL;
	assert_int_equal(usermap_create(kind.type, "two", 4, 8 * words, ENTRIES, &opts, &map), 0);
	for (uint32_t key = the_key; key < the_key + 2; key++)
		assert_int_equal(usermap_update_elem(map, &key, value, 0), 0);
	return map;
}

static void check_buffer(const struct reading *r, unsigned words)
{
	uint64_t untouched[MAX_WORDS];

	memset(untouched, UNTOUCHED, sizeof(untouched));
	assert_memory_equal(r->value + words, untouched + words, sizeof(untouched) - 8 * words);
	if (r->result)
		assert_memory_equal(r->value, untouched, 8 * words);
	else
		assert_int_equal(r->value[1], OLD);
}

/* Stops the lookup at each place where it has read something. While it is stopped the lock is taken, and with `removes`
 * the entry is removed. */
static void meet_holder(struct kind kind, unsigned words, bool removes)
{
	unsigned failed = 0;
	bool stopped = true;

	for (unsigned skip = 0; stopped; skip++) {
		struct usermap *map = make_two(kind, words);
		struct reading r = { .map = map, .holds_other = !removes };
		struct stopped thread;
		struct bpf_spin_lock *lock;

		memset(r.value, UNTOUCHED, sizeof(r.value));
		usermap_read_lock();
		lock = usermap_helper_lookup_elem(map, &the_key);
		stopped = stop_start(&thread, STOP_AT(TP_DATA), skip, read_value, &r);
		if (stopped)
			assert_int_equal(usermap_helper_spin_lock(lock), 0);
		if (stopped && removes)
			assert_int_equal(usermap_delete_elem(map, &the_key), 0);
		stop_finish(&thread);
		if (stopped)
			assert_int_equal(usermap_helper_spin_unlock(lock), 0);
		usermap_read_unlock();
		if (r.result)
			assert_int_equal(r.result, removes ? -ENOENT : -EDEADLK);
		check_buffer(&r, words);
		failed += r.result != 0;
		usermap_close(map);
	}
	assert_true(failed > 0);
}

static void a_lookup_that_fails_leaves_the_callers_buffer_alone(void **state)
{
	static const unsigned words[] = { WORDS,
					  MAX_WORDS }; /* the second: more than a lookup has room for on its stack */

	(void)state;
	alarm(HANG);
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (unsigned w = 0; w < ARRAY_SIZE(words); w++) {
			meet_holder(kinds[k], words[w], false);
			if (kinds[k].type == BPF_MAP_TYPE_HASH)
				meet_holder(kinds[k], words[w], true);
		}
	}
	alarm(0);
}

/* Hostile files */

/* The key's slot gets an index that is no element's. What is read in its stead, element 0, says that it is this key's,
 * and locked by record 0: of a thread that lives, and has no lock, which is written as 0, too. */
static void spoil(struct usermap *map, uint32_t index)
{
	const struct hash_kind kind = { .key_size = 4, .locked = true };
	struct hash *h = hash_of(map);
	struct hash_target t = hash_target(h, &the_key, kind);
	struct object *nobodys = slab_object(&h->elements, 0);
	struct hash_place place;

	assert_true(hash_find(h, &t, &the_key, &place, NULL, kind));
	memcpy(element_key(nobodys), element_key(place.element), h->key_stride);
	*(uint32_t *)(void *)(element_value(h, nobodys, kind) + 8 * LOCK_WORD) = UINT32_C(1) << 31;
	atomic_store(&t.line->index[place.slot], index);
}

static int64_t look(struct usermap *map)
{
	return lookup(map, 0);
}

static int64_t look_locked(struct usermap *map)
{
	return lookup(map, BPF_F_LOCK);
}

static int64_t store(struct usermap *map)
{
	return store_new(map);
}

static int64_t hold(struct usermap *map)
{
	return usermap_helper_spin_lock(lock_of(map));
}

static int64_t look_all(struct usermap *map)
{
	uint64_t values[ENTRIES][WORDS];
	uint32_t keys[ENTRIES], out;
	__u32 count = ENTRIES;

	return usermap_lookup_batch(map, NULL, &out, keys, values, &count, NULL);
}

static int64_t take(struct usermap *map)
{
	uint64_t value[WORDS];

	return usermap_lookup_and_delete_elem(map, &the_key, value, 0);
}

static void no_operation_waits_for_the_lock_of_an_element_that_there_isnt(void **state)
{
	static int64_t (*const operations[])(struct usermap * map) = { look, look_locked, store, hold, look_all, take };
	static const uint32_t indexes[] = { 0, UINT32_MAX };

	(void)state;
	alarm(HANG);
	for (unsigned o = 0; o < ARRAY_SIZE(operations); o++) {
		for (unsigned i = 0; i < ARRAY_SIZE(indexes); i++) {
			struct usermap *map = make((struct kind){ BPF_MAP_TYPE_HASH, true });

			spoil(map, indexes[i]);
			assert_true(operations[o](map) <= 0); /* no number of a whole value */
			usermap_close(map);
		}
	}
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lookup_that_fails_leaves_the_callers_buffer_alone),
		cmocka_unit_test(no_operation_waits_for_the_lock_of_an_element_that_there_isnt),
	};

	return cmocka_run_group_tests_name("ends without a lock", tests, NULL, NULL);
}
