/* SPDX-License-Identifier: MIT */
/*
 * Calls that would change a map's file: its contents, its size, its mode. The kernel's maps refuse them; here they would
 * destroy the map, in all processes that have it.
 *
 * write() is many programs' most frequent call, so it looks at numbers alone that were seen to be maps'.
 */
#include <errno.h>
#include <fcntl.h>

#include "face/fd_numbers.h"
#include "preload/ours.h"

/* What the kernel's map says to who wants to write to its file. */
static int refusal(int fd, int error)
{
	return (next_fcntl(fd, F_GETFL, NULL) & O_ACCMODE) == O_RDONLY ? EBADF : error;
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

static ssize_t our_write(int fd, const void *from, size_t size)
{
	if (fd_number_get(fd) && is_map(fd))
		return refuse(refusal(fd, EINVAL));
	return next_write(fd, from, size);
}
PUBLISH(write, our_write);

static ssize_t our_pwrite(int fd, const void *from, size_t size, off_t at)
{
	return is_map(fd) ? refuse(ESPIPE) : next_pwrite(fd, from, size, at);
}
PUBLISH(pwrite, our_pwrite);
PUBLISH(pwrite64, our_pwrite);

static int our_ftruncate(int fd, off_t size)
{
	return is_map(fd) ? refuse(EINVAL) : next_ftruncate(fd, size);
}
PUBLISH(ftruncate, our_ftruncate);
PUBLISH(ftruncate64, our_ftruncate);

static int our_fallocate(int fd, int mode, off_t at, off_t size)
{
	return is_map(fd) ? refuse(refusal(fd, ENODEV)) : next_fallocate(fd, mode, at, size);
}
PUBLISH(fallocate, our_fallocate);
PUBLISH(fallocate64, our_fallocate);

static int our_posix_fallocate(int fd, off_t at, off_t size)
{
	return is_map(fd) ? refusal(fd, ENODEV) : next_posix_fallocate(fd, at, size);
}
PUBLISH(posix_fallocate, our_posix_fallocate);
PUBLISH(posix_fallocate64, our_posix_fallocate);

static int our_fchmod(int fd, mode_t mode)
{
	return is_map(fd) ? refuse(EOPNOTSUPP) : next_fchmod(fd, mode);
}
PUBLISH(fchmod, our_fchmod);
