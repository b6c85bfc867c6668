/* SPDX-License-Identifier: MIT */
/*
 * mmap of maps' descriptors, and freezing where there are mappings: each check, which of two comes first, and what a
 * mapping may become.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "rows.h"

#define PAGE 4096

typedef void *(*map_call)(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

static map_call mmap_of(abi_bpf bpf)
{
	return bpf == kernel_bpf ? mmap : usermap_bpf_mmap;
}

static int make(abi_bpf bpf, uint32_t type, uint32_t flags, uint32_t max_entries)
{
	union abi_attr attr = { .create = { .map_type = type,
					    .key_size = 4,
					    .value_size = 5,
					    .max_entries = max_entries,
					    .map_flags = flags } };
	long fd = call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));

	assert_true(fd >= 0);
	return (int)fd;
}

/* Two pages of values. */
static int make_array(abi_bpf bpf)
{
	return make(bpf, ABI_ARRAY, ABI_F_MMAPABLE, 2 * PAGE / 8);
}

static long freeze(abi_bpf bpf, int fd)
{
	union abi_attr attr = { .freeze_fd = (uint32_t)fd };

	return call(bpf, ABI_MAP_FREEZE, &attr, sizeof(attr));
}

static long element(abi_bpf bpf, int cmd, int fd, uint32_t key, void *value)
{
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = address(&key), .value = address(value) } };

	return call(bpf, cmd, &attr, sizeof(attr));
}

/* One call */

#define R PROT_READ
#define W PROT_WRITE
#define X PROT_EXEC
#define S MAP_SHARED
#define P MAP_PRIVATE

enum what { ARRAY, PLAIN, HASH, PERCPU, NOT_OPEN };

struct mmap_row {
	const char *name;
	int expected; /* 0, or -errno */
	int prot;
	int flags;
	enum what what;
	uint32_t map_flags; /* besides MMAPABLE */
	bool frozen;
	size_t length; /* 0: a page */
	off_t offset;
};

