/* SPDX-License-Identifier: MIT */
/* Maps with per-CPU values, by commands: the size of a value in the caller's buffers, its padding, and each check. */
#include "../semantics/cpus.h"
#include "rows.h"

#define SIZE   12u /* of a value */
#define STRIDE 16u /* of a slot */
#define N_MAX  8u  /* values in a test's buffers */
#define ASKED  77u /* a token that nobody wrote */

#define LOOKUP	     ABI_MAP_LOOKUP_ELEM
#define UPDATE	     ABI_MAP_UPDATE_ELEM
#define DELETE	     ABI_MAP_DELETE_ELEM
#define NEXT	     ABI_MAP_GET_NEXT_KEY
#define TAKE	     ABI_MAP_LOOKUP_AND_DELETE_ELEM
#define LOOKUP_BATCH ABI_MAP_LOOKUP_BATCH
#define TAKE_BATCH   ABI_MAP_LOOKUP_AND_DELETE_BATCH
#define UPDATE_BATCH ABI_MAP_UPDATE_BATCH
#define DELETE_BATCH ABI_MAP_DELETE_BATCH

/* HASH: keys 1 and 2, room for 4. FULL: the same without room. ARRAY: keys 0 to 3. EMPTY: a hash. */
enum which { HASH, FULL, EMPTY, ARRAY, RDONLY, WRONLY, FROZEN };

/* Pointers: a buffer; NULL; nothing behind it; a buffer that ends within the last CPU's slot. */
enum buffer { GOOD, NONE, BAD, SHORT };

struct row {
	const char *name;
	int cmd;
	int expected;
	enum which map;
	uint32_t key;
	enum buffer value;
	uint64_t flags;
};

#define F_CPU	   8u
#define F_ALL_CPUS 16u

