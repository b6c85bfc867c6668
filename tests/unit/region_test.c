/* SPDX-License-Identifier: MIT */
/*
 * core/region: layouts, creation of each kind, attaching, obtaining memory. What a corrupt file meets is in
 * region_hostile_test.c, what a full machine or filesystem does in region_full_test.c.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/region.h"

#define MIB	(1ull << 20)
#define GRANULE (256ull << 10)

/* Two parts: one to be obtained at once, one on use. */
static struct region_layout two_parts(uint64_t now, uint64_t later)
{
	struct region_layout layout = { .attr = { .type = BPF_MAP_TYPE_ARRAY },
					.reuse = USERMAP_REUSE_AT_ONCE,
					.n_cpus = 1 };

	assert_true(region_layout_add(&layout, PART_INDEX, now, now));
	assert_true(region_layout_add(&layout, PART_ELEMENTS, later, 0));
	assert_true(region_layout_end(&layout));
	return layout;
}

static void layout_parts_are_page_aligned_and_do_not_overlap(void **unused)
{
	(void)unused;
	for (int round = 0; round < 1000; round++) {
		struct region_layout layout = { 0 };
		uint64_t end = 0;

		for (enum region_part part = 0; part < PART_N; part++) {
			uint64_t size = support_random() >> (support_random_below(3) ? 48 : 36);

			if (!support_random_below(4))
				continue;
			assert_true(region_layout_add(&layout, part, size, size / 2));
			assert_int_equal(layout.size[part], size);
			assert_int_equal(layout.prealloc[part], size / 2);
			assert_int_equal(layout.offset[part] % (size >= 2 * MIB ? 2 * MIB : REGION_PAGE), 0);
			assert_true(layout.offset[part] >= end);
			end = layout.offset[part] + size;
		}
		assert_true(region_layout_end(&layout));
		assert_int_equal(layout.total % REGION_PAGE, 0);
		assert_true(layout.total >= end + REGION_PAGE && layout.total < end + 2 * REGION_PAGE);
	}
}

static void layout_beyond_2_to_the_47_is_refused(void **unused)
{
	struct region_layout layout = { 0 };

	(void)unused;
	assert_false(region_layout_add(&layout, PART_INDEX, UINT64_MAX, 0));
	assert_false(region_layout_add(&layout, PART_INDEX, UINT64_MAX - 4096, 0));
	assert_false(region_layout_add(&layout, PART_INDEX, (1ull << 47) + 1, 0));
	assert_true(region_layout_add(&layout, PART_INDEX, 1ull << 46, 0));
	assert_true(region_layout_add(&layout, PART_ELEMENTS, 1ull << 46, 0));
	assert_false(region_layout_add(&layout, PART_NODES, 1, 0));
	assert_false(region_layout_end(&layout)); /* no room for the header */
}

static bool all_zero(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i])
			return false;
	return true;
}

static void private_region_is_zero_aligned_to_a_huge_page_and_ends_with_its_header(void **unused)
{
	const struct region_layout layout = two_parts(3 * MIB, 5000);
	struct region region;

	(void)unused;
	assert_int_equal(region_create(&region, &layout, REGION_PRIVATE, NULL, -1), 0);
	assert_int_equal(region.size, layout.total);
	assert_int_equal((uintptr_t)region.base % (2 * MIB), 0);
	assert_ptr_equal(region.header, region.base + layout.total - REGION_PAGE);
	assert_true(all_zero(region.base, layout.total - REGION_PAGE));
	assert_true(region_layout_equal(&region.header->layout, &layout));
	assert_int_equal(region.fd, -1);
	assert_ptr_equal(region_part(&region, &layout, PART_ELEMENTS), region.base + layout.offset[PART_ELEMENTS]);
	region_close(&region);
}

