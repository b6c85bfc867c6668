/* SPDX-License-Identifier: MIT */
/*
 * Rules of values that are more than bytes: with a slot for each CPU, with a spin lock; and of programs, which see them
 * otherwise than commands do. Asked of the live kernel and of the engine alike.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "ask.h"
#include "cpus.h"
#include "crowd.h"
#include "memory.h"

#define SLOT 16u /* of values of 13 bytes */

/* A value of 13 bytes for each CPU, each byte that of its place, and all of them with `tag`. */
static unsigned char *slots(unsigned char tag)
{
	unsigned char *value = need_memory((size_t)SLOT * cpus_possible());

	for (size_t i = 0; i < (size_t)SLOT * cpus_possible(); i++)
		value[i] = (unsigned char)(tag + i);
	return value;
}

static unsigned char *look(const struct helper_map *map, const void *key)
{
	unsigned char *value = need_memory((size_t)SLOT * cpus_possible());

	assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, map->fd, key, value, 0), 0);
	return value;
}

/* Stays on a CPU, and tells which. */
static uint32_t stay(void)
{
	cpus_pin(0);
	return (uint32_t)sched_getcpu();
}

static void percpu_values_are_stored_and_found_with_their_padding(void **state)
{
	static const uint32_t types[] = { ABI_PERCPU_HASH, ABI_PERCPU_ARRAY };
	uint32_t key = 1;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct helper_map map = new_map(types[i], 13, 4, 0, NO_LOCK);
		unsigned char *stored = slots(3), *found;

		assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &key, stored, 0), 0);
		found = look(&map, &key);
		assert_memory_equal(found, stored, (size_t)SLOT * cpus_possible());
		free(stored);
		free(found);
		close(map.fd);
	}
}

static void a_percpu_lookup_over_the_edge_writes_every_byte_that_is_there(void **state)
{
	struct helper_map map = new_map(ABI_PERCPU_HASH, 13, 4, 0, NO_LOCK);
	unsigned char *edge = page_edge(), *stored = slots(1);
	uint32_t key = 1;

	(void)state;
	assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &key, stored, 0), 0);
	for (size_t there = 0; there < (size_t)SLOT * cpus_possible() && there < 256; there++) {
		assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, map.fd, &key, edge - there, 0), -EFAULT);
		assert_memory_equal(edge - there, stored, there);
	}
	free(stored);
	close(map.fd);
}

static void a_percpu_value_may_be_32768_bytes_when_rounded_up(void **state)
{
	static const uint32_t types[] = { ABI_PERCPU_HASH, ABI_PERCPU_ARRAY };
	union abi_attr attr;

	(void)state;
	for (int i = 0; i < 2; i++) {
		close(create(types[i], 4, 32761, 1, 0));
		close(create(types[i], 4, 32768, 1, 0));
		attr = create_attr(types[i], 4, 32769, 1, 0);
		assert_int_equal(ask(ABI_MAP_CREATE, &attr, sizeof(attr)), -E2BIG);
	}
}

static void percpu_maps_take_no_node_but_none(void **state)
{
	static const uint32_t types[] = { ABI_PERCPU_HASH, ABI_PERCPU_ARRAY };

	(void)state;
	for (int i = 0; i < 2; i++) {
		union abi_attr attr = create_attr(types[i], 4, 8, 1, ABI_F_NUMA_NODE);
		int fd;

		assert_int_equal(ask(ABI_MAP_CREATE, &attr, sizeof(attr)), -EINVAL);
		attr.create.numa_node = UINT32_MAX;
		fd = ask(ABI_MAP_CREATE, &attr, sizeof(attr));
		assert_true(fd >= 0);
		close(fd);
	}
}

static void a_program_inserts_for_its_CPU_and_clears_the_others(void **state)
{
	struct helper_map map = new_map(ABI_PERCPU_HASH, 13, 1, 0, NO_LOCK);
	unsigned char *old = slots(1), *found, value[13] = "by a program";
	static const unsigned char none[13];
	uint32_t key = 1, other = 2, here;
	struct helper_call call = { .key = &other, .value = value };

	(void)state;
	/* What the only element held before must not be seen. */
	assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &key, old, 0), 0);
	assert_int_equal(elem(ABI_MAP_DELETE_ELEM, map.fd, &key, NULL, 0), 0);
	here = stay();
	assert_int_equal(help(&map, HELPER_UPDATE, &call), 0);
	found = look(&map, &other);
	for (uint32_t cpu = 0; cpu < cpus_possible(); cpu++)
		assert_memory_equal(found + cpu * SLOT, cpu == here ? value : none, sizeof(none));
	free(old);
	free(found);
	close(map.fd);
}

