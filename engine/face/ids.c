/* SPDX-License-Identifier: MIT */
/*
 * The commands that go by ids: which maps and BTF objects of this user there are, and a descriptor of one.
 *
 * The kernel asks for capabilities here; this face answers as it answers them to who has all. A descriptor that is got by an id
 * is a new one: its access is what is asked for, whatever the map's others have.
 */
#include <errno.h>
#include <limits.h>

#include "face/btf.h"
#include "face/check.h"
#include "face/command.h"
#include "face/fd.h"
#include "face/registry.h"
#include "face/usercopy.h"

static long next_id(enum registry_kind kind, const union command_attr *attr, union command_attr *user)
{
	uint32_t id;
	int error;

	if (attr->id.start_id >= INT_MAX)
		return -EINVAL;
	error = registry_next_id(kind, attr->id.start_id, &id);
	if (error)
		return error;
	return usercopy_out((unsigned char *)user + offsetof(union command_attr, id.next_id), &id, sizeof(id));
}

long command_map_next_id(const union command_attr *attr, union command_attr *user)
{
	return next_id(REGISTRY_MAP, attr, user);
}

long command_btf_next_id(const union command_attr *attr, union command_attr *user)
{
	return next_id(REGISTRY_BTF, attr, user);
}

int access_of_flags(__u32 flags)
{
	if ((flags & BPF_F_RDONLY) && (flags & BPF_F_WRONLY))
		return -EINVAL;
	if (flags & BPF_F_RDONLY)
		return MAY_READ;
	return flags & BPF_F_WRONLY ? MAY_WRITE : MAY_READ | MAY_WRITE;
}

long command_map_by_id(const union command_attr *attr)
{
	int access, file;

	if (attr->id.open_flags & ~(__u32)(BPF_F_RDONLY | BPF_F_WRONLY))
		return -EINVAL;
	access = access_of_flags(attr->id.open_flags);
	if (access < 0)
		return access;
	fd_collect();
	file = registry_open_id(REGISTRY_MAP, attr->id.start_id);
	return file < 0 ? file : fd_open(file, attr->id.start_id, (unsigned)access);
}

long command_btf_by_id(const union command_attr *attr)
{
	int file;

	if (attr->id.open_flags & ~BTF_TOKEN_FD)
		return -EINVAL;
	if (attr->id.open_flags & BTF_TOKEN_FD)
		return refuse_fd((__u32)attr->id.token_fd);
	file = registry_open_id(REGISTRY_BTF, attr->id.start_id);
	return file < 0 ? file : btf_open_fd(file, attr->id.start_id);
}
