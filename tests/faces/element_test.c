/* SPDX-License-Identifier: MIT */
/* Commands on one element, freezing and info: each check, and which of two comes first. */
#include <fcntl.h>

#include "rows.h"

#define MANY_FLAGS (1ull << 40)
#define LOCK 4
#define VALUE_OF(key) (100 + (uint64_t)(key))

enum which {
	HASH,   /* keys 1 and 2, room for 4 */
	FULL,   /* keys 1 and 2, room for 2 */
	EMPTY,  /* no key, room for 4 */
	ARRAY,  /* 4 values */
	RDONLY, /* EMPTY, by a descriptor that may only read */
	WRONLY, /* HASH, by one that may only write */
	FROZEN, /* HASH, frozen */
	FROZEN_ARRAY,
	CLOSED, /* no descriptor */
	NO_MAP, /* a descriptor of something else */
};

/* Pointers, where a key or a value is given by number. */
enum { NO_KEY = -1, BAD = -2, OURS = -3 };

struct row {
	const char *name;
	int cmd;
	int expected; /* 0 or -errno */
	enum which map;
	int key;   /* a key, NO_KEY or BAD */
	int value; /* OURS: a buffer; NO_KEY: NULL; BAD */
	uint64_t flags;
	uint32_t next; /* the key that GET_NEXT_KEY gives, if there can be only one */
};

#define LOOKUP ABI_MAP_LOOKUP_ELEM
#define UPDATE ABI_MAP_UPDATE_ELEM
#define DELETE ABI_MAP_DELETE_ELEM
#define NEXT ABI_MAP_GET_NEXT_KEY
#define TAKE ABI_MAP_LOOKUP_AND_DELETE_ELEM

