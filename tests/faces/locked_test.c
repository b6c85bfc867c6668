/* SPDX-License-Identifier: MIT */
/* Maps whose values have a struct bpf_spin_lock, by commands: BPF_F_LOCK, and the lock's own bytes, which nobody sees. */
#include "../semantics/typeinfo.h"
#include "rows.h"

#define SIZE	 24u /* of a value */
#define LOCK_OFF 8u
#define N_MAX	 8u
#define LOCKED	 ABI_F_LOCK

#define LOOKUP	     ABI_MAP_LOOKUP_ELEM
#define UPDATE	     ABI_MAP_UPDATE_ELEM
#define DELETE	     ABI_MAP_DELETE_ELEM
#define NEXT	     ABI_MAP_GET_NEXT_KEY
#define TAKE	     ABI_MAP_LOOKUP_AND_DELETE_ELEM
#define LOOKUP_BATCH ABI_MAP_LOOKUP_BATCH
#define TAKE_BATCH   ABI_MAP_LOOKUP_AND_DELETE_BATCH
#define UPDATE_BATCH ABI_MAP_UPDATE_BATCH
#define DELETE_BATCH ABI_MAP_DELETE_BATCH

/* What a map is to be, and the BTF that it's given. */
struct lock_map {
	uint32_t type, key_size, value_size, max_entries, flags;
	uint32_t lock_off;
	uint32_t btf_value_size; /* if not 0, the BTF is of a value of this size */
	bool bytes_key;		 /* the key's type is an array of bytes, not a number */
	bool nested;
};

struct create_row {
	const char *name;
	int expected;
	struct lock_map map;
};

#define MAP_OF(of_type, ...)                                                                                \
	{                                                                                                   \
		.type = of_type, .key_size = 4, .value_size = SIZE, .max_entries = 4, .lock_off = LOCK_OFF, \
		__VA_ARGS__                                                                                 \
	}
#define HASH_OF(...)  MAP_OF(ABI_HASH, __VA_ARGS__)
#define ARRAY_OF(...) HASH_OF(.type = ABI_ARRAY, __VA_ARGS__)

/* Rows that give a member twice mean it: the second is the rule's. */
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif

static const struct create_row create_rows[] = {
	{ "create_hash", 0, HASH_OF() },
	{ "create_array", 0, ARRAY_OF() },
	{ "create_array_mmapable", 0, ARRAY_OF(.flags = ABI_F_MMAPABLE) },
	{ "create_hash_no_prealloc", 0, HASH_OF(.flags = ABI_F_NO_PREALLOC) },
	{ "create_hash_by_read_only_fd", 0, HASH_OF(.flags = ABI_F_RDONLY) },
	{ "create_hash_of_bytes", 0, HASH_OF(.key_size = 13, .bytes_key = true) },
	{ "create_lock_in_a_nested_struct", 0, HASH_OF(.nested = true) },
	{ "create_lock_at_the_beginning", 0, HASH_OF(.lock_off = 0) },
	{ "create_lock_at_the_end", 0, HASH_OF(.lock_off = SIZE - 4) },
	{ "create_value_that_is_a_lock", 0, HASH_OF(.lock_off = 0, .value_size = 4) },
	{ "create_percpu_hash_is_EOPNOTSUPP", -EOPNOTSUPP, HASH_OF(.type = ABI_PERCPU_HASH) },
	{ "create_percpu_array_is_EOPNOTSUPP", -EOPNOTSUPP, HASH_OF(.type = ABI_PERCPU_ARRAY) },
	{ "create_rdonly_prog_is_EACCES", -EACCES, HASH_OF(.flags = ABI_F_RDONLY_PROG) },
	{ "create_wronly_prog_is_EACCES", -EACCES, ARRAY_OF(.flags = ABI_F_WRONLY_PROG) },
	{ "create_of_another_size_is_EINVAL", -EINVAL, HASH_OF(.btf_value_size = SIZE + 8) },
	{ "create_array_with_a_key_that_is_no_number_is_EINVAL", -EINVAL, ARRAY_OF(.bytes_key = true) },
};

/* HASH: keys 1 and 2, room for 4. FULL: the same without room. ARRAY: keys 0 to 3. */
enum which { HASH, FULL, ARRAY, RDONLY, WRONLY };

struct row {
	const char *name;
	int cmd;
	int expected;
	enum which map;
	uint32_t key;
	uint64_t flags;
};

