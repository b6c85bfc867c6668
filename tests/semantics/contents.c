/* SPDX-License-Identifier: MIT */
/*
 * The commands that look at a whole map: what is in it, whatever the pieces in which it is asked for. Where the order
 * of walks is part of the contract it is compared, and so is each piece; elsewhere the entries are sorted first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "padding.h"
#include "side.h"

/* Entries as they come: key and value side by side. */
struct pile {
	unsigned char *bytes;
	size_t entry, count, room;
};

static unsigned char *pile_next(struct pile *pile)
{
	if (pile->count == pile->room) {
		pile->room = 2 * pile->room + 16;
		pile->bytes = more_memory(pile->bytes, pile->room * pile->entry);
	}
	return pile->bytes + pile->entry * pile->count++;
}

static int compare_entries(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(size_t *)size);
}

static void pile_finish(struct pile *pile, const struct slot *slot, struct image *image)
{
	for (size_t i = 0; i < pile->count; i++)
		padding_blank(slot, pile->bytes + i * pile->entry,
			      pile->bytes + i * pile->entry + slot->create.key_size, slot->value_bytes);
	if (!slot->ordered && pile->count)
		qsort_r(pile->bytes, pile->count, pile->entry, compare_entries, &pile->entry);
	image_section(image, "entries");
	image_add(image, pile->bytes, pile->count * pile->entry);
	free(pile->bytes);
}

void contents_dump(struct side *side, struct slot *slot)
{
	uint32_t key_size = slot->create.key_size, value_size = slot->value_bytes;
	struct pile pile = { .entry = (size_t)key_size + value_size };
	unsigned char *key = need_memory(key_size), *next = need_memory(key_size);
	const unsigned char *from = NULL;
	long result;

	/* One more than there can be: a walk that doesn't end is seen as one that is too long. */
	while ((result = side_elem(side, ABI_MAP_GET_NEXT_KEY, slot->fd, from, next)) == 0 &&
	       pile.count <= slot->create.max_entries) {
		unsigned char *entry = pile_next(&pile);

		memcpy(entry, next, key_size);
		memset(entry + key_size, 0, value_size);
		result = side_elem(side, ABI_MAP_LOOKUP_ELEM, slot->fd, next, entry + key_size);
		if (result)
			break;
		memcpy(key, next, key_size);
		from = key;
	}
	side->image.code = (int)result;
	pile_finish(&pile, slot, &side->image);
	free(key);
	free(next);
}

/* A whole-map batch loop as programs write it: a chunk that is too small for a bucket is doubled. */
void contents_batches(struct side *side, struct slot *slot, uint32_t chunk, bool drain)
{
	uint32_t key_size = slot->create.key_size, value_size = slot->value_bytes;
	uint32_t most = slot_universe(slot) + 1;
	struct pile pile = { .entry = (size_t)key_size + value_size };
	unsigned char *keys = need_memory((size_t)most * key_size), *values = need_memory((size_t)most * value_size);
	uint32_t token = 0, calls = 0;
	bool first = true;
	long result;

	do {
		union abi_attr attr = { .batch = { .in_batch = first ? 0 : (uintptr_t)&token,
						   .out_batch = (uintptr_t)&token,
						   .keys = (uintptr_t)keys,
						   .values = (uintptr_t)values,
						   .count = chunk < most ? chunk : most,
						   .map_fd = (uint32_t)slot->fd } };

		result = side->bpf(drain ? ABI_MAP_LOOKUP_AND_DELETE_BATCH : ABI_MAP_LOOKUP_BATCH, &attr,
				   command_attr_end(OP_LOOKUP_BATCH));
		result = result < 0 ? -errno : result;
		if (result == 0 || result == -ENOENT)
			for (uint32_t i = 0; i < attr.batch.count; i++) {
				unsigned char *entry = pile_next(&pile);

				memcpy(entry, keys + (size_t)i * key_size, key_size);
				memcpy(entry + key_size, values + (size_t)i * value_size, value_size);
			}
		if (slot->ordered) {
			image_section(&side->image, "one piece");
			image_add(&side->image, &result, sizeof(result));
			image_add(&side->image, &attr.batch.count, sizeof(attr.batch.count));
			image_add(&side->image, &token, sizeof(token));
		}
		if (result == 0)
			first = false;
		else if (result == -ENOSPC)
			chunk *= 2;
	} while ((result == 0 || (result == -ENOSPC && chunk <= 2 * most)) && ++calls <= 2 * most + 64);
	side->image.code = (int)result;
	pile_finish(&pile, slot, &side->image);
	free(keys);
	free(values);
}