static const struct row rows[] = {
	{ "lookup_present", LOOKUP, 0, HASH, 1, OURS, 0, 0 },
	{ "lookup_absent_is_ENOENT", LOOKUP, -ENOENT, HASH, 9, OURS, 0, 0 },
	{ "lookup_in_empty_map_is_ENOENT", LOOKUP, -ENOENT, EMPTY, 1, OURS, 0, 0 },
	{ "lookup_flags_are_EINVAL", LOOKUP, -EINVAL, HASH, 1, OURS, 1, 0 },
	{ "lookup_flags_beat_closed_fd", LOOKUP, -EINVAL, CLOSED, 1, OURS, 8, 0 },
	{ "lookup_F_LOCK_without_lock_is_EINVAL", LOOKUP, -EINVAL, HASH, 1, OURS, LOCK, 0 },
	{ "lookup_closed_fd_beats_F_LOCK", LOOKUP, -EBADF, CLOSED, 1, OURS, LOCK, 0 },
	{ "lookup_access_beats_F_LOCK", LOOKUP, -EPERM, WRONLY, 1, OURS, LOCK, 0 },
	{ "lookup_F_LOCK_beats_bad_key", LOOKUP, -EINVAL, HASH, BAD, OURS, LOCK, 0 },
	{ "lookup_closed_fd_is_EBADF", LOOKUP, -EBADF, CLOSED, 1, OURS, 0, 0 },
	{ "lookup_fd_that_is_no_map_is_EINVAL", LOOKUP, -EINVAL, NO_MAP, 1, OURS, 0, 0 },
	{ "lookup_by_write_only_fd_is_EPERM", LOOKUP, -EPERM, WRONLY, 1, OURS, 0, 0 },
	{ "lookup_access_beats_bad_key", LOOKUP, -EPERM, WRONLY, BAD, OURS, 0, 0 },
	{ "lookup_key_NULL_is_EFAULT", LOOKUP, -EFAULT, HASH, NO_KEY, OURS, 0, 0 },
	{ "lookup_key_unreadable_is_EFAULT", LOOKUP, -EFAULT, HASH, BAD, OURS, 0, 0 },
	{ "lookup_value_unwritable_is_EFAULT", LOOKUP, -EFAULT, HASH, 1, BAD, 0, 0 },
	{ "lookup_value_NULL_is_EFAULT", LOOKUP, -EFAULT, HASH, 1, NO_KEY, 0, 0 },
	{ "lookup_absent_beats_unwritable_value", LOOKUP, -ENOENT, HASH, 9, BAD, 0, 0 },
	{ "lookup_in_frozen_map", LOOKUP, 0, FROZEN, 1, OURS, 0, 0 },
	{ "lookup_array", LOOKUP, 0, ARRAY, 3, OURS, 0, 0 },
	{ "lookup_array_index_too_large_is_ENOENT", LOOKUP, -ENOENT, ARRAY, 4, OURS, 0, 0 },

	{ "update_inserts", UPDATE, 0, HASH, 9, OURS, 0, 0 },
	{ "update_replaces", UPDATE, 0, HASH, 1, OURS, 0, 0 },
	{ "update_noexist_on_absent", UPDATE, 0, HASH, 9, OURS, 1, 0 },
	{ "update_noexist_on_present_is_EEXIST", UPDATE, -EEXIST, HASH, 1, OURS, 1, 0 },
	{ "update_exist_on_present", UPDATE, 0, HASH, 1, OURS, 2, 0 },
	{ "update_exist_on_absent_is_ENOENT", UPDATE, -ENOENT, HASH, 9, OURS, 2, 0 },
	{ "update_flags_3_are_EINVAL", UPDATE, -EINVAL, HASH, 1, OURS, 3, 0 },
	{ "update_high_flags_are_EINVAL", UPDATE, -EINVAL, HASH, 1, OURS, MANY_FLAGS, 0 },
	{ "update_F_LOCK_without_lock_is_EINVAL", UPDATE, -EINVAL, HASH, 1, OURS, LOCK, 0 },
	{ "update_F_LOCK_beats_bad_key", UPDATE, -EINVAL, HASH, BAD, OURS, LOCK, 0 },
	{ "update_bad_key_beats_other_flags", UPDATE, -EFAULT, HASH, BAD, OURS, 3, 0 },
	{ "update_bad_value_beats_other_flags", UPDATE, -EFAULT, HASH, 1, BAD, 3, 0 },
	{ "update_access_beats_F_LOCK", UPDATE, -EPERM, RDONLY, 1, OURS, LOCK, 0 },
	{ "update_closed_fd_beats_flags", UPDATE, -EBADF, CLOSED, 1, OURS, 3, 0 },
	{ "update_fd_that_is_no_map_is_EINVAL", UPDATE, -EINVAL, NO_MAP, 1, OURS, 0, 0 },
	{ "update_by_read_only_fd_is_EPERM", UPDATE, -EPERM, RDONLY, 1, OURS, 0, 0 },
	{ "update_by_write_only_fd", UPDATE, 0, WRONLY, 9, OURS, 0, 0 },
	{ "update_frozen_is_EPERM", UPDATE, -EPERM, FROZEN, 1, OURS, 0, 0 },
	{ "update_frozen_beats_bad_key", UPDATE, -EPERM, FROZEN, BAD, BAD, 3, 0 },
	{ "update_key_NULL_is_EFAULT", UPDATE, -EFAULT, HASH, NO_KEY, OURS, 0, 0 },
	{ "update_value_NULL_is_EFAULT", UPDATE, -EFAULT, HASH, 1, NO_KEY, 0, 0 },
	{ "update_new_key_in_full_map_is_E2BIG", UPDATE, -E2BIG, FULL, 9, OURS, 0, 0 },
	{ "update_noexist_of_new_key_in_full_map_is_E2BIG", UPDATE, -E2BIG, FULL, 9, OURS, 1, 0 },
	{ "update_exist_of_new_key_in_full_map_is_ENOENT", UPDATE, -ENOENT, FULL, 9, OURS, 2, 0 },
	{ "update_noexist_of_old_key_in_full_map_is_EEXIST", UPDATE, -EEXIST, FULL, 1, OURS, 1, 0 },
	{ "update_replaces_in_full_map", UPDATE, 0, FULL, 1, OURS, 0, 0 },
	{ "update_array", UPDATE, 0, ARRAY, 3, OURS, 0, 0 },
	{ "update_array_exist", UPDATE, 0, ARRAY, 3, OURS, 2, 0 },
	{ "update_array_noexist_is_EEXIST", UPDATE, -EEXIST, ARRAY, 3, OURS, 1, 0 },
	{ "update_array_index_too_large_is_E2BIG", UPDATE, -E2BIG, ARRAY, 4, OURS, 0, 0 },
	{ "update_array_index_beats_noexist", UPDATE, -E2BIG, ARRAY, 4, OURS, 1, 0 },
	{ "update_array_flags_beat_index", UPDATE, -EINVAL, ARRAY, 4, OURS, 3, 0 },
	{ "update_array_noexist_with_F_LOCK_is_EINVAL", UPDATE, -EINVAL, ARRAY, 3, OURS, LOCK | 1, 0 },
	{ "update_frozen_array_is_EPERM", UPDATE, -EPERM, FROZEN_ARRAY, 3, OURS, 0, 0 },

	{ "delete_present", DELETE, 0, HASH, 1, NO_KEY, 0, 0 },
	{ "delete_absent_is_ENOENT", DELETE, -ENOENT, HASH, 9, NO_KEY, 0, 0 },
	{ "delete_with_value_is_EINVAL", DELETE, -EINVAL, HASH, 1, OURS, 0, 0 },
	{ "delete_with_flags_is_EINVAL", DELETE, -EINVAL, HASH, 1, NO_KEY, 1, 0 },
	{ "delete_flags_beat_closed_fd", DELETE, -EINVAL, CLOSED, 1, NO_KEY, 1, 0 },
	{ "delete_closed_fd_is_EBADF", DELETE, -EBADF, CLOSED, 1, NO_KEY, 0, 0 },
	{ "delete_fd_that_is_no_map_is_EINVAL", DELETE, -EINVAL, NO_MAP, 1, NO_KEY, 0, 0 },
	{ "delete_key_NULL_is_EFAULT", DELETE, -EFAULT, HASH, NO_KEY, NO_KEY, 0, 0 },
	{ "delete_by_read_only_fd_is_EPERM", DELETE, -EPERM, RDONLY, 1, NO_KEY, 0, 0 },
	{ "delete_frozen_beats_bad_key", DELETE, -EPERM, FROZEN, BAD, NO_KEY, 0, 0 },
	{ "delete_array_is_EINVAL", DELETE, -EINVAL, ARRAY, 1, NO_KEY, 0, 0 },
	{ "delete_array_index_too_large_is_EINVAL", DELETE, -EINVAL, ARRAY, 4, NO_KEY, 0, 0 },
	{ "delete_frozen_array_is_EPERM", DELETE, -EPERM, FROZEN_ARRAY, 1, NO_KEY, 0, 0 },
	{ "delete_array_bad_key_is_EFAULT", DELETE, -EFAULT, ARRAY, BAD, NO_KEY, 0, 0 },

	{ "next_key_of_NULL_is_the_first", NEXT, 0, HASH, NO_KEY, OURS, 0, 0 },
	{ "next_key_of_absent_is_the_first", NEXT, 0, HASH, 9, OURS, 0, 0 },
	{ "next_key_in_empty_map_is_ENOENT", NEXT, -ENOENT, EMPTY, NO_KEY, OURS, 0, 0 },
	{ "next_key_flags_are_EINVAL", NEXT, -EINVAL, HASH, NO_KEY, OURS, 1, 0 },
	{ "next_key_flags_beat_closed_fd", NEXT, -EINVAL, CLOSED, NO_KEY, OURS, 1, 0 },
	{ "next_key_closed_fd_is_EBADF", NEXT, -EBADF, CLOSED, NO_KEY, OURS, 0, 0 },
	{ "next_key_key_unreadable_is_EFAULT", NEXT, -EFAULT, HASH, BAD, OURS, 0, 0 },
	{ "next_key_unwritable_is_EFAULT", NEXT, -EFAULT, HASH, NO_KEY, BAD, 0, 0 },
	{ "next_key_end_beats_unwritable", NEXT, -ENOENT, EMPTY, NO_KEY, BAD, 0, 0 },
	{ "next_key_by_write_only_fd_is_EPERM", NEXT, -EPERM, WRONLY, NO_KEY, OURS, 0, 0 },
	{ "next_key_in_frozen_map", NEXT, 0, FROZEN, NO_KEY, OURS, 0, 0 },
	{ "next_key_array_first", NEXT, 0, ARRAY, NO_KEY, OURS, 0, 0 },
	{ "next_key_array", NEXT, 0, ARRAY, 1, OURS, 0, 2 },
	{ "next_key_array_last_is_ENOENT", NEXT, -ENOENT, ARRAY, 3, OURS, 0, 0 },
	{ "next_key_array_index_too_large_is_the_first", NEXT, 0, ARRAY, 4, OURS, 0, 0 },

	{ "lookup_and_delete_present", TAKE, 0, HASH, 1, OURS, 0, 0 },
	{ "lookup_and_delete_absent_is_ENOENT", TAKE, -ENOENT, HASH, 9, OURS, 0, 0 },
	{ "lookup_and_delete_flags_are_EINVAL", TAKE, -EINVAL, HASH, 1, OURS, 1, 0 },
	{ "lookup_and_delete_flags_beat_closed_fd", TAKE, -EINVAL, CLOSED, 1, OURS, 8, 0 },
	{ "lookup_and_delete_F_LOCK_without_lock_is_EINVAL", TAKE, -EINVAL, HASH, 1, OURS, LOCK, 0 },
	{ "lookup_and_delete_access_beats_F_LOCK", TAKE, -EPERM, WRONLY, 1, OURS, LOCK, 0 },
	{ "lookup_and_delete_by_write_only_fd_is_EPERM", TAKE, -EPERM, WRONLY, 1, OURS, 0, 0 },
	{ "lookup_and_delete_by_read_only_fd_is_EPERM", TAKE, -EPERM, RDONLY, 1, OURS, 0, 0 },
	{ "lookup_and_delete_frozen_is_EPERM", TAKE, -EPERM, FROZEN, 1, OURS, 0, 0 },
	{ "lookup_and_delete_key_NULL_is_EFAULT", TAKE, -EFAULT, HASH, NO_KEY, OURS, 0, 0 },
	{ "lookup_and_delete_array_is_ENOTSUPP", TAKE, -ABI_ENOTSUPP, ARRAY, 1, OURS, 0, 0 },
	{ "lookup_and_delete_array_bad_key_is_EFAULT", TAKE, -EFAULT, ARRAY, BAD, OURS, 0, 0 },
	{ "lookup_and_delete_array_F_LOCK_is_EINVAL", TAKE, -EINVAL, ARRAY, 1, OURS, LOCK, 0 },
	{ "lookup_and_delete_frozen_array_is_EPERM", TAKE, -EPERM, FROZEN_ARRAY, 1, OURS, 0, 0 },
};

