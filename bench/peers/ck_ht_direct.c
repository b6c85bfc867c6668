/* SPDX-License-Identifier: MIT */
/*
 * ck_ht in its direct mode: key and value are two words in the table's own lines. It can hold nothing but words (and
 * not the words 0 and ~0), so it is no peer of a map with keys and values of any size; it shows what that freedom
 * costs.
 */
#include "peers/ck.h"

#include <ck_ht.h>

#include "peers/hash.h"

static inline ck_ht_hash_t hash_of(uint64_t key)
{
	return (ck_ht_hash_t){ .value = peer_hash(key) };
}

static inline bool table_lookup(void *table, uint64_t key, uint64_t *value)
{
	ck_ht_entry_t entry;
	bool found;

	ck_ht_entry_key_set_direct(&entry, key);
	urcu_memb_read_lock(); /* for the table itself, which may be outgrown */
	found = ck_ht_get_spmc(table, hash_of(key), &entry);
	urcu_memb_read_unlock();
	if (found)
		*value = ck_ht_entry_value_direct(&entry);
	return found;
}

static inline bool table_insert(void *table, uint64_t key, const uint64_t *value)
{
	ck_ht_hash_t hash = hash_of(key);
	ck_ht_entry_t entry;

	ck_ht_entry_set_direct(&entry, hash, key, *value);
	return ck_ht_put_spmc(table, hash, &entry);
}

static inline bool table_update(void *table, uint64_t key, const uint64_t *value)
{
	ck_ht_hash_t hash = hash_of(key);
	ck_ht_entry_t entry;

	ck_ht_entry_set_direct(&entry, hash, key, *value);
	return ck_ht_set_spmc(table, hash, &entry);
}

static inline bool table_delete(void *table, uint64_t key)
{
	ck_ht_entry_t entry;

	ck_ht_entry_key_set_direct(&entry, key);
	return ck_ht_remove_spmc(table, hash_of(key), &entry);
}

#include "peers/loops.h"

static void hash_key(ck_ht_hash_t *hash, const void *key, size_t size, uint64_t seed)
{
	(void)size;
	(void)seed;
	*hash = hash_of(*(const uintptr_t *)key);
}

static void *create(size_t max_entries)
{
	ck_ht_t *ht = malloc(sizeof(*ht));

	if (ht &&
	    ck_ht_init(ht, CK_HT_MODE_DIRECT | CK_HT_WORKLOAD_DELETE, hash_key, &ck_table_memory, 2 * max_entries, 0))
		return ht;
	free(ht);
	return NULL;
}

static void destroy(void *table)
{
	ck_ht_destroy(table);
	free(table);
}

const struct table_ops ck_ht_direct_table = {
	.name = "ck_ht_direct",
	.note = "words only, in the table's lines, one writer, presized, jemalloc with huge pages",
	.single_writer = true,
	.create = create,
	.destroy = destroy,
	.enter = node_enter,
	.leave = node_leave,
	.loop = { TABLE_LOOPS },
};
