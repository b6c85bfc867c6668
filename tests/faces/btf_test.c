/* SPDX-License-Identifier: MIT */
/* BPF_BTF_LOAD: its arguments, header and log, and its descriptors; and what BPF_MAP_CREATE makes of BTF. */
#include <fcntl.h>
#include <linux/btf.h>

#include "../semantics/btf_build.h"
#include "rows.h"

#define CLOSED_FD 1000000
#define FILE_FD	  901 /* a plain file */
#define MIB	  (1u << 20)
#define LOG_FIXED 8u

/* The attr of BPF_BTF_LOAD whole; rows.h has the part that most need. */
struct load_attr {
	uint64_t btf;
	uint64_t log;
	uint32_t size;
	uint32_t log_size;
	uint32_t log_level;
	uint32_t log_true_size;
	uint32_t flags;
	int32_t token_fd;
};

union load_union {
	struct load_attr load;
	union abi_attr all;
};

/* BTF of one int, as good as any. */
static void make_int(struct btf_bytes *raw)
{
	struct btf_build build = { 0 };

	build_int(&build, "int", 4);
	build_finish(&build, raw);
	build_free(&build);
}

static long load_attr(abi_bpf bpf, struct load_attr load)
{
	union load_union attr = { .load = load };

	return call(bpf, ABI_BTF_LOAD, &attr.all, sizeof(attr));
}

static long load_bytes(abi_bpf bpf, const struct btf_bytes *raw)
{
	return load_attr(bpf, (struct load_attr){ .btf = address(raw->data), .size = (uint32_t)raw->size });
}

static long load_build(abi_bpf bpf, struct btf_build *build)
{
	struct btf_bytes raw = { 0 };
	long result;

	build_finish(build, &raw);
	result = load_bytes(bpf, &raw);
	bytes_free(&raw);
	build_free(build);
	return result;
}

/* What a load comes to; a descriptor is closed again. */
static long outcome(long result)
{
	if (result < 0)
		return result;
	close((int)result);
	return 0;
}

/* The arguments. */

struct argument_row {
	const char *name;
	int expected;
	struct load_attr load; /* btf 0: of good BTF, and its size where it's 0 */
};

static const char sink[256];
#define SINK .log = 1, .log_size = sizeof(sink) /* a buffer that is there */

static const struct argument_row arguments[] = {
	{ "load", 0, { 0 } },
	{ "load_unknown_flag_is_EINVAL", -EINVAL, { .flags = 1 } },
	{ "load_token_closed_is_EBADF", -EBADF, { .flags = ABI_F_TOKEN_FD, .token_fd = CLOSED_FD } },
	{ "load_token_of_a_file_is_EINVAL", -EINVAL, { .flags = ABI_F_TOKEN_FD, .token_fd = FILE_FD } },
	{ "load_token_without_flag_is_ignored", 0, { .token_fd = CLOSED_FD } },
	{ "load_unknown_flag_beats_token", -EINVAL, { .flags = ABI_F_TOKEN_FD | 1, .token_fd = CLOSED_FD } },
	{ "load_above_16_MiB_is_E2BIG", -E2BIG, { .size = 16 * MIB + 1 } },
	{ "load_token_beats_size", -EBADF, { .flags = ABI_F_TOKEN_FD, .token_fd = CLOSED_FD, .size = 16 * MIB + 1 } },
	{ "load_size_beats_log", -E2BIG, { .size = 16 * MIB + 1, .log_level = 16 } },
	{ "load_size_beats_pointer", -E2BIG, { .btf = 8, .size = 16 * MIB + 1 } },
	{ "load_bad_pointer_is_EFAULT", -EFAULT, { .btf = 8, .size = 100 } },
	{ "load_log_beats_pointer", -EINVAL, { .btf = 8, .size = 100, .log_level = 16 } },
	{ "load_log_without_size_is_EINVAL", -EINVAL, { .log = 1, .log_level = 1 } },
	{ "load_log_size_without_log_is_EINVAL", -EINVAL, { .log_size = 10, .log_level = 1 } },
	{ "load_log_without_level_is_EINVAL", -EINVAL, { SINK } },
	{ "load_log_level_16_is_EINVAL", -EINVAL, { .log_level = 16 } },
	{ "load_log_of_1_GiB_is_EINVAL", -EINVAL, { .log = 1, .log_size = 1 << 30, .log_level = 1 } },
	{ "load_log_level_without_log", 0, { .log_level = 15 } },
	{ "load_unwritable_log_is_EFAULT", -EFAULT, { .log = 8, .log_size = 4096, .log_level = 1 } },
};

