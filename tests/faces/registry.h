/* SPDX-License-Identifier: MIT */
/* For tests of what is in the user's registry: one that is theirs alone, and what it has. */
#ifndef TESTS_FACES_REGISTRY_H
#define TESTS_FACES_REGISTRY_H

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maps.h"

/* A /dev/shm of this process's own, in a mount namespace. Whether we have it. */
static inline bool own_registry(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/dev/shm", "tmpfs", 0, "mode=1777") == 0;
}

/* A path in the registry. */
static inline const char *in_registry(const char *name)
{
	static __thread char path[512];

	snprintf(path, sizeof(path), "/dev/shm/usermap-bpf-map-4-%u/%s", geteuid(), name);
	return path;
}

/* How many files a folder of the registry has. */
static inline int count_files(const char *folder)
{
	DIR *dir = opendir(in_registry(folder));
	const struct dirent *entry;
	int n = 0;

	while (dir && (entry = readdir(dir)))
		n += *entry->d_name != '.';
	if (dir)
		closedir(dir);
	return n;
}

static inline long pin_call(int cmd, const char *path, int fd)
{
	union abi_attr attr = { .obj = { .pathname = (uintptr_t)path, .bpf_fd = (uint32_t)fd } };

	return call(cmd, &attr);
}

static inline long map_by_id(uint32_t id)
{
	union abi_attr attr = { .id = { .id = id } };

	return call(ABI_MAP_GET_FD_BY_ID, &attr);
}

/* The next map's id, or -errno. */
static inline int64_t next_map(uint32_t after)
{
	union abi_attr attr = { .id = { .id = after } };
	long error = call(ABI_MAP_GET_NEXT_ID, &attr);

	return error ? error : attr.id.next_id;
}

static inline int count_maps(void)
{
	int64_t id = 0;
	int n = 0;

	while ((id = next_map((uint32_t)id)) > 0)
		n++;
	return n;
}

#endif
