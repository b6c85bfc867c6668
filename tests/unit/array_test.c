/* SPDX-License-Identifier: MIT */
/* map/array: the rules of BPF_MAP_TYPE_ARRAY one by one, then random operations against a plain array of bytes. */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "map/types.h"

static struct usermap *make(unsigned value_size, unsigned max_entries, unsigned flags, bool shared)
{
	const struct map_attr attr = { .type = BPF_MAP_TYPE_ARRAY,
				       .key_size = 4,
				       .value_size = value_size,
				       .max_entries = max_entries,
				       .map_flags = flags,
				       .name = "array" };
	const struct map_backing backing = { .kind = shared ? BACKING_MEMFD : BACKING_PRIVATE,
					     .fd = -1,
					     .reuse = shared ? USERMAP_REUSE_AT_ONCE : USERMAP_REUSE_GRACE };
	struct usermap *map;

	assert_int_equal(array_ops.alloc_check(&attr), 0);
	assert_int_equal(map_create(&attr, &backing, &map), 0);
	return map;
}

static int lookup(struct usermap *map, uint32_t index, void *value)
{
	return map->ops->lookup(map, &index, value, 0);
}

static int update(struct usermap *map, uint32_t index, const void *value, uint64_t flags)
{
	return map->ops->update(map, &index, value, flags);
}

/* What the live kernel says of the attributes: 0 or -errno; 1 if it may not be asked. */
static int ask_kernel(const struct map_attr *attr)
{
	union bpf_attr bpf = { .map_type = attr->type,
			       .key_size = attr->key_size,
			       .value_size = attr->value_size,
			       .max_entries = attr->max_entries,
			       .map_flags = attr->map_flags };
	long fd;

	if ((uint64_t)attr->max_entries * attr->value_size > 1 << 20 && attr->value_size <= INT_MAX)
		return 1; /* it would really allocate */
	fd = syscall(SYS_bpf, BPF_MAP_CREATE, &bpf, sizeof(bpf));
	if (fd < 0)
		return errno == EPERM || errno == ENOSYS ? 1 : -errno;
	close((int)fd);
	return 0;
}

static void check_create(const char *rule, const struct map_attr *attr, int expected)
{
	int kernel = ask_kernel(attr), ours = array_ops.alloc_check(attr);

	if (ours != expected || (kernel != 1 && kernel != expected))
		print_error("%s: expected %d, engine %d, kernel %d\n", rule, expected, ours, kernel);
	assert_int_equal(ours, expected);
	if (kernel != 1)
		assert_int_equal(kernel, expected);
}

static void create_checks_what_the_kernel_checks(void **unused)
{
	static const struct {
		const char *rule;
		uint32_t key, value, max, flags;
		int expected;
	} rows[] = {
		{ "smallest", 4, 1, 1, 0, 0 },
		{ "max_entries 0 is EINVAL", 4, 8, 0, 0, -EINVAL },
		{ "key_size 0 is EINVAL", 0, 8, 1, 0, -EINVAL },
		{ "key_size 8 is EINVAL", 8, 8, 1, 0, -EINVAL },
		{ "value_size 0 is EINVAL", 4, 0, 1, 0, -EINVAL },
		{ "value_size above INT_MAX is E2BIG", 4, 0x80000000, 1, 0, -E2BIG },
		{ "key_size error beats value_size error", 8, 0x80000000, 1, 0, -EINVAL },
		{ "flags error beats value_size error", 4, 0x80000000, 1, BPF_F_NO_PREALLOC, -EINVAL },
		{ "RDONLY_PROG with WRONLY_PROG is EINVAL", 4, 8, 1, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG, -EINVAL },
		{ "RDONLY with WRONLY_PROG is fine", 4, 8, 1, BPF_F_RDONLY | BPF_F_WRONLY_PROG, 0 },
		{ "MMAPABLE with INNER_MAP is fine", 4, 8, 1, BPF_F_MMAPABLE | BPF_F_INNER_MAP, 0 },
	};
	const uint32_t allowed = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG |
				 BPF_F_MMAPABLE | BPF_F_INNER_MAP;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct map_attr attr = { .type = BPF_MAP_TYPE_ARRAY,
					       .key_size = rows[i].key,
					       .value_size = rows[i].value,
					       .max_entries = rows[i].max,
					       .map_flags = rows[i].flags };

		check_create(rows[i].rule, &attr, rows[i].expected);
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		const struct map_attr attr = { .type = BPF_MAP_TYPE_ARRAY,
					       .key_size = 4,
					       .value_size = 8,
					       .max_entries = 1,
					       .map_flags = 1u << bit };

		if (bit != 16) /* a token: its descriptor is looked at before the type's checks */
			check_create("single flag", &attr, allowed >> bit & 1 ? 0 : -EINVAL);
	}
}