static void only_preallocated_parts_take_memory_at_creation(void **unused)
{
	const struct region_layout layout = two_parts(4 * MIB, 1ull << 30);
	const enum region_kind kinds[] = { REGION_MEMFD, REGION_PRIVATE };
	const size_t n_kinds = support_emulated() ? 1 : 2;

	(void)unused;
	for (size_t i = 0; i < n_kinds; i++) {
		struct region region;

		assert_int_equal(region_create(&region, &layout, kinds[i], NULL, -1), 0);
		assert_in_range(region_resident(&region), 4 * MIB + REGION_PAGE, 4 * MIB + 4 * REGION_PAGE);
		region_close(&region);
	}
}

static void touch_obtains_the_granules_once(void **unused)
{
	const struct region_layout layout = two_parts(REGION_PAGE, 64 * MIB);
	const enum region_kind kinds[] = { REGION_MEMFD, REGION_PRIVATE };
	const size_t n_kinds = support_emulated() ? 1 : 2;

	(void)unused;
	for (size_t i = 0; i < n_kinds; i++) {
		struct region region;
		uint64_t before, at = layout.offset[PART_ELEMENTS] + 10 * GRANULE;

		assert_int_equal(region_create(&region, &layout, kinds[i], NULL, -1), 0);
		before = region_resident(&region);
		support_fail_nth(0);
		assert_int_equal(region_touch(&region, at + 100, 8), 0);
		assert_int_equal(region_resident(&region), before + GRANULE);
		assert_true(support_acquisitions() > 0);

		support_fail_nth(1); /* whatever the kernel is asked for now fails */
		assert_int_equal(region_touch(&region, at, GRANULE), 0);
		assert_int_equal(region_touch(&region, at, GRANULE + 1), -ENOMEM);
		support_fail_nth(0);
		assert_int_equal(region_touch(&region, at - 1, 2 * GRANULE), 0);
		assert_int_equal(region_resident(&region), before + 3 * GRANULE);
		assert_int_equal(region_touch(&region, layout.total - 1, 1), 0); /* the last, partial granule */
		memset(region.base + at - GRANULE, 0xff, 3 * GRANULE);
		region_close(&region);
	}
}

static void preallocated_memory_needs_no_touch(void **unused)
{
	const struct region_layout layout = two_parts(4 * MIB, 0);
	struct region region;

	(void)unused;
	assert_int_equal(region_create(&region, &layout, REGION_MEMFD, NULL, -1), 0);
	support_fail_nth(1);
	assert_int_equal(region_touch(&region, 0, 4 * MIB), 0);
	support_fail_nth(0);
	region_close(&region);
}

static void touch_beside_a_preallocated_part_is_not_forgotten(void **unused)
{
	struct region_layout layout = { .reuse = USERMAP_REUSE_AT_ONCE, .n_cpus = 1 };
	struct region region;
	uint64_t before;

	(void)unused;
	assert_true(region_layout_add(&layout, PART_INDEX, GRANULE / 4, 0));
	assert_true(region_layout_add(&layout, PART_ELEMENTS, MIB, MIB));
	assert_true(region_layout_add(&layout, PART_NODES, GRANULE / 4, 0));
	assert_true(region_layout_end(&layout));
	assert_int_equal(region_create(&region, &layout, REGION_MEMFD, NULL, -1), 0);
	before = region_resident(&region);
	assert_int_equal(region_touch(&region, layout.offset[PART_INDEX], 1), 0);
	assert_int_equal(region_resident(&region), before + GRANULE / 4);
	assert_int_equal(region_touch(&region, layout.offset[PART_NODES], 1), 0);
	assert_int_equal(region_resident(&region), before + GRANULE / 2);
	region_close(&region);
}

