/* SPDX-License-Identifier: MIT */
#include "core/overflow.h"

#include <errno.h>

uint64_t overflow_nodes(uint64_t lines, uint64_t entries, uint64_t budget)
{
	/* every line may have a first node that is not full, and all entries may lie in full ones */
	uint64_t n = lines + entries / NODE_SLOTS + 1;

	return slab_objects(n, budget < n ? budget : n, sizeof(struct node));
}

/* What a change builds: nodes are filled one after the other, each in front of the one before. */
struct packing {
	struct overflow_writer *ow;
	struct overflow_change *change;
	unsigned filled; /* slots of the first node in use */
	int drop_depth;	 /* the entry to leave out, -1: none */
	unsigned drop_slot;
	int drop_bucket; /* the bucket to leave out, -1: none */
};

static int add_entry(struct packing *p, uint32_t index, uint8_t tag)
{
	struct overflow_writer *ow = p->ow;
	struct node *node;
	uint32_t fresh;

	if (!p->change->n_new || p->filled == NODE_SLOTS) {
		if (!slab_ready(ow->cache)) {
			int err = slab_refill(ow->nodes, ow->cache, ow->cpu, false);

			if (err)
				return err == -ENOMEM ? -ENOBUFS : err; /* told apart from memory for elements */
		}
		fresh = slab_take(ow->nodes, ow->cache);
		node = node_at(ow->nodes, fresh);
		/* release fence: a stale reader that sees one of the stores below also sees that its line has moved */
		atomic_thread_fence(memory_order_release);
		atomic_store_explicit(&node->object.owner, ow->owner, memory_order_relaxed);
		atomic_store_explicit(&node->next, p->change->root, memory_order_relaxed);
		atomic_store_explicit(&node->tags, 0, memory_order_relaxed);
		p->change->root = fresh;
		p->change->n_new++;
		p->filled = 0;
	}
	node = node_at(ow->nodes, p->change->root);
	atomic_store_explicit(&node->index[p->filled], index, memory_order_relaxed);
	atomic_store_explicit(&node->tags, node_tags(node) | (uint64_t)tag << 8 * p->filled, memory_order_relaxed);
	p->filled++;
	return 0;
}

/* How many of the chain's first nodes the change replaces. */
static uint32_t nodes_replaced(const struct overflow_writer *ow, uint32_t root, int drop_depth)
{
	if (drop_depth >= 0)
		return (uint32_t)drop_depth + 1;
	if (!root || node_tags(node_at(ow->nodes, root)) >> 8 * (NODE_SLOTS - 1))
		return 0; /* the first node is full: a new one goes in front */
	return 1;
}

/* The node behind the ones replaced. -ESTALE: the line moved meanwhile. */
static int find_rest(const struct overflow_writer *ow, const struct line *line, line_word w, uint32_t n, uint32_t *rest)
{
	*rest = line_overflow(w);
	while (n--) {
		*rest = node_next(node_at(ow->nodes, *rest));
		if (line_moved(line, w))
			return -ESTALE;
	}
	return 0;
}

static bool left_out(const struct packing *p, uint32_t depth, unsigned slot, uint8_t tag)
{
	return ((int)depth == p->drop_depth && slot == p->drop_slot) || tag % LINE_BUCKETS == p->drop_bucket;
}

static int copy_entries(struct packing *p)
{
	uint32_t at = p->change->old;

	for (uint32_t depth = 0; depth < p->change->n_old; depth++) {
		const struct node *node = node_at(p->ow->nodes, at);
		uint64_t tags = node_tags(node);

		for (unsigned s = 0; s < NODE_SLOTS && (uint8_t)(tags >> 8 * s); s++) {
			uint8_t tag = (uint8_t)(tags >> 8 * s);
			int err = left_out(p, depth, s, tag) ? 0 : add_entry(p, node_index(node, s), tag);

			if (err)
				return err;
		}
		at = node_next(node);
	}
	return 0;
}

static int build(struct packing *p, const struct line *line, line_word w, uint32_t n_old, uint32_t add, uint8_t tag)
{
	struct overflow_change *change = p->change;
	int err;

	*change = (struct overflow_change){ .old = line_overflow(w), .n_old = n_old };
	err = find_rest(p->ow, line, w, n_old, &change->root);
	if (!err)
		/* if the line moves from here on, the copy may be of recycled nodes: then the commit fails */
		err = copy_entries(p);
	if (!err && add)
		err = add_entry(p, add, tag);
	if (err)
		overflow_undo(p->ow, change);
	return err;
}

int overflow_build(struct overflow_writer *ow, const struct line *line, line_word w, int drop_depth, unsigned drop_slot,
		   uint32_t add, uint8_t tag, struct overflow_change *change)
{
	struct packing p = {
		.ow = ow, .change = change, .drop_depth = drop_depth, .drop_slot = drop_slot, .drop_bucket = -1
	};

	return build(&p, line, w, nodes_replaced(ow, line_overflow(w), drop_depth), add, tag);
}

int overflow_build_without(struct overflow_writer *ow, const struct line *line, line_word w, unsigned bucket,
			   struct overflow_change *change)
{
	struct packing p = { .ow = ow, .change = change, .drop_depth = -1, .drop_bucket = (int)bucket };
	uint32_t end = 0;

	/* up to the last node that has an entry of the bucket; what is behind stays */
	for (uint32_t at = line_overflow(w), hops = 1; at && hops < ow->nodes->n; hops++) {
		const struct node *node = node_at(ow->nodes, at);

		if (line_bucket_slots(node_tags(node), bucket))
			end = hops;
		at = node_next(node);
		if (line_moved(line, w))
			return -ESTALE;
	}
	return build(&p, line, w, end, 0, 0);
}

/* The first n nodes from root go, at once or after a grace period. */
static void release(struct overflow_writer *ow, uint32_t root, uint32_t n, bool visible)
{
	while (n-- && root) {
		uint32_t next = node_next(node_at(ow->nodes, root));

		if (visible && ow->retired)
			slab_retire(ow->nodes, ow->retired, root);
		else
			slab_give(ow->nodes, ow->cache, ow->cpu, root);
		root = next;
	}
}

void overflow_committed(struct overflow_writer *ow, const struct overflow_change *change)
{
	release(ow, change->old, change->n_old, true);
}

void overflow_undo(struct overflow_writer *ow, const struct overflow_change *change)
{
	release(ow, change->root, change->n_new, false);
}