static const struct mmap_row rows[] = {
	{ "read_and_write", 0, R | W, S, .what = ARRAY },
	{ "read", 0, R, S, .what = ARRAY },
	{ "write", 0, W, S, .what = ARRAY },
	{ "neither", 0, 0, S, .what = ARRAY },
	{ "shared_validate", 0, R | W, MAP_SHARED_VALIDATE, .what = ARRAY },
	{ "exec_is_EPERM", -EPERM, R | X, S, .what = ARRAY },
	{ "private_is_EINVAL", -EINVAL, R, P, .what = ARRAY },
	{ "private_exec_is_EPERM", -EPERM, R | X, P, .what = ARRAY },
	{ "no_type_is_EINVAL", -EINVAL, R, 0, .what = ARRAY },
	{ "no_type_of_HASH_is_EINVAL", -EINVAL, R, 0, .what = HASH },
	{ "validate_sync_is_EOPNOTSUPP", -EOPNOTSUPP, R, MAP_SHARED_VALIDATE | MAP_SYNC, .what = ARRAY },
	{ "validate_sync_of_HASH_is_EOPNOTSUPP", -EOPNOTSUPP, R, MAP_SHARED_VALIDATE | MAP_SYNC, .what = HASH },
	{ "populate", 0, R, S | MAP_POPULATE, .what = ARRAY },
	{ "huge_pages_are_EINVAL", -EINVAL, R, S | MAP_HUGETLB, .what = ARRAY },
	{ "anonymous_does_not_look_at_the_descriptor", 0, R, S | MAP_ANONYMOUS, .what = HASH },

	{ "HASH_is_ENOTSUPP", -ABI_ENOTSUPP, R, S, .what = HASH },
	{ "HASH_private_is_ENOTSUPP", -ABI_ENOTSUPP, R | W, P, .what = HASH },
	{ "HASH_exec_is_EPERM", -EPERM, X, S, .what = HASH },
	{ "PERCPU_ARRAY_is_ENOTSUPP", -ABI_ENOTSUPP, R, S, .what = PERCPU },
	{ "without_MMAPABLE_is_EINVAL", -EINVAL, R, S, .what = PLAIN },
	{ "without_MMAPABLE_frozen_write_is_EPERM", -EPERM, W, S, .what = PLAIN, .map_flags = 0, .frozen = true },
	{ "without_MMAPABLE_RDONLY_PROG_write_is_EACCES", -EACCES, W, S, .what = PLAIN,
	  .map_flags = ABI_F_RDONLY_PROG },

	{ "RDONLY_read_is_EINVAL", -EINVAL, R, S, .what = ARRAY, .map_flags = ABI_F_RDONLY },
	{ "RDONLY_private_is_EINVAL", -EINVAL, R, P, .what = ARRAY, .map_flags = ABI_F_RDONLY },
	{ "RDONLY_write_is_EACCES", -EACCES, R | W, S, .what = ARRAY, .map_flags = ABI_F_RDONLY },
	{ "RDONLY_write_private_is_EINVAL", -EINVAL, R | W, P, .what = ARRAY, .map_flags = ABI_F_RDONLY },
	{ "RDONLY_write_exec_is_EACCES", -EACCES, R | W | X, S, .what = ARRAY, .map_flags = ABI_F_RDONLY },
	{ "RDONLY_exec_is_EPERM", -EPERM, R | X, S, .what = ARRAY, .map_flags = ABI_F_RDONLY },
	{ "RDONLY_HASH_read_is_ENOTSUPP", -ABI_ENOTSUPP, R, S, .what = HASH, .map_flags = ABI_F_RDONLY },
	{ "RDONLY_HASH_write_is_EACCES", -EACCES, W, S, .what = HASH, .map_flags = ABI_F_RDONLY },
	{ "WRONLY_read_is_EACCES", -EACCES, R, S, .what = ARRAY, .map_flags = ABI_F_WRONLY },
	{ "WRONLY_write_is_EACCES", -EACCES, W, S, .what = ARRAY, .map_flags = ABI_F_WRONLY },
	{ "WRONLY_exec_is_EACCES", -EACCES, X, S, .what = ARRAY, .map_flags = ABI_F_WRONLY },
	{ "WRONLY_private_is_EACCES", -EACCES, R, P, .what = ARRAY, .map_flags = ABI_F_WRONLY },
	{ "WRONLY_HASH_is_EACCES", -EACCES, R, S, .what = HASH, .map_flags = ABI_F_WRONLY },
	{ "RDONLY_PROG_read", 0, R, S, .what = ARRAY, .map_flags = ABI_F_RDONLY_PROG },
	{ "RDONLY_PROG_write_is_EACCES", -EACCES, R | W, S, .what = ARRAY, .map_flags = ABI_F_RDONLY_PROG },
	{ "RDONLY_PROG_write_private_is_EINVAL", -EINVAL, R | W, P, .what = ARRAY, .map_flags = ABI_F_RDONLY_PROG },
	{ "WRONLY_PROG_read_and_write", 0, R | W, S, .what = ARRAY, .map_flags = ABI_F_WRONLY_PROG },
	{ "frozen_read", 0, R, S, .what = ARRAY, .map_flags = 0, .frozen = true },
	{ "frozen_write_is_EPERM", -EPERM, R | W, S, .what = ARRAY, .map_flags = 0, .frozen = true },
	{ "frozen_write_private_is_EINVAL", -EINVAL, R | W, P, .what = ARRAY, .map_flags = 0, .frozen = true },
	{ "frozen_RDONLY_PROG_write_is_EPERM", -EPERM, W, S, .what = ARRAY, .map_flags = ABI_F_RDONLY_PROG,
	  .frozen = true },

	{ "all_pages", 0, R, S, .what = ARRAY, .length = 2 * PAGE },
	{ "length_0_is_EINVAL", -EINVAL, R, S, .what = ARRAY, .length = SIZE_MAX },
	{ "part_of_a_page", 0, R, S, .what = ARRAY, .length = PAGE + 1 },
	{ "beyond_the_last_page_is_EINVAL", -EINVAL, R, S, .what = ARRAY, .length = 2 * PAGE + 1 },
	{ "second_page", 0, R, S, .what = ARRAY, .offset = PAGE },
	{ "second_page_and_more_is_EINVAL", -EINVAL, R, S, .what = ARRAY, .length = 2 * PAGE, .offset = PAGE },
	{ "behind_the_last_page_is_EINVAL", -EINVAL, R, S, .what = ARRAY, .offset = 2 * PAGE },
	{ "far_behind_is_EINVAL", -EINVAL, R, S, .what = ARRAY, .offset = 1ll << 40 },
	{ "negative_offset_is_EOVERFLOW", -EOVERFLOW, R, S, .what = ARRAY, .offset = -PAGE },
	{ "HASH_negative_offset_is_EOVERFLOW", -EOVERFLOW, R, S, .what = HASH, .offset = -PAGE },
	{ "odd_offset_is_EINVAL", -EINVAL, R, S, .what = ARRAY, .offset = 8 },
	{ "HASH_odd_offset_is_EINVAL", -EINVAL, R, S, .what = HASH, .offset = 8 },
	{ "HASH_length_0_is_EINVAL", -EINVAL, R, S, .what = HASH, .length = SIZE_MAX },
	{ "RDONLY_PROG_write_beats_the_length", -EACCES, W, S, .what = ARRAY, .map_flags = ABI_F_RDONLY_PROG,
	  .length = 1 << 20 },
	{ "HASH_far_behind_is_ENOTSUPP", -ABI_ENOTSUPP, R, S, .what = HASH, .offset = 1ll << 40 },

	{ "not_open_is_EBADF", -EBADF, R, S, .what = NOT_OPEN },
	{ "not_open_length_0_is_EBADF", -EBADF, R, S, .what = NOT_OPEN, .length = SIZE_MAX },
	{ "not_open_odd_offset_is_EINVAL", -EINVAL, R, S, .what = NOT_OPEN, .offset = 8 },
};

