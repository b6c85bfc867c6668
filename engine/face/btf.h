/* SPDX-License-Identifier: MIT */
/* BTF in the faces: BPF_BTF_LOAD and its descriptors (btf.c), and what it says of a new map (check_btf.c). */
#ifndef ENGINE_FACE_BTF_H
#define ENGINE_FACE_BTF_H

#include <stdbool.h>

#include "core/attr.h"
#include "core/btf.h"
#include "face/attr.h"

/* BPF_BTF_LOAD. user, size: the caller's attr. A descriptor, or -errno. */
long command_btf_load(const union command_attr *attr, union command_attr *user, unsigned size);

/* A descriptor that must be of a kind that this library doesn't have. -EBADF: closed; else -EINVAL. */
int refuse_fd(__u32 fd);

/* Checks a new map's types and finds the spin lock in its values, as BPF_MAP_CREATE does when it has the memory: fills
 * attr->spin_lock and spin_lock_off in. The other attributes have been checked. 0 or -errno. */
int check_btf(struct map_attr *attr, const void *data, size_t size, __u32 key_id, __u32 value_id);

/* The same with the BTF behind a descriptor; fills attr->btf_id and the type ids in as well. */
int check_btf_fd(struct map_attr *attr, int fd, __u32 key_id, __u32 value_id);

/* Whether fd is a descriptor of BTF. */
bool is_btf(int fd);

/* A description of our own of the BTF with this id behind fd, which keeps it alive. A descriptor; -EBADF: it's no longer
 * there; or open(2)'s error. */
int btf_hold(int fd, uint32_t id);

/* BPF_OBJ_GET_INFO_BY_FD of a descriptor that is no map's. 0 or -errno, -EINVAL if it isn't BTF's either. */
int btf_info(const union command_attr *attr, union command_attr *user);

/* Makes a descriptor of BTF of one that was opened by its id. It, in the place of the other; or -errno. */
int btf_open_fd(int file, uint32_t id);

#endif