static const struct row rows[] = {
	{ "lookup", LOOKUP, 0, HASH, 1, 0 },
	{ "lookup_F_LOCK", LOOKUP, 0, HASH, 1, LOCKED },
	{ "lookup_F_LOCK_absent_is_ENOENT", LOOKUP, -ENOENT, HASH, 9, LOCKED },
	{ "lookup_F_LOCK_with_another_flag_is_EINVAL", LOOKUP, -EINVAL, HASH, 1, LOCKED | 1 },
	{ "lookup_F_LOCK_by_write_only_fd_is_EPERM", LOOKUP, -EPERM, WRONLY, 1, LOCKED },
	{ "lookup_array", LOOKUP, 0, ARRAY, 3, 0 },
	{ "lookup_array_F_LOCK", LOOKUP, 0, ARRAY, 3, LOCKED },
	{ "lookup_array_F_LOCK_index_too_large_is_ENOENT", LOOKUP, -ENOENT, ARRAY, 4, LOCKED },

	{ "update_inserts", UPDATE, 0, HASH, 9, 0 },
	{ "update_replaces", UPDATE, 0, HASH, 1, 0 },
	{ "update_F_LOCK_inserts", UPDATE, 0, HASH, 9, LOCKED },
	{ "update_F_LOCK_replaces", UPDATE, 0, HASH, 1, LOCKED },
	{ "update_F_LOCK_noexist_inserts", UPDATE, 0, HASH, 9, LOCKED | 1 },
	{ "update_F_LOCK_noexist_on_present_is_EEXIST", UPDATE, -EEXIST, HASH, 1, LOCKED | 1 },
	{ "update_F_LOCK_exist_replaces", UPDATE, 0, HASH, 1, LOCKED | 2 },
	{ "update_F_LOCK_exist_on_absent_is_ENOENT", UPDATE, -ENOENT, HASH, 9, LOCKED | 2 },
	{ "update_F_LOCK_with_3_is_EINVAL", UPDATE, -EINVAL, HASH, 1, LOCKED | 3 },
	{ "update_F_LOCK_with_8_is_EINVAL", UPDATE, -EINVAL, HASH, 1, LOCKED | 8 },
	{ "update_F_LOCK_with_high_flags_is_EINVAL", UPDATE, -EINVAL, HASH, 1, LOCKED | 1ull << 32 },
	{ "update_F_LOCK_by_read_only_fd_is_EPERM", UPDATE, -EPERM, RDONLY, 1, LOCKED },
	{ "update_F_LOCK_of_new_key_in_full_map_is_E2BIG", UPDATE, -E2BIG, FULL, 9, LOCKED },
	{ "update_F_LOCK_exist_of_new_key_in_full_map_is_ENOENT", UPDATE, -ENOENT, FULL, 9, LOCKED | 2 },
	{ "update_F_LOCK_replaces_in_full_map", UPDATE, 0, FULL, 1, LOCKED },
	{ "update_replaces_in_full_map", UPDATE, 0, FULL, 1, 0 },
	{ "update_array", UPDATE, 0, ARRAY, 3, 0 },
	{ "update_array_F_LOCK", UPDATE, 0, ARRAY, 3, LOCKED },
	{ "update_array_F_LOCK_exist", UPDATE, 0, ARRAY, 3, LOCKED | 2 },
	{ "update_array_F_LOCK_noexist_is_EEXIST", UPDATE, -EEXIST, ARRAY, 3, LOCKED | 1 },
	{ "update_array_F_LOCK_index_too_large_is_E2BIG", UPDATE, -E2BIG, ARRAY, 4, LOCKED },
	{ "update_array_F_LOCK_index_beats_noexist", UPDATE, -E2BIG, ARRAY, 4, LOCKED | 1 },
	{ "update_array_F_LOCK_with_3_is_EINVAL", UPDATE, -EINVAL, ARRAY, 4, LOCKED | 3 },

	{ "delete", DELETE, 0, HASH, 1, 0 },
	{ "delete_with_F_LOCK_is_EINVAL", DELETE, -EINVAL, HASH, 1, LOCKED },
	{ "lookup_and_delete", TAKE, 0, HASH, 1, 0 },
	{ "lookup_and_delete_F_LOCK", TAKE, 0, HASH, 1, LOCKED },
	{ "lookup_and_delete_F_LOCK_absent_is_ENOENT", TAKE, -ENOENT, HASH, 9, LOCKED },
	{ "lookup_and_delete_F_LOCK_with_another_flag_is_EINVAL", TAKE, -EINVAL, HASH, 1, LOCKED | 2 },
	{ "lookup_and_delete_array_F_LOCK_is_ENOTSUPP", TAKE, -ABI_ENOTSUPP, ARRAY, 1, LOCKED },
};

