/* SPDX-License-Identifier: MIT */
/*
 * Programs that call bpf(2) by syscall() and know nothing of this library. They run twice: by themselves, on the
 * kernel, if it lets them; and under usermap-run. What they assert holds for both.
 */
#ifndef TESTS_PRELOAD_CLIENT_H
#define TESTS_PRELOAD_CLIENT_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../semantics/abi.h"

static inline long call(int cmd, union abi_attr *attr)
{
	long result = syscall(__NR_bpf, cmd, attr, sizeof(*attr));

	return result < 0 ? -errno : result;
}

static inline int make_with(uint32_t flags)
{
	union abi_attr attr = { .create = { .map_type = ABI_HASH,
					    .key_size = 4,
					    .value_size = 8,
					    .max_entries = 16,
					    .map_flags = flags } };

	return (int)call(ABI_MAP_CREATE, &attr);
}

/* Key 0's value, or -errno. */
static inline int64_t get(int fd)
{
	int64_t value = 0;
	uint32_t key = 0;
	union abi_attr attr = { .elem = {
					.map_fd = (uint32_t)fd, .key = (uintptr_t)&key, .value = (uintptr_t)&value } };
	long error = call(ABI_MAP_LOOKUP_ELEM, &attr);

	return error ? error : value;
}

static inline int put(int fd, int64_t value)
{
	uint32_t key = 0;
	union abi_attr attr = { .elem = {
					.map_fd = (uint32_t)fd, .key = (uintptr_t)&key, .value = (uintptr_t)&value } };

	return (int)call(ABI_MAP_UPDATE_ELEM, &attr);
}

/* A map that has this value. */
static inline int make(int64_t value)
{
	int fd = make_with(0), error = fd < 0 ? fd : put(fd, value);

	return error ? error : fd;
}

/* What main() of such a program does first: a kernel that refuses maps can't say how it should be. */
static inline void skip_without_maps(void)
{
	int fd = make(1);

	if (fd < 0)
		exit(77);
	close(fd);
}

#endif