static long element(abi_bpf bpf, int cmd, int fd, const void *key, const void *value, uint64_t flags)
{
	union abi_attr attr = {
		.elem = { .map_fd = (uint32_t)fd, .key = address(key), .value = address(value), .flags = flags }
	};

	return call(bpf, cmd, &attr, sizeof(attr));
}

static int make(abi_bpf bpf, uint32_t type, uint32_t max_entries, uint32_t flags)
{
	union abi_attr attr = { .create = { .map_type = type, .key_size = 4, .value_size = 8, .max_entries = max_entries,
					    .map_flags = flags } };

	return (int)call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));
}

static long freeze(abi_bpf bpf, int fd)
{
	union abi_attr attr = { .freeze_fd = (uint32_t)fd };

	return call(bpf, ABI_MAP_FREEZE, &attr, sizeof(attr));
}

static void fill(abi_bpf bpf, int fd, uint32_t first, uint32_t last)
{
	for (uint32_t key = first; key <= last; key++) {
		uint64_t value = VALUE_OF(key);

		assert_int_equal(element(bpf, UPDATE, fd, &key, &value, 0), 0);
	}
}

static int open_map(abi_bpf bpf, enum which which)
{
	static const uint32_t flags[] = { [RDONLY] = ABI_F_RDONLY, [WRONLY] = ABI_F_WRONLY, [NO_MAP] = 0 };
	bool array = which == ARRAY || which == FROZEN_ARRAY;
	int fd;

	if (which == NO_MAP)
		return open("/dev/null", O_RDWR);
	fd = make(bpf, array ? ABI_ARRAY : ABI_HASH, which == FULL ? 2 : 4, flags[which]);
	assert_true(fd >= 0);
	if (array)
		fill(bpf, fd, 0, 3);
	else if (which != EMPTY && which != RDONLY)
		fill(bpf, fd, 1, 2);
	if (which == FROZEN || which == FROZEN_ARRAY)
		assert_int_equal(freeze(bpf, fd), 0);
	if (which == CLOSED)
		close(fd);
	return fd;
}