static void argument(void **state)
{
	const struct row_test *test = *state;
	const struct argument_row *row = test->row;
	struct load_attr load = row->load;
	struct btf_bytes raw = { 0 };

	make_int(&raw);
	load.btf = load.btf ? load.btf : address(raw.data);
	load.size = load.size ? load.size : (uint32_t)raw.size;
	if (load.log == 1)
		load.log = address(sink);
	assert_int_equal(outcome(load_attr(test->bpf, load)), row->expected);
	bytes_free(&raw);
}

static void no_bytes(abi_bpf bpf)
{
	assert_int_equal(load_attr(bpf, (struct load_attr){ 0 }), -EINVAL);
	assert_int_equal(load_attr(bpf, (struct load_attr){ .btf = 8 }), -EINVAL); /* nothing to be read there */
}

static void tail(abi_bpf bpf)
{
	struct btf_bytes raw = { 0 };

	make_int(&raw);
	for (unsigned at = sizeof(struct load_attr); at < ABI_ATTR_SIZE; at++) {
		union load_union attr = { .load = { .btf = address(raw.data), .size = (uint32_t)raw.size } };

		attr.all.bytes[at] = 1;
		assert_int_equal(call(bpf, ABI_BTF_LOAD, &attr.all, sizeof(attr)), -EINVAL);
	}
	bytes_free(&raw);
}

/* The header. */

struct header_row {
	const char *name;
	int expected;
	uint32_t at; /* the byte that is set, */
	uint8_t to;  /* to this */
};

static const struct header_row headers[] = {
	{ "header_magic_is_EINVAL", -EINVAL, 0, 0 },
	{ "header_version_is_ENOTSUPP", -ABI_ENOTSUPP, 2, 2 },
	{ "header_flags_are_ENOTSUPP", -ABI_ENOTSUPP, 3, 1 },
	{ "header_longer_than_the_data_is_EINVAL", -EINVAL, 6, 1 },
	{ "header_of_2_bytes_has_no_version", -ABI_ENOTSUPP, 4, 2 },
	{ "header_of_4_bytes_is_EINVAL", -EINVAL, 4, 4 },
	{ "header_without_lengths_is_EINVAL", -EINVAL, 4, 8 },
	{ "header_longer_but_not_zero_is_E2BIG", -E2BIG, 4, 32 },
	{ "types_not_at_the_start_are_EINVAL", -EINVAL, 8, 4 },
	{ "types_longer_than_the_data_are_EINVAL", -EINVAL, 15, 0x80 },
	{ "types_that_overlap_the_strings_are_EINVAL", -EINVAL, 12, 20 },
	{ "types_before_a_gap_are_EINVAL", -EINVAL, 12, 12 },
	{ "strings_not_at_the_end_are_EINVAL", -EINVAL, 20, 4 },
	{ "strings_longer_than_the_data_are_EINVAL", -EINVAL, 20, 6 },
	{ "strings_that_begin_with_a_letter_are_EINVAL", -EINVAL, 24 + 16, 'x' },
	{ "strings_without_an_end_are_EINVAL", -EINVAL, 24 + 16 + 4, 'x' },
};

static void header(void **state)
{
	const struct row_test *test = *state;
	const struct header_row *row = test->row;
	struct btf_bytes raw = { 0 };

	make_int(&raw);
	assert_true(row->at < raw.size);
	raw.data[row->at] = row->to;
	assert_int_equal(outcome(load_bytes(test->bpf, &raw)), row->expected);
	bytes_free(&raw);
}

static void longer_header(abi_bpf bpf)
{
	struct btf_bytes raw = { 0 };

	make_int(&raw);
	bytes_add(&raw, "\0\0\0\0\0", 5); /* not even a multiple of 4 */
	memmove(raw.data + 29, raw.data + 24, raw.size - 29);
	memset(raw.data + 24, 0, 5);
	raw.data[4] = 29;
	assert_int_equal(outcome(load_bytes(bpf, &raw)), 0);
	bytes_free(&raw);
}