static void array_beyond_the_address_space_is_ENOMEM(void **unused)
{
	const struct map_attr attr = {
		.type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = INT_MAX, .max_entries = UINT32_MAX
	};
	const struct map_backing backing = { .kind = BACKING_PRIVATE, .fd = -1, .reuse = USERMAP_REUSE_GRACE };
	struct usermap *map = NULL;

	(void)unused;
	assert_int_equal(array_ops.alloc_check(&attr), 0);
	assert_int_equal(map_create(&attr, &backing, &map), -ENOMEM);
	assert_null(map);
}

static void every_index_is_present_and_zero_at_first(void **unused)
{
	struct usermap *map = make(5, 100, 0, false);
	const unsigned char zeros[5] = { 0 };

	(void)unused;
	for (uint32_t i = 0; i < 100; i++) {
		unsigned char value[5] = { 1, 2, 3, 4, 5 };

		assert_int_equal(lookup(map, i, value), 0);
		assert_memory_equal(value, zeros, 5);
	}
	map_put(map);
}

static void lookup_beyond_the_end_is_ENOENT_and_leaves_the_buffer(void **unused)
{
	struct usermap *map = make(8, 3, 0, false);
	uint64_t value = 42;

	(void)unused;
	assert_int_equal(lookup(map, 3, &value), -ENOENT);
	assert_int_equal(lookup(map, UINT32_MAX, &value), -ENOENT);
	assert_int_equal(value, 42);
	map_put(map);
}

static void lookup_writes_value_size_bytes_only(void **unused)
{
	struct usermap *map = make(5, 1, 0, false);
	unsigned char in[8] = "12345678", out[8] = "abcdefgh";

	(void)unused;
	assert_int_equal(update(map, 0, in, BPF_ANY), 0);
	assert_int_equal(lookup(map, 0, out), 0);
	assert_memory_equal(out, "12345fgh", 8);
	map_put(map);
}

static void update_flags_and_bounds_in_the_kernels_order(void **unused)
{
	static const struct {
		const char *rule;
		uint32_t index;
		uint64_t flags;
		int expected;
	} rows[] = {
		{ "ANY stores", 1, BPF_ANY, 0 },
		{ "EXIST stores", 1, BPF_EXIST, 0 },
		{ "NOEXIST is EEXIST", 1, BPF_NOEXIST, -EEXIST },
		{ "flags 3 is EINVAL", 1, 3, -EINVAL },
		{ "high flag is EINVAL", 1, 1ull << 63, -EINVAL },
		{ "index beyond the end is E2BIG", 4, BPF_ANY, -E2BIG },
		{ "E2BIG beats EEXIST", 4, BPF_NOEXIST, -E2BIG },
		{ "EINVAL beats E2BIG", 4, 3, -EINVAL },
		{ "helper: NOEXIST with F_LOCK is EEXIST", 1, BPF_NOEXIST | BPF_F_LOCK, -EEXIST },
		{ "helper: F_LOCK without a lock is EINVAL", 1, BPF_F_LOCK, -EINVAL },
		{ "helper: E2BIG beats F_LOCK", 4, BPF_F_LOCK, -E2BIG },
		{ "helper: 3 with F_LOCK is EINVAL", 4, 3 | BPF_F_LOCK, -EINVAL },
	};
	struct usermap *map = make(8, 4, 0, false);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = 7, value = 1000 + i, after;
		int answer;

		assert_int_equal(update(map, 1, &before, BPF_ANY), 0);
		answer = update(map, rows[i].index, &value, rows[i].flags);
		if (answer != rows[i].expected)
			print_error("%s\n", rows[i].rule);
		assert_int_equal(answer, rows[i].expected);
		assert_int_equal(lookup(map, 1, &after), 0);
		assert_int_equal(after, answer ? before : value);
	}
	map_put(map);
}

