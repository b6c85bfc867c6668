/* SPDX-License-Identifier: MIT */
/* Walks: the entries of a kernel-visible bucket, most recently inserted first. See hash.c. */
#ifndef ENGINE_MAP_HASH_WALK_H
#define ENGINE_MAP_HASH_WALK_H

#include "map/hash.h"

struct hash_entry {
	uint64_t stamp;
	uint32_t index;
	uint8_t slot; /* of the line; LINE_SLOTS: in a node */
};

/* What hash_collect fills; zero-initialise. */
struct hash_bucket {
	line_word w; /* the commit word under which the entries were the bucket's */
	struct hash_entry *entries;
	uint32_t n, room;
	bool line_empty;	   /* no entry in any of the line's buckets */
	struct hash_entry few[32]; /* entries, until there are more */
};

static inline struct line *hash_line(const struct hash *h, uint32_t bucket)
{
	return &h->lines[bucket / LINE_BUCKETS];
}

/* The bucket's entries at one instant, in walk order. 0, -ENOMEM. */
int hash_collect(const struct hash *h, uint32_t bucket, struct hash_bucket *out);
void hash_bucket_free(struct hash_bucket *bucket);

/* Index and stamp of a slot. A swap may retire the element between the two reads, and its link word then is no stamp:
 * such a pair is read again. */
uint32_t hash_read_slot(const struct hash *h, const struct line *line, unsigned slot, uint64_t *stamp);

/* The stamp of the entry at place; false: the entry has moved, find it again. */
bool hash_stamp(const struct hash *h, const struct hash_target *t, const struct hash_place *place, uint64_t *stamp);

#endif