static void *pointer(int given, void *ours)
{
	return given == NO_KEY ? NULL : given == BAD ? nowhere() : ours;
}

static bool key_is_there(abi_bpf bpf, int fd, uint32_t key, uint64_t expected)
{
	uint64_t value = 0;

	return element(bpf, LOOKUP, fd, &key, &value, 0) == 0 && value == expected;
}

/* What the command must have done, where the descriptor lets us look. */
static void check_effect(abi_bpf bpf, const struct row *row, int fd, uint32_t key, uint64_t value)
{
	bool done = row->expected == 0;

	if (row->cmd == LOOKUP)
		assert_int_equal(value, done && row->value == OURS ? VALUE_OF(key) : ~0ull);
	if (row->cmd == TAKE)
		assert_int_equal(value, done ? VALUE_OF(key) : ~0ull);
	if (row->cmd == UPDATE && done && row->map != WRONLY)
		assert_true(key_is_there(bpf, fd, key, ~0ull));
	if ((row->cmd == DELETE || row->cmd == TAKE) && done)
		assert_false(key_is_there(bpf, fd, key, VALUE_OF(key)));
	if (row->cmd == NEXT && !done)
		assert_int_equal(value, ~0ull);
	if (row->cmd == NEXT && done && row->map == ARRAY)
		assert_int_equal((uint32_t)value, row->next);
	if (row->cmd == NEXT && done && row->map != ARRAY)
		assert_in_range((uint32_t)value, 1, 2);
	if (!done && (row->map == HASH || row->map == FULL || row->map == FROZEN)) {
		assert_true(key_is_there(bpf, fd, 1, VALUE_OF(1)));
		assert_true(key_is_there(bpf, fd, 2, VALUE_OF(2)));
		assert_false(key_is_there(bpf, fd, 9, ~0ull));
	}
}

