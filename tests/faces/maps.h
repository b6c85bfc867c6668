/* SPDX-License-Identifier: MIT */
/* Small maps of the command face, for the tests of its descriptors. */
#ifndef TESTS_FACES_MAPS_H
#define TESTS_FACES_MAPS_H

#include <errno.h>
#include <stdint.h>
#include <usermap/bpf.h>

#include "../semantics/abi.h"

static inline long call(int cmd, union abi_attr *attr)
{
	long result = usermap_bpf(cmd, attr, sizeof(*attr));

	return result < 0 ? -errno : result;
}

static inline int make_sized(uint32_t flags, uint32_t value_size, uint32_t max_entries)
{
	union abi_attr attr = { .create = { .map_type = ABI_HASH,
					    .key_size = 4,
					    .value_size = value_size,
					    .max_entries = max_entries,
					    .map_flags = flags } };

	return (int)call(ABI_MAP_CREATE, &attr);
}

static inline int make(uint32_t flags)
{
	return make_sized(flags, 8, 16);
}

static inline int put(int fd, uint32_t key, uint64_t value)
{
	union abi_attr attr = { .elem = {
					.map_fd = (uint32_t)fd, .key = (uintptr_t)&key, .value = (uintptr_t)&value } };

	return (int)call(ABI_MAP_UPDATE_ELEM, &attr);
}

/* The value of the key, or -errno. */
static inline int64_t get(int fd, uint32_t key)
{
	int64_t value = 0;
	union abi_attr attr = { .elem = {
					.map_fd = (uint32_t)fd, .key = (uintptr_t)&key, .value = (uintptr_t)&value } };
	long error = call(ABI_MAP_LOOKUP_ELEM, &attr);

	return error ? error : value;
}

static inline int64_t id_of(int fd)
{
	uint32_t info[26] = { 0 };
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)info } };
	long error = call(ABI_OBJ_GET_INFO_BY_FD, &attr);

	return error ? error : (int64_t)info[1];
}

#endif
