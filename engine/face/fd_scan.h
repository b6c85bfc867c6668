/* SPDX-License-Identifier: MIT */
/*
 * The descriptors of the command face that this process has, found by asking the kernel about each. See fd_scan.c.
 */
#ifndef ENGINE_FACE_FD_SCAN_H
#define ENGINE_FACE_FD_SCAN_H

#include <stdint.h>

/* Calls `each` for every open descriptor that is parked (mapfile.h) and whose file its cookie names. `each` may close
 * it. If the kernel doesn't tell, for none. */
void fd_scan(void (*each)(int fd, uint64_t cookie, void *ctx), void *ctx);

/* Notes that there will be objects for a process that exits to leave in order. */
void fd_exit_arm(void);

#endif
