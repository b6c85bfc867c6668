/* SPDX-License-Identifier: MIT */
/*
 * The command face's files: command.c has usermap_bpf() and the commands on an existing map; create.c has
 * BPF_MAP_CREATE, btf.c what is about BTF, ids.c what finds objects by id, pin.c by path. Each command gets the attr
 * copied and zero-extended, and returns what the syscall does, errors as -errno.
 */
#ifndef ENGINE_FACE_COMMAND_H
#define ENGINE_FACE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "face/attr.h"

#define END_OF(field) (offsetof(union command_attr, field) + sizeof(((union command_attr *)NULL)->field))

static inline void *user_pointer(__u64 value)
{
	return (void *)(uintptr_t)value;
}

/* The bytes of a caller's struct behind the part that we know: E2BIG if one is not zero. */
int check_excess(const unsigned char *user, size_t known, size_t size);

/* Those that give a descriptor return it; user: the caller's attr. */
long command_create(const union command_attr *attr);
long command_map_next_id(const union command_attr *attr, union command_attr *user);
long command_btf_next_id(const union command_attr *attr, union command_attr *user);
long command_map_by_id(const union command_attr *attr);
long command_btf_by_id(const union command_attr *attr);
long command_pin(const union command_attr *attr);
long command_get(const union command_attr *attr);

/* The access that a new descriptor is to have by its BPF_F_RDONLY and BPF_F_WRONLY. enum access, or -EINVAL: both. */
int access_of_flags(__u32 flags);

#endif
