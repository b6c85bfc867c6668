/* SPDX-License-Identifier: MIT */
/*
 * What the machine has, read from the texts that the kernel shows of it.
 */
#include "core/machine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MAX_CPUS    4096u	   /* of a region's layout; above any Linux configuration in use */
#define MAX_NODES   1024u	   /* the kernel's largest MAX_NUMNODES */
#define FREE_ENOUGH (256ull << 20) /* with so much to spare nobody need look closer */

/* Reads a small file whole; false if it isn't there. */
static bool read_text(const char *path, char *text, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;

	ssize_t n = read(fd, text, room - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Takes the next range of a list; false at its end. */
static bool id_list_next(const char **list, unsigned long *first, unsigned long *last)
{
	char *end;

	*first = strtoul(*list, &end, 10);
	if (end == *list)
		return false;
	*last = *first;
	if (*end == '-') {
		*list = end + 1;
		*last = strtoul(*list, &end, 10);
		if (end == *list || *last < *first)
			return false;
	}
	*list = *end == ',' ? end + 1 : end;
	return true;
}

unsigned id_list_count(const char *list)
{
	unsigned long first, last, n = 0;

	while (n <= MAX_CPUS && id_list_next(&list, &first, &last))
		n += last - first + 1;
	return n < MAX_CPUS ? (unsigned)n : MAX_CPUS;
}

bool id_list_has(const char *list, unsigned long id)
{
	unsigned long first, last;

	while (id_list_next(&list, &first, &last))
		if (first <= id && id <= last)
			return true;
	return false;
}

unsigned possible_cpus(void)
{
	static atomic_uint cached; /* 0: not asked yet. Whoever asks gets the same answer */
	unsigned n = atomic_load_explicit(&cached, memory_order_relaxed); /* relaxed: a number, nothing behind it */
	char text[4096];

	if (n)
		return n;
	if (read_text("/sys/devices/system/cpu/possible", text, sizeof(text)))
		n = id_list_count(text);
	if (!n) {
		long configured = sysconf(_SC_NPROCESSORS_CONF);

		n = configured < 1 ? 1 : configured > MAX_CPUS ? MAX_CPUS : (unsigned)configured;
	}
	atomic_store_explicit(&cached, n, memory_order_relaxed); /* relaxed: as above */
	return n;
}

bool numa_node_ok(uint32_t node)
{
	char text[4096];

	if (node == UINT32_MAX)
		return true;
	if (!read_text("/sys/devices/system/node/online", text, sizeof(text)))
		return node == 0;
	return id_list_has(text, node);
}

void numa_prefer(void *base, size_t size, uint32_t node)
{
	unsigned long mask[MAX_NODES / (8 * sizeof(unsigned long))] = { 0 };
	const unsigned bits = 8 * sizeof(mask[0]);

	if (node >= MAX_NODES)
		return;
	mask[node / bits] = 1ul << (node % bits);
	/* The raw call: libnuma would be a dependency for one line. One bit more than there are: the kernel takes one
	 * off. */
	syscall(SYS_mbind, base, size, MPOL_PREFERRED, mask, (unsigned long)MAX_NODES + 1, 0);
}

bool memory_available(uint64_t size)
{
	struct sysinfo info;
	uint64_t kib;
	char text[4096];

	/* The quick answer leaves out what caches could give back; the kernel's own estimate counts it in. */
	if (sysinfo(&info) == 0 && (uint64_t)info.freeram * info.mem_unit > FREE_ENOUGH &&
	    (uint64_t)info.freeram * info.mem_unit - FREE_ENOUGH >= size)
		return true;
	if (!read_text("/proc/meminfo", text, sizeof(text)))
		return true;

	const char *line = strstr(text, "MemAvailable:");

	return !line || sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1 || kib >= size >> 10;
}

bool huge_pages_private(void)
{
	char text[128];

	return read_text("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text)) && !strstr(text, "[never]");
}

/* The huge= option of the mount with device number dev. 1: gives huge pages; 0: doesn't; -1: there is no such mount. */
static int mount_gives_huge_pages(dev_t dev)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	int answer = -1;
	unsigned dev_major, dev_minor;

	if (!mounts)
		return -1;
	while (answer < 0 && getline(&line, &room, mounts) > 0) {
		if (sscanf(line, "%*d %*d %u:%u", &dev_major, &dev_minor) != 2 || makedev(dev_major, dev_minor) != dev)
			continue;
		answer = strstr(line, "huge=") && !strstr(line, "huge=never");
	}
	free(line);
	fclose(mounts);
	return answer;
}

bool huge_pages_shared(int fd)
{
	struct stat st;
	struct statfs fs;
	char text[128];

	if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
		return false;
	if (fs.f_type != TMPFS_MAGIC ||
	    !read_text("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text, sizeof(text)) ||
	    strstr(text, "[deny]"))
		return false;

	int mounted = mount_gives_huge_pages(st.st_dev);

	/* Memfds lie on a mount that isn't listed, which follows the machine's setting. */
	return strstr(text, "[force]") || mounted == 1 || (mounted < 0 && !strstr(text, "[never]"));
}
