/* SPDX-License-Identifier: MIT */
/*
 * LRU maps: the rules by which entries go, each shown on a map so small that one can follow.
 * That all of them together make the kernel's choice is lru_identity's to show (tests/semantics).
 *
 * Elements are kept by CPUs, so every act says on which CPU it runs. Where there are at least two CPUs, a map of 4
 * entries evicts one at a time.
 */
#include <sched.h>

#include "../semantics/cpus.h"
#include "../semantics/kernel_helper.h"
#include "../semantics/map_helper.h"
#include "rows.h"

#define CPUS_MAX   4096u
#define KEYS_MAX   256u
#define NO_COMMON  ABI_F_NO_COMMON_LRU
#define NOEXIST	   1u
#define LOOKUP	   ABI_MAP_LOOKUP_ELEM
#define TAKE_BATCH ABI_MAP_LOOKUP_AND_DELETE_BATCH

/* -- maps of 4-byte keys and 8-byte values; of per-CPU types the value of slot n is that of slot 0 and n more -- */

struct lru {
	abi_bpf bpf;
	const struct helper_face *helpers;
	void *programs;
	int fd;
	uint32_t slots;
};

static struct lru lru_open(abi_bpf bpf, uint32_t type, uint32_t max_entries, uint32_t flags)
{
	union abi_attr attr = { .create = { .map_type = type,
					    .key_size = 4,
					    .value_size = 8,
					    .max_entries = max_entries,
					    .map_flags = flags } };
	struct helper_map shape = { .create = attr.create, .lock_off = NO_LOCK };
	struct lru lru = { .bpf = bpf, .helpers = bpf == kernel_bpf ? &kernel_helpers : &engine_helpers };

	shape.fd = lru.fd = (int)call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));
	assert_true(lru.fd >= 0);
	shape.create.max_entries = KEYS_MAX; /* what a walk may give */
	lru.programs = lru.helpers->open(&shape);
	lru.slots = type == ABI_LRU_PERCPU_HASH ? cpus_possible() : 1;
	cpus_pin(0);
	return lru;
}

static void lru_close(struct lru *lru)
{
	lru->helpers->close(lru->programs);
	close(lru->fd);
}

static long element(const struct lru *lru, int cmd, uint32_t key, void *value, uint64_t flags)
{
	union abi_attr attr = {
		.elem = { .map_fd = (uint32_t)lru->fd, .key = address(&key), .value = address(value), .flags = flags }
	};

	return call(lru->bpf, cmd, &attr, sizeof(attr));
}

/* An update by command. */
static long put(const struct lru *lru, uint32_t key, uint64_t flags)
{
	static uint64_t value[CPUS_MAX];

	for (uint32_t slot = 0; slot < lru->slots; slot++)
		value[slot] = key * 10 + slot;
	return element(lru, ABI_MAP_UPDATE_ELEM, key, value, flags);
}

static void put_all(const struct lru *lru, uint32_t first, uint32_t last)
{
	for (uint32_t key = first; key <= last; key++)
		assert_int_equal(put(lru, key, 0), 0);
}

static long program_put(const struct lru *lru, uint32_t key, uint64_t value, uint64_t flags)
{
	const struct helper_call program = { .key = &key, .value = &value, .flags = flags };

	return lru->helpers->call(lru->programs, HELPER_UPDATE, &program);
}

static const uint64_t *get(const struct lru *lru, uint32_t key)
{
	static uint64_t value[CPUS_MAX];

	return element(lru, LOOKUP, key, value, 0) == 0 ? value : NULL;
}

static bool has(const struct lru *lru, uint32_t key)
{
	return get(lru, key) != NULL;
}

static uint32_t count(const struct lru *lru)
{
	uint32_t n = 0;

	for (uint32_t key = 0; key < KEYS_MAX; key++)
		n += has(lru, key);
	return n;
}

static const uint32_t types[] = { ABI_LRU_HASH, ABI_LRU_PERCPU_HASH };

#define for_each_type(type) for (uint32_t i_ = 0, type = types[0]; i_ < 2; type = types[++i_ % 2])

static void need_cpus(uint32_t usable)
{
	if (cpus_usable() < usable) {
		print_message("needs %u CPUs\n", usable);
		skip();
	}
}

/* A map of 4, full of keys 1 to 4. A take evicts the oldest. */
static struct lru full_of_4(abi_bpf bpf, uint32_t type)
{
	struct lru lru;