static int open_what(abi_bpf bpf, const struct mmap_row *row)
{
	static const uint32_t types[] = { ABI_ARRAY, ABI_ARRAY, ABI_HASH, ABI_PERCPU_ARRAY };

	if (row->what == NOT_OPEN)
		return 1000000;
	return make(bpf, types[row->what], row->map_flags | (row->what == ARRAY ? ABI_F_MMAPABLE : 0), 2 * PAGE / 8);
}

static void run_mmap_row(void **state)
{
	const struct row_test *test = *state;
	const struct mmap_row *row = test->row;
	size_t length = row->length == SIZE_MAX ? 0 : row->length ? row->length : PAGE;
	int fd = open_what(test->bpf, row);
	void *at;

	if (row->frozen)
		assert_int_equal(freeze(test->bpf, fd), 0);
	at = mmap_of(test->bpf)(NULL, length, row->prot, row->flags, fd, row->offset);
	assert_int_equal(at == MAP_FAILED ? -errno : 0, row->expected);
	if (at != MAP_FAILED)
		munmap(at, length);
	close(fd);
}

/* Rules that take several calls */

static void *map_pages(abi_bpf bpf, int fd, int prot, size_t pages)
{
	void *at = mmap_of(bpf)(NULL, pages * PAGE, prot, MAP_SHARED, fd, 0);

	assert_true(at != MAP_FAILED);
	return at;
}

static void values_lie_at_multiples_of_8(abi_bpf bpf)
{
	int fd = make_array(bpf);
	unsigned char *at = map_pages(bpf, fd, R | W, 2), value[5] = "abcd", seen[5];

	for (uint32_t i = 0; i < 2 * PAGE / 8; i += 511) {
		value[4] = (unsigned char)i;
		assert_int_equal(element(bpf, ABI_MAP_UPDATE_ELEM, fd, i, value), 0);
		assert_memory_equal(at + i * 8, value, 5);
		at[i * 8 + 1] = 'B';
		assert_int_equal(element(bpf, ABI_MAP_LOOKUP_ELEM, fd, i, seen), 0);
		assert_true(seen[1] == 'B' && seen[4] == value[4]);
	}
	munmap(at, 2 * PAGE);
	close(fd);
}

