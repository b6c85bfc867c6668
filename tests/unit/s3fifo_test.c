/* SPDX-License-Identifier: MIT */
/* S3-FIFO: what it evicts, against a model that is written the straightforward way; what it must not hand out; bounds
 * against what others scribble. */
#include <string.h>

#include "s3fifo_fixture.h"

#define USES	  2u
#define PROBATION 10u /* one of so many */

/* The same policy, written down with queues that shift, and ages that are looked up. */
enum { FREE, PROBATION_0, PROBATION_1, MAIN };

static struct {
	uint32_t n, queue_length[CPUS], queue[CPUS][MAX_N], longest; /* [0] is the oldest; 0: gone */
	uint32_t hand, piece[CPUS], left[CPUS];
	int where[MAX_N + 1];
	unsigned used[MAX_N + 1];
	uint32_t hash[MAX_N + 1];
	uint16_t ghost[MAX_N / 8 + 1][8];
	uint64_t evictions, rotations;
} model;

static void model_make(uint32_t n)
{
	memset(&model, 0, sizeof(model));
	model.n = n;
	model.longest = 1;
	while (model.longest * 2 <= n / PROBATION / CPUS)
		model.longest *= 2;
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		model.queue_length[cpu] = model.longest; /* of nothing */
}

static uint16_t *model_ghosts(uint32_t hash)
{
	return model.ghost[(uint64_t)hash * (model.n / 8 + 1) >> 32];
}

static uint16_t fingerprint(uint32_t hash)
{
	return (uint16_t)hash ? (uint16_t)hash : 1;
}

static bool model_was_ghost(uint32_t hash)
{
	uint16_t *ghosts = model_ghosts(hash);

	for (unsigned i = 0; i < 8; i++) {
		if (ghosts[i] != fingerprint(hash))
			continue;
		ghosts[i] = 0;
		return true;
	}
	return false;
}

static void model_make_ghost(uint32_t hash)
{
	uint16_t *ghosts = model_ghosts(hash);

	memmove(ghosts + 1, ghosts, 7 * sizeof(*ghosts));
	ghosts[0] = fingerprint(hash);
}

static uint32_t model_next(uint32_t cpu)
{
	uint32_t size = model.n / (16 * CPUS);

	if (!model.left[cpu]) {
		model.left[cpu] = size > 64 ? 64 : size ? size : 1;
		model.piece[cpu] = model.hand;
		model.hand = (model.hand + model.left[cpu]) % model.n;
	}
	model.left[cpu]--;
	return 1 + model.piece[cpu]++ % model.n;
}

/* Which element an insert by this CPU gets, if none is free. */
static uint32_t model_victim(uint32_t cpu)
{
	uint32_t *oldest = &model.queue[cpu][0], victim = *oldest, rounds = 0;

	model.evictions++;
	*oldest = 0;
	if (victim && model.where[victim] != MAIN) {
		if (!model.used[victim]) {
			model_make_ghost(model.hash[victim]);
			return victim;
		}
		model.used[victim] = 0;
		model.where[victim] = MAIN;
		model.rotations++;
	}
	for (;;) {
		victim = model_next(cpu);
		if (model.where[victim] != MAIN) {
			model.where[victim]++;
		} else if (model.used[victim] && rounds < 64) {
			model.used[victim]--;
			model.rotations++;
			rounds++;
		} else {
			return victim;
		}
	}
}

static void model_forget(uint32_t index)
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		for (unsigned i = 0; i < model.longest; i++)
			if (model.queue[cpu][i] == index)
				model.queue[cpu][i] = 0;
}

static void model_insert(uint32_t cpu, uint32_t index, uint32_t hash)
{
	uint32_t *queue = model.queue[cpu];

	model_forget(index);
	model.hash[index] = hash;
	model.used[index] = 0;
	model.where[index] = PROBATION_0;
	if (model_was_ghost(hash)) {
		model.where[index] = MAIN;
		return;
	}
	if (queue[0] && model.where[queue[0]] != MAIN) {
		model.where[queue[0]] = MAIN;
		model.used[queue[0]] = 0;
	}
	memmove(queue, queue + 1, (model.longest - 1) * sizeof(*queue));
	queue[model.longest - 1] = index;
}

static void model_replace(uint32_t index, uint32_t old, uint32_t hash)
{
	model_forget(index);
	model.hash[index] = hash;
	model.where[index] = MAIN;
	model.used[index] = model.used[old] < USES ? model.used[old] + 1 : USES;
}