	if (cpus_possible() < 2)
		skip(); /* evicts two */
	lru = lru_open(bpf, type, 4, 0);
	put_all(&lru, 1, 4);
	assert_int_equal(count(&lru), 4);
	return lru;
}

/* -- which entries go -- */

static void oldest_goes(abi_bpf bpf)
{
	for_each_type(type)
	{
		struct lru lru = full_of_4(bpf, type);

		assert_int_equal(put(&lru, 5, 0), 0);
		assert_true(!has(&lru, 1) && count(&lru) == 4);
		assert_int_equal(program_put(&lru, 6, 60, 0), 0);
		assert_true(!has(&lru, 2) && count(&lru) == 4);
		lru_close(&lru);
	}
}

/* The element is taken, and so somebody evicted, before the key is looked up. */
static void failing_noexist(abi_bpf bpf)
{
	for_each_type(type)
	{
		struct lru lru = full_of_4(bpf, type);

		assert_int_equal(put(&lru, 4, NOEXIST), -EEXIST);
		assert_true(!has(&lru, 1) && count(&lru) == 3);
		assert_int_equal(*get(&lru, 4), 40);
		assert_int_equal(program_put(&lru, 4, 0, NOEXIST), -EEXIST); /* has the element that was given back */
		assert_int_equal(count(&lru), 3);
		lru_close(&lru);
	}
}

static void failing_exist(abi_bpf bpf)
{
	struct lru lru = full_of_4(bpf, ABI_LRU_HASH);

	assert_int_equal(put(&lru, 9, ABI_EXIST), -ENOENT);
	assert_true(!has(&lru, 1) && !has(&lru, 9) && count(&lru) == 3);
	lru_close(&lru);
	lru = full_of_4(bpf, ABI_LRU_HASH);
	assert_int_equal(program_put(&lru, 9, 0, ABI_EXIST), -ENOENT);
	assert_true(!has(&lru, 1) && !has(&lru, 9) && count(&lru) == 3);
	lru_close(&lru);
}

static void percpu_exist(abi_bpf bpf)
{
	struct lru lru = full_of_4(bpf, ABI_LRU_PERCPU_HASH);

	assert_int_equal(put(&lru, 9, ABI_EXIST), -ENOENT);
	assert_int_equal(program_put(&lru, 9, 0, ABI_EXIST), -ENOENT);
	assert_int_equal(put(&lru, 1, ABI_EXIST), 0);
	assert_int_equal(program_put(&lru, 1, 0, ABI_EXIST), 0);
	assert_int_equal(count(&lru), 4);
	lru_close(&lru);
}

static void bad_flags(abi_bpf bpf)
{
	static const uint64_t flags[] = { 3, ABI_F_LOCK, 8, 99, 1ull << 32, UINT64_MAX };

	for_each_type(type)
	{
		struct lru lru = full_of_4(bpf, type);

		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
			assert_int_equal(put(&lru, 9, flags[i]), -EINVAL);
			assert_int_equal(program_put(&lru, 9, 0, flags[i]), -EINVAL);
		}
		assert_int_equal(count(&lru), 4);
		lru_close(&lru);
	}
}

static void replacing_evicts(abi_bpf bpf)
{
	for_each_type(type)
	{
		struct lru lru = full_of_4(bpf, type);

		assert_int_equal(put(&lru, 4, 0), 0);
		assert_true(!has(&lru, 1) && count(&lru) == 3);
		assert_int_equal(put(&lru, 5, 0), 0); /* in what the update gave back */
		assert_int_equal(count(&lru), 4);
		lru_close(&lru);
	}
}

static void exist_on_the_only_key(abi_bpf bpf)
{
	struct lru lru = lru_open(bpf, ABI_LRU_HASH, 1, 0);

	put_all(&lru, 7, 7);
	assert_int_equal(put(&lru, 7, ABI_EXIST), -ENOENT);
	assert_int_equal(count(&lru), 0);
	lru_close(&lru);
}

static void noexist_on_the_only_key(abi_bpf bpf)
{
	for_each_type(type)
	{
		struct lru lru = lru_open(bpf, type, 1, 0);

		put_all(&lru, 7, 7);
		assert_int_equal(program_put(&lru, 7, 99, NOEXIST), 0);
		assert_true(count(&lru) == 1 && *get(&lru, 7) == 99);
		assert_int_equal(put(&lru, 7, NOEXIST), 0);
		assert_true(count(&lru) == 1 && *get(&lru, 7) == 70);
		lru_close(&lru);
	}
}

