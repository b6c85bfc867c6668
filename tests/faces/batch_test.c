/* SPDX-License-Identifier: MIT */
/* Batches: each check, which of two comes first, how far a failing one gets, and what it writes back. */
#include <fcntl.h>

#include "rows.h"

#define LOOKUP ABI_MAP_LOOKUP_BATCH
#define TAKE ABI_MAP_LOOKUP_AND_DELETE_BATCH
#define UPDATE ABI_MAP_UPDATE_BATCH
#define DELETE ABI_MAP_DELETE_BATCH

#define ASKED 77u /* a token that nobody wrote */
#define ROOM 16

/* HASH has keys 1 to 4 and room for 8, FULL keys 1 to 5 and no more room, ARRAY keys 0 to 3. */
enum which { HASH, EMPTY, FULL, ARRAY, RDONLY, WRONLY, FROZEN, CLOSED, NO_MAP };

enum buffer { GOOD, NONE, BAD };

struct row {
	const char *name;
	int cmd;
	int expected;
	enum which map;
	uint32_t count;
	uint32_t expected_count;
	enum buffer keys, values, out;
	uint64_t elem_flags, flags;
	int last_key; /* UPDATE and DELETE use keys 1, 2, …; the last of them is this, if not 0 */
};

static const struct row rows[] = {
	{ "update_batch", UPDATE, 0, HASH, 3, 3, GOOD, GOOD, NONE, 0, 0, 0 },
	{ "update_batch_of_none_is_fine", UPDATE, 0, HASH, 0, 0, BAD, BAD, NONE, 0, 0, 0 },
	{ "update_batch_ignores_flags", UPDATE, 0, HASH, 3, 3, GOOD, GOOD, NONE, 0, 99, 0 },
	{ "update_batch_noexist_is_EINVAL", UPDATE, -EINVAL, HASH, 3, 3, GOOD, GOOD, NONE, 1, 0, 0 },
	{ "update_batch_exist_is_EINVAL", UPDATE, -EINVAL, HASH, 3, 3, GOOD, GOOD, NONE, 2, 0, 0 },
	{ "update_batch_F_LOCK_without_lock_is_EINVAL", UPDATE, -EINVAL, HASH, 3, 3, GOOD, GOOD, NONE, 4, 0, 0 },
	{ "update_batch_elem_flags_beat_count_0", UPDATE, -EINVAL, HASH, 0, 0, GOOD, GOOD, NONE, 1, 0, 0 },
	{ "update_batch_closed_fd_beats_elem_flags", UPDATE, -EBADF, CLOSED, 3, 3, GOOD, GOOD, NONE, 1, 0, 0 },
	{ "update_batch_fd_that_is_no_map_is_EINVAL", UPDATE, -EINVAL, NO_MAP, 3, 3, GOOD, GOOD, NONE, 0, 0, 0 },
	{ "update_batch_access_beats_elem_flags", UPDATE, -EPERM, RDONLY, 3, 3, GOOD, GOOD, NONE, 1, 0, 0 },
	{ "update_batch_frozen_beats_count_0", UPDATE, -EPERM, FROZEN, 0, 0, GOOD, GOOD, NONE, 0, 0, 0 },
	{ "update_batch_by_write_only_fd", UPDATE, 0, WRONLY, 3, 3, GOOD, GOOD, NONE, 0, 0, 0 },
	{ "update_batch_bad_keys_is_EFAULT_after_none", UPDATE, -EFAULT, HASH, 3, 0, BAD, GOOD, NONE, 0, 0, 0 },
	{ "update_batch_NULL_values_is_EFAULT_after_none", UPDATE, -EFAULT, HASH, 3, 0, GOOD, NONE, NONE, 0, 0, 0 },
	{ "update_batch_stops_when_full", UPDATE, -E2BIG, FULL, 6, 5, GOOD, GOOD, NONE, 0, 0, 99 },
	{ "update_batch_array", UPDATE, 0, ARRAY, 3, 3, GOOD, GOOD, NONE, 0, 0, 0 },
	{ "update_batch_array_stops_at_large_index", UPDATE, -E2BIG, ARRAY, 4, 3, GOOD, GOOD, NONE, 0, 0, 99 },

	{ "delete_batch", DELETE, 0, HASH, 3, 3, GOOD, BAD, NONE, 0, 0, 0 },
	{ "delete_batch_ignores_flags", DELETE, 0, HASH, 3, 3, GOOD, BAD, NONE, 0, 99, 0 },
	{ "delete_batch_elem_flags_are_EINVAL", DELETE, -EINVAL, HASH, 3, 3, GOOD, BAD, NONE, 1, 0, 0 },
	{ "delete_batch_of_none_is_fine", DELETE, 0, HASH, 0, 0, BAD, BAD, NONE, 0, 0, 0 },
	{ "delete_batch_stops_at_absent_key", DELETE, -ENOENT, HASH, 3, 2, GOOD, BAD, NONE, 0, 0, 99 },
	{ "delete_batch_bad_keys_is_EFAULT", DELETE, -EFAULT, HASH, 3, 0, BAD, BAD, NONE, 0, 0, 0 },
	{ "delete_batch_by_read_only_fd_is_EPERM", DELETE, -EPERM, RDONLY, 3, 3, GOOD, BAD, NONE, 0, 0, 0 },
	{ "delete_batch_frozen_is_EPERM", DELETE, -EPERM, FROZEN, 3, 3, GOOD, BAD, NONE, 0, 0, 0 },
	{ "delete_batch_array_is_ENOTSUPP", DELETE, -ABI_ENOTSUPP, ARRAY, 3, 3, GOOD, BAD, NONE, 0, 0, 0 },
	{ "delete_batch_array_ENOTSUPP_beats_flags_and_count_0", DELETE, -ABI_ENOTSUPP, ARRAY, 0, 0, GOOD, BAD, NONE, 1, 0, 0 },

	{ "lookup_batch_whole_map_is_ENOENT_with_entries", LOOKUP, -ENOENT, HASH, 9, 4, GOOD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_batch_empty_map_is_ENOENT", LOOKUP, -ENOENT, EMPTY, 9, 0, GOOD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_batch_of_none_is_fine", LOOKUP, 0, HASH, 0, 0, BAD, BAD, BAD, 0, 0, 0 },
	{ "lookup_batch_flags_are_EINVAL", LOOKUP, -EINVAL, HASH, 9, 9, GOOD, GOOD, GOOD, 0, 1, 0 },
	{ "lookup_batch_flags_beat_count_0", LOOKUP, -EINVAL, HASH, 0, 0, GOOD, GOOD, GOOD, 0, 1, 0 },
	{ "lookup_batch_elem_flags_are_EINVAL", LOOKUP, -EINVAL, HASH, 9, 9, GOOD, GOOD, GOOD, 1, 0, 0 },
	{ "lookup_batch_by_write_only_fd_is_EPERM", LOOKUP, -EPERM, WRONLY, 9, 9, GOOD, GOOD, GOOD, 0, 1, 0 },
	{ "lookup_batch_frozen", LOOKUP, -ENOENT, FROZEN, 9, 4, GOOD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_batch_bad_keys_is_EFAULT_with_0", LOOKUP, -EFAULT, HASH, 9, 0, BAD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_batch_bad_values_is_EFAULT_with_0", LOOKUP, -EFAULT, HASH, 9, 0, GOOD, BAD, GOOD, 0, 0, 0 },
	{ "lookup_batch_out_batch_NULL_is_EFAULT_with_0", LOOKUP, -EFAULT, HASH, 9, 0, GOOD, GOOD, NONE, 0, 0, 0 },
	{ "lookup_batch_array_all_but_exactly_is_0", LOOKUP, 0, ARRAY, 4, 4, GOOD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_batch_array_more_than_all_is_ENOENT", LOOKUP, -ENOENT, ARRAY, 5, 4, GOOD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_batch_array_ignores_flags", LOOKUP, 0, ARRAY, 2, 2, GOOD, GOOD, GOOD, 0, 99, 0 },
	{ "lookup_batch_array_bad_keys_is_EFAULT_with_0", LOOKUP, -EFAULT, ARRAY, 4, 0, BAD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_batch_array_bad_values_is_EFAULT_with_0", LOOKUP, -EFAULT, ARRAY, 4, 0, GOOD, BAD, GOOD, 0, 0, 0 },
	{ "lookup_batch_array_bad_out_batch_is_EFAULT_with_the_count", LOOKUP, -EFAULT, ARRAY, 3, 3, GOOD, GOOD, BAD, 0, 0, 0 },

	{ "lookup_and_delete_batch_whole_map", TAKE, -ENOENT, HASH, 9, 4, GOOD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_and_delete_batch_flags_are_EINVAL", TAKE, -EINVAL, HASH, 9, 9, GOOD, GOOD, GOOD, 0, 1, 0 },
	{ "lookup_and_delete_batch_by_read_only_fd_is_EPERM", TAKE, -EPERM, RDONLY, 9, 9, GOOD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_and_delete_batch_by_write_only_fd_is_EPERM", TAKE, -EPERM, WRONLY, 9, 9, GOOD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_and_delete_batch_frozen_is_EPERM", TAKE, -EPERM, FROZEN, 9, 9, GOOD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_and_delete_batch_array_is_ENOTSUPP", TAKE, -ABI_ENOTSUPP, ARRAY, 4, 4, GOOD, GOOD, GOOD, 0, 0, 0 },
	{ "lookup_and_delete_batch_bad_out_batch_is_EFAULT_with_0", TAKE, -EFAULT, HASH, 9, 0, GOOD, GOOD, BAD, 0, 0, 0 },
};

static uint64_t value_of(uint32_t key)
{
	return 1000 + key;
}

static long batch(abi_bpf bpf, int cmd, int fd, const void *in, void *out, void *keys, void *values, uint32_t *count)
{
	union abi_attr attr = { .batch = { .in_batch = address(in), .out_batch = address(out), .keys = address(keys),
					   .values = address(values), .count = *count, .map_fd = (uint32_t)fd } };
	long result = call(bpf, cmd, &attr, sizeof(attr));

	*count = attr.batch.count;
	return result;
}

static int make(abi_bpf bpf, uint32_t type, uint32_t max_entries, uint32_t flags)
{
	union abi_attr attr = { .create = { .map_type = type, .key_size = 4, .value_size = 8, .max_entries = max_entries,
					    .map_flags = flags } };
	int fd = (int)call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));

	assert_true(fd >= 0);
	return fd;
}

static void update(abi_bpf bpf, int fd, uint32_t key)
{
	uint64_t value = value_of(key);
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = address(&key), .value = address(&value) } };

	assert_int_equal(call(bpf, ABI_MAP_UPDATE_ELEM, &attr, sizeof(attr)), 0);
}