static void memfd_is_sealed_against_resizing(void **unused)
{
	const struct region_layout layout = two_parts(MIB, MIB);
	struct region region;

	(void)unused;
	assert_int_equal(region_create(&region, &layout, REGION_MEMFD, NULL, -1), 0);
	assert_int_equal(fcntl(region.fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(ftruncate(region.fd, 0), -1);
	assert_int_equal(fcntl(region.fd, F_GETFD), FD_CLOEXEC);
	region_close(&region);
}

static int create_at(struct region *region, const char *path)
{
	const struct region_layout layout = two_parts(100, 100);

	return region_create(region, &layout, REGION_PATH, path, -1);
}

static void file_has_no_name_before_it_is_published(void **unused)
{
	char directory[64], path[80];
	struct region region;
	struct stat st;
	mode_t mask = umask(0777);

	(void)unused;
	snprintf(path, sizeof(path), "%s/map", support_scratch_make(directory));
	assert_int_equal(create_at(&region, path), 0);
	umask(mask);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(region.header->magic, 0);
	assert_int_equal(region_publish(&region, path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_size, region.size);
	assert_int_equal(fcntl(region.fd, F_GETFD), FD_CLOEXEC);
	region_close(&region);
	assert_int_equal(unlink(path), 0);
	support_scratch_remove(directory);
}

static void file_that_exists_is_EEXIST_also_if_it_came_meanwhile(void **unused)
{
	char directory[64], path[80];
	struct region first, second, third;
	struct holdings before;

	(void)unused;
	snprintf(path, sizeof(path), "%s/map", support_scratch_make(directory));
	assert_int_equal(create_at(&first, path), 0);
	assert_int_equal(create_at(&second, path), 0);
	assert_int_equal(region_publish(&first, path), 0);
	assert_int_equal(region_publish(&second, path), -EEXIST);
	region_close(&second);
	region_close(&first);
	before = support_holdings(directory);
	assert_int_equal(create_at(&third, path), -EEXIST);
	support_assert_same(before, support_holdings(directory));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("nowhere", path), 0); /* as O_EXCL: a link counts, wherever it points */
	assert_int_equal(create_at(&third, path), -EEXIST);
	assert_int_equal(unlink(path), 0);
	support_scratch_remove(directory);
}

static void file_in_a_bad_place_is_the_error_of_open(void **unused)
{
	char directory[64], path[5000];
	struct holdings before;
	struct region region;

	(void)unused;
	before = support_holdings(support_scratch_make(directory));
	snprintf(path, sizeof(path), "%s/absent/map", directory);
	assert_int_equal(create_at(&region, path), -ENOENT);
	assert_int_equal(create_at(&region, ""), -ENOENT);
	assert_int_equal(create_at(&region, "/proc/self/comm/map"), -ENOTDIR);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(create_at(&region, path), -ENAMETOOLONG);
	support_assert_same(before, support_holdings(directory));
	support_scratch_remove(directory);
}

static void given_file_must_be_an_empty_regular_one(void **unused)
{
	const struct region_layout layout = two_parts(100, 100);
	int fd = memfd_create("test", MFD_CLOEXEC), ends[2];
	struct region region;

	(void)unused;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(region_create(&region, &layout, REGION_FD, NULL, ends[0]), -EINVAL);
	assert_int_equal(region_create(&region, &layout, REGION_FD, NULL, 9999), -EBADF);
	assert_int_equal(ftruncate(fd, 1), 0);
	assert_int_equal(region_create(&region, &layout, REGION_FD, NULL, fd), -EINVAL);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(region_create(&region, &layout, REGION_FD, NULL, fd), 0);
	assert_int_not_equal(region.fd, fd);
	/* Its own description: offsets are not shared. */
	assert_int_equal(lseek(fd, 1000, SEEK_SET), 1000);
	assert_int_equal(lseek(region.fd, 0, SEEK_CUR), 0);
	assert_int_equal(fcntl(region.fd, F_GETFD), FD_CLOEXEC);
	region_close(&region);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

static void given_file_is_empty_again_after_a_failure(void **unused)
{
	const struct region_layout layout = two_parts(2 * MIB, 100);
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct region region;
	struct stat st;

	(void)unused;
	support_fail_nth(4);
	assert_int_equal(region_create(&region, &layout, REGION_FD, NULL, fd), -ENOMEM);
	support_fail_nth(0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_blocks, 0);
	close(fd);
}

static int create_above_the_file_size_limit(void *unused)
{
	const struct region_layout layout = two_parts(2 * MIB, 100);
	const struct rlimit limit = { MIB, MIB };
	struct region region;

	(void)unused;
	setrlimit(RLIMIT_FSIZE, &limit);
	return region_create(&region, &layout, REGION_MEMFD, NULL, -1) == -EFBIG ? 0 : 1;
}

static void file_above_RLIMIT_FSIZE_is_EFBIG_without_a_signal(void **unused)
{
	(void)unused;
	assert_int_equal(support_in_child(create_above_the_file_size_limit, NULL), 0);
}

static void absent_numa_node_is_EINVAL(void **unused)
{
	struct region_layout layout = two_parts(100, 100);
	struct region region;

	(void)unused;
	layout.attr.numa_node = 4096; /* without the flag it means nothing */
	assert_int_equal(region_create(&region, &layout, REGION_PRIVATE, NULL, -1), 0);
	region_close(&region);
	layout.attr.map_flags = BPF_F_NUMA_NODE;
	assert_int_equal(region_create(&region, &layout, REGION_PRIVATE, NULL, -1), -EINVAL);
	layout.attr.numa_node = UINT32_MAX;
	assert_int_equal(region_create(&region, &layout, REGION_PRIVATE, NULL, -1), 0);
	region_close(&region);
}

static void numa_node_is_preferred(void **unused)
{
	struct region_layout layout = two_parts(100, 100);
	struct region region;
	int mode = -1;

	(void)unused;
	if (access("/sys/devices/system/node/node0", F_OK) != 0) {
		print_message("skipped: the kernel has no NUMA\n");
		skip();
	}
	layout.attr.map_flags = BPF_F_NUMA_NODE;
	assert_int_equal(region_create(&region, &layout, REGION_MEMFD, NULL, -1), 0);
	if (syscall(SYS_get_mempolicy, &mode, NULL, 0, region.base, MPOL_F_ADDR) != 0) {
		region_close(&region);
		print_message("skipped: memory policies are refused here\n");
		skip();
	}
	assert_int_equal(mode, MPOL_PREFERRED);
	region_close(&region);
}

/* A published region in a memfd, with something in it. */
static void make_shared(struct region *region, const struct region_layout *layout)
{
	assert_int_equal(region_create(region, layout, REGION_MEMFD, NULL, -1), 0);
	memcpy(region->base, "hello", 5);
	assert_int_equal(region_publish(region, NULL), 0);
}

static void attach_shows_the_same_memory(void **unused)
{
	const struct region_layout layout = two_parts(MIB, MIB);
	struct region_layout found;
	struct region region, again;

	(void)unused;
	make_shared(&region, &layout);
	assert_int_equal(region_attach(&again, region.fd, false, &found), 0);
	assert_true(region_layout_equal(&found, &layout));
	assert_int_not_equal(again.fd, region.fd);
	assert_int_not_equal(again.base, region.base);
	assert_memory_equal(again.base, "hello", 5);
	again.base[0] = 'j';
	assert_int_equal(region.base[0], 'j');
	assert_int_equal(region_touch(&again, layout.offset[PART_ELEMENTS], MIB), 0);
	region_close(&region);
	assert_memory_equal(again.base, "jello", 5);
	region_close(&again);
}

static int store_into(void *region)
{
	signal(SIGSEGV, SIG_DFL);
	((struct region *)region)->base[0] = 1;
	return 0;
}

static void read_only_attach_can_not_write(void **unused)
{
	const struct region_layout layout = two_parts(MIB, MIB);
	struct region_layout found;
	struct region region, again;
	int status;

	(void)unused;
	make_shared(&region, &layout);
	assert_int_equal(region_attach(&again, region.fd, true, &found), 0);
	assert_true(again.read_only);
	assert_memory_equal(again.base, "hello", 5);
	assert_int_equal(fcntl(again.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(mprotect(again.base, REGION_PAGE, PROT_READ | PROT_WRITE), -1);
	status = support_in_child(store_into, &again);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	assert_int_equal(region.base[0], 'h');
	region_close(&again);
	region_close(&region);
}

static void attach_before_publishing_is_EINVAL(void **unused)
{
	const struct region_layout layout = two_parts(MIB, MIB);
	struct region_layout found;
	struct region region, again;

	(void)unused;
	assert_int_equal(region_create(&region, &layout, REGION_MEMFD, NULL, -1), 0);
	assert_int_equal(region_attach(&again, region.fd, false, &found), -EINVAL);
	region_close(&region);
}

static void every_kind_of_failed_acquisition_is_ENOMEM_and_leaves_nothing(void **unused)
{
	const struct region_layout layout = two_parts(9 * MIB, MIB);
	char directory[64], path[80];

	(void)unused;
	snprintf(path, sizeof(path), "%s/map", support_scratch_make(directory));
	for (enum region_kind kind = REGION_PRIVATE; kind <= REGION_FD; kind++) {
		int fd = memfd_create("test", MFD_CLOEXEC), error = -ENOMEM;
		struct holdings before = support_holdings(directory);
		unsigned n = 0;

		while (error) {
			struct region region;

			assert_int_equal(error, -ENOMEM);
			support_assert_same(before, support_holdings(directory));
			support_fail_nth(++n);
			error = region_create(&region, &layout, kind, kind == REGION_PATH ? path : NULL, fd);
			support_fail_nth(0);
			if (!error)
				region_close(&region);
		}
		assert_true(n > 4); /* so many acquisitions there were, and each has failed once */
		support_assert_same(before, support_holdings(directory));
		close(fd);
	}
	support_scratch_remove(directory);
}

static void failed_acquisitions_while_attaching_leave_nothing(void **unused)
{
	const struct region_layout layout = two_parts(MIB, MIB);
	struct region_layout found;
	struct region region, again;
	struct holdings before;
	unsigned n = 0;
	int error = -ENOMEM;

	(void)unused;
	make_shared(&region, &layout);
	before = support_holdings("/proc/self/task");
	while (error) {
		assert_int_equal(error, -ENOMEM);
		support_assert_same(before, support_holdings("/proc/self/task"));
		support_fail_nth(++n);
		error = region_attach(&again, region.fd, false, &found);
		support_fail_nth(0);
	}
	assert_true(n > 2);
	region_close(&again);
	support_assert_same(before, support_holdings("/proc/self/task"));
	region_close(&region);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_parts_are_page_aligned_and_do_not_overlap),
		cmocka_unit_test(layout_beyond_2_to_the_47_is_refused),
		cmocka_unit_test(private_region_is_zero_aligned_to_a_huge_page_and_ends_with_its_header),
		cmocka_unit_test(only_preallocated_parts_take_memory_at_creation),
		cmocka_unit_test(touch_obtains_the_granules_once),
		cmocka_unit_test(preallocated_memory_needs_no_touch),
		cmocka_unit_test(touch_beside_a_preallocated_part_is_not_forgotten),
		cmocka_unit_test(memfd_is_sealed_against_resizing),
		cmocka_unit_test(file_has_no_name_before_it_is_published),
		cmocka_unit_test(file_that_exists_is_EEXIST_also_if_it_came_meanwhile),
		cmocka_unit_test(file_in_a_bad_place_is_the_error_of_open),
		cmocka_unit_test(given_file_must_be_an_empty_regular_one),
		cmocka_unit_test(given_file_is_empty_again_after_a_failure),
		cmocka_unit_test(file_above_RLIMIT_FSIZE_is_EFBIG_without_a_signal),
		cmocka_unit_test(absent_numa_node_is_EINVAL),
		cmocka_unit_test(numa_node_is_preferred),
		cmocka_unit_test(attach_shows_the_same_memory),
		cmocka_unit_test(read_only_attach_can_not_write),
		cmocka_unit_test(attach_before_publishing_is_EINVAL),
		cmocka_unit_test(every_kind_of_failed_acquisition_is_ENOMEM_and_leaves_nothing),
		cmocka_unit_test(failed_acquisitions_while_attaching_leave_nothing),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