static void run_row(void **state)
{
	const struct row_test *test = *state;
	const struct row *row = test->row;
	int fd = open_map(test->bpf, row->map);
	uint32_t key = (uint32_t)row->key;
	uint64_t value = ~0ull;

	assert_int_equal(element(test->bpf, row->cmd, fd, pointer(row->key, &key), pointer(row->value, &value), row->flags),
			 row->expected);
	check_effect(test->bpf, row, fd, key, value);
	if (row->map != CLOSED)
		close(fd);
}

static void tails(abi_bpf bpf)
{
	static const struct {
		int cmd;
		unsigned end;
	} commands[] = { { LOOKUP, 32 }, { UPDATE, 32 }, { TAKE, 32 }, { NEXT, 24 }, { DELETE, 16 }, { ABI_MAP_FREEZE, 4 },
			 { ABI_OBJ_GET_INFO_BY_FD, 16 } };
	int fd = open_map(bpf, CLOSED);

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		for (unsigned at = commands[i].end; at < ABI_ATTR_SIZE; at++) {
			union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd } };

			attr.bytes[at] = 1;
			assert_int_equal(call(bpf, commands[i].cmd, &attr, sizeof(attr)), -EINVAL);
		}
	}
}

static void short_attr(abi_bpf bpf)
{
	int fd = open_map(bpf, EMPTY);
	uint32_t key = 5;
	uint64_t value = 55;
	union abi_attr attr = {
		.elem = { .map_fd = (uint32_t)fd, .key = address(&key), .value = address(&value), .flags = 2 }
	};

	assert_int_equal(call(bpf, UPDATE, &attr, 24), 0); /* without the flags */
	assert_true(key_is_there(bpf, fd, key, 55));
	close(fd);
}

