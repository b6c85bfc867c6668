/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include <err.h>
#include <stdlib.h>

#define NEVER UINT32_MAX

static void *get(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		err(EXIT_FAILURE, "a reference cache");
	return p;
}

/* For each request, when its key is requested again. */
static uint32_t *next_requests(const struct trace *trace)
{
	uint32_t *next = get(trace->n, sizeof(*next)), *seen = get(trace->n_keys, sizeof(*seen));

	for (uint32_t k = 0; k < trace->n_keys; k++)
		seen[k] = NEVER;
	for (size_t i = trace->n; i--; seen[trace->keys[i]] = (uint32_t)i)
		next[i] = seen[trace->keys[i]];
	free(seen);
	return next;
}

/* A heap of {next request, key}, the largest first. An entry that was requested since is in it twice: the old pair says a
 * time that has passed, and comes up after all others. */
struct heap {
	uint64_t *pairs;
	size_t n;
};

static void heap_push(struct heap *heap, uint64_t pair)
{
	size_t at = heap->n++;

	for (; at && heap->pairs[(at - 1) / 2] < pair; at = (at - 1) / 2)
		heap->pairs[at] = heap->pairs[(at - 1) / 2];
	heap->pairs[at] = pair;
}

static uint64_t heap_pop(struct heap *heap)
{
	uint64_t top = heap->pairs[0], last = heap->pairs[--heap->n];
	size_t at = 0;

	for (size_t child; (child = 2 * at + 1) < heap->n; at = child) {
		if (child + 1 < heap->n && heap->pairs[child + 1] > heap->pairs[child])
			child++;
		if (heap->pairs[child] <= last)
			break;
		heap->pairs[at] = heap->pairs[child];
	}
	heap->pairs[at] = last;
	return top;
}

size_t reference_optimum(const struct trace *trace, uint32_t size)
{
	struct heap heap = { .pairs = get(trace->n, sizeof(*heap.pairs)) };
	uint32_t *next = next_requests(trace), *due = get(trace->n_keys, sizeof(*due)); /* of what's cached; else 0 */
	size_t hits = 0, cached = 0;

	for (size_t i = 0; i < trace->n; i++) {
		uint32_t key = trace->keys[i];
		uint64_t pair;

		if (due[key]) {
			hits++;
		} else if (cached < size) {
			cached++;
		} else {
			do
				pair = heap_pop(&heap);
			while (due[(uint32_t)pair] != pair >> 32); /* requested since, or gone */
			due[(uint32_t)pair] = 0;
		}
		due[key] = next[i];
		heap_push(&heap, (uint64_t)next[i] << 32 | key);
	}
	free(heap.pairs);
	free(next);
	free(due);
	return hits;
}

/* A list through arrays: slots 1 to size are entries, 0 is before the newest and after the oldest. */
struct list {
	uint32_t *newer, *older;
};

static void list_drop(struct list *list, uint32_t slot)
{
	list->older[list->newer[slot]] = list->older[slot];
	list->newer[list->older[slot]] = list->newer[slot];
}

static void list_add_newest(struct list *list, uint32_t slot)
{
	list->newer[slot] = 0;
	list->older[slot] = list->older[0];
	list->newer[list->older[0]] = slot;
	list->older[0] = slot;
}

size_t reference_lru(const struct trace *trace, uint32_t size)
{
	struct list list = { get(size + 1ul, sizeof(uint32_t)), get(size + 1ul, sizeof(uint32_t)) };
	uint32_t *slot_of = get(trace->n_keys, sizeof(*slot_of)), *key_of = get(size + 1ul, sizeof(*key_of));
	uint32_t used = 0;
	size_t hits = 0;

	for (size_t i = 0; i < trace->n; i++) {
		uint32_t key = trace->keys[i], slot = slot_of[key];

		if (slot) {
			hits++;
			list_drop(&list, slot);
		} else if (used < size) {
			slot = ++used;
		} else {
			slot = list.newer[0];
			list_drop(&list, slot);
			slot_of[key_of[slot]] = 0;
		}
		list_add_newest(&list, slot);
		slot_of[key] = slot;
		key_of[slot] = key;
	}
	free(list.newer);
	free(list.older);
	free(slot_of);
	free(key_of);
	return hits;
}
