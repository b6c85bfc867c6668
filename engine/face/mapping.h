/* SPDX-License-Identifier: MIT */
/* mmap of a map's descriptor. See mapping.c. */
#ifndef ENGINE_FACE_MAPPING_H
#define ENGINE_FACE_MAPPING_H

#include <stddef.h>
#include <sys/types.h>

/* mmap's arguments. */
struct mapping {
	void *addr;
	size_t length;
	int prot;
	int flags;
	off_t offset;
};

/* For a caller that is going to make the mapping itself: whether it may. 0; -EBADF: not a descriptor of a map or BTF,
 * this is no business of ours; or mmap's error. *fresh: what its descriptor must be replaced by first, which is the
 * taker's to close; or negative. */
int mapping_prepare(int fd, const struct mapping *m, int *fresh);

#endif
