/* SPDX-License-Identifier: MIT */
/*
 * Checks that the faces share. Each returns 0 or -errno, and stands in the place that the kernel gives it among the
 * checks of its command; the callers keep the order.
 */
#ifndef ENGINE_FACE_CHECK_H
#define ENGINE_FACE_CHECK_H

#include <string.h>

#include "core/errno.h"
#include "map/map.h"

/* What a caller may do: an access mode of a descriptor or of a native handle. */
enum access { MAY_READ = 1, MAY_WRITE = 2 };

/* BPF_MAP_CREATE: all checks of the attributes before memory is taken, but for the name. On success *ops is the
 * type's. */
int check_create(const struct map_attr *attr, const struct map_ops **ops);

/* The map's name: @from is at most 16 bytes, NUL-terminated within them; @to is filled up with zeros. */
int check_name(char to[16], const char *from);

/* Reads an option struct that begins with its size: fields that the caller's version lacks are 0; fields that we don't
 * know must be. @opts NULL: all defaults. */
int check_opts(void *to, size_t known_size, const void *opts);

/* The flags of one element's lookup, update or lookup_and_delete that are refused before the key is looked at. */
static inline int check_lock_flag(const struct usermap *map, __u64 flags)
{
	return __builtin_expect(flags & BPF_F_LOCK && !map->spin_lock, 0) ? -EINVAL : 0;
}

/* From now on nothing is written by commands. may_write: the caller could have. 0; -ENOTSUPP: values with a spin lock;
 * -EPERM: frozen, or !may_write; -EBUSY: there is a writable mapping, or a command that is writing; -ENOMEM or open(2)'s
 * error. In mapping.c. */
int freeze_map(struct usermap *map, bool may_write);

enum batch_kind { BATCH_LOOKUP, BATCH_LOOKUP_AND_DELETE, BATCH_UPDATE, BATCH_DELETE };

/* The access that a batch needs. */
unsigned batch_access(enum batch_kind kind);
/* Whether the type has the batch, and takes its flags: the checks between permission and count. */
int check_batch(const struct usermap *map, enum batch_kind kind, __u64 elem_flags, __u64 flags);
/* Runs a batch that passed. */
int run_batch(struct usermap *map, enum batch_kind kind, struct map_batch *batch);

#endif
