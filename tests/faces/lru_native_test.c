/* SPDX-License-Identifier: MIT */
/*
 * LRU maps by the native face: what may be asked of them at creation, what they say of themselves, and libbpf's
 * contract. What they evict: tests/semantics; the callback: evict_test.c.
 */
#include "../semantics/cpus.h"
#include "lru_maps.h"

#define HASH	     BPF_MAP_TYPE_HASH
#define ARRAY	     BPF_MAP_TYPE_ARRAY
#define PERCPU_HASH  BPF_MAP_TYPE_PERCPU_HASH
#define PERCPU_ARRAY BPF_MAP_TYPE_PERCPU_ARRAY
#define SHARED	     USERMAP_MEMORY_SHARED
#define GRACE	     USERMAP_REUSE_GRACE

static void nothing(void *ctx, const void *key, const void *value)
{
	(void)ctx, (void)key, (void)value;
}

struct create_row {
	const char *name;
	int expected;
	enum bpf_map_type type;
	struct usermap_opts opts;
};

static const struct create_row create_rows[] = {
	{ "create_lru_hash", 0, LRU, OPTS() },
	{ "create_lru_percpu_hash", 0, LRU_PERCPU, OPTS() },
	{ "create_lru_hash_no_common", 0, LRU, OPTS(.map_flags = NO_COMMON) },
	{ "create_lru_percpu_hash_no_common", 0, LRU_PERCPU, OPTS(.map_flags = NO_COMMON) },
	{ "create_lru_hash_shared", 0, LRU, OPTS(.memory = SHARED) },
	{ "create_lru_percpu_hash_shared", 0, LRU_PERCPU, OPTS(.memory = SHARED) },
	{ "create_lru_hash_that_reuses_at_once", 0, LRU, OPTS(.reuse = USERMAP_REUSE_AT_ONCE) },
	{ "create_lru_hash_with_grace_is_EINVAL", -EINVAL, LRU, OPTS(.reuse = GRACE) },
	{ "create_lru_percpu_hash_with_grace_is_EINVAL", -EINVAL, LRU_PERCPU, OPTS(.reuse = GRACE) },
	{ "create_lru_hash_shared_with_grace_is_EINVAL", -EINVAL, LRU, OPTS(.reuse = GRACE, .memory = SHARED) },
	{ "create_lru_hash_no_prealloc_is_ENOTSUPP", -524, LRU, OPTS(.map_flags = BPF_F_NO_PREALLOC) },
	{ "create_hash_no_common_is_EINVAL", -EINVAL, HASH, OPTS(.map_flags = NO_COMMON) },
	{ "create_lru_hash_with_lock_is_EOPNOTSUPP", -EOPNOTSUPP, LRU, OPTS(.spin_lock = 1) },
	{ "create_lru_percpu_hash_with_lock_is_EOPNOTSUPP", -EOPNOTSUPP, LRU_PERCPU, OPTS(.spin_lock = 1) },

	{ "create_lru_hash_for_1_cpu", 0, LRU, OPTS(.n_cpus = 1) },
	{ "create_lru_hash_for_4096_cpus", 0, LRU, OPTS(.n_cpus = 4096) },
	{ "create_lru_hash_for_4097_cpus_is_EINVAL", -EINVAL, LRU, OPTS(.n_cpus = 4097) },
	{ "create_lru_percpu_hash_for_3_cpus", 0, LRU_PERCPU, OPTS(.n_cpus = 3) },
	{ "create_lru_percpu_hash_for_4097_cpus_is_EINVAL", -EINVAL, LRU_PERCPU, OPTS(.n_cpus = 4097) },

	{ "create_s3fifo", 0, LRU, OPTS(.eviction = S3FIFO) },
	{ "create_s3fifo_percpu", 0, LRU_PERCPU, OPTS(.eviction = S3FIFO) },
	{ "create_s3fifo_shared", 0, LRU, OPTS(.eviction = S3FIFO, .memory = SHARED) },
	{ "create_s3fifo_for_4096_cpus", 0, LRU, OPTS(.eviction = S3FIFO, .n_cpus = 4096) },
	{ "create_s3fifo_no_common_is_EINVAL", -EINVAL, LRU, OPTS(.eviction = S3FIFO, .map_flags = NO_COMMON) },
	{ "create_s3fifo_percpu_no_common_is_EINVAL", -EINVAL, LRU_PERCPU,
	  OPTS(.eviction = S3FIFO, .map_flags = NO_COMMON) },
	{ "create_s3fifo_with_grace_is_EINVAL", -EINVAL, LRU, OPTS(.eviction = S3FIFO, .reuse = GRACE) },
	{ "create_s3fifo_no_prealloc_is_ENOTSUPP", -524, LRU,
	  OPTS(.eviction = S3FIFO, .map_flags = BPF_F_NO_PREALLOC) },
	{ "create_unknown_eviction_is_EINVAL", -EINVAL, LRU, OPTS(.eviction = 2) },
	{ "create_far_eviction_is_EINVAL", -EINVAL, LRU_PERCPU, OPTS(.eviction = ~0u) },
	{ "create_hash_with_eviction_is_EINVAL", -EINVAL, HASH, OPTS(.eviction = S3FIFO) },
	{ "create_percpu_hash_with_eviction_is_EINVAL", -EINVAL, PERCPU_HASH, OPTS(.eviction = S3FIFO) },
	{ "create_array_with_eviction_is_EINVAL", -EINVAL, ARRAY, OPTS(.eviction = S3FIFO) },
	{ "create_percpu_array_with_eviction_is_EINVAL", -EINVAL, PERCPU_ARRAY, OPTS(.eviction = S3FIFO) },
	{ "create_with_reserved_bits_is_EINVAL", -EINVAL, LRU, OPTS(.reserved = 1) },

	{ "create_lru_hash_with_callback", 0, LRU, OPTS(.on_evict = nothing) },
	{ "create_s3fifo_with_callback", 0, LRU_PERCPU, OPTS(.on_evict = nothing, .eviction = S3FIFO) },
	{ "create_shared_with_callback_is_EINVAL", -EINVAL, LRU, OPTS(.on_evict = nothing, .memory = SHARED) },
	{ "create_by_path_with_callback_is_EINVAL", -EINVAL, LRU,
	  OPTS(.on_evict = nothing, .path = "/dev/shm/usermap-lru-never") },
	{ "create_hash_with_callback_is_EINVAL", -EINVAL, HASH, OPTS(.on_evict = nothing) },
	{ "create_percpu_hash_with_callback_is_EINVAL", -EINVAL, PERCPU_HASH, OPTS(.on_evict = nothing) },
	{ "create_array_with_callback_is_EINVAL", -EINVAL, ARRAY, OPTS(.on_evict = nothing) },
};

