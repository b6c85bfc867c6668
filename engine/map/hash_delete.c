/* SPDX-License-Identifier: MIT */
/* Removing one key: delete, and lookup_and_delete. See hash.c. */
#include "map/hash_write.h"

/* value: where the removed value goes, NULL: nowhere. It is read after the commit, when the element is ours alone. */
HASH_INLINE int try_delete(struct hash *h, struct writer *w, const struct hash_target *t, const void *key, void *value,
			   struct hash_kind kind)
{
	struct hash_place place;
	uint32_t index;
	int err;

	do {
		if (!hash_find(h, t, key, &place, NULL, kind))
			return -ENOENT;
		credit_mark(w->record, CREDIT_HELD);
		err = hash_commit_delete(h, w, t->line, &place, kind);
		if (err)
			credit_unmark(w->record);
	} while (err == -ESTALE);
	if (err)
		return err;
	index = hash_unlink(h, w, t->line, &place, kind);
	/* now: what follows may wait, and no insert shall find the map full meanwhile */
	if (!hash_evicts(h, kind))
		credit_give(h->cpu_lines, w->cpu, 1);
	credit_unmark(w->record);
	if (value && kind.percpu)
		hash_settle(h, w, &index, 1);
	if (value)
		hash_removed_load(h, w, value, index, kind);
	hash_discard(h, w, index, kind);
	return 0;
}

HASH_INLINE int remove_key(struct hash *h, const void *key, void *value, struct hash_kind kind)
{
	struct hash_target t = hash_target(h, key, kind);
	struct writer *w;
	int err = 0;

	w = writer_begin(&h->writers, h->n_cpus, &err);
	if (!w)
		return err;
	if (value && kind.locked && hash_holds_lock(w)) {
		writer_end(w);
		return -EDEADLK;
	}
	if (value && kind.grace)
		hash_drain(h, w);
	do {
		if (kind.grace)
			thread_read_lock();
		err = try_delete(h, w, &t, key, value, kind);
		if (kind.grace)
			thread_read_unlock();
	} while (caa_unlikely(err == -ENOBUFS) && hash_wait_for_nodes(h, w));
	writer_end(w);
	return err == -ENOBUFS ? -ENOMEM : err;
}

#define VARIANT(name, size, traits)                                                                       \
	int hash_delete_##name(struct usermap *map, const void *key)                                      \
	{                                                                                                 \
		return remove_key(hash_of(map), key, NULL, HASH_KIND(size, traits));                      \
	}                                                                                                 \
	int hash_lookup_and_delete_##name(struct usermap *map, const void *key, void *value, __u64 flags) \
	{                                                                                                 \
		(void)flags; /* BPF_F_LOCK: the removed value is always read so */                        \
		return remove_key(hash_of(map), key, value, HASH_KIND(size, traits));                     \
	}
HASH_VARIANTS(VARIANT)
