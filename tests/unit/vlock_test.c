/* SPDX-License-Identifier: MIT */
/*
 * core/vlock: what a lock's bytes look like from outside, who may have it, and what is found after an owner that is
 * gone. Owners that are gone are forged: a record whose holder is no living process, and a word that names it.
 */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <usermap/helper.h>

#include "core/alloc.h"
#include "core/testpoint.h"
#include "core/vlock.h"
#include "map/map.h"

#define ENTRIES	 4
#define SIZE	 72
#define OFFSET	 36
#define LOCKED	 0x80000000u
#define LOW_BITS 19
#define DEAD	 (7ull << 32 | 3) /* a slot that nobody has held seven times */

static struct usermap *make(enum bpf_map_type type, uint32_t size, uint32_t offset, bool shared)
{
	const struct usermap_opts opts = { .sz = sizeof(opts),
					   .memory = shared ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE,
					   .spin_lock = 1,
					   .spin_lock_off = offset };
	struct usermap *map;

	assert_int_equal(usermap_create(type, "locks", 4, size, ENTRIES, &opts, &map), 0);
	return map;
}

static unsigned char *value_of(struct usermap *map, uint32_t key)
{
	unsigned char *value;

	usermap_read_lock();
	value = usermap_helper_lookup_elem(map, &key);
	usermap_read_unlock();
	assert_non_null(value);
	return value;
}

static struct bpf_spin_lock *lock_of(struct usermap *map, uint32_t key)
{
	return (struct bpf_spin_lock *)(void *)(value_of(map, key) + map->spin_lock_off);
}

static uint32_t word_of(struct usermap *map, uint32_t key)
{
	return lock_of(map, key)->val;
}

static struct record *record_of(struct usermap *map, uint32_t index)
{
	return &map->ops->value_locks(map)->writers->records[index];
}

static void fill(unsigned char *value, uint32_t size, unsigned char seed)
{
	for (uint32_t i = 0; i < size; i++)
		value[i] = (unsigned char)(seed + 7 * i);
}

static void assert_value(const unsigned char *got, unsigned char seed)
{
	unsigned char expected[SIZE];

	fill(expected, SIZE, seed);
	memset(expected + OFFSET, 0, 4);
	assert_memory_equal(got, expected, SIZE);
}

static int update(struct usermap *map, uint32_t key, unsigned char seed, uint64_t flags)
{
	unsigned char value[SIZE];

	fill(value, SIZE, seed);
	return usermap_update_elem(map, &key, value, flags);
}

static int lookup(struct usermap *map, uint32_t key, unsigned char value[SIZE])
{
	memset(value, 0x55, SIZE);
	return usermap_lookup_elem(map, &key, value, BPF_F_LOCK);
}

/* The lock's bytes */

static void check_lookups(struct usermap *map, uint32_t key, const unsigned char *expected, uint32_t size)
{
	unsigned char got[SIZE + 1];
	__u32 next, count = 1;
	__u64 found;

	for (uint64_t flags = 0; flags <= BPF_F_LOCK; flags += BPF_F_LOCK) {
		const struct usermap_batch_opts opts = { .sz = sizeof(opts), .elem_flags = flags };
		__u32 before = key - 1, batch_key;

		memset(got, 0x55, sizeof(got));
		assert_int_equal(usermap_lookup_elem(map, &key, got, flags), 0);
		assert_memory_equal(got, expected, size);
		assert_int_equal(got[size], 0x55);
		if (map->ops->type != BPF_MAP_TYPE_ARRAY)
			continue;
		assert_int_equal(usermap_lookup_batch(map, key ? &before : NULL, &next, &batch_key, got, &count, &opts),
				 0);
		assert_int_equal(batch_key, key);
		assert_memory_equal(got, expected, size);
	}
	assert_int_equal(usermap_lookup_bulk(map, &key, got, 1, &found), 1);
	assert_memory_equal(got, expected, size);
}