static void delete_is_EINVAL_in_and_out_of_range(void **unused)
{
	struct usermap *map = make(8, 4, 0, false);
	const uint32_t in = 1, out = 4;

	(void)unused;
	assert_int_equal(map->ops->delete(map, &in), -EINVAL);
	assert_int_equal(map->ops->delete(map, &out), -EINVAL);
	map_put(map);
}

static void operations_an_array_lacks_are_NULL(void **unused)
{
	(void)unused;
	assert_null(array_ops.lookup_and_delete);
	assert_null(array_ops.lookup_and_delete_batch);
	assert_null(array_ops.delete_batch);
	assert_non_null(array_ops.lookup_batch);
	assert_non_null(array_ops.update_batch);
}

static void next_key_counts_up_and_restarts(void **unused)
{
	struct usermap *map = make(8, 3, 0, false);
	uint32_t key = UINT32_MAX, next = 99;

	(void)unused;
	assert_int_equal(map->ops->next_key(map, NULL, &next), 0);
	assert_int_equal(next, 0);
	assert_int_equal(map->ops->next_key(map, &key, &key), 0); /* one buffer for both */
	assert_int_equal(key, 0);
	assert_int_equal(map->ops->next_key(map, &key, &key), 0);
	assert_int_equal(map->ops->next_key(map, &key, &key), 0);
	assert_int_equal(key, 2);
	assert_int_equal(map->ops->next_key(map, &key, &next), -ENOENT);
	assert_int_equal(next, 0);
	key = 3;
	assert_int_equal(map->ops->next_key(map, &key, &next), 0);
	assert_int_equal(next, 0);
	map_put(map);
}

static void next_key_of_a_single_entry_is_ENOENT(void **unused)
{
	struct usermap *map = make(8, 1, 0, false);
	uint32_t key = 0, next;

	(void)unused;
	assert_int_equal(map->ops->next_key(map, &key, &next), -ENOENT);
	assert_int_equal(map->ops->next_key(map, NULL, &next), 0);
	map_put(map);
}

static void pointer_is_8_byte_aligned_and_shows_updates(void **unused)
{
	struct usermap *map = make(12, 10, 0, false);

	(void)unused;
	for (uint32_t i = 0; i < 10; i++) {
		unsigned char value[12], *p = map->ops->lookup_ptr(map, &i);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 8, 0);
		memset(value, (int)i, sizeof(value));
		assert_int_equal(update(map, i, value, BPF_ANY), 0);
		assert_memory_equal(p, value, sizeof(value));
		p[11] = 0xff;
		assert_int_equal(lookup(map, i, value), 0);
		assert_int_equal(value[11], 0xff);
	}
	assert_null(map->ops->lookup_ptr(map, &(uint32_t){ 10 }));
	map_put(map);
}

static void values_lie_at_file_offset_0_with_a_stride_of_8(void **unused)
{
	struct usermap *map = make(5, 1000, BPF_F_MMAPABLE, true);
	unsigned char *file = mmap(NULL, 8000, PROT_READ, MAP_SHARED, map->region.fd, 0);

	(void)unused;
	assert_true(file != MAP_FAILED);
	for (uint32_t i = 0; i < 1000; i++) {
		unsigned char value[5] = { 1, 2, 3, (unsigned char)i, (unsigned char)(i >> 8) };

		assert_int_equal(update(map, i, value, BPF_ANY), 0);
		assert_memory_equal(file + (size_t)i * 8, value, 5);
	}
	munmap(file, 8000);
	map_put(map);
}

static void all_memory_is_there_from_the_start(void **unused)
{
	struct usermap_info info = { .sz = sizeof(info) };

	(void)unused;
	for (int shared = support_emulated(); shared <= 1; shared++) {
		struct usermap *map = make(1000, 5000, 0, shared);

		assert_true(region_resident(&map->region) >= 5000000);
		map->ops->info(map, &info);
		assert_int_equal(info.count, 5000);
		assert_int_equal(info.bytes_used, map->region.size);
		map_put(map);
	}
}

