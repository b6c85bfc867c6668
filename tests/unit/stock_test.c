/* SPDX-License-Identifier: MIT */
/* The stock of free elements below S3-FIFO: no element in two hands and none lost, whoever is killed where, and whatever two
 * writers do between each other's steps. */
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "core/stock.h"
#include "core/testpoint.h"
#include "s3fifo_fixture.h"

static void an_element_is_free_once_and_then_there_is_none(void **state)
{
	bool seen[101] = { false };

	(void)state;
	make(100);
	op_begin(&writer[0], 0);
	op_begin(&writer[1], 1);
	for (unsigned i = 0; i < 100; i++) {
		uint32_t index = s3fifo_ops.take(&map, &writer[i % 2], i);

		assert_in_range(index, 1, 100);
		assert_false(seen[index]);
		seen[index] = true;
		assert_int_equal(s3fifo_ops.free(&map), 99 - i);
	}
	assert_int_equal(s3fifo_ops.take(&map, &writer[0], 1), 0); /* all are in hands */
	s3fifo_ops.give(&map, &writer[0], 7);
	assert_int_equal(s3fifo_ops.take(&map, &writer[1], 1), 7);
}

static void nothing_is_evicted_while_some_cpu_has_free_elements(void **state)
{
	(void)state;
	make(200);
	for (uint32_t i = 0; i < 200; i++)
		insert(&writer[0], 0, support_random());
	for (uint32_t i = 1; i <= 100; i++)
		delete_entry(&writer[0], 1, i);
	for (unsigned i = 0; i < 100; i++)
		insert(&writer[0], 0, support_random());
	assert_int_equal(removals, 0);
	assert_int_equal(published(), 200);
	assert_int_equal(s3fifo_ops.free(&map), 0);
	insert(&writer[0], 0, support_random());
	assert_int_equal(removals, 1);
	/* churn that never fills the map */
	delete_entry(&writer[0], 0, 150);
	for (unsigned i = 0; i < 300000; i++)
		delete_entry(&writer[0], i % 2, insert(&writer[0], i / 2 % 2, support_random()));
	assert_int_equal(removals, 1);
	assert_int_equal(s3fifo_ops.free(&map), 1);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_not_equal(insert(&writer[0], 0, support_random()), 0);
	assert_int_equal(published(), 200);
}

/* A writer that is killed at the n-th test point from now. */
static unsigned kill_at;
static jmp_buf killed;

static void count_down(enum test_point point)
{
	(void)point;
	if (kill_at && --kill_at == 0)
		longjmp(killed, 1);
}

/* What the writer would have done; returns false if it was killed. */
static bool live_until(unsigned point, struct writer *w, uint32_t victim)
{
	uint32_t index;

	usermap_test_point = count_down;
	kill_at = point;
	if (setjmp(killed)) {
		usermap_test_point = NULL;
		return false;
	}
	op_begin(w, 0);
	if (victim) {
		assert_true(unlink_entry(w, victim));
		s3fifo_ops.give(&map, w, victim);
	}
	index = s3fifo_ops.take(&map, w, 77);
	if (victim % 2)
		s3fifo_ops.give(&map, w, index);
	else
		publish(w, index, 0);
	op_end(w);
	kill_at = 0;
	usermap_test_point = NULL;
	return true;
}

/* Whoever dies where, the living come to have all elements in entries, and evict all in turn. */
static void what_a_killed_writer_had_comes_back(void **state)
{
	unsigned deaths = 0;

	(void)state;
	for (unsigned scene = 0; scene < 3; scene++) {
		for (unsigned point = 1;; point++) {
			bool seen[21] = { false };
			unsigned different = 0;

			make(20);
			for (unsigned i = 0; i < (scene ? 20 : 5); i++)
				insert(&writer[0], i % 2, support_random());
			if (scene == 2)
				delete_entry(&writer[0], 1, 3);
			if (live_until(point, &writer[1], scene == 1 ? 4 : scene == 2 ? 5 : 0))
				break;
			deaths++;
			op_end(&writer[1]);
			for (unsigned i = 0; i < 200; i++)
				insert_and_use(&writer[0], i % 2);
			assert_int_equal(published(), 20);
			for (unsigned i = 0; i < 400; i++) {
				uint32_t index = insert_and_use(&writer[0], i % 2);

				different += !seen[index];
				seen[index] = true;
			}
			assert_int_equal(different, 20);
		}
	}
	assert_in_range(deaths, 10, 200);
	/* killed with an element in hand, and between commit and published */
	make(20);
	op_begin(&writer[1], 0);
	s3fifo_ops.take(&map, &writer[1], 1);
	atomic_store(&in_entry[s3fifo_ops.take(&map, &writer[1], 1)], writer[1].owner);
	op_end(&writer[1]);
	for (unsigned i = 0; i < 300; i++)
		insert_and_use(&writer[0], 0);
	assert_int_equal(published(), 20);
}

