/* SPDX-License-Identifier: MIT */
/*
 * Rules of bpf(2) that its documentation leaves open, each asked of the live kernel and of the engine alike. The
 * streams of the differential test meet most of them too; here they have names, and run without a kernel as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "ask.h"
#include "crowd.h"

/* GET_INFO with the two input fields of struct bpf_map_info: where a hash of the contents goes, and its size. */
static int info_hash(int fd, const void *hash, uint32_t hash_size, uint32_t info_len)
{
	struct {
		unsigned char other[88];
		uint64_t hash;
		uint32_t hash_size;
		uint32_t padding;
	} info = { .hash = (uintptr_t)hash, .hash_size = hash_size };
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = info_len, .info = (uintptr_t)&info } };

	return ask(ABI_OBJ_GET_INFO_BY_FD, &attr, 16);
}

static void info_hash_of_a_hash_map_is_EINVAL(void **state)
{
	int fd = create(ABI_HASH, 4, 8, 10, 0);
	unsigned char hash[32];

	(void)state;
	assert_int_equal(info_hash(fd, hash, 32, ABI_MAP_INFO_SIZE), -EINVAL);
	assert_int_equal(info_hash(fd, hash, 0, ABI_MAP_INFO_SIZE), -EINVAL);
	assert_int_equal(info_hash(fd, NULL, 32, ABI_MAP_INFO_SIZE), -EINVAL);
	assert_int_equal(info_hash(fd, NULL, 0, ABI_MAP_INFO_SIZE), 0);
	assert_int_equal(info_hash(fd, hash, 32, 88), 0); /* not part of what was passed */
	close(fd);
}

static void info_hash_of_an_array_that_is_not_frozen_is_EPERM(void **state)
{
	int fd = create(ABI_ARRAY, 4, 8, 10, 0);
	unsigned char hash[32];

	(void)state;
	assert_int_equal(info_hash(fd, hash, 32, ABI_MAP_INFO_SIZE), -EPERM);
	assert_int_equal(info_hash(fd, hash, 32, 100), -EPERM);
	assert_int_equal(info_hash(fd, hash, 31, ABI_MAP_INFO_SIZE), -EINVAL); /* beats EPERM */
	assert_int_equal(info_hash(fd, hash, 32, 96), -EINVAL);		       /* its size counts as 0 */
	assert_int_equal(info_hash(fd, NULL, 32, ABI_MAP_INFO_SIZE), -EINVAL);
	assert_int_equal(info_hash(fd, (void *)8, 32, ABI_MAP_INFO_SIZE), -EPERM);
	close(fd);
}

static void info_hash_of_a_frozen_array_is_the_SHA256_of_its_values_in_strides_of_8(void **state)
{
	static const unsigned char expected[32] = { 0xc1, 0x99, 0xd5, 0xd0, 0x83, 0x2a, 0xb7, 0xef, 0x58, 0x78, 0x04,
						    0x83, 0x1e, 0xac, 0x4e, 0x68, 0xd8, 0x99, 0x22, 0x15, 0x10, 0x24,
						    0x8d, 0x24, 0x47, 0x99, 0x20, 0xc7, 0xc0, 0x4c, 0x66, 0xe0 };
	static const unsigned char value[5] = { 1, 2, 3, 4, 5 };
	int fd = create(ABI_ARRAY, 4, 5, 3, 0);
	unsigned char hash[32] = { 0 };
	uint32_t key = 1;

	(void)state;
	assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, fd, &key, value, 0), 0);
	assert_int_equal(freeze(fd), 0);
	assert_int_equal(info_hash(fd, hash, 32, ABI_MAP_INFO_SIZE), 0);
	assert_memory_equal(hash, expected, sizeof(hash));
	assert_int_equal(info_hash(fd, (void *)8, 32, ABI_MAP_INFO_SIZE), -EFAULT);
	close(fd);
}

