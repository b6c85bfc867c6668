/* SPDX-License-Identifier: MIT */
/*
 * Calls on the names of pins.
 *
 * A pin at an absolute path is an entry of the user's registry: a tree that mirrors the directories where pins are
 * (face/pin.h). So a call with the path of a pin, or of anything below /sys/fs/bpf, is the same call on the mirrored
 * path, and all other paths stay what they are. Removing such an entry is unpinning.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "face/pin.h"
#include "preload/ours.h"

/* The path to call with in the place of `path`, which is meant relative to `at`. */
static const char *actual_at(int at, const char *path, char buffer[PATH_MAX])
{
	int error = errno;
	const char *found = path;

	if (path && *path && (path[0] == '/' || at == AT_FDCWD))
		found = pin_translate(path, buffer);
	errno = error;
	return found;
}

/* A function of which the path is all that matters here; relative ones begin at `directory`. */
#define ON_PATH_FROM(directory, type, name, parameters, arguments) \
	static type our_##name parameters                          \
	{                                                          \
		char buffer[PATH_MAX];                             \
                                                                   \
		path = actual_at(directory, path, buffer);         \
		return next_##name arguments;                      \
	}                                                          \
	PUBLISH(name, our_##name)
#define ON_PATH(type, name, parameters, arguments)	 ON_PATH_FROM(at, type, name, parameters, arguments)
#define ON_PLAIN_PATH(type, name, parameters, arguments) ON_PATH_FROM(AT_FDCWD, type, name, parameters, arguments)

ON_PLAIN_PATH(int, access, (const char *path, int mode), (path, mode));
ON_PLAIN_PATH(int, euidaccess, (const char *path, int mode), (path, mode));
PUBLISH(eaccess, our_euidaccess);
ON_PATH(int, faccessat, (int at, const char *path, int mode, int flags), (at, path, mode, flags));
ON_PLAIN_PATH(int, mkdir, (const char *path, mode_t mode), (path, mode));
ON_PATH(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode));
ON_PLAIN_PATH(int, rmdir, (const char *path), (path));
ON_PLAIN_PATH(DIR *, opendir, (const char *path), (path));
/* ls -l asks for these. */
ON_PLAIN_PATH(ssize_t, getxattr, (const char *path, const char *name, void *value, size_t size),
	      (path, name, value, size));
ON_PLAIN_PATH(ssize_t, lgetxattr, (const char *path, const char *name, void *value, size_t size),
	      (path, name, value, size));
ON_PLAIN_PATH(ssize_t, listxattr, (const char *path, char *list, size_t size), (path, list, size));
ON_PLAIN_PATH(ssize_t, llistxattr, (const char *path, char *list, size_t size), (path, list, size));

const char *pin_to_read(int at, const char *path, char *buffer)
{
	return actual_at(at, path, buffer);
}

/* Open: only directories can be opened by a pin directory's names; a pin gives what the kernel's gives, and other files
 * aren't made there. */
const char *pin_to_open(int at, const char *path, bool creates, char *buffer)
{
	const char *found = actual_at(at, path, buffer);
	struct stat st;
	bool exists = found != path && next_lstat(found, &st) == 0;

	if (found == path || (exists ? !S_ISREG(st.st_mode) : !creates || errno != ENOENT))
		return found;
	errno = exists ? EIO : EACCES;
	return NULL;
}

static int our_unlinkat(int at, const char *path, int flags)
{
	char buffer[PATH_MAX];
	const char *found = actual_at(at, path, buffer);

	return found == path || flags & AT_REMOVEDIR ? next_unlinkat(at, found, flags) : pin_unlink(found);
}
PUBLISH(unlinkat, our_unlinkat);

static int our_unlink(const char *path)
{
	return our_unlinkat(AT_FDCWD, path, 0);
}
PUBLISH(unlink, our_unlink);

