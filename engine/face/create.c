/* SPDX-License-Identifier: MIT */
/*
 * BPF_MAP_CREATE: its checks in the kernel's order, and a descriptor.
 *
 * The kernel checks name, BTF and program hash when it already has the memory: a request that is too large for the
 * machine is ENOMEM whatever its name. So these checks' result is held back until the map exists.
 */
#include "face/command.h"

#include <errno.h>
#include <net/if.h>
#include <unistd.h>

#include "face/btf.h"
#include "face/caller.h"
#include "face/check.h"
#include "face/fd.h"
#include "face/registry.h"
#include "face/usercopy.h"

static int check_first(const union command_attr *attr)
{
	if (attr->create.btf_vmlinux_value_type_id || (attr->create.map_flags & CREATE_VTYPE_BTF_OBJ_FD))
		return -EINVAL;
	if (attr->create.btf_key_type_id && !attr->create.btf_value_type_id)
		return -EINVAL;
	return 0;
}

static int check_token(const union command_attr *attr)
{
	return attr->create.map_flags & CREATE_TOKEN_FD ? refuse_fd((__u32)attr->create.map_token_fd) : 0;
}

/* Offload to a device: two types know it, no device of today does it. */
static int check_device(const union command_attr *attr)
{
	char name[IF_NAMESIZE];

	if (!attr->create.map_ifindex)
		return 0;
	if (attr->create.map_type != BPF_MAP_TYPE_HASH && attr->create.map_type != BPF_MAP_TYPE_ARRAY)
		return -EINVAL;
	return if_indextoname(attr->create.map_ifindex, name) ? -EOPNOTSUPP : -EINVAL;
}

static int check_excl_prog_hash(const union command_attr *attr)
{
	unsigned char hash[EXCL_PROG_HASH_SIZE];

	if (!attr->create.excl_prog_hash && !attr->create.excl_prog_hash_size)
		return 0;
	if (!attr->create.excl_prog_hash || attr->create.excl_prog_hash_size != sizeof(hash))
		return -EINVAL;
	/* Reserves the map for one program. There are no programs here: nothing to keep. */
	return usercopy_in(hash, user_pointer(attr->create.excl_prog_hash), sizeof(hash));
}

/* The checks that the kernel makes when the map exists. */
static int check_last(const union command_attr *attr, struct map_attr *wanted)
{
	int error = check_name(wanted->name, attr->create.map_name);

	if (!error && (attr->create.btf_key_type_id || attr->create.btf_value_type_id))
		error = check_btf_fd(wanted, caller_fd((int)attr->create.btf_fd), attr->create.btf_key_type_id,
				     attr->create.btf_value_type_id);
	if (!error)
		error = check_excl_prog_hash(attr);
	return error;
}

long command_create(const union command_attr *attr)
{
	struct map_attr wanted = {
		.type = attr->create.map_type,
		.key_size = attr->create.key_size,
		.value_size = attr->create.value_size,
		.max_entries = attr->create.max_entries,
		.map_flags = attr->create.map_flags & ~CREATE_TOKEN_FD,
		.numa_node = attr->create.numa_node,
		.map_extra = attr->create.map_extra,
	};
	const struct map_ops *ops;
	int file, btf, last, error = check_first(attr);

	if (!error)
		error = check_create(&wanted, &ops);
	if (!error)
		error = check_token(attr);
	if (!error)
		error = check_device(attr);
	if (error)
		return error;
	last = check_last(attr, &wanted);
	fd_collect();
	file = registry_create(REGISTRY_MAP);
	if (file < 0)
		return last ? last : file;
	btf = last || !wanted.btf_id ? -1 : btf_hold(caller_fd((int)attr->create.btf_fd), wanted.btf_id);
	if (btf < -1)
		last = btf;
	error = fd_publish(file, &wanted, (unsigned)access_of_flags(wanted.map_flags), last, btf);
	if (btf >= 0)
		close(btf);
	return error ? error : file;
}