static const struct row rows[] = {
	{ "lookup", LOOKUP, 0, HASH, 1, GOOD, 0 },
	{ "lookup_absent_is_ENOENT", LOOKUP, -ENOENT, HASH, 9, GOOD, 0 },
	{ "lookup_absent_beats_short_buffer", LOOKUP, -ENOENT, HASH, 9, SHORT, 0 },
	{ "lookup_into_short_buffer_is_EFAULT", LOOKUP, -EFAULT, HASH, 1, SHORT, 0 },
	{ "lookup_into_NULL_is_EFAULT", LOOKUP, -EFAULT, HASH, 1, NONE, 0 },
	{ "lookup_by_write_only_fd_is_EPERM", LOOKUP, -EPERM, WRONLY, 1, GOOD, 0 },
	{ "lookup_of_one_cpu_is_EINVAL", LOOKUP, -EINVAL, HASH, 1, GOOD, F_CPU },
	{ "lookup_of_a_numbered_cpu_is_EINVAL", LOOKUP, -EINVAL, HASH, 1, GOOD, F_CPU | 1ull << 32 },
	{ "lookup_F_LOCK_is_EINVAL", LOOKUP, -EINVAL, HASH, 1, GOOD, ABI_F_LOCK },
	{ "lookup_array", LOOKUP, 0, ARRAY, 3, GOOD, 0 },
	{ "lookup_array_index_too_large_is_ENOENT", LOOKUP, -ENOENT, ARRAY, 4, GOOD, 0 },
	{ "lookup_array_into_short_buffer_is_EFAULT", LOOKUP, -EFAULT, ARRAY, 3, SHORT, 0 },
	{ "lookup_array_of_one_cpu_is_EINVAL", LOOKUP, -EINVAL, ARRAY, 1, GOOD, F_CPU },
	{ "lookup_array_F_LOCK_is_EINVAL", LOOKUP, -EINVAL, ARRAY, 1, GOOD, ABI_F_LOCK },

	{ "update_inserts", UPDATE, 0, HASH, 9, GOOD, 0 },
	{ "update_replaces", UPDATE, 0, HASH, 1, GOOD, 0 },
	{ "update_noexist_on_absent", UPDATE, 0, HASH, 9, GOOD, 1 },
	{ "update_noexist_on_present_is_EEXIST", UPDATE, -EEXIST, HASH, 1, GOOD, 1 },
	{ "update_exist_on_present", UPDATE, 0, HASH, 1, GOOD, 2 },
	{ "update_exist_on_absent_is_ENOENT", UPDATE, -ENOENT, HASH, 9, GOOD, 2 },
	{ "update_flags_3_are_EINVAL", UPDATE, -EINVAL, HASH, 1, GOOD, 3 },
	{ "update_of_one_cpu_is_EINVAL", UPDATE, -EINVAL, HASH, 1, GOOD, F_CPU },
	{ "update_of_all_cpus_is_EINVAL", UPDATE, -EINVAL, HASH, 1, GOOD, F_ALL_CPUS },
	{ "update_with_high_flags_is_EINVAL", UPDATE, -EINVAL, HASH, 1, GOOD, 1ull << 32 },
	{ "update_F_LOCK_is_EINVAL", UPDATE, -EINVAL, HASH, 1, GOOD, ABI_F_LOCK },
	{ "update_F_LOCK_beats_short_buffer", UPDATE, -EINVAL, HASH, 1, SHORT, ABI_F_LOCK },
	{ "update_short_buffer_beats_flags", UPDATE, -EFAULT, HASH, 1, SHORT, 3 },
	{ "update_from_short_buffer_is_EFAULT", UPDATE, -EFAULT, HASH, 1, SHORT, 0 },
	{ "update_from_NULL_is_EFAULT", UPDATE, -EFAULT, HASH, 1, NONE, 0 },
	{ "update_by_read_only_fd_is_EPERM", UPDATE, -EPERM, RDONLY, 1, GOOD, 0 },
	{ "update_frozen_is_EPERM", UPDATE, -EPERM, FROZEN, 1, BAD, 99 },
	{ "update_new_key_in_full_map_is_E2BIG", UPDATE, -E2BIG, FULL, 9, GOOD, 0 },
	{ "update_exist_of_new_key_in_full_map_is_ENOENT", UPDATE, -ENOENT, FULL, 9, GOOD, 2 },
	{ "update_noexist_of_old_key_in_full_map_is_EEXIST", UPDATE, -EEXIST, FULL, 1, GOOD, 1 },
	{ "update_replaces_in_full_map", UPDATE, 0, FULL, 1, GOOD, 0 },
	{ "update_array", UPDATE, 0, ARRAY, 3, GOOD, 0 },
	{ "update_array_exist", UPDATE, 0, ARRAY, 3, GOOD, 2 },
	{ "update_array_noexist_is_EEXIST", UPDATE, -EEXIST, ARRAY, 3, GOOD, 1 },
	{ "update_array_index_too_large_is_E2BIG", UPDATE, -E2BIG, ARRAY, 4, GOOD, 0 },
	{ "update_array_index_beats_noexist", UPDATE, -E2BIG, ARRAY, 4, GOOD, 1 },
	{ "update_array_flags_beat_index", UPDATE, -EINVAL, ARRAY, 4, GOOD, 3 },
	{ "update_array_of_one_cpu_is_EINVAL", UPDATE, -EINVAL, ARRAY, 1, GOOD, F_CPU },
	{ "update_array_noexist_with_F_LOCK_is_EINVAL", UPDATE, -EINVAL, ARRAY, 3, GOOD, ABI_F_LOCK | 1 },
	{ "update_array_from_short_buffer_is_EFAULT", UPDATE, -EFAULT, ARRAY, 3, SHORT, 0 },

	{ "delete", DELETE, 0, HASH, 1, NONE, 0 },
	{ "delete_absent_is_ENOENT", DELETE, -ENOENT, HASH, 9, NONE, 0 },
	{ "delete_array_is_EINVAL", DELETE, -EINVAL, ARRAY, 1, NONE, 0 },
	{ "delete_array_index_too_large_is_EINVAL", DELETE, -EINVAL, ARRAY, 4, NONE, 0 },

	{ "next_key_of_absent_is_the_first", NEXT, 0, HASH, 9, GOOD, 0 },
	{ "next_key_in_empty_map_is_ENOENT", NEXT, -ENOENT, EMPTY, 1, GOOD, 0 },
	{ "next_key_array", NEXT, 0, ARRAY, 1, GOOD, 0 },
	{ "next_key_array_last_is_ENOENT", NEXT, -ENOENT, ARRAY, 3, GOOD, 0 },
	{ "next_key_array_index_too_large_is_the_first", NEXT, 0, ARRAY, 4, GOOD, 0 },

	{ "lookup_and_delete", TAKE, 0, HASH, 1, GOOD, 0 },
	{ "lookup_and_delete_absent_is_ENOENT", TAKE, -ENOENT, HASH, 9, GOOD, 0 },
	{ "lookup_and_delete_into_short_buffer_is_EFAULT", TAKE, -EFAULT, HASH, 1, SHORT, 0 },
	{ "lookup_and_delete_flags_are_EINVAL", TAKE, -EINVAL, HASH, 1, GOOD, 1 },
	{ "lookup_and_delete_F_LOCK_is_EINVAL", TAKE, -EINVAL, HASH, 1, GOOD, ABI_F_LOCK },
	{ "lookup_and_delete_array_is_ENOTSUPP", TAKE, -ABI_ENOTSUPP, ARRAY, 1, GOOD, 0 },
};

