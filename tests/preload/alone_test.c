/* SPDX-License-Identifier: MIT */
/*
 * Programs that keep a map's descriptor and close all that they don't know, as daemons do, and so what the library has open
 * for itself; other files then have those numbers. The map does all that it did, and nothing happens to the files.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../faces/child.h"
#include "client.h"

#define HIGH	700 /* where the map's descriptor is moved */
#define ENTRIES 3000u
#define FILES	16

static const struct kind {
	uint32_t type, flags;
	int evicts;
} kinds[] = {
	{ ABI_HASH, 0, 0 },	{ ABI_HASH, ABI_F_NO_PREALLOC, 0 }, { ABI_PERCPU_HASH, 0, 0 },
	{ ABI_LRU_HASH, 0, 1 }, { ABI_LRU_PERCPU_HASH, 0, 1 },	    { ABI_ARRAY, ABI_F_MMAPABLE, 0 },
};

static int files[FILES];

/* A map, whose descriptor is the only one. */
static int make_alone(const struct kind *kind)
{
	union abi_attr attr = { .create = { .map_type = kind->type,
					    .key_size = 4,
					    .value_size = 8,
					    .max_entries = ENTRIES,
					    .map_flags = kind->flags } };
	int fd = (int)call(ABI_MAP_CREATE, &attr);

	assert_true(fd >= 0);
	assert_int_equal(dup2(fd, HIGH), HIGH);
	for (int i = 3; i < HIGH; i++)
		close(i);
	for (int i = 0; i < FILES; i++) {
		files[i] = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
		assert_true(files[i] >= 0);
	}
	return HIGH;
}

static void check_files(void)
{
	for (int i = 0; i < FILES; i++) {
		struct flock any = { .l_type = F_WRLCK };
		struct stat st;

		assert_int_equal(fstat(files[i], &st), 0);
		assert_int_equal(st.st_size + st.st_blocks, 0);
		assert_int_equal(fcntl(files[i], F_OFD_GETLK, &any), 0);
		assert_int_equal(any.l_type, F_UNLCK);
		assert_int_equal(close(files[i]), 0);
	}
}

static int on_element(int cmd, int fd, uint32_t key, uint64_t *slots)
{
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = (uintptr_t)&key, .value = (uintptr_t)slots } };

	return (int)call(cmd, &attr);
}

static int on_batch(int cmd, int fd, uint32_t *keys, uint64_t *slots, uint32_t *count)
{
	union abi_attr attr = { .batch = { .keys = (uintptr_t)keys,
					   .values = (uintptr_t)slots,
					   .count = *count,
					   .map_fd = (uint32_t)fd } };
	int error = (int)call(cmd, &attr);

	*count = attr.batch.count;
	return error;
}

static void fill(int fd, const struct kind *kind)
{
	uint64_t slots[1024] = { 0 };

	for (uint32_t key = 0; key < ENTRIES; key++) {
		slots[0] = key;
		assert_int_equal(on_element(ABI_MAP_UPDATE_ELEM, fd, key, slots), 0);
	}
	for (uint32_t key = 0; key < ENTRIES && !kind->evicts; key++)
		assert_true(on_element(ABI_MAP_LOOKUP_ELEM, fd, key, slots) == 0 && slots[0] == key);
}

static void a_map_is_filled(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		fill(make_alone(&kinds[i]), &kinds[i]);
		check_files();
		close(HIGH);
	}
}

/* What a forked child does: its first write is the one that needs most. */
static int first_write;

static void write_in_child(void)
{
	static uint64_t slots[2 * 1024];
	uint32_t keys[] = { 1, 2 }, count = 2;

	if (first_write == ABI_MAP_UPDATE_BATCH || first_write == ABI_MAP_DELETE_BATCH)
		CHECK(on_batch(first_write, HIGH, keys, slots, &count) == 0 && count == 2);
	else
		CHECK(on_element(first_write, HIGH, 1, slots) == 0);
	for (uint32_t key = 0; key < ENTRIES; key++)
		CHECK(on_element(ABI_MAP_UPDATE_ELEM, HIGH, key, slots) == 0);
}

static void a_forked_child_writes(void **state)
{
	static const int writes[] = { ABI_MAP_UPDATE_ELEM, ABI_MAP_LOOKUP_AND_DELETE_ELEM, ABI_MAP_UPDATE_BATCH,
				      ABI_MAP_DELETE_BATCH };
	static uint64_t slots[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		for (size_t w = 0; w < sizeof(writes) / sizeof(writes[0]) && kinds[i].type != ABI_ARRAY; w++) {
			make_alone(&kinds[i]);
			for (uint32_t key = 0; key < 3; key++)
				assert_int_equal(on_element(ABI_MAP_UPDATE_ELEM, HIGH, key, slots), 0);
			first_write = writes[w];
			in_child(write_in_child);
			check_files();
			close(HIGH);
		}
	}
}

static void an_array_is_mapped_and_frozen(void **state)
{
	union abi_attr freeze = { .elem = { .map_fd = HIGH } };
	uint64_t value = 7, *values;

	(void)state;
	make_alone(&kinds[5]);
	values = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, HIGH, 0);
	assert_true(values != MAP_FAILED);
	assert_int_equal(on_element(ABI_MAP_UPDATE_ELEM, HIGH, 1, &value), 0);
	assert_int_equal(values[1], 7);
	assert_int_equal(call(ABI_MAP_FREEZE, &freeze), -EBUSY);
	assert_int_equal(munmap(values, 4096), 0);
	check_files();
	close(HIGH);
	make_alone(&kinds[5]);
	assert_int_equal(call(ABI_MAP_FREEZE, &freeze), 0);
	assert_int_equal(on_element(ABI_MAP_UPDATE_ELEM, HIGH, 1, &value), -EPERM);
	check_files();
	close(HIGH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_is_filled),
		cmocka_unit_test(a_forked_child_writes),
		cmocka_unit_test(an_array_is_mapped_and_frozen),
	};

	skip_without_maps();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