/* The key's own entry is evicted, and the key comes as a new one. */
static void other_slots_become_zero(abi_bpf bpf)
{
	struct lru lru = lru_open(bpf, ABI_LRU_PERCPU_HASH, 1, 0);
	uint32_t cpu;

	for (uint32_t n = 0; n < cpus_usable(); n++) {
		cpus_pin(n);
		cpu = (uint32_t)sched_getcpu();
		put_all(&lru, 7, 7);
		assert_int_equal(program_put(&lru, 7, 77, 0), 0);
		for (uint32_t slot = 0; slot < lru.slots; slot++)
			assert_int_equal(get(&lru, 7)[slot], slot == cpu ? 77 : 0);
	}
	lru_close(&lru);
}

static void other_slots_stay(abi_bpf bpf)
{
	struct lru lru = full_of_4(bpf, ABI_LRU_PERCPU_HASH);
	uint32_t cpu = (uint32_t)sched_getcpu();

	assert_int_equal(program_put(&lru, 4, 77, 0), 0);
	assert_int_equal(program_put(&lru, 3, 77, ABI_EXIST), 0);
	for (uint32_t key = 3; key <= 4; key++)
		for (uint32_t slot = 0; slot < lru.slots; slot++)
			assert_int_equal(get(&lru, key)[slot], slot == cpu ? 77 : key * 10 + slot);
	lru_close(&lru);
}

static void another_cpus_pending(abi_bpf bpf)
{
	need_cpus(2);
	for_each_type(type)
	{
		struct lru lru = lru_open(bpf, type, 1, 0);

		for (uint32_t key = 1; key < 10; key++) {
			cpus_pin(key);
			put_all(&lru, key, key);
			assert_true(has(&lru, key) && count(&lru) == 1);
		}
		lru_close(&lru);
	}
}

static void many_go_at_once(abi_bpf bpf)
{
	need_cpus(2);
	if (cpus_possible() != 2)
		skip();
	for_each_type(type)
	{
		struct lru lru = lru_open(bpf, type, 100, 0);

		put_all(&lru, 1, 60);
		cpus_pin(1);
		put_all(&lru, 61, 120);
		assert_int_equal(count(&lru), 70);
		lru_close(&lru);
	}
}

static void never_more(abi_bpf bpf)
{
	for_each_type(type)
	{
		for (uint32_t max = 1; max < 40; max += 1 + max / 3) {
			struct lru lru = lru_open(bpf, type, max, 0);

			for (uint32_t key = 0; key < 3 * max; key++) {
				cpus_pin(key / 7);
				put_all(&lru, key, key);
				assert_true(has(&lru, key) && count(&lru) <= max);
			}
			lru_close(&lru);
		}
	}
}

static void deleted_makes_room(abi_bpf bpf)
{
	for_each_type(type)
	{
		struct lru lru = full_of_4(bpf, type);

		assert_int_equal(element(&lru, ABI_MAP_DELETE_ELEM, 2, NULL, 0), 0);
		put_all(&lru, 5, 5);
		assert_true(has(&lru, 1) && count(&lru) == 4);
		lru_close(&lru);
	}
}

static void batch_larger_than_the_map(abi_bpf bpf)
{
	static uint64_t values[10 * CPUS_MAX];
	uint32_t keys[10];

	for_each_type(type)
	{
		struct lru lru = lru_open(bpf, type, 4, 0);
		union abi_attr attr = { .batch = { .keys = address(keys),
						   .values = address(values),
						   .count = 10,
						   .map_fd = (uint32_t)lru.fd } };

		for (uint32_t i = 0; i < 10; i++)
			keys[i] = i;
		assert_int_equal(call(bpf, ABI_MAP_UPDATE_BATCH, &attr, sizeof(attr)), 0);
		assert_int_equal(attr.batch.count, 10);
		assert_true(has(&lru, 9) && count(&lru) <= 4);
		lru_close(&lru);
	}
}

/* -- without common lists -- */