struct batch_row {
	const char *name;
	int cmd;
	int expected;
	enum which map;
	uint32_t count, expected_count;
	enum buffer values; /* SHORT: the second value is the short one */
	uint64_t elem_flags, flags;
};

static const struct batch_row batch_rows[] = {
	{ "update_batch", UPDATE_BATCH, 0, HASH, 3, 3, GOOD, 0, 99 },
	{ "update_batch_of_none_is_fine", UPDATE_BATCH, 0, HASH, 0, 0, BAD, 0, 0 },
	{ "update_batch_stops_when_full", UPDATE_BATCH, -E2BIG, FULL, 3, 2, GOOD, 0, 0 },
	{ "update_batch_stops_at_short_value", UPDATE_BATCH, -EFAULT, HASH, 3, 1, SHORT, 0, 0 },
	{ "update_batch_exist_is_EINVAL", UPDATE_BATCH, -EINVAL, HASH, 3, 3, GOOD, 2, 0 },
	{ "update_batch_F_LOCK_is_EINVAL", UPDATE_BATCH, -EINVAL, HASH, 3, 3, GOOD, ABI_F_LOCK, 0 },
	{ "update_batch_of_one_cpu_is_EINVAL", UPDATE_BATCH, -EINVAL, HASH, 3, 3, GOOD, F_CPU, 0 },
	{ "update_batch_array", UPDATE_BATCH, 0, ARRAY, 3, 3, GOOD, 0, 0 },
	{ "update_batch_array_stops_at_large_index", UPDATE_BATCH, -E2BIG, ARRAY, 4, 3, GOOD, 0, 0 },
	{ "update_batch_array_stops_at_short_value", UPDATE_BATCH, -EFAULT, ARRAY, 3, 1, SHORT, 0, 0 },

	{ "delete_batch", DELETE_BATCH, 0, HASH, 2, 2, BAD, 0, 99 },
	{ "delete_batch_stops_at_absent_key", DELETE_BATCH, -ENOENT, HASH, 3, 2, BAD, 0, 0 },
	{ "delete_batch_array_is_ENOTSUPP", DELETE_BATCH, -ABI_ENOTSUPP, ARRAY, 1, 1, BAD, 1, 0 },

	{ "lookup_batch_whole_map_is_ENOENT_with_entries", LOOKUP_BATCH, -ENOENT, HASH, 5, 2, GOOD, 0, 0 },
	{ "lookup_batch_empty_map_is_ENOENT", LOOKUP_BATCH, -ENOENT, EMPTY, 5, 0, GOOD, 0, 0 },
	{ "lookup_batch_flags_are_EINVAL", LOOKUP_BATCH, -EINVAL, HASH, 5, 5, GOOD, 0, 1 },
	{ "lookup_batch_of_one_cpu_is_EINVAL", LOOKUP_BATCH, -EINVAL, HASH, 5, 5, GOOD, F_CPU, 0 },
	{ "lookup_batch_bad_values_is_EFAULT_with_0", LOOKUP_BATCH, -EFAULT, HASH, 5, 0, BAD, 0, 0 },
	{ "lookup_batch_short_value_is_EFAULT_with_0", LOOKUP_BATCH, -EFAULT, HASH, 5, 0, SHORT, 0, 0 },
	{ "lookup_batch_array_exactly_all_is_0", LOOKUP_BATCH, 0, ARRAY, 4, 4, GOOD, 0, 99 },
	{ "lookup_batch_array_more_than_all_is_ENOENT", LOOKUP_BATCH, -ENOENT, ARRAY, 5, 4, GOOD, 0, 0 },
	{ "lookup_batch_array_short_value_is_EFAULT_with_0", LOOKUP_BATCH, -EFAULT, ARRAY, 4, 0, SHORT, 0, 0 },

	{ "lookup_and_delete_batch_whole_map", TAKE_BATCH, -ENOENT, HASH, 5, 2, GOOD, 0, 0 },
	{ "lookup_and_delete_batch_short_value_is_EFAULT_with_0", TAKE_BATCH, -EFAULT, HASH, 5, 0, SHORT, 0, 0 },
	{ "lookup_and_delete_batch_array_is_ENOTSUPP", TAKE_BATCH, -ABI_ENOTSUPP, ARRAY, 1, 1, GOOD, 0, 0 },
};

