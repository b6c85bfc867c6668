/* SPDX-License-Identifier: MIT */
/* Maps of the live kernel: made, read and written through bpf(2). */
#ifndef BENCH_KERNEL_MAP_H
#define BENCH_KERNEL_MAP_H

#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns a descriptor, or -1 and errno. */
static inline int kernel_map_create(uint32_t type, size_t key_size, size_t value_size, size_t max_entries)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = (__u32)key_size;
	attr.value_size = (__u32)value_size;
	attr.max_entries = (__u32)max_entries;
	return (int)syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

/* A lookup or an update. Returns 0, or -1 and errno. */
static inline int kernel_map_elem(int cmd, int fd, const void *key, void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (__u32)fd;
	attr.key = (uint64_t)(uintptr_t)key;
	attr.value = (uint64_t)(uintptr_t)value;
	return (int)syscall(__NR_bpf, cmd, &attr, sizeof(attr));
}

#endif