/* Every size and place, updates with and without the flag, against an array of bytes. */
static void lock_bytes_are_neither_stored_nor_shown(enum bpf_map_type type, bool shared)
{
	for (unsigned round = 0; round < 100; round++) {
		uint32_t size = 4 + (uint32_t)support_random_below(SIZE - 3);
		uint32_t offset = (uint32_t)support_random_below((size - 4) / 4 + 1) * 4, locked = 0;
		struct usermap *map = make(type, size, offset, shared);
		unsigned char value[SIZE], models[ENTRIES][SIZE] = { 0 };

		for (unsigned i = 0; i < 40; i++) {
			uint32_t key = i < ENTRIES ? i : (uint32_t)support_random_below(ENTRIES);
			bool lock = support_random_below(2);

			for (uint32_t b = 0; b < size; b++)
				value[b] = (unsigned char)support_random();
			assert_int_equal(usermap_update_elem(map, &key, value, lock ? BPF_F_LOCK : 0), 0);
			locked += lock && key == 0;
			memcpy(models[key], value, size);
			memset(models[key] + offset, 0, 4);
			check_lookups(map, key, models[key], size);
		}
		if (type == BPF_MAP_TYPE_ARRAY)
			assert_int_equal(word_of(map, 0), locked); /* free, and so often released */
		usermap_close(map);
	}
}

static void lock_bytes_are_neither_stored_nor_shown_in_arrays(void **state)
{
	(void)state;
	lock_bytes_are_neither_stored_nor_shown(BPF_MAP_TYPE_ARRAY, false);
	lock_bytes_are_neither_stored_nor_shown(BPF_MAP_TYPE_ARRAY, true);
}

static void lock_bytes_are_neither_stored_nor_shown_in_hashes(void **state)
{
	(void)state;
	lock_bytes_are_neither_stored_nor_shown(BPF_MAP_TYPE_HASH, false);
	lock_bytes_are_neither_stored_nor_shown(BPF_MAP_TYPE_HASH, true);
}

/* A map of each kind, with values 1, 2, … under its keys, for what follows. */
static const struct kind {
	enum bpf_map_type type;
	bool shared;
} kinds[] = { { BPF_MAP_TYPE_ARRAY, false },
	      { BPF_MAP_TYPE_ARRAY, true },
	      { BPF_MAP_TYPE_HASH, false },
	      { BPF_MAP_TYPE_HASH, true } };

static void for_each_kind(void (*test)(struct usermap *map), bool shared_alone)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct usermap *map;

		if (shared_alone && !kinds[i].shared)
			continue;
		map = make(kinds[i].type, SIZE, OFFSET, kinds[i].shared);
		for (uint32_t key = 0; key < ENTRIES; key++)
			assert_int_equal(update(map, key, (unsigned char)(key + 1), BPF_F_LOCK), 0);
		test(map);
		usermap_close(map);
	}
}

/* Holders */

static void holder_is_refused(struct usermap *map)
{
	unsigned char value[SIZE];

	assert_int_equal(usermap_helper_spin_lock(lock_of(map, 0)), 0);
	assert_true(word_of(map, 0) & LOCKED);
	assert_int_equal(usermap_helper_spin_lock(lock_of(map, 0)), -EDEADLK);
	assert_int_equal(usermap_helper_spin_lock(lock_of(map, 1)), -EDEADLK);
	assert_int_equal(lookup(map, 0, value), -EDEADLK);
	assert_int_equal(update(map, 0, 9, BPF_F_LOCK), -EDEADLK);
	assert_int_equal(update(map, 1, 9, BPF_F_LOCK), -EDEADLK);
	assert_int_equal(lookup(map, 1, value), 0); /* this one needs no lock */
	assert_value(value, 2);
	assert_int_equal(usermap_helper_spin_unlock(lock_of(map, 1)), -EPERM);
	assert_int_equal(usermap_helper_spin_unlock(lock_of(map, 0)), 0);
	assert_int_equal(usermap_helper_spin_unlock(lock_of(map, 0)), -EPERM);
	assert_int_equal(lookup(map, 0, value), 0);
	assert_value(value, 1);
}

