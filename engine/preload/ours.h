/* SPDX-License-Identifier: MIT */
/*
 * What the preload library's files offer each other: the functions that take the place of the C library's, by names of
 * their own.
 */
#ifndef ENGINE_PRELOAD_OURS_H
#define ENGINE_PRELOAD_OURS_H

#include <stdbool.h>
#include <stddef.h>

#include "preload/next.h"

/* descriptors.c */
int our_close(int fd);
int our_close_range(unsigned first, unsigned last, int flags);
int our_dup2(int from, int to);
int our_dup3(int from, int to, int flags);
int our_fcntl(int fd, int cmd, ...);
off_t our_lseek(int fd, off_t offset, int whence);
void *our_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int our_unshare(int flags);

/* map_fd.c. Whether fd is a map's; asks the kernel if need be. Leaves errno alone. */
bool is_map(int fd);

/* signals.c */
int our_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

/* proc.c. A descriptor of what /proc/PID/fdinfo/N should say, if `path` is that and N is a map's or BTF's; -1 else. */
int fdinfo_open(const char *path, int flags);

/* pins.c. What to open in the place of `path`; NULL with errno set if it's a pin, which can't be opened, or would be a file
 * among pins. */
const char *pin_to_open(int at, const char *path, bool creates, char *buffer);
/* What to look at in the place of `path`. */
const char *pin_to_read(int at, const char *path, char *buffer);
/* Where a directory's pins are in the tree; false: it isn't there on the disk either. */
bool pin_mirrored(const char *path, char *buffer);

#endif
