/* SPDX-License-Identifier: MIT */
/*
 * The C library's calls on the names of pins. On the kernel they are names on a bpffs, which is mounted for the test in a
 * mount namespace of its own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <mntent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "../faces/child.h"
#include "client.h"

#define BPFFS	    0xcafe4a11
#define HOME	    "/sys/fs/bpf"
#define ABI_OBJ_PIN 6
#define ABI_OBJ_GET 7

static char directory[64], a[80], b[80], sub[80], deep[96], file[80];

static long pin_call(int cmd, int fd, const char *path)
{
	struct {
		uint64_t path;
		uint32_t fd, flags;
	} attr = { .path = (uintptr_t)path, .fd = (uint32_t)fd };
	long result = syscall(__NR_bpf, cmd, &attr, sizeof(attr));

	return result < 0 ? -errno : result;
}

static void pin(int64_t value, const char *path)
{
	int fd = make(value);

	assert_int_equal(pin_call(ABI_OBJ_PIN, fd, path), 0);
	close(fd);
}

/* The value in the map that is pinned there, or -errno. */
static int64_t pinned(const char *path)
{
	int fd = (int)pin_call(ABI_OBJ_GET, 0, path);
	int64_t value = fd < 0 ? fd : get(fd);

	if (fd >= 0)
		close(fd);
	return value;
}

/* An empty directory at the beginning of each test; pins a, b, and deep in sub. */
static int begin(void **state)
{
	(void)state;
	return mkdir(directory, 0700);
}

static int end(void **state)
{
	(void)state;
	unlink(a);
	unlink(b);
	unlink(deep);
	rmdir(sub);
	return rmdir(directory);
}

