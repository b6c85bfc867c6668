/* SPDX-License-Identifier: MIT */
/* BPF_MAP_CREATE of LRU maps: each check, and which of two comes first. */
#include "../semantics/typeinfo.h"
#include "rows.h"

#define MIB	  (1u << 20)
#define NO_COMMON ABI_F_NO_COMMON_LRU

struct create_row {
	const char *name;
	int expected; /* 0, or -errno */
	struct abi_create attr;
};

#define LRU_OF(...)                                                                                     \
	{                                                                                               \
		.map_type = ABI_LRU_HASH, .key_size = 8, .value_size = 8, .max_entries = 4, __VA_ARGS__ \
	}
#define PERCPU_OF(...) LRU_OF(.map_type = ABI_LRU_PERCPU_HASH, __VA_ARGS__)

/* Rows that give a member twice mean it: the second is the rule's. */
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif

static const struct create_row rows[] = {
	{ "create_lru", 0, LRU_OF() },
	{ "create_lru_percpu", 0, PERCPU_OF() },
	{ "create_lru_no_common", 0, LRU_OF(.map_flags = NO_COMMON) },
	{ "create_lru_percpu_no_common", 0, PERCPU_OF(.map_flags = NO_COMMON) },
	{ "create_lru_flags", 0, LRU_OF(.map_flags = ABI_F_ZERO_SEED | ABI_F_RDONLY | ABI_F_WRONLY_PROG) },
	{ "create_lru_percpu_flags", 0, PERCPU_OF(.map_flags = ABI_F_ZERO_SEED | ABI_F_WRONLY | ABI_F_RDONLY_PROG) },

	{ "create_lru_no_prealloc_is_ENOTSUPP", -ABI_ENOTSUPP, LRU_OF(.map_flags = ABI_F_NO_PREALLOC) },
	{ "create_lru_percpu_no_prealloc_is_ENOTSUPP", -ABI_ENOTSUPP, PERCPU_OF(.map_flags = ABI_F_NO_PREALLOC) },
	{ "create_lru_no_prealloc_beats_max_entries_0", -ABI_ENOTSUPP,
	  LRU_OF(.map_flags = ABI_F_NO_PREALLOC, .max_entries = 0) },
	{ "create_lru_no_prealloc_beats_key_size_0", -ABI_ENOTSUPP,
	  PERCPU_OF(.map_flags = ABI_F_NO_PREALLOC, .key_size = 0) },
	{ "create_lru_no_prealloc_beats_large_sum", -ABI_ENOTSUPP,
	  LRU_OF(.map_flags = ABI_F_NO_PREALLOC, .value_size = 8 * MIB) },
	{ "create_lru_no_prealloc_beats_no_common_on_a_node", -ABI_ENOTSUPP,
	  LRU_OF(.map_flags = ABI_F_NO_PREALLOC | NO_COMMON | ABI_F_NUMA_NODE) },
	{ "create_lru_percpu_no_prealloc_beats_node", -ABI_ENOTSUPP,
	  PERCPU_OF(.map_flags = ABI_F_NO_PREALLOC | ABI_F_NUMA_NODE) },
	{ "create_lru_no_prealloc_beats_bad_name", -ABI_ENOTSUPP,
	  LRU_OF(.map_flags = ABI_F_NO_PREALLOC, .map_name = "-") },
	{ "create_lru_bad_flags_beat_no_prealloc", -EINVAL, LRU_OF(.map_flags = ABI_F_NO_PREALLOC | ABI_F_MMAPABLE) },
	{ "create_lru_node_absent_beats_no_prealloc", -EINVAL,
	  LRU_OF(.map_flags = ABI_F_NO_PREALLOC | ABI_F_NUMA_NODE, .numa_node = 4096) },
	{ "create_lru_map_extra_beats_no_prealloc", -EINVAL, LRU_OF(.map_flags = ABI_F_NO_PREALLOC, .map_extra = 1) },

	{ "create_hash_no_common_is_EINVAL", -EINVAL, LRU_OF(.map_type = ABI_HASH, .map_flags = NO_COMMON) },
	{ "create_percpu_hash_no_common_is_EINVAL", -EINVAL,
	  LRU_OF(.map_type = ABI_PERCPU_HASH, .map_flags = NO_COMMON) },
	{ "create_array_no_common_is_EINVAL", -EINVAL,
	  LRU_OF(.map_type = ABI_ARRAY, .key_size = 4, .map_flags = NO_COMMON) },

	{ "create_lru_numa_node_0", 0, LRU_OF(.map_flags = ABI_F_NUMA_NODE) },
	{ "create_lru_numa_node_none", 0, LRU_OF(.map_flags = ABI_F_NUMA_NODE, .numa_node = ~0u) },
	{ "create_lru_no_common_numa_node_0_is_EINVAL", -EINVAL, LRU_OF(.map_flags = NO_COMMON | ABI_F_NUMA_NODE) },
	{ "create_lru_no_common_numa_node_none", 0,
	  LRU_OF(.map_flags = NO_COMMON | ABI_F_NUMA_NODE, .numa_node = ~0u) },
	{ "create_lru_percpu_numa_node_0_is_EINVAL", -EINVAL, PERCPU_OF(.map_flags = ABI_F_NUMA_NODE) },
	{ "create_lru_percpu_numa_node_none", 0, PERCPU_OF(.map_flags = ABI_F_NUMA_NODE, .numa_node = ~0u) },
	{ "create_lru_numa_node_without_flag_is_ignored", 0, PERCPU_OF(.numa_node = 4096) },
	{ "create_lru_percpu_node_beats_large_value", -EINVAL,
	  PERCPU_OF(.map_flags = ABI_F_NUMA_NODE, .value_size = 32769) },

	{ "create_lru_key_size_0_is_EINVAL", -EINVAL, LRU_OF(.key_size = 0) },
	{ "create_lru_value_size_0_is_EINVAL", -EINVAL, LRU_OF(.value_size = 0) },
	{ "create_lru_max_entries_0_is_EINVAL", -EINVAL, LRU_OF(.max_entries = 0) },
	{ "create_lru_no_common_max_entries_0_is_EINVAL", -EINVAL, LRU_OF(.map_flags = NO_COMMON, .max_entries = 0) },
	{ "create_lru_zero_sizes_beat_large_sum", -EINVAL, LRU_OF(.key_size = 0, .value_size = 8 * MIB) },
	{ "create_lru_largest_sum_of_sizes", 0, LRU_OF(.value_size = 4194255 - 8, .max_entries = 1) },
	{ "create_lru_sum_of_sizes_too_large_is_E2BIG", -E2BIG, LRU_OF(.value_size = 4194256 - 8, .max_entries = 1) },
	{ "create_lru_value_above_32_KiB_is_fine", 0, LRU_OF(.value_size = 32769) },
	{ "create_lru_percpu_largest_value", 0, PERCPU_OF(.value_size = 32768) },
	{ "create_lru_percpu_value_that_rounds_to_the_largest", 0, PERCPU_OF(.value_size = 32761) },
	{ "create_lru_percpu_value_too_large_is_E2BIG", -E2BIG, PERCPU_OF(.value_size = 32769) },
	{ "create_lru_percpu_zero_sizes_beat_large_value", -EINVAL, PERCPU_OF(.key_size = 0, .value_size = 32769) },
	{ "create_lru_max_entries_above_2_to_31_is_E2BIG", -E2BIG, LRU_OF(.max_entries = 0x80000001) },
	{ "create_lru_no_common_max_entries_above_2_to_31_is_E2BIG", -E2BIG,
	  LRU_OF(.map_flags = NO_COMMON, .max_entries = 0x80000001) },
	{ "create_lru_no_common_max_entries_that_wrap_when_rounded_are_E2BIG", -E2BIG,
	  PERCPU_OF(.map_flags = NO_COMMON, .max_entries = ~0u) },
	{ "create_lru_large_sum_beats_bad_name", -E2BIG, LRU_OF(.value_size = 8 * MIB, .map_name = "-") },
	{ "create_lru_bad_name_is_EINVAL", -EINVAL, PERCPU_OF(.map_name = "-") },

	{ "create_lru_mmapable_is_EINVAL", -EINVAL, LRU_OF(.map_flags = ABI_F_MMAPABLE) },
	{ "create_lru_inner_map_is_EINVAL", -EINVAL, LRU_OF(.map_flags = ABI_F_INNER_MAP) },
	{ "create_lru_unknown_flag_is_EINVAL", -EINVAL, PERCPU_OF(.map_flags = 1u << 31) },
	{ "create_lru_rdonly_and_wronly_is_EINVAL", -EINVAL, LRU_OF(.map_flags = ABI_F_RDONLY | ABI_F_WRONLY) },
	{ "create_lru_rdonly_prog_and_wronly_prog_is_EINVAL", -EINVAL,
	  LRU_OF(.map_flags = ABI_F_RDONLY_PROG | ABI_F_WRONLY_PROG) },
	{ "create_lru_map_extra_is_EINVAL", -EINVAL, LRU_OF(.map_extra = 1) },
	{ "create_lru_on_a_device_is_EINVAL", -EINVAL, LRU_OF(.map_ifindex = 1) },
	{ "create_lru_percpu_on_a_device_is_EINVAL", -EINVAL, PERCPU_OF(.map_ifindex = 1) },
};

