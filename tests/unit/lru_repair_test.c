/* SPDX-License-Identifier: MIT */
/*
 * core/lru_repair: processes that end at any step of a change to the lists, with locks, with elements in their hands, and
 * while they repair what others left; and threads and processes that do all at once.
 */
#include "lru_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define N	      16u
#define CHILD_SECONDS 60
#define DIED	      7

/* Children that end at the n-th step */

static unsigned steps_left;
static enum test_point last_point; /* or TP_N: any */

static void end_at_step(enum test_point point)
{
	bool counts = point == TP_LIST || point == TP_LIST_LOCK || point == TP_HAND;

	if (counts && (last_point == TP_N || last_point == point) && !--steps_left)
		_exit(DIED);
}

/* Some of everything: refills, evictions, steals, replacements, deletions of pending and of other elements. */
static void do_some_of_everything(struct fixture *f)
{
	for (unsigned i = 0; i < 9; i++) {
		struct writer *w = fixture_begin(f, 0, i & 1);
		uint32_t got = lru_ops.take(&f->e, w, 0), other = (got + i) % N + 1;

		if (got && i % 4 == 3) {
			lru_ops.give(&f->e, w, got);
		} else if (got) {
			fixture_publish(f, got);
			if (i % 3 && fixture_unpublish(f, w, other))
				lru_ops.give(&f->e, w, other);
			else if (fixture_present(f, other))
				evict_mark(&f->e, slab_object(&f->elements, other));
		}
		fixture_end(w);
	}
}

/* Runs that in a child until the step. Whether it ended there, and not because all was done. */
static bool child_ends_at(struct fixture *f, enum test_point point, unsigned step)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(CHILD_SECONDS);
		fixture_join(f);
		last_point = point;
		steps_left = step;
		usermap_test_point = end_at_step;
		do_some_of_everything(f);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == DIED;
}

/* The survivor goes on, and every element comes to be handed out again. Hits, for otherwise what is on ACTIVE stays there. */
static void all_comes_back(struct fixture *f)
{
	bool seen[N + 1] = { false };
	unsigned n_seen = 0;

	for (unsigned i = 0; i < 4000 && n_seen < N; i++) {
		uint32_t got = fixture_insert(f, 0, i & 1);

		assert_in_range(got, 1, N);
		if (i % 3)
			evict_mark(&f->e, slab_object(&f->elements, got));
		n_seen += !seen[got];
		seen[got] = true;
	}
	assert_int_equal(n_seen, N);
	fixture_check(f);
}

static struct fixture *make(bool own, bool filled)
{
	const struct fixture_shape shape = { .n = N, .n_cpus = 2, .no_common = own, .shared = true, .in_place = own };
	struct fixture *f = fixture_make(&shape);

	for (unsigned i = 0; filled && i < 3 * N; i++)
		fixture_insert(f, 0, i / 8 & 1);
	return f;
}

static void ended_at_every_step(bool own, bool filled)
{
	unsigned step = 0;
	bool ended;

	do {
		struct fixture *f = make(own, filled);

		ended = child_ends_at(f, TP_N, ++step);
		all_comes_back(f);
		fixture_free(f);
	} while (ended);
	assert_true(step > 30);
}

static void whoever_ends_at_any_step_leaves_nothing_behind(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		ended_at_every_step(i & 1, i & 2);
}

/* The second child meets what the first one left, and ends in its turn, mostly while it repairs that. */
static void repairers_may_end_too(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		struct fixture *f = make(i & 1, i & 2);

		child_ends_at(f, TP_LIST, 1 + (unsigned)support_random_below(60));
		for (unsigned n = (unsigned)support_random_below(3); n; n--)
			child_ends_at(f, TP_N, 1 + (unsigned)support_random_below(40));
		all_comes_back(f);
		fixture_free(f);
	}
}

/* Order on a list, as the chain of next. */
static unsigned order_of(const struct fixture *f, const struct lru_list *list, uint32_t order[N])
{
	unsigned n = 0;

	for (uint32_t i = list->head; i && n < N; i = evict_node(&f->e, i)->next)
		order[n++] = i;
	return n;
}