static void bulk_lookup_finds_what_single_lookups_find(void **unused)
{
	static const unsigned value_sizes[] = { 1, 4, 8, 24, 100, 1000 };
	static const unsigned counts[] = { 0, 1, 31, 32, 33, 63, 64, 65, 200 };
	enum { MAX = 50, N = 200 };

	(void)unused;
	for (size_t v = 0; v < ARRAY_SIZE(value_sizes); v++) {
		const unsigned size = value_sizes[v];
		struct usermap *map = make(size, MAX, 0, false);
		unsigned char *values = malloc((size_t)N * size), *single = malloc(size), *untouched = malloc(size);
		uint32_t keys[N];

		memset(untouched, 0xee, size);
		for (uint32_t i = 0; i < MAX; i++) {
			memset(single, (int)(i + 1), size);
			assert_int_equal(update(map, i, single, BPF_ANY), 0);
		}
		for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
			__u64 found[(N + 63) / 64 + 1];
			unsigned n = counts[c], words = (n + 63) / 64;
			int present = 0;

			for (unsigned i = 0; i < n; i++)
				keys[i] = (uint32_t)support_random_below(MAX * 2);
			memset(values, 0xee, (size_t)N * size);
			memset(found, 0xff, sizeof(found));
			int answer = map->ops->lookup_bulk(map, keys, values, n, found);

			for (unsigned i = 0; i < words * 64; i++) {
				bool bit = found[i / 64] >> (i % 64) & 1;

				assert_int_equal(bit, i < n && keys[i] < MAX);
				if (i >= n)
					continue;
				present += bit;
				if (bit)
					assert_int_equal(lookup(map, keys[i], single), 0);
				assert_memory_equal(values + (size_t)i * size, bit ? single : untouched, size);
			}
			assert_int_equal(answer, present);
			assert_int_equal(found[words], UINT64_MAX);
		}
		free(values);
		free(single);
		free(untouched);
		map_put(map);
	}
}

static void random_operations_agree_with_a_plain_array(void **unused)
{
	(void)unused;
	for (int round = 0; round < 40; round++) {
		const unsigned size = 1 + (unsigned)support_random_below(round % 4 ? 40 : 2000);
		const unsigned max = 1 + (unsigned)support_random_below(60);
		struct usermap *map = make(size, max, 0, round & 1), *again = map;
		unsigned char *model = calloc(max, size), *value = malloc(size);

		if (round & 1) /* a second handle on the same region */
			assert_int_equal(map_attach(map->region.fd, false, &again), 0);
		for (int step = 0; step < 500; step++) {
			struct usermap *either = support_random() & 1 ? map : again;
			uint32_t index = (uint32_t)support_random_below(max + 2);
			uint64_t flags = support_random_below(4);
			int expected = index >= max ? -E2BIG : flags == BPF_NOEXIST ? -EEXIST : 0;

			for (unsigned i = 0; i < size; i++)
				value[i] = (unsigned char)support_random();
			if (support_random() & 1) {
				assert_int_equal(lookup(either, index, value), index < max ? 0 : -ENOENT);
				if (index < max)
					assert_memory_equal(value, model + (size_t)index * size, size);
				continue;
			}
			assert_int_equal(update(either, index, value, flags), flags > 2 ? -EINVAL : expected);
			if (flags <= 2 && !expected)
				memcpy(model + (size_t)index * size, value, size);
		}
		for (uint32_t i = 0; i < max; i++) {
			assert_int_equal(lookup(map, i, value), 0);
			assert_memory_equal(value, model + (size_t)i * size, size);
		}
		free(model);
		free(value);
		if (again != map)
			map_put(again);
		map_put(map);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_checks_what_the_kernel_checks),
		cmocka_unit_test(array_beyond_the_address_space_is_ENOMEM),
		cmocka_unit_test(every_index_is_present_and_zero_at_first),
		cmocka_unit_test(lookup_beyond_the_end_is_ENOENT_and_leaves_the_buffer),
		cmocka_unit_test(lookup_writes_value_size_bytes_only),
		cmocka_unit_test(update_flags_and_bounds_in_the_kernels_order),
		cmocka_unit_test(delete_is_EINVAL_in_and_out_of_range),
		cmocka_unit_test(operations_an_array_lacks_are_NULL),
		cmocka_unit_test(next_key_counts_up_and_restarts),
		cmocka_unit_test(next_key_of_a_single_entry_is_ENOENT),
		cmocka_unit_test(pointer_is_8_byte_aligned_and_shows_updates),
		cmocka_unit_test(values_lie_at_file_offset_0_with_a_stride_of_8),
		cmocka_unit_test(all_memory_is_there_from_the_start),
		cmocka_unit_test(bulk_lookup_finds_what_single_lookups_find),
		cmocka_unit_test(random_operations_agree_with_a_plain_array),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
