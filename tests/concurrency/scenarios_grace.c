/* SPDX-License-Identifier: MIT */
/* Readers that stay in their section: pointers hold (G6), memory stays within its budget (G3), and threads come and go. */
#include "scenario.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <usermap/helper.h>

#include "value.h"

static const struct idmap_kind grace = { "grace-64", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_GRACE, BPF_F_NO_PREALLOC, 8, 64,
					 IDMAP_PLAIN, IDMAP_KEEPS };
static const struct idmap_kind grace_small = {
	"grace-16", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_GRACE, BPF_F_NO_PREALLOC, 8, 16, IDMAP_PLAIN, IDMAP_KEEPS
};

static void get_info(const struct idmap *m, struct usermap_info *info)
{
	*info = (struct usermap_info){ .sz = sizeof(*info) };
	assert_int_equal(usermap_get_info(m->map, info), 0);
}

struct churn {
	struct idmap *m;
	const uint32_t *keys;
	atomic_uint rounds;
	atomic_bool stop;
};

/* Removes the reader's entry in every way, and fills what is removed with others at once. */
static void *churn(void *context)
{
	struct churn *c = context;
	uint64_t value;

	for (unsigned i = 0; !c->stop; i++) {
		for (uint32_t k = 0; k < 8; k++) {
			idmap_update(c->m, c->keys[k], 1000 + k, BPF_ANY);
			idmap_update(c->m, c->keys[k], 2000 + k, BPF_ANY);
			if (i & 1)
				idmap_delete(c->m, c->keys[k]);
			else
				idmap_take(c->m, c->keys[k], &value);
		}
		c->rounds++;
	}
	return NULL;
}

/* The pointer's entry stays the same until the section ends, however often it was replaced or deleted meanwhile. */
static void a_pointer_stays_the_same_entry_until_its_section_ends(void **state)
{
	uint32_t keys[8];
	struct churn c = { .keys = keys };
	pthread_t thread;
	struct idmap m;

	(void)state;
	idmap_create(&m, &grace, 8);
	scenario_keys_of_one_line(&m, 1, keys, 8);
	c.m = &m;
	assert_int_equal(pthread_create(&thread, NULL, churn, &c), 0);
	for (unsigned found = 0; found < 30;) {
		struct usermap_info before, info;
		const void *p;
		uint64_t value, first;
		unsigned until;

		get_info(&m, &before);
		usermap_read_lock();
		p = idmap_pointer(&m, keys[found % 8]);
		if (p) {
			assert_int_equal((uintptr_t)p % 8, 0);
			assert_int_equal(idmap_value_of(&m, p, &first), 0);
			assert_true(first % 1000 == found % 8);
			/* long enough for grace periods to end, if one could; or until the writer waits for this section */
			until = c.rounds + 300;
			do {
				assert_int_equal(idmap_value_of(&m, p, &value), 0);
				assert_int_equal(value, first);
				sched_yield();
				get_info(&m, &info);
			} while ((int)(until - c.rounds) > 0 && info.grace_waits == before.grace_waits);
			found++;
		}
		usermap_read_unlock();
	}
	c.stop = true;
	pthread_join(thread, NULL);
	scenario_is_whole(&m, keys, 8, "after the churn");
	usermap_close(m.map);
}

/* Inside a section nothing can be reclaimed: there is memory for the budget and more, then -ENOMEM, and after the section
 * all is well again. */
static void a_writer_inside_a_section_gets_the_budget_then_enomem(void **state)
{
	struct usermap_info info;
	struct idmap m;
	uint64_t n = 0, value;
	int err;

	(void)state;
	idmap_create(&m, &grace_small, 2);
	assert_int_equal(idmap_update(&m, 1, 1, BPF_ANY), 0);
	get_info(&m, &info);
	assert_int_equal(info.waiting_budget, 64 << 10);
	usermap_read_lock();
	while (!(err = idmap_update(&m, 1, n + 2, BPF_ANY)) && n < 10000000)
		n++;
	assert_int_equal(err, -ENOMEM);
	assert_true(n >= info.waiting_budget);
	get_info(&m, &info);
	assert_true(info.over_budget > 0);
	assert_int_equal(info.count, 1);
	assert_int_equal(idmap_lookup(&m, 1, &value), 0); /* the last update that succeeded */
	assert_int_equal(value, n + 1);
	assert_int_equal(idmap_delete(&m, 1), 0); /* removing needs no memory */
	usermap_read_unlock();
	for (uint64_t i = 0; i < 100000; i++)
		assert_int_equal(idmap_update(&m, 1 + (uint32_t)(i & 1), i + 1, BPF_ANY), 0);
	scenario_is_whole(&m, (const uint32_t[]){ 1, 2 }, 2, "after -ENOMEM");
	usermap_close(m.map);
}