struct batch_row {
	const char *name;
	int cmd;
	int expected;
	enum which map;
	uint32_t count, expected_count;
	uint64_t elem_flags;
};

static const struct batch_row batch_rows[] = {
	{ "update_batch", UPDATE_BATCH, 0, HASH, 4, 4, 0 },
	{ "update_batch_F_LOCK", UPDATE_BATCH, 0, HASH, 4, 4, LOCKED },
	{ "update_batch_F_LOCK_stops_when_full", UPDATE_BATCH, -E2BIG, FULL, 4, 2, LOCKED },
	{ "update_batch_F_LOCK_exist_is_EINVAL", UPDATE_BATCH, -EINVAL, HASH, 4, 4, LOCKED | 2 },
	{ "update_batch_array_F_LOCK", UPDATE_BATCH, 0, ARRAY, 3, 3, LOCKED },
	{ "update_batch_array_F_LOCK_stops_at_large_index", UPDATE_BATCH, -E2BIG, ARRAY, 4, 3, LOCKED },
	{ "lookup_batch", LOOKUP_BATCH, -ENOENT, HASH, 5, 2, 0 },
	{ "lookup_batch_F_LOCK", LOOKUP_BATCH, -ENOENT, HASH, 5, 2, LOCKED },
	{ "lookup_batch_F_LOCK_with_another_flag_is_EINVAL", LOOKUP_BATCH, -EINVAL, HASH, 5, 5, LOCKED | 1 },
	{ "lookup_batch_array_F_LOCK", LOOKUP_BATCH, -ENOENT, ARRAY, 5, 4, LOCKED },
	{ "lookup_and_delete_batch", TAKE_BATCH, -ENOENT, HASH, 5, 2, 0 },
	{ "lookup_and_delete_batch_F_LOCK", TAKE_BATCH, -ENOENT, HASH, 5, 2, LOCKED },
	{ "delete_batch_F_LOCK", DELETE_BATCH, 0, HASH, 2, 2, LOCKED },
	{ "delete_batch_F_LOCK_with_another_flag_is_EINVAL", DELETE_BATCH, -EINVAL, HASH, 2, 2, LOCKED | 1 },
	{ "delete_batch_array_F_LOCK_is_ENOTSUPP", DELETE_BATCH, -ABI_ENOTSUPP, ARRAY, 2, 2, LOCKED },
};

/* A descriptor, or -errno. */
static int create(abi_bpf bpf, const struct lock_map *map)
{
	union abi_attr load = { 0 }, attr = { 0 };
	struct lockable types;
	int btf, fd;

	typeinfo_lockable(&types, map->key_size, !map->bytes_key, map->btf_value_size ?: map->value_size, map->lock_off,
			  map->nested);
	load.btf.btf = address(types.raw);
	load.btf.size = types.size;
	btf = (int)call(bpf, ABI_BTF_LOAD, &load, sizeof(load));
	assert_true(btf >= 0);
	attr.create = (struct abi_create){ .map_type = map->type,
					   .key_size = map->key_size,
					   .value_size = map->value_size,
					   .max_entries = map->max_entries,
					   .map_flags = map->flags,
					   .btf_fd = (uint32_t)btf,
					   .btf_key_type_id = types.key_id,
					   .btf_value_type_id = types.value_id };
	fd = (int)call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));
	close(btf); /* the map keeps what it needs */
	return fd;
}

static void run_create_row(void **state)
{
	const struct row_test *test = *state;
	const struct create_row *row = test->row;
	int fd = create(test->bpf, &row->map);

	if (fd >= 0)
		close(fd);
	assert_int_equal(fd < 0 ? fd : 0, row->expected);
}

static long element(abi_bpf bpf, int cmd, int fd, const void *key, const void *value, uint64_t flags)
{
	union abi_attr attr = {
		.elem = { .map_fd = (uint32_t)fd, .key = address(key), .value = address(value), .flags = flags }
	};

	return call(bpf, cmd, &attr, sizeof(attr));
}

/* Values to give have something where the lock is; what comes back has zeros there. */
static void pattern(unsigned char *value, uint32_t key, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		value[i] = (unsigned char)(key * 61 + i * 7 + 1);
}

static bool came_back(const unsigned char *value, uint32_t key, uint32_t size, uint32_t lock_off)
{
	unsigned char expected[1100];

	pattern(expected, key, size);
	memset(expected + lock_off, 0, 4);
	return memcmp(value, expected, size) == 0;
}

static void fill(abi_bpf bpf, int fd, uint32_t first, uint32_t last)
{
	unsigned char value[SIZE];

	for (uint32_t key = first; key <= last; key++) {
		pattern(value, key, SIZE);
		assert_int_equal(element(bpf, UPDATE, fd, &key, value, 0), 0);
	}
}

