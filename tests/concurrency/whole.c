/* SPDX-License-Identifier: MIT */
#include "whole.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/line.h"
#include "map/map.h"

#define WHOLE_KEYS 64

static char text[256];

#define WRONG(...) (snprintf(text, sizeof(text), __VA_ARGS__), text)

/* The walk against the lookups; value[i]: of keys[i], 0 = absent. */
static const char *check_walk(const struct idmap *m, const uint32_t *keys, const struct idmap_ids *value, unsigned n)
{
	bool met[WHOLE_KEYS] = { false };
	uint32_t key = 0;
	int err;

	while (!(err = idmap_next(m, &key))) {
		unsigned i = 0;

		while (i < n && keys[i] != key)
			i++;
		if (i == n || !value[i].word[0])
			return WRONG("the walk gives key %" PRIu32 ", which isn't there", key);
		if (met[i])
			return WRONG("the walk gives key %" PRIu32 " twice", key);
		met[i] = true;
	}
	if (err != -ENOENT)
		return WRONG("the walk ends with %d", err);
	for (unsigned i = 0; i < n; i++)
		if (value[i].word[0] && !met[i])
			return WRONG("the walk misses key %" PRIu32, keys[i]);
	return NULL;
}

/* Fills the map to the brim beside `live` entries, checks every value, replaces each in every way there is, and takes the new
 * ones out again. */
static const char *fill(const struct idmap *m, uint32_t live, const char *when)
{
	uint64_t value, in_place = m->kind->values == IDMAP_LOCKED ? BPF_F_LOCK : 0;
	uint32_t added = 0;
	int err;

	while (!(err = idmap_update(m, WHOLE_FRESH + added, WHOLE_FRESH + added, BPF_NOEXIST)) &&
	       live + added <= m->max_entries)
		added++;
	if (err != -E2BIG || live + added != m->max_entries)
		return WRONG("%s: %" PRIu32 " of %" PRIu32 " entries fit, then %d", when, live + added, m->max_entries, err);
	for (uint32_t i = 0; i < added; i++)
		if ((err = idmap_lookup(m, WHOLE_FRESH + i, &value)) || value != WHOLE_FRESH + i)
			return WRONG("%s: entry %" PRIu32 " of the full map: %d, value %" PRIx64, when, i, err, value);
	for (uint32_t i = 0; i < added; i++)
		if ((err = idmap_update(m, WHOLE_FRESH + i, 2 * WHOLE_FRESH + i, BPF_EXIST)) ||
		    (err = idmap_update(m, WHOLE_FRESH + i, 3u * WHOLE_FRESH + i, BPF_EXIST | in_place)))
			return WRONG("%s: replacing entry %" PRIu32 " of the full map: %d", when, i, err);
	for (uint32_t i = 0; i < added; i++)
		if ((err = idmap_lookup(m, WHOLE_FRESH + i, &value)) || value != 3u * WHOLE_FRESH + i)
			return WRONG("%s: entry %" PRIu32 ", replaced: %d, value %" PRIx64, when, i, err, value);
	for (uint32_t i = 0; i < added; i++)
		if ((err = idmap_delete(m, WHOLE_FRESH + i)))
			return WRONG("%s: deleting entry %" PRIu32 " of the full map: %d", when, i, err);
	return NULL;
}

static const char *check_index_is_empty(const struct idmap *m)
{
	const struct region_layout *layout = &m->map->region.header->layout;
	struct line *line = region_part(&m->map->region, layout, PART_INDEX);

	for (uint64_t i = 0; i < layout->size[PART_INDEX] / sizeof(*line); i++) {
		if (line[i].commit.second || line[i].commit.first >> 32)
			return WRONG("an entry or overflow node is left in the empty map");
		for (unsigned s = 0; s < LINE_SLOTS; s++)
			if (line[i].index[s])
				return WRONG("a slot is left claimed in the empty map");
	}
	return NULL;
}

const char *whole_judge(const struct idmap *m, const uint32_t *keys, unsigned n)
{
	struct idmap_ids value[WHOLE_KEYS], again;
	const char *wrong;
	uint32_t live = 0;
	int err;

	if (n > WHOLE_KEYS)
		return WRONG("too many keys to judge");
	for (unsigned i = 0; i < n; i++) {
		err = idmap_get(m, keys[i], false, 0, &value[i]);
		if (err && err != -ENOENT)
			return WRONG("lookup of key %" PRIu32 ": %d", keys[i], err);
		live += !err;
	}
	if (idmap_count(m) != live)
		return WRONG("the count is %" PRIu64 ", there are %" PRIu32 " entries", idmap_count(m), live);
	wrong = check_walk(m, keys, value, n);
	if (!wrong)
		wrong = fill(m, live, "beside what is there");
	for (unsigned i = 0; i < n && !wrong; i++) {
		bool there = value[i].word[0];

		err = idmap_get(m, keys[i], false, 0, &again);
		if (err != (there ? 0 : -ENOENT) || memcmp(&again, &value[i], sizeof(again)) != 0 ||
		    (there && idmap_delete(m, keys[i])))
			wrong = WRONG("key %" PRIu32 " changed when the map was filled", keys[i]);
	}
	if (!wrong)
		wrong = fill(m, 0, "into the empty map");
	if (!wrong && idmap_count(m))
		wrong = WRONG("the count of the empty map is %" PRIu64, idmap_count(m));
	return wrong ? wrong : check_index_is_empty(m);
}
