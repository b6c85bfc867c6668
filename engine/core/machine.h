/* SPDX-License-Identifier: MIT */
/*
 * What the machine has: CPUs, NUMA nodes, memory, huge pages. Read from /proc and /sys.
 */
#ifndef ENGINE_CORE_MACHINE_H
#define ENGINE_CORE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Possible CPUs, as the kernel sizes per-CPU values; at least 1. The same for the life of the process. */
unsigned possible_cpus(void);
/* All numbers of possible CPUs are below this. More than possible_cpus() where the numbers have gaps. */
unsigned possible_cpu_ids(void);

#define NUMA_NONE UINT32_MAX

/* What BPF_MAP_CREATE with BPF_F_NUMA_NODE accepts: an online node, or -1 for none. */
bool numa_node_ok(uint32_t node);

/* Prefers the node for memory of the mapping [base, base + size) that isn't touched yet. A preference: where the kernel
 * has no NUMA or refuses the call, memory comes from anywhere. */
void numa_prefer(void *base, size_t size, uint32_t node);

/* The same for n_cpus areas of whole pages side by side from base: each prefers the node of its CPU. Nothing on machines
 * with one node. nodes: the kernel's directory of them. */
void numa_spread(const char *nodes, void *base, size_t area, unsigned n_cpus);
#define NUMA_NODES "/sys/devices/system/node"

/* Whether the machine can give so much memory now without taking it from running programs. */
bool memory_available(uint64_t size);

/* Whether madvise(MADV_HUGEPAGE) gives huge pages to private memory; or to a mapping of the tmpfs file behind fd. */
bool huge_pages_private(void);
bool huge_pages_shared(int fd);

/* A kernel list of ids, as in "0-3,5": how many there are, the least number above all (at most 4096 are counted), and whether
 * it has one. Unreadable text ends the list. */
unsigned id_list_count(const char *list);
unsigned id_list_end(const char *list);
bool id_list_has(const char *list, unsigned long id);

#endif