static uint32_t value_bytes(void)
{
	return STRIDE * cpus_possible();
}

/* Every byte of a key's value differs from its neighbours', and from other keys'. The padding too: a command stores it. */
static void pattern(unsigned char *value, uint32_t key)
{
	for (uint32_t i = 0; i < value_bytes(); i++)
		value[i] = (unsigned char)(key * 61 + i * 7 + 1);
}

static bool holds_pattern(const unsigned char *value, uint32_t key)
{
	unsigned char *expected = malloc(value_bytes());
	bool same;

	pattern(expected, key);
	same = memcmp(value, expected, value_bytes()) == 0;
	free(expected);
	return same;
}

/* A buffer of n values that ends at the end of a page; behind it there is nothing. */
struct buffers {
	unsigned char *pages, *end;
	size_t size;
};

static struct buffers buffers_get(void)
{
	struct buffers b = { .size = (N_MAX * value_bytes() + 2 * 4096) / 4096 * 4096 };

	b.pages = mmap(NULL, b.size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(b.pages != MAP_FAILED);
	b.end = b.pages + b.size;
	assert_int_equal(mprotect(b.end, 4096, PROT_NONE), 0);
	return b;
}

static void buffers_put(struct buffers *b)
{
	munmap(b->pages, b->size + 4096);
}

/* Where n values begin. SHORT: the last of them lacks its last byte. */
static unsigned char *buffer_of(const struct buffers *b, enum buffer kind, uint32_t n)
{
	return kind == GOOD    ? b->end - n * value_bytes()
	       : kind == SHORT ? b->end - n * value_bytes() + 1
	       : kind == BAD   ? nowhere()
			       : NULL;
}

static long element(abi_bpf bpf, int cmd, int fd, const void *key, const void *value, uint64_t flags)
{
	union abi_attr attr = {
		.elem = { .map_fd = (uint32_t)fd, .key = address(key), .value = address(value), .flags = flags }
	};

	return call(bpf, cmd, &attr, sizeof(attr));
}

static int make(abi_bpf bpf, uint32_t type, uint32_t value_size, uint32_t max_entries, uint32_t flags)
{
	union abi_attr attr = { .create = { .map_type = type,
					    .key_size = 4,
					    .value_size = value_size,
					    .max_entries = max_entries,
					    .map_flags = flags } };
	int fd = (int)call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));

	assert_true(fd >= 0);
	return fd;
}

static void fill(abi_bpf bpf, int fd, uint32_t first, uint32_t last)
{
	unsigned char *value = malloc(value_bytes());

	for (uint32_t key = first; key <= last; key++) {
		pattern(value, key);
		assert_int_equal(element(bpf, UPDATE, fd, &key, value, 0), 0);
	}
	free(value);
}

