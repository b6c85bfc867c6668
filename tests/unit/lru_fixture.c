/* SPDX-License-Identifier: MIT */
#include "lru_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ELEMENT 64u

/* The table */

static _Atomic uint64_t *table(const struct fixture *f, uint32_t index)
{
	return (_Atomic uint64_t *)((struct object *)slab_object(&f->elements, index) + 1);
}

/* Whether a living writer other than self is just removing the element, and hasn't made it its own yet. */
static bool is_outgoing(const struct fixture *f, const struct writer *self, uint32_t index)
{
	uint32_t used = atomic_load(&f->region.header->records_used);

	for (uint32_t i = 0; i < used; i++) {
		const struct record *record = &f->writers.records[i];

		if (i != self->index && atomic_load(&record->outgoing) == index &&
		    !listlock_over(&f->writers, atomic_load(&record->op) << RECORD_BITS | i))
			return true;
	}
	return false;
}

bool fixture_unpublish(struct fixture *f, struct writer *w, uint32_t index)
{
	struct object *element = slab_object(&f->elements, index);
	uint64_t in = FIXTURE_IN;
	bool had;

	atomic_store(&w->record->outgoing, index);
	had = atomic_compare_exchange_strong(table(f, index), &in, FIXTURE_OUT);
	if (had) /* nobody else may change it now: see is_outgoing */
		atomic_store(&element->owner, w->owner);
	atomic_store(&w->record->outgoing, 0);
	return had;
}

static enum evict_removed remove_element(struct evict *e, struct writer *w, uint32_t index)
{
	struct fixture *f = (struct fixture *)((unsigned char *)e - offsetof(struct fixture, e));
	struct object *element = slab_object(&f->elements, index);
	uint64_t owner = atomic_load(&element->owner);
	bool over = listlock_over(&f->writers, owner);

	if (fixture_unpublish(f, w, index))
		return EVICT_ENTRY;
	if (over && !fixture_present(f, index) && !is_outgoing(f, w, index) &&
	    atomic_compare_exchange_strong(&element->owner, &owner, w->owner))
		return EVICT_LEFT;
	return EVICT_NOT;
}

static void no_prefetch(const struct evict *e, uint32_t index)
{
	(void)e;
	(void)index;
}

static bool lay_out(struct region_layout *layout, uint32_t n)
{
	const uint64_t elements = (uint64_t)(n + 1) * ELEMENT, records = RECORDS * sizeof(struct record);

	return region_layout_add(layout, PART_ELEMENTS, elements, elements) &&
	       region_layout_add(layout, PART_RECORDS, records, records) && process_layout(layout) &&
	       evict_layout(layout, &lru_ops, n) && region_layout_end(layout);
}

void fixture_join(struct fixture *f)
{
	const uint32_t first = atomic_load(&f->region.header->records_used);

	if (f->writers.processes)
		assert_int_equal(process_join(&f->processes), 0);
	atomic_store(&f->region.header->records_used, first + FIXTURE_WRITERS);
	for (uint32_t i = 0; i < FIXTURE_WRITERS; i++) {
		struct writer *w = &f->w[i];

		*w = (struct writer){ .record = &f->writers.records[first + i],
				      .index = first + i,
				      .set = &f->writers };
		atomic_store(&w->record->holder, f->writers.processes ? atomic_load(&f->processes.self) : 1);
	}
}

struct fixture *fixture_make(const struct fixture_shape *shape)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->layout = (struct region_layout){ .attr = { .type = BPF_MAP_TYPE_LRU_HASH }, .n_cpus = shape->n_cpus };
	f->layout.attr.map_flags = shape->no_common ? BPF_F_NO_COMMON_LRU : 0;
	assert_true(lay_out(&f->layout, shape->n));
	assert_int_equal(region_create(&f->region, &f->layout, shape->shared ? REGION_MEMFD : REGION_PRIVATE, NULL, -1),
			 0);
	f->elements = (struct slab){ .base = region_part(&f->region, &f->layout, PART_ELEMENTS),
				     .object_size = ELEMENT,
				     .n = shape->n + 1,
				     .region = &f->region };
	f->writers = (struct writer_set){ .region = &f->region,
					  .records = region_part(&f->region, &f->layout, PART_RECORDS),
					  .elements = &f->elements };
	if (shape->shared) {
		process_attach(&f->processes, &f->region, &f->layout);
		f->writers.processes = &f->processes;
	}
	f->e = (struct evict){ .ops = &lru_ops,
			       .elements = &f->elements,
			       .writers = &f->writers,
			       .remove = remove_element,
			       .prefetch = no_prefetch,
			       .hazards = shape->in_place ? f->writers.records : NULL,
			       .nodes = region_part(&f->region, &f->layout, PART_EVICT_NODES),
			       .part = region_part(&f->region, &f->layout, PART_EVICT),
			       .n_cpus = shape->n_cpus,
			       .no_common = shape->no_common };
	lru_ops.attach(&f->e);
	lru_ops.format(&f->e);
	fixture_join(f);
	return f;
}

