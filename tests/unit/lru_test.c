/* SPDX-License-Identifier: MIT */
/*
 * core/lru: which element is handed out and which entries go, against a model written from the description alone; and the
 * rules of it that can be said in a sentence.
 */
#include "lru_fixture.h"

#include <string.h>

/* The model: lists are arrays, newest first. */

#define MAX  600
#define CPUS 3

struct seq {
	uint32_t at[MAX];
	unsigned n;
};

static struct model {
	unsigned n, n_cpus, target;
	bool own;
	struct seq active[CPUS], inactive[CPUS], free[CPUS]; /* common: [0] */
	struct seq local_free[CPUS], pending[CPUS];
	unsigned rotation[CPUS]; /* the element, 0: the end */
	unsigned next_steal[CPUS];
	unsigned cpu[MAX + 1];
	bool used[MAX + 1], present[MAX + 1];
	unsigned evictions, steals, refills, forced;
} m;

static unsigned position(const struct seq *s, uint32_t x)
{
	unsigned i = 0;

	while (i < s->n && s->at[i] != x)
		i++;
	return i;
}

static bool contains(const struct seq *s, uint32_t x)
{
	return position(s, x) < s->n;
}

static void add(struct seq *s, uint32_t x)
{
	memmove(s->at + 1, s->at, s->n++ * sizeof(*s->at));
	s->at[0] = x;
}

static void cut(struct seq *s, uint32_t x)
{
	unsigned i = position(s, x);

	assert_true(i < s->n);
	memmove(s->at + i, s->at + i + 1, (--s->n - i) * sizeof(*s->at));
}

/* x leaves the inactive list l. */
static void cut_inactive(unsigned l, uint32_t x)
{
	unsigned i = position(&m.inactive[l], x);

	if (m.rotation[l] == x)
		m.rotation[l] = i ? m.inactive[l].at[i - 1] : 0;
	cut(&m.inactive[l], x);
}

static void model_rotate(unsigned l, unsigned scans)
{
	struct seq *active = &m.active[l], *inactive = &m.inactive[l];
	unsigned n = active->n < scans ? active->n : scans, at;

	if (inactive->n < active->n)
		for (unsigned i = 0; i < n; i++) {
			uint32_t x = active->at[active->n - 1];

			cut(active, x);
			add(m.used[x] ? active : inactive, x);
			m.used[x] = false;
		}
	n = inactive->n < scans ? inactive->n : scans;
	at = m.rotation[l] ? position(inactive, m.rotation[l]) : inactive->n - 1;
	for (unsigned i = 0; i < n; i++) {
		uint32_t x = inactive->at[at], next = at ? inactive->at[at - 1] : 0;

		if (m.used[x]) {
			cut(inactive, x);
			add(active, x);
			m.used[x] = false;
		}
		m.rotation[l] = next;
		at = next ? position(inactive, next) : inactive->n - 1;
	}
}

static void model_gone(uint32_t x, struct seq *to)
{
	assert_true(m.present[x]);
	m.present[x] = false;
	m.evictions++;
	if (to)
		add(to, x);
}

static void model_evict(unsigned l, unsigned scans, unsigned want, struct seq *to)
{
	unsigned n = m.inactive[l].n < scans ? m.inactive[l].n : scans, gone = 0;

	for (unsigned i = 0; i < n && gone < want; i++) {
		uint32_t x = m.inactive[l].at[m.inactive[l].n - 1];

		cut_inactive(l, x);
		if (m.used[x]) {
			add(&m.active[l], x);
			m.used[x] = false;
		} else {
			model_gone(x, to);
			gone++;
		}
	}
	if (gone)
		return;
	if (m.inactive[l].n) {
		uint32_t x = m.inactive[l].at[m.inactive[l].n - 1];

		cut_inactive(l, x);
		model_gone(x, to);
		m.forced++;
	} else if (m.active[l].n) {
		uint32_t x = m.active[l].at[m.active[l].n - 1];

		cut(&m.active[l], x);
		model_gone(x, to);
		m.forced++;
	}
}

static uint32_t model_pop(struct seq *s)
{
	uint32_t x = s->n ? s->at[0] : 0;

	if (x)
		cut(s, x);
	return x;
}