static void as_many_types_as_fit(abi_bpf bpf)
{
	uint32_t n = (16 * MIB - 24 - 1) / 12; /* more than an id in a type may say */
	static const uint32_t pointer[3] = { 0, BTF_KIND_PTR << 24, 0 };
	struct btf_header header = { BTF_MAGIC, BTF_VERSION, 0, 24, 0, n * 12, n * 12, 1 };
	struct btf_bytes raw = { 0 };

	bytes_add(&raw, &header, sizeof(header));
	for (uint32_t i = 0; i < n; i++)
		bytes_add(&raw, pointer, sizeof(pointer));
	bytes_add(&raw, "", 1);
	assert_int_equal(outcome(load_bytes(bpf, &raw)), 0);
	bytes_free(&raw);
}

/* The kernel's own, where it shows it: all kinds that there are, and larger than what programs have. */
static void of_the_kernel(abi_bpf bpf)
{
	int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	struct btf_bytes raw = { 0 };
	char piece[4096];
	ssize_t n;

	if (fd < 0)
		skip();
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		bytes_add(&raw, piece, (size_t)n);
	close(fd);
	assert_int_equal(outcome(load_bytes(bpf, &raw)), 0);
	bytes_free(&raw);
}

/* The log. Its text is each side's own. */

/* Loads two bytes, which is an error, with a log of this size, which begins as ones; returns the text's true size. */
static uint32_t load_and_log(abi_bpf bpf, char *log, uint32_t log_size, uint32_t level, long expected)
{
	union load_union attr = { .load = { .btf = address("xx"),
					    .log = address(log),
					    .size = 2,
					    .log_size = log_size,
					    .log_level = level } };

	memset(log, 1, 256);
	assert_int_equal(call(bpf, ABI_BTF_LOAD, &attr.all, sizeof(attr)), expected);
	if (log_size < 256)
		assert_int_equal(log[log_size], 1);
	return attr.load.log_true_size;
}

static void log_of_a_failure(abi_bpf bpf)
{
	char log[256];
	uint32_t size = load_and_log(bpf, log, sizeof(log), 1, -EINVAL);

	assert_true(size > 1 && size < sizeof(log));
	assert_int_equal(strlen(log), size - 1);
	assert_int_equal(log[size], 1);
	assert_int_equal(load_and_log(bpf, log, size, 1, -EINVAL), size);
}

static void log_too_small(abi_bpf bpf)
{
	char whole[256], log[256];
	uint32_t size = load_and_log(bpf, whole, sizeof(whole), 1, -EINVAL);

	assert_int_equal(load_and_log(bpf, log, size - 1, 1, -ENOSPC), size);
	assert_string_equal(log, whole + 1); /* the end */
	assert_int_equal(load_and_log(bpf, log, size - 1, 1 | LOG_FIXED, -ENOSPC), size);
	assert_int_equal(strlen(log), size - 2);
	assert_memory_equal(log, whole, size - 2); /* the beginning */
	assert_int_equal(load_and_log(bpf, log, 1, 1, -ENOSPC), size);
	assert_int_equal(log[0], 0);
}

static void true_size(abi_bpf bpf)
{
	union load_union attr = { .load = { .btf = address("xx"), .size = 2, .log_true_size = 77 } };

	assert_int_equal(call(bpf, ABI_BTF_LOAD, &attr.all, sizeof(attr)), -EINVAL);
	assert_int_equal(attr.load.log_true_size, 0); /* nothing was to be logged */
	attr.load.log_level = 1;
	assert_int_equal(call(bpf, ABI_BTF_LOAD, &attr.all, sizeof(attr)), -EINVAL);
	assert_true(attr.load.log_true_size > 1); /* so much room it would take */
	attr.load.log_true_size = 77;
	assert_int_equal(call(bpf, ABI_BTF_LOAD, &attr.all, 31), -EINVAL);
	assert_int_equal(attr.load.log_true_size, 77); /* an older caller's attr has no such field */
	attr.load.log_level = 16;
	assert_int_equal(call(bpf, ABI_BTF_LOAD, &attr.all, sizeof(attr)), -EINVAL);
	assert_int_equal(attr.load.log_true_size, 77); /* no log was begun */
}

static void log_of_a_success(abi_bpf bpf)
{
	struct btf_bytes raw = { 0 };
	union load_union attr;
	char log[1024];

	make_int(&raw);
	memset(log, 1, sizeof(log));
	attr = (union load_union){ .load = { .btf = address(raw.data),
					     .log = address(log),
					     .size = (uint32_t)raw.size,
					     .log_size = sizeof(log),
					     .log_level = 1 } };
	assert_int_equal(outcome(call(bpf, ABI_BTF_LOAD, &attr.all, sizeof(attr))), 0);
	assert_int_equal(strnlen(log, sizeof(log)) + 1, attr.load.log_true_size);
	bytes_free(&raw);
}