static int open_map(abi_bpf bpf, enum which which)
{
	static const uint32_t flags[] = { [RDONLY] = ABI_F_RDONLY, [WRONLY] = ABI_F_WRONLY, [FROZEN] = 0 };
	union abi_attr freeze = { .freeze_fd = 0 };
	int fd;

	if (which == ARRAY) {
		fd = make(bpf, ABI_PERCPU_ARRAY, SIZE, 4, 0);
		fill(bpf, fd, 0, 3);
		return fd;
	}
	fd = make(bpf, ABI_PERCPU_HASH, SIZE, which == FULL ? 2 : 4, flags[which]);
	if (which != EMPTY && which != RDONLY)
		fill(bpf, fd, 1, 2);
	freeze.freeze_fd = (uint32_t)fd;
	if (which == FROZEN)
		assert_int_equal(call(bpf, ABI_MAP_FREEZE, &freeze, sizeof(freeze)), 0);
	return fd;
}

/* Whether the key is there with its pattern. */
static bool is_there(abi_bpf bpf, int fd, uint32_t key)
{
	unsigned char *value = malloc(value_bytes());
	bool there = element(bpf, LOOKUP, fd, &key, value, 0) == 0 && holds_pattern(value, key);

	free(value);
	return there;
}

static void check_effect(abi_bpf bpf, const struct row *row, int fd, const unsigned char *value)
{
	bool done = row->expected == 0;

	if (row->value == GOOD && (row->cmd == LOOKUP || row->cmd == TAKE) && done)
		assert_true(holds_pattern(value, row->key));
	if (row->value == GOOD && (row->cmd == LOOKUP || row->cmd == TAKE) && !done)
		assert_true(holds_pattern(value, 99)); /* untouched */
	if (row->map == WRONLY || row->map == RDONLY)
		return;
	if (row->cmd == UPDATE && done) {
		unsigned char *stored = malloc(value_bytes());

		assert_int_equal(element(bpf, LOOKUP, fd, &row->key, stored, 0), 0);
		assert_true(holds_pattern(stored, 99));
		free(stored);
	}
	if ((row->cmd == DELETE && done) || (row->cmd == TAKE && (done || row->expected == -EFAULT)))
		assert_false(is_there(bpf, fd, row->key)); /* EFAULT: gone all the same */
	else if (!done && row->map != EMPTY)
		assert_true(is_there(bpf, fd, 1) && is_there(bpf, fd, 2));
}

static void run_row(void **state)
{
	const struct row_test *test = *state;
	const struct row *row = test->row;
	int fd = open_map(test->bpf, row->map);
	struct buffers buffers = buffers_get();
	unsigned char *whole = buffer_of(&buffers, GOOD, 1);

	pattern(whole, 99);
	assert_int_equal(element(test->bpf, row->cmd, fd, &row->key, buffer_of(&buffers, row->value, 1), row->flags),
			 row->expected);
	check_effect(test->bpf, row, fd, whole);
	buffers_put(&buffers);
	close(fd);
}

static void check_batch(const struct batch_row *row, const uint32_t *keys, const unsigned char *values)
{
	uint32_t seen = 0;

	for (uint32_t i = 0; i < row->expected_count; i++) {
		assert_true(keys[i] < 4 && !(seen >> keys[i] & 1));
		assert_true(holds_pattern(values + i * value_bytes(), keys[i]));
		seen |= 1u << keys[i];
	}
}

