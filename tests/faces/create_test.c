/* SPDX-License-Identifier: MIT */
/* BPF_MAP_CREATE: each check, and which of two comes first. */
#include <fcntl.h>

#include "rows.h"

#define MIB	  (1u << 20)
#define CLOSED_FD 1000000
#define PATH_FD	  900 /* opened by O_PATH */
#define FILE_FD	  901 /* a plain file */

static const unsigned char hash_of_program[32];

struct create_row {
	const char *name;
	int expected; /* 0, or -errno */
	struct abi_create attr;
};

#define HASH_OF(...)                                                                                \
	{                                                                                           \
		.map_type = ABI_HASH, .key_size = 8, .value_size = 8, .max_entries = 4, __VA_ARGS__ \
	}
#define ARRAY_OF(...)                                                                                \
	{                                                                                            \
		.map_type = ABI_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4, __VA_ARGS__ \
	}
#define PERCPU_HASH_OF(...)  HASH_OF(.map_type = ABI_PERCPU_HASH, __VA_ARGS__)
#define PERCPU_ARRAY_OF(...) ARRAY_OF(.map_type = ABI_PERCPU_ARRAY, __VA_ARGS__)
#define BAD_HASH_SIZE	     .excl_prog_hash = 1 << 20, .excl_prog_hash_size = 31

/* Rows that give a member twice mean it: the second is the rule's. */
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif

