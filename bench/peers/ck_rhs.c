/* SPDX-License-Identifier: MIT */
/* Concurrency Kit's Robin Hood set of pointers to elements: one writer, any number of readers. Never grows. */
#include "peers/ck.h"

#include <ck_rhs.h>

#include "peers/hash.h"

static inline struct node *find(ck_rhs_t *rhs, uint64_t key)
{
	const struct node probe = { .key = key };

	return ck_rhs_get(rhs, peer_hash(key), &probe);
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

	if (!node)
		return false;
	if (ck_rhs_put(table, peer_hash(key), node))
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
	const struct node probe = { .key = key };
	struct node *node = ck_rhs_remove(table, peer_hash(key), &probe);

	if (!node)
		return false;
	node_retire(node);
	return true;
}

#include "peers/loops.h"

static unsigned long hash_node(const void *node, unsigned long seed)
{
	(void)seed;
	return peer_hash(((const struct node *)node)->key);
}

static bool same_key(const void *a, const void *b)
{
	return ((const struct node *)a)->key == ((const struct node *)b)->key;
}

static void *create(size_t max_entries)
{
	ck_rhs_t *rhs = malloc(sizeof(*rhs));

	if (rhs && ck_rhs_init(rhs, CK_RHS_MODE_SPMC | CK_RHS_MODE_OBJECT, hash_node, same_key, &ck_table_memory,
			       2 * max_entries, 0))
		return rhs;
	free(rhs);
	return NULL;
}

static void destroy(void *table)
{
	ck_rhs_iterator_t iterator = CK_RHS_ITERATOR_INITIALIZER;
	void *node;

	while (ck_rhs_next(table, &iterator, &node))
		free(node);
	ck_rhs_destroy(table);
	free(table);
}

const struct table_ops ck_rhs_table = {
	.name = "ck_rhs",
	.note = "call_rcu'd nodes, one writer, presized, jemalloc with huge pages",
	.single_writer = true,
	.create = create,
	.destroy = destroy,
	.enter = node_enter,
	.leave = node_leave,
	.settle = urcu_memb_barrier,
	.loop = { TABLE_LOOPS },
};
