/* SPDX-License-Identifier: MIT */
#include "whole.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/line.h"
#include "map/hash.h"

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
		return WRONG("%s: %" PRIu32 " of %" PRIu32 " entries fit, then %d", when, live + added, m->max_entries,
			     err);
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

/* An element, if one can be had: what somebody has in hand, as this writer has many, may be in one search's way. */
static uint32_t take_one(struct hash *h, struct writer *w)
{
	uint32_t index = 0;

	for (uint32_t i = 0; i < 2 * h->max_entries + 8 && !index; i++)
		index = h->evict.ops->take(&h->evict, w, i);
	return index;
}

/* What a policy gives until it has no more, on each CPU. Other CPUs' elements may be out of one's reach. */
static uint32_t take_all(struct hash *h, struct writer *w, uint32_t *taken, uint32_t room)
{
	uint32_t n = 0, cpu = w->cpu, index;

	for (w->cpu = 0; w->cpu < h->n_cpus; w->cpu++)
		while (n < room && (index = take_one(h, w)))
			taken[n++] = index;
	w->cpu = cpu;
	return n;
}

static bool all_differ(const uint32_t *taken, uint32_t n, uint32_t max)
{
	bool *seen = calloc(max + 1, sizeof(*seen)), differ = true;

	for (uint32_t i = 0; i < n && differ; i++) {
		differ = taken[i] && taken[i] <= max && !seen[taken[i]];
		if (differ)
			seen[taken[i]] = true;
	}
	free(seen);
	return differ;
}

const char *whole_take_all(const struct idmap *m, uint32_t *n)
{
	struct hash *h = hash_of(m->map);
	uint32_t room = m->max_entries + 1, key = 0, *taken = calloc(room, sizeof(*taken));
	const char *wrong = NULL;
	int err = 0;
	struct writer *w = writer_begin(&h->writers, h->n_cpus, &err);

	if (!w || !taken || !writer_scratch(w, m->map->value_bytes)) {
		free(taken);
		return WRONG("no writer: %d", err);
	}
	*n = take_all(h, w, taken, room);
	if (!all_differ(taken, *n, m->max_entries))
		wrong = WRONG("among the %" PRIu32 " elements given are wrong ones, or one twice", *n);
	else if (idmap_next(m, &key) != -ENOENT)
		wrong = WRONG("%" PRIu32 " elements were given, and key %" PRIu32 " is there yet", *n, key);
	for (uint32_t i = 0; i < *n && !wrong; i++)
		h->evict.ops->give(&h->evict, w, taken[i]);
	writer_end(w);
	free(taken);
	return wrong;
}

static const char *check_elements(const struct idmap *m, const char *when)
{
	uint32_t n;
	const char *wrong = whole_take_all(m, &n);

	if (!wrong && n != m->max_entries)
		wrong = WRONG("%s: of %" PRIu32 " elements the policy gives %" PRIu32, when, m->max_entries, n);
	if (!wrong && idmap_count(m))
		wrong = WRONG("%s: the count of the map with nothing in it is %" PRIu64, when, idmap_count(m));
	return wrong;
}

/* New keys until each element must have served: each is there at once, and those that are left have their values. */
static const char *fill_policy(const struct idmap *m)
{
	uint32_t all = 2 * m->max_entries, key = 0, live = 0;
	uint64_t value;
	int err;

	for (uint32_t i = 0; i < all; i++)
		if ((err = idmap_update(m, WHOLE_FRESH + i, WHOLE_FRESH + i, BPF_NOEXIST)) ||
		    (err = idmap_lookup(m, WHOLE_FRESH + i, &value)) || value != WHOLE_FRESH + i)
			return WRONG("new entry %" PRIu32 ": %d", i, err);
	while (!(err = idmap_next(m, &key))) {
		if (key < WHOLE_FRESH || idmap_lookup(m, key, &value) || value != key)
			return WRONG("entry %" PRIx32 " has the value %" PRIx64, key, value);
		live++;
	}
	if (err != -ENOENT || live > m->max_entries || live != idmap_count(m))
		return WRONG("a walk of %" PRIu32 " entries, the count is %" PRIu64 ", %d", live, idmap_count(m), err);
	return NULL;
}

static const char *check_policy(const struct idmap *m, uint32_t live)
{
	const char *wrong = NULL;

	if (live > m->max_entries)
		wrong = WRONG("%" PRIu32 " entries where %" PRIu32 " may be", live, m->max_entries);
	if (!wrong)
		wrong = check_elements(m, "as it was left");
	if (!wrong)
		wrong = fill_policy(m);
	if (!wrong)
		wrong = check_elements(m, "after new entries");
	return wrong ? wrong : check_index_is_empty(m);
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
	if (!wrong && m->kind->eviction != IDMAP_KEEPS)
		return check_policy(m, live);
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
