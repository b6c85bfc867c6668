/* SPDX-License-Identifier: MIT */
/* liburcu's lock-free resizable hash table, made with as many buckets as it will have entries. */
#include "peers/node.h"

#include <urcu/rculfhash.h>

#include "peers/hash.h"

struct element {
	struct cds_lfht_node link;
	struct node node;
};

static int element_matches(struct cds_lfht_node *link, const void *key)
{
	return caa_container_of(link, struct element, link)->node.key == *(const uint64_t *)key;
}

static void element_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct element, node.rcu));
}

/* The element of @key, or NULL. Inside a section. */
static inline struct element *find(struct cds_lfht *table, uint64_t key, struct cds_lfht_iter *iter)
{
	cds_lfht_lookup(table, peer_hash(key), element_matches, &key, iter);
	return iter->node ? caa_container_of(iter->node, struct element, link) : NULL;
}

static inline bool table_lookup(void *table, uint64_t key, uint64_t *value)
{
	struct cds_lfht_iter iter;
	struct element *e;

	urcu_memb_read_lock();
	e = find(table, key, &iter);
	if (e)
		*value = node_value(&e->node);
	urcu_memb_read_unlock();
	return e;
}

static inline bool table_insert(void *table, uint64_t key, const uint64_t *value)
{
	struct element *e = malloc(sizeof(*e));
	struct cds_lfht_node *winner;

	if (!e)
		return false;
	e->node.key = key;
	e->node.value = *value;
	cds_lfht_node_init(&e->link);
	urcu_memb_read_lock();
	winner = cds_lfht_add_unique(table, peer_hash(key), element_matches, &key, &e->link);
	urcu_memb_read_unlock();
	if (winner != &e->link)
		free(e);
	return winner == &e->link;
}

static inline bool table_update(void *table, uint64_t key, const uint64_t *value)
{
	struct cds_lfht_iter iter;
	struct element *e;

	urcu_memb_read_lock();
	e = find(table, key, &iter);
	if (e)
		node_set_value(&e->node, *value);
	urcu_memb_read_unlock();
	return e || table_insert(table, key, value);
}

static inline bool table_delete(void *table, uint64_t key)
{
	struct cds_lfht_iter iter;
	struct element *e;

	urcu_memb_read_lock();
	e = find(table, key, &iter);
	if (e && cds_lfht_del(table, &e->link))
		e = NULL;
	urcu_memb_read_unlock();
	if (e)
		urcu_memb_call_rcu(&e->node.rcu, element_free);
	return e;
}

#include "peers/loops.h"

static void *create(size_t max_entries)
{
	unsigned long buckets = 1;

	while (buckets < max_entries)
		buckets *= 2;
	return cds_lfht_new_flavor(buckets, buckets, 0, 0, &urcu_memb_flavor, NULL);
}

static void destroy(void *table)
{
	struct cds_lfht_iter iter;
	struct element *e;

	urcu_memb_register_thread();
	urcu_memb_read_lock();
	cds_lfht_for_each_entry(table, &iter, e, link)
	{
		cds_lfht_del(table, &e->link);
		urcu_memb_call_rcu(&e->node.rcu, element_free);
	}
	urcu_memb_read_unlock();
	urcu_memb_unregister_thread();
	cds_lfht_destroy(table, NULL);
	urcu_memb_barrier();
}

const struct table_ops rculfhash_table = {
	.name = "rculfhash",
	.note = "liburcu memb, call_rcu'd nodes, presized, jemalloc with huge pages",
	.create = create,
	.destroy = destroy,
	.enter = node_enter,
	.leave = node_leave,
	.settle = urcu_memb_barrier,
	.loop = { TABLE_LOOPS },
};
