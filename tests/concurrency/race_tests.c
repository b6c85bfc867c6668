/* SPDX-License-Identifier: MIT */
/*
 * The races, and what must hold in each. Key ids are small numbers, never 0. A value's id tells its key, and is stored once:
 * {key: 16, worker: 8, sequence: 40}.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "race.h"

static uint64_t new_value(struct race_worker *worker, uint32_t key)
{
	return (uint64_t)key << 48 | (uint64_t)worker->id << 40 | ++worker->sequence;
}

static void check_owner(struct race_worker *worker, uint32_t key, const struct idmap_ids *value)
{
	for (unsigned i = 0; i < idmap_words(worker->m.kind); i++)
		if (value->word[i] >> 48 != key)
			race_fail(worker, "key %" PRIu32 " has %" PRIx64 ", another's value, in word %u", key,
				  value->word[i], i);
}

/* --- churn: everything at once on a few keys, of which some are never deleted --- */

#define PERMANENT 2u /* keys 1 … PERMANENT are replaced, never deleted */
#define ROUND 400    /* operations of a worker between two checks */
#define FRESH 1000u  /* keys of the check itself */

static uint32_t churn_max_entries(unsigned n_workers, uint64_t random)
{
	static const uint32_t choices[] = { 3, 4, 8, 64 };

	(void)n_workers;
	return choices[random % 4];
}

static uint32_t churn_keys(const struct race_worker *worker)
{
	return worker->m.max_entries + worker->m.max_entries / 4 + 1;
}

static void churn_prepare(struct race_worker *worker)
{
	for (uint32_t key = 1; key <= PERMANENT; key++)
		if (race_update(worker, key, new_value(worker, key), BPF_NOEXIST))
			race_fail(worker, "key %" PRIu32 " doesn't fit the empty map", key);
}

static void found(struct race_worker *worker, uint32_t key, int err, const struct idmap_ids *value)
{
	if (!err)
		check_owner(worker, key, value);
	else if (err != -ENOENT || key <= PERMANENT)
		race_fail(worker, "lookup of key %" PRIu32 ": %d", key, err);
}

static void churn_update(struct race_worker *worker, uint32_t key, uint64_t flags)
{
	int err = race_update(worker, key, new_value(worker, key), flags);
	bool may_fail = flags == BPF_NOEXIST ? err == -EEXIST || (err == -E2BIG && key > PERMANENT) :
			flags == BPF_EXIST   ? err == -ENOENT && key > PERMANENT :
					       err == -E2BIG && key > PERMANENT;

	if (err ? !may_fail : flags == BPF_NOEXIST && key <= PERMANENT)
		race_fail(worker, "update of key %" PRIu32 " with flags %" PRIu64 ": %d", key, flags, err);
}

static void churn_bulk(struct race_worker *worker)
{
	struct idmap_ids values[16];
	uint32_t keys[16];

	for (uint32_t i = 0; i < 16; i++)
		keys[i] = i + 1;
	race_checked(worker, "lookup_bulk", idmap_bulk(&worker->m, keys, values, 16));
	for (uint32_t i = 0; i < 16; i++)
		if (values[i].word[0])
			check_owner(worker, keys[i], &values[i]);
		else if (keys[i] <= PERMANENT)
			race_fail(worker, "lookup_bulk missed key %" PRIu32, keys[i]);
}

/* How often the current walk of this thread has met each key. */
static _Thread_local unsigned char met[FRESH + 512];

static void meet(struct race_worker *worker, uint32_t key, const struct idmap_ids *value)
{
	check_owner(worker, key, value);
	met[key]++;
}

/* Batches give each key that is present throughout exactly once (but with ZERO_SEED a replaced entry moves to the front). */
static void churn_lookup_all(struct race_worker *worker)
{
	bool exact = !(worker->m.kind->map_flags & BPF_F_ZERO_SEED);

	memset(met, 0, sizeof(met));
	race_batch(worker, false, meet);
	for (uint32_t key = 1; key <= PERMANENT; key++)
		if (exact && met[key] != 1)
			race_fail(worker, "the batches gave key %" PRIu32 " %u times", key, met[key]);
}