static bool is_there(abi_bpf bpf, int fd, uint32_t key)
{
	uint64_t value = 0;
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = address(&key), .value = address(&value) } };

	return call(bpf, ABI_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) == 0 && value == value_of(key);
}

static int open_map(abi_bpf bpf, enum which which)
{
	uint32_t flags = which == RDONLY ? ABI_F_RDONLY : which == WRONLY ? ABI_F_WRONLY : 0;
	uint32_t first = which == ARRAY ? 0 : 1, n = which == FULL ? 5 : 4;
	int fd;

	if (which == NO_MAP)
		return open("/dev/null", O_RDWR);
	fd = which == ARRAY ? make(bpf, ABI_ARRAY, 4, 0) : make(bpf, ABI_HASH, which == FULL ? 5 : 8, flags | ABI_F_ZERO_SEED);
	for (uint32_t i = 0; i < n && which != EMPTY && which != RDONLY; i++)
		update(bpf, fd, first + i);
	if (which == FROZEN) {
		union abi_attr attr = { .freeze_fd = (uint32_t)fd };

		assert_int_equal(call(bpf, ABI_MAP_FREEZE, &attr, sizeof(attr)), 0);
	}
	if (which == CLOSED)
		close(fd);
	return fd;
}

static void *pointer(enum buffer buffer, void *ours)
{
	return buffer == NONE ? NULL : buffer == BAD ? nowhere() : ours;
}