static void model_refill(unsigned cpu)
{
	unsigned n = 0;

	m.refills++;
	while (m.pending[cpu].n) {
		uint32_t x = m.pending[cpu].at[m.pending[cpu].n - 1];

		cut(&m.pending[cpu], x);
		add(m.used[x] ? &m.active[0] : &m.inactive[0], x);
		m.used[x] = false;
	}
	model_rotate(0, 128);
	for (; n < m.target && m.free[0].n; n++)
		add(&m.local_free[cpu], model_pop(&m.free[0]));
	if (n < m.target)
		model_evict(0, 128, m.target - n, &m.local_free[cpu]);
}

static uint32_t model_steal(unsigned cpu)
{
	unsigned from = m.next_steal[cpu];
	uint32_t x = 0;

	for (unsigned i = 0; i < m.n_cpus && !x; i++, from = (from + 1) % m.n_cpus) {
		struct seq *pending = &m.pending[from];

		x = model_pop(&m.local_free[from]);
		for (unsigned j = pending->n; !x && j--;)
			if (!m.used[pending->at[j]])
				x = pending->at[j];
		if (!x && pending->n)
			x = pending->at[pending->n - 1];
		if (x && contains(pending, x)) {
			cut(pending, x);
			model_gone(x, NULL);
		}
	}
	m.next_steal[cpu] = from;
	m.steals += x != 0;
	return x;
}

static uint32_t model_take(unsigned cpu)
{
	uint32_t x;

	if (m.own) {
		model_rotate(cpu, 4);
		if (!m.free[cpu].n)
			model_evict(cpu, 4, 4, &m.free[cpu]);
		x = model_pop(&m.free[cpu]);
		add(&m.inactive[cpu], x);
	} else {
		if (!m.local_free[cpu].n)
			model_refill(cpu);
		x = model_pop(&m.local_free[cpu]);
		if (!x)
			x = model_steal(cpu);
		add(&m.pending[cpu], x);
	}
	m.used[x] = false;
	m.cpu[x] = cpu;
	return x;
}

static void model_give(uint32_t x)
{
	unsigned cpu = m.cpu[x], l = m.own ? cpu : 0;

	m.used[x] = false;
	if (contains(&m.pending[cpu], x)) {
		cut(&m.pending[cpu], x);
		add(&m.local_free[cpu], x);
		return;
	}
	if (contains(&m.inactive[l], x))
		cut_inactive(l, x);
	else
		cut(&m.active[l], x);
	add(&m.free[l], x);
}

static void model_make(const struct fixture *f)
{
	unsigned half = (f->elements.n - 1) / f->e.n_cpus / 2;

	memset(&m, 0, sizeof(m));
	m.n = f->elements.n - 1;
	m.n_cpus = f->e.n_cpus;
	m.own = f->e.no_common;
	m.target = half < 1 ? 1 : half > 128 ? 128 : half;
	for (unsigned l = 0; l < (m.own ? m.n_cpus : 1); l++) {
		/* in which order they are free at first is nobody's business */
		for (uint32_t i = lru_set_of(&f->e, l)->free.head; i; i = evict_node(&f->e, i)->next) {
			m.free[l].at[m.free[l].n++] = i;
			m.cpu[i] = l;
		}
		assert_int_equal(m.free[l].n, m.own ? m.n / m.n_cpus : m.n);
	}
	for (unsigned cpu = 0; cpu < m.n_cpus; cpu++)
		m.next_steal[cpu] = cpu;
}

/* The engine beside the model */

static uint32_t take_both(struct fixture *f, struct writer *w)
{
	uint32_t expected = model_take(w->cpu), got = lru_ops.take(&f->e, w, 0);

	assert_int_equal(got, expected);
	assert_int_equal(((struct object *)slab_object(&f->elements, got))->owner, w->owner);
	assert_int_equal(*evict_used(&f->e, got), 0);
	assert_int_equal(evict_node(&f->e, got)->cpu, w->cpu);
	return got;
}

static void give_both(struct fixture *f, struct writer *w, uint32_t index)
{
	model_give(index);
	lru_ops.give(&f->e, w, index);
}

static void publish_both(struct fixture *f, uint32_t index)
{
	m.present[index] = true;
	fixture_publish(f, index);
}

static uint32_t any_present(void)
{
	uint32_t start = (uint32_t)support_random_below(m.n);

	for (uint32_t i = 0; i < m.n; i++)
		if (m.present[1 + (start + i) % m.n])
			return 1 + (start + i) % m.n;
	return 0;
}

static void mark_both(struct fixture *f, uint32_t index)
{
	m.used[index] = true;
	evict_mark(&f->e, slab_object(&f->elements, index));
}

static void unpublish_both(struct fixture *f, struct writer *w, uint32_t index)
{
	m.present[index] = false;
	assert_true(fixture_unpublish(f, w, index));
}