static int open_map(abi_bpf bpf, enum which which)
{
	static const uint32_t flags[] = { [RDONLY] = ABI_F_RDONLY, [WRONLY] = ABI_F_WRONLY };
	struct lock_map array = ARRAY_OF(), hash = HASH_OF(.max_entries = which == FULL ? 2 : 4, .flags = flags[which]);
	int fd = create(bpf, which == ARRAY ? &array : &hash);

	assert_true(fd >= 0);
	if (which == ARRAY)
		fill(bpf, fd, 0, 3);
	else if (which != RDONLY)
		fill(bpf, fd, 1, 2);
	return fd;
}

/* Whether the key has this value, read with the lock and without. */
static bool has(abi_bpf bpf, int fd, uint32_t key, uint32_t value_of)
{
	unsigned char value[SIZE] = { 0 }, locked[SIZE] = { 0 };

	return element(bpf, LOOKUP, fd, &key, value, 0) == 0 && element(bpf, LOOKUP, fd, &key, locked, LOCKED) == 0 &&
	       came_back(value, value_of, SIZE, LOCK_OFF) && memcmp(value, locked, SIZE) == 0;
}

static void run_row(void **state)
{
	const struct row_test *test = *state;
	const struct row *row = test->row;
	bool done = row->expected == 0, read = row->cmd == LOOKUP || row->cmd == TAKE;
	int fd = open_map(test->bpf, row->map);
	unsigned char value[SIZE], untouched[SIZE];

	pattern(value, 99, SIZE);
	pattern(untouched, 99, SIZE);
	assert_int_equal(element(test->bpf, row->cmd, fd, &row->key, row->cmd == DELETE ? NULL : value, row->flags),
			 row->expected);
	if (read && done)
		assert_true(came_back(value, row->key, SIZE, LOCK_OFF));
	else
		assert_memory_equal(value, untouched, SIZE);
	if (row->map != RDONLY && row->map != WRONLY) {
		if (done && (row->cmd == DELETE || row->cmd == TAKE))
			assert_false(has(test->bpf, fd, row->key, row->key));
		else if (done && row->cmd == UPDATE)
			assert_true(has(test->bpf, fd, row->key, 99));
		else
			assert_true(has(test->bpf, fd, 1, 1));
		assert_true(has(test->bpf, fd, 2, 2));
	}
	close(fd);
}

static void run_batch_row(void **state)
{
	const struct row_test *test = *state;
	const struct batch_row *row = test->row;
	bool walk = row->cmd == LOOKUP_BATCH || row->cmd == TAKE_BATCH;
	int fd = open_map(test->bpf, row->map);
	uint32_t keys[N_MAX] = { 0 }, token, seen = 0;
	unsigned char values[N_MAX][SIZE];
	union abi_attr attr = { .batch = { .out_batch = address(&token),
					   .keys = address(keys),
					   .values = address(values),
					   .count = row->count,
					   .map_fd = (uint32_t)fd,
					   .elem_flags = row->elem_flags } };

	for (uint32_t i = 0; !walk && i < row->count; i++) {
		keys[i] = i + 1;
		pattern(values[i], 50 + keys[i], SIZE);
	}
	assert_int_equal(call(test->bpf, row->cmd, &attr, sizeof(attr)), row->expected);
	assert_int_equal(attr.batch.count, row->expected_count);
	for (uint32_t i = 0; walk && row->expected != -EINVAL && i < row->expected_count; i++) {
		assert_true(keys[i] < 4 && !(seen >> keys[i] & 1));
		assert_true(came_back(values[i], keys[i], SIZE, LOCK_OFF));
		seen |= 1u << keys[i];
	}
	for (uint32_t i = 0; row->cmd == UPDATE_BATCH && row->expected != -EINVAL && i < row->expected_count; i++)
		assert_true(has(test->bpf, fd, keys[i], 50 + keys[i]));
	if (row->cmd == TAKE_BATCH || (row->cmd == DELETE_BATCH && row->expected == 0))
		assert_true(!has(test->bpf, fd, 1, 1) && !has(test->bpf, fd, 2, 2));
	if (row->cmd == DELETE_BATCH && row->expected)
		assert_true(has(test->bpf, fd, 1, 1) && has(test->bpf, fd, 2, 2));
	close(fd);
}