static void create(void **state)
{
	const struct row_test *test = *state;
	const struct create_row *row = test->row;
	union abi_attr attr = { .create = row->attr };
	long result = call(test->bpf, ABI_MAP_CREATE, &attr, sizeof(attr));

	if (result >= 0)
		close((int)result);
	assert_int_equal(result < 0 ? result : 0, row->expected);
}

static void spin_lock(abi_bpf bpf)
{
	static const uint32_t types[] = { ABI_LRU_HASH, ABI_LRU_PERCPU_HASH };

	for (int i = 0; i < 2; i++) {
		union abi_attr attr = { .create = LRU_OF(.map_type = types[i], .key_size = 4, .value_size = 16) };
		struct lockable lockable;
		int btf;

		typeinfo_lockable(&lockable, 4, true, 16, 8, false);
		union abi_attr load = { .btf = { .btf = address(lockable.raw), .size = lockable.size } };

		btf = (int)call(bpf, ABI_BTF_LOAD, &load, sizeof(load));
		assert_true(btf >= 0);
		attr.create.btf_fd = (uint32_t)btf;
		attr.create.btf_key_type_id = lockable.key_id;
		attr.create.btf_value_type_id = lockable.value_id;
		assert_int_equal(call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr)), -EOPNOTSUPP);
		attr.create.map_flags = ABI_F_NO_PREALLOC;
		assert_int_equal(call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr)), -ABI_ENOTSUPP);
		close(btf);
	}
}

static const struct act_row acts[] = {
	{ "create_lru_with_a_spin_lock_is_EOPNOTSUPP_and_no_prealloc_beats_it", spin_lock },
};

int main(void)
{
	static const struct row_table tables[] = { ROW_TABLE(rows, create), ROW_TABLE(acts, run_act) };

	return run_tables("lru_create", tables, 2);
}
