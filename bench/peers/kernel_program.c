/* SPDX-License-Identifier: MIT */
/*
 * The live kernel's preallocated HASH as a BPF program sees it. The program takes its keys from a ring of the access
 * stream that lies in a map of its own; the keys a loop is called with are not looked at, and n must be a multiple of
 * KERNEL_PROG_RUN. Its own count of right outcomes is what a loop returns.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_prog.h"
#include "keys.h"
#include "table.h"

enum { KINDS = KERNEL_PROG_CHURN + 1 };

struct program_table {
	void *map; /* of kernel_table, which fills it */
	struct kernel_prog_maps maps;
	int prog[KINDS];
};

static int create_array(size_t value_size)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = (__u32)value_size;
	attr.max_entries = 1;
	return (int)syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static int access_array(int cmd, int fd, void *value)
{
	uint32_t zero = 0;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (__u32)fd;
	attr.key = (uint64_t)(uintptr_t)&zero;
	attr.value = (uint64_t)(uintptr_t)value;
	return (int)syscall(__NR_bpf, cmd, &attr, sizeof(attr));
}

/* The ring: the access stream, begun again until the next power of two. */
static bool make_ring(struct program_table *t, const struct keys *keys)
{
	size_t length = 1;
	uint64_t *ring;
	bool ok;

	while (length < keys->n)
		length *= 2;
	ring = malloc(length * sizeof(*ring));
	if (!ring)
		return false;
	for (size_t i = 0; i < length; i++)
		ring[i] = keys->access[i % keys->n];
	t->maps.ring_mask = (uint32_t)length - 1;
	t->maps.keys = create_array(length * sizeof(*ring));
	ok = t->maps.keys >= 0 && access_array(BPF_MAP_UPDATE_ELEM, t->maps.keys, ring) == 0;
	free(ring);
	return ok;
}

static void destroy(void *table)
{
	struct program_table *t = table;

	for (int i = 0; i < KINDS; i++)
		if (t->prog[i] >= 0)
			close(t->prog[i]);
	if (t->maps.keys >= 0)
		close(t->maps.keys);
	if (t->maps.state >= 0)
		close(t->maps.state);
	if (t->map)
		kernel_table.destroy(t->map);
	free(t);
}

static void *create(size_t max_entries)
{
	struct program_table *t = malloc(sizeof(*t));
	bool ok;

	if (!t)
		return NULL;
	*t = (struct program_table){ .maps = { .state = -1, .keys = -1 } };
	memset(t->prog, -1, sizeof(t->prog));
	t->map = kernel_table.create(max_entries);
	ok = t->map && make_ring(t, keys_get(max_entries));
	if (ok) {
		t->maps.map = kernel_table_fd(t->map);
		t->maps.state = create_array(sizeof(struct kernel_prog_state));
		ok = t->maps.state >= 0;
	}
	for (int i = 0; ok && i < KINDS; i++) {
		t->prog[i] = kernel_prog_load((enum kernel_prog_kind)i, &t->maps);
		ok = t->prog[i] >= 0;
	}
	if (ok)
		return t;
	destroy(t);
	return NULL;
}

static size_t run(void *table, enum kernel_prog_kind kind, size_t n)
{
	struct program_table *t = table;
	struct kernel_prog_state before, after;

	if (access_array(BPF_MAP_LOOKUP_ELEM, t->maps.state, &before) ||
	    kernel_prog_run(t->prog[kind], (uint32_t)(n / KERNEL_PROG_RUN)) ||
	    access_array(BPF_MAP_LOOKUP_ELEM, t->maps.state, &after))
		return 0;
	return after.position - before.position == n ? after.right - before.right : 0;
}

static size_t loop_hit(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	(void)keys;
	(void)generation;
	return run(table, KERNEL_PROG_LOOKUP, n);
}

static size_t loop_update(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	(void)keys;
	(void)generation;
	return run(table, KERNEL_PROG_UPDATE, n);
}

static size_t loop_churn(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	(void)keys;
	(void)generation;
	return run(table, KERNEL_PROG_CHURN, n);
}

static size_t fill(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	return kernel_table.loop[TABLE_BATCH_UPDATE](((struct program_table *)table)->map, keys, n, generation);
}

const struct table_ops kernel_program_table = {
	.name = "kernel_program",
	.note = "HASH inside a BPF program under BPF_PROG_TEST_RUN, preallocated",
	.create = create,
	.destroy = destroy,
	.loop = { [TABLE_HIT] = loop_hit,
		  [TABLE_UPDATE] = loop_update,
		  [TABLE_CHURN] = loop_churn,
		  [TABLE_INSERT] = fill },
};