static void check_entries(const struct row *row, const uint32_t *keys, const uint64_t *values)
{
	uint32_t seen = 0;

	for (uint32_t i = 0; i < row->expected_count; i++) {
		assert_true(keys[i] < 5 && !(seen >> keys[i] & 1));
		assert_int_equal(values[i], value_of(keys[i]));
		seen |= 1u << keys[i];
	}
	assert_int_equal(keys[row->expected_count], 0);
}

static void run_row(void **state)
{
	const struct row_test *test = *state;
	const struct row *row = test->row;
	bool walk = row->cmd == LOOKUP || row->cmd == TAKE;
	int fd = open_map(test->bpf, row->map);
	uint32_t keys[ROOM] = { 0 }, token[2] = { ASKED, ASKED };
	uint64_t values[ROOM] = { 0 };
	union abi_attr attr = { .batch = { .out_batch = address(pointer(row->out, token)), .count = row->count,
					   .map_fd = (uint32_t)fd, .elem_flags = row->elem_flags, .flags = row->flags } };

	for (uint32_t i = 0; !walk && i < row->count; i++) {
		keys[i] = row->last_key && i == row->count - 1 ? (uint32_t)row->last_key : row->map == ARRAY ? i : i + 1;
		values[i] = value_of(keys[i]);
	}
	attr.batch.keys = address(pointer(row->keys, keys));
	attr.batch.values = address(pointer(row->values, values));
	assert_int_equal(call(test->bpf, row->cmd, &attr, sizeof(attr)), row->expected);
	assert_int_equal(attr.batch.count, row->expected_count);
	assert_int_equal(token[1], ASKED);
	if (walk && row->keys == GOOD && row->values == GOOD && (row->expected == 0 || row->expected == -ENOENT))
		check_entries(row, keys, values);
	for (uint32_t i = 0; row->cmd == DELETE && row->map == HASH && i < row->count; i++)
		assert_int_equal(is_there(test->bpf, fd, i + 1), row->elem_flags || i >= row->expected_count);
	for (uint32_t key = 1; row->cmd == TAKE && row->map == HASH && key <= 4; key++)
		assert_int_equal(is_there(test->bpf, fd, key), row->expected == -EINVAL);
	if (row->map != CLOSED)
		close(fd);
}

