/* SPDX-License-Identifier: MIT */
/*
 * core/region where there is no memory left: more than the machine has, and a full tmpfs of 1 MiB, mounted in a mount
 * namespace of the test's own. The answer is -ENOMEM, never SIGBUS, and nothing stays behind.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "map/map.h"

#define KIB 1024ull
#define MIB (1ull << 20)

static char scratch[64];
static bool mounted;

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, text, strlen(text)) < 0)
			print_message("%s: %s\n", path, strerror(errno));
		close(fd);
	}
}

/* As root, or as the root of a user namespace. */
static bool enter_mount_namespace(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	char map[64];

	if (unshare(CLONE_NEWNS) != 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
			return false;
		snprintf(map, sizeof(map), "0 %u 1", uid);
		write_text("/proc/self/uid_map", map);
		write_text("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", gid);
		write_text("/proc/self/gid_map", map);
	}
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static int setup(void **unused)
{
	(void)unused;
	support_scratch_make(scratch);
	mounted = enter_mount_namespace() && mount("none", scratch, "tmpfs", 0, "size=1m,nr_inodes=8") == 0;
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	if (mounted)
		umount(scratch);
	support_scratch_remove(scratch);
	return 0;
}

static void need_tmpfs(void)
{
	if (!mounted) {
		print_message("skipped: no tmpfs can be mounted here (neither root nor user namespaces)\n");
		skip();
	}
}

static void need_kernel(void)
{
	if (support_emulated()) {
		print_message("skipped: so much address space is too much for the emulator\n");
		skip();
	}
}

static uint64_t free_bytes(void)
{
	struct statvfs fs;

	assert_int_equal(statvfs(scratch, &fs), 0);
	return fs.f_bfree * fs.f_bsize;
}

static struct region_layout one_part(uint64_t size, uint64_t prealloc)
{
	struct region_layout layout = { .reuse = USERMAP_REUSE_AT_ONCE, .n_cpus = 1 };

	assert_true(region_layout_add(&layout, PART_ELEMENTS, size, prealloc));
	assert_true(region_layout_end(&layout));
	return layout;
}

static int create(struct region *region, const struct region_layout *layout, const char *name)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/%s", scratch, name);
	return region_create(region, layout, REGION_PATH, path, -1);
}

static void preallocating_more_than_the_filesystem_has_is_ENOMEM_and_leaves_nothing(void **unused)
{
	const struct region_layout layout = one_part(4 * MIB, 4 * MIB);
	struct holdings before;
	uint64_t room;
	struct region region;

	(void)unused;
	need_tmpfs();
	before = support_holdings(scratch);
	room = free_bytes();
	assert_int_equal(create(&region, &layout, "map"), -ENOMEM);
	support_assert_same(before, support_holdings(scratch));
	assert_int_equal(free_bytes(), room);
}

static void a_full_filesystem_has_no_room_for_the_header(void **unused)
{
	const struct region_layout most = one_part(MIB - REGION_PAGE, MIB - REGION_PAGE), empty = one_part(100, 0);
	struct region region, second;

	(void)unused;
	need_tmpfs();
	assert_int_equal(create(&region, &most, "map"), 0);
	assert_int_equal(create(&second, &empty, "second"), -ENOMEM);
	region_close(&region);
}

static void touching_ends_in_ENOMEM_and_never_in_SIGBUS(void **unused)
{
	const struct region_layout layout = one_part(64 * MIB, 0);
	uint64_t at = 0;
	struct region region;
	int error;

	(void)unused;
	need_tmpfs();
	assert_int_equal(create(&region, &layout, "map"), 0);
	while ((error = region_touch(&region, at, 4 * KIB)) == 0) {
		memset(region.base + at, 0xff, 4 * KIB);
		at += 4 * KIB;
		assert_true(at <= MIB);
	}
	assert_int_equal(error, -ENOMEM);
	assert_true(at >= 512 * KIB); /* what there was could be had */
	assert_int_equal(region_touch(&region, at, 4 * KIB), -ENOMEM);
	assert_int_equal(region_touch(&region, 0, at), 0); /* what it has it keeps */
	for (uint64_t i = 0; i < at; i++)
		assert_int_equal(region.base[i], 0xff);
	region_close(&region);
}

static void touching_works_again_when_there_is_room(void **unused)
{
	const struct region_layout layout = one_part(64 * MIB, 0), most = one_part(900 * KIB, 900 * KIB);
	struct region region, hog;

	(void)unused;
	need_tmpfs();
	assert_int_equal(create(&region, &layout, "map"), 0);
	assert_int_equal(create(&hog, &most, "hog"), 0);
	assert_int_equal(region_touch(&region, 0, 1), -ENOMEM);
	region_close(&hog);
	assert_int_equal(region_touch(&region, 0, 1), 0);
	region.base[256 * KIB - 1] = 1;
	region_close(&region);
}