/* The descriptor. */

static long load_int(abi_bpf bpf)
{
	struct btf_bytes raw = { 0 };
	long fd;

	make_int(&raw);
	fd = load_bytes(bpf, &raw);
	bytes_free(&raw);
	assert_true(fd >= 0);
	return fd;
}

static void descriptor(abi_bpf bpf)
{
	int fd = (int)load_int(bpf);

	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
}

static void no_map(abi_bpf bpf)
{
	static const int commands[] = { ABI_MAP_LOOKUP_ELEM,
					ABI_MAP_UPDATE_ELEM,
					ABI_MAP_DELETE_ELEM,
					ABI_MAP_GET_NEXT_KEY,
					ABI_MAP_LOOKUP_AND_DELETE_ELEM,
					ABI_MAP_FREEZE };
	int fd = (int)load_int(bpf);

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd } };

		assert_int_equal(call(bpf, commands[i], &attr, sizeof(attr)), -EINVAL);
	}
	for (int cmd = ABI_MAP_LOOKUP_BATCH; cmd <= ABI_MAP_DELETE_BATCH; cmd++) {
		union abi_attr attr = { .batch = { .map_fd = (uint32_t)fd } };

		assert_int_equal(call(bpf, cmd, &attr, sizeof(attr)), -EINVAL);
	}
	close(fd);
}

/* Maps with BTF. Its types: */

enum {
	INT = 1,
	LOCK,
	LOCKED,
	NUMBER,
	LONG,
	INNER,
	VAR,
	SECTION,
	OUTER,
	PAIR,
	TIMER,
	TIMED,
	ODD_INT,
	FLAT,
	FLAT_VAR,
	FLAT_SECTION,
	N_TYPES
};

static uint32_t add_lock(struct btf_build *build, uint32_t number)
{
	uint32_t id = build_type(build, "bpf_spin_lock", BTF_KIND_STRUCT, 1, 4);

	build_member(build, "val", number, 0);
	return id;
}

static void make_types(struct btf_build *build)
{
	assert_int_equal(build_int(build, "int", 4), INT);
	assert_int_equal(add_lock(build, INT), LOCK);
	build_type(build, "locked", BTF_KIND_STRUCT, 2, 16);
	build_member(build, "n", INT, 0);
	build_member(build, "lock", LOCK, 64);
	build_type(build, "number", BTF_KIND_TYPEDEF, 0, INT);
	build_int(build, "long", 8);
	build_array(build, LOCKED, INT, 1);
	build_type(build, "var", BTF_KIND_VAR, 0, LOCKED);
	build_word(build, BTF_VAR_GLOBAL_ALLOCATED);
	build_type(build, ".data", BTF_KIND_DATASEC, 1, 16);
	build_word(build, VAR);
	build_word(build, 0);
	build_word(build, 16);
	build_type(build, "outer", BTF_KIND_STRUCT, 2, 24);
	build_member(build, "n", LONG, 0);
	build_member(build, "inner", INNER, 64);
	build_array(build, LOCKED, INT, 2);
	build_type(build, "bpf_timer", BTF_KIND_STRUCT, 0, 16);
	build_type(build, "timed", BTF_KIND_STRUCT, 1, 16);
	build_member(build, "timer", TIMER, 0);
	build_type(build, "odd", BTF_KIND_INT, 0, 4);
	build_word(build, 31);
	build_type(build, "flat", BTF_KIND_STRUCT, 1, 16);
	build_member(build, "n", INT, 0);
	build_type(build, "flat_var", BTF_KIND_VAR, 0, FLAT);
	build_word(build, BTF_VAR_STATIC);
	build_type(build, ".bss", BTF_KIND_DATASEC, 1, 16);
	build_word(build, FLAT_VAR);
	build_word(build, 0);
	build_word(build, 16);
	assert_int_equal(build->n, N_TYPES - 1);
}

#define NO_LOCK -1

struct map_row {
	const char *name;
	int expected;
	struct abi_create attr;
	int lock; /* where values have it; 0 stands for NO_LOCK, no row has it there */
};