void fixture_free(struct fixture *f)
{
	if (f->writers.processes)
		process_leave(&f->processes);
	region_close(&f->region);
	free(f);
}

struct writer *fixture_begin(struct fixture *f, unsigned writer, uint32_t cpu)
{
	struct writer *w = &f->w[writer];

	assert_false(writer_busy(w));
	writer_enter(w);
	w->cpu = cpu;
	return w;
}

void fixture_end(struct writer *w)
{
	writer_end(w);
}

bool fixture_present(const struct fixture *f, uint32_t index)
{
	return atomic_load(table(f, index)) == FIXTURE_IN;
}

void fixture_publish(struct fixture *f, uint32_t index)
{
	assert_int_equal(atomic_exchange(table(f, index), FIXTURE_IN), FIXTURE_OUT);
}

uint32_t fixture_insert(struct fixture *f, unsigned writer, uint32_t cpu)
{
	struct writer *w = fixture_begin(f, writer, cpu);
	uint32_t index = lru_ops.take(&f->e, w, 0);

	if (index)
		fixture_publish(f, index);
	fixture_end(w);
	return index;
}

bool fixture_delete(struct fixture *f, unsigned writer, uint32_t cpu, uint32_t index)
{
	struct writer *w = fixture_begin(f, writer, cpu);
	bool had = fixture_unpublish(f, w, index);

	if (had)
		lru_ops.give(&f->e, w, index);
	fixture_end(w);
	return had;
}

uint32_t fixture_entries(const struct fixture *f)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < f->elements.n; i++)
		n += fixture_present(f, i);
	return n;
}

static void check_node(const struct fixture *f, uint32_t index, uint32_t cpu, uint32_t place)
{
	const struct evict_node *node = evict_node(&f->e, index);

	assert_in_range(index, 1, f->elements.n - 1);
	assert_int_equal(node->list & ~LRU_SUSPECT, place);
	if (f->e.no_common || place == LRU_LOCAL_FREE || place == LRU_PENDING)
		assert_int_equal(node->cpu, cpu);
}

static uint32_t list_length(const struct fixture *f, const struct lru_list *list, uint32_t cpu, uint32_t place)
{
	uint32_t last = 0, n = 0;

	for (uint32_t i = list->head; i; i = evict_node(&f->e, i)->next) {
		check_node(f, i, cpu, place);
		assert_int_equal(evict_node(&f->e, i)->prev, last);
		assert_true(++n < f->elements.n);
		last = i;
	}
	assert_int_equal(list->tail, last);
	assert_int_equal(list->count, n);
	return n;
}

static uint32_t stack_length(const struct fixture *f, const struct lru_stack *stack, uint32_t cpu, uint32_t place)
{
	uint32_t n = 0;

	for (uint32_t i = stack->head; i; i = evict_node(&f->e, i)->next) {
		check_node(f, i, cpu, place);
		assert_true(++n < f->elements.n);
	}
	assert_int_equal(stack->count, n);
	return n;
}

static uint32_t check_set(const struct fixture *f, uint32_t cpu)
{
	const struct lru_set *set = lru_set_of(&f->e, cpu);
	uint32_t n = stack_length(f, &set->free, cpu, LRU_FREE);

	assert_int_equal(set->lock.word, 0);
	n += list_length(f, &set->list[LRU_INACTIVE], cpu, LRU_INACTIVE) +
	     list_length(f, &set->list[LRU_ACTIVE], cpu, LRU_ACTIVE);
	if (set->next_rotation)
		assert_int_equal(evict_node(&f->e, set->next_rotation)->list, LRU_INACTIVE);
	return n;
}

void fixture_check(const struct fixture *f)
{
	uint32_t n = 0, free = 0;

	for (uint32_t cpu = 0; cpu < f->e.n_cpus; cpu++) {
		const struct lru_local *local = lru_local(&f->e, cpu);

		assert_int_equal(local->lock.word, 0);
		n += stack_length(f, &local->free, cpu, LRU_LOCAL_FREE) +
		     list_length(f, &local->pending, cpu, LRU_PENDING);
		if (cpu == 0 || f->e.no_common)
			n += check_set(f, cpu);
	}
	assert_int_equal(n, f->elements.n - 1);
	for (uint32_t i = 1; i < f->elements.n; i++) {
		const struct evict_node *node = evict_node(&f->e, i);
		uint32_t place = lru_place(node);
		bool is_free = place == LRU_FREE || place == LRU_LOCAL_FREE;

		assert_true(place < LRU_HAND);
		assert_false(is_free && fixture_present(f, i));
		assert_in_range(node->cpu, 0, f->e.n_cpus - 1);
		free += is_free;
	}
	assert_int_equal(lru_ops.free(&f->e), free);
}