/* Keys of a walk by get_next_key; the number of keys met. It may meet keys again that were deleted under it. */
static uint32_t walk(struct race_worker *worker)
{
	uint32_t n = 0, key = 0;

	memset(met, 0, sizeof(met));
	while (!race_checked(worker, "get_next_key", idmap_next(&worker->m, &key)) && n < 4 * worker->m.max_entries) {
		met[key]++;
		n++;
	}
	return n;
}

/* With replacements only, a walk gives each key exactly once (but with ZERO_SEED a replaced entry moves to the front). */
static void calm_walk(struct race_worker *worker)
{
	uint32_t n = walk(worker);

	for (uint32_t key = 1; key <= PERMANENT && !(worker->m.kind->map_flags & BPF_F_ZERO_SEED); key++)
		if (met[key] != 1 || n > worker->m.max_entries)
			race_fail(worker, "a walk of %" PRIu32 " keys gave key %" PRIu32 " %u times", n, key, met[key]);
}

static void churn_pointer(struct race_worker *worker, uint32_t key)
{
	struct idmap_ids value = { { 0 } };
	int err;

	/* elsewhere others store into the entry */
	if (worker->m.kind->reuse != USERMAP_REUSE_GRACE || worker->m.kind->values != IDMAP_PLAIN)
		return;
	err = race_lookup_pointer(worker, key, &value.word[0]);
	found(worker, key, err, &value);
}

static void churn_remove(struct race_worker *worker, uint32_t key, bool take)
{
	struct idmap_ids value;
	int err = take ? race_take(worker, key, &value) : race_delete(worker, key);

	if (take)
		found(worker, key, err, &value);
	else if (err && err != -ENOENT)
		race_fail(worker, "delete of key %" PRIu32 ": %d", key, err);
}

static void churn_work(struct race_worker *worker)
{
	bool calm = worker->round % 4 == 3; /* a round of replacements: walks are exact */

	for (unsigned i = 0; i < ROUND; i++) {
		uint64_t random = race_random(worker);
		uint32_t key = 1 + (uint32_t)(random >> 32) % churn_keys(worker);
		struct idmap_ids value;
		int err;

		switch (random % 32) {
		case 0:
			churn_lookup_all(worker);
			break;
		case 1:
			churn_bulk(worker);
			break;
		case 2:
			if (calm)
				calm_walk(worker);
			else
				walk(worker);
			break;
		case 3 ... 4:
			churn_pointer(worker, key);
			break;
		case 5 ... 11:
			err = race_lookup(worker, key, &value);
			found(worker, key, err, &value);
			break;
		case 12 ... 14:
			churn_update(worker, key, BPF_EXIST);
			break;
		case 15 ... 16:
			churn_update(worker, key, calm ? BPF_EXIST : BPF_NOEXIST);
			break;
		case 17 ... 24:
			churn_update(worker, key, calm ? BPF_EXIST : BPF_ANY);
			break;
		default:
			if (!calm && key > PERMANENT)
				churn_remove(worker, key, random >> 20 & 1);
		}
	}
}

/* Walk, lookups, count and capacity agree: nothing lost, nothing double. */
static void churn_check(struct race_worker *worker)
{
	uint32_t live = 0, walked = walk(worker), added = 0;
	struct idmap_ids value;
	int err;

	for (uint32_t key = 1; key <= churn_keys(worker); key++) {
		err = race_lookup(worker, key, &value);
		found(worker, key, err, &value);
		if (met[key] != !err)
			race_fail(worker, "key %" PRIu32 ": lookup %d, %u times in the walk", key, err, met[key]);
		live += !err;
	}
	if (walked != live || idmap_count(&worker->m) != live)
		race_fail(worker, "%" PRIu32 " keys found, %" PRIu32 " walked, %" PRIu64 " counted", live, walked,
			  idmap_count(&worker->m));
	while (!(err = race_update(worker, FRESH + added, (uint64_t)(FRESH + added) << 48, BPF_NOEXIST)) &&
	       live + added <= worker->m.max_entries)
		added++;
	if (err != -E2BIG || live + added != worker->m.max_entries)
		race_fail(worker, "%" PRIu32 " entries fit, then %d", live + added, err);
	for (uint32_t i = 0; i < added; i++) {
		if (race_lookup(worker, FRESH + i, &value))
			race_fail(worker, "an entry of the full map isn't there");
		check_owner(worker, FRESH + i, &value);
		if (race_delete(worker, FRESH + i))
			race_fail(worker, "an entry of the full map can't be deleted");
	}
}

