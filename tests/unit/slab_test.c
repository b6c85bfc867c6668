/* SPDX-License-Identifier: MIT */
/* Slabs and overflow chains: no object in two hands, none lost, retired ones only after a grace period, limits kept. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/overflow.h"
#include "core/reclaim.h"
#include "core/testpoint.h"
#include "core/thread.h"
#include "support.h"

#define CPUS 2
#define OBJECT 64u

static struct cpu_line lines[CPUS];
static _Atomic uint64_t fresh;
static unsigned char *memory;
static struct region region;

static struct slab make(uint32_t n, uint64_t budget)
{
	free(memory);
	memory = aligned_alloc(64, (size_t)n * OBJECT);
	memset(memory, 0, (size_t)n * OBJECT);
	memset(lines, 0, sizeof(lines));
	atomic_store(&fresh, 1);
	region = (struct region){ .base = memory, .size = (size_t)n * OBJECT, .fd = -1 };
	return (struct slab){ .base = memory, .object_size = OBJECT, .n = n, .chunk = 4, .n_cpus = CPUS, .lines = lines,
			      .list = offsetof(struct cpu_line, nodes), .fresh = &fresh, .region = &region, .touched = n,
			      .budget = budget };
}

static uint32_t take(struct slab *slab, struct cache *cache, uint32_t cpu)
{
	if (!slab_ready(cache) && slab_refill(slab, cache, cpu, false))
		return 0;
	return slab_take(slab, cache);
}

static void every_object_once_and_then_enomem(void **state)
{
	struct slab slab = make(50, 1);
	struct cache cache[2] = { { .next = 0 } };
	bool seen[50] = { false };

	(void)state;
	for (unsigned i = 1; i < 50; i++) {
		uint32_t got = take(&slab, &cache[i % 2], i % 2);

		assert_in_range(got, 1, 49);
		assert_false(seen[got]);
		seen[got] = true;
	}
	assert_int_equal(take(&slab, &cache[0], 0), 0);
	/* what one writer gives comes to the other, whatever the CPU, but for what the giver keeps at hand */
	for (uint32_t i = 1; i < 50; i++)
		slab_give(&slab, &cache[0], 0, i);
	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < 49 - 2 * slab.chunk; i++) {
		uint32_t got = take(&slab, &cache[1], 1);

		assert_in_range(got, 1, 49);
		assert_false(seen[got]);
		seen[got] = true;
	}
}

static void retired_objects_wait_for_readers(void **state)
{
	struct slab slab = make(9, 100);
	struct cache cache = { .next = 0 };
	struct slab_chain open = { 0, 0 };

	(void)state;
	for (unsigned i = 1; i < 9; i++)
		assert_int_not_equal(take(&slab, &cache, 0), 0);
	thread_read_lock();
	for (uint32_t i = 1; i < 9; i++)
		slab_retire(&slab, &open, i);
	assert_int_equal(open.count, 0); /* two chains of 4 are closed */
	assert_int_equal(slab_waiting(&slab), 8);
	reclaim_request();
	assert_int_equal(slab_refill(&slab, &cache, 0, false), -ENOMEM);
	assert_int_equal(slab_refill(&slab, &cache, 0, true), -EAGAIN);
	thread_read_unlock();
	slab_wait(&slab);
	reclaim_wait();
	assert_int_equal(atomic_load(&slab.grace_waits), 1);
	for (unsigned i = 1; i < 9; i++)
		assert_int_not_equal(take(&slab, &cache, 1), 0);
	assert_int_equal(take(&slab, &cache, 1), 0);
}

static void over_the_budget_one_who_may_waits_and_others_are_counted(void **state)
{
	struct slab slab = make(64, 7);
	struct cache cache = { .next = 0 };
	struct slab_chain open = { 0, 0 };

	(void)state;
	thread_read_lock();
	for (unsigned i = 0; i < 8; i++)
		slab_retire(&slab, &open, take(&slab, &cache, 0));
	cache = (struct cache){ .next = 0 };
	assert_int_equal(slab_refill(&slab, &cache, 0, true), -EAGAIN);
	assert_int_equal(slab_refill(&slab, &cache, 0, false), 0);
	assert_int_equal(atomic_load(&slab.over_budget), slab.chunk);
	thread_read_unlock();
}

static void object_0_stands_for_wild_indices(void **state)
{
	struct slab slab = make(10, 0);

	(void)state;
	assert_ptr_equal(slab_object(&slab, 10), memory);
	assert_ptr_equal(slab_object(&slab, UINT32_MAX), memory);
	assert_ptr_equal(slab_object(&slab, 9), memory + 9 * OBJECT);
}

static void counts_never_pass_32_bits(void **state)
{
	(void)state;
	assert_int_equal(slab_objects(1u << 31, 1u << 31, 32), UINT32_MAX);
	assert_true(slab_objects(1, 0, 32) > 1);
	assert_true(overflow_nodes(1u << 29, 1u << 31, 0) < UINT32_MAX);
	assert_int_equal(slab_chunk(1u << 22), 1);
	assert_int_equal(slab_chunk(32), 32);
}

/* Overflow chains against a list of what should be in them. */
struct chain_model {
	uint32_t index[300];
	uint8_t tag[300];
	unsigned n;
};

static void assert_chain_is(struct slab *nodes, line_word w, const struct chain_model *model)
{
	unsigned found = 0, hops = 0;

	for (uint32_t at = line_overflow(w); at; at = node_next(node_at(nodes, at)), hops++) {
		const struct node *node = node_at(nodes, at);
		unsigned used = 0;

		for (unsigned s = 0; s < NODE_SLOTS; s++) {
			uint8_t tag = (uint8_t)(node_tags(node) >> 8 * s);
			unsigned i = 0;

			if (!tag)
				continue;
			used++;
			while (i < model->n && model->index[i] != node_index(node, s))
				i++;
			assert_true(i < model->n);
			assert_int_equal(model->tag[i], tag);
			found++;
		}
		assert_true(hops == 0 ? used > 0 : used == NODE_SLOTS); /* all but the first are full */
	}
	assert_int_equal(found, model->n);
}

