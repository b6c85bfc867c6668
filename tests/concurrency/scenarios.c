/* SPDX-License-Identifier: MIT */
/*
 * Stopped threads block nobody (G4), whatever they were doing and however many they are, and when they go on the map
 * is whole; a line holds as many entries as the map does.
 */
#include "scenario.h"

#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "map/hash.h"
#include "value.h"

#define MANY 13 /* more writers than a line has slots */
#define LINE_KEYS 40

/* Inserts, replaces, looks up and deletes in the line in which others are stopped. */
static void use_line(const struct idmap *m, const uint32_t *keys, unsigned n)
{
	uint64_t value;

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(idmap_update(m, keys[i], 100 + i, BPF_NOEXIST), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(idmap_update(m, keys[i], 200 + i, BPF_NOEXIST), -EEXIST);
		assert_int_equal(idmap_update(m, keys[i], 200 + i, i & 1 ? BPF_EXIST : BPF_ANY), 0);
	}
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(idmap_lookup(m, keys[i], &value), 0);
		assert_int_equal(value, 200 + i);
	}
	for (unsigned i = 0; i < n; i += 2) {
		assert_int_equal(idmap_delete(m, keys[i]), 0);
		assert_int_equal(idmap_delete(m, keys[i]), -ENOENT);
		assert_int_equal(idmap_update(m, keys[i], 300 + i, BPF_EXIST), -ENOENT);
		assert_int_equal(idmap_update(m, keys[i], 300 + i, BPF_ANY), 0);
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(idmap_delete(m, keys[i]), 0);
}

/* 13 inserts stopped right after their claim, or before their commit if no slot was left to claim, in one line. */
static void many_stopped_inserts_in_one_line_block_nobody(void **state)
{
	(void)state;
	for (unsigned k = 0; k < n_scenario_kinds; k++) {
		struct stopped stopped[MANY];
		struct scenario_op op[MANY];
		uint32_t keys[LINE_KEYS];
		struct idmap m;
		uint64_t value;

		idmap_create(&m, &scenario_kinds[k], 64);
		scenario_keys_of_one_line(&m, 1, keys, LINE_KEYS);
		for (unsigned i = 0; i < MANY; i++) {
			op[i] = (struct scenario_op){ .m = &m, .kind = OP_UPDATE, .key = keys[i], .value = 1000 + i };
			assert_true(stop_start(&stopped[i], STOP_AT(TP_CLAIMED) | STOP_AT(TP_COMMIT), 0,
					       scenario_run_op, &op[i]));
		}
		use_line(&m, keys + MANY, LINE_KEYS - MANY);
		for (unsigned i = 0; i < MANY; i++) /* nothing uncommitted shows */
			assert_int_equal(idmap_lookup(&m, keys[i], &value), -ENOENT);
		for (unsigned i = 0; i < 64 - MANY; i++)
			assert_int_equal(idmap_update(&m, WHOLE_FRESH + i, 1, BPF_NOEXIST), 0);
		assert_int_equal(idmap_update(&m, WHOLE_FRESH + 64, 1, BPF_NOEXIST), -E2BIG); /* entries plus inserts: G3 */
		for (unsigned i = 0; i < 64 - MANY; i++)
			assert_int_equal(idmap_delete(&m, WHOLE_FRESH + i), 0);
		for (unsigned i = 0; i < MANY; i++)
			stop_finish(&stopped[i]);
		for (unsigned i = 0; i < MANY; i++) {
			assert_int_equal(op[i].result, 0);
			assert_int_equal(idmap_lookup(&m, keys[i], &value), 0);
			assert_int_equal(value, 1000 + i);
		}
		scenario_is_whole(&m, keys, LINE_KEYS, "13 stopped inserts");
		usermap_close(m.map);
	}
}

static void note(struct history *history, enum history_kind kind, uint64_t flags, struct idmap_ids value, int result,
		 uint64_t called, uint64_t returned)
{
	struct history_op *op = &history->op[history->n++];

	*op = (struct history_op){ .kind = kind, .flags = flags, .result = result, .called = called, .returned = returned };
	memcpy(op->value, value.word, sizeof(op->value));
}

static void note_update(const struct idmap *m, struct history *history, uint32_t key, uint64_t value, uint64_t flags,
			uint64_t time)
{
	int err = idmap_update(m, key, value, flags);

	note(history, HISTORY_UPDATE, flags, idmap_ids_of(m->kind, value), err, time, time + 1);
}

