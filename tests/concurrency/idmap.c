/* SPDX-License-Identifier: MIT */
#include "idmap.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <usermap/helper.h>

#include "value.h"

void idmap_create(struct idmap *m, const struct idmap_kind *kind, uint32_t max_entries)
{
	struct usermap_opts opts = {
		.sz = sizeof(opts), .map_flags = kind->map_flags, .memory = kind->memory, .reuse = kind->reuse
	};
	int err;

	*m = (struct idmap){ .kind = kind, .max_entries = max_entries };
	err = usermap_create(BPF_MAP_TYPE_HASH, "test", kind->key_size, kind->value_size, max_entries, &opts, &m->map);
	if (err) {
		fprintf(stderr, "usermap_create %s: %s\n", kind->name, strerror(-err));
		exit(EXIT_FAILURE);
	}
}

int idmap_update(const struct idmap *m, uint32_t key, uint64_t value, uint64_t flags)
{
	unsigned char k[IDMAP_KEY_MAX], v[VALUE_MAX];

	value_fill(k, m->kind->key_size, key);
	value_fill(v, m->kind->value_size, value);
	return usermap_update_elem(m->map, k, v, flags);
}

int idmap_delete(const struct idmap *m, uint32_t key)
{
	unsigned char k[IDMAP_KEY_MAX];

	value_fill(k, m->kind->key_size, key);
	return usermap_delete_elem(m->map, k);
}

int idmap_value_of(const struct idmap *m, const void *pointer, uint64_t *value)
{
	return value_id(pointer, m->kind->value_size, value) ? 0 : IDMAP_TORN;
}

int idmap_lookup(const struct idmap *m, uint32_t key, uint64_t *value)
{
	unsigned char k[IDMAP_KEY_MAX], v[VALUE_MAX];
	int err;

	*value = 0;
	value_fill(k, m->kind->key_size, key);
	err = usermap_lookup_elem(m->map, k, v, 0);
	return err ? err : idmap_value_of(m, v, value);
}

int idmap_take(const struct idmap *m, uint32_t key, uint64_t *value)
{
	unsigned char k[IDMAP_KEY_MAX], v[VALUE_MAX];
	int err;

	*value = 0;
	value_fill(k, m->kind->key_size, key);
	err = usermap_lookup_and_delete_elem(m->map, k, v, 0);
	return err ? err : idmap_value_of(m, v, value);
}

int idmap_bulk(const struct idmap *m, const uint32_t *keys, uint64_t *values, unsigned n)
{
	unsigned char k[16 * IDMAP_KEY_MAX], v[16 * VALUE_MAX];
	__u64 found = ~0ull;
	int err = 0;

	for (unsigned i = 0; i < n; i++)
		value_fill(k + i * m->kind->key_size, m->kind->key_size, keys[i]);
	if (usermap_lookup_bulk(m->map, k, v, n, &found) != __builtin_popcountll(found) || found >> n)
		return -EPROTO;
	for (unsigned i = 0; i < n; i++) {
		values[i] = 0;
		if ((found >> i & 1) && !err)
			err = idmap_value_of(m, v + i * m->kind->value_size, &values[i]);
	}
	return err;
}

const void *idmap_pointer(const struct idmap *m, uint32_t key)
{
	unsigned char k[IDMAP_KEY_MAX];

	value_fill(k, m->kind->key_size, key);
	return usermap_helper_lookup_elem(m->map, k);
}

static int key_of(const struct idmap *m, const void *k, uint32_t *key)
{
	uint64_t id;

	if (!value_id(k, m->kind->key_size, &id))
		return IDMAP_TORN;
	*key = (uint32_t)id;
	return 0;
}

int idmap_next(const struct idmap *m, uint32_t *key)
{
	unsigned char k[IDMAP_KEY_MAX];
	int err;

	value_fill(k, m->kind->key_size, *key);
	err = usermap_get_next_key(m->map, *key ? k : NULL, k);
	return err ? err : key_of(m, k, key);
}

int idmap_batch(const struct idmap *m, bool take, void (*each)(void *context, uint32_t key, uint64_t value), void *context)
{
	unsigned char k[IDMAP_BATCH * IDMAP_KEY_MAX], v[IDMAP_BATCH * 1024];
	uint32_t token = 0, key;
	uint64_t value;
	int err = 0, bad;

	for (bool more = false; !err; more = true) {
		uint32_t n = IDMAP_BATCH;

		err = (take ? usermap_lookup_and_delete_batch :
			      usermap_lookup_batch)(m->map, more ? &token : NULL, &token, k, v, &n, NULL);
		if (err && err != -ENOENT)
			return err;
		for (uint32_t i = 0; i < n; i++) {
			bad = key_of(m, k + i * m->kind->key_size, &key);
			if (!bad)
				bad = idmap_value_of(m, v + i * m->kind->value_size, &value);
			if (bad)
				return bad;
			each(context, key, value);
		}
	}
	return 0;
}

uint64_t idmap_count(const struct idmap *m)
{
	struct usermap_info info = { .sz = sizeof(info) };

	usermap_get_info(m->map, &info);
	return info.count;
}