#define HASH_OF(k, v, ...)                                                                                     \
	{                                                                                                      \
		.map_type = ABI_HASH, .key_size = 4, .value_size = 16, .max_entries = 2, .btf_key_type_id = k, \
		.btf_value_type_id = v, __VA_ARGS__                                                            \
	}
#define ARRAY_OF(k, v, ...)                                                                                     \
	{                                                                                                       \
		.map_type = ABI_ARRAY, .key_size = 4, .value_size = 16, .max_entries = 2, .btf_key_type_id = k, \
		.btf_value_type_id = v, __VA_ARGS__                                                             \
	}

/* Rows that give a member twice mean it: the second is the rule's. */
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif

static const struct map_row maps[] = {
	{ "map_hash", 0, HASH_OF(INT, FLAT), 0 },
	{ "map_hash_with_lock", 0, HASH_OF(INT, LOCKED), 8 },
	{ "map_array_with_lock", 0, ARRAY_OF(INT, LOCKED), 8 },
	{ "map_lock_in_an_array_of_one_struct", 0, HASH_OF(INT, OUTER, .value_size = 24), 16 },
	{ "map_lock_in_an_array_of_two_structs_is_none", 0, HASH_OF(INT, PAIR, .value_size = 32), 0 },
	{ "map_value_that_is_an_array_has_no_lock", 0, HASH_OF(INT, INNER), 0 },
	{ "map_value_that_is_a_lock_but_larger_is_EINVAL", -EINVAL, HASH_OF(INT, LOCK), 0 },
	{ "map_key_of_another_size_is_EINVAL", -EINVAL, HASH_OF(LONG, FLAT), 0 },
	{ "map_value_of_another_size_is_EINVAL", -EINVAL, HASH_OF(INT, FLAT, .value_size = 17), 0 },
	{ "map_key_id_unknown_is_EINVAL", -EINVAL, HASH_OF(N_TYPES, FLAT), 0 },
	{ "map_value_id_unknown_is_EINVAL", -EINVAL, HASH_OF(INT, N_TYPES), 0 },
	{ "map_value_id_0_with_a_key_is_EINVAL", -EINVAL, HASH_OF(INT, 0), 0 },
	{ "map_value_that_is_a_variable", 0, HASH_OF(INT, VAR), 8 },
	{ "map_hash_of_a_section", 0, HASH_OF(INT, SECTION), 8 },
	{ "map_hash_without_key_is_EINVAL", -EINVAL, HASH_OF(0, FLAT), 0 },
	{ "map_array_without_key_is_EINVAL", -EINVAL, ARRAY_OF(0, FLAT, .max_entries = 1), 0 },
	{ "map_array_of_a_section", 0, ARRAY_OF(0, SECTION, .max_entries = 1), 8 },
	{ "map_array_of_two_sections_is_EINVAL", -EINVAL, ARRAY_OF(0, SECTION), 0 },
	{ "map_array_of_sections_with_key", 0, ARRAY_OF(INT, SECTION), 8 },
	{ "map_array_of_a_section_of_another_size_is_EINVAL", -EINVAL,
	  ARRAY_OF(0, SECTION, .max_entries = 1, .value_size = 8), 0 },
	{ "map_array_key_may_be_a_typedef", 0, ARRAY_OF(NUMBER, FLAT), 0 },
	{ "map_array_key_of_31_bits_is_EINVAL", -EINVAL, ARRAY_OF(ODD_INT, FLAT), 0 },
	{ "map_array_key_that_is_a_struct_is_EINVAL", -EINVAL, ARRAY_OF(LOCK, FLAT), 0 },
	{ "map_hash_key_that_is_a_struct", 0, HASH_OF(LOCK, FLAT), 0 },
	{ "map_percpu_hash", 0, HASH_OF(INT, FLAT, .map_type = ABI_PERCPU_HASH), 0 },
	{ "map_percpu_array", 0, ARRAY_OF(INT, FLAT, .map_type = ABI_PERCPU_ARRAY), 0 },
	{ "map_percpu_array_of_a_section_is_EINVAL", -EINVAL,
	  ARRAY_OF(0, FLAT_SECTION, .map_type = ABI_PERCPU_ARRAY, .max_entries = 1), 0 },
	{ "map_percpu_array_of_a_section_with_key", 0, ARRAY_OF(INT, FLAT_SECTION, .map_type = ABI_PERCPU_ARRAY), 0 },
	{ "map_percpu_hash_with_lock_is_EOPNOTSUPP", -EOPNOTSUPP, HASH_OF(INT, LOCKED, .map_type = ABI_PERCPU_HASH),
	  0 },
	{ "map_percpu_array_with_lock_is_EOPNOTSUPP", -EOPNOTSUPP, ARRAY_OF(INT, LOCKED, .map_type = ABI_PERCPU_ARRAY),
	  0 },
	{ "map_percpu_array_with_lock_beats_key", -EOPNOTSUPP, ARRAY_OF(LOCK, LOCKED, .map_type = ABI_PERCPU_ARRAY),
	  0 },
	{ "map_percpu_hash_with_timer_is_EOPNOTSUPP", -EOPNOTSUPP, HASH_OF(INT, TIMED, .map_type = ABI_PERCPU_HASH),
	  0 },
	{ "map_rdonly_prog", 0, HASH_OF(INT, FLAT, .map_flags = ABI_F_RDONLY_PROG), 0 },
	{ "map_rdonly_prog_with_lock_is_EACCES", -EACCES, HASH_OF(INT, LOCKED, .map_flags = ABI_F_RDONLY_PROG), 0 },
	{ "map_wronly_prog_with_lock_is_EACCES", -EACCES, ARRAY_OF(INT, LOCKED, .map_flags = ABI_F_WRONLY_PROG), 0 },
	{ "map_access_beats_type", -EACCES,
	  HASH_OF(INT, LOCKED, .map_type = ABI_PERCPU_HASH, .map_flags = ABI_F_RDONLY_PROG), 0 },
	{ "map_value_size_beats_access", -EINVAL, HASH_OF(INT, LOCKED, .value_size = 8, .map_flags = ABI_F_RDONLY_PROG),
	  0 },
	{ "map_lock_beats_array_key", -EACCES, ARRAY_OF(LOCK, LOCKED, .map_flags = ABI_F_RDONLY_PROG), 0 },
	{ "map_with_lock_mmapable", 0, ARRAY_OF(INT, LOCKED, .map_flags = ABI_F_MMAPABLE), 8 },
	{ "map_bad_name_beats_types", -EINVAL, HASH_OF(INT, LOCKED, .map_flags = ABI_F_RDONLY_PROG, .map_name = "-"),
	  0 },
	{ "map_types_beat_program_hash", -EACCES,
	  HASH_OF(INT, LOCKED, .map_flags = ABI_F_RDONLY_PROG, .excl_prog_hash = 8, .excl_prog_hash_size = 32), 0 },
	{ "map_program_hash_behind_types", -EFAULT,
	  HASH_OF(INT, LOCKED, .excl_prog_hash = 8, .excl_prog_hash_size = 32), 0 },
};