static void note_lookup(const struct idmap *m, struct history *history, uint32_t key, uint64_t time)
{
	struct idmap_ids value;
	int err = idmap_get(m, key, false, 0, &value);

	note(history, HISTORY_LOOKUP, 0, value, err, time, time + 1);
}

/* What the other threads do to the key while the operation is stopped: each result goes into the history. locked: it may hold
 * the value's lock, for which lookups wait until the value has been replaced. */
static void meddle(const struct idmap *m, struct history *history, uint32_t key, bool locked)
{
	const struct idmap_ids none = { { 0 } };
	uint64_t time = 100;

	for (unsigned i = 0; i < 3; i++, time += 20) {
		if (i || !locked)
			note_lookup(m, history, key, time);
		note_update(m, history, key, 500 + i, BPF_EXIST, time + 2);
		note_update(m, history, key, 600 + i, BPF_NOEXIST, time + 4);
		note_lookup(m, history, key, time + 6);
		note(history, HISTORY_DELETE, 0, none, idmap_delete(m, key), time + 8, time + 9);
		note_update(m, history, key, 700 + i, BPF_ANY, time + 10);
	}
}

/* The operation that was stopped, and what is there in the end. */
static void note_stopped(const struct idmap *m, struct history *history, const struct scenario_op *op)
{
	static const enum history_kind kinds[] = { HISTORY_UPDATE, HISTORY_DELETE, HISTORY_TAKE, HISTORY_TAKE, HISTORY_LOOKUP,
						   HISTORY_LOOKUP };
	bool absent = (op->kind == OP_TAKE_ALL || op->kind == OP_LOOKUP_ALL) && !op->found.word[0];

	note(history, absent ? HISTORY_LOOKUP : kinds[op->kind], op->flags & ~(uint64_t)BPF_F_LOCK,
	     op->kind == OP_UPDATE ? idmap_ids_of(m->kind, op->value) : op->found, absent ? -ENOENT : op->result, 50, 1000);
	note_lookup(m, history, op->key, 1001);
}

static const struct scenario_op stopped_ops[] = {
	{ .kind = OP_UPDATE, .value = 1, .flags = BPF_ANY }, { .kind = OP_UPDATE, .value = 1, .flags = BPF_NOEXIST },
	{ .kind = OP_UPDATE, .value = 1, .flags = BPF_EXIST }, { .kind = OP_DELETE }, { .kind = OP_TAKE },
	{ .kind = OP_TAKE_ALL }, { .kind = OP_LOOKUP }, { .kind = OP_LOOKUP_ALL },
	/* where values have a lock */
	{ .kind = OP_UPDATE, .value = 1, .flags = BPF_ANY | BPF_F_LOCK },
	{ .kind = OP_UPDATE, .value = 1, .flags = BPF_NOEXIST | BPF_F_LOCK },
	{ .kind = OP_UPDATE, .value = 1, .flags = BPF_EXIST | BPF_F_LOCK },
	{ .kind = OP_LOOKUP, .flags = BPF_F_LOCK },
};

/* One run: `before` says whether the key is there at first, `full` whether the line has no free slot. */
static bool stop_operation(const struct idmap_kind *kind, const struct scenario_op *what, bool before, bool full, unsigned skip)
{
	struct history history = { .max_entries = 64, .words = idmap_words(kind) };
	struct scenario_op op = *what;
	uint32_t keys[LINE_KEYS];
	struct stopped stopped;
	struct idmap m;
	uint64_t value;
	bool is_stopped;
	char where[96];

	idmap_create(&m, kind, 64);
	scenario_reuse_soon(&m);
	scenario_keys_of_one_line(&m, 1, keys, LINE_KEYS);
	idmap_update(&m, keys[20], 20, BPF_ANY); /* the first take drains, which waits for updates in progress: not here */
	idmap_take(&m, keys[20], &value);
	for (unsigned i = 30; full && i < 38; i++)
		assert_int_equal(idmap_update(&m, keys[i], i, BPF_ANY), 0);
	if (before) {
		assert_int_equal(idmap_update(&m, keys[0], 2, BPF_ANY), 0);
		note(&history, HISTORY_UPDATE, BPF_ANY, idmap_ids_of(kind, 2), 0, 1, 2);
	}
	op.m = &m;
	op.key = keys[0];
	is_stopped = stop_start(&stopped, STOP_ANYWHERE, skip, scenario_run_op, &op);
	if (is_stopped) {
		meddle(&m, &history, keys[0], op.flags & BPF_F_LOCK);
		use_line(&m, keys + 1, 12);
	}
	stop_finish(&stopped);
	note_stopped(&m, &history, &op);
	snprintf(where, sizeof(where), "operation %d (flags %d) stopped at point %u (%d)%s%s", (int)op.kind,
		 (int)op.flags, skip, (int)stopped.where, before ? ", present before" : "", full ? ", line full" : "");
	if (history_check(&history) != HISTORY_OK) {
		history_print(&history, stdout);
		fail_msg("%s, %s: not linearizable", kind->name, where);
	}
	scenario_is_whole(&m, keys, LINE_KEYS, where);
	usermap_close(m.map);
	return is_stopped;
}

