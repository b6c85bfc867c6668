/* SPDX-License-Identifier: MIT */
/*
 * Where a pin's path leads.
 *
 * The kernel pins maps in a bpffs, which only root can mount and use. Here a pin is an entry of the user's registry: below
 * its directory pin/ lies a tree like the one at /, but with nothing in it than pins (links of maps' files) and the
 * directories above them. A pin at /sys/fs/bpf/x is pin/sys/fs/bpf/x. So a pin takes no right to write to its directory,
 * which stays as it is, and is seen by this user alone.
 *
 * Pins can be in
 *  - /sys/fs/bpf, which always exists, and directories that were made below it, in the tree alone;
 *  - any directory of a tmpfs or a bpffs.
 * Elsewhere the answer is the kernel's outside a bpffs: EPERM.
 *
 * A path is resolved component by component, because tree and disk count together: a symbolic link on the disk may lead to
 * a directory that only the tree has. What the disk has of a name comes first; a pin can't be made over it.
 *
 * A path in the tree itself, as a program gets it from a working directory or a descriptor there, means what the tree
 * mirrors.
 */
#include "face/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "face/caller.h"
#include "face/registry.h"

#define BPFFS "/sys/fs/bpf"
#define LINKS 40 /* symbolic links in a path, as many as the kernel follows */

/* A path being resolved: `rest` is to be walked from to->dir on. */
struct walk {
	struct pin_path *to;
	char rest[PATH_MAX];
	int links;
};

bool pin_mirror_root(char buffer[PATH_MAX])
{
	int dir = registry_open();

	if (dir < 0)
		return false;
	close(dir);
	snprintf(buffer, PATH_MAX, REGISTRY_DIRECTORY "/pin", geteuid());
	return true;
}