static void tails(abi_bpf bpf)
{
	static const int commands[] = { LOOKUP, TAKE, UPDATE, DELETE };
	int fd = open_map(bpf, CLOSED);

	for (size_t i = 0; i < 4; i++) {
		for (unsigned at = 56; at < ABI_ATTR_SIZE; at++) {
			union abi_attr attr = { .batch = { .map_fd = (uint32_t)fd } };

			attr.bytes[at] = 1;
			assert_int_equal(call(bpf, commands[i], &attr, sizeof(attr)), -EINVAL);
		}
	}
}

/* The walk of a HASH, bucket by bucket, with any room: what each call gives follows from where the entries are. */
static void hash_walk(abi_bpf bpf)
{
	uint32_t order[ROOM], from[ROOM], n = 0, token = 0, room;
	int fd = make(bpf, ABI_HASH, 16, ABI_F_ZERO_SEED);

	for (uint32_t key = 0; key < 12; key++)
		update(bpf, fd, key);
	/* the contents of each bucket: a walk that starts there with room for all, less what the next one finds */
	for (uint32_t bucket = 0; bucket < 16; bucket++) {
		uint32_t keys[ROOM], next[ROOM], rest = ROOM, after = ROOM, start = bucket + 1;
		uint64_t values[ROOM];

		assert_int_equal(batch(bpf, LOOKUP, fd, &bucket, &token, keys, values, &rest), -ENOENT);
		assert_int_equal(token, 16);
		assert_int_equal(batch(bpf, LOOKUP, fd, &start, &token, next, values, &after), -ENOENT);
		for (uint32_t i = 0; i < rest - after; i++, n++) {
			order[n] = keys[i];
			from[n] = bucket;
		}
	}
	assert_int_equal(n, 12);
	for (room = 1; room <= 13; room++) {
		uint32_t at = 0, keys[ROOM], in = 0;
		uint64_t values[ROOM];
		long result = 0;

		while (result == 0) {
			uint32_t count = room, fits = at;

			for (uint32_t i = at + 1; i <= n && i - at <= room; i++)
				if (i == n || from[i] != from[i - 1])
					fits = i; /* whole buckets only */
			result = batch(bpf, LOOKUP, fd, at ? &in : NULL, &in, keys, values, &count);
			assert_int_equal(count, fits - at);
			assert_memory_equal(keys, order + at, count * sizeof(keys[0]));
			assert_int_equal(in, fits == n ? 16 : from[fits]);
			assert_int_equal(result, fits == n ? -ENOENT : fits == at ? -ENOSPC : 0);
			at = fits;
		}
	}
	close(fd);
}