static void create_with_an_unreadable_program_hash_is_EFAULT_after_name_and_btf(void **state)
{
	union abi_attr attr = create_attr(ABI_HASH, 4, 8, 10, 0);

	(void)state;
	attr.create.excl_prog_hash = 8;
	attr.create.excl_prog_hash_size = 32;
	assert_int_equal(ask(ABI_MAP_CREATE, &attr, sizeof(attr)), -EFAULT);
	attr.create.map_name[0] = '?';
	assert_int_equal(ask(ABI_MAP_CREATE, &attr, sizeof(attr)), -EINVAL);
	attr.create.map_name[0] = 0;
	attr.create.btf_value_type_id = 1;
	attr.create.btf_fd = 0x7ffffff0;
	assert_int_equal(ask(ABI_MAP_CREATE, &attr, sizeof(attr)), -EBADF);
}

static void a_program_hash_of_another_size_is_EINVAL_after_btf(void **state)
{
	union abi_attr attr = create_attr(ABI_HASH, 4, 8, 10, 0);

	(void)state;
	attr.create.excl_prog_hash = (uintptr_t)&attr;
	attr.create.excl_prog_hash_size = 31;
	assert_int_equal(ask(ABI_MAP_CREATE, &attr, sizeof(attr)), -EINVAL);
	attr.create.btf_value_type_id = 1;
	attr.create.btf_fd = 0x7ffffff0;
	assert_int_equal(ask(ABI_MAP_CREATE, &attr, sizeof(attr)), -EBADF);
}

static void an_attr_of_no_bytes_may_be_NULL(void **state)
{
	(void)state;
	assert_int_equal(ask(ABI_MAP_CREATE, NULL, 0), -EINVAL);
	assert_int_equal(ask(ABI_MAP_LOOKUP_ELEM, NULL, 0), -EINVAL); /* descriptor 0 is open, and no map */
	assert_int_equal(ask(ABI_OBJ_GET_INFO_BY_FD, NULL, 0), -EINVAL);
	assert_int_equal(ask(5000, NULL, 0), -EINVAL);
}

static void the_attr_is_read_before_the_command_is_looked_at(void **state)
{
	(void)state;
	assert_int_equal(ask(5000, (void *)8, 32), -EFAULT);
	assert_int_equal(ask(-1, (void *)8, 32), -EFAULT);
	assert_int_equal(ask(5000, (void *)8, 4097), -E2BIG);
}

static void a_descriptor_opened_by_O_PATH_is_EBADF(void **state)
{
	int fd = open("/", O_PATH | O_CLOEXEC);
	uint32_t key = 0;
	uint64_t value;

	(void)state;
	assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, fd, &key, &value, 0), -EBADF);
	close(fd);
}

static void info_of_no_length_looks_at_no_pointer(void **state)
{
	int fd = create(ABI_ARRAY, 4, 8, 1, 0);
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = 0, .info = 8 } };

	(void)state;
	assert_int_equal(ask(ABI_OBJ_GET_INFO_BY_FD, &attr, 16), 0);
	assert_int_equal(attr.info.info_len, 0);
	close(fd);
}

static void padding_in_the_attr_is_not_looked_at(void **state)
{
	int fd = create(ABI_ARRAY, 4, 8, 1, 0);
	uint64_t value = 1;
	uint32_t key = 0;
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd,
					  .padding = 0xdeadbeef,
					  .key = (uintptr_t)&key,
					  .value = (uintptr_t)&value,
					  .flags = 0 } };

	(void)state;
	assert_int_equal(ask(ABI_MAP_LOOKUP_ELEM, &attr, 32), 0);
	assert_int_equal(value, 0);
	close(fd);
}

static void a_lookup_over_the_edge_writes_every_byte_that_is_there(void **state)
{
	int fd = create(ABI_HASH, 4, 13, 1, ABI_F_ZERO_SEED);
	unsigned char *edge = page_edge(), value[13] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 };
	uint32_t key = 7;

	(void)state;
	assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, fd, &key, value, 0), 0);
	for (size_t there = 0; there < sizeof(value); there++) {
		memset(edge - 16, 0, 16);
		assert_int_equal(elem(ABI_MAP_LOOKUP_ELEM, fd, &key, edge - there, 0), -EFAULT);
		assert_memory_equal(edge - there, value, there);
		assert_int_equal(edge[-16], 0);
	}
	munmap(edge - sysconf(_SC_PAGESIZE), (size_t)sysconf(_SC_PAGESIZE));
	close(fd);
}

