/* SPDX-License-Identifier: MIT */
/*
 * The races on maps that evict. An entry may go at any time, but only by an eviction, which private maps tell of; and none
 * goes unless others come.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>

#include "race.h"

#define OPERATIONS 300 /* of a worker between two checks */

/* Few entries for many workers, so that they fight for them; more; and enough for the kernel's targets to matter. */
static uint32_t few_entries(unsigned n_workers, uint64_t random)
{
	switch (random % 5) {
	case 0:
		return 1 + (uint32_t)(random >> 8) % 4;
	case 1:
		return n_workers;
	case 2:
		return 2 * n_workers + 1;
	default:
		return 8 * (n_workers < 8 ? 8 : n_workers);
	}
}

static uint32_t n_keys(const struct race_worker *worker)
{
	uint32_t n = 2 * worker->m.max_entries + worker->n_workers;

	return n < RACE_KEYS ? n : RACE_KEYS;
}

/* Whether so few elements are in reach that the other workers' updates may have them all in hand, so that one gets none. */
static bool scarce(const struct race_worker *worker)
{
	bool shares = worker->m.kind->map_flags & BPF_F_NO_COMMON_LRU;

	return worker->m.max_entries / (shares ? IDMAP_CPUS : 1) < worker->n_workers;
}

/* Moves the thread to another CPU now and then: its elements stay behind, on the old one's lists. */
static void roam(struct race_worker *worker, bool home)
{
	static _Thread_local cpu_set_t all;
	static _Thread_local bool known;
	unsigned skip;
	cpu_set_t one;
	size_t at = 0;

	if (!known && sched_getaffinity(0, sizeof(all), &all))
		return;
	known = true;
	if (home) {
		sched_setaffinity(0, sizeof(all), &all);
		return;
	}
	for (skip = (unsigned)race_random(worker) % (unsigned)CPU_COUNT(&all); skip || !CPU_ISSET(at, &all); at++)
		skip -= CPU_ISSET(at, &all) != 0;
	CPU_ZERO(&one);
	CPU_SET(at, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static int update(struct race_worker *worker, uint32_t key, uint64_t value, uint64_t flags)
{
	int err;

	worker->updates_since = race_milliseconds();
	err = idmap_update(&worker->m, key, value, flags);
	if (err == -ENOMEM && scarce(worker))
		return err;
	if (err == -E2BIG)
		race_fail(worker, "a map that evicts is full");
	return race_checked(worker, "update", err);
}

/* Walk, lookups and count agree, and there are no more entries than may be. */
static uint32_t check_contents(struct race_worker *worker)
{
	static bool met[RACE_KEYS + 1];
	uint32_t key = 0, walked = 0, live = 0;
	struct idmap_ids value;
	int err;

	for (uint32_t i = 1; i <= RACE_KEYS; i++)
		met[i] = false;
	while (!race_checked(worker, "get_next_key", idmap_next(&worker->m, &key)) && walked++ < 2 * RACE_KEYS) {
		if (!key || key > n_keys(worker) || met[key])
			race_fail(worker, "a walk gave key %" PRIu32 ", a strange one or twice", key);
		met[key] = true;
	}
	for (key = 1; key <= n_keys(worker); key++) {
		err = race_lookup(worker, key, &value);
		if (met[key] != !err)
			race_fail(worker, "key %" PRIu32 ": lookup %d, %u times in the walk", key, err, met[key]);
		live += !err;
	}
	if (walked != live || live != idmap_count(&worker->m) || live > worker->m.max_entries)
		race_fail(worker, "%" PRIu32 " keys found, %" PRIu32 " walked, %" PRIu64 " counted", live, walked,
			  idmap_count(&worker->m));
	return live;
}

static uint64_t evictions(const struct race_worker *worker)
{
	struct usermap_info info = { .sz = sizeof(info) };

	usermap_get_info(worker->m.map, &info);
	return info.evictions;
}

static void own_words(struct race_worker *worker, uint32_t key, const struct idmap_ids *value, const char *where)
{
	for (unsigned i = 0; i < idmap_words(worker->m.kind); i++)
		if (value->word[i] >> 48 != key)
			race_fail(worker, "%s: key %" PRIu32 " has %" PRIx64 ", another's value", where, key,
				  value->word[i]);
}

static uint64_t new_value(struct race_worker *worker, uint32_t key)
{
	return (uint64_t)key << 48 | (uint64_t)worker->id << 40 | ++worker->sequence;
}

/* --- cache: everybody looks all keys up, and inserts what isn't there --- */

static void cached(struct race_worker *worker, uint32_t key, const struct idmap_ids *value)
{
	own_words(worker, key, value, "a batch");
}

static void cache_bulk(struct race_worker *worker, uint32_t first)
{
	struct idmap_ids values[16];
	uint32_t keys[16];

	for (uint32_t i = 0; i < 16; i++)
		keys[i] = first + i;
	race_checked(worker, "lookup_bulk", idmap_bulk(&worker->m, keys, values, 16));
	for (uint32_t i = 0; i < 16; i++)
		if (values[i].word[0])
			own_words(worker, keys[i], &values[i], "lookup_bulk");
}

static void cache_get(struct race_worker *worker, uint32_t key, bool by_program)
{
	struct idmap_ids value;

	if (by_program)
		idmap_use(&worker->m, key);
	if (!race_lookup(worker, key, &value))
		own_words(worker, key, &value, "lookup");
	else
		update(worker, key, new_value(worker, key), BPF_NOEXIST);
}

static void cache_take(struct race_worker *worker, uint32_t key)
{
	struct idmap_ids value;

	if (!race_take(worker, key, &value))
		own_words(worker, key, &value, "lookup_and_delete");
}

static void cache_operation(struct race_worker *worker, uint32_t key, unsigned what)
{
	if (what == 0)
		roam(worker, false);
	else if (what == 1)
		race_batch(worker, key == 1, cached);
	else if (what == 2)
		cache_bulk(worker, key);
	else if (what < 6)
		race_delete(worker, key);
	else if (what < 8)
		cache_take(worker, key);
	else if (what < 16)
		update(worker, key, new_value(worker, key), what % 3);
	else
		cache_get(worker, key, what % 2);
}

static void cache_work(struct race_worker *worker)
{
	for (unsigned i = 0; i < OPERATIONS; i++) {
		uint64_t random = race_random(worker);
		/* half of the keys are asked for often */
		uint32_t n = random & 1024 ? n_keys(worker) : n_keys(worker) / 2;

		cache_operation(worker, 1 + (uint32_t)(random >> 32) % n, random % 64);
		if (i % 100 == 0 && idmap_count(&worker->m) > worker->m.max_entries)
			race_fail(worker, "%" PRIu64 " entries", idmap_count(&worker->m));
	}
	roam(worker, true);
}

static void cache_evicted(struct race_worker *worker, uint32_t key, const struct idmap_ids *value)
{
	own_words(worker, key, value, "an eviction");
}

static void cache_check(struct race_worker *worker)
{
	check_contents(worker);
}

/* --- ledger: each key has one worker that knows its value: no key is lost that was not evicted, none is evicted twice --- */

static void ledger_evicted(struct race_worker *worker, uint32_t key, const struct idmap_ids *value)
{
	own_words(worker, key, value, "an eviction");
	worker->arena->worker[worker->id].evicted.sum += race_scatter(race_one_id(worker, key, value));
	worker->arena->worker[worker->id].evicted.n++;
}

static void gone(struct race_worker *worker, uint32_t key)
{
	struct race_arena *arena = worker->arena;

	arena->key[key].present = false;
	arena->worker[worker->id].gone.sum += race_scatter(arena->key[key].last);
	arena->worker[worker->id].gone.n++;
}

static void stored(struct race_worker *worker, uint32_t key, uint64_t value, bool new)
{
	worker->arena->key[key].last = value;
	worker->arena->key[key].present = true;
	worker->arena->worker[worker->id].inserted += new;
}

static void removed(struct race_worker *worker, uint32_t key)
{
	worker->arena->key[key].present = false;
	worker->arena->worker[worker->id].removed++;
}

static void is_last(struct race_worker *worker, uint32_t key, const struct idmap_ids *value)
{
	uint64_t id = race_one_id(worker, key, value);

	if (id != worker->arena->key[key].last && !worker->arena->excused)
		race_fail(worker, "key %" PRIu32 ": %" PRIx64 " was stored last, %" PRIx64 " is there", key,
			  worker->arena->key[key].last, id);
}

/* What the owner's operation said of a key that it believes to be there. */
static void ledger_present(struct race_worker *worker, uint32_t key, unsigned what)
{
	uint64_t value = new_value(worker, key);
	struct idmap_ids found;
	int err;

	switch (what) {
	case 0:
		err = race_delete(worker, key);
		if (!err)
			removed(worker, key);
		break;
	case 1:
		err = race_take(worker, key, &found);
		if (!err) {
			is_last(worker, key, &found);
			removed(worker, key);
		}
		break;
	case 2 ... 3:
		err = race_lookup(worker, key, &found);
		if (!err)
			is_last(worker, key, &found);
		break;
	case 4 ... 5:
		err = update(worker, key, value, BPF_EXIST);
		if (!err)
			stored(worker, key, value, false);
		break;
	default:
		err = update(worker, key, value, BPF_NOEXIST);
		if (!err) {
			gone(worker, key);
			stored(worker, key, value, true);
		}
		if (err == -EEXIST || err == -ENOMEM)
			return;
	}
	if (err == -ENOENT)
		gone(worker, key);
	else if (err && !(err == -ENOMEM && what >= 4))
		race_fail(worker, "the own key %" PRIu32 ", %u: %d", key, what, err);
}

/* Of one that it knows not to be there. */
static void ledger_absent(struct race_worker *worker, uint32_t key, unsigned what)
{
	uint64_t value = new_value(worker, key);
	struct idmap_ids found;
	int err, expected = what < 3 ? -ENOENT : 0;

	err = what == 0	  ? race_delete(worker, key)
	      : what == 1 ? race_lookup(worker, key, &found)
	      : what == 2 ? update(worker, key, value, BPF_EXIST)
			  : update(worker, key, value, what % 2 ? BPF_ANY : BPF_NOEXIST);
	if (!err && what >= 3)
		stored(worker, key, value, true);
	if (err != expected && !(err == -ENOMEM && what >= 2))
		race_fail(worker, "the own key %" PRIu32 ", which is absent, %u: %d", key, what, err);
}

static void ledger_work(struct race_worker *worker)
{
	for (unsigned i = 0; i < OPERATIONS; i++) {
		uint64_t random = race_random(worker);
		uint32_t key = 1 + worker->id +
			       (uint32_t)(random >> 32) % (n_keys(worker) / worker->n_workers) * worker->n_workers;

		if (random >> 20 & 1)
			idmap_use(&worker->m, 1 + (uint32_t)(random >> 24) % n_keys(worker));
		if (random % 64 == 0)
			roam(worker, false);
		if (worker->arena->key[key].present)
			ledger_present(worker, key, random >> 8 & 7);
		else
			ledger_absent(worker, key, random >> 8 & 7);
	}
	roam(worker, true);
}

static void ledger_check(struct race_worker *worker)
{
	struct race_tally all = { 0, 0 }, told = { 0, 0 };
	uint64_t inserted = 0, n_removed = 0;
	uint32_t live = check_contents(worker);

	for (uint32_t key = 1; key <= n_keys(worker); key++) {
		struct idmap_ids value;
		int err = race_lookup(worker, key, &value);

		if (!err && !worker->arena->key[key].present)
			race_fail(worker, "key %" PRIu32 " came back", key);
		if (!err)
			is_last(worker, key, &value);
		else if (worker->arena->key[key].present)
			gone(worker, key);
	}
	for (unsigned id = 0; id < worker->n_workers; id++) {
		all.n += worker->arena->worker[id].gone.n;
		all.sum += worker->arena->worker[id].gone.sum;
		told.n += worker->arena->worker[id].evicted.n;
		told.sum += worker->arena->worker[id].evicted.sum;
		inserted += worker->arena->worker[id].inserted;
		n_removed += worker->arena->worker[id].removed;
	}
	if (evictions(worker) != all.n || inserted - n_removed - live != all.n)
		race_fail(worker,
			  "%" PRIu64 " entries went by themselves, %" PRIu64 " by eviction; %" PRIu64 " came, %" PRIu64
			  " were removed, %" PRIu32 " are there",
			  all.n, evictions(worker), inserted, n_removed, live);
	if (worker->m.kind->memory == USERMAP_MEMORY_PRIVATE && (told.n != all.n || told.sum != all.sum) &&
	    !worker->arena->excused)
		race_fail(worker,
			  "%" PRIu64 " entries went, the map told of %" PRIu64 "; the sums are %" PRIx64 ", %" PRIx64,
			  all.n, told.n, all.sum, told.sum);
	worker->arena->worker[0].evicted.sum += all.sum - told.sum; /* what is excused isn't missed later */
}

/* --- sums: what is added to counters is there in the end, or was told of when the counter was evicted --- */

#define COUNTER_ID 1 /* counters are made as this id, and count on from there */

static void count(struct race_worker *worker, uint32_t key, const struct idmap_ids *value)
{
	(void)key;
	for (unsigned i = 0; i < idmap_words(worker->m.kind); i++)
		worker->arena->worker[worker->id].evicted.sum += value->word[i] - COUNTER_ID;
}

static void sums_work(struct race_worker *worker)
{
	for (unsigned i = 0; i < OPERATIONS; i++) {
		uint64_t random = race_random(worker), delta = 1 + random % 100;
		uint32_t key = 1 + (uint32_t)(random >> 32) % n_keys(worker);
		struct idmap_ids value;
		int err;

		if (random % 64 == 0)
			roam(worker, false);
		err = race_checked(worker, "percpu_add", idmap_add(&worker->m, key, delta));
		if (!err)
			worker->arena->worker[worker->id].gone.sum += delta;
		else if (err == -ENOENT)
			err = update(worker, key, COUNTER_ID, BPF_NOEXIST);
		if (err && err != -EEXIST && err != -ENOMEM)
			race_fail(worker, "a counter: %d", err);
		if ((random >> 16) % 32 == 0 && !race_take(worker, key, &value))
			count(worker, key, &value);
		worker->sequence++;
	}
	roam(worker, true);
}

static void sums_check(struct race_worker *worker)
{
	uint64_t added = 0, there = 0;
	struct idmap_ids value;

	check_contents(worker);
	for (uint32_t key = 1; key <= n_keys(worker); key++)
		if (!race_take(worker, key, &value))
			count(worker, key, &value);
	for (unsigned id = 0; id < worker->n_workers; id++) {
		added += worker->arena->worker[id].gone.sum;
		there += worker->arena->worker[id].evicted.sum;
		worker->arena->worker[id].gone.sum = worker->arena->worker[id].evicted.sum = 0;
	}
	if (added != there && !worker->arena->excused)
		race_fail(worker, "%" PRIu64 " was added, %" PRIu64 " was there", added, there);
}

const struct race_test race_evict_tests[] = {
	{ "cache", few_entries, cache_work, cache_check, NULL, IDMAP_PLAIN, cache_evicted, false },
	{ "ledger", few_entries, ledger_work, ledger_check, NULL, IDMAP_PLAIN, ledger_evicted, false },
	{ "sums", few_entries, sums_work, sums_check, NULL, IDMAP_PERCPU, count, true },
};

const unsigned n_race_evict_tests = sizeof(race_evict_tests) / sizeof(race_evict_tests[0]);