static const struct create_row rows[] = {
	{ "create_hash", 0, HASH_OF() },
	{ "create_array", 0, ARRAY_OF() },
	{ "create_type_0_is_EINVAL", -EINVAL, HASH_OF(.map_type = 0) },
	{ "create_type_unknown_is_EINVAL", -EINVAL, HASH_OF(.map_type = 99) },

	{ "create_hash_key_size_0_is_EINVAL", -EINVAL, HASH_OF(.key_size = 0) },
	{ "create_hash_value_size_0_is_EINVAL", -EINVAL, HASH_OF(.value_size = 0) },
	{ "create_hash_max_entries_0_is_EINVAL", -EINVAL, HASH_OF(.max_entries = 0) },
	{ "create_hash_key_size_513_is_fine", 0, HASH_OF(.key_size = 513, .max_entries = 1) },
	{ "create_hash_largest_sum_of_sizes", 0, HASH_OF(.value_size = 4194255 - 8, .max_entries = 1) },
	{ "create_hash_sum_of_sizes_too_large_is_E2BIG", -E2BIG, HASH_OF(.value_size = 4194256 - 8, .max_entries = 1) },
	{ "create_hash_sum_of_sizes_that_wraps_is_E2BIG", -E2BIG, HASH_OF(.key_size = ~0u, .value_size = 8) },
	{ "create_hash_max_entries_above_2_to_31_is_E2BIG", -E2BIG, HASH_OF(.max_entries = 0x80000001) },
	{ "create_hash_zero_sizes_beat_large_sum", -EINVAL, HASH_OF(.key_size = 0, .value_size = 8 * MIB) },
	{ "create_hash_bad_flags_beat_large_sum", -EINVAL, HASH_OF(.map_flags = 2, .value_size = 8 * MIB) },

	{ "create_array_key_size_not_4_is_EINVAL", -EINVAL, ARRAY_OF(.key_size = 8) },
	{ "create_array_value_size_0_is_EINVAL", -EINVAL, ARRAY_OF(.value_size = 0) },
	{ "create_array_max_entries_0_is_EINVAL", -EINVAL, ARRAY_OF(.max_entries = 0) },
	{ "create_array_value_above_4_MiB_is_fine", 0, ARRAY_OF(.value_size = 5 * MIB, .max_entries = 1) },
	{ "create_array_value_above_INT_MAX_is_E2BIG", -E2BIG, ARRAY_OF(.value_size = 0x80000000, .max_entries = 1) },
	{ "create_array_key_size_beats_value_size", -EINVAL, ARRAY_OF(.key_size = 8, .value_size = 0x80000000) },
	{ "create_array_larger_than_memory_is_ENOMEM", -ENOMEM,
	  ARRAY_OF(.value_size = 0x7fffffff, .max_entries = ~0u) },

	{ "create_percpu_hash", 0, PERCPU_HASH_OF() },
	{ "create_percpu_hash_key_size_0_is_EINVAL", -EINVAL, PERCPU_HASH_OF(.key_size = 0) },
	{ "create_percpu_hash_value_size_0_is_EINVAL", -EINVAL, PERCPU_HASH_OF(.value_size = 0) },
	{ "create_percpu_hash_max_entries_0_is_EINVAL", -EINVAL, PERCPU_HASH_OF(.max_entries = 0) },
	{ "create_percpu_hash_largest_value", 0, PERCPU_HASH_OF(.value_size = 32768) },
	{ "create_percpu_hash_value_that_rounds_to_the_largest", 0, PERCPU_HASH_OF(.value_size = 32761) },
	{ "create_percpu_hash_value_too_large_is_E2BIG", -E2BIG, PERCPU_HASH_OF(.value_size = 32769) },
	{ "create_percpu_hash_value_that_wraps_when_rounded_is_E2BIG", -E2BIG, PERCPU_HASH_OF(.value_size = ~0u) },
	{ "create_percpu_hash_large_key", 0, PERCPU_HASH_OF(.key_size = 4194255 - 8, .max_entries = 1) },
	{ "create_percpu_hash_sum_of_sizes_too_large_is_E2BIG", -E2BIG,
	  PERCPU_HASH_OF(.key_size = 4194256 - 8, .max_entries = 1) },
	{ "create_percpu_hash_zero_sizes_beat_large_value", -EINVAL,
	  PERCPU_HASH_OF(.key_size = 0, .value_size = 32769) },
	{ "create_percpu_hash_max_entries_above_2_to_31_is_E2BIG", -E2BIG, PERCPU_HASH_OF(.max_entries = 0x80000001) },
	{ "create_percpu_hash_large_value_beats_bad_name", -E2BIG,
	  PERCPU_HASH_OF(.value_size = 32769, .map_name = "-") },
	{ "create_percpu_hash_flags", 0,
	  PERCPU_HASH_OF(.map_flags = ABI_F_NO_PREALLOC | ABI_F_ZERO_SEED | ABI_F_RDONLY | ABI_F_WRONLY_PROG) },
	{ "create_percpu_hash_no_common_lru_is_EINVAL", -EINVAL, PERCPU_HASH_OF(.map_flags = 1 << 1) },
	{ "create_percpu_hash_mmapable_is_EINVAL", -EINVAL, PERCPU_HASH_OF(.map_flags = ABI_F_MMAPABLE) },
	{ "create_percpu_hash_inner_map_is_EINVAL", -EINVAL, PERCPU_HASH_OF(.map_flags = ABI_F_INNER_MAP) },
	{ "create_percpu_hash_numa_node_none", 0, PERCPU_HASH_OF(.map_flags = ABI_F_NUMA_NODE, .numa_node = ~0u) },
	{ "create_percpu_hash_numa_node_0_is_EINVAL", -EINVAL, PERCPU_HASH_OF(.map_flags = ABI_F_NUMA_NODE) },
	{ "create_percpu_hash_numa_node_0_beats_large_value", -EINVAL,
	  PERCPU_HASH_OF(.map_flags = ABI_F_NUMA_NODE, .value_size = 32769) },
	{ "create_percpu_hash_on_a_device_is_EINVAL", -EINVAL, PERCPU_HASH_OF(.map_ifindex = 1) },
	{ "create_percpu_hash_map_extra_is_EINVAL", -EINVAL, PERCPU_HASH_OF(.map_extra = 1) },

	{ "create_percpu_array", 0, PERCPU_ARRAY_OF() },
	{ "create_percpu_array_key_size_not_4_is_EINVAL", -EINVAL, PERCPU_ARRAY_OF(.key_size = 8) },
	{ "create_percpu_array_value_size_0_is_EINVAL", -EINVAL, PERCPU_ARRAY_OF(.value_size = 0) },
	{ "create_percpu_array_max_entries_0_is_EINVAL", -EINVAL, PERCPU_ARRAY_OF(.max_entries = 0) },
	{ "create_percpu_array_largest_value", 0, PERCPU_ARRAY_OF(.value_size = 32768) },
	{ "create_percpu_array_value_that_rounds_to_the_largest", 0, PERCPU_ARRAY_OF(.value_size = 32761) },
	{ "create_percpu_array_value_too_large_is_E2BIG", -E2BIG, PERCPU_ARRAY_OF(.value_size = 32769) },
	{ "create_percpu_array_value_above_INT_MAX_is_E2BIG", -E2BIG, PERCPU_ARRAY_OF(.value_size = 0x80000000) },
	{ "create_percpu_array_key_size_beats_value_size", -EINVAL,
	  PERCPU_ARRAY_OF(.key_size = 8, .value_size = 32769) },
	{ "create_percpu_array_flags", 0, PERCPU_ARRAY_OF(.map_flags = ABI_F_WRONLY | ABI_F_RDONLY_PROG) },
	{ "create_percpu_array_mmapable_is_EINVAL", -EINVAL, PERCPU_ARRAY_OF(.map_flags = ABI_F_MMAPABLE) },
	{ "create_percpu_array_inner_map_is_EINVAL", -EINVAL, PERCPU_ARRAY_OF(.map_flags = ABI_F_INNER_MAP) },
	{ "create_percpu_array_no_prealloc_is_EINVAL", -EINVAL, PERCPU_ARRAY_OF(.map_flags = ABI_F_NO_PREALLOC) },
	{ "create_percpu_array_zero_seed_is_EINVAL", -EINVAL, PERCPU_ARRAY_OF(.map_flags = ABI_F_ZERO_SEED) },
	{ "create_percpu_array_bad_flags_beat_large_value", -EINVAL,
	  PERCPU_ARRAY_OF(.map_flags = ABI_F_MMAPABLE, .value_size = 32769) },
	{ "create_percpu_array_numa_node_none", 0, PERCPU_ARRAY_OF(.map_flags = ABI_F_NUMA_NODE, .numa_node = ~0u) },
	{ "create_percpu_array_numa_node_0_is_EINVAL", -EINVAL, PERCPU_ARRAY_OF(.map_flags = ABI_F_NUMA_NODE) },
	{ "create_percpu_array_on_a_device_is_EINVAL", -EINVAL, PERCPU_ARRAY_OF(.map_ifindex = 1) },
	{ "create_percpu_array_map_extra_is_EINVAL", -EINVAL, PERCPU_ARRAY_OF(.map_extra = 1) },

	{ "create_hash_no_prealloc", 0, HASH_OF(.map_flags = ABI_F_NO_PREALLOC) },
	{ "create_hash_zero_seed", 0, HASH_OF(.map_flags = ABI_F_ZERO_SEED) },
	{ "create_hash_rdonly", 0, HASH_OF(.map_flags = ABI_F_RDONLY) },
	{ "create_hash_wronly", 0, HASH_OF(.map_flags = ABI_F_WRONLY) },
	{ "create_hash_rdonly_prog", 0, HASH_OF(.map_flags = ABI_F_RDONLY_PROG) },
	{ "create_hash_rdonly_with_wronly_prog", 0, HASH_OF(.map_flags = ABI_F_RDONLY | ABI_F_WRONLY_PROG) },
	{ "create_hash_no_common_lru_is_EINVAL", -EINVAL, HASH_OF(.map_flags = 1 << 1) },
	{ "create_hash_mmapable_is_EINVAL", -EINVAL, HASH_OF(.map_flags = ABI_F_MMAPABLE) },
	{ "create_hash_inner_map_is_EINVAL", -EINVAL, HASH_OF(.map_flags = ABI_F_INNER_MAP) },
	{ "create_hash_unknown_flag_is_EINVAL", -EINVAL, HASH_OF(.map_flags = 1u << 31) },
	{ "create_rdonly_and_wronly_is_EINVAL", -EINVAL, HASH_OF(.map_flags = ABI_F_RDONLY | ABI_F_WRONLY) },
	{ "create_rdonly_prog_and_wronly_prog_is_EINVAL", -EINVAL,
	  HASH_OF(.map_flags = ABI_F_RDONLY_PROG | ABI_F_WRONLY_PROG) },
	{ "create_array_mmapable", 0, ARRAY_OF(.map_flags = ABI_F_MMAPABLE) },
	{ "create_array_inner_map", 0, ARRAY_OF(.map_flags = ABI_F_INNER_MAP) },
	{ "create_array_no_prealloc_is_EINVAL", -EINVAL, ARRAY_OF(.map_flags = ABI_F_NO_PREALLOC) },
	{ "create_array_zero_seed_is_EINVAL", -EINVAL, ARRAY_OF(.map_flags = ABI_F_ZERO_SEED) },

	{ "create_numa_node_0", 0, HASH_OF(.map_flags = ABI_F_NUMA_NODE) },
	{ "create_numa_node_none", 0, ARRAY_OF(.map_flags = ABI_F_NUMA_NODE, .numa_node = ~0u) },
	{ "create_numa_node_absent_is_EINVAL", -EINVAL, HASH_OF(.map_flags = ABI_F_NUMA_NODE, .numa_node = 4096) },
	{ "create_numa_node_without_flag_is_ignored", 0, HASH_OF(.numa_node = 4096) },
	{ "create_inner_map_fd_is_ignored", 0, HASH_OF(.inner_map_fd = CLOSED_FD) },
	{ "create_map_extra_is_EINVAL", -EINVAL, HASH_OF(.map_extra = 1) },

	{ "create_name_of_15", 0, HASH_OF(.map_name = "abcdefghijklmno") },
	{ "create_name_of_16_is_EINVAL", -EINVAL, HASH_OF(.map_name = "abcdefghijklmnop") },
	{ "create_name_of_all_kinds", 0, HASH_OF(.map_name = "aZ09_.\xc0\xff") },
	{ "create_name_with_a_dash_is_EINVAL", -EINVAL, HASH_OF(.map_name = "a-b") },
	{ "create_name_with_a_space_is_EINVAL", -EINVAL, HASH_OF(.map_name = " ") },
	{ "create_name_with_a_multiplication_sign_is_EINVAL", -EINVAL, HASH_OF(.map_name = "\xd7") },
	{ "create_name_with_a_division_sign_is_EINVAL", -EINVAL, HASH_OF(.map_name = "\xf7") },
	{ "create_name_with_bytes_behind_its_end", 0, HASH_OF(.map_name = "a\0-") },
	{ "create_large_value_beats_bad_name", -E2BIG, HASH_OF(.value_size = 8 * MIB, .map_name = "-") },
	{ "create_many_entries_beat_bad_name", -E2BIG, HASH_OF(.max_entries = 0x80000001, .map_name = "-") },
	{ "create_lack_of_memory_beats_bad_name", -ENOMEM,
	  ARRAY_OF(.value_size = 0x7fffffff, .max_entries = ~0u, .map_name = "-") },

	{ "create_btf_fd_alone_is_ignored", 0, HASH_OF(.btf_fd = CLOSED_FD) },
	{ "create_btf_key_without_value_is_EINVAL", -EINVAL, HASH_OF(.btf_fd = CLOSED_FD, .btf_key_type_id = 1) },
	{ "create_btf_fd_closed_is_EBADF", -EBADF, HASH_OF(.btf_fd = CLOSED_FD, .btf_value_type_id = 1) },
	{ "create_btf_fd_by_path_is_EBADF", -EBADF, HASH_OF(.btf_fd = PATH_FD, .btf_value_type_id = 1) },
	{ "create_btf_fd_of_a_file_is_EINVAL", -EINVAL,
	  HASH_OF(.btf_fd = FILE_FD, .btf_key_type_id = 1, .btf_value_type_id = 1) },
	{ "create_bad_name_beats_btf_fd", -EINVAL,
	  HASH_OF(.btf_fd = CLOSED_FD, .btf_value_type_id = 1, .map_name = "-") },
	{ "create_btf_vmlinux_type_is_EINVAL", -EINVAL, HASH_OF(.btf_vmlinux_value_type_id = 1) },
	{ "create_btf_of_a_module_is_EINVAL", -EINVAL, HASH_OF(.map_flags = ABI_F_VTYPE_BTF_OBJ_FD) },
	{ "create_module_btf_fd_without_flag_is_ignored", 0, HASH_OF(.value_type_btf_obj_fd = CLOSED_FD) },

	{ "create_token_fd_without_flag_is_ignored", 0, HASH_OF(.map_token_fd = CLOSED_FD) },
	{ "create_token_closed_is_EBADF", -EBADF, HASH_OF(.map_flags = ABI_F_TOKEN_FD, .map_token_fd = CLOSED_FD) },
	{ "create_token_by_path_is_EBADF", -EBADF, HASH_OF(.map_flags = ABI_F_TOKEN_FD, .map_token_fd = PATH_FD) },
	{ "create_token_of_a_file_is_EINVAL", -EINVAL, HASH_OF(.map_flags = ABI_F_TOKEN_FD, .map_token_fd = FILE_FD) },
	{ "create_large_value_beats_token", -E2BIG,
	  HASH_OF(.map_flags = ABI_F_TOKEN_FD, .map_token_fd = CLOSED_FD, .value_size = 8 * MIB) },
	{ "create_token_beats_many_entries", -EBADF,
	  HASH_OF(.map_flags = ABI_F_TOKEN_FD, .map_token_fd = CLOSED_FD, .max_entries = 0x80000001) },
	{ "create_token_beats_device", -EBADF,
	  HASH_OF(.map_flags = ABI_F_TOKEN_FD, .map_token_fd = CLOSED_FD, .map_ifindex = 1) },

	{ "create_device_that_cannot_is_EOPNOTSUPP", -EOPNOTSUPP, HASH_OF(.map_ifindex = 1) },
	{ "create_array_on_a_device_is_EOPNOTSUPP", -EOPNOTSUPP, ARRAY_OF(.map_ifindex = 1) },
	{ "create_device_absent_is_EINVAL", -EINVAL, HASH_OF(.map_ifindex = 1 << 30) },
	{ "create_large_value_beats_device", -E2BIG, HASH_OF(.map_ifindex = 1, .value_size = 8 * MIB) },
	{ "create_device_beats_many_entries", -EOPNOTSUPP, HASH_OF(.map_ifindex = 1, .max_entries = 0x80000001) },
	{ "create_device_beats_bad_name", -EOPNOTSUPP, HASH_OF(.map_ifindex = 1, .map_name = "-") },

	{ "create_program_hash_without_size_is_EINVAL", -EINVAL, HASH_OF(.excl_prog_hash = 1 << 20) },
	{ "create_program_hash_without_pointer_is_EINVAL", -EINVAL, HASH_OF(.excl_prog_hash_size = 32) },
	{ "create_program_hash_of_31_is_EINVAL", -EINVAL, HASH_OF(BAD_HASH_SIZE) },
	{ "create_program_hash_unreadable_is_EFAULT", -EFAULT,
	  HASH_OF(.excl_prog_hash = 8, .excl_prog_hash_size = 32) },
	{ "create_large_value_beats_program_hash", -E2BIG, HASH_OF(BAD_HASH_SIZE, .value_size = 8 * MIB) },
	{ "create_bad_name_beats_program_hash", -EINVAL,
	  HASH_OF(.excl_prog_hash = 8, .excl_prog_hash_size = 32, .map_name = "-") },
	{ "create_btf_fd_beats_program_hash", -EBADF,
	  HASH_OF(BAD_HASH_SIZE, .btf_fd = CLOSED_FD, .btf_value_type_id = 1) },
};

