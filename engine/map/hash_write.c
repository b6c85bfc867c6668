/* SPDX-License-Identifier: MIT */
/* The rare steps of writes, out of line. See hash.c. */
#include "core/reclaim.h"
#include "map/hash_write.h"

static uint64_t stamp_of(const struct hash *h, uint32_t index)
{
	/* relaxed: valid only if the line doesn't move, which the commit checks */
	return atomic_load_explicit(slab_link(&h->elements, index), memory_order_relaxed);
}

uint64_t hash_largest_stamp(const struct hash *h, const struct hash_target *t, line_word w)
{
	unsigned bucket = t->bucket % LINE_BUCKETS;
	uint64_t largest = 0, stamp;
	uint32_t at = line_overflow(w);

	for (uint32_t slots = line_bucket_slots(w.second, bucket); slots; slots &= slots - 1) {
		stamp = stamp_of(h, atomic_load_explicit(&t->line->index[__builtin_ctz(slots)], memory_order_acquire));
		largest = stamp > largest ? stamp : largest;
	}
	for (uint32_t hops = 0; at && hops < h->chain_max && !line_moved(t->line, w); hops++) {
		const struct node *node = node_at(&h->nodes, at);

		for (uint32_t slots = line_bucket_slots(node_tags(node), bucket); slots; slots &= slots - 1) {
			stamp = stamp_of(h, node_index(node, (unsigned)__builtin_ctz(slots)));
			largest = stamp > largest ? stamp : largest;
		}
		at = node_next(node);
	}
	return largest;
}

static bool may_wait(const struct slab *slab)
{
	return slab->budget && !thread_in_section() && !reclaim_busy();
}

int hash_supply(struct hash *h, struct writer *w)
{
	for (;;) {
		int err = slab_refill(&h->elements, &w->record->elements, w->cpu, may_wait(&h->elements));

		if (err != -EAGAIN)
			return err;
		writer_end(w);
		slab_wait(&h->elements);
		writer_enter(w);
	}
}

bool hash_wait_for_nodes(struct hash *h, struct writer *w)
{
	bool waited;

	if (!may_wait(&h->nodes))
		return false;
	writer_end(w);
	waited = slab_wait(&h->nodes);
	writer_enter(w);
	return waited;
}

void hash_drain(struct hash *h, struct writer *w)
{
	uint32_t none = DRAIN_NONE;

	/* acquire: pairs with the release below */
	if (!h->in_place || atomic_load_explicit(&h->draining, memory_order_acquire) == DRAIN_DONE)
		return;
	/* never back from done; relaxed: writer_drain has the barrier */
	atomic_compare_exchange_strong_explicit(&h->draining, &none, DRAIN_UNDER_WAY, memory_order_relaxed,
						memory_order_relaxed);
	writer_end(w);
	writer_drain(&h->writers);
	writer_enter(w);
	/* release: whoever sees it done knows that no store in place is under way */
	atomic_store_explicit(&h->draining, DRAIN_DONE, memory_order_release);
}