/* What another writer does between two steps of a take or a give. Elements in somebody's hand are marked. */
static bool held[9];

static uint32_t take_in_hand(struct writer *w, uint32_t cpu)
{
	uint32_t index;

	op_begin(w, cpu);
	index = s3fifo_ops.take(&map, w, 1);
	assert_in_range(index, 0, 8);
	assert_true(!index || !held[index]);
	held[index] = index != 0;
	return index;
}

static void give_from_hand(struct writer *w, uint32_t index)
{
	held[index] = false;
	s3fifo_ops.give(&map, w, index);
	op_end(w);
}

static unsigned interrupt_at, inner_script;
static uint32_t spare[2]; /* in the other's hand */

static void interrupt(enum test_point point)
{
	struct writer *w = &writer[2];
	uint32_t first;

	(void)point;
	if (!interrupt_at || --interrupt_at)
		return;
	op_begin(w, inner_script & 1);
	switch (inner_script / 2) {
	case 0:
		give_from_hand(w, spare[0]);
		break;
	case 1:
		take_in_hand(w, inner_script & 1);
		break;
	case 2: /* as many are there, the same one on top, but the next is another */
		first = take_in_hand(w, inner_script & 1);
		take_in_hand(w, inner_script & 1);
		give_from_hand(w, spare[0]);
		if (first)
			give_from_hand(w, first);
		break;
	case 3:
		give_from_hand(w, spare[0]);
		give_from_hand(w, spare[1]);
		take_in_hand(w, inner_script & 1);
		break;
	}
	op_end(w);
}

static enum evict_removed remove_nothing(struct evict *unused, struct writer *w, uint32_t index)
{
	(void)unused;
	(void)w;
	(void)index;
	return EVICT_NOT;
}

/* Two or none free on the CPU's own stack; the other CPU's is empty, but the bit doesn't say so yet. */
static void set_up(bool some_free, uint32_t cpu)
{
	uint32_t all[8];

	make(8);
	map.remove = remove_nothing;
	memset(held, 0, sizeof(held));
	for (unsigned i = 0; i < 8; i++)
		all[i] = take_in_hand(&writer[0], 0);
	give_from_hand(&writer[0], all[0]);
	take_in_hand(&writer[0], 0);
	for (unsigned i = 1; some_free && i < 3; i++) {
		op_begin(&writer[0], cpu);
		give_from_hand(&writer[0], all[i]);
	}
	spare[0] = all[3];
	spare[1] = all[4];
}

/* The count is right, and the stacks know of all that is free. */
static void check_hands(void)
{
	uint32_t in_hands = 0, index;

	for (unsigned i = 1; i <= 8; i++)
		in_hands += held[i];
	assert_int_equal(s3fifo_ops.free(&map), 8 - in_hands);
	op_begin(&writer[3], in_hands % CPUS);
	for (; in_hands < 8; in_hands++) {
		index = stock_take(&map, &writer[3]);
		assert_in_range(index, 1, 8);
		assert_false(held[index]);
		held[index] = true;
	}
	op_end(&writer[3]);
}

static void steps_of_two_writers_mix(void **state)
{
	(void)state;
	for (unsigned scene = 0; scene < 8 * 8; scene++) {
		uint32_t cpu = scene >> 2 & 1;
		bool some_free = scene & 1, gives = scene & 2;

		for (unsigned at = 1;; at++) {
			set_up(some_free, cpu);
			inner_script = scene >> 3;
			interrupt_at = at;
			usermap_test_point = interrupt;
			if (gives) {
				uint32_t index = 8;

				op_begin(&writer[1], cpu);
				atomic_store(owner_of(index), writer[1].owner);
				held[index] = false;
				s3fifo_ops.give(&map, &writer[1], index);
			} else {
				take_in_hand(&writer[1], cpu);
			}
			op_end(&writer[1]);
			usermap_test_point = NULL;
			if (interrupt_at)
				break;
			check_hands();
		}
		interrupt_at = 0;
	}
}

/* Two threads; each stops once on its way, the second within the first, and ends after it. */
static struct stopper {
	sem_t stopped, go;
	unsigned at; /* its n-th test point */
} stopper[2];
static __thread struct stopper *mine;

static void stop_once(enum test_point point)
{
	(void)point;
	if (!mine || !mine->at || --mine->at)
		return;
	sem_post(&mine->stopped);
	sem_wait(&mine->go);
}