static void a_thread_that_holds_a_lock_gets_no_other_of_the_map(void **state)
{
	(void)state;
	for_each_kind(holder_is_refused, false);
}

static void *unlock_first(void *map)
{
	return (void *)(intptr_t)usermap_helper_spin_unlock(lock_of(map, 0));
}

static void other_thread_is_refused(struct usermap *map)
{
	pthread_t thread;
	void *result;

	assert_int_equal(usermap_helper_spin_lock(lock_of(map, 0)), 0);
	assert_int_equal(pthread_create(&thread, NULL, unlock_first, map), 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -EPERM);
	assert_true(word_of(map, 0) & LOCKED);
	assert_int_equal(usermap_helper_spin_unlock(lock_of(map, 0)), 0);
}

static void only_the_holder_unlocks(void **state)
{
	(void)state;
	for_each_kind(other_thread_is_refused, false);
}

static void addresses_are_told_apart(struct usermap *map)
{
	unsigned char *value = value_of(map, 1);
	struct bpf_spin_lock own = { 0 };

	for (uint32_t at = 0; at < SIZE; at++)
		if (at != OFFSET)
			assert_int_equal(usermap_helper_spin_lock((struct bpf_spin_lock *)(void *)(value + at)),
					 -EINVAL);
	assert_int_equal(usermap_helper_spin_lock(&own), -EINVAL);
	assert_int_equal(usermap_helper_spin_unlock(&own), -EINVAL);
	assert_int_equal(usermap_helper_spin_lock((struct bpf_spin_lock *)(void *)map->region.base - 1), -EINVAL);
	assert_int_equal(
		usermap_helper_spin_lock((struct bpf_spin_lock *)(void *)(map->region.base + map->region.size)),
		-EINVAL);
}

static void what_is_no_lock_is_EINVAL(void **state)
{
	(void)state;
	for_each_kind(addresses_are_told_apart, false);
}

static void locks_of_two_maps_are_held_at_once(void **state)
{
	struct usermap *a = make(BPF_MAP_TYPE_ARRAY, SIZE, OFFSET, false), *b = make(BPF_MAP_TYPE_ARRAY, SIZE, 0, true);

	(void)state;
	assert_int_equal(usermap_helper_spin_lock(lock_of(a, 2)), 0);
	assert_int_equal(usermap_helper_spin_lock(lock_of(b, 3)), 0);
	assert_int_equal(usermap_helper_spin_unlock(lock_of(a, 2)), 0);
	assert_int_equal(usermap_helper_spin_unlock(lock_of(b, 3)), 0);
	usermap_close(a);
	assert_int_equal(usermap_helper_spin_lock(lock_of(b, 3)), 0);
	usermap_close(b);
}

static int refuse_memory(const char *what)
{
	(void)what;
	return 1;
}

/* The spare's memory alone: the thread has its record. */
static void store_without_memory_changes_nothing(void **state)
{
	struct usermap *map = make(BPF_MAP_TYPE_ARRAY, SIZE, OFFSET, false);
	unsigned char value[SIZE];

	(void)state;
	assert_int_equal(update(map, 0, 1, 0), 0);
	assert_int_equal(usermap_helper_spin_lock(lock_of(map, 0)), 0);
	assert_int_equal(usermap_helper_spin_unlock(lock_of(map, 0)), 0);
	usermap_test_fail = refuse_memory;
	assert_int_equal(update(map, 0, 9, BPF_F_LOCK), -ENOMEM);
	usermap_test_fail = NULL;
	assert_int_equal(lookup(map, 0, value), 0);
	assert_value(value, 1);
	assert_int_equal(word_of(map, 0), 2);
	usermap_close(map);
}

/* Owners that are gone */

static void *update_last(void *map)
{
	return (void *)(intptr_t)update(map, ENTRIES - 1, ENTRIES, BPF_F_LOCK);
}

