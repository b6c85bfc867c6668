/* SPDX-License-Identifier: MIT */
/*
 * Evicting an entry: what a policy (core/evict.h) asks for by the index of an element.
 *
 * An eviction is a removal like another: one commit that takes the entry out, found by its element's index in the line
 * of the bucket that the element's node names. The linearization point is that commit. A deleter or replacer may be
 * faster: then the element is theirs, and they give it back.
 *
 * Elements of the dead. A writer that was killed has left, at most, the element it had taken and not published, and the
 * one whose entry it had removed and not given back. The kernel's lists name every element, so an evictor meets them
 * one day: in no entry, and nobody's. It must not take one that is a living writer's, so it asks in this order, beginning
 * anew when its first look at the table has found nothing:
 *   is the operation over that the element's owner word names (its number moved on, or its process is gone)?
 *   is the element in no entry of its bucket? (after that: what an operation that is over had published, shows)
 *   is no living writer about to take it over, between the commit that removed it and the change of the owner word
 *   (its record names it, as `outgoing`, before that commit)?
 * and takes it by CAS of the owner word it had read first: of several evictors one gets it, and none if a living remover
 * has written its own meanwhile. Killed in between, the evictor has left it as it was.
 */
#include <stddef.h>

#include "core/listlock.h"
#include "map/hash_write.h"

static const struct hash_kind any = { .key_size = 0 };

/* The overflow part of find_element. */
static bool find_in_nodes(const struct hash *h, const struct line *line, struct hash_place *place)
{
	uint32_t at = line_overflow(place->w);

	for (uint32_t depth = 0; at && depth < h->chain_max && !line_moved(line, place->w); depth++) {
		const struct node *node = node_at(&h->nodes, at);

		for (unsigned slot = 0; slot < NODE_SLOTS && (uint8_t)(node_tags(node) >> 8 * slot); slot++) {
			if (node_index(node, slot) != place->index)
				continue;
			place->slot = slot;
			place->depth = (int)depth;
			return true;
		}
		at = node_next(node);
	}
	return false;
}

/* The slots of a line that hold an element, as bit slot. Without a branch: which slot it is can't be predicted. */
static uint32_t slots_with(const struct line *line, uint32_t index)
{
	uint32_t slots = 0;

	for (unsigned slot = 0; slot < LINE_SLOTS; slot++)
		/* acquire: as in hash_find */
		slots |= (uint32_t)(atomic_load_explicit(&line->index[slot], memory_order_acquire) == index) << slot;
	return slots;
}

/* Where a line has an element: as hash_find, which finds a key. */
static bool find_element(const struct hash *h, const struct line *line, struct hash_place *place)
{
	bool found;

	do {
		uint32_t slots;

		place->w = line_read(line);
		place->depth = -1;
		slots = slots_with(line, place->index);
		/* a claim of its own that is left in the line, beside the entry, has no tag */
		while (slots && !line_tag(place->w, (unsigned)__builtin_ctz(slots)))
			slots &= slots - 1;
		found = slots;
		place->slot = slots ? (unsigned)__builtin_ctz(slots) : 0;
		if (!found && line_overflow(place->w))
			found = find_in_nodes(h, line, place);
	} while (line_moved(line, place->w));
	return found;
}

/* Whether some living writer may be taking the element out of its entry just now. */
static bool is_outgoing(const struct hash *h, const struct writer *w, uint32_t index)
{
	/* acquire, here and below: whoever committed a removal that we saw had named the element before */
	uint32_t used = atomic_load_explicit(&h->header->records_used, memory_order_acquire);

	for (uint32_t i = 0; i < used && i < RECORDS; i++) {
		const struct record *record = &h->writers.records[i];
		uint64_t op = atomic_load_explicit(&record->op, memory_order_acquire);
		uint32_t outgoing = atomic_load_explicit(&record->outgoing, memory_order_acquire);

		if (i != w->index && op & 1 && (outgoing == index || outgoing == OUTGOING_MANY) &&
		    !listlock_over(&h->writers, op << RECORD_BITS | i))
			return true;
	}
	return false;
}

