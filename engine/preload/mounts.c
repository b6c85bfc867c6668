/* SPDX-License-Identifier: MIT */
/*
 * File systems: pin directories look like a bpffs.
 *
 * bpftool and libbpf look where they are to pin: not on a bpffs, libbpf refuses and bpftool tries to mount one. So
 * statfs() says bpffs of each directory where pins can be made (face/pin.h), mounting a bpffs there is done without doing
 * anything, and the table of mounts, as setmntent() opens it, lists them.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "face/pin.h"
#include "preload/ours.h"

#define BPFFS	       0xcafe4a11
#define TMPFS	       0x01021994
#define ANONYMOUS_FILE 0x09041934 /* the file system of what has no name, such as maps */

#define BPFFS_HOME "/sys/fs/bpf"

/* What a path is. Leaves errno alone, but says by it why there is nothing in the tree of pins. */
enum place { ELSEWHERE, ON_PINS, MISSING };

static enum place place_of(const char *path)
{
	int error = errno;
	char buffer[PATH_MAX];
	const char *found = pin_translate(path, buffer);
	enum place place;

	if (found == path)
		place = pin_directory(path) ? ON_PINS : ELSEWHERE;
	else
		place = access(found, F_OK) == 0 ? ON_PINS : MISSING;
	if (place != MISSING)
		errno = error;
	return place;
}

static int our_statfs(const char *path, struct statfs *info)
{
	int error = errno, result = next_statfs(path, info);
	enum place place = path ? place_of(path) : ELSEWHERE;

	if (place == MISSING)
		return -1; /* also for those who can't look into the kernel's /sys/fs/bpf */
	if (place == ELSEWHERE)
		return result;
	if (result)
		*info = (struct statfs){ .f_bsize = 4096, .f_namelen = NAME_MAX };
	info->f_type = BPFFS;
	errno = error;
	return 0;
}
PUBLISH(statfs, our_statfs);
extern int __statfs(const char *path, struct statfs *info);
PUBLISH(__statfs, our_statfs);
extern __typeof__(statfs64) statfs64 __attribute__((alias("our_statfs"), visibility("default")));

static bool in_tree(const char *path)
{
	char root[PATH_MAX];

	return pin_mirror_root(root) && strncmp(path, root, strlen(root)) == 0;
}

static int our_fstatfs(int fd, struct statfs *info)
{
	int error = errno, result = next_fstatfs(fd, info);
	char link[40], path[PATH_MAX];
	ssize_t n;

	if (result || (info->f_type != TMPFS && info->f_type != BPFFS))
		return result;
	if (is_map(fd)) {
		info->f_type = ANONYMOUS_FILE;
		return 0;
	}
	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
	n = next_readlink(link, path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = 0;
		if (in_tree(path) || place_of(path) == ON_PINS)
			info->f_type = BPFFS;
	}
	errno = error;
	return 0;
}
PUBLISH(fstatfs, our_fstatfs);
extern __typeof__(fstatfs64) fstatfs64 __attribute__((alias("our_fstatfs"), visibility("default")));

static int our_mount(const char *from, const char *to, const char *type, unsigned long flags, const void *data)
{
	enum place place = to ? place_of(to) : ELSEWHERE;

	if (place == MISSING)
		return -1;
	if (place == ON_PINS && type && strcmp(type, "bpf") == 0)
		return 0;
	return next_mount(from, to, type, flags, data);
}
PUBLISH(mount, our_mount);

static bool has_pins_below(const char *directory)
{
	char mirrored[PATH_MAX];

	return pin_mirrored(directory, mirrored) && access(mirrored, F_OK) == 0;
}

static void add_bpffs(FILE *table, char *directory)
{
	struct mntent entry = { .mnt_fsname = "bpf", .mnt_dir = directory, .mnt_type = "bpf", .mnt_opts = "rw" };

	addmntent(table, &entry);
}

/* The table of mounts, with a bpffs where pins are. A mount of the kernel's stays: pins can be made there, too. */
static void copy_table(FILE *from, FILE *to)
{
	char home[] = BPFFS_HOME, line[2 * PATH_MAX];
	struct mntent entry;
	bool has_home = false;

	while (getmntent_r(from, &entry, line, sizeof(line))) {
		addmntent(to, &entry);
		has_home |= strcmp(entry.mnt_type, "bpf") == 0 && strcmp(entry.mnt_dir, home) == 0;
	}
	if (!has_home)
		add_bpffs(to, home);
}

/* Adds those tmpfs that have pins; what is mounted over a mount of the same type is listed twice, and counts once. */
static void add_tmpfs(FILE *from, FILE *to)
{
	char line[2 * PATH_MAX], seen[2 * PATH_MAX];
	struct mntent entry, earlier;
	long at;

	for (rewind(from); getmntent_r(from, &entry, line, sizeof(line));) {
		bool first = true;

		if (strcmp(entry.mnt_type, "tmpfs") != 0 || !has_pins_below(entry.mnt_dir))
			continue;
		at = ftell(to);
		for (rewind(to); first && getmntent_r(to, &earlier, seen, sizeof(seen));)
			first = strcmp(earlier.mnt_type, "bpf") != 0 || strcmp(earlier.mnt_dir, entry.mnt_dir) != 0;
		fseek(to, at, SEEK_SET);
		if (first)
			add_bpffs(to, entry.mnt_dir);
	}
	rewind(to);
}

static bool is_mount_table(const char *path)
{
	return strcmp(path, "/proc/mounts") == 0 || strcmp(path, "/proc/self/mounts") == 0 ||
	       strcmp(path, "/etc/mtab") == 0;
}

static FILE *our_setmntent(const char *path, const char *mode)
{
	FILE *kernels = next_setmntent(path, mode), *ours;
	int error = errno, fd;

	if (!kernels || !is_mount_table(path) || strchr(mode, '+') || mode[0] != 'r')
		return kernels;
	fd = memfd_create("mounts", MFD_CLOEXEC);
	ours = fd < 0 ? NULL : fdopen(fd, "w+");
	if (!ours) {
		if (fd >= 0)
			next_close(fd);
		return kernels;
	}
	copy_table(kernels, ours);
	add_tmpfs(kernels, ours);
	endmntent(kernels);
	errno = error;
	return ours;
}
PUBLISH(setmntent, our_setmntent);
extern FILE *__setmntent(const char *path, const char *mode);
PUBLISH(__setmntent, our_setmntent);