static void a_program_updates_its_CPUs_slot_without_the_padding(void **state)
{
	static const uint32_t types[] = { ABI_PERCPU_HASH, ABI_PERCPU_ARRAY };
	unsigned char value[13] = "by a program";
	uint32_t key = 1;
	struct helper_call call = { .key = &key, .value = value };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct helper_map map = new_map(types[i], 13, 4, 0, NO_LOCK);
		unsigned char *expected = slots(1), *found;

		assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &key, expected, 0), 0);
		memcpy(expected + stay() * SLOT, value, sizeof(value));
		assert_int_equal(help(&map, HELPER_UPDATE, &call), 0);
		found = look(&map, &key);
		assert_memory_equal(found, expected, (size_t)SLOT * cpus_possible());
		free(expected);
		free(found);
		close(map.fd);
	}
}

static void a_program_finds_the_slots_of_possible_CPUs_only(void **state)
{
	struct helper_map map = new_map(ABI_PERCPU_ARRAY, 13, 4, 0, NO_LOCK);
	unsigned char *stored = slots(1), found[13];
	uint32_t key = 1;
	struct helper_call call = { .key = &key, .out = found };

	(void)state;
	assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &key, stored, 0), 0);
	for (; call.cpu < cpus_possible(); call.cpu++) {
		assert_int_equal(help(&map, HELPER_LOOKUP_PERCPU, &call), 0);
		assert_memory_equal(found, stored + call.cpu * SLOT, sizeof(found));
	}
	assert_int_equal(help(&map, HELPER_LOOKUP_PERCPU, &call), -ENOENT);
	call.cpu = UINT32_MAX;
	assert_int_equal(help(&map, HELPER_LOOKUP_PERCPU, &call), -ENOENT);
	free(stored);
	close(map.fd);
}

static void programs_write_to_frozen_maps(void **state)
{
	struct helper_map map = new_map(ABI_HASH, 8, 4, 0, NO_LOCK);
	uint64_t value = 7, found = 0;
	uint32_t key = 1;
	struct helper_call call = { .key = &key, .value = &value, .out = &found };

	(void)state;
	assert_int_equal(freeze(map.fd), 0);
	assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &key, &value, 0), -EPERM);
	assert_int_equal(help(&map, HELPER_UPDATE, &call), 0);
	assert_int_equal(help(&map, HELPER_LOOKUP, &call), 0);
	assert_int_equal(found, 7);
	assert_int_equal(help(&map, HELPER_DELETE, &call), 0);
	close(map.fd);
}

static void a_walk_counts_the_callback_that_stops_it(void **state)
{
	static const uint32_t types[] = { ABI_HASH, ABI_ARRAY, ABI_PERCPU_HASH, ABI_PERCPU_ARRAY };
	struct helper_call call = { .flags = 0 };

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct helper_map map = new_map(types[i], 8, 5, 0, NO_LOCK);
		uint64_t *value = need_memory(8ul * cpus_possible());

		for (uint32_t key = 0; key < 5; key++)
			assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &key, value, 0), 0);
		call.limit = UINT32_MAX;
		assert_int_equal(help(&map, HELPER_FOR_EACH, &call), 5);
		call.limit = 3;
		assert_int_equal(help(&map, HELPER_FOR_EACH, &call), 3);
		call.flags = 1;
		assert_int_equal(help(&map, HELPER_FOR_EACH, &call), -EINVAL);
		call.flags = 0;
		free(value);
		close(map.fd);
	}
}

static void a_walk_may_delete_the_entry_that_it_is_at(void **state)
{
	struct helper_map map = new_map(ABI_HASH, 8, 64, ABI_F_ZERO_SEED, NO_LOCK);
	struct helper_call call = { .each = EACH_DELETE, .limit = UINT32_MAX };
	uint64_t value = 0;

	(void)state;
	for (uint32_t key = 0; key < 64; key++)
		assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &key, &value, 0), 0);
	assert_int_equal(help(&map, HELPER_FOR_EACH, &call), 64);
	assert_int_equal(help(&map, HELPER_FOR_EACH, &call), 0);
	close(map.fd);
}

static void a_walk_meets_no_entry_twice_that_it_replaces(void **state)
{
	struct helper_map map = new_map(ABI_HASH, 16, 64, ABI_F_ZERO_SEED, NO_LOCK);
	uint64_t value[2] = { 5, 6 };
	struct helper_call call = { .each = EACH_UPDATE, .limit = UINT32_MAX, .value = value };

	(void)state;
	for (uint32_t key = 0; key < 64; key++)
		assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &key, value, 0), 0);
	assert_int_equal(help(&map, HELPER_FOR_EACH, &call), 64);
	close(map.fd);
}