/* As on Linux before 5.14: madvise(MADV_POPULATE_WRITE) is EINVAL. */
static bool forget_populate(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 23, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { ARRAY_SIZE(code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static int fill_without_populate(void *unused)
{
	const struct region_layout layout = one_part(64 * MIB, 0), too_large = one_part(4 * MIB, 4 * MIB);
	const struct region_layout private = one_part(4 * MIB, 4 * MIB);
	struct region region;
	uint64_t at = 0;

	(void)unused;
	signal(SIGBUS, SIG_DFL);
	if (!forget_populate())
		return 77;
	if (create(&region, &too_large, "map") != -ENOMEM || create(&region, &layout, "map") != 0)
		return 1;
	while (region_touch(&region, at, 4 * KIB) == 0) {
		memset(region.base + at, 0xff, 4 * KIB);
		at += 4 * KIB;
	}
	region_close(&region);
	if (at < 512 * KIB || at > MIB)
		return 2;
	if (region_create(&region, &private, REGION_PRIVATE, NULL, -1) != 0 || region_resident(&region) < 4 * MIB)
		return 3;
	region_close(&region);
	return 0;
}

static void kernels_without_populate_get_no_SIGBUS_either(void **unused)
{
	int status;

	(void)unused;
	need_tmpfs();
	status = support_in_child(fill_without_populate, NULL);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("skipped: no seccomp filter can be set here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static void no_inode_left_is_ENOMEM(void **unused)
{
	const struct region_layout layout = one_part(100, 0);
	struct region regions[8], region;
	unsigned n = 0;
	int error;

	(void)unused;
	need_tmpfs();
	while (n < ARRAY_SIZE(regions) && (error = create(&region, &layout, "map")) == 0)
		regions[n++] = region;
	assert_int_equal(error, -ENOMEM);
	while (n)
		region_close(&regions[--n]);
}

static int write_value(struct usermap *map, uint32_t key, uint32_t what)
{
	uint32_t value[250];

	for (size_t i = 0; i < ARRAY_SIZE(value); i++)
		value[i] = key + what;
	return map->ops->update(map, &key, value, BPF_ANY);
}

static uint32_t read_value(struct usermap *map, uint32_t key)
{
	uint32_t value[250];

	assert_int_equal(map->ops->lookup(map, &key, value, 0), 0);
	for (size_t i = 1; i < ARRAY_SIZE(value); i++)
		assert_int_equal(value[i], value[0]);
	return value[0] - key;
}

static void a_hash_on_a_full_filesystem_is_ENOMEM_and_keeps_what_it_has(void **unused)
{
	const struct map_attr attr = { .type = BPF_MAP_TYPE_HASH,
				       .key_size = 4,
				       .value_size = 1000,
				       .max_entries = 100000,
				       .map_flags = BPF_F_NO_PREALLOC };
	char path[80];
	const struct map_backing backing = {
		.kind = BACKING_PATH, .path = path, .fd = -1, .reuse = USERMAP_REUSE_AT_ONCE
	};
	struct usermap *map;
	uint32_t key, n = 0;
	int error;

	(void)unused;
	need_tmpfs();
	assert_int_equal(mount(NULL, scratch, NULL, MS_REMOUNT, "size=8m"), 0);
	snprintf(path, sizeof(path), "%s/map", scratch);
	assert_int_equal(map_create(&attr, &backing, &map), 0);
	while ((error = write_value(map, n, 1)) == 0)
		n++;
	assert_int_equal(error, -ENOMEM);
	assert_in_range(n, 1000, 8000);
	for (key = 0; key < n; key++) {
		error = write_value(map, key, 2); /* a replacement may need memory too */
		assert_true(error == 0 || error == -ENOMEM);
		assert_int_equal(read_value(map, key), error ? 1 : 2);
	}
	key = 0;
	assert_int_equal(map->ops->delete(map, &key), 0);
	assert_int_equal(write_value(map, n, 1), 0);
	assert_int_equal(mount(NULL, scratch, NULL, MS_REMOUNT, "size=16m"), 0);
	assert_int_equal(write_value(map, n + 1, 1), 0);
	map_put(map);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mount(NULL, scratch, NULL, MS_REMOUNT, "size=1m"), 0);
}

static void more_than_the_machine_has_is_ENOMEM_before_anything_is_touched(void **unused)
{
	const uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	const struct region_layout layout = one_part(2 * all, all);
	struct holdings before = support_holdings(scratch);
	struct region region;

	(void)unused;
	need_kernel();
	for (enum region_kind kind = REGION_PRIVATE; kind <= REGION_MEMFD; kind++) {
		support_fail_nth(3); /* for the machine's sake, should the library be wrong */
		assert_int_equal(region_create(&region, &layout, kind, "/dev/shm/usermap-unit-never-made", -1),
				 -ENOMEM);
		assert_true(support_acquisitions() <= 2); /* the mapping and its bits, no page */
	}
	support_fail_nth(0);
	support_assert_same(before, support_holdings(scratch));
}

static void parts_that_are_too_much_together_are_ENOMEM_before_anything_is_touched(void **unused)
{
	const uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	struct region_layout layout = { .reuse = USERMAP_REUSE_AT_ONCE, .n_cpus = 1 };
	struct region region;

	(void)unused;
	need_kernel();
	for (enum region_part part = 0; part < PART_N; part++)
		assert_true(region_layout_add(&layout, part, all / 4, all / 4));
	assert_true(region_layout_end(&layout));
	support_fail_nth(3);
	assert_int_equal(region_create(&region, &layout, REGION_PRIVATE, NULL, -1), -ENOMEM);
	assert_true(support_acquisitions() <= 2);
	support_fail_nth(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preallocating_more_than_the_filesystem_has_is_ENOMEM_and_leaves_nothing),
		cmocka_unit_test(a_full_filesystem_has_no_room_for_the_header),
		cmocka_unit_test(touching_ends_in_ENOMEM_and_never_in_SIGBUS),
		cmocka_unit_test(touching_works_again_when_there_is_room),
		cmocka_unit_test(kernels_without_populate_get_no_SIGBUS_either),
		cmocka_unit_test(a_hash_on_a_full_filesystem_is_ENOMEM_and_keeps_what_it_has),
		cmocka_unit_test(no_inode_left_is_ENOMEM),
		cmocka_unit_test(more_than_the_machine_has_is_ENOMEM_before_anything_is_touched),
		cmocka_unit_test(parts_that_are_too_much_together_are_ENOMEM_before_anything_is_touched),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