static void create(void **state)
{
	const struct row_test *test = *state;
	const struct create_row *row = test->row;
	union abi_attr attr = { 0 };
	long result;

	attr.create = row->attr;
	result = call(test->bpf, ABI_MAP_CREATE, &attr, sizeof(attr));
	if (result >= 0)
		close((int)result);
	assert_int_equal(result < 0 ? result : 0, row->expected);
}

static void tail(abi_bpf bpf)
{
	for (unsigned at = 92; at < ABI_ATTR_SIZE; at++) {
		union abi_attr attr = { .create = HASH_OF() };

		attr.bytes[at] = 1;
		assert_int_equal(call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr)), -EINVAL);
	}
}

static void short_attr(abi_bpf bpf)
{
	union abi_attr attr = { .create = HASH_OF() };
	long fd = call(bpf, ABI_MAP_CREATE, &attr, 16);

	assert_true(fd >= 0);
	close((int)fd);
	assert_int_equal(call(bpf, ABI_MAP_CREATE, &attr, 12), -EINVAL); /* max_entries 0 */
	assert_int_equal(call(bpf, ABI_MAP_CREATE, &attr, 0), -EINVAL);
}

static void long_attr(abi_bpf bpf)
{
	static _Alignas(8) unsigned char bytes[5000];
	union abi_attr *attr = (union abi_attr *)bytes;
	long fd;

	memset(bytes, 0, sizeof(bytes));
	attr->create = (struct abi_create)HASH_OF();
	fd = call(bpf, ABI_MAP_CREATE, attr, 4096);
	assert_true(fd >= 0);
	close((int)fd);
	assert_int_equal(call(bpf, ABI_MAP_CREATE, attr, 4097), -E2BIG);
	bytes[4095] = 1;
	assert_int_equal(call(bpf, ABI_MAP_CREATE, attr, 4096), -E2BIG);
	bytes[4095] = 0;
	bytes[168] = 1;
	assert_int_equal(call(bpf, ABI_MAP_CREATE, attr, 169), -E2BIG);
	attr->create.map_type = 0;
	assert_int_equal(call(bpf, ABI_MAP_CREATE, attr, 169), -E2BIG);
}