/* Where the entry is: depth and slot. */
static int find(struct slab *nodes, line_word w, uint32_t index, unsigned *slot)
{
	int depth = 0;

	for (uint32_t at = line_overflow(w); at; at = node_next(node_at(nodes, at)), depth++)
		for (*slot = 0; *slot < NODE_SLOTS; (*slot)++)
			if ((uint8_t)(node_tags(node_at(nodes, at)) >> 8 * *slot) &&
			    node_index(node_at(nodes, at), *slot) == index)
				return depth;
	return -1;
}

static void chains_hold_what_was_added_and_not_dropped(void **state)
{
	struct slab nodes = make(4000, 0);
	struct cache cache = { .next = 0 };
	struct overflow_writer ow = { .nodes = &nodes, .cache = &cache };
	struct chain_model model = { .n = 0 };
	struct line line;
	uint32_t next_index = 1;

	(void)state;
	memset(&line, 0, sizeof(line));
	for (unsigned step = 0; step < 20000; step++) {
		line_word w = line_read(&line);
		struct overflow_change change;
		uint64_t dice = support_random_below(100);
		unsigned slot = 0, victim = model.n ? (unsigned)support_random_below(model.n) : 0;
		bool drops = model.n && (dice >= 55 || model.n == 300), adds = !drops || dice >= 90;
		uint8_t tag = (uint8_t)(1 + support_random_below(255));

		if (dice == 0 && step % 7 == 0) {
			unsigned bucket = (unsigned)support_random_below(4), kept = 0;

			assert_int_equal(overflow_build_without(&ow, &line, w, bucket, &change), 0);
			for (unsigned i = 0; i < model.n; i++) {
				if (model.tag[i] % 4 == bucket)
					continue;
				model.index[kept] = model.index[i];
				model.tag[kept++] = model.tag[i];
			}
			model.n = kept;
		} else {
			int depth = drops ? find(&nodes, w, model.index[victim], &slot) : -1;

			assert_true(!drops || depth >= 0);
			assert_int_equal(overflow_build(&ow, &line, w, depth, slot, adds ? next_index : 0, tag, &change), 0);
			if (step % 5 == 0) { /* a commit that fails */
				overflow_undo(&ow, &change);
				assert_chain_is(&nodes, w, &model);
				continue;
			}
			if (drops) {
				model.index[victim] = model.index[--model.n];
				model.tag[victim] = model.tag[model.n];
			}
			if (adds) {
				model.index[model.n] = next_index++;
				model.tag[model.n++] = tag;
			}
		}
		assert_true(pair_cas(&line.commit, w, line_with_overflow(line_bump(w), change.root)));
		overflow_committed(&ow, &change);
		assert_chain_is(&nodes, line_read(&line), &model);
	}
	/* nothing leaked: the nodes in use and at hand are all there ever were */
	assert_true(atomic_load(&fresh) < 400);
}

static void a_chain_without_nodes_is_enobufs_and_keeps_nothing(void **state)
{
	struct slab nodes = make(3, 1);
	struct cache cache = { .next = 0 };
	struct overflow_writer ow = { .nodes = &nodes, .cache = &cache };
	struct overflow_change change;
	struct line line;

	(void)state;
	memset(&line, 0, sizeof(line));
	for (uint32_t i = 1; i <= 8; i++) {
		line_word w = line_read(&line);

		assert_int_equal(overflow_build(&ow, &line, w, -1, 0, i, 4, &change), 0);
		assert_true(pair_cas(&line.commit, w, line_with_overflow(line_bump(w), change.root)));
		overflow_committed(&ow, &change);
	}
	while (slab_ready(&cache))
		slab_take(&nodes, &cache);
	assert_int_equal(overflow_build(&ow, &line, line_read(&line), -1, 0, 9, 4, &change), -ENOBUFS);
	assert_int_equal(change.n_new, 0);
}

static void a_line_that_moved_is_estale(void **state)
{
	struct slab nodes = make(30, 0);
	struct cache cache = { .next = 0 };
	struct overflow_writer ow = { .nodes = &nodes, .cache = &cache };
	struct overflow_change change;
	struct line line;
	line_word w;

	(void)state;
	memset(&line, 0, sizeof(line));
	w = line_read(&line);
	assert_int_equal(overflow_build(&ow, &line, w, -1, 0, 1, 4, &change), 0);
	assert_true(pair_cas(&line.commit, w, line_with_overflow(line_bump(w), change.root)));
	w = line_read(&line);
	assert_true(pair_cas(&line.commit, w, line_bump(w)));
	assert_int_equal(overflow_build(&ow, &line, w, 0, 0, 0, 0, &change), -ESTALE);
	assert_int_equal(overflow_build_without(&ow, &line, w, 0, &change), -ESTALE);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_object_once_and_then_enomem),
		cmocka_unit_test(retired_objects_wait_for_readers),
		cmocka_unit_test(over_the_budget_one_who_may_waits_and_others_are_counted),
		cmocka_unit_test(object_0_stands_for_wild_indices),
		cmocka_unit_test(counts_never_pass_32_bits),
		cmocka_unit_test(chains_hold_what_was_added_and_not_dropped),
		cmocka_unit_test(a_chain_without_nodes_is_enobufs_and_keeps_nothing),
		cmocka_unit_test(a_line_that_moved_is_estale),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
