/* SPDX-License-Identifier: MIT */
#include "s3fifo_fixture.h"

#include <stdlib.h>
#include <string.h>

#define OBJECT 64u

struct region_layout layout;
static struct region_header header;
static struct region region;
struct record records[WRITERS];
static struct writer_set writers;
struct writer writer[WRITERS];
struct slab elements;
static unsigned char *memory;
unsigned char *part;
static struct evict_node nodes[MAX_N + 1];
struct evict map;
_Atomic uint64_t in_entry[MAX_N + 1];
atomic_uint removals;

void op_begin(struct writer *w, uint32_t cpu)
{
	uint64_t op = atomic_load(&w->record->op) + 1;

	atomic_store(&w->record->op, op);
	w->owner = op << RECORD_BITS | w->index;
	w->cpu = cpu;
}

void op_end(struct writer *w)
{
	atomic_store(&w->record->op, (w->owner >> RECORD_BITS) + 1);
}

_Atomic uint64_t *owner_of(uint32_t index)
{
	return &((struct object *)slab_object(&elements, index))->owner;
}

static bool is_over(uint64_t owner)
{
	return owner % RECORDS < WRITERS && atomic_load(&records[owner % RECORDS].op) != owner >> RECORD_BITS;
}

/* One CAS of the owner word decides. */
bool unlink_entry(struct writer *w, uint32_t index)
{
	uint64_t owner = atomic_load(&in_entry[index]);

	if (!owner || !atomic_compare_exchange_strong(owner_of(index), &owner, w->owner))
		return false;
	atomic_store(&in_entry[index], 0);
	return true;
}

static void no_prefetch(const struct evict *unused, uint32_t index)
{
	(void)unused;
	(void)index;
}

/* As the table does it: an entry's element, or one that is nobody's. */
static enum evict_removed fake_remove(struct evict *unused, struct writer *w, uint32_t index)
{
	uint64_t owner = atomic_load(owner_of(index));
	bool over = is_over(owner);

	(void)unused;
	atomic_fetch_add(&removals, 1);
	if (index < 1 || index >= elements.n)
		abort();
	if (unlink_entry(w, index))
		return EVICT_ENTRY;
	if (!over || atomic_load(&in_entry[index]) ||
	    !atomic_compare_exchange_strong(owner_of(index), &owner, w->owner))
		return EVICT_NOT;
	return EVICT_LEFT;
}

void make(uint32_t n)
{
	struct region_layout empty = { .n_cpus = CPUS };

	layout = empty;
	assert_true(n <= MAX_N && evict_layout(&layout, &s3fifo_ops, n));
	free(memory);
	free(part);
	memory = aligned_alloc(64, (size_t)(n + 1) * OBJECT);
	part = aligned_alloc(4096, (layout.size[PART_EVICT] + 4095) & ~4095ull);
	memset(memory, 0, (size_t)(n + 1) * OBJECT);
	memset(part, 0, layout.size[PART_EVICT]);
	memset(records, 0, sizeof(records));
	memset((void *)in_entry, 0, sizeof(in_entry));
	memset((void *)nodes, 0, sizeof(nodes));
	atomic_store(&header.records_used, WRITERS);
	region.header = &header;
	writers = (struct writer_set){ .region = &region, .records = records };
	elements = (struct slab){ .base = memory, .object_size = OBJECT, .n = n + 1 };
	map = (struct evict){ .ops = &s3fifo_ops,
			      .elements = &elements,
			      .writers = &writers,
			      .remove = fake_remove,
			      .prefetch = no_prefetch,
			      .nodes = nodes,
			      .part = part,
			      .n_cpus = CPUS };
	for (uint32_t i = 0; i < WRITERS; i++)
		writer[i] = (struct writer){ .record = &records[i], .index = i, .set = &writers };
	s3fifo_ops.attach(&map);
	s3fifo_ops.format(&map);
	removals = 0;
}

void publish(struct writer *w, uint32_t index, uint32_t replaced)
{
	atomic_store(&in_entry[index], w->owner);
	s3fifo_ops.published(&map, w, index, replaced);
}

uint32_t insert(struct writer *w, uint32_t cpu, uint64_t hash)
{
	uint32_t index;

	op_begin(w, cpu);
	index = s3fifo_ops.take(&map, w, hash);
	if (index) {
		assert_true(atomic_load(owner_of(index)) == w->owner);
		assert_false(atomic_load(&in_entry[index]));
		assert_int_equal(atomic_load(evict_used(&map, index)), 0);
		publish(w, index, 0);
	}
	op_end(w);
	return index;
}

void delete_entry(struct writer *w, uint32_t cpu, uint32_t index)
{
	op_begin(w, cpu);
	assert_true(unlink_entry(w, index));
	s3fifo_ops.give(&map, w, index);
	op_end(w);
}

void hit(uint32_t index)
{
	evict_mark(&map, slab_object(&elements, index));
}

uint32_t insert_and_use(struct writer *w, uint32_t cpu)
{
	uint32_t index = insert(w, cpu, support_random());

	assert_int_not_equal(index, 0);
	hit(index);
	return index;
}

uint32_t published(void)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < elements.n; i++)
		n += atomic_load(&in_entry[i]) != 0;
	return n;
}