static long load_types(abi_bpf bpf)
{
	struct btf_build build = { 0 };
	long fd;

	make_types(&build);
	fd = load_build(bpf, &build);
	assert_true(fd >= 0);
	return fd;
}

static long create(abi_bpf bpf, long btf, const struct abi_create *wanted)
{
	union abi_attr attr = { 0 };

	attr.create = *wanted;
	attr.create.btf_fd = (uint32_t)btf;
	return call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));
}

/* Where values keep 4 bytes for themselves. */
static int find_lock(abi_bpf bpf, int fd, uint32_t value_size)
{
	unsigned char value[64];
	uint32_t key = 0;
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = address(&key), .value = address(value) } };
	int at = NO_LOCK;
	bool locked;

	memset(value, 0xff, sizeof(value));
	assert_int_equal(call(bpf, ABI_MAP_UPDATE_ELEM, &attr, sizeof(attr)), 0);
	assert_int_equal(call(bpf, ABI_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), 0);
	for (uint32_t i = value_size; i-- > 0;)
		at = value[i] == 0 ? (int)i : at;
	attr.elem.flags = ABI_F_LOCK;
	locked = call(bpf, ABI_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) == 0;
	assert_int_equal(locked, at != NO_LOCK);
	return at;
}

static void map(void **state)
{
	const struct row_test *test = *state;
	const struct map_row *row = test->row;
	long btf = load_types(test->bpf), fd = create(test->bpf, btf, &row->attr);

	close((int)btf); /* the map doesn't need it any more */
	assert_int_equal(fd < 0 ? fd : 0, row->expected);
	if (fd < 0)
		return;
	if (!abi_is_percpu(row->attr.map_type))
		assert_int_equal(find_lock(test->bpf, (int)fd, row->attr.value_size), row->lock ? row->lock : NO_LOCK);
	close((int)fd);
}

