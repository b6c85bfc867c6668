/* SPDX-License-Identifier: MIT */
#include "idmap.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <usermap/helper.h>

#include "value.h"

/* The place of a word of a per-CPU value is part of the word, so that no word passes for another. */
static uint64_t place_of(unsigned word)
{
	return (uint64_t)word << 56;
}

unsigned idmap_words(const struct idmap_kind *kind)
{
	return kind->values == IDMAP_PERCPU ? IDMAP_CPUS * kind->value_size / 8 : 1;
}

static uint32_t value_bytes(const struct idmap_kind *kind)
{
	return kind->values == IDMAP_PERCPU ? 8 * idmap_words(kind) : kind->value_size;
}

struct idmap_ids idmap_ids_of(const struct idmap_kind *kind, uint64_t id)
{
	struct idmap_ids ids = { { 0 } };

	for (unsigned i = 0; i < idmap_words(kind); i++)
		ids.word[i] = id;
	return ids;
}

/* The value of an id, as a command stores it. What lies where a lock is must not matter. */
static void make_value(const struct idmap_kind *kind, void *value, uint64_t id)
{
	if (kind->values != IDMAP_PERCPU) {
		value_fill(value, kind->value_size, id);
		return;
	}
	for (unsigned i = 0; i < idmap_words(kind); i++) {
		uint64_t word = id ^ place_of(i);

		memcpy((unsigned char *)value + (size_t)8 * i, &word, 8);
	}
}

/* Whether the bytes of a value with a lock, whose lock's bytes are 0, are those of one id. */
static bool locked_id(const void *value, size_t size, uint64_t *id)
{
	unsigned char expected[VALUE_MAX];

	memcpy(id, value, sizeof(*id));
	value_fill(expected, size, *id);
	memset(expected + IDMAP_LOCK, 0, sizeof(struct bpf_spin_lock));
	return memcmp(value, expected, size) == 0;
}

static int read_value(const struct idmap_kind *kind, const void *value, struct idmap_ids *ids)
{
	*ids = (struct idmap_ids){ { 0 } };
	if (kind->values == IDMAP_LOCKED)
		return locked_id(value, kind->value_size, &ids->word[0]) ? 0 : IDMAP_TORN;
	if (kind->values == IDMAP_PLAIN)
		return value_id(value, kind->value_size, &ids->word[0]) ? 0 : IDMAP_TORN;
	for (unsigned i = 0; i < idmap_words(kind); i++) {
		uint64_t word;

		memcpy(&word, (const unsigned char *)value + (size_t)8 * i, 8);
		ids->word[i] = word ? word ^ place_of(i) : IDMAP_ZERO;
	}
	return 0;
}

void (*idmap_evicted)(int err, uint32_t key, const struct idmap_ids *value);

static int key_of(const struct idmap_kind *kind, const void *k, uint32_t *key)
{
	uint64_t id;

	if (!value_id(k, kind->key_size, &id))
		return IDMAP_TORN;
	*key = (uint32_t)id;
	return 0;
}

static void on_evict(void *kind, const void *k, const void *v)
{
	struct idmap_ids value;
	uint32_t key = 0;
	int err = key_of(kind, k, &key), value_err = read_value(kind, v, &value);

	if (idmap_evicted)
		idmap_evicted(err ? err : value_err, key, &value);
}

static enum bpf_map_type type_of(const struct idmap_kind *kind)
{
	if (kind->eviction == IDMAP_KEEPS)
		return kind->values == IDMAP_PERCPU ? BPF_MAP_TYPE_PERCPU_HASH : BPF_MAP_TYPE_HASH;
	return kind->values == IDMAP_PERCPU ? BPF_MAP_TYPE_LRU_PERCPU_HASH : BPF_MAP_TYPE_LRU_HASH;
}

static void set_eviction(struct usermap_opts *opts, const struct idmap_kind *kind)
{
	if (kind->eviction != IDMAP_KEEPS)
		opts->n_cpus = kind->eviction == IDMAP_LRU_ONE ? 1 : IDMAP_CPUS;
	if (kind->eviction == IDMAP_S3FIFO)
		opts->eviction = USERMAP_EVICTION_S3FIFO;
	if (kind->eviction != IDMAP_KEEPS && kind->memory == USERMAP_MEMORY_PRIVATE) {
		opts->on_evict = on_evict;
		opts->on_evict_ctx = (void *)(uintptr_t)kind;
	}
}

