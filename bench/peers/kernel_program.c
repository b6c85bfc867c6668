/* SPDX-License-Identifier: MIT */
/*
 * The live kernel's preallocated map as a BPF program sees it. The program takes its keys from a ring that lies in a map
 * of its own (the access stream, or a cache's trace), or makes them (TABLE_FRESH); the keys a loop is called with are
 * not looked at, and n must be a multiple of KERNEL_PROG_RUN. Its own count of right outcomes is what a loop returns.
 * Each thread has programs and a position of its own.
 */
#include <stdlib.h>

#include "form.h"
#include "kernel_map.h"
#include "kernel_prog.h"
#include "table.h"

/* One kind of program on the map. */
struct program {
	int fd; /* -1: not loaded yet */
	int keys;
	uint32_t mask; /* the ring's length - 1 */
};

struct program_table {
	void *map;   /* of the kernel's table of this form, which fills it */
	bool joined; /* the map is another handle's */
	size_t n;
	int state;
	struct program programs[KERNEL_PROG_KINDS];
	enum kernel_prog_kind last; /* the one that ran last */
};

static int access_state(const struct program_table *t, int cmd, struct kernel_prog_state *state)
{
	const uint32_t zero = 0;

	return kernel_map_elem(cmd, t->state, &zero, state);
}

/* The key that a program has at a position. */
static uint64_t key_at(const struct program_table *t, enum kernel_prog_kind kind, uint64_t position)
{
	uint64_t place = position & t->programs[kind].mask;

	switch (kind) {
	case KERNEL_PROG_FRESH:
		return keys_fresh(position);
	case KERNEL_PROG_CACHE:
		return keys_trace_get(t->n)->keys[place];
	default:
		return keys_get(FORM_KEYS, t->n)->access[place % t->n];
	}
}

/* A power of two: the trace's, or the access stream begun again until there. */
static size_t ring_length(const struct program_table *t, enum kernel_prog_kind kind)
{
	size_t length = 1;

	if (kind == KERNEL_PROG_CACHE)
		return keys_trace_get(t->n)->mask + 1;
	while (kind != KERNEL_PROG_FRESH && length < t->n)
		length *= 2;
	return length;
}

static bool make_ring(struct program_table *t, enum kernel_prog_kind kind)
{
	size_t length = ring_length(t, kind);
	uint64_t *ring = malloc(length * sizeof(*ring));
	struct program *p = &t->programs[kind];
	const uint32_t zero = 0;
	bool ok;

	if (!ring)
		return false;
	p->mask = (uint32_t)length - 1;
	for (size_t i = 0; i < length; i++)
		ring[i] = key_at(t, kind, i);
	p->keys = kernel_map_create(BPF_MAP_TYPE_ARRAY, sizeof(zero), length * sizeof(*ring), 1);
	ok = p->keys >= 0 && kernel_map_elem(BPF_MAP_UPDATE_ELEM, p->keys, &zero, ring) == 0;
	free(ring);
	return ok;
}

static bool load(struct program_table *t, enum kernel_prog_kind kind)
{
	struct program *p = &t->programs[kind];
	struct kernel_prog_maps maps = { .map = FORM_TABLE(kernel_fd)(t->map),
					 .locked = VALUE_FIRST,
					 .state = t->state };

	if (!make_ring(t, kind))
		return false;
	maps.keys = p->keys;
	maps.ring_mask = p->mask;
	p->fd = kernel_prog_load(kind, &maps);
	return p->fd >= 0;
}

static void close_handle(struct program_table *t)
{
	for (int i = 0; i < KERNEL_PROG_KINDS; i++) {
		if (t->programs[i].fd >= 0)
			close(t->programs[i].fd);
		if (t->programs[i].keys >= 0)
			close(t->programs[i].keys);
	}
	if (t->state >= 0)
		close(t->state);
	free(t);
}

/* Loads one program, so that it's noticed if they are refused. */
static void *open_handle(void *map, size_t n, uint64_t start, bool joined)
{
	struct kernel_prog_state state = { .position = start };
	struct program_table *t = malloc(sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct program_table){ .map = map, .n = n, .joined = joined };
	for (int i = 0; i < KERNEL_PROG_KINDS; i++)
		t->programs[i] = (struct program){ .fd = -1, .keys = -1 };
	t->state = kernel_map_create(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(struct kernel_prog_state), 1);
	if (t->state >= 0 && access_state(t, BPF_MAP_UPDATE_ELEM, &state) == 0 && load(t, KERNEL_PROG_LOOKUP))
		return t;
	close_handle(t);
	return NULL;
}