static uint32_t model_free(void)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i <= model.n; i++)
		n += model.where[i] == FREE;
	return n;
}

static uint32_t some_entry(void)
{
	uint32_t from = (uint32_t)support_random_below(model.n);

	for (uint32_t i = 0; i < model.n; i++)
		if (model.where[1 + (from + i) % model.n] != FREE)
			return 1 + (from + i) % model.n;
	return 0;
}

/* As the model says: a free element if there is one, else the victim's. */
static uint32_t checked_take(struct writer *w, uint64_t hash)
{
	uint32_t expected = model_free() ? 0 : model_victim(w->cpu), got = s3fifo_ops.take(&map, w, hash);

	assert_in_range(got, 1, model.n);
	if (expected)
		assert_int_equal(got, expected);
	else
		assert_int_equal(model.where[got], FREE);
	return got;
}

static void step(uint32_t keys, unsigned deletes)
{
	struct writer *w = &writer[0];
	uint32_t cpu = (uint32_t)support_random_below(CPUS), index, got;
	uint64_t hash = (1 + support_random_below(keys)) * 0x9e3779b97f4a7c15, dice = support_random_below(100);

	for (index = 1; index <= model.n; index++)
		if (model.where[index] != FREE && model.hash[index] == (uint32_t)(hash >> 32))
			break;
	if (dice < deletes && (index = some_entry())) {
		delete_entry(w, cpu, index);
		model.where[index] = FREE;
		model_forget(index);
	} else if (index > model.n) {
		op_begin(w, cpu);
		got = checked_take(w, hash);
		publish(w, got, 0);
		model_insert(cpu, got, (uint32_t)(hash >> 32));
		op_end(w);
	} else if (dice < deletes + 10) {
		op_begin(w, cpu);
		got = checked_take(w, hash);
		if (!atomic_load(&in_entry[index])) { /* evicted for its own replacement: see update_evicting */
			publish(w, got, 0);
			model_insert(cpu, got, (uint32_t)(hash >> 32));
		} else {
			publish(w, got, index);
			model_replace(got, index, (uint32_t)(hash >> 32));
			assert_true(unlink_entry(w, index));
			s3fifo_ops.give(&map, w, index);
			model.where[index] = FREE;
			model_forget(index);
		}
		op_end(w);
	} else {
		hit(index);
		model.used[index] += model.used[index] < USES;
	}
}

static void evicts_what_the_model_evicts(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 3, 7, 20, 41, 100, 333, 1000 };
	struct usermap_info info = { .sz = sizeof(info) };

	(void)state;
	for (unsigned i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
		uint32_t n = sizes[i / 3], deletes = i % 3 * 10;

		make(n);
		model_make(n);
		for (unsigned s = 0; s < 6000; s++)
			step(2 * n + 1, deletes);
		assert_int_equal(s3fifo_ops.free(&map), model_free());
		assert_int_equal(published(), n - model_free());
		memset(&info, 0, sizeof(info));
		s3fifo_ops.info(&map, &info);
		assert_int_equal(info.evictions, model.evictions);
		assert_int_equal(info.rotations, model.rotations);
		assert_true(info.evictions > 100);
	}
}

static void used_entries_survive_a_scan(void **state)
{
	uint32_t hot[100], kept = 0;

	(void)state;
	make(1000);
	for (unsigned i = 0; i < 100; i++)
		hot[i] = insert(&writer[0], 0, support_random());
	for (unsigned i = 0; i < 20000; i++) {
		if (i % 10 == 0)
			for (unsigned h = 0; h < 100; h++)
				hit(hot[h]);
		insert(&writer[0], 0, support_random());
	}
	for (unsigned i = 0; i < 100; i++) /* an evicted element has another owner */
		kept += atomic_load(owner_of(hot[i])) >> RECORD_BITS <= 200;
	assert_in_range(kept, 95, 100); /* after 64 rounds in a row the hand takes what comes */
}

static void one_eviction_gives_64_entries_another_round_at_most(void **state)
{
	struct usermap_info info = { .sz = sizeof(info) };

	(void)state;
	make(1000);
	for (unsigned i = 0; i < 1000; i++)
		hit(insert(&writer[0], 0, support_random()));
	for (uint32_t i = 1; i <= 1000; i++)
		hit(i);
	assert_int_not_equal(insert(&writer[0], 0, support_random()), 0);
	s3fifo_ops.info(&map, &info);
	assert_int_equal(info.rotations, 1 + 64); /* one came from probation */
	assert_int_equal(info.evictions, 1);
}