void idmap_create(struct idmap *m, const struct idmap_kind *kind, uint32_t max_entries)
{
	struct usermap_opts opts = {
		.sz = sizeof(opts), .map_flags = kind->map_flags, .memory = kind->memory, .reuse = kind->reuse
	};
	struct usermap_info info = { .sz = sizeof(info) };
	int err;

	if (kind->values == IDMAP_PERCPU)
		opts.n_cpus = IDMAP_CPUS;
	set_eviction(&opts, kind);
	if (kind->values == IDMAP_LOCKED) {
		opts.spin_lock = 1;
		opts.spin_lock_off = IDMAP_LOCK;
	}
	*m = (struct idmap){ .kind = kind };
	err = usermap_create(type_of(kind), "test", kind->key_size, kind->value_size, max_entries, &opts, &m->map);
	if (!err)
		err = usermap_get_info(m->map, &info);
	m->max_entries = info.max_entries;
	if (err) {
		fprintf(stderr, "usermap_create %s: %s\n", kind->name, strerror(-err));
		exit(EXIT_FAILURE);
	}
}

int idmap_update(const struct idmap *m, uint32_t key, uint64_t value, uint64_t flags)
{
	unsigned char k[IDMAP_KEY_MAX], v[VALUE_MAX];

	value_fill(k, m->kind->key_size, key);
	make_value(m->kind, v, value);
	return usermap_update_elem(m->map, k, v, flags);
}

int idmap_delete(const struct idmap *m, uint32_t key)
{
	unsigned char k[IDMAP_KEY_MAX];

	value_fill(k, m->kind->key_size, key);
	return usermap_delete_elem(m->map, k);
}

int idmap_get(const struct idmap *m, uint32_t key, bool take, uint64_t flags, struct idmap_ids *value)
{
	unsigned char k[IDMAP_KEY_MAX], v[VALUE_MAX];
	int err;

	*value = (struct idmap_ids){ { 0 } };
	value_fill(k, m->kind->key_size, key);
	err = take ? usermap_lookup_and_delete_elem(m->map, k, v, flags) : usermap_lookup_elem(m->map, k, v, flags);
	return err ? err : read_value(m->kind, v, value);
}

/* As idmap_get, where all words have one id. */
static int get_one(const struct idmap *m, uint32_t key, bool take, uint64_t *value)
{
	struct idmap_ids ids;
	int err = idmap_get(m, key, take, 0, &ids);

	*value = ids.word[0];
	for (unsigned i = 1; i < idmap_words(m->kind) && !err; i++)
		if (ids.word[i] != *value)
			err = IDMAP_TORN;
	return err;
}

int idmap_lookup(const struct idmap *m, uint32_t key, uint64_t *value)
{
	return get_one(m, key, false, value);
}

int idmap_take(const struct idmap *m, uint32_t key, uint64_t *value)
{
	return get_one(m, key, true, value);
}

int idmap_value_of(const struct idmap *m, const void *pointer, uint64_t *value)
{
	unsigned char copy[VALUE_MAX];

	if (m->kind->values != IDMAP_LOCKED)
		return value_id(pointer, m->kind->value_size, value) ? 0 : IDMAP_TORN;
	memcpy(copy, pointer, m->kind->value_size);
	memset(copy + IDMAP_LOCK, 0, sizeof(struct bpf_spin_lock));
	return locked_id(copy, m->kind->value_size, value) ? 0 : IDMAP_TORN;
}

int idmap_bulk(const struct idmap *m, const uint32_t *keys, struct idmap_ids *values, unsigned n)
{
	unsigned char k[16 * IDMAP_KEY_MAX] = { 0 }, v[16 * VALUE_MAX];
	__u64 found = ~0ull;
	int err = 0;

	for (unsigned i = 0; i < n; i++)
		value_fill(k + i * m->kind->key_size, m->kind->key_size, keys[i]);
	if (usermap_lookup_bulk(m->map, k, v, n, &found) != __builtin_popcountll(found) || found >> n)
		return -EPROTO;
	for (unsigned i = 0; i < n; i++) {
		values[i] = (struct idmap_ids){ { 0 } };
		if ((found >> i & 1) && !err)
			err = read_value(m->kind, v + i * value_bytes(m->kind), &values[i]);
	}
	return err;
}