static void run_batch_row(void **state)
{
	const struct row_test *test = *state;
	const struct batch_row *row = test->row;
	bool walk = row->cmd == LOOKUP_BATCH || row->cmd == TAKE_BATCH;
	int fd = open_map(test->bpf, row->map);
	struct buffers buffers = buffers_get();
	uint32_t keys[N_MAX] = { 0 }, token = ASKED, n = row->values == SHORT ? 2 : row->count;
	unsigned char *values = buffer_of(&buffers, row->values, n);
	union abi_attr attr = { .batch = { .out_batch = address(&token),
					   .keys = address(keys),
					   .values = address(values),
					   .count = row->count,
					   .map_fd = (uint32_t)fd,
					   .elem_flags = row->elem_flags,
					   .flags = row->flags } };

	for (uint32_t i = 0; !walk && i < row->count; i++) {
		keys[i] = i + 1;
		if (row->cmd == UPDATE_BATCH && row->values == GOOD)
			pattern(values + i * value_bytes(), keys[i]);
	}
	assert_int_equal(call(test->bpf, row->cmd, &attr, sizeof(attr)), row->expected);
	assert_int_equal(attr.batch.count, row->expected_count);
	if (walk && row->values == GOOD && (row->expected == 0 || row->expected == -ENOENT))
		check_batch(row, keys, values);
	for (uint32_t i = 0; row->cmd == UPDATE_BATCH && row->values == GOOD && row->expected == 0 && i < row->count;
	     i++)
		assert_true(is_there(test->bpf, fd, keys[i]));
	for (uint32_t i = 0; row->cmd == DELETE_BATCH && row->map == HASH && i < row->expected_count; i++)
		assert_false(is_there(test->bpf, fd, keys[i]));
	buffers_put(&buffers);
	close(fd);
}

/* Slots, for any size of a value: as many as there are possible CPUs, each in whole words, and not a byte more. */
static void slots_of(abi_bpf bpf, uint32_t type)
{
	static const uint32_t sizes[] = { 1, 4, 7, 8, 9, 16, 63, 1000, 32761, 32768 };

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		uint32_t bytes = (sizes[s] + 7) / 8 * 8 * cpus_possible(), key = 1;
		unsigned char *in = malloc(bytes), *out = malloc(bytes + 1);
		int fd = make(bpf, type, sizes[s], 2, 0);

		for (uint32_t i = 0; i < bytes; i++)
			in[i] = (unsigned char)(i * 13 + s);
		memset(out, 0xee, bytes + 1);
		assert_int_equal(element(bpf, UPDATE, fd, &key, in, 0), 0);
		assert_int_equal(element(bpf, LOOKUP, fd, &key, out, 0), 0);
		assert_memory_equal(in, out, bytes); /* the padding that the caller gave comes back */
		assert_int_equal(out[bytes], 0xee);
		free(in);
		free(out);
		close(fd);
	}
}

static void slots_of_a_hash(abi_bpf bpf)
{
	slots_of(bpf, ABI_PERCPU_HASH);
}

static void slots_of_an_array(abi_bpf bpf)
{
	slots_of(bpf, ABI_PERCPU_ARRAY);
}

static void a_new_array_is_zero(abi_bpf bpf)
{
	unsigned char *value = malloc(value_bytes());
	int fd = make(bpf, ABI_PERCPU_ARRAY, SIZE, 3, 0);

	for (uint32_t key = 0; key < 3; key++) {
		memset(value, 0xee, value_bytes());
		assert_int_equal(element(bpf, LOOKUP, fd, &key, value, 0), 0);
		for (uint32_t i = 0; i < value_bytes(); i++)
			assert_int_equal(value[i], 0);
	}
	free(value);
	close(fd);
}

/* Each slot is written in turn before the fault: in the kernel's order, the last slot's part that can be written, too. */
static void page_edge(abi_bpf bpf)
{
	struct buffers buffers = buffers_get();
	unsigned char *expected = malloc(value_bytes());
	int fd = open_map(bpf, HASH);
	uint32_t key = 2;

	pattern(expected, key);
	for (uint32_t there = 1; there < value_bytes(); there++) {
		unsigned char *at = buffers.end - there;

		memset(buffers.pages, 0xee, buffers.size);
		assert_int_equal(element(bpf, LOOKUP, fd, &key, at, 0), -EFAULT);
		assert_int_equal(at[-1], 0xee);
		assert_memory_equal(at, expected, there);
		assert_int_equal(element(bpf, UPDATE, fd, &key, at, 0), -EFAULT);
	}
	assert_true(is_there(bpf, fd, key));
	free(expected);
	buffers_put(&buffers);
	close(fd);
}