/* A record beside this thread's, which a thread has had and left: never used ones may have no memory. Its number is 1.
 * */
static struct record *second_record(struct usermap *map)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, update_last, map), 0);
	pthread_join(thread, &result);
	assert_null(result);
	assert_int_equal(record_of(map, 1)->holder, 0);
	return record_of(map, 1);
}

static void lock_for(struct usermap *map, uint32_t key, uint32_t record, uint32_t sequence)
{
	lock_of(map, key)->val = LOCKED | record << LOW_BITS | (sequence & ((1u << LOW_BITS) - 1));
}

static uint32_t number_of(struct usermap *map, uint32_t key)
{
	return vlock_at(map->ops->value_locks(map), lock_of(map, key));
}

/* As if record 1's thread had locked value 2 and its process had died; half of the value is new. */
#define SEQUENCE 0x01234567u
static struct record *die_in_store(struct usermap *map, uint32_t redo)
{
	struct record *dead = second_record(map);
	const struct value_locks *l = map->ops->value_locks(map);
	unsigned char half[SIZE];

	dead->holder = DEAD;
	dead->lock = number_of(map, 2);
	dead->lock_sequence = SEQUENCE;
	dead->redo = redo;
	fill(half, SIZE, 9);
	if (redo && redo <= RECORDS) {
		assert_int_equal(
			region_touch(&map->region, (uint64_t)(l->spares - map->region.base), RECORDS * l->stride), 0);
		vlock_copy_in(l, l->spares + (redo - 1) * l->stride, half);
		memcpy(value_of(map, 2), half, OFFSET);
	}
	lock_for(map, 2, 1, SEQUENCE);
	return dead;
}

static void assert_taken_over(struct usermap *map, const struct record *dead, uint32_t sequence)
{
	assert_int_equal(word_of(map, 2), sequence);
	assert_int_equal(dead->lock, 0);
	assert_int_equal(dead->redo, 0);
	assert_int_equal(record_of(map, 0)->lock, 0);
	assert_int_equal(record_of(map, 0)->redo, 0);
}

static void dead_before_store(struct usermap *map)
{
	const struct record *dead = die_in_store(map, 0);
	unsigned char value[SIZE];

	assert_int_equal(lookup(map, 2, value), 0);
	assert_value(value, 3);
	assert_taken_over(map, dead, SEQUENCE + 1);
}

static void a_dead_owner_that_had_stored_nothing_leaves_the_old_value(void **state)
{
	(void)state;
	for_each_kind(dead_before_store, true);
}

static void dead_in_store(struct usermap *map)
{
	/* its own spare, or one of an owner that it had taken the lock over from */
	const uint32_t spares[] = { 2, 100 };

	for (unsigned i = 0; i < ARRAY_SIZE(spares); i++) {
		const struct record *dead = die_in_store(map, spares[i]);
		unsigned char value[SIZE];

		assert_int_equal(lookup(map, 2, value), 0);
		assert_value(value, 9);
		assert_taken_over(map, dead, SEQUENCE + 1);
		assert_int_equal(update(map, 2, 3, BPF_F_LOCK), 0);
		record_of(map, 1)->holder = 0;
	}
}

static void a_dead_owners_store_is_finished(void **state)
{
	(void)state;
	for_each_kind(dead_in_store, true);
}

static void dead_under_writer(struct usermap *map)
{
	const struct record *dead = die_in_store(map, 2);
	unsigned char value[SIZE];

	assert_int_equal(update(map, 2, 5, BPF_F_LOCK), 0);
	assert_taken_over(map, dead, SEQUENCE + 1);
	assert_int_equal(lookup(map, 2, value), 0);
	assert_value(value, 5);
	record_of(map, 1)->holder = 0;
	dead = die_in_store(map, 2);
	assert_int_equal(usermap_helper_spin_lock(lock_of(map, 2)), 0);
	memcpy(value, value_of(map, 2), SIZE);
	memset(value + OFFSET, 0, 4);
	assert_value(value, 9);
	assert_int_equal(usermap_helper_spin_unlock(lock_of(map, 2)), 0);
	assert_taken_over(map, dead, SEQUENCE + 1);
}