static void take_into_nowhere(abi_bpf bpf)
{
	int fd = open_map(bpf, HASH);
	uint32_t key = 1;

	assert_int_equal(element(bpf, TAKE, fd, &key, nowhere(), 0), -EFAULT);
	assert_false(key_is_there(bpf, fd, 1, VALUE_OF(1)));
	close(fd);
}

static void value_at_page_edge(abi_bpf bpf)
{
	unsigned char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open_map(bpf, HASH);
	uint64_t value = VALUE_OF(1);
	uint32_t key = 1;

	assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
	for (unsigned there = 1; there < 8; there++) {
		unsigned char *at = pages + 4096 - there;

		memset(pages, 0xee, 4096);
		assert_int_equal(element(bpf, LOOKUP, fd, &key, at, 0), -EFAULT);
		assert_memory_equal(at, &value, there);
		assert_int_equal(at[-1], 0xee);
		assert_int_equal(element(bpf, UPDATE, fd, &key, at, 0), -EFAULT);
	}
	munmap(pages, 8192);
	close(fd);
}

static void key_in_place(abi_bpf bpf)
{
	int fd = open_map(bpf, ARRAY);
	uint32_t key = 1;

	assert_int_equal(element(bpf, NEXT, fd, &key, &key, 0), 0);
	assert_int_equal(key, 2);
	close(fd);
}

static void walk_ends(abi_bpf bpf)
{
	int fd = open_map(bpf, HASH);
	uint32_t first = 0, second = 0;

	assert_int_equal(element(bpf, NEXT, fd, NULL, &first, 0), 0);
	assert_int_equal(element(bpf, NEXT, fd, &first, &second, 0), 0);
	assert_int_equal(first + second, 3);
	assert_int_equal(element(bpf, NEXT, fd, &second, &first, 0), -ENOENT);
	close(fd);
}

static void odd_sizes(abi_bpf bpf)
{
	static const uint32_t sizes[] = { 1, 3, 5, 7, 9, 13, 24, 33, 100, 1000, 5000, 70000 };
	static unsigned char key[70000], in[70000], out[70001];

	for (size_t k = 0; k < 12; k++) {
		for (size_t v = 0; v < 12; v++) {
			union abi_attr attr = { .create = { .map_type = ABI_HASH, .key_size = sizes[k], .value_size = sizes[v],
							    .max_entries = 2 } };
			int fd = (int)call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));

			assert_true(fd >= 0);
			memset(key, (int)(k + 1), sizes[k]);
			memset(in, (int)(v + 101), sizes[v]);
			memset(out, 0, sizeof(out));
			assert_int_equal(element(bpf, UPDATE, fd, key, in, 0), 0);
			assert_int_equal(element(bpf, LOOKUP, fd, key, out, 0), 0);
			assert_memory_equal(in, out, sizes[v]);
			assert_int_equal(out[sizes[v]], 0);
			key[sizes[k] - 1] ^= 1;
			assert_int_equal(element(bpf, LOOKUP, fd, key, out, 0), -ENOENT);
			close(fd);
		}
	}
}

static void freezing(abi_bpf bpf)
{
	int fd = open_map(bpf, HASH), read_only = open_map(bpf, RDONLY), write_only = open_map(bpf, WRONLY);
	int null = open("/dev/null", O_RDONLY);

	assert_int_equal(freeze(bpf, fd), 0);
	assert_int_equal(freeze(bpf, fd), -EPERM);
	assert_int_equal(freeze(bpf, read_only), -EPERM);
	assert_int_equal(freeze(bpf, write_only), 0);
	assert_int_equal(freeze(bpf, null), -EINVAL);
	close(fd);
	assert_int_equal(freeze(bpf, fd), -EBADF);
	close(read_only);
	close(write_only);
	close(null);
}

static long get_info(abi_bpf bpf, int fd, void *info, uint32_t size, uint32_t *written)
{
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = size, .info = address(info) } };
	long result = call(bpf, ABI_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));

	if (written)
		*written = attr.info.info_len;
	return result;
}

