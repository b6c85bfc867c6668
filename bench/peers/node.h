/* SPDX-License-Identifier: MIT */
/*
 * What the pointer-based peers (rculfhash, ck_ht, ck_rhs) share: an element from malloc, readers in liburcu sections
 * (memb flavour, read side inlined: its cheapest that needs no co-operation of the reader), removed elements freed by
 * call_rcu. A value of 8 bytes is overwritten in place by one atomic store, as usermap does on private maps.
 */
#ifndef BENCH_NODE_H
#define BENCH_NODE_H

#ifndef _LGPL_SOURCE
#define _LGPL_SOURCE
#endif
#include <urcu/urcu-memb.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct node {
	uint64_t key;
	uint64_t value;
	struct rcu_head rcu;
};

static inline struct node *node_new(uint64_t key, uint64_t value)
{
	struct node *node = malloc(sizeof(*node));

	if (node) {
		node->key = key;
		node->value = value;
	}
	return node;
}

/* Relaxed: a reader takes nothing but the value itself from it. */
static inline uint64_t node_value(const struct node *node)
{
	return __atomic_load_n(&node->value, __ATOMIC_RELAXED);
}

static inline void node_set_value(struct node *node, uint64_t value)
{
	__atomic_store_n(&node->value, value, __ATOMIC_RELAXED);
}

static inline void node_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct node, rcu));
}

static inline void node_retire(struct node *node)
{
	urcu_memb_call_rcu(&node->rcu, node_free);
}

static inline void node_enter(void *table)
{
	(void)table;
	urcu_memb_register_thread();
}

static inline void node_leave(void *table)
{
	(void)table;
	urcu_memb_unregister_thread();
}

#endif
