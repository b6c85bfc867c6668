/* SPDX-License-Identifier: MIT */
/*
 * The functions that the preload library takes the place of: here is the list, and how to reach the ones behind it.
 *
 * A program's call of close() comes to this library's close(). The next one behind it, as a rule the C library's, is
 * next_close(). The linker is told (--wrap, for each NEXT and SAME below: engine/meson.build reads this file) that what
 * the engine calls close() is next_close() as well: so what the library does for itself never comes back to it, and
 * only what is written next_* or our_* here says which one is meant. (The linker can't do that within one file: a file
 * doesn't call by its plain name what it publishes.)
 *
 * The C library has many of them under two names, for files of 32-bit and of 64-bit size; here both are one function.
 */
#ifndef ENGINE_PRELOAD_NEXT_H
#define ENGINE_PRELOAD_NEXT_H

#ifdef _FILE_OFFSET_BITS
#error "with it the headers give functions other names"
#endif

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8 && sizeof(struct stat) == sizeof(struct stat64), "both names are one function");

/* Gives one of our functions, `ours`, the name that programs call. */
#define PUBLISH(name, ours) extern __typeof__(name) name __attribute__((alias(#ours), visibility("default"), used))

/* Without _FORTIFY_SOURCE the headers don't say them. */
extern ssize_t __readlink_chk(const char *path, char *buffer, size_t size, size_t room);
extern ssize_t __readlinkat_chk(int at, const char *path, char *buffer, size_t size, size_t room);

#ifndef NEXT
#define NEXT(type, name, parameters, arguments) type next_##name parameters;
#define SAME(name, as)
#endif

/* Files and their numbers. */
NEXT(long, syscall, (long number, long a, long b, long c, long d, long e, long f), (number, a, b, c, d, e, f))
NEXT(int, close, (int fd), (fd))
NEXT(int, close_range, (unsigned first, unsigned last, int flags), (first, last, flags))
NEXT(void, closefrom, (int first), (first))
NEXT(int, dup2, (int from, int to), (from, to))
NEXT(int, dup3, (int from, int to, int flags), (from, to, flags))
NEXT(int, fcntl, (int fd, int cmd, void *argument), (fd, cmd, argument))
SAME(fcntl64, fcntl)
NEXT(off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence))
SAME(lseek64, lseek)
NEXT(void *, mmap, (void *at, size_t size, int prot, int flags, int fd, off_t offset),
     (at, size, prot, flags, fd, offset))
SAME(mmap64, mmap)
NEXT(int, unshare, (int flags), (flags))
NEXT(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size))
NEXT(ssize_t, pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
SAME(pwrite64, pwrite)
NEXT(int, ftruncate, (int fd, off_t size), (fd, size))
SAME(ftruncate64, ftruncate)
NEXT(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
SAME(fallocate64, fallocate)
NEXT(int, posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size))
SAME(posix_fallocate64, posix_fallocate)
NEXT(int, fchmod, (int fd, mode_t mode), (fd, mode))
NEXT(int, fclose, (FILE * file), (file))
NEXT(FILE *, freopen, (const char *path, const char *mode, FILE *file), (path, mode, file))
SAME(freopen64, freopen)

/* Opening files, and what /proc says of descriptors. */
NEXT(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode))
SAME(open64, open)
NEXT(int, openat, (int at, const char *path, int flags, mode_t mode), (at, path, flags, mode))
SAME(openat64, openat)
NEXT(FILE *, fopen, (const char *path, const char *mode), (path, mode))
SAME(fopen64, fopen)
NEXT(ssize_t, readlink, (const char *path, char *buffer, size_t size), (path, buffer, size))
NEXT(ssize_t, __readlink_chk, (const char *path, char *buffer, size_t size, size_t room), (path, buffer, size, room))
NEXT(ssize_t, readlinkat, (int at, const char *path, char *buffer, size_t size), (at, path, buffer, size))
NEXT(ssize_t, __readlinkat_chk, (int at, const char *path, char *buffer, size_t size, size_t room),
     (at, path, buffer, size, room))

/* File systems. */
NEXT(int, statfs, (const char *path, struct statfs *info), (path, info))
SAME(statfs64, statfs)
NEXT(int, fstatfs, (int fd, struct statfs *info), (fd, info))
SAME(fstatfs64, fstatfs)
NEXT(int, mount, (const char *from, const char *to, const char *type, unsigned long flags, const void *data),
     (from, to, type, flags, data))
NEXT(FILE *, setmntent, (const char *path, const char *mode), (path, mode))

NEXT(int, nftw, (const char *path, __nftw_func_t visit, int descriptors, int flags), (path, visit, descriptors, flags))
SAME(nftw64, nftw)

/* Names. */
NEXT(int, access, (const char *path, int mode), (path, mode))
NEXT(int, euidaccess, (const char *path, int mode), (path, mode))
SAME(eaccess, euidaccess)
NEXT(int, faccessat, (int at, const char *path, int mode, int flags), (at, path, mode, flags))
NEXT(int, mkdir, (const char *path, mode_t mode), (path, mode))
NEXT(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode))
NEXT(int, rmdir, (const char *path), (path))
NEXT(DIR *, opendir, (const char *path), (path))
NEXT(int, unlinkat, (int at, const char *path, int flags), (at, path, flags))
NEXT(int, unlink, (const char *path), (path))
NEXT(int, remove, (const char *path), (path))
NEXT(int, rename, (const char *from, const char *to), (from, to))
NEXT(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
NEXT(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags))
NEXT(int, stat, (const char *path, struct stat *st), (path, st))
SAME(stat64, stat)
NEXT(int, lstat, (const char *path, struct stat *st), (path, st))
SAME(lstat64, lstat)
NEXT(int, fstatat, (int at, const char *path, struct stat *st, int flags), (at, path, st, flags))
SAME(fstatat64, fstatat)
NEXT(int, statx, (int at, const char *path, int flags, unsigned mask, struct statx *st), (at, path, flags, mask, st))
NEXT(ssize_t, getxattr, (const char *path, const char *name, void *value, size_t size), (path, name, value, size))
NEXT(ssize_t, lgetxattr, (const char *path, const char *name, void *value, size_t size), (path, name, value, size))
NEXT(ssize_t, listxattr, (const char *path, char *list, size_t size), (path, list, size))
NEXT(ssize_t, llistxattr, (const char *path, char *list, size_t size), (path, list, size))

/* Signals. */
NEXT(int, sigaction, (int sig, const struct sigaction *act, struct sigaction *old), (sig, act, old))
NEXT(sighandler_t, signal, (int sig, sighandler_t handler), (sig, handler))
SAME(ssignal, signal)
SAME(bsd_signal, signal)
NEXT(sighandler_t, sysv_signal, (int sig, sighandler_t handler), (sig, handler))
NEXT(sighandler_t, sigset, (int sig, sighandler_t handler), (sig, handler))
NEXT(int, sigignore, (int sig), (sig))
NEXT(int, siginterrupt, (int sig, int interrupt), (sig, interrupt))

#endif