/* An update of a new key, a failing one, a replacement (of what is there after the take), a deletion, a hit. */
static void step(struct fixture *f, uint32_t cpu, unsigned hits)
{
	unsigned kind = (unsigned)support_random_below(16 + hits);
	struct writer *w = fixture_begin(f, 0, cpu);
	uint32_t index, other;

	if (kind >= 16) {
		other = any_present();
		if (other)
			mark_both(f, other);
	} else if (kind >= 14) {
		other = any_present();
		if (other) {
			unpublish_both(f, w, other);
			give_both(f, w, other);
		}
	} else {
		index = take_both(f, w);
		other = kind >= 12 ? any_present() : 0;
		if (kind == 11) {
			give_both(f, w, index);
		} else {
			publish_both(f, index);
			if (other) {
				unpublish_both(f, w, other);
				give_both(f, w, other);
				mark_both(f, index);
			}
		}
	}
	fixture_end(w);
}

static void compare(const struct fixture *f)
{
	struct usermap_info info = { 0 };

	for (uint32_t i = 1; i <= m.n; i++) {
		assert_int_equal(fixture_present(f, i), m.present[i]);
		if (m.present[i])
			assert_int_equal(*evict_used(&f->e, i) != 0, m.used[i]);
	}
	lru_ops.info(&f->e, &info);
	assert_int_equal(info.evictions, m.evictions);
	assert_int_equal(info.steals, m.steals);
}

static void same_as_the_model(bool own, bool shared, bool in_place)
{
	static const uint32_t sizes[] = { 1, 2, 3, 4, 5, 8, 17, 33, 64, 100, 255, 258, 300, 515, 600 };
	struct model seen = { 0 };

	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++)
		for (uint32_t n_cpus = 1; n_cpus <= CPUS; n_cpus++) {
			struct fixture_shape shape = { sizes[s], n_cpus, own, shared, in_place };
			uint32_t cpu = 0, stay = 1 + (uint32_t)support_random_below(sizes[s] * 2);
			unsigned hits = (unsigned)support_random_below(48);
			struct fixture *f;

			shape.n = own ? (sizes[s] + n_cpus - 1) / n_cpus * n_cpus : sizes[s];
			shape.n = shape.n > MAX ? MAX : shape.n;
			f = fixture_make(&shape);
			model_make(f);
			for (unsigned i = 0; i < 4000; i++) {
				if (!support_random_below(stay))
					cpu = (uint32_t)support_random_below(n_cpus);
				step(f, cpu, hits);
				if (i % 16 == 0)
					compare(f);
			}
			compare(f);
			fixture_check(f);
			seen.evictions += m.evictions;
			seen.steals += m.steals;
			seen.forced += m.forced;
			fixture_free(f);
		}
	assert_true(seen.evictions > 10000 && seen.forced > 100 && (own || seen.steals > 100));
}

static void common_lists_are_the_models(void **state)
{
	(void)state;
	same_as_the_model(false, false, false);
}

static void own_lists_are_the_models(void **state)
{
	(void)state;
	same_as_the_model(true, false, false);
}

static void shared_maps_are_no_different(void **state)
{
	(void)state;
	same_as_the_model(false, true, true);
	same_as_the_model(true, true, true);
}

/* Announced elements */

static void announced_is_passed_over(bool own, bool deleted)
{
	const struct fixture_shape shape = { .n = 8, .n_cpus = 1, .no_common = own, .in_place = true };
	struct fixture *f = fixture_make(&shape);
	uint32_t held = 0;

	for (unsigned i = 0; i < 8; i++)
		held = fixture_insert(f, 0, 0);
	atomic_store(&f->w[1].record->announced, held);
	if (deleted)
		assert_true(fixture_delete(f, 0, 0, held));
	for (unsigned i = 0; i < 100; i++) {
		uint32_t got = fixture_insert(f, 0, 0);

		assert_int_not_equal(got, 0);
		assert_int_not_equal(got, held);
	}
	assert_false(fixture_present(f, held)); /* evicted it is, the announcement keeps only its memory */
	fixture_check(f);
	atomic_store(&f->w[1].record->announced, 0);
	for (unsigned i = 0; i < 100 && !fixture_present(f, held); i++)
		fixture_insert(f, 0, 0);
	assert_true(fixture_present(f, held));
	fixture_check(f);
	fixture_free(f);
}

static void announced_elements_are_not_handed_out(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		announced_is_passed_over(i & 1, i & 2);
}