struct filler {
	struct idmap *m;
	uint64_t n;
	atomic_bool done;
};

static void *replace_often(void *context)
{
	struct filler *f = context;

	for (uint64_t i = 0; i < f->n; i++)
		assert_int_equal(idmap_update(f->m, 1, i + 1, BPF_ANY), 0);
	f->done = true;
	return NULL;
}

/* Outside a section a writer waits at the budget for the reader that holds everything up, and goes on when it leaves. */
static void a_writer_outside_waits_at_the_budget_for_the_reader(void **state)
{
	struct usermap_info info;
	struct idmap m;
	struct filler f = { .m = &m };
	pthread_t thread;

	(void)state;
	idmap_create(&m, &grace_small, 2);
	get_info(&m, &info);
	f.n = 2 * info.waiting_budget;
	usermap_read_lock();
	assert_int_equal(pthread_create(&thread, NULL, replace_often, &f), 0);
	do
		get_info(&m, &info);
	while (!info.grace_waits && !f.done);
	assert_false(f.done);
	assert_in_range(info.waiting, info.waiting_budget - 64, info.waiting_budget + 64);
	usermap_read_unlock();
	pthread_join(thread, NULL);
	assert_true(f.done);
	usermap_close(m.map);
}

static void *one_write(void *context)
{
	const struct idmap *m = context;

	return (void *)(intptr_t)idmap_update(m, 1, 1, BPF_ANY);
}

static void *one_write_in_a_section(void *context)
{
	usermap_read_lock(); /* the thread's end ends the section */
	return one_write(context);
}

/* A thread that ends leaves its record, and what the record holds, to the next one. */
static void many_more_threads_than_records_write_one_after_the_other(void **state)
{
	struct idmap m;

	(void)state;
	idmap_create(&m, &grace, 4);
	for (unsigned i = 0; i < 6000; i++) {
		pthread_t thread;
		void *err;

		assert_int_equal(pthread_create(&thread, NULL, i % 16 ? one_write : one_write_in_a_section, &m), 0);
		pthread_join(thread, &err);
		assert_null(err);
	}
	scenario_is_whole(&m, (const uint32_t[]){ 1 }, 1, "after 6000 threads");
	usermap_close(m.map);
}

static pthread_key_t late_key;

static void late_destructor(void *context)
{
	const struct idmap *m = context;
	uint64_t value;

	/* no assertion may jump out of a destructor: the main thread looks at the map */
	if (!idmap_lookup(m, 1, &value) && !idmap_delete(m, 2))
		idmap_update(m, 3, 3, BPF_ANY);
}

static void *with_late_destructor(void *context)
{
	pthread_setspecific(late_key, context);
	idmap_update(context, 2, 2, BPF_ANY);
	return NULL;
}

/* Destructors of a thread's own keys may still use maps, whichever runs first. */
static void maps_can_be_used_in_thread_destructors(void **state)
{
	(void)state;
	assert_int_equal(pthread_key_create(&late_key, late_destructor), 0);
	for (unsigned k = 0; k < n_scenario_kinds; k++)
		for (unsigned i = 0; i < 20; i++) {
			struct idmap m;
			pthread_t thread;
			uint64_t value;

			idmap_create(&m, &scenario_kinds[k], 4);
			assert_int_equal(idmap_update(&m, 1, 1, BPF_ANY), 0);
			assert_int_equal(pthread_create(&thread, NULL, with_late_destructor, &m), 0);
			pthread_join(thread, NULL);
			assert_int_equal(idmap_lookup(&m, 2, &value), -ENOENT);
			assert_int_equal(idmap_lookup(&m, 3, &value), 0);
			scenario_is_whole(&m, (const uint32_t[]){ 1, 2, 3 }, 3, "after a destructor");
			usermap_close(m.map);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pointer_stays_the_same_entry_until_its_section_ends),
		cmocka_unit_test(a_writer_inside_a_section_gets_the_budget_then_enomem),
		cmocka_unit_test(a_writer_outside_waits_at_the_budget_for_the_reader),
		cmocka_unit_test(many_more_threads_than_records_write_one_after_the_other),
		cmocka_unit_test(maps_can_be_used_in_thread_destructors),
	};

	return cmocka_run_group_tests_name("readers and threads", tests, NULL, NULL);
}
