/* SPDX-License-Identifier: MIT */
/*
 * The maps with spin locks of this process, by address.
 *
 * Readers search a table sorted by address, without a lock. There are two tables, and a version: its lowest bit says
 * which of them holds. A change writes the other one, then moves the version on. So the table a reader searches is
 * stable until the version has moved, and a search counts if it hasn't. A reader starts again only when a map came or
 * went meanwhile, and never waits: a thread that is stopped in a change, or was when another one forked, has the other
 * table in hands.
 *
 * A table that has become too small is left to readers that may still be in it, for ever: as rooms double, all of them
 * take less than the last.
 */
#include "core/lockmaps.h"

#include <errno.h>
#include <pthread.h>

#include "core/alloc.h"
#include "core/fork.h"

#define ROOM 8 /* entries in the first table */

/* A map's region [base, end). Relaxed throughout: the version decides what counts. */
struct entry {
	_Atomic uintptr_t base, end;
	const struct value_locks *_Atomic locks;
};

struct table {
	_Atomic uint32_t n;
	uint32_t room;
	struct table *before; /* the smaller one that this replaced */
	struct entry entries[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* held by whoever changes what follows */
static struct table *_Atomic tables[2];
static _Atomic uint64_t version;

static struct table *current(uint64_t v)
{
	return atomic_load_explicit(&tables[v % 2], memory_order_acquire); /* acquire: its room */
}

static uint32_t entries_in(const struct table *t)
{
	return t ? atomic_load_explicit(&t->n, memory_order_relaxed) : 0;
}

/* The number of entries whose region begins at or below the address. */
static uint32_t entries_up_to(const struct table *t, uintptr_t address)
{
	uint32_t low = 0, high = entries_in(t);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (atomic_load_explicit(&t->entries[middle].base, memory_order_relaxed) <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct value_locks *lockmaps_find(const void *address)
{
	for (;;) {
		uint64_t v = atomic_load_explicit(&version, memory_order_acquire); /* acquire: the table's entries */
		const struct table *t = current(v);
		uint32_t n = entries_up_to(t, (uintptr_t)address);
		const struct value_locks *found = NULL;

		if (n && (uintptr_t)address < atomic_load_explicit(&t->entries[n - 1].end, memory_order_relaxed))
			found = atomic_load_explicit(&t->entries[n - 1].locks, memory_order_relaxed);
		/* acquire fence: the entries were read before the version is read again */
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&version, memory_order_relaxed) == v)
			return found;
	}
}

static void set_entry(struct entry *e, uintptr_t base, uintptr_t end, const struct value_locks *locks)
{
	atomic_store_explicit(&e->base, base, memory_order_relaxed);
	atomic_store_explicit(&e->end, end, memory_order_relaxed);
	atomic_store_explicit(&e->locks, locks, memory_order_relaxed);
}

static void copy_entries(struct entry *to, const struct entry *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		set_entry(&to[i], atomic_load_explicit(&from[i].base, memory_order_relaxed),
			  atomic_load_explicit(&from[i].end, memory_order_relaxed),
			  atomic_load_explicit(&from[i].locks, memory_order_relaxed));
}

/* Gives the table that doesn't hold at version v room for n entries. */
static bool make_room(uint64_t v, uint32_t n)
{
	struct table *_Atomic *place = &tables[(v + 1) % 2];
	struct table *t = atomic_load_explicit(place, memory_order_relaxed), *larger;
	uint32_t room = t ? 2 * t->room : ROOM;

	if (t && n <= t->room)
		return true;
	while (room < n)
		room *= 2;
	larger = mem_alloc(sizeof(*larger) + room * sizeof(struct entry));
	if (!larger)
		return false;
	larger->room = room;
	larger->before = t;
	atomic_store_explicit(place, larger, memory_order_release); /* release: its room */
	return true;
}

/* The change to version v + 1: entry `at` is left out, or l is put before it. The other table has room. */
static void change(uint64_t v, uint32_t at, const struct value_locks *l, bool add)
{
	const struct table *old = current(v);
	struct table *new = current(v + 1);
	uint32_t n = entries_in(old);

	/* release fence: who sees one of the stores below sees this version or a later one */
	atomic_thread_fence(memory_order_release);
	if (old && new) {
		copy_entries(new->entries, old->entries, at);
		copy_entries(new->entries + at + add, old->entries + at + !add, n - at - !add);
	}
	if (add)
		set_entry(&new->entries[at], (uintptr_t)l->writers->region->base,
			  (uintptr_t)l->writers->region->base + l->writers->region->size, l);
	if (new)
		atomic_store_explicit(&new->n, add ? n + 1 : n - 1, memory_order_relaxed);
	atomic_store_explicit(&version, v + 1, memory_order_release); /* release: the table */
}

int lockmaps_add(const struct value_locks *l)
{
	uint64_t v;
	bool room;

	fork_handlers_install();
	pthread_mutex_lock(&lock);
	v = atomic_load_explicit(&version, memory_order_relaxed);
	room = make_room(v, entries_in(current(v)) + 1);
	if (room)
		change(v, entries_up_to(current(v), (uintptr_t)l->writers->region->base), l, true);
	pthread_mutex_unlock(&lock);
	return room ? 0 : -ENOMEM;
}

/* Needs no room: before the last addition the other table held all entries but one. */
void lockmaps_remove(const struct value_locks *l)
{
	uint64_t v;

	pthread_mutex_lock(&lock);
	v = atomic_load_explicit(&version, memory_order_relaxed);
	change(v, entries_up_to(current(v), (uintptr_t)l->writers->region->base) - 1, l, false);
	pthread_mutex_unlock(&lock);
}

void lockmaps_fork_child(void)
{
	pthread_mutex_init(&lock, NULL); /* whoever held it had the other table in hands */
}