static void announced_elements_serve_nobody(void **state)
{
	(void)state;
	make(10);
	map.hazards = records;
	for (unsigned i = 0; i < 10; i++)
		insert(&writer[0], 0, support_random());
	atomic_store(&records[1].announced, 4);
	atomic_store(&records[2].announced, 9);
	for (unsigned i = 0; i < 100; i++) {
		uint32_t index = insert(&writer[0], i % 2, support_random());

		assert_true(index && index != 4 && index != 9);
	}
	delete_entry(&writer[0], 0, 1);
	make(2);
	map.hazards = records;
	atomic_store(&records[1].announced, 1);
	atomic_store(&records[2].announced, 2);
	assert_int_equal(insert(&writer[0], 0, 5), 0);
	assert_int_equal(s3fifo_ops.free(&map), 2);
	atomic_store(&records[1].announced, 0);
	assert_int_equal(insert(&writer[0], 1, 5), 1);
}

static void a_rebuilt_policy_has_every_element_once(void **state)
{
	const uint64_t keep = UINT64_MAX;
	bool seen[101] = { false };

	(void)state;
	make(100);
	for (unsigned i = 0; i < 150; i++)
		insert(&writer[0], i % 2, support_random());
	for (uint32_t i = 1; i <= 30; i++)
		delete_entry(&writer[0], i % 2, i);
	op_begin(&writer[1], 0);
	for (unsigned i = 0; i < 10; i++)
		s3fifo_ops.take(&map, &writer[1], 1); /* by a thread that the child doesn't have */
	op_end(&writer[1]);
	for (uint32_t i = 1; i <= 100; i++)
		if (atomic_load(&in_entry[i]))
			atomic_store(owner_of(i), keep);
	s3fifo_ops.rebuild(&map, keep);
	for (uint32_t i = 1; i <= 100; i++)
		if (atomic_load(&in_entry[i]))
			atomic_store(&in_entry[i], atomic_load(owner_of(i)));
	assert_int_equal(s3fifo_ops.free(&map), 30);
	removals = 0;
	for (unsigned i = 0; i < 30; i++)
		insert(&writer[0], 0, support_random());
	assert_int_equal(removals, 0);
	assert_int_equal(published(), 100);
	for (unsigned i = 0; i < 1000; i++)
		seen[insert_and_use(&writer[0], 0)] = true;
	for (uint32_t i = 1; i <= 100; i++)
		assert_true(seen[i]);
}

/* Others may write anything into a shared map's file. */
static void scribbled_lists_end_and_stay_within_bounds(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		make(50);
		for (unsigned i = 0; i < 70; i++)
			insert(&writer[0], i % 2, support_random());
		for (unsigned i = 0; i < 400; i++)
			((uint32_t *)part)[support_random_below(layout.size[PART_EVICT] / 4)] =
				(uint32_t)(support_random_below(2) ? support_random() : support_random_below(60));
		for (uint32_t i = 1; i <= 50; i++) {
			atomic_store(&evict_node(&map, i)->next, (uint32_t)support_random_below(60));
			atomic_store(&evict_node(&map, i)->cpu, (uint16_t)support_random_below(2));
			atomic_store(&evict_node(&map, i)->list, (uint8_t)support_random());
			atomic_store(evict_used(&map, i), (uint8_t)support_random());
		}
		for (unsigned i = 0; i < 200; i++) {
			uint32_t index;

			op_begin(&writer[0], i % 2);
			index = s3fifo_ops.take(&map, &writer[0], support_random());
			assert_in_range(index, 0, 50);
			if (index && i % 3)
				publish(&writer[0], index, 0);
			else if (index)
				s3fifo_ops.give(&map, &writer[0], index);
			op_end(&writer[0]);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(evicts_what_the_model_evicts),
		cmocka_unit_test(used_entries_survive_a_scan),
		cmocka_unit_test(one_eviction_gives_64_entries_another_round_at_most),
		cmocka_unit_test(announced_elements_serve_nobody),
		cmocka_unit_test(a_rebuilt_policy_has_every_element_once),
		cmocka_unit_test(scribbled_lists_end_and_stay_within_bounds),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
