/* SPDX-License-Identifier: MIT */
/*
 * Removed elements that nobody may reuse, because somebody was about to store into them when he stopped, or was
 * killed. They and no others are missing: as many entries as the map may have still find an element each, however few
 * elements make a chain and however many chains have nothing else in them (core/slab.h).
 */
#include "lock_value.h"

#include <errno.h>
#include <string.h>

#include "stop.h"

#define HANG	     30 /* seconds after which what should go on hasn't */
#define FULL	     32 /* entries that the maps may have */
#define MAX_WITHHELD 12
#define FIRST_KEY    1000 /* of those that fill the map */

/* With values of these sizes a chain is one element, or a few. */
static const struct shape {
	enum bpf_map_type type;
	uint32_t value_size;
	uint32_t n_cpus; /* 0: the values have locks */
	unsigned withheld;
} shapes[] = {
	{ BPF_MAP_TYPE_HASH, 20000, 0, 2 },
	{ BPF_MAP_TYPE_HASH, 20000, 0, MAX_WITHHELD },
	{ BPF_MAP_TYPE_HASH, 4000, 0, MAX_WITHHELD },
	{ BPF_MAP_TYPE_PERCPU_HASH, 256, 64, 2 },
	{ BPF_MAP_TYPE_PERCPU_HASH, 256, 64, MAX_WITHHELD },
	{ BPF_MAP_TYPE_PERCPU_HASH, 64, 64, MAX_WITHHELD },
};

#define MAX_BYTES 20000

static size_t value_bytes(const struct shape *shape)
{
	return (size_t)shape->value_size * (shape->n_cpus ? shape->n_cpus : 1);
}

/* In all of the value's bytes but the lock's, which are the first. */
static void fill(unsigned char *value, const struct shape *shape, uint32_t key)
{
	memset(value, (int)(key % 251 + 1), value_bytes(shape));
	if (!shape->n_cpus)
		memset(value, 0, sizeof(struct bpf_spin_lock));
}

static int put(struct usermap *map, const struct shape *shape, uint32_t key, uint64_t flags)
{
	unsigned char value[MAX_BYTES];

	fill(value, shape, key);
	return usermap_update_elem(map, &key, value, flags);
}

static struct usermap *make_shape(const struct shape *shape)
{
	const struct usermap_opts opts = { .sz = sizeof(opts),
					   .memory = USERMAP_MEMORY_SHARED,
					   .n_cpus = shape->n_cpus,
					   .spin_lock = !shape->n_cpus };
	struct usermap *map;

	usermap_test_point = NULL;
	assert_int_equal(usermap_create(shape->type, "withheld", 4, shape->value_size, FULL, &opts, &map), 0);
	return map;
}

/* The map takes as many entries as it may have, and each keeps its value to the end. */
static void fill_and_empty(struct usermap *map, const struct shape *shape)
{
	unsigned char value[MAX_BYTES], expected[MAX_BYTES];

	for (uint32_t i = 0; i < FULL; i++)
		assert_int_equal(put(map, shape, FIRST_KEY + i, BPF_NOEXIST), 0);
	assert_int_equal(put(map, shape, FIRST_KEY + FULL, BPF_NOEXIST), -E2BIG);
	for (uint32_t key = FIRST_KEY; key < FIRST_KEY + FULL; key++) {
		fill(expected, shape, key);
		assert_int_equal(usermap_lookup_elem(map, &key, value, 0), 0);
		assert_memory_equal(value, expected, value_bytes(shape));
		assert_int_equal(usermap_delete_elem(map, &key), 0);
	}
}

/* Removes the entries into which somebody is about to store. */
static void remove_withheld(struct usermap *map, const struct shape *shape)
{
	for (uint32_t key = 0; key < shape->withheld; key++)
		assert_int_equal(usermap_delete_elem(map, &key), 0);
}

static enum test_point place_of_store(const struct shape *shape)
{
	return shape->n_cpus ? TP_STORE : TP_REDO;
}

/* A store into the value of an entry that is there. */
struct store {
	struct stopped thread;
	struct usermap *map;
	const struct shape *shape;
	uint32_t key;
	int result;
};

static void store_in_place(void *argument)
{
	struct store *s = argument;

	s->result = put(s->map, s->shape, s->key, BPF_EXIST | (s->shape->n_cpus ? 0 : BPF_F_LOCK));
}