/* An entry's key and value, for the callback. */
static void tell(struct hash *h, struct writer *w, uint32_t index)
{
	struct object *e = slab_object(&h->elements, index);
	void *value = element_value(h, e, any);

	if (h->evict.hazards) { /* per-CPU values: what was being stored belongs to the entry */
		hash_settle(h, w, &index, 1);
		value = w->scratch;
		percpu_load(&h->percpu, index, value);
	}
	h->on_evict(h->on_evict_ctx, element_key(e), value);
}

/* 1: the element is ours; 0: it is in no entry; -ENOMEM: no node for a chain without it. */
static int remove_element(struct hash *h, struct writer *w, struct line *line, struct hash_place *place)
{
	int err = -ESTALE;

	while (err == -ESTALE) {
		if (!find_element(h, line, place))
			return 0;
		err = hash_commit_delete(h, w, line, place, any);
	}
	return err ? err : hash_unlink(h, w, line, place, any) != 0;
}

/* The claim that a dead writer had in the line, on its way in or out. No other one names the element. */
static void release_claims(struct line *line, uint32_t index)
{
	for (unsigned slot = 0; slot < LINE_SLOTS; slot++)
		if (atomic_load_explicit(&line->index[slot], memory_order_relaxed) == index)
			hash_release_slot(line, slot, index);
}

static struct line *line_of(const struct hash *h, const struct evict *e, uint32_t index)
{
	uint32_t bucket = atomic_load_explicit(&evict_node(e, index)->bucket, memory_order_relaxed);

	return &h->lines[(bucket & h->bucket_mask) / LINE_BUCKETS];
}

static struct hash *hash_of_evict(const struct evict *e)
{
	return (struct hash *)((unsigned char *)(uintptr_t)e - offsetof(struct hash, evict));
}

void hash_evict_prefetch(const struct evict *e, uint32_t index)
{
	__builtin_prefetch(line_of(hash_of_evict(e), e, index), 1);
	__builtin_prefetch(slab_object(e->elements, index), 1);
}

/* hash_evict of an element that was in no entry when it was looked for. */
HASH_COLD enum evict_removed evict_left(struct hash *h, struct writer *w, struct hash_place *place)
{
	/* acquire: what the operation did that wrote it is visible */
	uint64_t owner = atomic_load_explicit(&place->element->owner, memory_order_acquire);
	bool over = listlock_over(&h->writers, owner); /* before the look at the table, and at which line that is */
	struct line *line = line_of(h, &h->evict, place->index);
	int got = remove_element(h, w, line, place);

	if (got > 0)
		return EVICT_ENTRY;
	if (got < 0 || !over || is_outgoing(h, w, place->index))
		return EVICT_NOT;
	/* acq_rel: whatever the dead writer did to the element comes before what the next one does */
	if (!atomic_compare_exchange_strong_explicit(&place->element->owner, &owner, w->owner, memory_order_acq_rel,
						     memory_order_relaxed))
		return EVICT_NOT;
	release_claims(line, place->index);
	return EVICT_LEFT;
}

enum evict_removed hash_evict(struct evict *e, struct writer *w, uint32_t index)
{
	struct hash *h = hash_of_evict(e);
	struct hash_place place = { .index = index, .element = slab_object(&h->elements, index) };
	struct line *line = line_of(h, e, index);
	enum evict_removed removed;
	int got;

	/* mostly it's in an entry, and then who made that is no matter: his record may be in another CPU's cache, and
	 * written to all the time */
	got = remove_element(h, w, line, &place);
	removed = got > 0 ? EVICT_ENTRY : got ? EVICT_NOT : evict_left(h, w, &place);
	if (removed == EVICT_ENTRY && h->on_evict)
		tell(h, w, index);
	return removed;
}
