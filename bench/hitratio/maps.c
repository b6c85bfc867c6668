/* SPDX-License-Identifier: MIT */
#include "maps.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <usermap/helper.h>

#include "kernel_map.h"
#include "kernel_prog.h"
#include "keys.h"

/* Keys that have nothing of their number's order. */
static uint64_t key_of(uint32_t number)
{
	return keys_fresh(number + 1ul);
}

static bool request(struct usermap *map, uint64_t key)
{
	const uint64_t *value = usermap_helper_lookup_elem(map, &key);
	uint64_t new = value_for(key, 0);

	if (value && !value_fits(*value, key))
		errx(EXIT_FAILURE, "key %#llx has the value %#llx", (unsigned long long)key,
		     (unsigned long long)*value);
	if (!value && usermap_helper_update_elem(map, &key, &new, BPF_ANY))
		errx(EXIT_FAILURE, "key %#llx can't be stored", (unsigned long long)key);
	return value;
}

size_t maps_engine(const struct trace *trace, uint32_t size, enum usermap_eviction eviction)
{
	struct usermap_opts opts = { .sz = sizeof(opts), .eviction = eviction };
	struct usermap *map;
	size_t hits = 0;
	int error =
		usermap_create(BPF_MAP_TYPE_LRU_HASH, "cache", sizeof(uint64_t), sizeof(uint64_t), size, &opts, &map);

	if (error) {
		errno = -error;
		err(EXIT_FAILURE, "a map of %u entries", size);
	}
	usermap_read_lock();
	for (size_t i = 0; i < trace->n; i++)
		hits += request(map, key_of(trace->keys[i]));
	usermap_read_unlock();
	usermap_close(map);
	return hits;
}

/* The kernel's side: the map, the program, and what it reads and writes. */
struct kernel {
	struct kernel_prog_maps maps;
	int program;
};

static void end(struct kernel *kernel)
{
	const int descriptors[] = { kernel->maps.map, kernel->maps.state, kernel->maps.keys, kernel->program };

	for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++)
		if (descriptors[i] >= 0)
			close(descriptors[i]);
}

static bool begin(struct kernel *kernel, uint32_t size)
{
	struct kernel_prog_maps *maps = &kernel->maps;

	maps->ring_mask = MAPS_BLOCK - 1;
	maps->map = kernel_map_create(BPF_MAP_TYPE_LRU_HASH, sizeof(uint64_t), sizeof(uint64_t), size);
	maps->state = kernel_map_create(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(struct kernel_prog_state), 1);
	maps->keys = kernel_map_create(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), MAPS_BLOCK * sizeof(uint64_t), 1);
	kernel->program = -1;
	if (maps->map >= 0 && maps->state >= 0 && maps->keys >= 0)
		kernel->program = kernel_prog_load(KERNEL_PROG_CACHE, maps);
	return kernel->program >= 0;
}

static void run_block(const struct kernel *kernel, const uint32_t *numbers)
{
	static uint64_t keys[MAPS_BLOCK];
	uint32_t zero = 0;

	for (size_t i = 0; i < MAPS_BLOCK; i++)
		keys[i] = key_of(numbers[i]);
	if (kernel_map_elem(BPF_MAP_UPDATE_ELEM, kernel->maps.keys, &zero, keys) ||
	    kernel_prog_run(kernel->program, MAPS_BLOCK / KERNEL_PROG_RUN))
		err(EXIT_FAILURE, "running the kernel's program");
}

bool maps_kernel(const struct trace *trace, uint32_t size, size_t *hits)
{
	struct kernel_prog_state state;
	struct kernel kernel;
	uint32_t zero = 0;
	bool there = begin(&kernel, size);

	if (there) {
		for (size_t i = 0; i < trace->n; i += MAPS_BLOCK)
			run_block(&kernel, trace->keys + i);
		if (kernel_map_elem(BPF_MAP_LOOKUP_ELEM, kernel.maps.state, &zero, &state))
			err(EXIT_FAILURE, "reading the kernel's counts");
		if (state.right != trace->n)
			errx(EXIT_FAILURE, "of %zu requests the kernel did %llu right", trace->n,
			     (unsigned long long)state.right);
		*hits = state.hits;
	}
	end(&kernel);
	return there;
}
