/* SPDX-License-Identifier: MIT */
/*
 * From a descriptor to a map. See fd.c.
 */
#ifndef ENGINE_FACE_FD_H
#define ENGINE_FACE_FD_H

#include <stdint.h>

#include "core/thread.h"
#include "map/map.h"

/* A map in use by a command: valid between fd_enter and fd_leave. */
struct fd_map {
	struct usermap *map;
	unsigned access; /* enum access: the descriptor's */
};

/* user_key: NULL, or where the caller has the key that the command is about; it is read ahead, and no error of
 * that counts. 0; -EBADF: fd is closed; -EINVAL: not a map; -ENOMEM or open(2)'s error: one that can't be attached
 * to. */
int fd_enter(int fd, const void *user_key, struct fd_map *found);

static inline void fd_leave(void)
{
	thread_read_unlock();
}

/* Makes a map of checked attributes in an empty file, and the file's descriptor a map's, with this access. `late` is
 * the error to return once the map could have been made, or 0; btf: -1, or a descriptor of BTF that the map shall keep.
 * 0; or -errno, and the descriptor is closed. */
int fd_publish(int file, const struct map_attr *attr, unsigned access, int late, int btf);

/* Makes a map's descriptor with this access of `file`, opened for reading and held (mapfile.h). It, in the place of
 * `file`, which is closed; or -errno. */
int fd_open(int file, uint32_t id, unsigned access);

/* Around a call that closes or replaces some of the descriptors [first, last], for who runs with
 * usermap_bpf_check_fds(false). Such calls may overlap. */
void fd_change_begin(unsigned first, unsigned last);
void fd_change_end(void);

/* Frees the maps that nobody has a descriptor of any more. */
void fd_collect(void);

/* No descriptor was free: ends handles, which have some, of maps that this process has no descriptor of. Those that are
 * new are spared the first time. */
void fd_make_room(void);

/* Ends handles whose own descriptor the program has closed, so that they can't get memory any more. The next command
 * attaches again, by the program's descriptor. Whether there were any. */
bool fd_drop_lost(void);

#endif