static void map_of_a_map(abi_bpf bpf)
{
	struct abi_create attr = { .map_type = ABI_ARRAY, .key_size = 4, .value_size = 16, .max_entries = 1 };
	int fd = (int)create(bpf, 0, &attr);

	assert_true(fd >= 0);
	attr.btf_key_type_id = INT;
	attr.btf_value_type_id = FLAT;
	assert_int_equal(create(bpf, fd, &attr), -EINVAL);
	close(fd);
}

/* Reads three words from the map's info. */
static void read_ids(abi_bpf bpf, int fd, uint32_t ids[3])
{
	unsigned char info[ABI_MAP_INFO_SIZE];
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = address(info) } };

	memset(info, 0, sizeof(info));
	memset(info + ABI_MAP_INFO_BTF_ID, 0x11, 12);
	assert_int_equal(call(bpf, ABI_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
	memcpy(ids, info + ABI_MAP_INFO_BTF_ID, 12);
}

static void info(abi_bpf bpf)
{
	static const struct abi_create with = HASH_OF(NUMBER, LOCKED), without = HASH_OF(0, 0);
	long btf = load_types(bpf), other = load_types(bpf);
	int first = (int)create(bpf, btf, &with), second = (int)create(bpf, btf, &with);
	int third = (int)create(bpf, other, &with), none = (int)create(bpf, btf, &without);
	uint32_t ids[3], more[3];

	read_ids(bpf, first, ids);
	assert_int_not_equal(ids[0], 0);
	assert_int_equal(ids[1], NUMBER); /* as given, not what is behind it */
	assert_int_equal(ids[2], LOCKED);
	read_ids(bpf, second, more);
	assert_memory_equal(ids, more, sizeof(ids));
	read_ids(bpf, third, more);
	assert_int_not_equal(ids[0], more[0]);
	read_ids(bpf, none, more);
	assert_int_equal(more[0], 0x11111111); /* not written */
	close(first);
	close(second);
	close(third);
	close(none);
	close((int)btf);
	close((int)other);
}

static void freeze(abi_bpf bpf)
{
	static const struct abi_create with = ARRAY_OF(INT, LOCKED), without = ARRAY_OF(INT, FLAT);
	long btf = load_types(bpf);
	union abi_attr attr = { .freeze_fd = (uint32_t)create(bpf, btf, &with) };

	assert_int_equal(call(bpf, ABI_MAP_FREEZE, &attr, sizeof(attr)), -ABI_ENOTSUPP);
	close((int)attr.freeze_fd);
	attr.freeze_fd = (uint32_t)create(bpf, btf, &without);
	assert_int_equal(call(bpf, ABI_MAP_FREEZE, &attr, sizeof(attr)), 0);
	close((int)attr.freeze_fd);
	close((int)btf);
}

static const struct act_row acts[] = {
	{ "load_of_no_bytes_is_EINVAL", no_bytes },
	{ "load_with_bytes_behind_the_last_field_is_EINVAL", tail },
	{ "header_may_be_longer_by_zeros", longer_header },
	{ "types_are_limited_by_their_bytes_alone", as_many_types_as_fit },
	{ "types_of_the_kernel", of_the_kernel },
	{ "log_tells_why", log_of_a_failure },
	{ "log_too_small_is_ENOSPC", log_too_small },
	{ "log_true_size", true_size },
	{ "log_of_a_success_ends", log_of_a_success },
	{ "descriptor_is_read_only_and_closed_by_exec", descriptor },
	{ "descriptor_is_no_map", no_map },
	{ "map_with_the_descriptor_of_a_map_as_btf_is_EINVAL", map_of_a_map },
	{ "info_has_the_ids", info },
	{ "freeze_of_a_map_with_lock_is_ENOTSUPP", freeze },
};

int main(void)
{
	static const struct row_table tables[] = { ROW_TABLE(arguments, argument), ROW_TABLE(headers, header),
						   ROW_TABLE(maps, map), ROW_TABLE(acts, run_act) };
	int file = open("/", O_RDONLY);

	if (dup2(file, FILE_FD) < 0)
		return 1;
	return run_tables("btf", tables, 4);
}