static void *give_eight(void *arg)
{
	(void)arg;
	mine = &stopper[0];
	s3fifo_ops.give(&map, &writer[1], 8);
	sem_post(&mine->stopped);
	return NULL;
}

static void *take_one(void *arg)
{
	uint32_t *taken = arg;

	mine = &stopper[1];
	*taken = s3fifo_ops.take(&map, &writer[2], 1);
	sem_post(&mine->stopped);
	return NULL;
}

static void what_is_taken_while_it_is_given_is_given_or_taken(void **state)
{
	unsigned stopped = 1;

	(void)state;
	for (unsigned first = 1; stopped; first++) {
		for (unsigned second = 1;; second++) {
			pthread_t thread[2];
			uint32_t taken;

			set_up(false, 0);
			for (unsigned i = 0; i < 2; i++) {
				sem_init(&stopper[i].stopped, 0, 0);
				sem_init(&stopper[i].go, 0, 0);
				stopper[i].at = i ? second : first;
				op_begin(&writer[1 + i], 0);
			}
			atomic_store(owner_of(8), writer[1].owner);
			usermap_test_point = stop_once;
			pthread_create(&thread[0], NULL, give_eight, NULL);
			sem_wait(&stopper[0].stopped);
			stopped = !stopper[0].at;
			pthread_create(&thread[1], NULL, take_one, &taken);
			sem_wait(&stopper[1].stopped);
			for (unsigned i = 0; i < 2; i++) {
				sem_post(&stopper[i].go);
				pthread_join(thread[i], NULL);
				op_end(&writer[1 + i]);
			}
			usermap_test_point = NULL;
			held[8] = taken == 8;
			assert_true(taken == 0 || taken == 8);
			check_hands();
			if (stopper[1].at)
				break;
		}
	}
}

static _Atomic uint32_t in_hand[MAX_N + 1];
static uint32_t storm_threads;

static void *storm(void *arg)
{
	struct writer *w = arg;

	support_random_seed(w->owner);
	for (unsigned i = 0; i < 40000; i++) {
		uint32_t cpu = (uint32_t)support_random_below(CPUS);
		uint32_t index = 1 + (uint32_t)support_random_below(elements.n - 1);

		op_begin(w, cpu);
		if (support_random_below(100) < 40) {
			if (unlink_entry(w, index)) {
				assert_int_equal(atomic_fetch_add(&in_hand[index], 1), 0);
				atomic_fetch_sub(&in_hand[index], 1);
				s3fifo_ops.give(&map, w, index);
			}
		} else {
			index = s3fifo_ops.take(&map, w, support_random());
			if (index) {
				assert_int_equal(atomic_fetch_add(&in_hand[index], 1), 0);
				hit(1 + (uint32_t)support_random_below(elements.n - 1));
				atomic_fetch_sub(&in_hand[index], 1);
				if (support_random_below(5))
					publish(w, index, 0);
				else
					s3fifo_ops.give(&map, w, index);
			}
		}
		op_end(w);
	}
	return NULL;
}

static void threads_never_share_an_element_nor_lose_one(void **state)
{
	static const uint32_t sizes[] = { 1, 3, 10, 100, 1000 };
	pthread_t thread[WRITERS];

	(void)state;
	for (unsigned s = 0; s < 2 * ARRAY_SIZE(sizes); s++) {
		uint32_t n = sizes[s / 2], free_ones, got = 0;

		make(n);
		map.hazards = s % 2 ? records : NULL;
		storm_threads = s % 2 ? 4 : 2;
		for (unsigned i = 0; i < storm_threads; i++) {
			writer[i].owner = support_random();
			pthread_create(&thread[i], NULL, storm, &writer[i]);
		}
		for (unsigned i = 0; i < storm_threads; i++)
			pthread_join(thread[i], NULL);
		free_ones = n - published();
		assert_int_equal(s3fifo_ops.free(&map), free_ones);
		removals = 0;
		op_begin(&writer[0], 0);
		for (; got < free_ones; got++)
			assert_int_not_equal(s3fifo_ops.take(&map, &writer[0], got), 0);
		assert_int_equal(removals, 0); /* all were free */
		op_end(&writer[0]);
		for (unsigned i = 0; i < 10 * n; i++) /* what those had was left by the dead */
			insert_and_use(&writer[1], i % 2);
		assert_int_equal(published(), n);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_element_is_free_once_and_then_there_is_none),
		cmocka_unit_test(nothing_is_evicted_while_some_cpu_has_free_elements),
		cmocka_unit_test(what_a_killed_writer_had_comes_back),
		cmocka_unit_test(steps_of_two_writers_mix),
		cmocka_unit_test(what_is_taken_while_it_is_given_is_given_or_taken),
		cmocka_unit_test(threads_never_share_an_element_nor_lose_one),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
