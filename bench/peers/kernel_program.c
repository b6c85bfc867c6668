/* SPDX-License-Identifier: MIT */
/*
 * The live kernel's preallocated map as a BPF program sees it. The program takes its keys from a ring of the access
 * stream that lies in a map of its own; the keys a loop is called with are not looked at, and n must be a multiple of
 * KERNEL_PROG_RUN. Its own count of right outcomes is what a loop returns.
 */
#include <stdlib.h>

#include "form.h"
#include "kernel_map.h"
#include "kernel_prog.h"
#include "table.h"

/* Values with a spin lock are read and written in place; nothing is inserted. */
enum { KINDS = VALUE_FIRST ? KERNEL_PROG_UPDATE + 1 : KERNEL_PROG_CHURN + 1 };

struct program_table {
	void *map; /* of the kernel's table of this form, which fills it */
	const struct keys *keys;
	struct kernel_prog_maps maps;
	int prog[KERNEL_PROG_CHURN + 1];
};

static int access_state(const struct program_table *t, struct kernel_prog_state *state)
{
	const uint32_t zero = 0;

	return kernel_map_elem(BPF_MAP_LOOKUP_ELEM, t->maps.state, &zero, state);
}

/* The ring: the access stream, begun again until the next power of two. */
static bool make_ring(struct program_table *t)
{
	const uint32_t zero = 0;
	size_t length = 1;
	uint64_t *ring;
	bool ok;

	while (length < t->keys->n)
		length *= 2;
	ring = malloc(length * sizeof(*ring));
	if (!ring)
		return false;
	for (size_t i = 0; i < length; i++)
		ring[i] = t->keys->access[i % t->keys->n];
	t->maps.ring_mask = (uint32_t)length - 1;
	t->maps.keys = kernel_map_create(BPF_MAP_TYPE_ARRAY, sizeof(zero), length * sizeof(*ring), 1);
	ok = t->maps.keys >= 0 && kernel_map_elem(BPF_MAP_UPDATE_ELEM, t->maps.keys, &zero, ring) == 0;
	free(ring);
	return ok;
}

static void destroy(void *table)
{
	struct program_table *t = table;

	for (int i = 0; i <= KERNEL_PROG_CHURN; i++)
		if (t->prog[i] >= 0)
			close(t->prog[i]);
	if (t->maps.keys >= 0)
		close(t->maps.keys);
	if (t->maps.state >= 0)
		close(t->maps.state);
	if (t->map)
		FORM_TABLE(kernel).destroy(t->map);
	free(t);
}

static void *create(size_t max_entries)
{
	struct program_table *t = malloc(sizeof(*t));
	bool ok;

	if (!t)
		return NULL;
	*t = (struct program_table){ .keys = keys_get(FORM_KEYS, max_entries),
				     .maps = { .state = -1, .keys = -1, .locked = VALUE_FIRST } };
	memset(t->prog, -1, sizeof(t->prog));
	t->map = FORM_TABLE(kernel).create(max_entries);
	ok = t->map && make_ring(t);
	if (ok) {
		t->maps.map = FORM_TABLE(kernel_fd)(t->map);
		t->maps.state =
			kernel_map_create(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(struct kernel_prog_state), 1);
		ok = t->maps.state >= 0;
	}
	for (int i = 0; ok && i < KINDS; i++) {
		t->prog[i] = kernel_prog_load((enum kernel_prog_kind)i, &t->maps);
		ok = t->prog[i] >= 0;
	}
	if (ok)
		return t;
	destroy(t);
	return NULL;
}

static size_t run(void *table, enum kernel_prog_kind kind, size_t n)
{
	struct program_table *t = table;
	struct kernel_prog_state before, after;

	if (access_state(t, &before) || kernel_prog_run(t->prog[kind], (uint32_t)(n / KERNEL_PROG_RUN)) ||
	    access_state(t, &after))
		return 0;
	return after.position - before.position == n ? after.right - before.right : 0;
}

static size_t loop_hit(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	(void)keys;
	(void)generation;
	return run(table, KERNEL_PROG_LOOKUP, n);
}

static size_t loop_update(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	(void)keys;
	(void)generation;
	return run(table, KERNEL_PROG_UPDATE, n);
}

static size_t loop_churn(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	(void)keys;
	(void)generation;
	return run(table, KERNEL_PROG_CHURN, n);
}

/* Of a per-CPU type: the slot of the CPU that it ran on, whichever that was. */
static bool program_wrote(const struct program_table *t, uint64_t key, uint32_t generation)
{
	const form_key map_key = (form_key)key;
	uint64_t value[VALUE_MAX_WORDS];
	size_t written = 0;

	if (kernel_map_elem(BPF_MAP_LOOKUP_ELEM, t->maps.map, &map_key, value))
		return false;
	for (size_t i = VALUE_FIRST; i < VALUE_WORDS; i++)
		written += value[i] == value_for(key, generation);
#ifdef FORM_PERCPU
	return written > 0;
#else
	return written == VALUE_WORDS - VALUE_FIRST;
#endif
}

/* Whether the last run wrote its values. Runs divide the ring, so its keys are distinct. */
static size_t loop_verify(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	const struct program_table *t = table;
	struct kernel_prog_state state;
	bool written = access_state(t, &state) == 0;

	(void)keys;
	(void)generation;
	for (uint32_t i = 0; written && i < KERNEL_PROG_RUN; i++) {
		uint64_t place = (state.position - KERNEL_PROG_RUN + i) & t->maps.ring_mask;

		written = program_wrote(t, t->keys->access[place % t->keys->n], i);
	}
	return written ? n : 0;
}

static size_t fill(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	return FORM_TABLE(kernel).loop[TABLE_BATCH_UPDATE](((struct program_table *)table)->map, keys, n, generation);
}

const struct table_ops FORM_TABLE(kernel_program) = {
	.name = "kernel_program",
	.note = "inside a BPF program under BPF_PROG_TEST_RUN, preallocated",
	.create = create,
	.destroy = destroy,
	.loop = { [TABLE_HIT] = loop_hit,
		  [TABLE_UPDATE] = loop_update,
		  [TABLE_CHURN] = loop_churn,
		  [TABLE_INSERT] = fill,
		  [TABLE_VERIFY] = loop_verify },
};