static void walk(abi_bpf bpf, int fd, uint32_t *keys, uint32_t n)
{
	uint32_t end;

	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(element(bpf, NEXT, fd, i ? &keys[i - 1] : NULL, &keys[i], 0), 0);
	assert_int_equal(element(bpf, NEXT, fd, &keys[n - 1], &end, 0), -ENOENT);
}

/* A replacement is in place: with the kernel's own hash the walk's order shows it. */
static void order(abi_bpf bpf)
{
	uint32_t before[8], after[8];
	unsigned char *value = calloc(1, value_bytes());
	int fd = make(bpf, ABI_PERCPU_HASH, SIZE, 8, ABI_F_ZERO_SEED);

	fill(bpf, fd, 1, 8);
	walk(bpf, fd, before, 8);
	for (uint32_t key = 1; key <= 8; key++)
		assert_int_equal(element(bpf, UPDATE, fd, &key, value, 0), 0);
	walk(bpf, fd, after, 8);
	assert_memory_equal(before, after, sizeof(before));
	free(value);
	close(fd);
}

/* A removed entry's slots are the next one's only after it has written them all. */
static void recycled(abi_bpf bpf)
{
	int fd = open_map(bpf, FULL);

	for (uint32_t key = 3; key < 100; key++) {
		uint32_t old = key - 2;

		assert_int_equal(element(bpf, DELETE, fd, &old, NULL, 0), 0);
		fill(bpf, fd, key, key);
		assert_true(is_there(bpf, fd, key) && is_there(bpf, fd, key - 1) && !is_there(bpf, fd, old));
	}
	close(fd);
}

static void take_into_bad_values(abi_bpf bpf)
{
	uint32_t keys[N_MAX], token;
	int fd = open_map(bpf, HASH);
	union abi_attr attr = { .batch = { .out_batch = address(&token),
					   .keys = address(keys),
					   .values = address(nowhere()),
					   .count = 5,
					   .map_fd = (uint32_t)fd } };

	assert_int_equal(call(bpf, TAKE_BATCH, &attr, sizeof(attr)), -EFAULT);
	assert_int_equal(attr.batch.count, 0);
	assert_false(is_there(bpf, fd, 1) && is_there(bpf, fd, 2)); /* the bucket that it failed at is gone */
	close(fd);
}

static void info(abi_bpf bpf)
{
	int fd = make(bpf, ABI_PERCPU_HASH, SIZE, 7, ABI_F_NO_PREALLOC);
	uint32_t fields[26] = { 0 };
	union abi_attr attr = { .info = {
					.bpf_fd = (uint32_t)fd, .info_len = sizeof(fields), .info = address(fields) } };

	assert_int_equal(call(bpf, ABI_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
	assert_int_equal(fields[0], ABI_PERCPU_HASH);
	assert_int_equal(fields[2], 4);
	assert_int_equal(fields[3], SIZE);
	assert_int_equal(fields[4], 7);
	assert_int_equal(fields[5], ABI_F_NO_PREALLOC);
	close(fd);
}

static const struct act_row acts[] = {
	{ "a_hash_value_has_a_slot_of_whole_words_for_each_possible_cpu", slots_of_a_hash },
	{ "an_array_value_has_a_slot_of_whole_words_for_each_possible_cpu", slots_of_an_array },
	{ "a_new_array_is_zero_on_all_cpus", a_new_array_is_zero },
	{ "value_at_the_edge_of_a_page_is_written_as_far_as_it_goes", page_edge },
	{ "a_replacement_keeps_its_place_in_the_walk", order },
	{ "a_recycled_entry_shows_nothing_of_the_one_before", recycled },
	{ "lookup_and_delete_batch_with_bad_values_has_deleted_the_bucket", take_into_bad_values },
	{ "info_has_the_size_of_one_slot", info },
};

int main(void)
{
	static const struct row_table tables[] = { ROW_TABLE(rows, run_row), ROW_TABLE(batch_rows, run_batch_row),
						   ROW_TABLE(acts, run_act) };

	return run_tables("percpu", tables, 3);
}
