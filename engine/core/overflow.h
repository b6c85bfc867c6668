/* SPDX-License-Identifier: MIT */
/*
 * Overflow: what doesn't fit a line's slots lies in a chain of nodes, whose root is in the line's commit word.
 *
 * A published chain is immutable. A writer builds what changes in private nodes, hangs the unchanged rest behind them,
 * and commits the new root; so the whole chain changes with the line, at one instant. All nodes but the first are full:
 * adding copies at most the first node, and dropping an entry repacks the nodes up to its own (a cost in proportion to
 * the chain's length, which hashing keeps at 1).
 *
 * Nodes replaced by a commit are retired (grace) or reused at once. On maps that reuse at once a reader can meet a node
 * that serves another line by now: it re-checks its line's version before each hop and before it believes anything.
 *
 * A writer that dies keeps its private nodes in its record's operation; nobody else waits for them.
 */
#ifndef ENGINE_CORE_OVERFLOW_H
#define ENGINE_CORE_OVERFLOW_H

#include "core/line.h"
#include "core/slab.h"

#define NODE_SLOTS 8

struct node {
	struct object object;
	_Atomic uint32_t
		next; /* all of these: by the writer that builds the node, before the commit that publishes it */
	uint32_t unused;
	_Atomic uint64_t tags;
	_Atomic uint32_t index[NODE_SLOTS];
};

_Static_assert(sizeof(struct node) == 64, "one cache line");

static inline struct node *node_at(const struct slab *nodes, uint32_t index)
{
	return slab_object(nodes, index);
}

/* Relaxed loads: a published chain is ordered by the acquire load of the root; a recycled node's content is discarded
 * by the version check that follows. */
static inline uint64_t node_tags(const struct node *node)
{
	return atomic_load_explicit(&node->tags, memory_order_relaxed);
}
static inline uint32_t node_index(const struct node *node, unsigned slot)
{
	return atomic_load_explicit(&node->index[slot], memory_order_relaxed);
}
static inline uint32_t node_next(const struct node *node)
{
	TEST_POINT(TP_NODE);
	return atomic_load_explicit(&node->next, memory_order_relaxed);
}

/* Nodes for maps with that many lines and entries. */
uint64_t overflow_nodes(uint64_t lines, uint64_t entries, uint64_t budget);

/* A change of a line's chain: built privately, then either committed or undone. */
struct overflow_change {
	uint32_t root;	/* of the new chain, 0: empty */
	uint32_t n_new; /* private nodes, the first n_new from root */
	uint32_t old;	/* the chain's root before */
	uint32_t n_old; /* nodes that the change makes superfluous, the first n_old from old */
};

struct overflow_writer {
	struct slab *nodes;
	struct cache *cache;
	struct slab_chain *retired; /* NULL: reuse at once */
	uint32_t cpu;
	uint64_t owner;
};

/*
 * Builds the chain that follows `root`: without the entry in slot `drop_slot` of the node `drop_depth` hops from the
 * root (drop_depth < 0: nothing dropped), and with `add` (0: nothing added) under `tag`. The line and w, under which
 * drop_* was found, tell when the chain moved under the builder.
 * 0, -ESTALE: the line moved, look again; -ENOBUFS: no nodes. On error nothing is kept.
 */
int overflow_build(struct overflow_writer *ow, const struct line *line, line_word w, int drop_depth, unsigned drop_slot,
		   uint32_t add, uint8_t tag, struct overflow_change *change);
/* Builds the chain that follows `root` without the entries of one of the line's buckets. As overflow_build. */
int overflow_build_without(struct overflow_writer *ow, const struct line *line, line_word w, unsigned bucket,
			   struct overflow_change *change);
/* After the commit of change->root: the superfluous nodes go. */
void overflow_committed(struct overflow_writer *ow, const struct overflow_change *change);
/* After a failed commit: the private nodes go. */
void overflow_undo(struct overflow_writer *ow, const struct overflow_change *change);

#endif
