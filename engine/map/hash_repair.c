/* SPDX-License-Identifier: MIT */
/*
 * The copy of a private HASH in a forked child, when other threads were writing at the fork: their claims, elements and
 * credits are in nobody's hands. The process has one thread, so the map is simply rebuilt. What is published stays;
 * claims are released; every other object is handed back, through a grace period where there are any, as the thread may
 * be inside a section and hold pointers; the credits are dealt out anew.
 */
#include "map/hash.h"

#include <stddef.h>

#define PUBLISHED UINT64_MAX /* an owner word that no operation has */

static void mark(struct slab *slab, uint32_t index)
{
	atomic_store_explicit(&((struct object *)slab_object(slab, index))->owner, PUBLISHED, memory_order_relaxed);
}

/* Marks a line's elements and nodes, releases its claims; returns how many entries it has. Relaxed: one thread. */
static uint32_t mark_line(struct hash *h, struct line *line)
{
	line_word w = line_read(line);
	uint32_t live = 0;

	for (unsigned s = 0; s < LINE_SLOTS; s++) {
		if (line_tag(w, s)) {
			mark(&h->elements, atomic_load_explicit(&line->index[s], memory_order_relaxed));
			live++;
		} else {
			atomic_store_explicit(&line->index[s], 0, memory_order_relaxed);
		}
	}
	for (uint32_t at = line_overflow(w); at;) {
		struct node *node = node_at(&h->nodes, at);

		mark(&h->nodes, at);
		for (unsigned s = 0; s < NODE_SLOTS && (uint8_t)(node_tags(node) >> 8 * s); s++) {
			mark(&h->elements, node_index(node, s));
			live++;
		}
		at = node_next(node);
	}
	return live;
}

/* The dead threads' records are free again, and no record has anything at hand. */
static void reset_records(struct writer_set *set, struct writer *self, uint32_t used)
{
	for (uint32_t i = 0; i < used; i++) {
		struct record *record = &set->records[i];
		uint64_t op = atomic_load_explicit(&record->op, memory_order_relaxed);

		atomic_store_explicit(&record->credit, 0, memory_order_relaxed);
		atomic_store_explicit(&record->announced, 0, memory_order_relaxed);
		record->elements = (struct cache){ .next = 0 };
		record->nodes = (struct cache){ .next = 0 };
		if (self && record == self->record)
			continue;
		atomic_store_explicit(&record->op, (op + 1) & ~1ull, memory_order_relaxed);
		atomic_store_explicit(&record->holder, 0, memory_order_relaxed);
	}
	if (self) /* what it had retired is handed back with the rest */
		self->retired_elements = self->retired_nodes = (struct slab_chain){ 0, 0 };
}

void hash_repair(struct writer_set *set, struct writer *self)
{
	struct hash *h = (struct hash *)((unsigned char *)set - offsetof(struct hash, writers));
	uint32_t used = atomic_load_explicit(&h->header->records_used, memory_order_relaxed), live = 0;

	reset_records(set, self, used);
	for (uint32_t i = 0; i <= h->bucket_mask / LINE_BUCKETS; i++)
		live += mark_line(h, &h->lines[i]);
	slab_rebuild(&h->nodes, PUBLISHED);
	if (h->evict.ops) {
		h->evict.ops->rebuild(&h->evict, PUBLISHED);
		return;
	}
	slab_rebuild(&h->elements, PUBLISHED);
	credit_format(h->cpu_lines, h->n_cpus, h->max_entries - live);
}