static void create_row(void **state)
{
	const struct create_row *row = *state;
	struct usermap *map = (struct usermap *)8; /* untouched on error */
	int error = usermap_create(row->type, NULL, 4, 8, 4, &row->opts, &map);

	assert_int_equal(error, row->expected);
	if (error)
		assert_ptr_equal(map, (struct usermap *)8);
	else
		usermap_close(map);
}

static void options_that_end_before_eviction_mean_the_kernels_policy(void **state)
{
	struct usermap_opts opts = { .sz = offsetof(struct usermap_opts, eviction),
				     .eviction = 99,
				     .on_evict = nothing };
	struct usermap *map;

	(void)state;
	assert_int_equal(usermap_create(LRU, NULL, 4, 8, 4, &opts, &map), 0);
	assert_int_equal(lru_info(map).eviction, USERMAP_EVICTION_KERNEL);
	usermap_close(map);
}

static void an_lru_map_says_what_it_is(void **state)
{
	(void)state;
	for (int k = 0; k < LRU_KINDS; k++) {
		const struct lru_kind *kind = &lru_kinds[k];

		for (int shared = 0; shared < 2; shared++) {
			struct usermap *map = lru_make(
				kind, 7, (struct usermap_opts)OPTS(.n_cpus = 3, .memory = shared ? SHARED : 0));
			struct usermap_info info = lru_info(map);

			assert_int_equal(info.type, kind->type);
			assert_int_equal(info.map_flags, kind->map_flags);
			assert_int_equal(info.eviction, kind->eviction);
			assert_int_equal(info.reuse, USERMAP_REUSE_AT_ONCE);
			assert_int_equal(info.memory, shared ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE);
			assert_int_equal(info.max_entries, kind->map_flags ? 9 : 7);
			assert_int_equal(info.n_cpus, kind->type == LRU_PERCPU ? 3 : 1);
			assert_int_equal(info.value_bytes, kind->type == LRU_PERCPU ? 24 : 8);
			assert_int_equal(info.count + info.evictions + info.refills + info.steals + info.rotations, 0);
			assert_int_equal(info.reserved, 0);
			usermap_close(map);
		}
	}
}