static void with_all_announced_there_is_none(void **state)
{
	const struct fixture_shape shape = { .n = 1, .n_cpus = 1, .in_place = true };
	struct fixture *f = fixture_make(&shape);

	(void)state;
	assert_int_equal(fixture_insert(f, 0, 0), 1);
	atomic_store(&f->w[1].record->announced, 1);
	assert_int_equal(fixture_insert(f, 0, 0), 0);
	assert_false(fixture_present(f, 1));
	fixture_check(f);
	atomic_store(&f->w[1].record->announced, 0);
	assert_int_equal(fixture_insert(f, 0, 0), 1);
	fixture_free(f);
}

static void nor_are_they_when_stolen(void **state)
{
	const struct fixture_shape shape = { .n = 1, .n_cpus = 2, .in_place = true };
	struct fixture *f = fixture_make(&shape);

	(void)state;
	assert_int_equal(fixture_insert(f, 0, 0), 1);
	atomic_store(&f->w[1].record->announced, 1);
	assert_int_equal(fixture_insert(f, 0, 1), 0);
	assert_false(fixture_present(f, 1));
	fixture_check(f);
	atomic_store(&f->w[1].record->announced, 0);
	assert_int_equal(fixture_insert(f, 0, 0), 1); /* stolen back */
	fixture_check(f);
	fixture_free(f);
}

/* What a writer was handed and gives back at once is known to be in nobody's entry: it needs no look at all records. */
static void unused_elements_are_not_suspect(void **state)
{
	const struct fixture_shape shape = { .n = 8, .n_cpus = 1, .in_place = true };
	struct fixture *f = fixture_make(&shape);
	struct writer *w = fixture_begin(f, 0, 0);
	uint32_t index = lru_ops.take(&f->e, w, 0);

	(void)state;
	lru_ops.give(&f->e, w, index);
	assert_int_equal(evict_node(&f->e, index)->list, LRU_LOCAL_FREE);
	fixture_end(w);
	assert_int_equal(fixture_insert(f, 0, 0), index);
	assert_true(fixture_delete(f, 0, 0, index));
	assert_int_equal(evict_node(&f->e, index)->list, LRU_LOCAL_FREE | LRU_SUSPECT);
	fixture_free(f);
}

/* Eviction against a writer */

static struct fixture *racing;
static uint32_t raced;
static bool stays; /* the remover is still in its operation when the evictor comes */

/* While the victims are in the hand, another writer removes one of them and gives it back. */
static void delete_in_hand(enum test_point point)
{
	struct writer *w = &racing->w[1];

	if (point != TP_HAND || raced)
		return;
	for (uint32_t i = 1; i < racing->elements.n; i++)
		if (lru_place(evict_node(&racing->e, i)) == LRU_HAND && fixture_present(racing, i)) {
			raced = i;
			break;
		}
	fixture_begin(racing, 1, 0);
	assert_true(fixture_unpublish(racing, w, raced));
	lru_ops.give(&racing->e, w, raced);
	assert_int_equal(lru_place(evict_node(&racing->e, raced)), LRU_GIVEN);
	if (!stays)
		fixture_end(w);
}

/* stolen: the evictor's CPU has nothing of its own. */
static void given_while_in_hand(uint32_t n, bool own, bool stolen)
{
	const struct fixture_shape shape = { .n = n, .n_cpus = 1 + stolen, .no_common = own };
	struct usermap_info info = { 0 };
	struct fixture *f = racing = fixture_make(&shape);
	uint32_t entries, inserts = stolen;

	raced = 0;
	if (stolen)
		fixture_insert(f, 0, 0);
	usermap_test_point = delete_in_hand;
	while (!raced) {
		assert_int_not_equal(fixture_insert(f, 0, stolen), 0);
		inserts++;
	}
	usermap_test_point = NULL;
	if (stays)
		fixture_end(&f->w[1]);
	entries = fixture_entries(f);
	fixture_check(f);
	lru_ops.info(&f->e, &info);
	assert_int_equal(info.evictions, inserts - 1 - entries); /* one of them was deleted */
	fixture_free(f);
}

static void an_element_given_back_in_the_evictors_hand_is_free(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		stays = i;
		for (uint32_t n = 1; n <= 16; n++) {
			given_while_in_hand(n, false, false);
			given_while_in_hand(n, true, false);
		}
		given_while_in_hand(1, false, true);
	}
}