/* Whatever the batches' size: where they begin and end differs, and what they gather before it goes out. */
static void any_size(abi_bpf bpf)
{
	enum { N = 2000 };
	static uint32_t keys[N];
	static uint64_t values[N];
	int fd = make(bpf, ABI_HASH, N, ABI_F_ZERO_SEED);

	for (uint32_t key = 0; key < N; key++)
		update(bpf, fd, key);
	for (uint32_t size = 20; size < N; size += 1 + size / 8) {
		bool seen[N] = { false };
		uint32_t token = 0, n = 0;
		long result = 0;

		while (result == 0) {
			uint32_t count = size;

			result = batch(bpf, LOOKUP, fd, n ? &token : NULL, &token, keys, values, &count);
			assert_true(count <= size);
			for (uint32_t i = 0; i < count; i++, n++) {
				assert_true(keys[i] < N && !seen[keys[i]] && values[i] == value_of(keys[i]));
				seen[keys[i]] = true;
			}
		}
		assert_int_equal(result, -ENOENT);
		assert_int_equal(n, N);
	}
	close(fd);
}

static void hash_tokens(abi_bpf bpf)
{
	uint32_t keys[ROOM], token = 8, out = ASKED, count = 9;
	uint64_t values[ROOM];
	int fd = open_map(bpf, HASH);

	assert_int_equal(batch(bpf, LOOKUP, fd, &token, &out, keys, values, &count), -ENOENT);
	assert_int_equal(count, 0);
	assert_int_equal(out, ASKED);
	count = 9;
	assert_int_equal(batch(bpf, LOOKUP, fd, nowhere(), &out, keys, values, &count), -EFAULT);
	assert_int_equal(count, 0);
	assert_int_equal(out, ASKED);
	close(fd);
}