/* --- take: what lookup_and_delete gives is what the updates that returned OK stored last; each value once --- */

static uint32_t one_a_worker(unsigned n_workers, uint64_t random)
{
	(void)random;
	return n_workers;
}

static void note_value(struct race_worker *worker, uint64_t value)
{
	worker->arena->worker[worker->id].sum += race_scatter(value);
	worker->arena->worker[worker->id].n++;
}

static void taken(struct race_worker *worker, uint32_t key, const struct idmap_ids *value)
{
	check_owner(worker, key, value);
	note_value(worker, race_one_id(worker, key, value));
}

/* A worker with an even number updates its own key: it alone makes it. When it finds it gone, its last value was taken. */
static void take_update(struct race_worker *worker)
{
	uint32_t key = worker->id + 1;
	bool *present = &worker->arena->worker[worker->id].present;
	uint64_t *last = &worker->arena->worker[worker->id].last;

	for (unsigned i = 0; i < ROUND; i++) {
		uint64_t value = new_value(worker, key);
		uint64_t flags = *present ? BPF_EXIST : race_random(worker) & 1 ? BPF_ANY : BPF_NOEXIST;
		int err = race_update(worker, key, value, flags);

		if (!err) {
			*last = value;
			*present = true;
		} else if (err == -ENOENT && *present) {
			note_value(worker, *last);
			*present = false;
		} else {
			race_fail(worker, "update of the own key: %d", err);
		}
	}
}

static void take_work(struct race_worker *worker)
{
	struct idmap_ids value;

	if (worker->id % 2 == 0) {
		take_update(worker);
		return;
	}
	for (unsigned i = 0; i < ROUND; i++) {
		uint64_t random = race_random(worker);
		uint32_t key = 1 + (uint32_t)(random >> 32) % worker->n_workers;

		if (random % 16 == 0)
			race_batch(worker, true, taken);
		else if (!race_take(worker, key, &value))
			taken(worker, key, &value);
	}
}

/* What was taken against what was stored; then all begin at 0 again. excused: see race_excuse. */
static void compare_sums(struct race_worker *worker, const char *what)
{
	uint64_t stored = 0, n_stored = 0, got = 0, n_got = 0;
	struct race_arena *arena = worker->arena;

	for (unsigned id = 0; id < 2 || id < worker->n_workers; id++) {
		*(id % 2 ? &got : &stored) += arena->worker[id].sum;
		*(id % 2 ? &n_got : &n_stored) += arena->worker[id].n;
		arena->worker[id].sum = 0;
		arena->worker[id].n = 0;
	}
	if ((got != stored || n_got != n_stored) && !arena->excused)
		race_fail(worker, "%" PRIu64 " %s should have been taken, %" PRIu64 " were; the sums are %" PRIx64 ", %" PRIx64,
			  n_stored, what, n_got, stored, got);
}

static void take_check(struct race_worker *worker)
{
	struct race_arena *arena = worker->arena;
	uint64_t value;

	for (unsigned id = 0; id < worker->n_workers; id += 2) {
		if (!arena->worker[id].present)
			continue;
		arena->worker[id].present = false;
		if (!race_take_one(worker, id + 1, &value)) {
			if (value != arena->worker[id].last)
				race_fail(worker, "key %u: %" PRIx64 " was stored last, %" PRIx64 " is there", id + 1,
					  arena->worker[id].last, value);
		} else {
			arena->worker[id].sum += race_scatter(arena->worker[id].last);
			arena->worker[id].n++;
		}
	}
	compare_sums(worker, "values");
}

/* --- add: what lookup_and_delete gives of counters is what was added to them --- */

#define COUNTERS 3u
#define COUNTER_ID 1 /* counters are made as this id, and count on from there */

static uint32_t add_max_entries(unsigned n_workers, uint64_t random)
{
	(void)n_workers;
	return COUNTERS + (uint32_t)(random & 1);
}