/* Returns how many steps there are, of four variants together. */
static unsigned stop_at_each_step(const struct idmap_kind *kind, const struct scenario_op *op)
{
	unsigned runs = 0;

	for (unsigned variant = 0; variant < 4; variant++)
		for (unsigned skip = 0; stop_operation(kind, op, variant & 1, variant & 2, skip); skip++)
			runs++;
	return runs;
}

/* Every operation, stopped at each of its steps in turn, while another thread uses its key and its line. */
static void an_operation_stopped_at_any_step_blocks_nobody(void **state)
{
	unsigned runs = 0;

	(void)state;
	for (unsigned k = 0; k < n_scenario_kinds; k++)
		for (unsigned i = 0; i < sizeof(stopped_ops) / sizeof(stopped_ops[0]); i++)
			if (!(stopped_ops[i].flags & BPF_F_LOCK) || scenario_kinds[k].values == IDMAP_LOCKED)
				runs += stop_at_each_step(&scenario_kinds[k], &stopped_ops[i]);
	assert_true(runs > n_scenario_kinds * 100);
}

struct restless {
	struct idmap m;
	uint32_t keys[4];
	uint64_t next;
};

static struct restless restless;

/* What another thread does between two steps of the reader. */
static void replace_all(void)
{
	for (unsigned i = 0; i < 4; i++)
		idmap_update(&restless.m, restless.keys[i], ++restless.next, BPF_EXIST);
}

static void count_entry(void *context, uint32_t key, const struct idmap_ids *value)
{
	unsigned *met = context;

	(void)value;
	for (unsigned i = 0; i < 4; i++)
		met[i] += restless.keys[i] == key;
}

/* A batch under a line that never rests gives each entry that is present throughout once, with a value it had (G8, G1). The
 * rhythm varies, so that in some runs it is always the copy that fails. */
static void a_batch_meets_every_entry_of_a_line_that_never_rests(void **state)
{
	(void)state;
	for (unsigned k = 0; k < n_scenario_kinds; k++)
		for (unsigned period = 1; period < 12; period++) {
			unsigned met[4] = { 0 };

			idmap_create(&restless.m, &scenario_kinds[k], 4);
			scenario_keys_of_one_line(&restless.m, 1, restless.keys, 4);
			for (unsigned i = 0; i < 4; i++)
				assert_int_equal(idmap_update(&restless.m, restless.keys[i], 1, BPF_NOEXIST), 0);
			stop_call_at_points(100, period, replace_all);
			assert_int_equal(idmap_batch(&restless.m, false, 0, count_entry, met), 0);
			stop_call_at_points(0, 0, NULL);
			for (unsigned i = 0; i < 4; i++)
				if (met[i] != 1)
					fail_msg("%s, replaced every %u steps: entry %u was met %u times",
						 scenario_kinds[k].name, period, i, met[i]);
			usermap_close(restless.m.map);
		}
}

/* A walk by get_next_key, too, though all entries are replaced after each of its steps (not with ZERO_SEED, where a replaced
 * entry moves to its bucket's front, as in the kernel). */