static void array_walk(abi_bpf bpf)
{
	uint32_t keys[ROOM], token, count = 3;
	uint64_t values[ROOM];
	int fd = open_map(bpf, ARRAY);

	assert_int_equal(batch(bpf, LOOKUP, fd, NULL, &token, keys, values, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(token, 2);
	assert_int_equal(batch(bpf, LOOKUP, fd, &token, &token, keys, values, &count), -ENOENT);
	assert_int_equal(count, 1);
	assert_int_equal(token, 3);
	assert_int_equal(keys[0], 3);
	assert_int_equal(values[0], value_of(3));
	count = 3;
	assert_int_equal(batch(bpf, LOOKUP, fd, &token, nowhere(), keys, values, &count), -ENOENT);
	assert_int_equal(count, 0);
	token = 99;
	count = 1;
	assert_int_equal(batch(bpf, LOOKUP, fd, &token, &token, keys, values, &count), 0);
	assert_int_equal(keys[0], 0);
	count = 3;
	assert_int_equal(batch(bpf, LOOKUP, fd, nowhere(), &token, keys, values, &count), -EFAULT);
	assert_int_equal(count, 0);
	close(fd);
}

/* keys or values of which only the first two can be reached */
static void page_edge(abi_bpf bpf)
{
	unsigned char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t *keys = (uint32_t *)(pages + 4096) - 2, all[4] = { 5, 6, 7, 8 }, token, count = 4;
	uint64_t *edge_values = (uint64_t *)(pages + 4096) - 2, values[4] = { 1005, 1006, 1007, 1008 };
	int fd = open_map(bpf, EMPTY), array = open_map(bpf, ARRAY);

	assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
	memcpy(keys, all, 8);
	assert_int_equal(batch(bpf, UPDATE, fd, NULL, NULL, keys, values, &count), -EFAULT);
	assert_int_equal(count, 2);
	assert_true(is_there(bpf, fd, 5) && is_there(bpf, fd, 6) && !is_there(bpf, fd, 7));
	count = 4;
	assert_int_equal(batch(bpf, DELETE, fd, NULL, NULL, keys, NULL, &count), -EFAULT);
	assert_int_equal(count, 2);
	assert_true(!is_there(bpf, fd, 5) && !is_there(bpf, fd, 6));
	memcpy(edge_values, values, 16);
	count = 4;
	assert_int_equal(batch(bpf, UPDATE, fd, NULL, NULL, all, edge_values, &count), -EFAULT);
	assert_int_equal(count, 2);
	count = 4;
	assert_int_equal(batch(bpf, LOOKUP, array, NULL, &token, keys, values, &count), -EFAULT);
	assert_int_equal(count, 0);
	assert_int_equal(keys[1], 1); /* what could be written was */
	munmap(pages, 8192);
	close(fd);
	close(array);
}

static void read_only_attr(abi_bpf bpf)
{
	union abi_attr *attr = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open_map(bpf, HASH);
	uint32_t keys[1] = { 1 };

	attr->batch.map_fd = (uint32_t)fd;
	attr->batch.keys = address(keys);
	assert_int_equal(mprotect(attr, 4096, PROT_READ), 0);
	assert_int_equal(call(bpf, DELETE, attr, sizeof(*attr)), 0); /* count 0: nothing is written */
	assert_int_equal(mprotect(attr, 4096, PROT_READ | PROT_WRITE), 0);
	attr->batch.count = 1;
	assert_int_equal(mprotect(attr, 4096, PROT_READ), 0);
	assert_int_equal(call(bpf, DELETE, attr, sizeof(*attr)), -EFAULT);
	assert_true(is_there(bpf, fd, 1));
	munmap(attr, 4096);
	close(fd);
}

static void take_into_bad_values(abi_bpf bpf)
{
	uint32_t keys[ROOM], token, count = 9;
	int fd = open_map(bpf, HASH), there = 0;

	assert_int_equal(batch(bpf, TAKE, fd, NULL, &token, keys, nowhere(), &count), -EFAULT);
	assert_int_equal(count, 0);
	for (uint32_t key = 1; key <= 4; key++)
		there += is_there(bpf, fd, key);
	assert_in_range(there, 0, 3); /* the bucket that it failed at is gone */
	close(fd);
}

static void large_elements(abi_bpf bpf)
{
	enum { N = 3, SIZE = 3000 };
	static unsigned char keys[N][SIZE], in[N][SIZE], out_keys[N][SIZE], out[N][SIZE];
	union abi_attr attr = { .create = { .map_type = ABI_HASH, .key_size = SIZE, .value_size = SIZE, .max_entries = N } };
	int fd = (int)call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));
	uint32_t token, count = N;

	for (int i = 0; i < N; i++) {
		memset(keys[i], i + 1, SIZE);
		memset(in[i], i + 101, SIZE);
	}
	assert_int_equal(batch(bpf, UPDATE, fd, NULL, NULL, keys, in, &count), 0);
	assert_int_equal(count, N);
	assert_int_equal(batch(bpf, LOOKUP, fd, NULL, &token, out_keys, out, &count), -ENOENT);
	assert_int_equal(count, N);
	for (int i = 0; i < N; i++)
		assert_memory_equal(out[i], in[out_keys[i][SIZE - 1] - 1], SIZE);
	close(fd);
}

static const struct act_row acts[] = {
	{ "bytes_behind_the_last_field_are_EINVAL_before_the_fd", tails },
	{ "lookup_batch_hash_gives_whole_buckets_in_any_room", hash_walk },
	{ "lookup_batches_of_any_size_give_each_entry_once", any_size },
	{ "lookup_batch_hash_tokens_are_checked", hash_tokens },
	{ "lookup_batch_array_goes_on_behind_its_token", array_walk },
	{ "batch_reports_how_far_it_came_before_a_fault", page_edge },
	{ "batch_that_cannot_write_its_count_does_nothing", read_only_attr },
	{ "lookup_and_delete_batch_with_bad_values_has_deleted_the_bucket", take_into_bad_values },
	{ "batch_of_large_elements", large_elements },
};

int main(void)
{
	static const struct row_table tables[] = { ROW_TABLE(rows, run_row), ROW_TABLE(acts, run_act) };

	return run_tables("batch", tables, 2);
}