static void bad_attr(abi_bpf bpf)
{
	assert_int_equal(call(bpf, ABI_MAP_CREATE, NULL, 168), -EFAULT);
	assert_int_equal(call(bpf, ABI_MAP_CREATE, nowhere(), 16), -EFAULT);
	assert_int_equal(call(bpf, ABI_MAP_CREATE, nowhere(), 0), -EINVAL);
	assert_int_equal(call(bpf, ABI_MAP_CREATE, nowhere(), 4097), -E2BIG);
	assert_int_equal(call(bpf, 99, nowhere(), 16), -EFAULT);
}

static void unknown_command(abi_bpf bpf)
{
	union abi_attr attr = { .create = HASH_OF() };

	assert_int_equal(call(bpf, 99, &attr, sizeof(attr)), -EINVAL);
	assert_int_equal(call(bpf, -1, &attr, sizeof(attr)), -EINVAL);
}

static void program_hash(abi_bpf bpf)
{
	union abi_attr attr = { .create = HASH_OF() };
	long fd;

	attr.create.excl_prog_hash = address(hash_of_program);
	attr.create.excl_prog_hash_size = sizeof(hash_of_program);
	fd = call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));
	assert_true(fd >= 0);
	close((int)fd);
}

static const struct act_row acts[] = {
	{ "create_with_bytes_behind_the_last_field_is_EINVAL", tail },
	{ "create_with_an_attr_shorter_than_the_kernels", short_attr },
	{ "create_with_an_attr_longer_than_the_kernels", long_attr },
	{ "attr_that_cannot_be_read_is_EFAULT", bad_attr },
	{ "command_unknown_is_EINVAL", unknown_command },
	{ "create_for_one_program", program_hash },
};

int main(void)
{
	static const struct row_table tables[] = { ROW_TABLE(rows, create), ROW_TABLE(acts, run_act) };
	int path = open("/", O_PATH), file = open("/", O_RDONLY);

	if (dup2(path, PATH_FD) < 0 || dup2(file, FILE_FD) < 0)
		return 1;
	return run_tables("create", tables, 2);
}