static void add_to(struct race_worker *worker, uint32_t key, uint64_t delta)
{
	int err = race_checked(worker, "percpu_add", idmap_add(&worker->m, key, delta));

	if (!err) {
		worker->arena->worker[worker->id].sum += delta;
		worker->sequence++;
		return;
	}
	if (err == -ENOENT)
		err = race_update(worker, key, COUNTER_ID, BPF_NOEXIST);
	if (err && err != -EEXIST)
		race_fail(worker, "a counter: %d", err);
}

static void taken_counter(struct race_worker *worker, uint32_t key, const struct idmap_ids *value)
{
	(void)key;
	for (unsigned i = 0; i < idmap_words(worker->m.kind); i++)
		worker->arena->worker[worker->id].sum += value->word[i] - COUNTER_ID;
}

static void add_work(struct race_worker *worker)
{
	for (unsigned i = 0; i < ROUND; i++) {
		uint64_t random = race_random(worker);
		uint32_t key = 1 + (uint32_t)(random >> 32) % COUNTERS;
		struct idmap_ids value;

		if (worker->id % 2 == 0)
			add_to(worker, key, 1 + random % 100);
		else if (random % 16 == 0)
			race_batch(worker, true, taken_counter);
		else if (random % 2 && !race_take(worker, key, &value))
			taken_counter(worker, key, &value);
	}
}

static void add_check(struct race_worker *worker)
{
	struct race_arena *arena = worker->arena;
	struct idmap_ids value;

	for (uint32_t key = 1; key <= COUNTERS; key++)
		if (!race_take(worker, key, &value))
			for (unsigned i = 0; i < idmap_words(worker->m.kind); i++) /* as if worker 1 had taken it */
				arena->worker[1].sum += value.word[i] - COUNTER_ID;
	compare_sums(worker, "counters");
}

/* --- full: each worker has at most one entry, and there is room for one each: never -E2BIG --- */

static void full_work(struct race_worker *worker)
{
	uint32_t key = worker->id + 1;
	uint64_t value;
	int err;

	for (unsigned i = 0; i < ROUND; i++) {
		uint64_t stored = new_value(worker, key);

		err = race_update(worker, key, stored, BPF_NOEXIST);
		if (err)
			race_fail(worker, "insert of the own key: %d", err);
		for (uint64_t replace = race_random(worker) % 4; replace; replace--) {
			stored = new_value(worker, key);
			err = race_update(worker, key, stored, replace & 1 ? BPF_ANY : BPF_EXIST);
			if (err)
				race_fail(worker, "replacing the own key: %d", err);
		}
		err = race_lookup_one(worker, key, &value);
		if (err || value != stored)
			race_fail(worker, "lookup of the own key: %d, %" PRIx64 " instead of %" PRIx64, err, value, stored);
		err = race_delete(worker, key);
		if (err)
			race_fail(worker, "delete of the own key: %d", err);
	}
}

static void full_check(struct race_worker *worker)
{
	if (idmap_count(&worker->m))
		race_fail(worker, "%" PRIu64 " entries are left", idmap_count(&worker->m));
	for (uint32_t key = 1; key <= worker->m.max_entries; key++)
		if (race_update(worker, key, new_value(worker, key), BPF_NOEXIST))
			race_fail(worker, "entry %" PRIu32 " doesn't fit", key);
	if (race_update(worker, FRESH, 1, BPF_ANY) != -E2BIG)
		race_fail(worker, "the full map took another entry");
	for (uint32_t key = 1; key <= worker->m.max_entries; key++)
		race_delete(worker, key);
}

/* --- one: everybody stores one key into a map of one entry, somebody deletes it: never -E2BIG --- */

static uint32_t one_max_entries(unsigned n_workers, uint64_t random)
{
	(void)n_workers;
	(void)random;
	return 1;
}

static void one_work(struct race_worker *worker)
{
	for (unsigned i = 0; i < ROUND; i++) {
		int err = worker->id ? race_update(worker, 1, new_value(worker, 1), BPF_ANY) : race_delete(worker, 1);

		if (err && !(worker->id == 0 && err == -ENOENT))
			race_fail(worker, "%s: %d", worker->id ? "update" : "delete", err);
	}
}

static void one_check(struct race_worker *worker)
{
	struct idmap_ids value;
	int err = race_lookup(worker, 1, &value);

	if (idmap_count(&worker->m) != !err || (err && race_update(worker, 1, 1, BPF_NOEXIST)) ||
	    race_update(worker, 2, 1, BPF_ANY) != -E2BIG)
		race_fail(worker, "the map doesn't hold exactly one entry");
}