static void a_repair_keeps_the_order(void **state)
{
	(void)state;
	for (unsigned own = 0; own < 2; own++) {
		struct fixture *f = make(own, true);
		struct lru_set *set = lru_set_of(&f->e, 0);
		uint32_t before[N], after[N];
		uint32_t freed;
		unsigned n;
		struct writer *w;

		n = order_of(f, &set->list[LRU_INACTIVE], before);
		assert_true(n >= 4);
		/* an element that perhaps is stored to still; and a rotation that began elsewhere */
		freed = order_of(f, &set->list[LRU_INACTIVE], before) ? before[--n] : 0;
		assert_true(fixture_delete(f, 0, 0, freed));
		set->next_rotation = own ? N : lru_local(&f->e, 0)->pending.head;
		assert_int_not_equal(set->next_rotation, 0);
		/* a holder that is gone, with back links, tail and count to be set */
		set->lock.word = (3ull << RECORD_BITS) | f->w[1].index;
		evict_node(&f->e, before[2])->prev = 0;
		set->list[LRU_INACTIVE].tail = before[1];
		set->list[LRU_INACTIVE].count = 99;
		w = fixture_begin(f, 0, 0);
		lru_repair(&f->e, w);
		fixture_end(w);
		fixture_check(f);
		assert_int_equal(order_of(f, &set->list[LRU_INACTIVE], after), n);
		assert_memory_equal(after, before, n * sizeof(*after));
		assert_int_equal(set->next_rotation, 0);
		assert_int_equal(evict_node(&f->e, freed)->list, own ? LRU_FREE | LRU_SUSPECT : LRU_FREE);
		fixture_free(f);
	}
}

/* Nothing is to be done, and nothing is done: elements in living hands stay there. */
static void a_repair_leaves_living_hands_alone(void **state)
{
	struct fixture *f = make(false, true);
	struct lru_set *set = lru_set_of(&f->e, 0);
	struct writer *w = fixture_begin(f, 1, 0);
	struct lru_batch batch = { .n = 0 };

	(void)state;
	assert_true(listlock_acquire(&set->lock, w));
	lru_choose(&f->e, set, w, LRU_BATCH, 2, &batch);
	assert_int_equal(batch.n, 2);
	w->record->hand = LRU_FULL_HAND;
	listlock_release(&set->lock);
	set->lock.word = (3ull << RECORD_BITS) | f->w[2].index; /* gone */
	lru_repair(&f->e, fixture_begin(f, 0, 0));
	assert_int_equal(lru_place(evict_node(&f->e, batch.index[0])), LRU_HAND);
	assert_int_equal(lru_place(evict_node(&f->e, batch.index[1])), LRU_HAND);
	w->record->hand = LRU_DEAD_HAND; /* marked by a repairer that didn't come to the end */
	set->lock.word = (3ull << RECORD_BITS) | f->w[2].index;
	lru_repair(&f->e, &f->w[0]);
	assert_int_equal(w->record->hand, LRU_EMPTY_HAND);
	fixture_check(f);
	fixture_free(f);
}

/* Hostile regions: any bytes in the nodes and heads yield an answer. */
static void scribbled_lists_are_survived(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		struct fixture *f = make(round & 1, true);
		unsigned char *part = f->e.part;

		for (unsigned i = 1 + (unsigned)support_random_below(40); i; i--) {
			uint32_t index = 1 + (uint32_t)support_random_below(N);

			if (i % 4)
				((unsigned char *)evict_node(&f->e, index))[support_random_below(16)] =
					(unsigned char)support_random_below(i % 3 ? N + 2 : 256);
			else
				part[support_random_below(f->layout.size[PART_EVICT])] =
					(unsigned char)support_random();
		}
		for (unsigned i = 0; i < 60; i++) {
			struct writer *w = fixture_begin(f, 0, i & 1);
			uint32_t got = lru_ops.take(&f->e, w, 0);

			assert_in_range(got, 0, N);
			lru_ops.give(&f->e, w, i % 5 ? got : 1 + i % N);
			fixture_end(w);
		}
		fixture_free(f);
	}
}

/* All at once */

static struct storm {
	struct fixture *f;
	_Atomic uint64_t inserts, deletes;
	unsigned rounds;
	bool count; /* in this process alone */
} storm;