static bool is_inside(const char *path, const char *top)
{
	size_t length = strlen(top);

	return strncmp(path, top, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* Puts dir and name together; false: too long. */
static bool join(char to[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(to, PATH_MAX, "%s%s%s", dir, *name ? "/" : "", name) < PATH_MAX;
}

bool pin_tree_path(char to[PATH_MAX], const struct pin_path *path)
{
	char root[REGISTRY_PATH_SIZE];

	snprintf(root, sizeof(root), REGISTRY_DIRECTORY "/pin", geteuid());
	if (strlen(root) + strlen(path->dir) + 1 + strlen(path->name) >= PATH_MAX)
		return false;
	to = stpcpy(stpcpy(to, root), path->dir);
	strcpy(stpcpy(to, *path->name ? "/" : ""), path->name);
	return true;
}

/* errno is set if it's nothing. */
static enum pin_kind kind_of(const char *path)
{
	struct stat st;

	if (lstat(*path ? path : "/", &st) != 0)
		return PIN_NOTHING;
	return S_ISDIR(st.st_mode) ? PIN_DIRECTORY : S_ISLNK(st.st_mode) ? PIN_LINK : PIN_OTHER;
}

enum pin_kind pin_kind_in_tree(const struct pin_path *path)
{
	char tree[PATH_MAX], whole[PATH_MAX];
	enum pin_kind kind = pin_tree_path(tree, path) ? kind_of(tree) : PIN_NOTHING;

	/* also where there is no sysfs */
	if (kind == PIN_NOTHING && join(whole, path->dir, path->name) && is_inside(BPFFS, whole))
		return PIN_DIRECTORY;
	return kind;
}

enum pin_kind pin_kind_on_disk(const struct pin_path *path, int *error)
{
	char whole[PATH_MAX];
	enum pin_kind kind = PIN_NOTHING;

	*error = -ENAMETOOLONG;
	if (join(whole, path->dir, path->name)) {
		kind = kind_of(whole);
		/* the user may not even look into the real one */
		*error = is_inside(path->dir, BPFFS) ? -ENOENT : -errno;
	}
	return kind;
}

static long magic_of(const char *dir)
{
	struct statfs fs;

	return statfs(*dir ? dir : "/", &fs) == 0 ? (long)fs.f_type : errno == ENOENT ? 0 : -1;
}

bool pin_can_be_in(const char *dir)
{
	char registry[REGISTRY_PATH_SIZE];
	long magic;

	snprintf(registry, sizeof(registry), REGISTRY_DIRECTORY, geteuid());
	if (is_inside(dir, BPFFS))
		return true;
	if (is_inside(dir, registry))
		return false;
	magic = magic_of(dir);
	/* 0: it was removed from the disk, but has pins */
	return magic == TMPFS_MAGIC || magic == BPF_FS_MAGIC || magic == 0;
}

/* Whether names there are a bpffs's. */
static bool is_bpffs(const char *dir)
{
	return is_inside(dir, BPFFS) || magic_of(dir) == BPF_FS_MAGIC;
}

/* Where relative paths begin. */
static int begin_at(int at, char dir[PATH_MAX])
{
	char self[32];
	struct stat st;
	ssize_t length;

	at = caller_fd(at);
	if (at == AT_FDCWD)
		return getcwd(dir, PATH_MAX) && *dir == '/' ? 0 : -ENOENT;
	if (fstat(at, &st) != 0)
		return -EBADF;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	snprintf(self, sizeof(self), "/proc/thread-self/fd/%d", at);
	length = readlink(self, dir, PATH_MAX - 1);
	if (length <= 0 || *dir != '/')
		return -ENOENT;
	dir[length] = '\0';
	return 0;
}

/* What the tree mirrors is meant by paths in it. */
static void leave_tree(char dir[PATH_MAX])
{
	char root[REGISTRY_PATH_SIZE];

	snprintf(root, sizeof(root), REGISTRY_DIRECTORY "/pin", geteuid());
	if (is_inside(dir, root))
		memmove(dir, dir + strlen(root), strlen(dir + strlen(root)) + 1);
	if (strcmp(dir, "/") == 0)
		*dir = '\0';
}

static void go_up(char dir[PATH_MAX])
{
	char *slash = strrchr(dir, '/');

	if (slash)
		*slash = '\0';
}

/* Puts the target of the link w->to in the place of its name. */
static int follow_link(struct walk *w)
{
	char whole[PATH_MAX], target[PATH_MAX];
	size_t room = sizeof(w->rest);
	ssize_t length;

	if (++w->links > LINKS)
		return -ELOOP;
	if (!join(whole, w->to->dir, w->to->name))
		return -ENAMETOOLONG;
	length = readlink(whole, target, sizeof(target) - 1);
	if (length <= 0)
		return length ? -errno : -ENOENT;
	if ((size_t)length + 1 + strlen(w->rest) + 1 > room)
		return -ENAMETOOLONG;
	memmove(w->rest + length + 1, w->rest, strlen(w->rest) + 1);
	memcpy(w->rest, target, (size_t)length);
	w->rest[length] = '/';
	if (w->rest[(size_t)length + 1] == '\0') /* nothing behind it: no slash that wasn't there */
		w->rest[length] = '\0';
	if (*target == '/')
		*w->to->dir = '\0';
	return 0;
}

/* Takes the next name from w->rest into w->to->name: "" at the end. *last: nothing but slashes comes behind it. */
static int next_name(struct walk *w, bool *last)
{
	size_t skip = strspn(w->rest, "/"), length = strcspn(w->rest + skip, "/"), behind;

	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(w->to->name, w->rest + skip, length);
	w->to->name[length] = '\0';
	behind = skip + length + strspn(w->rest + skip + length, "/");
	*last = w->rest[behind] == '\0';
	w->to->slash = behind > skip + length;
	memmove(w->rest, w->rest + behind, strlen(w->rest + behind) + 1);
	return 0;
}

/* Enters the directory w->to->name, or begins to follow a link. */
static int enter(struct walk *w)
{
	int error;
	enum pin_kind disk = pin_kind_on_disk(w->to, &error), tree = pin_kind_in_tree(w->to);
	size_t length = strlen(w->to->dir);

	if (disk == PIN_LINK)
		return follow_link(w);
	if (disk != PIN_DIRECTORY && tree != PIN_DIRECTORY) {
		if (disk == PIN_OTHER || tree == PIN_OTHER)
			return -ENOTDIR;
		return is_bpffs(w->to->dir) && strchr(w->to->name, '.') ? -EPERM : error;
	}
	if (length + 1 + strlen(w->to->name) >= PATH_MAX)
		return -ENAMETOOLONG;
	w->to->dir[length] = '/';
	strcpy(w->to->dir + length + 1, w->to->name);
	leave_tree(w->to->dir);
	return 0;
}

/* Whether the name is to be followed although it is the last. */
static bool ends_in_link(const struct pin_path *path)
{
	int error;

	return pin_kind_on_disk(path, &error) == PIN_LINK;
}

static int walk(struct walk *w, bool follow)
{
	bool last = false;
	int error;

	for (;;) {
		error = next_name(w, &last);
		if (error || !*w->to->name)
			return error;
		if (strcmp(w->to->name, "..") == 0 || strcmp(w->to->name, ".") == 0) {
			if (w->to->name[1] == '.')
				go_up(w->to->dir);
			*w->to->name = '\0';
		} else if (!last) {
			error = enter(w);
		} else if (follow && ends_in_link(w->to)) {
			error = follow_link(w);
			last = false;
		} else {
			return 0;
		}
		if (error || last)
			return error;
	}
}

int pin_resolve(int at, const char *path, bool follow, struct pin_path *to)
{
	struct walk w = { .to = to };
	int error;

	*to->dir = *to->name = '\0';
	to->slash = false;
	if (!*path)
		return -ENOENT;
	if (strlen(path) >= sizeof(w.rest))
		return -ENAMETOOLONG;
	strcpy(w.rest, path);
	if (*path != '/') {
		error = begin_at(at, to->dir);
		if (error)
			return error;
		leave_tree(to->dir);
	}
	return walk(&w, follow);
}

int pin_make_directories(const char *dir)
{
	char tree[PATH_MAX];
	struct pin_path path = { .name = "" };
	int registry = registry_open();
	size_t root;

	if (registry < 0) /* then maps are memfds, and can't have a name */
		return -EPERM;
	close(registry);
	pin_tree_path(tree, &path);
	root = strlen(tree);
	strcpy(path.dir, dir);
	if (!pin_tree_path(tree, &path))
		return -ENAMETOOLONG;
	for (char *end = tree + root;; end = strchrnul(end + 1, '/')) {
		char c = *end;

		*end = '\0';
		if (mkdir(tree, 0700) != 0 && errno != EEXIST)
			return errno == ENOSPC ? -ENOMEM : -errno;
		*end = c;
		if (!c)
			return 0;
	}
}

bool pin_directory(const char *path)
{
	struct pin_path to;
	char whole[PATH_MAX];
	int error;

	if (pin_resolve(AT_FDCWD, path, true, &to) != 0 || !join(whole, to.dir, to.name))
		return false;
	if (*to.name && pin_kind_on_disk(&to, &error) != PIN_DIRECTORY && pin_kind_in_tree(&to) != PIN_DIRECTORY)
		return false;
	return pin_can_be_in(whole);
}

/* A path of which a part is missing: in /sys/fs/bpf it's the tree that has to say what is wrong, as not everybody may look
 * into the kernel's. */
static const char *unresolved(const char *path, char buffer[PATH_MAX])
{
	struct pin_path root = { .name = "" };
	size_t length;

	/* ".." could lead out of the tree */
	if (!is_inside(path, BPFFS) || strstr(path, "/..") || !pin_tree_path(buffer, &root))
		return path;
	length = strlen(buffer);
	if (length + strlen(path) >= PATH_MAX)
		return path;
	strcpy(buffer + length, path);
	return buffer;
}

const char *pin_translate(const char *path, char buffer[PATH_MAX])
{
	struct pin_path to;
	enum pin_kind kind;
	char whole[PATH_MAX];

	/* most programs never pin anything */
	if (!strstr(path, "bpf") &&
	    !(pin_tree_path(buffer, &(struct pin_path){ .name = "" }) && access(buffer, F_OK) == 0))
		return path;
	if (pin_resolve(AT_FDCWD, path, false, &to) != 0)
		return unresolved(path, buffer);
	if (!join(whole, to.dir, to.name) || !pin_tree_path(buffer, &to))
		return path;
	if (is_inside(whole, BPFFS)) {
		/* the call that follows expects the directory to be there */
		pin_make_directories(strcmp(whole, BPFFS) == 0 ? BPFFS : to.dir);
		return buffer;
	}
	kind = *to.name && pin_can_be_in(to.dir) ? pin_kind_in_tree(&to) : PIN_NOTHING;
	/* a directory of the tree is on the disk, too, with what else is in it */
	return kind == PIN_NOTHING || kind == PIN_DIRECTORY ? path : buffer;
}
