/* SPDX-License-Identifier: MIT */
/*
 * What the machine has, read from the texts that the kernel shows of it.
 */
#include "core/machine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
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
#define LIST_ROOM   (MAX_CPUS * 5) /* of a list of CPUs at its longest: every number of four digits, and a comma */
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

unsigned id_list_end(const char *list)
{
	unsigned long first, last, end = 0;

	while (id_list_next(&list, &first, &last))
		if (last >= end)
			end = last < MAX_CPUS ? last + 1 : MAX_CPUS;
	return (unsigned)end;
}

bool id_list_has(const char *list, unsigned long id)
{
	unsigned long first, last;

	while (id_list_next(&list, &first, &last))
		if (first <= id && id <= last)
			return true;
	return false;
}

struct cpus {
	unsigned count, end;
};

static struct cpus read_possible_cpus(void)
{
	char text[LIST_ROOM];
	struct cpus cpus = { 0, 0 };
	long configured;

	if (read_text("/sys/devices/system/cpu/possible", text, sizeof(text)))
		cpus = (struct cpus){ id_list_count(text), id_list_end(text) };
	if (cpus.count)
		return cpus;
	configured = sysconf(_SC_NPROCESSORS_CONF);
	cpus.count = configured < 1 ? 1 : configured > MAX_CPUS ? MAX_CPUS : (unsigned)configured;
	cpus.end = cpus.count;
	return cpus;
}

/* Read once for the life of the process. */
static struct cpus possible(void)
{
	static _Atomic uint64_t cached; /* {end, count}, 0: not asked yet. Whoever asks gets the same answer */
	uint64_t both = atomic_load_explicit(&cached, memory_order_relaxed); /* relaxed: numbers, nothing behind them */

	if (!both) {
		struct cpus cpus = read_possible_cpus();

		both = (uint64_t)cpus.end << 32 | cpus.count;
		atomic_store_explicit(&cached, both, memory_order_relaxed); /* relaxed: as above */
	}
	return (struct cpus){ .count = (unsigned)both, .end = (unsigned)(both >> 32) };
}

unsigned possible_cpus(void)
{
	return possible().count;
}

unsigned possible_cpu_ids(void)
{
	return possible().end;
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

/* The areas of the CPUs in the list. */
static void prefer_for(const char *cpus, unsigned char *base, size_t area, unsigned n_cpus, uint32_t node)
{
	unsigned long first, last;

	while (id_list_next(&cpus, &first, &last))
		for (; first <= last && first < n_cpus; first++)
			numa_prefer(base + first * area, area, node);
}

void numa_spread(const char *nodes, void *base, size_t area, unsigned n_cpus)
{
	char online[4096], path[PATH_MAX], cpus[LIST_ROOM];
	const char *list = online;
	unsigned long first, last;

	snprintf(path, sizeof(path), "%s/online", nodes);
	if (!read_text(path, online, sizeof(online)) || id_list_count(online) < 2)
		return;
	while (id_list_next(&list, &first, &last)) {
		for (; first <= last && first < MAX_NODES; first++) {
			snprintf(path, sizeof(path), "%s/node%lu/cpulist", nodes, first);
			if (read_text(path, cpus, sizeof(cpus)))
				prefer_for(cpus, base, area, n_cpus, (uint32_t)first);
		}
	}
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
