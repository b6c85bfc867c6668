/* SPDX-License-Identifier: MIT */
/*
 * BPF_OBJ_PIN and BPF_OBJ_GET: a map under a path.
 *
 * A pin is a further name of the map's file, in the user's tree of pins (pin_path.c). The file then has more than one
 * name, and so the map stays when all its descriptors are closed (registry.c). BPF_OBJ_GET opens it: a new description,
 * with the access that is asked for. Owner, group and mode bits, as pins have in a bpffs, mean nothing: the tree is the
 * user's alone.
 *
 * Between the look at the descriptor and the link another thread may close it. So the map is held by a description of our
 * own meanwhile: a pin is never a name of a map that is already being removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <usermap/bpf.h>

#include "core/region.h"
#include "face/caller.h"
#include "face/check.h"
#include "face/command.h"
#include "face/fd.h"
#include "face/mapfile.h"
#include "face/pin.h"
#include "face/registry.h"
#include "face/usercopy.h"

/* Copies a path in, up to its NUL. 0, -EFAULT, -ENAMETOOLONG. */
static int copy_path(char path[PATH_MAX], __u64 user)
{
	for (size_t at = 0; at < PATH_MAX;) {
		/* never beyond a page that the NUL may be in */
		size_t left = 4096 - (user + at) % 4096, step = left < PATH_MAX - at ? left : PATH_MAX - at;

		if (usercopy_in(path + at, user_pointer(user + at), step))
			return -EFAULT;
		if (memchr(path + at, '\0', step))
			return 0;
		at += step;
	}
	return -ENAMETOOLONG;
}

/* Checks what both commands have in common. `own_flags`: those besides OBJ_PATH_FD. */
static int check_attr(const union command_attr *attr, __u32 own_flags)
{
	if (attr->obj.file_flags & ~(own_flags | OBJ_PATH_FD))
		return -EINVAL;
	return !(attr->obj.file_flags & OBJ_PATH_FD) && attr->obj.path_fd ? -EINVAL : 0;
}

static int resolve(const union command_attr *attr, bool follow, struct pin_path *to)
{
	int at = attr->obj.file_flags & OBJ_PATH_FD ? attr->obj.path_fd : AT_FDCWD;
	char path[PATH_MAX];
	int error = copy_path(path, attr->obj.pathname);

	return error ? error : pin_resolve(at, path, follow, to);
}

/* Holds the map behind a descriptor: a description of our own, or -EINVAL, or open(2)'s error. */
static int hold(int fd)
{
	uint64_t cookie;
	int own, error = mapfile_cookie(fd, &cookie);

	if (error || COOKIE_ACCESS(cookie) == COOKIE_BTF)
		return -EINVAL;
	own = file_reopen(fd, O_RDONLY);
	if (own < 0)
		return own == -EBADF ? -EINVAL : own;
	error = mapfile_hold(own);
	if (!error && mapfile_key(own, COOKIE_ID(cookie)) != COOKIE_KEY(cookie))
		error = -EINVAL;
	if (!error)
		return own;
	close(own);
	return error;
}

/* Whether a pin can be made there. */
static int check_new(const struct pin_path *path)
{
	int error;

	if (!*path->name || pin_kind_in_tree(path) != PIN_NOTHING || pin_kind_on_disk(path, &error) != PIN_NOTHING)
		return -EEXIST;
	if (path->slash)
		return -ENOENT;
	return !pin_can_be_in(path->dir) || strchr(path->name, '.') ? -EPERM : 0;
}

/* Gives the file behind fd the name. */
static int link_pin(int fd, const struct pin_path *path)
{
	char self[32], tree[PATH_MAX];
	int error = pin_make_directories(path->dir);

	if (error)
		return error;
	if (!pin_tree_path(tree, path))
		return -ENAMETOOLONG;
	snprintf(self, sizeof(self), "/proc/thread-self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, tree, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return errno == EXDEV ? -EPERM : errno == ENOSPC || errno == EMLINK ? -ENOMEM : -errno;
}

long command_pin(const union command_attr *attr)
{
	struct pin_path path;
	int fd, error = check_attr(attr, 0);

	if (error)
		return error;
	fd = hold(caller_fd((int)attr->obj.bpf_fd));
	if (fd < 0)
		return fd;
	error = resolve(attr, false, &path);
	if (!error)
		error = check_new(&path);
	if (!error)
		error = link_pin(fd, &path);
	close(fd);
	return error;
}

/* Whether there is a pinned map; else the kernel's answer to a path that leads elsewhere. */
static int check_there(const struct pin_path *path)
{
	int error;
	enum pin_kind tree = pin_kind_in_tree(path), disk = pin_kind_on_disk(path, &error);

	if (!*path->name)
		return -EACCES;
	if (path->slash && (tree == PIN_OTHER || (tree == PIN_NOTHING && disk == PIN_OTHER)))
		return -ENOTDIR;
	if (tree == PIN_OTHER)
		return 0;
	if (tree != PIN_NOTHING || disk != PIN_NOTHING)
		return -EACCES;
	return error == -ENOENT && pin_can_be_in(path->dir) && strchr(path->name, '.') ? -EPERM : error;
}

/* Opens the pin, held. */
static int open_pin(const struct pin_path *path)
{
	char tree[PATH_MAX];
	struct stat st;
	int fd, error;

	if (!pin_tree_path(tree, path))
		return -ENAMETOOLONG;
	fd = open(tree, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	error = mapfile_hold(fd);
	/* unpinned, and removed, since it was opened */
	if (!error && (fstat(fd, &st) != 0 || st.st_nlink == 0))
		error = -ENOENT;
	if (!error)
		return fd;
	close(fd);
	return error;
}

long command_get(const union command_attr *attr)
{
	struct pin_path path;
	uint32_t id;
	int access, fd, error = check_attr(attr, BPF_F_RDONLY | BPF_F_WRONLY);

	if (!error && attr->obj.bpf_fd)
		error = -EINVAL;
	access = access_of_flags(attr->obj.file_flags);
	if (error || access < 0)
		return -EINVAL;
	error = resolve(attr, true, &path);
	if (!error)
		error = check_there(&path);
	if (error)
		return error;
	fd_collect();
	fd = open_pin(&path);
	if (fd < 0)
		return fd;
	id = mapfile_id(fd);
	if (id)
		return fd_open(fd, id, (unsigned)access);
	close(fd);
	return -EACCES;
}

int pin_unlink(const char *translated)
{
	int fd = open(translated, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), result, error;
	uint32_t id = fd < 0 ? 0 : mapfile_id(fd);

	if (fd >= 0)
		close(fd);
	result = unlink(translated);
	error = errno;
	if (result == 0 && id)
		registry_reap(REGISTRY_MAP, id);
	errno = error;
	return result;
}

int usermap_bpf_unpin(const char *path)
{
	struct pin_path to;
	char tree[PATH_MAX];
	int error = pin_resolve(AT_FDCWD, path, false, &to);

	if (!error && !*to.name)
		error = -EISDIR;
	if (!error && !pin_tree_path(tree, &to))
		error = -ENAMETOOLONG;
	if (!error)
		return pin_unlink(tree);
	errno = -error;
	return -1;
}