static void a_pin_is_an_empty_file(void **state)
{
	struct statx more;
	struct stat st;

	(void)state;
	pin(1, a);
	assert_int_equal(stat(a, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(lstat(a, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(fstatat(AT_FDCWD, a, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(statx(AT_FDCWD, a, 0, STATX_BASIC_STATS, &more), 0);
	assert_int_equal(more.stx_mode, S_IFREG | 0600);
	assert_int_equal(more.stx_size, 0);
	assert_int_equal(access(a, F_OK), 0);
	assert_int_equal(faccessat(AT_FDCWD, a, R_OK, 0), 0);
	assert_int_equal(stat(b, &st), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(access(b, F_OK), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(stat(directory, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
}

static void a_pin_can_t_be_opened(void **state)
{
	(void)state;
	pin(1, a);
	assert_int_equal(open(a, O_RDONLY), -1);
	assert_int_equal(errno, EIO);
	assert_null(fopen(a, "r"));
	assert_int_equal(errno, EIO);
	assert_int_equal(open(b, O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(pinned(a), 1);
}

static void no_other_file_is_made(void **state)
{
	(void)state;
	assert_int_equal(open(b, O_CREAT | O_WRONLY, 0600), -1);
	assert_int_equal(errno, EACCES);
	assert_null(fopen(b, "w"));
	assert_int_equal(errno, EACCES);
	pin(1, b);
	assert_int_equal(pinned(b), 1);
}

/* What is asked of files that may be links or have lists of access: by realpath and ls -l. */
static void a_pin_is_found_by_whoever_asks(void **state)
{
	char bytes[64];

	(void)state;
	pin(1, a);
	assert_int_equal(readlink(a, bytes, sizeof(bytes)), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(getxattr(a, "user.none", bytes, sizeof(bytes)), -1);
	assert_int_not_equal(errno, ENOENT);
	assert_int_equal(lgetxattr(a, "user.none", bytes, sizeof(bytes)), -1);
	assert_int_not_equal(errno, ENOENT);
	assert_true(listxattr(a, bytes, sizeof(bytes)) >= 0 || errno != ENOENT);
	assert_true(llistxattr(a, bytes, sizeof(bytes)) >= 0 || errno != ENOENT);
}

static void unlinking_is_unpinning(void **state)
{
	(void)state;
	pin(1, a);
	assert_int_equal(unlink(a), 0);
	assert_int_equal(unlink(a), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(pinned(a), -ENOENT);
	pin(2, a);
	assert_int_equal(unlinkat(AT_FDCWD, a, 0), 0);
	assert_int_equal(pinned(a), -ENOENT);
	pin(3, a);
	assert_int_equal(remove(a), 0);
	assert_int_equal(pinned(a), -ENOENT);
	assert_int_equal(rmdir(a), -1);
	assert_int_equal(errno, ENOENT);
	pin(3, a);
	assert_int_equal(rmdir(a), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(unlinkat(AT_FDCWD, a, AT_REMOVEDIR), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(pinned(a), 3);
}

static void directories(void **state)
{
	(void)state;
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(mkdir(sub, 0700), -1);
	assert_int_equal(errno, EEXIST);
	pin(1, deep);
	assert_int_equal(rmdir(sub), -1);
	assert_int_equal(errno, ENOTEMPTY);
	assert_int_equal(unlink(sub), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(unlink(deep), 0);
	assert_int_equal(unlinkat(AT_FDCWD, sub, AT_REMOVEDIR), 0);
	assert_int_equal(mkdirat(AT_FDCWD, sub, 0700), 0);
	assert_int_equal(remove(sub), 0);
	assert_int_equal(access(sub, F_OK), -1);
	assert_int_equal(mkdir(deep, 0700), -1);
	assert_int_equal(errno, ENOENT);
}

static void renaming(void **state)
{
	(void)state;
	pin(1, a);
	assert_int_equal(rename(a, b), 0);
	assert_int_equal(pinned(a), -ENOENT);
	assert_int_equal(pinned(b), 1);
	pin(2, a);
	assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(renameat(AT_FDCWD, a, AT_FDCWD, b), 0); /* over another, which is then unpinned */
	assert_int_equal(pinned(b), 2);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(rename(b, deep), 0);
	assert_int_equal(pinned(deep), 2);
	assert_int_equal(rename(deep, "/tmp"), -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(rename(deep, file), -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(rename(file, a), -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(rename(a, b), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(pinned(deep), 2);
	assert_int_equal(access(file, F_OK), 0);
}

static void a_directory_lists_its_pins(void **state)
{
	bool found_a = false, found_b = false;
	DIR *list;

	(void)state;
	pin(1, a);
	pin(2, b);
	list = opendir(directory);
	assert_non_null(list);
	for (struct dirent *entry; (entry = readdir(list));) {
		if (entry->d_name[0] == '.')
			continue;
		assert_true(strcmp(entry->d_name, "a") == 0 || strcmp(entry->d_name, "b") == 0);
		*(entry->d_name[0] == 'a' ? &found_a : &found_b) = true;
	}
	closedir(list);
	assert_true(found_a && found_b);
	assert_null(opendir(sub));
	assert_int_equal(errno, ENOENT);
	assert_null(opendir(a));
	assert_int_equal(errno, ENOTDIR);
}

static unsigned visited; /* a bit for each: 1 the directory, 2 a, 4 sub, 8 deep */
static const char *root;

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
	static const struct {
		const char *name;
		int type, level;
	} known[] = { { "", FTW_D, 0 }, { "/a", FTW_F, 1 }, { "/sub", FTW_D, 1 }, { "/sub/deep", FTW_F, 2 } };
	size_t length = strlen(root);

	(void)st;
	if (strncmp(path, root, length) != 0)
		return 1;
	for (unsigned i = 0; i < 4; i++)
		if (strcmp(path + length, known[i].name) == 0 && type == known[i].type && at->level == known[i].level &&
		    path[at->base - 1] == '/' && !strchr(path + at->base, '/')) {
			visited |= 1u << i;
			return 0;
		}
	return 2;
}

static int visit_and_stop(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path;
	(void)st;
	(void)at;
	return type == FTW_F ? 77 : 0;
}

static void walks_see_the_program_s_paths(void **state)
{
	char odd[80];

	(void)state;
	pin(1, a);
	assert_int_equal(mkdir(sub, 0700), 0);
	pin(2, deep);
	root = directory;
	assert_int_equal(nftw(directory, visit, 8, FTW_PHYS), 0);
	assert_int_equal(visited, 15);
	visited = 0;
	snprintf(odd, sizeof(odd), "/sys//fs/./bpf%s", directory + strlen(HOME));
	root = odd;
	assert_int_equal(nftw64(odd, (__nftw64_func_t)visit, 8, FTW_PHYS), 0);
	assert_int_equal(visited, 15);
	assert_int_equal(nftw(directory, visit_and_stop, 8, FTW_PHYS), 77);
	assert_int_equal(nftw(b, visit, 8, FTW_PHYS), -1);
	assert_int_equal(errno, ENOENT);
}

static void it_is_a_bpffs(void **state)
{
	struct statfs info;
	int fd;

	(void)state;
	pin(1, a);
	assert_int_equal(statfs(HOME, &info), 0);
	assert_int_equal((uint32_t)info.f_type, BPFFS);
	assert_int_equal(statfs(directory, &info), 0);
	assert_int_equal((uint32_t)info.f_type, BPFFS);
	assert_int_equal(statfs(a, &info), 0);
	assert_int_equal((uint32_t)info.f_type, BPFFS);
	assert_int_equal(statfs(sub, &info), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(statfs("/proc", &info), 0);
	assert_int_not_equal((uint32_t)info.f_type, BPFFS);
	fd = open(directory, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	assert_int_equal(fstatfs(fd, &info), 0);
	assert_int_equal((uint32_t)info.f_type, BPFFS);
	assert_int_equal(syscall(SYS_close, fd), 0);
}

static void the_mounts_have_it(void **state)
{
	static const char *const tables[] = { "/proc/mounts", "/proc/self/mounts", "/etc/mtab" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		FILE *table = setmntent(tables[i], "r");
		struct mntent *entry;
		int found = 0, others = 0;

		if (!table && i == 2)
			continue; /* not every machine has it */
		assert_non_null(table);
		while ((entry = getmntent(table))) {
			if (strcmp(entry->mnt_type, "bpf") == 0 && strcmp(entry->mnt_dir, HOME) == 0)
				found++;
			others += strcmp(entry->mnt_dir, "/proc") == 0;
		}
		assert_true(found > 0 && others > 0);
		assert_int_equal(endmntent(table), 1);
	}
}

/* A directory's descriptor is the directory. */
static void paths_from_a_directory(void **state)
{
	int at = open(directory, O_RDONLY | O_DIRECTORY);
	struct stat st;

	(void)state;
	assert_true(at >= 0);
	assert_int_equal(fstatat(at, "a", &st, 0), -1);
	pin(1, a);
	assert_int_equal(fstatat(at, "a", &st, 0), 0);
	assert_int_equal(mkdirat(at, "sub", 0700), 0);
	assert_int_equal(access(sub, F_OK), 0);
	assert_int_equal(unlinkat(at, "a", 0), 0);
	assert_int_equal(pinned(a), -ENOENT);
	close(at);
}

/* The kernel needs a bpffs, and the engine none. As root both get what they need in a namespace of their own. */
static void prepare_mounts(void)
{
	bool kernel = !getenv("LD_PRELOAD");

	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount("", "/", "none", MS_PRIVATE | MS_REC, NULL) == 0) {
		while (umount2(HOME, MNT_DETACH) == 0)
			;
		if (!kernel || mount("bpf", HOME, "bpf", 0, NULL) == 0)
			return;
	}
	if (kernel)
		exit(77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_pin_is_an_empty_file, begin, end),
		cmocka_unit_test_setup_teardown(a_pin_can_t_be_opened, begin, end),
		cmocka_unit_test_setup_teardown(no_other_file_is_made, begin, end),
		cmocka_unit_test_setup_teardown(a_pin_is_found_by_whoever_asks, begin, end),
		cmocka_unit_test_setup_teardown(unlinking_is_unpinning, begin, end),
		cmocka_unit_test_setup_teardown(directories, begin, end),
		cmocka_unit_test_setup_teardown(renaming, begin, end),
		cmocka_unit_test_setup_teardown(a_directory_lists_its_pins, begin, end),
		cmocka_unit_test_setup_teardown(walks_see_the_program_s_paths, begin, end),
		cmocka_unit_test_setup_teardown(it_is_a_bpffs, begin, end),
		cmocka_unit_test_setup_teardown(the_mounts_have_it, begin, end),
		cmocka_unit_test_setup_teardown(paths_from_a_directory, begin, end),
	};
	int failed;

	skip_without_maps();
	prepare_mounts();
	snprintf(directory, sizeof(directory), HOME "/pins-%d", getpid());
	snprintf(a, sizeof(a), "%s/a", directory);
	snprintf(b, sizeof(b), "%s/b", directory);
	snprintf(sub, sizeof(sub), "%s/sub", directory);
	snprintf(deep, sizeof(deep), "%s/deep", sub);
	snprintf(file, sizeof(file), "/tmp/usermap-pins-XXXXXX");
	close(mkstemp(file));
	failed = cmocka_run_group_tests_name("pins", tests, NULL, NULL);
	unlink(file);
	return failed;
}