static void a_walk_meets_every_entry_once_while_all_are_replaced(void **state)
{
	(void)state;
	for (unsigned k = 0; k < n_scenario_kinds; k++) {
		uint32_t keys[LINE_KEYS], key = 0;
		unsigned met[LINE_KEYS] = { 0 };
		struct idmap m;

		if (scenario_kinds[k].map_flags & BPF_F_ZERO_SEED)
			continue;
		idmap_create(&m, &scenario_kinds[k], 64);
		scenario_keys_of_one_line(&m, 1, keys, LINE_KEYS);
		for (unsigned i = 0; i < LINE_KEYS; i++)
			assert_int_equal(idmap_update(&m, keys[i], i, BPF_NOEXIST), 0);
		for (unsigned step = 0; step <= LINE_KEYS && !idmap_next(&m, &key); step++)
			for (unsigned i = 0; i < LINE_KEYS; i++) { /* in changing order */
				unsigned other = step & 1 ? LINE_KEYS - 1 - i : i;

				met[i] += keys[i] == key;
				assert_int_equal(idmap_update(&m, keys[other], step, BPF_EXIST), 0);
			}
		for (unsigned i = 0; i < LINE_KEYS; i++)
			if (met[i] != 1)
				fail_msg("%s: entry %u was met %u times", scenario_kinds[k].name, i, met[i]);
		usermap_close(m.map);
	}
}

/* A pop of the elements' freelist that was overtaken by pops and a push of the same chain starts over (no chain is given out
 * twice). */
struct popper {
	struct slab *slab;
	struct cache cache;
	int result;
};

static void pop(void *context)
{
	struct popper *p = context;

	p->result = slab_refill(p->slab, &p->cache, 0, false);
}

static void push(void *context)
{
	struct popper *p = context;

	slab_spill(p->slab, &p->cache, 0);
	slab_spill(p->slab, &p->cache, 0);
}

/* A map that reuses at once, and a cache with so many chains of fresh elements in it and on CPU 0's list. */
static struct slab *make_chains(struct idmap *m, struct cache *cache, unsigned n)
{
	struct slab *slab;

	idmap_create(m, &scenario_kinds[3], 1000);
	slab = &hash_of(m->map)->elements;
	assert_int_equal(slab->budget, 0);
	*cache = (struct cache){ .next = 0 };
	while (n--) {
		struct cache fresh = { .next = 0 };

		assert_int_equal(slab_refill(slab, &fresh, 0, false), 0);
		while (fresh.next < fresh.end)
			slab_give(slab, cache, 0, fresh.next++);
	}
	return slab;
}

static void an_overtaken_push_loses_no_chain(void **state)
{
	struct popper slow = { .result = 0 }, other[2];
	struct stopped stopped;
	struct idmap m;

	(void)state;
	slow.slab = make_chains(&m, &slow.cache, 3); /* one on the list, two in the cache */
	assert_true(stop_start(&stopped, STOP_AT(TP_SLAB), 0, push, &slow));
	other[0] = (struct popper){ .slab = slow.slab };
	pop(&other[0]);
	stop_finish(&stopped);
	other[1] = (struct popper){ .slab = slow.slab };
	pop(&other[1]);
	assert_int_equal(other[0].result | other[1].result, 0);
	assert_int_not_equal(other[0].cache.head[0], 0); /* from the list, not fresh */
	assert_int_not_equal(other[1].cache.head[0], 0);
	other[0] = (struct popper){ .slab = slow.slab };
	pop(&other[0]);
	assert_int_not_equal(other[0].cache.head[0], 0); /* three in all */
	usermap_close(m.map);
}

static void an_overtaken_pop_gives_no_chain_out_twice(void **state)
{
	struct popper slow = { .result = -1 }, other[2];
	struct cache source;
	struct stopped stopped;
	struct slab *slab;
	struct idmap m;

	(void)state;
	slab = make_chains(&m, &source, 4);
	slab_spill(slab, &source, 0);
	slab_spill(slab, &source, 0);
	slow.slab = slab;
	assert_true(stop_start(&stopped, STOP_AT(TP_SLAB), 0, pop, &slow)); /* it has read the first chain and its successor */
	for (unsigned i = 0; i < 2; i++) { /* both are taken, and the first comes back */
		other[i] = (struct popper){ .slab = slab };
		pop(&other[i]);
		assert_int_equal(other[i].result, 0);
	}
	slab_spill(slab, &other[0].cache, 0);
	slab_spill(slab, &other[0].cache, 0);
	stop_finish(&stopped);
	assert_int_equal(slow.result, 0);
	other[0] = (struct popper){ .slab = slab };
	pop(&other[0]);
	assert_int_equal(other[0].result, 0);
	assert_int_not_equal(other[0].cache.head[0], other[1].cache.head[0]);
	assert_int_not_equal(other[0].cache.head[0], slow.cache.head[0]);
	assert_int_not_equal(other[1].cache.head[0], slow.cache.head[0]);
	usermap_close(m.map);
}