const void *idmap_pointer(const struct idmap *m, uint32_t key)
{
	unsigned char k[IDMAP_KEY_MAX];

	value_fill(k, m->kind->key_size, key);
	return usermap_helper_lookup_elem(m->map, k);
}

bool idmap_use(const struct idmap *m, uint32_t key)
{
	bool there;

	usermap_read_lock();
	there = idmap_pointer(m, key);
	usermap_read_unlock();
	return there;
}

int idmap_hold(const struct idmap *m, uint32_t key, uint64_t value, void (*between)(void))
{
	unsigned char k[IDMAP_KEY_MAX], v[VALUE_MAX];
	unsigned char *p;
	int err = -ENOENT;

	value_fill(k, m->kind->key_size, key);
	make_value(m->kind, v, value);
	usermap_read_lock();
	p = usermap_helper_lookup_elem(m->map, k);
	if (p)
		err = usermap_helper_spin_lock((struct bpf_spin_lock *)(void *)(p + IDMAP_LOCK));
	for (uint32_t at = 0; !err && at < m->kind->value_size; at += 4) {
		uint32_t piece;

		if (at == IDMAP_LOCK) {
			between();
			continue;
		}
		memcpy(&piece, v + at, 4);
		/* relaxed: readers look on, and believe nothing of what they see */
		__atomic_store_n((uint32_t *)(void *)(p + at), piece, __ATOMIC_RELAXED);
	}
	if (!err)
		err = usermap_helper_spin_unlock((struct bpf_spin_lock *)(void *)(p + IDMAP_LOCK));
	usermap_read_unlock();
	return err;
}

unsigned idmap_slot(void)
{
	return (unsigned)sched_getcpu() % IDMAP_CPUS;
}

int idmap_update_slot(const struct idmap *m, uint32_t key, uint64_t value, uint64_t flags)
{
	unsigned char k[IDMAP_KEY_MAX], v[8 * IDMAP_WORDS];

	value_fill(k, m->kind->key_size, key);
	make_value(m->kind, v, value);
	return (int)usermap_helper_update_elem(m->map, k, v + idmap_slot() * m->kind->value_size, flags);
}

int idmap_add(const struct idmap *m, uint32_t key, uint64_t delta)
{
	unsigned char k[IDMAP_KEY_MAX];

	value_fill(k, m->kind->key_size, key);
	return usermap_percpu_add(m->map, k, 0, delta);
}

int idmap_next(const struct idmap *m, uint32_t *key)
{
	unsigned char k[IDMAP_KEY_MAX];
	int err;

	value_fill(k, m->kind->key_size, *key);
	err = usermap_get_next_key(m->map, *key ? k : NULL, k);
	return err ? err : key_of(m->kind, k, key);
}

int idmap_batch(const struct idmap *m, bool take, uint64_t elem_flags,
		void (*each)(void *context, uint32_t key, const struct idmap_ids *value), void *context)
{
	unsigned char k[IDMAP_BATCH * IDMAP_KEY_MAX], v[IDMAP_BATCH * 1024];
	struct usermap_batch_opts opts = { .sz = sizeof(opts), .elem_flags = elem_flags };
	uint32_t token = 0, key;
	struct idmap_ids value;
	int err = 0, bad;

	for (bool more = false; !err; more = true) {
		uint32_t n = IDMAP_BATCH;

		err = (take ? usermap_lookup_and_delete_batch : usermap_lookup_batch)(m->map, more ? &token : NULL,
										      &token, k, v, &n, &opts);
		if (err && err != -ENOENT)
			return err;
		for (uint32_t i = 0; i < n; i++) {
			bad = key_of(m->kind, k + i * m->kind->key_size, &key);
			if (!bad)
				bad = read_value(m->kind, v + i * value_bytes(m->kind), &value);
			if (bad)
				return bad;
			each(context, key, &value);
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
