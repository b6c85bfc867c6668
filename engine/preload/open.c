/* SPDX-License-Identifier: MIT */
/*
 * Opening files: /proc/PID/fdinfo/N is made up for maps (proc.c), and names under pin directories lead to the registry
 * (pins.c).
 */
#include <stdarg.h>
#include <string.h>

#include "preload/ours.h"

/* The last argument of a call that may have one. */
#define MODE_ARGUMENT(last)                              \
	__extension__({                                  \
		va_list list_;                           \
		mode_t mode_;                            \
		va_start(list_, last);                   \
		mode_ = (mode_t)va_arg(list_, unsigned); \
		va_end(list_);                           \
		mode_;                                   \
	})

static int open_at(int at, const char *path, int flags, mode_t mode)
{
	char buffer[PATH_MAX];
	int fd = fdinfo_open(path, flags);

	if (fd >= 0)
		return fd;
	path = pin_to_open(at, path, flags & O_CREAT, buffer);
	return path ? next_openat(at, path, flags, mode) : -1;
}

static int our_open(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, MODE_ARGUMENT(flags));
}
PUBLISH(open, our_open);
PUBLISH(open64, our_open);
extern int __open(const char *path, int flags, ...), __open64(const char *path, int flags, ...);
PUBLISH(__open, our_open);
PUBLISH(__open64, our_open);

static int our_openat(int at, const char *path, int flags, ...)
{
	return open_at(at, path, flags, MODE_ARGUMENT(flags));
}
PUBLISH(openat, our_openat);
PUBLISH(openat64, our_openat);

/* The names that programs compiled with _FORTIFY_SOURCE call. */
static int our_open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}
extern int __open_2(const char *path, int flags), __open64_2(const char *path, int flags);
PUBLISH(__open_2, our_open_2);
PUBLISH(__open64_2, our_open_2);

static int our_openat_2(int at, const char *path, int flags)
{
	return open_at(at, path, flags, 0);
}
extern int __openat_2(int at, const char *path, int flags), __openat64_2(int at, const char *path, int flags);
PUBLISH(__openat_2, our_openat_2);
PUBLISH(__openat64_2, our_openat_2);

static FILE *our_fopen(const char *path, const char *mode)
{
	char buffer[PATH_MAX];
	FILE *file;
	int fd = -1;

	if (mode[0] == 'r' && !strchr(mode, '+'))
		fd = fdinfo_open(path, strchr(mode, 'e') ? O_CLOEXEC : 0);
	if (fd < 0) {
		path = pin_to_open(AT_FDCWD, path, mode[0] != 'r', buffer);
		return path ? next_fopen(path, mode) : NULL;
	}
	file = fdopen(fd, mode);
	if (!file)
		next_close(fd);
	return file;
}
PUBLISH(fopen, our_fopen);
PUBLISH(fopen64, our_fopen);
extern FILE *_IO_fopen(const char *path, const char *mode);
PUBLISH(_IO_fopen, our_fopen);