#define CROWD 10000u

/* Whether the walk gives all keys, in each bucket the most recently inserted first. */
static void check_crowd_order(const struct idmap *m, const uint32_t *keys)
{
	uint32_t *position = calloc(CROWD, sizeof(*position)), *by_id, key = 0, n = 0, last[4];
	uint32_t largest = keys[CROWD - 1];

	by_id = calloc(largest + 1, sizeof(*by_id));
	assert_true(position && by_id);
	for (uint32_t i = 0; i < CROWD; i++)
		by_id[keys[i]] = i + 1;
	memset(last, 0xff, sizeof(last));
	for (; !idmap_next(m, &key); n++) {
		unsigned char k[8];
		uint32_t bucket;

		assert_true(key <= largest && by_id[key]);
		assert_int_equal(position[by_id[key] - 1]++, 0);
		value_fill(k, sizeof(k), key);
		bucket = hash_target(hash_of(m->map), k, (struct hash_kind){ .key_size = 8 }).bucket & 3;
		assert_true(by_id[key] < last[bucket]);
		last[bucket] = by_id[key];
	}
	assert_int_equal(n, CROWD);
	free(position);
	free(by_id);
}

/* Every key of a map in one line: ZERO_SEED collisions. It is slow, and right. */
static void ten_thousand_keys_in_one_line(void **state)
{
	static const struct idmap_kind kinds[] = {
		{ "grace", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_GRACE, BPF_F_ZERO_SEED, 8, 8, IDMAP_PLAIN, IDMAP_KEEPS },
		{ "at-once", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_AT_ONCE, BPF_F_ZERO_SEED, 8, 8, IDMAP_PLAIN, IDMAP_KEEPS },
	};
	static uint32_t keys[CROWD];
	static unsigned char k[CROWD * 8], v[CROWD * 8];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t token = 0, n = 8, total = 0;
		struct idmap m;
		uint64_t value;
		int err;

		idmap_create(&m, &kinds[i], CROWD);
		if (!i) /* the keys are the same in both */
			scenario_keys_of_one_line(&m, 1, keys, CROWD);
		for (uint32_t j = 0; j < CROWD; j++)
			assert_int_equal(idmap_update(&m, keys[j], j + 1, BPF_NOEXIST), 0);
		assert_int_equal(idmap_update(&m, WHOLE_FRESH, 1, BPF_ANY), -E2BIG);
		assert_int_equal(idmap_count(&m), CROWD);
		for (uint32_t j = 0; j < CROWD; j++) { /* oldest first, so the order stays as it was */
			assert_int_equal(idmap_update(&m, keys[j], j + 2, BPF_EXIST), 0);
			assert_int_equal(idmap_lookup(&m, keys[j], &value), 0);
			assert_int_equal(value, j + 2);
		}
		check_crowd_order(&m, keys);
		for (uint32_t j = 0; j < CROWD; j += 10)
			assert_int_equal(idmap_delete(&m, keys[j]), 0);
		assert_int_equal(usermap_lookup_and_delete_batch(m.map, NULL, &token, k, v, &n, NULL), -ENOSPC);
		for (bool more = false; total < CROWD - CROWD / 10; more = true) {
			n = CROWD;
			err = usermap_lookup_and_delete_batch(m.map, more ? &token : NULL, &token, k, v, &n, NULL);
			assert_true(err == 0 || err == -ENOENT);
			total += n;
			if (err)
				break;
		}
		assert_int_equal(total, CROWD - CROWD / 10);
		assert_int_equal(idmap_count(&m), 0);
		scenario_is_whole(&m, keys, 10, "after the crowd");
		usermap_close(m.map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_stopped_inserts_in_one_line_block_nobody),
		cmocka_unit_test(an_operation_stopped_at_any_step_blocks_nobody),
		cmocka_unit_test(a_batch_meets_every_entry_of_a_line_that_never_rests),
		cmocka_unit_test(a_walk_meets_every_entry_once_while_all_are_replaced),
		cmocka_unit_test(an_overtaken_push_loses_no_chain),
		cmocka_unit_test(an_overtaken_pop_gives_no_chain_out_twice),
		cmocka_unit_test(ten_thousand_keys_in_one_line),
	};

	return cmocka_run_group_tests_name("G4: stopped threads block nobody", tests, NULL, NULL);
}