static void info_fields(abi_bpf bpf)
{
	static const unsigned char zeros[48];
	union abi_attr attr = { .create = { .map_type = ABI_HASH, .key_size = 5, .value_size = 9, .max_entries = 7,
					    .map_flags = ABI_F_NO_PREALLOC | ABI_F_RDONLY, .map_name = "name\0junk" } };
	int fd = (int)call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));
	uint32_t info[26] = { 0 }, other[26] = { 0 }, written;
	int fd2;

	assert_int_equal(get_info(bpf, fd, info, sizeof(info), &written), 0);
	assert_int_equal(written, 104);
	assert_int_equal(info[0], ABI_HASH);
	assert_true(info[1] > 0);
	assert_int_equal(info[2], 5);
	assert_int_equal(info[3], 9);
	assert_int_equal(info[4], 7);
	assert_int_equal(info[5], ABI_F_NO_PREALLOC);
	assert_memory_equal(&info[6], "name\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_memory_equal(&info[10], zeros, 40);
	fd2 = make(bpf, ABI_ARRAY, 4, 0);
	assert_int_equal(get_info(bpf, fd2, other, sizeof(other), NULL), 0);
	assert_int_not_equal(info[1], other[1]);
	close(fd);
	close(fd2);
}

static void info_lengths(abi_bpf bpf)
{
	static _Alignas(8) unsigned char info[5000];
	int fd = open_map(bpf, HASH), null = open("/dev/null", O_RDONLY);
	uint32_t written;

	memset(info, 0, sizeof(info));
	assert_int_equal(get_info(bpf, fd, NULL, 0, &written), 0);
	assert_int_equal(written, 0);
	assert_int_equal(get_info(bpf, fd, info, 10, &written), 0);
	assert_int_equal(written, 10);
	assert_int_equal(info[8] + info[9], 4);
	assert_int_equal(info[12], 0);
	memset(info, 0, sizeof(info));
	assert_int_equal(get_info(bpf, fd, info, 4096, &written), 0);
	assert_int_equal(written, 104);
	memset(info, 0, sizeof(info));
	assert_int_equal(get_info(bpf, fd, info, 4097, NULL), -E2BIG);
	info[104] = 1;
	assert_int_equal(get_info(bpf, fd, info, 105, NULL), -E2BIG);
	assert_int_equal(get_info(bpf, fd, info, 104, NULL), 0);
	assert_int_equal(get_info(bpf, fd, NULL, 104, NULL), -EFAULT);
	assert_int_equal(get_info(bpf, null, info, 104, NULL), -EINVAL);
	close(fd);
	assert_int_equal(get_info(bpf, fd, info, 104, NULL), -EBADFD);
	close(null);
}

static void info_of_write_only(abi_bpf bpf)
{
	uint32_t info[26] = { 0 };
	int fd = open_map(bpf, WRONLY);

	assert_int_equal(get_info(bpf, fd, info, sizeof(info), NULL), 0);
	close(fd);
}

static const struct act_row acts[] = {
	{ "bytes_behind_the_last_field_are_EINVAL_before_the_fd", tails },
	{ "attr_without_its_last_fields_has_them_0", short_attr },
	{ "lookup_and_delete_with_unwritable_value_is_EFAULT_and_the_element_is_gone", take_into_nowhere },
	{ "value_at_the_edge_of_a_page_is_written_as_far_as_it_goes", value_at_page_edge },
	{ "next_key_may_replace_the_key", key_in_place },
	{ "next_key_of_the_last_is_ENOENT", walk_ends },
	{ "keys_and_values_of_any_size_are_copied_exactly", odd_sizes },
	{ "freeze_needs_write_access_and_works_once", freezing },
	{ "info_has_what_create_was_given", info_fields },
	{ "info_of_any_length", info_lengths },
	{ "info_needs_no_read_access", info_of_write_only },
};

int main(void)
{
	static const struct row_table tables[] = { ROW_TABLE(rows, run_row), ROW_TABLE(acts, run_act) };

	return run_tables("element", tables, 2);
}