/* The lock anywhere in values of any size: everything but its four bytes is copied, on each way in and out. */
static void lock_anywhere(abi_bpf bpf)
{
	static const uint32_t sizes[] = { 4, 8, 12, 16, 24, 64, 1000, 1027 };
	unsigned char in[1100], out[1100];

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (uint32_t off = 0; off + 4 <= sizes[s]; off += off < 16 || off + 20 > sizes[s] ? 4 : 44) {
			struct lock_map hash = HASH_OF(.value_size = sizes[s], .lock_off = off, .nested = off % 8 == 0);
			struct lock_map array = ARRAY_OF(.value_size = sizes[s], .lock_off = off);
			uint32_t key = 1;

			for (int i = 0; i < 8; i++) {
				int fd = create(bpf, i & 1 ? &hash : &array);

				assert_true(fd >= 0);
				pattern(in, key, sizes[s]);
				memset(out, 0xee, sizeof(out));
				assert_int_equal(element(bpf, UPDATE, fd, &key, in, i & 2 ? LOCKED : 0), 0);
				assert_int_equal(element(bpf, UPDATE, fd, &key, in, i & 2 ? LOCKED : 0), 0);
				assert_int_equal(element(bpf, LOOKUP, fd, &key, out, i & 4 ? LOCKED : 0), 0);
				assert_true(came_back(out, key, sizes[s], off));
				assert_int_equal(out[sizes[s]], 0xee);
				close(fd);
			}
		}
	}
}

static void freezing(abi_bpf bpf)
{
	union abi_attr attr = { 0 };

	for (enum which which = HASH; which <= WRONLY; which++) {
		int fd = open_map(bpf, which);

		attr.freeze_fd = (uint32_t)fd;
		assert_int_equal(call(bpf, ABI_MAP_FREEZE, &attr, sizeof(attr)), -ABI_ENOTSUPP);
		if (which == HASH)
			fill(bpf, fd, 1, 4);
		close(fd);
	}
}

static void walk(abi_bpf bpf, int fd, uint32_t *keys, uint32_t n)
{
	uint32_t end;

	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(element(bpf, NEXT, fd, i ? &keys[i - 1] : NULL, &keys[i], 0), 0);
	assert_int_equal(element(bpf, NEXT, fd, &keys[n - 1], &end, 0), -ENOENT);
}

/* Of 64 keys in 64 buckets some are neighbours; with the kernel's own hash it's the same ones everywhere. */
static void order(abi_bpf bpf)
{
	struct lock_map hash = HASH_OF(.max_entries = 64, .flags = ABI_F_ZERO_SEED);
	uint32_t before[64], locked[64], plain[64];
	unsigned char value[SIZE] = { 0 };
	int fd = create(bpf, &hash);

	fill(bpf, fd, 1, 64);
	walk(bpf, fd, before, 64);
	for (uint32_t key = 1; key <= 64; key++)
		assert_int_equal(element(bpf, UPDATE, fd, &key, value, LOCKED), 0);
	walk(bpf, fd, locked, 64);
	assert_memory_equal(before, locked, sizeof(before));
	for (uint32_t key = 64; key >= 1; key--)
		assert_int_equal(element(bpf, UPDATE, fd, &key, value, 0), 0);
	walk(bpf, fd, plain, 64);
	assert_memory_not_equal(before, plain, sizeof(before));
	close(fd);
}

static void info(abi_bpf bpf)
{
	int fd = open_map(bpf, HASH);
	struct lockable types;
	uint32_t fields[26] = { 0 };
	union abi_attr attr = { .info = {
					.bpf_fd = (uint32_t)fd, .info_len = sizeof(fields), .info = address(fields) } };

	typeinfo_lockable(&types, 4, true, SIZE, LOCK_OFF, false);
	assert_int_equal(call(bpf, ABI_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
	assert_int_equal(fields[3], SIZE);
	assert_int_not_equal(fields[ABI_MAP_INFO_BTF_ID / 4], 0);
	assert_int_equal(fields[ABI_MAP_INFO_BTF_ID / 4 + 1], types.key_id);
	assert_int_equal(fields[ABI_MAP_INFO_BTF_ID / 4 + 2], types.value_id);
	close(fd);
}

static const struct act_row acts[] = {
	{ "the_bytes_of_a_lock_are_never_copied_wherever_it_is", lock_anywhere },
	{ "freeze_is_ENOTSUPP_whatever_the_access", freezing },
	{ "update_with_F_LOCK_keeps_its_place_in_the_walk_and_without_does_not", order },
	{ "info_has_the_types", info },
};

int main(void)
{
	static const struct row_table tables[] = { ROW_TABLE(create_rows, run_create_row), ROW_TABLE(rows, run_row),
						   ROW_TABLE(batch_rows, run_batch_row), ROW_TABLE(acts, run_act) };

	return run_tables("locked", tables, 4);
}