static uint32_t max_entries_of(const struct lru *lru)
{
	uint32_t fields[26] = { 0 };
	union abi_attr attr = {
		.info = { .bpf_fd = (uint32_t)lru->fd, .info_len = sizeof(fields), .info = address(fields) }
	};

	assert_int_equal(call(lru->bpf, ABI_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
	assert_int_equal(fields[5] & NO_COMMON, NO_COMMON);
	return fields[4];
}

static void rounded_up(abi_bpf bpf)
{
	uint32_t cpus = cpus_possible();

	for_each_type(type)
	{
		for (uint32_t max = 1; max <= 9; max++) {
			struct lru lru = lru_open(bpf, type, max, NO_COMMON);

			assert_int_equal(max_entries_of(&lru), (max + cpus - 1) / cpus * cpus);
			lru_close(&lru);
		}
	}
}

static void share_only(abi_bpf bpf)
{
	need_cpus(2);
	for_each_type(type)
	{
		struct lru lru = lru_open(bpf, type, 4 * cpus_possible(), NO_COMMON);

		put_all(&lru, 1, 4);
		assert_int_equal(count(&lru), 4);
		cpus_pin(1);
		put_all(&lru, 5, 100);
		assert_true(has(&lru, 100) && count(&lru) <= 8);
		for (uint32_t key = 1; key <= 4; key++)
			assert_true(has(&lru, key)); /* the other CPU's are left alone */
		lru_close(&lru);
	}
}

/* With a share of one, an update of the only key evicts it, whatever other CPUs have. */
static void share_of_one(abi_bpf bpf)
{
	need_cpus(2);
	struct lru lru = lru_open(bpf, ABI_LRU_HASH, cpus_possible(), NO_COMMON);

	put_all(&lru, 1, 1);
	cpus_pin(1);
	put_all(&lru, 2, 2);
	assert_int_equal(put(&lru, 1, ABI_EXIST), 0);
	assert_true(has(&lru, 1) && !has(&lru, 2));
	assert_int_equal(put(&lru, 1, ABI_EXIST), -ENOENT);
	assert_int_equal(count(&lru), 0);
	lru_close(&lru);
}

/* -- what counts as a use -- */

static void by_lookup(const struct lru *lru)
{
	assert_non_null(get(lru, 1));
}

static void by_next_key(const struct lru *lru)
{
	uint32_t next;

	for (uint32_t key = 0; key <= 5; key++)
		element(lru, ABI_MAP_GET_NEXT_KEY, key, &next, 0);
}

static void by_batch(const struct lru *lru)
{
	static uint64_t values[4 * CPUS_MAX];
	uint32_t keys[4], token;
	union abi_attr attr = { .batch = { .out_batch = address(&token),
					   .keys = address(keys),
					   .values = address(values),
					   .count = 4,
					   .map_fd = (uint32_t)lru->fd } };

	assert_int_equal(call(lru->bpf, ABI_MAP_LOOKUP_BATCH, &attr, sizeof(attr)), -ENOENT);
	assert_int_equal(attr.batch.count, 4);
}

static long program(const struct lru *lru, enum helper helper, uint32_t cpu)
{
	uint64_t out[2 * KEYS_MAX];
	uint32_t key = 1;
	const struct helper_call arguments = { .key = &key, .out = out, .cpu = cpu, .limit = 99, .room = KEYS_MAX };

	return lru->helpers->call(lru->programs, helper, &arguments);
}

static void by_for_each(const struct lru *lru)
{
	assert_int_equal(program(lru, HELPER_FOR_EACH, 0), 4);
}

static void by_program_lookup(const struct lru *lru)
{
	assert_int_equal(program(lru, HELPER_LOOKUP, 0), 0);
}

static void by_lookup_of_first_cpu(const struct lru *lru)
{
	assert_int_equal(program(lru, HELPER_LOOKUP_PERCPU, 0), 0);
}

static void by_lookup_of_last_cpu(const struct lru *lru)
{
	assert_int_equal(program(lru, HELPER_LOOKUP_PERCPU, cpus_possible() - 1), 0);
}

static void by_lookup_of_no_cpu(const struct lru *lru)
{
	assert_int_equal(program(lru, HELPER_LOOKUP_PERCPU, cpus_possible()), -ENOENT);
}

static void by_update_in_place(const struct lru *lru)
{
	assert_int_equal(put(lru, 1, ABI_EXIST), 0);
}

static void by_program_update_in_place(const struct lru *lru)
{
	assert_int_equal(program_put(lru, 1, 10, ABI_EXIST), 0);
}

struct use_row {
	const char *name;
	void (*use)(const struct lru *lru);
	bool counts;
	bool percpu_only;
};

static const struct use_row use_rows[] = {
	{ "lookup_by_command_is_no_use", by_lookup, false, false },
	{ "next_key_is_no_use", by_next_key, false, false },
	{ "lookup_batch_is_no_use", by_batch, false, false },
	{ "for_each_is_no_use", by_for_each, false, false },
	{ "lookup_by_program_is_a_use", by_program_lookup, true, false },
	{ "lookup_of_the_first_cpus_slot_is_a_use", by_lookup_of_first_cpu, true, true },
	{ "lookup_of_the_last_cpus_slot_is_a_use", by_lookup_of_last_cpu, true, true },
	{ "lookup_of_an_absent_cpus_slot_is_no_use", by_lookup_of_no_cpu, false, true },
	{ "update_in_place_is_a_use", by_update_in_place, true, true },
	{ "update_in_place_by_program_is_a_use", by_program_update_in_place, true, true },
};

/* Key 1 is the oldest: it stays if it was used, and then key 2 goes in its place. */
static void use(void **state)
{
	const struct row_test *test = *state;
	const struct use_row *row = test->row;

	for (uint32_t i = row->percpu_only; i < 2; i++) {
		struct lru lru = full_of_4(test->bpf, types[i]);

		row->use(&lru);
		put_all(&lru, 5, 5);
		assert_int_equal(has(&lru, 1), row->counts);
		assert_int_equal(has(&lru, 2), !row->counts);
		lru_close(&lru);
	}
}

/* One key that is updated all the time outlives any number of new ones: the new element counts as used. */
static void replacing_is_a_use(abi_bpf bpf)
{
	struct lru lru = lru_open(bpf, ABI_LRU_HASH, 16, 0);

	put_all(&lru, 0, 0);
	for (uint32_t key = 1; key < KEYS_MAX; key++) {
		put_all(&lru, key, key);
		assert_int_equal(put(&lru, 0, ABI_EXIST), 0);
	}
	lru_close(&lru);
}

static void all_are_used(abi_bpf bpf)
{
	for_each_type(type)
	{
		struct lru lru = full_of_4(bpf, type);

		for (uint32_t key = 1; key <= 4; key++) {
			uint64_t out;
			const struct helper_call lookup = { .key = &key, .out = &out };

			assert_int_equal(lru.helpers->call(lru.programs, HELPER_LOOKUP, &lookup), 0);
		}
		put_all(&lru, 5, 5);
		assert_true(has(&lru, 5) && count(&lru) == 4); /* one goes all the same */
		lru_close(&lru);
	}
}

static void take_batch(abi_bpf bpf)
{
	static uint64_t values[4 * CPUS_MAX];

	for_each_type(type)
	{
		uint32_t keys[4], token;
		struct lru lru = full_of_4(bpf, type);
		union abi_attr attr = { .batch = { .out_batch = address(&token),
						   .keys = address(keys),
						   .values = address(values),
						   .count = 4,
						   .map_fd = (uint32_t)lru.fd } };

		assert_int_equal(call(bpf, TAKE_BATCH, &attr, sizeof(attr)), -ENOENT);
		assert_true(attr.batch.count == 4 && count(&lru) == 0);
		for (uint32_t i = 0; i < 4; i++)
			for (uint32_t slot = 0; slot < lru.slots; slot++)
				assert_int_equal(values[i * lru.slots + slot], keys[i] * 10 + slot);
		put_all(&lru, 11, 14);
		assert_int_equal(count(&lru), 4);
		lru_close(&lru);
	}
}

/* -- for another number of CPUs than the machine's: native maps -- */

static struct usermap *native_map(uint32_t max_entries, uint32_t flags, uint32_t n_cpus)
{
	struct usermap_opts opts = { .sz = sizeof(opts), .map_flags = flags, .n_cpus = n_cpus };
	struct usermap *map;

	assert_int_equal(usermap_create(BPF_MAP_TYPE_LRU_HASH, NULL, 4, 8, max_entries, &opts, &map), 0);
	return map;
}

static uint32_t native_fill(struct usermap *map, uint32_t first, uint32_t last)
{
	struct usermap_info info = { .sz = sizeof(info) };
	uint64_t value = 0;

	for (uint32_t key = first; key <= last; key++)
		assert_int_equal(usermap_update_elem(map, &key, &value, 0), 0);
	assert_int_equal(usermap_get_info(map, &info), 0);
	return (uint32_t)info.count;
}

static void a_refill_evicts_by_the_number_of_cpus_that_the_map_is_for(void **state)
{
	static const struct {
		uint32_t n_cpus, left; /* of 100, when one more comes: a refill evicts 100 / n_cpus / 2 */
	} rows[] = {
		{ 1, 51 }, { 2, 76 }, { 5, 91 }, { 10, 96 }, { 25, 99 }, { 50, 100 }, { 100, 100 }, { 1000, 100 }
	};

	(void)state;
	cpus_pin(0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct usermap *map = native_map(100, 0, rows[i].n_cpus);

		assert_int_equal(native_fill(map, 1, 100), 100);
		assert_int_equal(native_fill(map, 101, 101), rows[i].left);
		usermap_close(map);
	}
}

static void a_map_of_100_for_2_cpus_holds_70_after_120_inserts(void **state)
{
	struct usermap *map = native_map(100, 0, 2);

	(void)state;
	need_cpus(2);
	cpus_pin(0);
	native_fill(map, 1, 60);
	cpus_pin(1);
	assert_int_equal(native_fill(map, 61, 120), 70);
	usermap_close(map);
}

static void no_common_rounds_and_shares_by_the_number_of_cpus_that_the_map_is_for(void **state)
{
	(void)state;
	cpus_pin(0);
	for (uint32_t n_cpus = 1; n_cpus <= 9; n_cpus++) {
		struct usermap *map = native_map(10, BPF_F_NO_COMMON_LRU, n_cpus);
		struct usermap_info info = { .sz = sizeof(info) };
		uint32_t rounded = (10 + n_cpus - 1) / n_cpus * n_cpus;

		assert_int_equal(usermap_get_info(map, &info), 0);
		assert_int_equal(info.max_entries, rounded);
		assert_int_equal(native_fill(map, 1, rounded / n_cpus), rounded / n_cpus);
		assert_in_range(native_fill(map, 50, 99), 1, rounded / n_cpus);
		usermap_close(map);
	}
}

static const struct act_row acts[] = {
	{ "insert_into_a_full_map_evicts_the_oldest", oldest_goes },
	{ "failing_noexist_on_a_full_map_evicts", failing_noexist },
	{ "failing_exist_on_a_full_map_evicts", failing_exist },
	{ "percpu_exist_never_evicts", percpu_exist },
	{ "bad_flags_evict_nobody", bad_flags },
	{ "replacing_in_a_full_map_evicts_another", replacing_evicts },
	{ "exist_on_the_only_key_of_a_map_of_1_is_ENOENT_and_empties_it", exist_on_the_only_key },
	{ "noexist_on_the_only_key_of_a_map_of_1_is_fine", noexist_on_the_only_key },
	{ "program_update_of_the_only_key_makes_other_slots_zero", other_slots_become_zero },
	{ "program_update_in_place_leaves_other_slots", other_slots_stay },
	{ "a_cpu_that_has_none_steals_from_another", another_cpus_pending },
	{ "map_of_100_on_2_cpus_holds_70_after_120_inserts", many_go_at_once },
	{ "a_map_has_the_key_just_inserted_and_never_more_than_max_entries", never_more },
	{ "a_deleted_entry_makes_room", deleted_makes_room },
	{ "update_batch_larger_than_the_map_is_fine", batch_larger_than_the_map },
	{ "no_common_rounds_max_entries_up_to_a_multiple_of_cpus", rounded_up },
	{ "no_common_gives_a_cpu_its_share_only", share_only },
	{ "no_common_replaces_another_cpus_entry_with_an_own_element", share_of_one },
	{ "replacing_is_a_use", replacing_is_a_use },
	{ "when_all_are_used_one_goes", all_are_used },
	{ "lookup_and_delete_batch_gives_all_back", take_batch },
};

int main(void)
{
	static const struct row_table tables[] = { ROW_TABLE(use_rows, use), ROW_TABLE(acts, run_act) };

	static const struct CMUnitTest native[] = {
		cmocka_unit_test(a_refill_evicts_by_the_number_of_cpus_that_the_map_is_for),
		cmocka_unit_test(a_map_of_100_for_2_cpus_holds_70_after_120_inserts),
		cmocka_unit_test(no_common_rounds_and_shares_by_the_number_of_cpus_that_the_map_is_for),
	};
	int failed = run_tables("lru_table", tables, 2);

	return failed + cmocka_run_group_tests_name("lru_table, native", native, NULL, NULL);
}
