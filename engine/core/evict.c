/* SPDX-License-Identifier: MIT */
/* What eviction policies share. */
#include "core/evict.h"

bool evict_layout(struct region_layout *layout, const struct evict_ops *ops, uint32_t n)
{
	uint64_t nodes = (n + 1ull) * sizeof(struct evict_node);

	return ops->layout(layout, n) && region_layout_add(layout, PART_EVICT_NODES, nodes, nodes);
}

bool evict_any_announced(const struct evict *e, const uint32_t *elements, unsigned n)
{
	uint32_t used;

	if (!e->hazards)
		return false;
	/* against the fence between an announcement and the check that follows it: either it is seen here, or the check
	 * sees that the element was taken out of its entry before */
	atomic_thread_fence(memory_order_seq_cst);
	used = atomic_load_explicit(&e->writers->region->header->records_used, memory_order_relaxed);
	for (uint32_t r = 0; r < used && r < RECORDS; r++) {
		/* acquire: what was stored before the announcement was cleared comes before the element's reuse */
		uint32_t announced = atomic_load_explicit(&e->hazards[r].announced, memory_order_acquire);

		for (unsigned i = 0; announced && i < n; i++)
			if (elements[i] == announced && !writer_is_dead(e->writers, r)) /* the dead store no more */
				return true;
	}
	return false;
}
