/* SPDX-License-Identifier: MIT */
/* Counters in the live kernel's per-CPU maps: a BPF program looks the key up and adds to this CPU's value. */
#include <stdlib.h>

#include "counters/counter.h"
#include "kernel_map.h"
#include "kernel_prog.h"
#include "keys.h"

/* A call runs programs that have a part of the keys each. */
enum { PARTS = COUNTER_ADDS / KERNEL_PROG_ADDS };

_Static_assert((int)PARTS *(int)KERNEL_PROG_ADDS == (int)COUNTER_ADDS, "the parts make a whole");

struct program {
	int map, keys;
	int prog[PARTS];
};

static void destroy(void *counters)
{
	struct program *p = counters;

	for (int i = 0; i < PARTS; i++)
		if (p->prog[i] >= 0)
			close(p->prog[i]);
	if (p->keys >= 0)
		close(p->keys);
	if (p->map >= 0)
		close(p->map);
	free(p);
}

/* Puts n keys into a hash; an array has them. Indexes are the low half of 8-byte keys. */
static bool fill(int map, size_t n)
{
	static uint64_t zero[KEYS_MAX_CPUS];

	for (uint64_t key = 0; key < n; key++)
		if (kernel_map_elem(BPF_MAP_UPDATE_ELEM, map, &key, zero))
			return false;
	return true;
}

static void *create(enum bpf_map_type type, size_t key_size, size_t n, const uint64_t *keys)
{
	struct program *p = malloc(sizeof(*p));
	const size_t bytes = COUNTER_ADDS * sizeof(*keys);
	uint64_t copy[COUNTER_ADDS];
	const uint32_t zero = 0;
	bool ok;

	if (!p)
		return NULL;
	memcpy(copy, keys, bytes);
	memset(p->prog, -1, sizeof(p->prog));
	p->map = kernel_map_create(type, key_size, sizeof(uint64_t), n);
	p->keys = kernel_map_create(BPF_MAP_TYPE_ARRAY, sizeof(zero), bytes, 1);
	ok = p->map >= 0 && p->keys >= 0 && fill(p->map, n) &&
	     kernel_map_elem(BPF_MAP_UPDATE_ELEM, p->keys, &zero, copy) == 0;
	for (int i = 0; ok && i < PARTS; i++) {
		p->prog[i] = kernel_prog_load_adds(p->map, p->keys, i * KERNEL_PROG_ADDS);
		ok = p->prog[i] >= 0;
	}
	if (ok)
		return p;
	destroy(p);
	return NULL;
}

static void *create_array(size_t n, const uint64_t *keys)
{
	return create(BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t), n, keys);
}

static void *create_hash(size_t n, const uint64_t *keys)
{
	return create(BPF_MAP_TYPE_PERCPU_HASH, sizeof(uint64_t), n, keys);
}

static bool add(void *counters, int thread, const uint64_t *keys)
{
	const struct program *p = counters;
	bool ok = true;

	(void)thread;
	(void)keys;
	for (int i = 0; i < PARTS; i++)
		ok &= kernel_prog_run(p->prog[i], 1) == 0;
	return ok;
}

static uint64_t sum(void *counters, uint64_t key)
{
	uint64_t value[KEYS_MAX_CPUS], total = 0;

	if (kernel_map_elem(BPF_MAP_LOOKUP_ELEM, ((struct program *)counters)->map, &key, value))
		return UINT64_MAX;
	for (size_t i = 0; i < keys_cpus(); i++)
		total += value[i];
	return total;
}

const struct counter_ops counter_kernel_array = {
	.name = "kernel_percpu_array",
	.note = "the live kernel's PERCPU_ARRAY, a BPF program under BPF_PROG_TEST_RUN",
	.create = create_array,
	.destroy = destroy,
	.add = add,
	.read = sum,
};

const struct counter_ops counter_kernel_hash = {
	.name = "kernel_percpu_hash",
	.note = "the live kernel's PERCPU_HASH, a BPF program under BPF_PROG_TEST_RUN",
	.create = create_hash,
	.destroy = destroy,
	.add = add,
	.read = sum,
};