static void *create(size_t n)
{
	void *map = FORM_TABLE(kernel).create(n), *t = map ? open_handle(map, n, 0, false) : NULL;

	if (map && !t)
		FORM_TABLE(kernel).destroy(map);
	return t;
}

static void *join(void *table, uint32_t thread)
{
	const struct program_table *t = table;

	return open_handle(t->map, t->n, thread * KEYS_THREAD_STEP, true);
}

static void destroy(void *table)
{
	struct program_table *t = table;

	if (!t->joined)
		FORM_TABLE(kernel).destroy(t->map);
	close_handle(t);
}

static size_t run(struct program_table *t, enum kernel_prog_kind kind, size_t n)
{
	struct program *p = &t->programs[kind];
	struct kernel_prog_state before, after;

	t->last = kind;
	if ((p->fd < 0 && !load(t, kind)) || access_state(t, BPF_MAP_LOOKUP_ELEM, &before) ||
	    kernel_prog_run(p->fd, (uint32_t)(n / KERNEL_PROG_RUN)) || access_state(t, BPF_MAP_LOOKUP_ELEM, &after))
		return 0;
	return after.position - before.position == n ? after.right - before.right : 0;
}

#define RUN_LOOP(name, kind)                                                                 \
	static size_t name(void *table, const uint64_t *keys, size_t n, uint32_t generation) \
	{                                                                                    \
		(void)keys;                                                                  \
		(void)generation;                                                            \
		return run(table, kind, n);                                                  \
	}

RUN_LOOP(loop_hit, KERNEL_PROG_LOOKUP)
RUN_LOOP(loop_update, KERNEL_PROG_UPDATE)
RUN_LOOP(loop_churn, KERNEL_PROG_CHURN)
RUN_LOOP(loop_fresh, KERNEL_PROG_FRESH)
RUN_LOOP(loop_cache, KERNEL_PROG_CACHE)

/* Of a per-CPU type: the slot of the CPU that it ran on, whichever that was. */
static bool program_wrote(const struct program_table *t, uint64_t key, uint32_t generation)
{
	const form_key map_key = (form_key)key;
	uint64_t value[VALUE_MAX_WORDS];
	size_t written = 0;

	if (kernel_map_elem(BPF_MAP_LOOKUP_ELEM, FORM_TABLE(kernel_fd)(t->map), &map_key, value))
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
	bool written = access_state(t, BPF_MAP_LOOKUP_ELEM, &state) == 0;

	(void)keys;
	(void)generation;
	for (uint32_t i = 0; written && i < KERNEL_PROG_RUN; i++)
		written = program_wrote(t, key_at(t, t->last, state.position - KERNEL_PROG_RUN + i), i);
	return written ? n : 0;
}

/* What programs don't do here goes through bpf(2). */
static size_t fill(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	return FORM_TABLE(kernel).loop[TABLE_BATCH_UPDATE](((struct program_table *)table)->map, keys, n, generation);
}

static size_t loop_miss(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	return FORM_TABLE(kernel).loop[TABLE_MISS](((struct program_table *)table)->map, keys, n, generation);
}

#ifdef FORM_LRU

static struct table_census program_census(void *table)
{
	return FORM_TABLE(kernel).census(((struct program_table *)table)->map);
}

#define PROGRAM_CENSUS program_census
#else
#define PROGRAM_CENSUS NULL
#endif

const struct table_ops FORM_TABLE(kernel_program) = {
	.name = "kernel_program",
	.note = "inside a BPF program under BPF_PROG_TEST_RUN, preallocated",
	.create = create,
	.destroy = destroy,
	.loop = { [TABLE_HIT] = loop_hit,
		  [TABLE_UPDATE] = loop_update,
		  [TABLE_CHURN] = loop_churn,
		  [TABLE_MISS] = loop_miss,
		  [TABLE_INSERT] = fill,
		  [TABLE_VERIFY] = loop_verify,
		  [TABLE_FRESH] = loop_fresh,
		  [TABLE_CACHE] = loop_cache },
	.join = join,
	.census = PROGRAM_CENSUS,
};