/* Elements that a writer has taken and not published can't be evicted, and come back when they are given. */
static void elements_in_writers_hands_stay_there(void **state)
{
	(void)state;
	for (unsigned own = 0; own < 2; own++) {
		const struct fixture_shape shape = { .n = FIXTURE_WRITERS - 1, .n_cpus = 1, .no_common = own };
		struct fixture *f = fixture_make(&shape);
		uint32_t taken[FIXTURE_WRITERS - 1];

		for (unsigned i = 0; i < FIXTURE_WRITERS - 1; i++) {
			taken[i] = lru_ops.take(&f->e, fixture_begin(f, i, 0), 0);
			assert_int_not_equal(taken[i], 0);
		}
		assert_int_equal(fixture_insert(f, FIXTURE_WRITERS - 1, 0), 0);
		for (unsigned i = 0; i < FIXTURE_WRITERS - 1; i++) {
			lru_ops.give(&f->e, &f->w[i], taken[i]);
			fixture_end(&f->w[i]);
			fixture_check(f);
			assert_int_equal(lru_ops.free(&f->e), i + 1);
		}
		fixture_free(f);
	}
}

/* Of another CPU's pending elements the oldest unused one, although the oldest of all is used. All others are in hands. */
static void the_oldest_unused_pending_element_is_stolen(void **state)
{
	const struct fixture_shape shape = { .n = 8, .n_cpus = 2 };
	struct fixture *f = fixture_make(&shape);
	uint32_t used = fixture_insert(f, 0, 0), unused = fixture_insert(f, 0, 0);

	(void)state;
	evict_mark(&f->e, slab_object(&f->elements, used));
	for (unsigned i = 1; i < 7; i++)
		assert_int_not_equal(lru_ops.take(&f->e, fixture_begin(f, i, 1), 0), 0);
	assert_int_equal(fixture_insert(f, 7, 1), unused);
	assert_true(fixture_present(f, used));
	fixture_free(f);
}

/* The forked child's rebuild */

static void rebuild_keeps_what_is_published(void **state)
{
	const uint64_t keep = UINT64_MAX;

	(void)state;
	for (unsigned own = 0; own < 2; own++) {
		const struct fixture_shape shape = { .n = 40, .n_cpus = 2, .no_common = own };
		struct fixture *f = fixture_make(&shape);
		uint32_t newest = 0, published = 0, places[41];

		for (unsigned i = 0; i < 100; i++) {
			newest = fixture_insert(f, 0, i % 2);
			if (i % 3)
				evict_mark(&f->e, slab_object(&f->elements, newest));
		}
		/* a thread of the parent was evicting, one had an element, one held a lock */
		lru_to_hand(evict_node(&f->e, 1), &f->w[1]);
		assert_int_not_equal(lru_ops.take(&f->e, fixture_begin(f, 2, 0), 0), 0);
		lru_set_of(&f->e, 0)->lock.word = f->w[2].owner;
		for (uint32_t i = 1; i <= 40; i++) {
			places[i] = lru_place(evict_node(&f->e, i));
			if (fixture_present(f, i)) {
				((struct object *)slab_object(&f->elements, i))->owner = keep;
				published++;
			}
		}
		lru_ops.rebuild(&f->e, keep);
		fixture_check(f);
		for (uint32_t i = 1; i <= 40; i++)
			if (fixture_present(f, i) && places[i] != LRU_HAND)
				assert_int_equal(lru_place(evict_node(&f->e, i)), places[i]);
		assert_int_equal(fixture_entries(f), published);
		assert_int_equal(lru_ops.free(&f->e), 40 - published);
		assert_int_equal(((struct object *)slab_object(&f->elements, newest))->owner, 0);
		for (unsigned i = 0; i < 100; i++)
			assert_int_not_equal(fixture_insert(f, 0, i % 2), 0);
		fixture_check(f);
		fixture_free(f);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(common_lists_are_the_models),
		cmocka_unit_test(own_lists_are_the_models),
		cmocka_unit_test(shared_maps_are_no_different),
		cmocka_unit_test(announced_elements_are_not_handed_out),
		cmocka_unit_test(with_all_announced_there_is_none),
		cmocka_unit_test(nor_are_they_when_stolen),
		cmocka_unit_test(unused_elements_are_not_suspect),
		cmocka_unit_test(an_element_given_back_in_the_evictors_hand_is_free),
		cmocka_unit_test(elements_in_writers_hands_stay_there),
		cmocka_unit_test(the_oldest_unused_pending_element_is_stolen),
		cmocka_unit_test(rebuild_keeps_what_is_published),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