static void storm_step(struct fixture *f, unsigned writer, unsigned kind)
{
	uint32_t cpu = (uint32_t)support_random_below(f->e.n_cpus);
	uint32_t other = 1 + (uint32_t)support_random_below(f->elements.n - 1), got;
	struct writer *w;

	if (kind < 3) {
		if (fixture_present(f, other))
			evict_mark(&f->e, slab_object(&f->elements, other));
		return;
	}
	w = fixture_begin(f, writer, cpu);
	if (kind == 3) {
		atomic_store(&w->record->announced, other); /* and what it found there counts, or not */
		atomic_thread_fence(memory_order_seq_cst);
		atomic_store(&w->record->announced, 0);
	} else if (kind < 6) {
		if (fixture_unpublish(f, w, other)) {
			lru_ops.give(&f->e, w, other);
			atomic_fetch_add(&storm.deletes, 1);
		}
	} else {
		got = lru_ops.take(&f->e, w, 0);
		if (got && kind == 6) {
			lru_ops.give(&f->e, w, got);
		} else if (got) {
			fixture_publish(f, got);
			atomic_fetch_add(&storm.inserts, 1);
		}
	}
	fixture_end(w);
}

static void *storm_thread(void *argument)
{
	unsigned writer = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; i < storm.rounds; i++)
		storm_step(storm.f, writer, (unsigned)support_random_below(16));
	return NULL;
}

struct start {
	unsigned writer;
	uint64_t seed;
};

static void *storm_seeded(void *argument)
{
	struct start *start = argument;

	support_random_seed(start->seed);
	return storm_thread((void *)(uintptr_t)start->writer);
}

static void storm_of(const struct fixture_shape *shape, unsigned n_threads)
{
	struct fixture *f = fixture_make(shape);
	struct usermap_info info = { 0 };
	struct start starts[FIXTURE_WRITERS];
	pthread_t threads[FIXTURE_WRITERS];

	storm.f = f;
	storm.inserts = storm.deletes = 0;
	storm.rounds = 20000;
	for (unsigned i = 0; i < n_threads; i++) {
		starts[i] = (struct start){ i, support_random() };
		assert_int_equal(pthread_create(&threads[i], NULL, storm_seeded, &starts[i]), 0);
	}
	for (unsigned i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	fixture_check(f);
	lru_ops.info(&f->e, &info);
	assert_int_equal(info.evictions, storm.inserts - storm.deletes - fixture_entries(f));
	/* every operation has put back what it had */
	assert_int_equal(fixture_entries(f) + lru_ops.free(&f->e), shape->n);
	fixture_free(f);
}

static void threads_lose_and_double_nothing(void **state)
{
	static const uint32_t sizes[] = { 2, 6, 16, 300 };

	(void)state;
	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++)
		for (unsigned i = 0; i < 8; i++) {
			const struct fixture_shape shape = {
				.n = sizes[s], .n_cpus = 1 + (i >> 1 & 1), .no_common = i & 1, .in_place = i >> 2 & 1
			};

			storm_of(&shape, i & 1 ? 4 : 2);
		}
}

/* Processes that are killed anywhere, while others go on. */
static void killed_processes_leave_nothing_behind(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		struct fixture *f = make(round & 1, true);
		pid_t pids[2];

		storm.f = f;
		storm.rounds = UINT32_MAX;
		for (unsigned i = 0; i < 2; i++) {
			uint64_t seed = support_random();

			pids[i] = fork();
			assert_true(pids[i] >= 0);
			if (pids[i])
				continue;
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			alarm(CHILD_SECONDS);
			support_random_seed(seed);
			while (atomic_load(&f->region.header->frozen) != i) /* one after the other: records_used */
				usleep(100);
			fixture_join(f);
			atomic_store(&f->region.header->frozen, i + 1);
			storm_thread(NULL);
			_exit(0);
		}
		while (atomic_load(&f->region.header->frozen) != 2)
			usleep(100);
		for (unsigned i = 0; i < 2; i++) {
			for (unsigned n = (unsigned)support_random_below(4000); n; n--)
				storm_step(f, 0, (unsigned)support_random_below(16));
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
		}
		all_comes_back(f);
		fixture_free(f);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_ends_at_any_step_leaves_nothing_behind),
		cmocka_unit_test(repairers_may_end_too),
		cmocka_unit_test(a_repair_keeps_the_order),
		cmocka_unit_test(a_repair_leaves_living_hands_alone),
		cmocka_unit_test(scribbled_lists_are_survived),
		cmocka_unit_test(threads_lose_and_double_nothing),
		cmocka_unit_test(killed_processes_leave_nothing_behind),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