static void writers_and_programs_take_over_from_a_dead_owner(void **state)
{
	(void)state;
	for_each_kind(dead_under_writer, true);
}

static void dead_before_reader(struct usermap *map)
{
	const struct usermap_opts opts = { .sz = sizeof(opts), .map_flags = BPF_F_RDONLY };
	struct usermap *reader;
	unsigned char value[SIZE];
	int fd = usermap_get_fd(map);

	assert_true(fd >= 0);
	assert_int_equal(usermap_open_fd(fd, &opts, &reader), 0);
	close(fd);
	assert_int_equal(lookup(reader, 2, value), 0);
	assert_value(value, 3);
	assert_int_equal(usermap_helper_spin_lock(lock_of(reader, 2)), -EPERM);
	die_in_store(map, 2);
	assert_int_equal(lookup(reader, 2, value), -EBUSY);
	assert_int_equal(lookup(map, 2, value), 0);
	assert_int_equal(lookup(reader, 2, value), 0);
	assert_value(value, 9);
	usermap_close(reader);
}

static void a_dead_owner_is_EBUSY_for_who_may_not_write(void **state)
{
	(void)state;
	for_each_kind(dead_before_reader, true);
}

/* Scribbled words and records: whatever they say, nobody waits for ever, and the map goes on. */
static void hostile(struct usermap *map)
{
	const struct {
		uint32_t owner, lock, sequence, redo;
	} rows[] = {
		{ 1, 0, SEQUENCE, 0 },		 /* a record that doesn't speak of the value */
		{ 1, 1, SEQUENCE, 2 },		 /* but of another one */
		{ 0, 0, SEQUENCE, 0 },		 /* this thread's own */
		{ RECORDS - 1, 0, SEQUENCE, 0 }, /* one that was never used */
		{ 1, 3, 0xffffffffu, 0 },	 /* another sequence, too large */
		{ 1, 3, SEQUENCE, RECORDS + 1 }, /* spares that there aren't */
		{ 1, 3, SEQUENCE, UINT32_MAX },
	};

	second_record(map);
	/* never used records may have no memory */
	assert_int_equal(mprotect((unsigned char *)record_of(map, RECORDS) - REGION_PAGE, REGION_PAGE, PROT_NONE), 0);
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct record *record = record_of(map, 1);
		unsigned char value[SIZE];
		uint32_t number = number_of(map, 2);

		record->holder = DEAD;
		record->lock = rows[i / 2].lock == 3 ? number : rows[i / 2].lock ? number_of(map, 0) : 0;
		record->lock_sequence = rows[i / 2].sequence;
		record->redo = rows[i / 2].redo;
		lock_for(map, 2, rows[i / 2].owner, SEQUENCE);
		if (i % 2)
			assert_int_equal(update(map, 2, 3, BPF_F_LOCK), 0);
		assert_int_equal(lookup(map, 2, value), 0);
		assert_value(value, 3);
		assert_false(word_of(map, 2) & LOCKED);
		assert_int_equal(update(map, 0, 1, BPF_F_LOCK), 0);
	}
	record_of(map, 1)->lock = 0;
}

static void no_word_makes_wait_for_ever(void **state)
{
	(void)state;
	for_each_kind(hostile, true);
}

/* This thread's record is scribbled on while it holds a lock: only the map's contents may suffer. */
static void own_record_scribbled_on(struct usermap *map)
{
	const uint32_t wild[] = { 0, ENTRIES + 1000000, UINT32_MAX };
	unsigned char value[SIZE];

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(wild); i++) {
		assert_int_equal(usermap_helper_spin_lock(lock_of(map, 1)), 0);
		if (i % 2) {
			record_of(map, 0)->lock = wild[i / 2];
			assert_int_equal(usermap_helper_spin_unlock(lock_of(map, 1)), -EPERM);
		}
		record_of(map, 0)->redo = wild[i / 2];
		vlock_exit(map->ops->value_locks(map), writer_find(map->ops->value_locks(map)->writers));
		assert_int_equal(record_of(map, 0)->lock, 0);
		record_of(map, 0)->redo = 0;
		assert_int_equal(lookup(map, 1, value), 0); /* the word names a record that doesn't speak of it */
		assert_value(value, 2);
	}
}