static int our_remove(const char *path)
{
	int result = our_unlinkat(AT_FDCWD, path, 0);

	return result && errno == EISDIR ? our_rmdir(path) : result;
}
PUBLISH(remove, our_remove);

/* Where a pin of that name would be in the tree; NULL with errno set if there can't be one. */
static const char *place_at(int at, const char *path, char buffer[PATH_MAX])
{
	struct pin_path to;
	int error = path ? pin_resolve(at, path, false, &to) : -EFAULT;

	if (!error && !pin_can_be_in(to.dir))
		error = -EXDEV;
	if (!error)
		error = pin_make_directories(to.dir);
	if (!error && !pin_tree_path(buffer, &to))
		error = -ENAMETOOLONG;
	if (!error)
		return buffer;
	errno = -error;
	return NULL;
}

/* Moves a file; but not among the pins. */
static int rename_file(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
	char buffer[PATH_MAX];
	struct stat st;

	if (actual_at(to_at, to, buffer) == to)
		return next_renameat2(from_at, from, to_at, to, flags);
	if (next_fstatat(from_at, from, &st, AT_SYMLINK_NOFOLLOW) == 0)
		errno = EXDEV;
	return -1;
}

/* A pin stays among the pins. */
static int our_renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
	char from_buffer[PATH_MAX], to_buffer[PATH_MAX];
	const char *found = actual_at(from_at, from, from_buffer);

	if (found == from)
		return rename_file(from_at, from, to_at, to, flags);
	to = place_at(to_at, to, to_buffer);
	return to ? next_renameat2(from_at, found, to_at, to, flags) : -1;
}
PUBLISH(renameat2, our_renameat2);

static int our_renameat(int from_at, const char *from, int to_at, const char *to)
{
	return our_renameat2(from_at, from, to_at, to, 0);
}
PUBLISH(renameat, our_renameat);

static int our_rename(const char *from, const char *to)
{
	return our_renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}
PUBLISH(rename, our_rename);

/* A pin looks as the kernel's: a regular file, its owner's, of no size. */
static int our_fstatat(int at, const char *path, struct stat *st, int flags)
{
	char buffer[PATH_MAX];
	const char *found = actual_at(at, path, buffer);
	int result = next_fstatat(at, found, st, flags);

	if (!result && found != path && S_ISREG(st->st_mode)) {
		st->st_mode = S_IFREG | 0600;
		st->st_nlink = 1;
		st->st_size = st->st_blocks = 0;
	}
	return result;
}
PUBLISH(fstatat, our_fstatat);
extern __typeof__(fstatat64) fstatat64 __attribute__((alias("our_fstatat"), visibility("default")));

static int our_stat(const char *path, struct stat *st)
{
	return our_fstatat(AT_FDCWD, path, st, 0);
}
PUBLISH(stat, our_stat);
extern __typeof__(stat64) stat64 __attribute__((alias("our_stat"), visibility("default")));

static int our_lstat(const char *path, struct stat *st)
{
	return our_fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}
PUBLISH(lstat, our_lstat);
extern __typeof__(lstat64) lstat64 __attribute__((alias("our_lstat"), visibility("default")));

static int our_statx(int at, const char *path, int flags, unsigned mask, struct statx *st)
{
	char buffer[PATH_MAX];
	const char *found = actual_at(at, path, buffer);
	int result = next_statx(at, found, flags, mask, st);

	if (!result && found != path && S_ISREG(st->stx_mode)) {
		st->stx_mode = S_IFREG | 0600;
		st->stx_nlink = 1;
		st->stx_size = st->stx_blocks = 0;
	}
	return result;
}
PUBLISH(statx, our_statx);

bool pin_mirrored(const char *path, char *buffer)
{
	struct pin_path at;
	char whole[PATH_MAX];

	/* as a directory: also its last name is followed */
	return snprintf(whole, sizeof(whole), "%s/.", path) < (int)sizeof(whole) &&
	       pin_resolve(AT_FDCWD, whole, true, &at) == 0 && pin_tree_path(buffer, &at);
}