static void inserts_do_without_what_stopped_threads_store_to(void **state)
{
	(void)state;
	alarm(HANG);
	for (const struct shape *shape = shapes; shape < shapes + ARRAY_SIZE(shapes); shape++) {
		struct usermap *map = make_shape(shape);
		struct store stores[MAX_WITHHELD];

		for (uint32_t key = 0; key < shape->withheld; key++) {
			stores[key] = (struct store){ .map = map, .shape = shape, .key = key };
			assert_int_equal(put(map, shape, key, BPF_NOEXIST), 0);
			assert_true(stop_start(&stores[key].thread, STOP_AT(place_of_store(shape)), 0, store_in_place,
					       &stores[key]));
		}
		remove_withheld(map, shape);
		for (unsigned round = 0; round < 3; round++)
			fill_and_empty(map, shape);
		for (uint32_t key = 0; key < shape->withheld; key++) {
			stop_finish(&stores[key].thread);
			assert_int_equal(stores[key].result, 0); /* just before the delete */
			fill_and_empty(map, shape);
		}
		usermap_close(map);
	}
	alarm(0);
}

static const struct shape *killed_shape;

static int store_the_key(struct usermap *map)
{
	struct store store = { .map = map, .shape = killed_shape, .key = the_key };

	store_in_place(&store);
	return store.result;
}

/* Nobody ever says that these elements can be reused. */
static void inserts_do_without_what_killed_processes_stored_to(void **state)
{
	const uint32_t old_key = the_key;

	(void)state;
	alarm(HANG);
	for (const struct shape *shape = shapes; shape < shapes + ARRAY_SIZE(shapes); shape++) {
		struct usermap *map = make_shape(shape);

		killed_shape = shape;
		for (the_key = 0; the_key < shape->withheld; the_key++) {
			assert_int_equal(put(map, shape, the_key, BPF_NOEXIST), 0);
			killed_at(map, store_the_key, place_of_store(shape), 0);
		}
		remove_withheld(map, shape);
		for (unsigned round = 0; round < 3; round++)
			fill_and_empty(map, shape);
		usermap_close(map);
	}
	the_key = old_key;
	alarm(0);
}

#define MANY 1000 /* inserts, after which an element that can be reused was */

static struct usermap *map_of_one_owner(struct bpf_spin_lock **lock)
{
	struct usermap *map = make((struct kind){ BPF_MAP_TYPE_HASH, true });

	*lock = lock_of(map);
	return map;
}

/* Deletes and inserts the key until it has the element with this lock. */
static void assert_serves_again(struct usermap *map, const struct bpf_spin_lock *lock)
{
	bool again = false;

	for (unsigned i = 0; i < MANY && !again; i++) {
		assert_int_equal(usermap_delete_elem(map, &the_key), 0);
		assert_int_equal(update(map, OLD, 0), 0);
		again = lock_of(map) == lock;
	}
	assert_true(again);
}

/* The first owner was killed in its store, or before it; the others when they had taken the lock over. No record may speak of
 * the element when the last one has finished. */
static void an_element_serves_again_when_its_store_was_finished_at_a_later_attempt(void **state)
{
	static const struct {
		enum test_point point;
		unsigned skip;
		unsigned value; /* afterwards */
	} first[] = { { TP_LOCKED, 0, OLD }, { TP_REDO, 0, NEW }, { TP_COPY, 1, NEW } };
	static const enum test_point later[] = { TP_TAKEN, TP_COPY };

	(void)state;
	alarm(HANG);
	for (unsigned f = 0; f < ARRAY_SIZE(first); f++) {
		/* a taker that has nothing to finish doesn't copy */
		for (unsigned l = 0; l < (first[f].value == OLD ? 1 : ARRAY_SIZE(later)); l++) {
			for (unsigned takers = 1; takers <= 3; takers++) {
				struct bpf_spin_lock *lock;
				struct usermap *map = map_of_one_owner(&lock);

				killed_at(map, store_new, first[f].point, first[f].skip);
				for (unsigned t = 0; t < takers; t++)
					killed_at(map, lock_and_unlock, later[l], 0);
				assert_int_equal(lookup(map, BPF_F_LOCK), first[f].value);
				assert_serves_again(map, lock);
				usermap_close(map);
			}
		}
	}
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inserts_do_without_what_stopped_threads_store_to),
		cmocka_unit_test(inserts_do_without_what_killed_processes_stored_to),
		cmocka_unit_test(an_element_serves_again_when_its_store_was_finished_at_a_later_attempt),
	};

	return cmocka_run_group_tests_name("withheld elements", tests, NULL, NULL);
}
