/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of maps among the program's others.
 *
 * A map's descriptor is a real one, so the kernel does what these calls ask for. Here the engine is told of numbers
 * that change their meaning (fd_change_begin), so that it needn't ask the kernel at each command. And a map's descriptor
 * is made to look like the kernel's where its file would show: its flags, its offset, mmap.
 *
 * What gives a number its first meaning needn't be told (dup, open, recvmsg): it had none before. What is closed behind
 * the library's back, by another way into the kernel, is noticed only with USERMAP_CHECK_FDS=1.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <usermap/bpf.h>

#include "face/fd.h"
#include "face/mapfile.h" /* for its constants: mapfile_cookie() would be our lseek() here, see next.h */
#include "preload/ours.h"

#define KERNEL_LARGEFILE 0100000 /* what F_GETFL gives of files that were opened; on 64 bits O_LARGEFILE is 0 */

__attribute__((constructor)) static void choose_checks(void)
{
	const char *check = getenv("USERMAP_CHECK_FDS");

	usermap_bpf_check_fds(check && strcmp(check, "0") != 0 && *check);
}

/* The end of a change, run also when the thread is cancelled in the call. */
static void end_change(void *unused)
{
	(void)unused;
	fd_change_end();
}

/* Runs `call`, which gives [first, last] other meanings. */
#define CHANGE(first, last, call)                       \
	do {                                            \
		fd_change_begin(first, last);           \
		pthread_cleanup_push(end_change, NULL); \
		call;                                   \
		pthread_cleanup_pop(1);                 \
	} while (0)

int our_close(int fd)
{
	int result;

	CHANGE((unsigned)fd, (unsigned)fd, result = next_close(fd));
	return result;
}
PUBLISH(close, our_close);
extern int __close(int fd);
PUBLISH(__close, our_close);

int our_close_range(unsigned first, unsigned last, int flags)
{
	int result;

	if ((unsigned)flags & CLOSE_RANGE_UNSHARE)
		usermap_bpf_check_fds(true); /* see our_unshare */
	CHANGE(first, last, result = next_close_range(first, last, flags));
	return result;
}
PUBLISH(close_range, our_close_range);

static void our_closefrom(int first)
{
	CHANGE(first < 0 ? 0 : (unsigned)first, UINT_MAX, next_closefrom(first));
}
PUBLISH(closefrom, our_closefrom);

int our_dup2(int from, int to)
{
	int result;

	CHANGE((unsigned)to, (unsigned)to, result = next_dup2(from, to));
	return result;
}
PUBLISH(dup2, our_dup2);
extern int __dup2(int from, int to);
PUBLISH(__dup2, our_dup2);

int our_dup3(int from, int to, int flags)
{
	int result;

	CHANGE((unsigned)to, (unsigned)to, result = next_dup3(from, to, flags));
	return result;
}
PUBLISH(dup3, our_dup3);

static int our_fclose(FILE *file)
{
	unsigned fd = (unsigned)fileno(file); /* of a stream without one: a number that nothing has */
	int result;

	CHANGE(fd, fd, result = next_fclose(file));
	return result;
}
PUBLISH(fclose, our_fclose);

static FILE *our_freopen(const char *path, const char *mode, FILE *file)
{
	unsigned fd = (unsigned)fileno(file);
	FILE *result;

	CHANGE(fd, fd, result = next_freopen(path, mode, file));
	return result;
}
PUBLISH(freopen, our_freopen);
PUBLISH(freopen64, our_freopen);

/* Descriptors of this thread's own: what a number means depends on the thread from now on. */
int our_unshare(int flags)
{
	if (flags & CLONE_FILES)
		usermap_bpf_check_fds(true);
	return next_unshare(flags);
}
PUBLISH(unshare, our_unshare);

int our_fcntl(int fd, int cmd, ...)
{
	void *argument;
	va_list list;
	int result;

	va_start(list, cmd);
	argument = va_arg(list, void *);
	va_end(list);
	result = next_fcntl(fd, cmd, argument);
	/* Only what was opened by name has this flag, so pipes and sockets aren't asked about. */
	if (cmd == F_GETFL && result >= 0 && result & KERNEL_LARGEFILE && is_map(fd))
		result &= O_ACCMODE | O_NONBLOCK | O_APPEND | O_ASYNC;
	return result;
}
PUBLISH(fcntl, our_fcntl);
PUBLISH(fcntl64, our_fcntl);
extern int __fcntl(int fd, int cmd, ...);
PUBLISH(__fcntl, our_fcntl);

/* A map's descriptor has no offset that programs know of; the engine does (face/mapfile.h), and keeps it. */
off_t our_lseek(int fd, off_t offset, int whence)
{
	off_t at = next_lseek(fd, 0, SEEK_CUR);

	if (at >= (off_t)COOKIE_MARK && is_map(fd)) {
		errno = ESPIPE;
		return -1;
	}
	return offset == 0 && whence == SEEK_CUR ? at : next_lseek(fd, offset, whence);
}
PUBLISH(lseek, our_lseek);
PUBLISH(lseek64, our_lseek);

void *our_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	int error = errno;
	void *result;

	if (!(flags & MAP_ANONYMOUS) && is_map(fd)) {
		result = usermap_bpf_mmap(at, size, prot, flags, fd, offset);
		if (result != MAP_FAILED)
			errno = error;
		return result;
	}
	return next_mmap(at, size, prot, flags, fd, offset);
}
PUBLISH(mmap, our_mmap);
PUBLISH(mmap64, our_mmap);