/* --- burst: short recorded histories are linearizable --- */

#define BURST_KEYS 3
#define BURST_WORKERS 6

static uint32_t burst_max_entries(unsigned n_workers, uint64_t random)
{
	(void)n_workers;
	return 2 + (uint32_t)(random & 1); /* with room for all three keys, or not */
}

static uint64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static unsigned burst_workers(const struct race_worker *worker)
{
	return worker->n_workers < BURST_WORKERS ? worker->n_workers : BURST_WORKERS;
}

static unsigned burst_length(const struct race_worker *worker)
{
	return (HISTORY_OPS - BURST_KEYS) / burst_workers(worker) < 10
		       ? (HISTORY_OPS - BURST_KEYS) / burst_workers(worker)
		       : 10;
}

static void burst_operation(struct race_worker *worker, struct history_op *op, uint64_t random)
{
	struct idmap_ids value = { { 0 } };

	switch (random % 8) {
	case 0 ... 2:
		op->kind = HISTORY_UPDATE;
		op->flags = random % 8; /* BPF_ANY, BPF_NOEXIST, BPF_EXIST */
		value = idmap_ids_of(worker->m.kind, new_value(worker, op->key + 1));
		op->result = race_update(worker, op->key + 1, value.word[0], op->flags);
		break;
	case 3 ... 4:
		op->kind = HISTORY_DELETE;
		op->result = race_delete(worker, op->key + 1);
		break;
	case 5:
		op->kind = HISTORY_TAKE;
		op->result = race_take(worker, op->key + 1, &value);
		break;
	default:
		op->kind = HISTORY_LOOKUP;
		op->result = race_lookup(worker, op->key + 1, &value);
	}
	memcpy(op->value, value.word, sizeof(op->value));
}

static void burst_work(struct race_worker *worker)
{
	unsigned length = burst_length(worker);

	if (worker->id >= burst_workers(worker))
		return;
	for (unsigned i = 0; i < length; i++) {
		struct history_op *op = &worker->arena->history.op[worker->id * length + i];
		uint64_t random = race_random(worker);
		unsigned key = (unsigned)(random >> 32) % BURST_KEYS;

		*op = (struct history_op){ .thread = worker->id, .key = key };
		op->called = nanoseconds();
		burst_operation(worker, op, random);
		op->returned = nanoseconds();
	}
}

static void burst_check(struct race_worker *worker)
{
	struct history *history = &worker->arena->history;
	enum history_verdict verdict;
	struct idmap_ids value;

	history->words = idmap_words(worker->m.kind);
	history->n = burst_workers(worker) * burst_length(worker);
	history->max_entries = worker->m.max_entries;
	for (unsigned key = 0; key < BURST_KEYS; key++) {
		struct history_op *op = &history->op[history->n++];

		*op = (struct history_op){ .kind = HISTORY_TAKE, .thread = worker->n_workers, .key = key };
		op->called = nanoseconds();
		op->result = race_take(worker, key + 1, &value);
		memcpy(op->value, value.word, sizeof(op->value));
		op->returned = nanoseconds();
	}
	verdict = history_check(history);
	if (verdict != HISTORY_OK && !worker->arena->excused) {
		history_print(history, stdout);
		race_fail(worker, verdict == HISTORY_WRONG ? "the history is not linearizable"
							   : "the history is too hard to judge");
	}
}

const struct race_test race_tests[] = {
	{ "churn", churn_max_entries, churn_work, churn_check, churn_prepare, IDMAP_PLAIN, NULL, false },
	{ "take", one_a_worker, take_work, take_check, NULL, IDMAP_PLAIN, NULL, false },
	{ "add", add_max_entries, add_work, add_check, NULL, IDMAP_PERCPU, NULL, false },
	{ "full", one_a_worker, full_work, full_check, NULL, IDMAP_PLAIN, NULL, false },
	{ "one", one_max_entries, one_work, one_check, NULL, IDMAP_PLAIN, NULL, false },
	{ "burst", burst_max_entries, burst_work, burst_check, NULL, IDMAP_PLAIN, NULL, false },
};

const unsigned n_race_tests = sizeof(race_tests) / sizeof(race_tests[0]);