static void the_second_page_is_at_its_offset(abi_bpf bpf)
{
	int fd = make_array(bpf);
	unsigned char *at = mmap_of(bpf)(NULL, PAGE, R | W, S, fd, PAGE), value[5] = "abcd";

	assert_true(at != MAP_FAILED);
	assert_int_equal(element(bpf, ABI_MAP_UPDATE_ELEM, fd, PAGE / 8, value), 0);
	assert_memory_equal(at, value, 5);
	munmap(at, PAGE);
	close(fd);
}

static void the_rest_of_the_last_page_can_be_written_to(abi_bpf bpf)
{
	int fd = make(bpf, ABI_ARRAY, ABI_F_MMAPABLE, 3);
	unsigned char *at = map_pages(bpf, fd, R | W, 1), value[5];

	memset(at + 24, 0xff, PAGE - 24);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(element(bpf, ABI_MAP_LOOKUP_ELEM, fd, i, value), 0);
		assert_memory_equal(value, "\0\0\0\0", 5);
	}
	assert_int_equal(at[PAGE - 1], 0xff);
	munmap(at, PAGE);
	close(fd);
}

static void MAP_FIXED_takes_the_place_of_pages(abi_bpf bpf)
{
	int fd = make_array(bpf);
	unsigned char *room = mmap(NULL, 3 * PAGE, R | W, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), value[5] = "abcd";

	memset(room, 0xee, 3 * PAGE);
	assert_int_equal(element(bpf, ABI_MAP_UPDATE_ELEM, fd, 1, value), 0);
	assert_ptr_equal(mmap_of(bpf)(room + PAGE, PAGE, R, S | MAP_FIXED, fd, 0), room + PAGE);
	assert_memory_equal(room + PAGE + 8, value, 5);
	assert_true(room[PAGE - 1] == 0xee && room[2 * PAGE] == 0xee);
	assert_true(mmap_of(bpf)(room + 1, PAGE, R, S | MAP_FIXED, fd, 0) == MAP_FAILED && errno == EINVAL);
	assert_true(mmap_of(bpf)(room, PAGE, R, S | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED && errno == EEXIST);
	munmap(room, 3 * PAGE);
	close(fd);
}

static void a_mapping_outlives_the_descriptor(abi_bpf bpf)
{
	int fd = make_array(bpf);
	uint32_t info[ABI_MAP_INFO_SIZE / 4] = { 0 };
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = address(info) } };
	unsigned char *at = map_pages(bpf, fd, R | W, 1), value[5];

	assert_int_equal(call(bpf, ABI_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
	at[0] = 'x';
	close(fd);
	close(make_array(bpf)); /* a chance to collect */
	at[8] = 'y';
	attr = (union abi_attr){ .id = { .id = info[1] } };
	fd = (int)call(bpf, ABI_MAP_GET_FD_BY_ID, &attr, sizeof(attr));
	assert_true(fd >= 0);
	assert_int_equal(element(bpf, ABI_MAP_LOOKUP_ELEM, fd, 0, value), 0);
	assert_int_equal(value[0], 'x');
	assert_int_equal(element(bpf, ABI_MAP_LOOKUP_ELEM, fd, 1, value), 0);
	assert_int_equal(value[0], 'y');
	close(fd);
	munmap(at, PAGE);
}

static void what_was_not_mapped_writable_stays_so(abi_bpf bpf)
{
	int fd = make_array(bpf);
	void *read_only = map_pages(bpf, fd, R, 1), *none = map_pages(bpf, fd, 0, 1),
	     *both = map_pages(bpf, fd, R | W, 1);

	assert_true(mprotect(read_only, PAGE, R | W) == -1 && errno == EACCES);
	assert_true(mprotect(none, PAGE, R | W) == -1 && errno == EACCES);
	assert_int_equal(mprotect(none, PAGE, R), 0);
	assert_int_equal(mprotect(both, PAGE, R), 0);
	assert_int_equal(mprotect(both, PAGE, R | W), 0);
	munmap(read_only, PAGE);
	munmap(none, PAGE);
	munmap(both, PAGE);
	close(fd);
}

static void a_read_only_mapping_lets_freeze(abi_bpf bpf)
{
	int fd = make_array(bpf);
	void *at = map_pages(bpf, fd, R, 1), *none = map_pages(bpf, fd, 0, 1);

	assert_int_equal(freeze(bpf, fd), 0);
	assert_int_equal(freeze(bpf, fd), -EPERM);
	munmap(at, PAGE);
	munmap(none, PAGE);
	close(fd);
}

static void a_writable_mapping_makes_freeze_EBUSY(abi_bpf bpf)
{
	int fd = make_array(bpf);
	unsigned char *at = map_pages(bpf, fd, R | W, 2), value[5] = "abcd";

	assert_int_equal(freeze(bpf, fd), -EBUSY);
	assert_int_equal(mprotect(at, 2 * PAGE, R), 0);
	assert_int_equal(freeze(bpf, fd), -EBUSY); /* it could become writable again */
	assert_int_equal(element(bpf, ABI_MAP_UPDATE_ELEM, fd, 0, value), 0);
	munmap(at, PAGE);
	assert_int_equal(freeze(bpf, fd), -EBUSY);
	at = mremap(at + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	assert_true(at != MAP_FAILED);
	assert_int_equal(freeze(bpf, fd), -EBUSY);
	munmap(at, PAGE);
	assert_int_equal(freeze(bpf, fd), 0);
	assert_int_equal(element(bpf, ABI_MAP_UPDATE_ELEM, fd, 0, value), -EPERM);
	close(fd);
}

static void a_mapping_replaced_by_another_lets_freeze(abi_bpf bpf)
{
	int fd = make_array(bpf);
	void *at = map_pages(bpf, fd, R | W, 1);

	assert_ptr_equal(mmap_of(bpf)(at, PAGE, R, S | MAP_FIXED, fd, 0), at); /* as libbpf does to .rodata */
	assert_int_equal(freeze(bpf, fd), 0);
	munmap(at, PAGE);
	close(fd);
}

static void a_childs_mapping_makes_freeze_EBUSY(abi_bpf bpf)
{
	int fd = make_array(bpf), to_parent[2], to_child[2];
	void *at = map_pages(bpf, fd, R | W, 1);
	char byte;
	pid_t pid;

	assert_int_equal(pipe(to_parent) | pipe(to_child), 0);
	pid = fork();
	if (pid == 0) {
		close(fd);
		_exit(write(to_parent[1], "", 1) == 1 && read(to_child[0], &byte, 1) == 1 ? 0 : 1);
	}
	munmap(at, PAGE);
	assert_int_equal(read(to_parent[0], &byte, 1), 1);
	assert_int_equal(freeze(bpf, fd), -EBUSY);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(freeze(bpf, fd), 0);
	for (int i = 0; i < 2; i++) {
		close(to_parent[i]);
		close(to_child[i]);
	}
	close(fd);
}

static void another_descriptors_mapping_counts_too(abi_bpf bpf)
{
	int fd = make_array(bpf), other = dup(fd);
	void *at = map_pages(bpf, other, R | W, 1);

	close(other);
	assert_int_equal(freeze(bpf, fd), -EBUSY);
	munmap(at, PAGE);
	assert_int_equal(freeze(bpf, fd), 0);
	close(fd);
}

/* A value that isn't there until somebody says so. */
struct late_value {
	abi_bpf bpf;
	int map, faults;
	unsigned char *page;
	long result;
};

static int make_late(struct late_value *late)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	late->faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (late->faults < 0)
		return -errno;
	late->page = mmap(NULL, PAGE, R | W, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range.range.start = address(late->page);
	range.range.len = PAGE;
	assert_int_equal(ioctl(late->faults, UFFDIO_API, &api), 0);
	assert_int_equal(ioctl(late->faults, UFFDIO_REGISTER, &range), 0);
	return 0;
}

static void *update_late(void *arg)
{
	struct late_value *late = arg;

	late->result = element(late->bpf, ABI_MAP_UPDATE_ELEM, late->map, 0, late->page);
	return NULL;
}

static void a_write_in_progress_makes_freeze_EBUSY(abi_bpf bpf)
{
	struct late_value late = { .bpf = bpf, .map = make(bpf, ABI_ARRAY, 0, 4) };
	int other = make(bpf, ABI_ARRAY, 0, 4);
	struct uffdio_zeropage zeros = { 0 };
	struct uffd_msg fault;
	pthread_t thread;

	if (make_late(&late))
		skip();
	assert_int_equal(pthread_create(&thread, NULL, update_late, &late), 0);
	assert_int_equal(read(late.faults, &fault, sizeof(fault)), sizeof(fault)); /* the update waits for the value */
	assert_int_equal(freeze(bpf, late.map), -EBUSY);
	assert_int_equal(freeze(bpf, other), 0);
	zeros.range.start = address(late.page);
	zeros.range.len = PAGE;
	assert_int_equal(ioctl(late.faults, UFFDIO_ZEROPAGE, &zeros), 0);
	pthread_join(thread, NULL);
	assert_int_equal(late.result, 0);
	assert_int_equal(freeze(bpf, late.map), 0);
	close(late.faults);
	munmap(late.page, PAGE);
	close(late.map);
	close(other);
}

/* A thread that maps and one that freezes, at once: not both may have it their way. */
struct race {
	abi_bpf bpf;
	int map;
	pthread_barrier_t start;
	void *at;
};

static void *map_at_once(void *arg)
{
	struct race *race = arg;

	pthread_barrier_wait(&race->start);
	race->at = mmap_of(race->bpf)(NULL, PAGE, R | W, S, race->map, 0);
	return NULL;
}

static void a_frozen_map_has_no_writable_mapping(abi_bpf bpf)
{
	struct race race = { .bpf = bpf };
	pthread_t thread;

	pthread_barrier_init(&race.start, NULL, 2);
	for (int i = 0; i < 500; i++) {
		race.map = make(bpf, ABI_ARRAY, ABI_F_MMAPABLE, 1);
		assert_int_equal(pthread_create(&thread, NULL, map_at_once, &race), 0);
		pthread_barrier_wait(&race.start);
		if (freeze(bpf, race.map) == 0) {
			pthread_join(thread, NULL);
			assert_true(race.at == MAP_FAILED);
		} else {
			pthread_join(thread, NULL);
			assert_true(race.at != MAP_FAILED);
			munmap(race.at, PAGE);
		}
		close(race.map);
	}
	pthread_barrier_destroy(&race.start);
}

static const struct act_row acts[] = {
	{ "values_lie_at_multiples_of_8", values_lie_at_multiples_of_8 },
	{ "the_second_page_is_at_its_offset", the_second_page_is_at_its_offset },
	{ "the_rest_of_the_last_page_can_be_written_to", the_rest_of_the_last_page_can_be_written_to },
	{ "MAP_FIXED_takes_the_place_of_pages", MAP_FIXED_takes_the_place_of_pages },
	{ "a_mapping_outlives_the_descriptor", a_mapping_outlives_the_descriptor },
	{ "what_was_not_mapped_writable_stays_so", what_was_not_mapped_writable_stays_so },
	{ "a_read_only_mapping_lets_freeze", a_read_only_mapping_lets_freeze },
	{ "a_writable_mapping_makes_freeze_EBUSY", a_writable_mapping_makes_freeze_EBUSY },
	{ "a_mapping_replaced_by_another_lets_freeze", a_mapping_replaced_by_another_lets_freeze },
	{ "a_childs_mapping_makes_freeze_EBUSY", a_childs_mapping_makes_freeze_EBUSY },
	{ "another_descriptors_mapping_counts_too", another_descriptors_mapping_counts_too },
	{ "a_frozen_map_has_no_writable_mapping", a_frozen_map_has_no_writable_mapping },
	{ "a_write_in_progress_makes_freeze_EBUSY", a_write_in_progress_makes_freeze_EBUSY },
};

int main(void)
{
	const struct row_table tables[] = { ROW_TABLE(rows, run_mmap_row), ROW_TABLE(acts, run_act) };

	return run_tables("mmap", tables, sizeof(tables) / sizeof(tables[0]));
}