static void maps_without_eviction_have_evicted_nothing(void **state)
{
	struct usermap *map;
	struct usermap_info info;

	(void)state;
	assert_int_equal(usermap_create(HASH, NULL, 4, 8, 1, NULL, &map), 0);
	assert_int_equal(lru_put(map, 1, 1, 0), 0);
	assert_int_equal(lru_put(map, 2, 1, 0), -E2BIG);
	info = lru_info(map);
	assert_int_equal(info.evictions + info.refills + info.steals + info.rotations + info.eviction, 0);
	usermap_close(map);
}

static void no_common_lru_rounds_up_to_the_cpus(void **state)
{
	static const __u32 rows[][3] = { { 1, 1, 1 }, { 5, 2, 6 }, { 6, 2, 6 }, { 1, 64, 64 }, { 100, 64, 128 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct usermap *map =
			lru_make(&lru_kinds[2], rows[i][0], (struct usermap_opts)OPTS(.n_cpus = rows[i][1]));

		assert_int_equal(lru_info(map).max_entries, rows[i][2]);
		usermap_close(map);
	}
}

/* count, evictions and what is in the map agree, whatever is done; never more than max_entries. */
static void counts_are_exact(void **state)
{
	(void)state;
	for (int k = 0; k < LRU_KINDS; k++) {
		struct usermap *map = lru_make(&lru_kinds[k], 50, (struct usermap_opts)OPTS());
		__u32 max_entries = lru_info(map).max_entries;
		__u64 inserted = 0, deleted = 0;

		for (__u32 i = 0; i < 3000; i++) {
			__u32 key = i * 2654435761u >> 20;
			struct usermap_info info;

			cpus_pin(i / 100);
			if (i % 5 == 4) {
				deleted += usermap_delete_elem(map, &key) == 0;
			} else {
				/* with EXIST, whatever the policy, nothing comes in */
				inserted += lru_put(map, key, i, BPF_NOEXIST) == 0;
				lru_put(map, key, i, BPF_EXIST);
			}
			info = lru_info(map);
			assert_true(info.count <= max_entries);
			assert_int_equal(info.count, lru_count(map));
			assert_int_equal(info.count, inserted - deleted - info.evictions);
			assert_int_equal(info.fill_permille, info.count * 1000 / max_entries);
		}
		assert_true(lru_info(map).evictions > 500);
		usermap_close(map);
	}
}

static void the_kernels_policy_counts_refills_rotations_and_steals(void **state)
{
	struct usermap *map = lru_make(&lru_kinds[0], 16, (struct usermap_opts)OPTS(.n_cpus = 2));
	struct usermap_info info;

	(void)state;
	cpus_pin(0);
	for (__u32 key = 0; key < 100; key++)
		assert_int_equal(lru_put(map, key, key, 0), 0);
	info = lru_info(map);
	assert_int_equal(info.refills, 25); /* 4 elements each: 16 entries, 2 CPUs, half of the share */
	assert_int_equal(info.steals, 0);
	assert_true(info.rotations > 0);
	usermap_close(map);
	if (cpus_usable() < 2)
		skip();
	map = lru_make(&lru_kinds[0], 1, (struct usermap_opts)OPTS(.n_cpus = 2));
	assert_int_equal(lru_put(map, 1, 1, 0), 0);
	cpus_pin(1);
	assert_int_equal(lru_put(map, 2, 2, 0), 0); /* the one element is the other CPU's */
	assert_int_equal(lru_info(map).steals, 1);
	assert_int_equal(lru_info(map).evictions, 1);
	assert_false(lru_has(map, 1));
	usermap_close(map);
}

static void libbpf_sizes_are_checked(void **state)
{
	struct usermap *map = lru_make(&lru_kinds[1], 4, (struct usermap_opts)OPTS(.n_cpus = 3));
	__u64 value[4] = { 1, 2, 3, 0 };
	__u32 key = 1, next;

	(void)state;
	assert_int_equal(usermap__update_elem(map, &key, 4, value, 24, 0), 0);
	for (size_t size = 0; size <= sizeof(value); size++) {
		int expected = size == 24 ? 0 : -EINVAL;

		assert_int_equal(usermap__lookup_elem(map, &key, 4, value, size, 0), expected);
		assert_int_equal(usermap__update_elem(map, &key, 4, value, size, BPF_EXIST), expected);
	}
	assert_int_equal(usermap__lookup_elem(map, &key, 8, value, 24, 0), -EINVAL);
	assert_int_equal(usermap__get_next_key(map, NULL, &next, 4), 0);
	assert_int_equal(next, 1);
	assert_int_equal(usermap__lookup_and_delete_elem(map, &key, 4, value, 24, 0), 0);
	assert_int_equal(value[2], 3);
	assert_int_equal(usermap__delete_elem(map, &key, 4, 0), -ENOENT);
	usermap_close(map);
}

static void access_and_freezing_are_as_elsewhere(void **state)
{
	__u32 key = 1, next;
	__u64 slots[LRU_CPUS];

	(void)state;
	for (int k = 0; k < LRU_KINDS; k++) {
		struct usermap *map = lru_make(&lru_kinds[k], 4, (struct usermap_opts)OPTS());

		assert_int_equal(lru_put(map, 1, 11, 0), 0);
		assert_int_equal(usermap_freeze(map), 0);
		assert_int_equal(usermap_freeze(map), -EPERM);
		assert_int_equal(lru_put(map, 2, 22, 0), -EPERM);
		assert_int_equal(usermap_delete_elem(map, &key), -EPERM);
		assert_int_equal(usermap_lookup_and_delete_elem(map, &key, slots, 0), -EPERM);
		assert_true(lru_has(map, 1));
		assert_int_equal(usermap_helper_update_elem(map, &(__u32){ 2 }, &(__u64){ 22 }, 0), 0);
		assert_true(lru_has(map, 2));
		usermap_close(map);

		map = lru_make(&lru_kinds[k], 4, (struct usermap_opts)OPTS(.map_flags = BPF_F_RDONLY));
		assert_int_equal(lru_put(map, 1, 11, 0), -EPERM);
		assert_int_equal(lru_slots(map, 1, slots), -ENOENT);
		usermap_close(map);
		map = lru_make(&lru_kinds[k], 4, (struct usermap_opts)OPTS(.map_flags = BPF_F_WRONLY));
		assert_int_equal(lru_put(map, 1, 11, 0), 0);
		assert_int_equal(lru_slots(map, 1, slots), -EPERM);
		assert_int_equal(usermap_get_next_key(map, NULL, &next), -EPERM);
		usermap_close(map);
	}
}

int main(void)
{
	enum { ROWS = sizeof(create_rows) / sizeof(create_rows[0]) };
	struct CMUnitTest rows[ROWS];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_that_end_before_eviction_mean_the_kernels_policy),
		cmocka_unit_test(an_lru_map_says_what_it_is),
		cmocka_unit_test(maps_without_eviction_have_evicted_nothing),
		cmocka_unit_test(no_common_lru_rounds_up_to_the_cpus),
		cmocka_unit_test(counts_are_exact),
		cmocka_unit_test(the_kernels_policy_counts_refills_rotations_and_steals),
		cmocka_unit_test(libbpf_sizes_are_checked),
		cmocka_unit_test(access_and_freezing_are_as_elsewhere),
	};

	for (int i = 0; i < ROWS; i++)
		rows[i] = (struct CMUnitTest){ create_rows[i].name, create_row, NULL, NULL,
					       (void *)(uintptr_t)&create_rows[i] };
	return _cmocka_run_group_tests("lru native create", rows, ROWS, NULL, NULL) +
	       cmocka_run_group_tests_name("lru native", tests, NULL, NULL);
}
