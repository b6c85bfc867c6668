/* SPDX-License-Identifier: MIT */
/*
 * Concurrency Kit's ck_ht for general keys (byte strings, the key inside an element): one writer, any number of
 * readers. Made with room for twice its entries, so it never grows.
 */
#include "peers/ck.h"

#include <ck_ht.h>

#include "peers/hash.h"

static inline ck_ht_hash_t hash_of(uint64_t key)
{
	return (ck_ht_hash_t){ .value = peer_hash(key) };
}

static inline struct node *find(ck_ht_t *ht, uint64_t key)
{
	ck_ht_entry_t entry;

	ck_ht_entry_key_set(&entry, &key, sizeof(key));
	return ck_ht_get_spmc(ht, hash_of(key), &entry) ? ck_ht_entry_value(&entry) : NULL;
}

static inline bool table_lookup(void *table, uint64_t key, uint64_t *value)
{
	struct node *node;

	urcu_memb_read_lock();
	node = find(table, key);
	if (node)
		*value = node_value(node);
	urcu_memb_read_unlock();
	return node;
}

static inline bool table_insert(void *table, uint64_t key, const uint64_t *value)
{
	struct node *node = node_new(key, *value);
	ck_ht_hash_t hash = hash_of(key);
	ck_ht_entry_t entry;

	if (!node)
		return false;
	ck_ht_entry_set(&entry, hash, &node->key, sizeof(node->key), node);
	if (ck_ht_put_spmc(table, hash, &entry))
		return true;
	free(node);
	return false;
}

static inline bool table_update(void *table, uint64_t key, const uint64_t *value)
{
	struct node *node = find(table, key); /* the only writer needs no section */

	if (!node)
		return table_insert(table, key, value);
	node_set_value(node, *value);
	return true;
}

static inline bool table_delete(void *table, uint64_t key)
{
	ck_ht_entry_t entry;

	ck_ht_entry_key_set(&entry, &key, sizeof(key));
	if (!ck_ht_remove_spmc(table, hash_of(key), &entry))
		return false;
	node_retire(ck_ht_entry_value(&entry));
	return true;
}

#include "peers/loops.h"

static void hash_key(ck_ht_hash_t *hash, const void *key, size_t size, uint64_t seed)
{
	(void)size;
	(void)seed;
	*hash = hash_of(*(const uint64_t *)key);
}

static void *create(size_t max_entries)
{
	ck_ht_t *ht = malloc(sizeof(*ht));

	if (ht && ck_ht_init(ht, CK_HT_MODE_BYTESTRING | CK_HT_WORKLOAD_DELETE, hash_key, &ck_table_memory,
			     2 * max_entries, 0))
		return ht;
	free(ht);
	return NULL;
}

static void destroy(void *table)
{
	ck_ht_iterator_t iterator = CK_HT_ITERATOR_INITIALIZER;
	ck_ht_entry_t *entry;

	while (ck_ht_next(table, &iterator, &entry))
		free(ck_ht_entry_value(entry));
	ck_ht_destroy(table);
	free(table);
}

const struct table_ops ck_ht_table = {
	.name = "ck_ht",
	.note = "byte-string keys, call_rcu'd nodes, one writer, presized, jemalloc with huge pages",
	.single_writer = true,
	.create = create,
	.destroy = destroy,
	.enter = node_enter,
	.leave = node_leave,
	.settle = urcu_memb_barrier,
	.loop = { TABLE_LOOPS },
};