static void the_attr_of_a_batch_may_end_behind_its_descriptor(void **state)
{
	int fd = create(ABI_ARRAY, 4, 8, 2, 0);
	union abi_attr attr = { .batch = { .map_fd = (uint32_t)fd, .elem_flags = ~0ull, .flags = ~0ull } };

	(void)state;
	assert_int_equal(ask(ABI_MAP_LOOKUP_BATCH, &attr, 40), 0); /* the flags count as 0 */
	attr.batch.count = 1;
	assert_int_equal(ask(ABI_MAP_LOOKUP_BATCH, &attr, 40), -EFAULT); /* no keys */
	assert_int_equal(attr.batch.count, 0);
	close(fd);
}

static void batches_copy_a_bucket_whole_however_many_entries_it_has(void **state)
{
	int fd = create(ABI_HASH, 8, 8, 64, ABI_F_ZERO_SEED);
	uint32_t *numbers = crowd_numbers(8, 64, 64), in_last_bucket = 0;
	uint64_t keys[64], values[64];
	uint32_t token = 63, end = 0;
	union abi_attr attr = { .batch = { .in_batch = (uintptr_t)&token,
					   .out_batch = (uintptr_t)&end,
					   .keys = (uintptr_t)keys,
					   .values = (uintptr_t)values,
					   .map_fd = (uint32_t)fd } };

	(void)state;
	for (uint64_t i = 0; i < 64; i++) {
		uint64_t key = numbers[i];

		assert_int_equal(elem(ABI_MAP_UPDATE_ELEM, fd, &key, &i, 0), 0);
		in_last_bucket += (crowd_hash(&key, sizeof(key)) & 63) == 63;
	}
	assert_true(in_last_bucket > 10);
	attr.batch.count = in_last_bucket - 1;
	assert_int_equal(ask(ABI_MAP_LOOKUP_BATCH, &attr, 56), -ENOSPC);
	assert_int_equal(attr.batch.count, 0);
	assert_int_equal(end, 63);
	attr.batch.count = in_last_bucket;
	assert_int_equal(ask(ABI_MAP_LOOKUP_BATCH, &attr, 56), -ENOENT);
	assert_int_equal(attr.batch.count, in_last_bucket);
	assert_int_equal(end, 64);
	for (uint32_t i = 1; i < in_last_bucket; i++)
		assert_true(values[i - 1] > values[i]); /* the latest first */
	free(numbers);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test(info_hash_of_a_hash_map_is_EINVAL),
		cmocka_unit_test(info_hash_of_an_array_that_is_not_frozen_is_EPERM),
		cmocka_unit_test(info_hash_of_a_frozen_array_is_the_SHA256_of_its_values_in_strides_of_8),
		cmocka_unit_test(create_with_an_unreadable_program_hash_is_EFAULT_after_name_and_btf),
		cmocka_unit_test(a_program_hash_of_another_size_is_EINVAL_after_btf),
		cmocka_unit_test(an_attr_of_no_bytes_may_be_NULL),
		cmocka_unit_test(the_attr_is_read_before_the_command_is_looked_at),
		cmocka_unit_test(a_descriptor_opened_by_O_PATH_is_EBADF),
		cmocka_unit_test(info_of_no_length_looks_at_no_pointer),
		cmocka_unit_test(padding_in_the_attr_is_not_looked_at),
		cmocka_unit_test(a_lookup_over_the_edge_writes_every_byte_that_is_there),
		cmocka_unit_test(the_attr_of_a_batch_may_end_behind_its_descriptor),
		cmocka_unit_test(batches_copy_a_bucket_whole_however_many_entries_it_has),
	};

	return ask_both(rules);
}