static void the_bytes_of_a_spin_lock_are_zero_whatever_was_stored(void **state)
{
	static const uint32_t types[] = { ABI_HASH, ABI_ARRAY };
	uint32_t key = 1, stored[5] = { 1, 2, 3, 4, 5 }, expected[5] = { 1, 0, 3, 4, 5 }, found[5];
	struct helper_call call = { .key = &key, .value = stored };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct helper_map map = new_map(types[i], sizeof(stored), 4, 0, 4);

		assert_int_equal(help(&map, HELPER_UPDATE, &call), 0);
		for (uint64_t flags = 0; flags < 8; flags += ABI_F_LOCK) {
			assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &key, stored, flags), 0);
			assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, map.fd, &key, found, 0), 0);
			assert_memory_equal(found, expected, sizeof(found));
			memset(found, 0xff, sizeof(found));
			assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, map.fd, &key, found, ABI_F_LOCK), 0);
			assert_memory_equal(found, expected, sizeof(found));
		}
		assert_int_equal(help(&map, HELPER_STORE, &call), 0);
		if (types[i] == ABI_HASH) {
			assert_int_equal(elem(ABI_MAP_LOOKUP_AND_DELETE_ELEM, map.fd, &key, found, ABI_F_LOCK), 0);
			assert_memory_equal(found, expected, sizeof(found));
		}
		close(map.fd);
	}
}

static uint32_t first_key(const struct helper_map *map)
{
	uint32_t key = 0;

	assert_int_equal(elem(ABI_MAP_GET_NEXT_KEY, map->fd, NULL, &key, 0), 0);
	return key;
}

static void F_LOCK_replaces_in_place_and_without_it_the_entry_comes_first(void **state)
{
	struct helper_map map = new_map(ABI_HASH, 8, 64, ABI_F_ZERO_SEED, 0);
	uint32_t *keys = crowd_numbers(4, 64, 64); /* the first bucket has more than one */
	uint32_t value[2] = { 0 }, first, second = 0;

	(void)state;
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &keys[i], value, 0), 0);
	first = first_key(&map);
	assert_int_equal(elem(ABI_MAP_GET_NEXT_KEY, map.fd, &first, &second, 0), 0);
	assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &second, value, ABI_F_LOCK), 0);
	assert_int_equal(first_key(&map), first);
	assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, &second, value, 0), 0);
	assert_int_equal(first_key(&map), second);
	free(keys);
	close(map.fd);
}

static void F_LOCK_without_a_lock_is_EINVAL_before_the_key_and_EEXIST_from_programs(void **state)
{
	struct helper_map map = new_map(ABI_ARRAY, 8, 4, 0, NO_LOCK);
	uint32_t key = 1;
	uint64_t value = 0;
	struct helper_call call = { .key = &key, .value = &value, .flags = 1 | ABI_F_LOCK };

	(void)state;
	assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, map.fd, (void *)8, &value, ABI_F_LOCK), -EINVAL);
	assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, map.fd, (void *)8, &value, 1 | ABI_F_LOCK), -EINVAL);
	assert_int_equal(help(&map, HELPER_UPDATE, &call), -EEXIST);
	call.flags = ABI_F_LOCK;
	assert_int_equal(help(&map, HELPER_UPDATE, &call), -EINVAL);
	close(map.fd);
}

static void maps_with_spin_locks_are_not_frozen(void **state)
{
	struct helper_map map = new_map(ABI_HASH, 8, 4, 0, 4);

	(void)state;
	assert_int_equal(freeze(map.fd), -ABI_ENOTSUPP);
	assert_int_equal(freeze(map.fd), -ABI_ENOTSUPP);
	close(map.fd);
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test(percpu_values_are_stored_and_found_with_their_padding),
		cmocka_unit_test(a_percpu_lookup_over_the_edge_writes_every_byte_that_is_there),
		cmocka_unit_test(a_percpu_value_may_be_32768_bytes_when_rounded_up),
		cmocka_unit_test(percpu_maps_take_no_node_but_none),
		cmocka_unit_test(a_program_inserts_for_its_CPU_and_clears_the_others),
		cmocka_unit_test(a_program_updates_its_CPUs_slot_without_the_padding),
		cmocka_unit_test(a_program_finds_the_slots_of_possible_CPUs_only),
		cmocka_unit_test(programs_write_to_frozen_maps),
		cmocka_unit_test(a_walk_counts_the_callback_that_stops_it),
		cmocka_unit_test(a_walk_may_delete_the_entry_that_it_is_at),
		cmocka_unit_test(a_walk_meets_no_entry_twice_that_it_replaces),
		cmocka_unit_test(the_bytes_of_a_spin_lock_are_zero_whatever_was_stored),
		cmocka_unit_test(F_LOCK_replaces_in_place_and_without_it_the_entry_comes_first),
		cmocka_unit_test(F_LOCK_without_a_lock_is_EINVAL_before_the_key_and_EEXIST_from_programs),
		cmocka_unit_test(maps_with_spin_locks_are_not_frozen),
	};

	return ask_both(rules);
}