static void a_scribbled_record_is_survived(void **state)
{
	(void)state;
	for_each_kind(own_record_scribbled_on, true);
}

/* A thread that ends when it was about to take a lock over, and another one was faster. */
static void exit_without_lock(struct usermap *map)
{
	const struct value_locks *l = map->ops->value_locks(map);
	const struct record *dead = die_in_store(map, 2);
	unsigned char value[SIZE];

	assert_int_equal(update(map, 2, 5, BPF_F_LOCK), 0);
	assert_taken_over(map, dead, SEQUENCE + 1);
	record_of(map, 0)->lock = number_of(map, 2);
	record_of(map, 0)->redo = 2;
	vlock_exit(l, writer_find(l->writers));
	assert_taken_over(map, dead, SEQUENCE + 1);
	assert_int_equal(lookup(map, 2, value), 0);
	assert_value(value, 5);
}

static void who_ends_without_the_lock_stores_nothing(void **state)
{
	(void)state;
	for_each_kind(exit_without_lock, true);
}

/* Readers */

static struct {
	struct usermap *map;
	unsigned reads;
	int result;
} disturber;

/* A writer that is always faster, while it gets the lock. */
static void disturb(enum test_point point)
{
	if (point != TP_DATA)
		return;
	usermap_test_point = NULL;
	disturber.result = update(disturber.map, 0, (unsigned char)++disturber.reads, BPF_F_LOCK);
	usermap_test_point = disturb;
}

static void read_against_writers(struct usermap *map)
{
	unsigned char value[SIZE];

	disturber.map = map;
	disturber.reads = 0;
	usermap_test_point = disturb;
	assert_int_equal(lookup(map, 0, value), 0);
	usermap_test_point = NULL;
	assert_int_equal(disturber.result,
			 -EBUSY); /* inside the operation in which the reader has the lock in the end */
	assert_value(value, (unsigned char)(disturber.reads - 1));
	assert_int_equal(lookup(map, 0, value), 0);
}

/* Arrays: the writer is the reader's own thread, which in a hash map's lookup is inside a search. */
static void a_reader_is_not_kept_out_for_ever(void **state)
{
	struct usermap *map = make(BPF_MAP_TYPE_ARRAY, SIZE, OFFSET, false);

	(void)state;
	read_against_writers(map);
	usermap_close(map);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lock_bytes_are_neither_stored_nor_shown_in_arrays),
		cmocka_unit_test(lock_bytes_are_neither_stored_nor_shown_in_hashes),
		cmocka_unit_test(a_thread_that_holds_a_lock_gets_no_other_of_the_map),
		cmocka_unit_test(only_the_holder_unlocks),
		cmocka_unit_test(what_is_no_lock_is_EINVAL),
		cmocka_unit_test(locks_of_two_maps_are_held_at_once),
		cmocka_unit_test(store_without_memory_changes_nothing),
		cmocka_unit_test(a_dead_owner_that_had_stored_nothing_leaves_the_old_value),
		cmocka_unit_test(a_dead_owners_store_is_finished),
		cmocka_unit_test(writers_and_programs_take_over_from_a_dead_owner),
		cmocka_unit_test(a_dead_owner_is_EBUSY_for_who_may_not_write),
		cmocka_unit_test(no_word_makes_wait_for_ever),
		cmocka_unit_test(a_scribbled_record_is_survived),
		cmocka_unit_test(who_ends_without_the_lock_stores_nothing),
		cmocka_unit_test(a_reader_is_not_kept_out_for_ever),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
