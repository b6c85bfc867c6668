/* SPDX-License-Identifier: MIT */
/* Counters in usermap's maps. Indexes serve as keys of hashes, too: 8 bytes each. */
#include <stdlib.h>
#include <usermap/helper.h>

#include "counters/counter.h"
#include "keys.h"

static void destroy(void *counters)
{
	usermap_close(counters);
}

static struct usermap *create_map(enum bpf_map_type type, uint32_t key_size, size_t n, enum usermap_memory memory)
{
	const struct usermap_opts opts = { .sz = sizeof(opts), .memory = memory };
	struct usermap *map;

	return usermap_create(type, "counters", key_size, sizeof(uint64_t), (uint32_t)n, &opts, &map) ? NULL : map;
}

static void *create_array(size_t n, const uint64_t *keys)
{
	(void)keys;
	return create_map(BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t), n, USERMAP_MEMORY_PRIVATE);
}

static void *create_array_shared(size_t n, const uint64_t *keys)
{
	(void)keys;
	return create_map(BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t), n, USERMAP_MEMORY_SHARED);
}

/* A hash with all keys in it. A value's buffer is big enough for any type. */
static void *create_hash(enum bpf_map_type type, size_t n, enum usermap_memory memory)
{
	static const uint64_t zero[KEYS_MAX_CPUS];
	struct usermap *map = create_map(type, sizeof(uint64_t), n, memory);

	for (uint64_t key = 0; map && key < n; key++) {
		if (usermap_update_elem(map, &key, zero, BPF_NOEXIST)) {
			usermap_close(map);
			return NULL;
		}
	}
	return map;
}

static void *create_percpu_hash(size_t n, const uint64_t *keys)
{
	(void)keys;
	return create_hash(BPF_MAP_TYPE_PERCPU_HASH, n, USERMAP_MEMORY_PRIVATE);
}

static void *create_percpu_hash_shared(size_t n, const uint64_t *keys)
{
	(void)keys;
	return create_hash(BPF_MAP_TYPE_PERCPU_HASH, n, USERMAP_MEMORY_SHARED);
}

static void *create_plain_hash(size_t n, const uint64_t *keys)
{
	(void)keys;
	return create_hash(BPF_MAP_TYPE_HASH, n, USERMAP_MEMORY_PRIVATE);
}

static bool add_to_array(void *counters, int thread, const uint64_t *keys)
{
	size_t added = 0;

	(void)thread;
	for (size_t i = 0; i < COUNTER_ADDS; i++) {
		uint32_t index = (uint32_t)keys[i];

		added += usermap_percpu_add(counters, &index, 0, 1) == 0;
	}
	return added == COUNTER_ADDS;
}

static bool add_to_hash(void *counters, int thread, const uint64_t *keys)
{
	size_t added = 0;

	(void)thread;
	for (size_t i = 0; i < COUNTER_ADDS; i++)
		added += usermap_percpu_add(counters, &keys[i], 0, 1) == 0;
	return added == COUNTER_ADDS;
}

/* In one section, as a program handles many keys between two of them. */
static bool add_by_pointer(void *counters, int thread, const uint64_t *keys)
{
	size_t added = 0;

	(void)thread;
	usermap_read_lock();
	for (size_t i = 0; i < COUNTER_ADDS; i++) {
		uint64_t *counter = usermap_helper_lookup_elem(counters, &keys[i]);

		if (counter) {
			__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
			added++;
		}
	}
	usermap_read_unlock();
	return added == COUNTER_ADDS;
}

static uint64_t read_sum(void *counters, const void *key, size_t n)
{
	uint64_t value[KEYS_MAX_CPUS], total = 0;

	if (usermap_lookup_elem(counters, key, value, 0))
		return UINT64_MAX;
	for (size_t i = 0; i < n; i++)
		total += value[i];
	return total;
}

static uint64_t read_array(void *counters, uint64_t key)
{
	uint32_t index = (uint32_t)key;

	return read_sum(counters, &index, keys_cpus());
}

static uint64_t read_percpu_hash(void *counters, uint64_t key)
{
	return read_sum(counters, &key, keys_cpus());
}

static uint64_t read_plain_hash(void *counters, uint64_t key)
{
	return read_sum(counters, &key, 1);
}

const struct counter_ops counter_percpu_array = {
	.name = "percpu_array",
	.note = "usermap_percpu_add(), private PERCPU_ARRAY",
	.create = create_array,
	.destroy = destroy,
	.add = add_to_array,
	.read = read_array,
};

const struct counter_ops counter_percpu_array_shared = {
	.name = "percpu_array_shared",
	.note = "usermap_percpu_add(), PERCPU_ARRAY in a memfd",
	.create = create_array_shared,
	.destroy = destroy,
	.add = add_to_array,
	.read = read_array,
};

const struct counter_ops counter_percpu_hash = {
	.name = "percpu_hash",
	.note = "usermap_percpu_add(), private PERCPU_HASH",
	.create = create_percpu_hash,
	.destroy = destroy,
	.add = add_to_hash,
	.read = read_percpu_hash,
};

const struct counter_ops counter_percpu_hash_shared = {
	.name = "percpu_hash_shared",
	.note = "usermap_percpu_add(), PERCPU_HASH in a memfd",
	.create = create_percpu_hash_shared,
	.destroy = destroy,
	.add = add_to_hash,
	.read = read_percpu_hash,
};

const struct counter_ops counter_hash_pointer = {
	.name = "hash_pointer",
	.note = "pointer lookup in a private HASH, atomic add",
	.create = create_plain_hash,
	.destroy = destroy,
	.add = add_by_pointer,
	.read = read_plain_hash,
};
