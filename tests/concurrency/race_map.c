/* SPDX-License-Identifier: MIT */
/* The map's operations as races use them: what no race may cause ends the run. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <time.h>
#include <usermap/helper.h>

#include "race.h"

#define RACE_PATIENCE_MS 15 /* half of the library's */

int race_checked(struct race_worker *worker, const char *what, int err)
{
	if (err == -EBUSY || err == -ENOMEM || err == -EPROTO)
		race_fail(worker, "%s returned %d", what, err);
	if (err == IDMAP_TORN)
		race_fail(worker, "%s gave bytes that are not one key's or value's", what);
	return err;
}

/* A number of its own, so that what the test does follows from the seed, whatever the kind of map. */
static uint64_t lock_or_not(const struct race_worker *worker)
{
	static _Thread_local uint32_t n;

	n = n * 1664525 + 1013904223;
	return worker->m.kind->values == IDMAP_LOCKED && n >> 31 ? BPF_F_LOCK : 0;
}

int race_delete(struct race_worker *worker, uint32_t key)
{
	return race_checked(worker, "delete", idmap_delete(&worker->m, key));
}

uint64_t race_milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void race_excuse(struct race_worker *worker, uint64_t since)
{
	if (worker->m.kind->values == IDMAP_PERCPU && race_milliseconds() - since > RACE_PATIENCE_MS)
		worker->arena->excused = true;
}

int race_update(struct race_worker *worker, uint32_t key, uint64_t value, uint64_t flags)
{
	uint64_t since;
	int err;

	flags |= lock_or_not(worker);
	do {
		since = race_milliseconds();
		err = idmap_update(&worker->m, key, value, flags);
	} while (err == -E2BIG && race_milliseconds() - since > RACE_PATIENCE_MS);
	return race_checked(worker, "update", err);
}

int race_lookup(struct race_worker *worker, uint32_t key, struct idmap_ids *value)
{
	return race_checked(worker, "lookup", idmap_get(&worker->m, key, false, lock_or_not(worker), value));
}

int race_take(struct race_worker *worker, uint32_t key, struct idmap_ids *value)
{
	uint64_t since = race_milliseconds();
	int err = idmap_get(&worker->m, key, true, lock_or_not(worker), value);

	race_excuse(worker, since);
	return race_checked(worker, "lookup_and_delete", err);
}

uint64_t race_one_id(struct race_worker *worker, uint32_t key, const struct idmap_ids *value)
{
	for (unsigned i = 1; i < idmap_words(worker->m.kind); i++)
		if (value->word[i] != value->word[0] && !worker->arena->excused)
			race_fail(worker, "key %" PRIu32 " has the words of two values, %" PRIx64 " and %" PRIx64, key,
				  value->word[0], value->word[i]);
	return value->word[0];
}

int race_lookup_one(struct race_worker *worker, uint32_t key, uint64_t *value)
{
	struct idmap_ids ids;
	int err = race_lookup(worker, key, &ids);

	*value = race_one_id(worker, key, &ids);
	return err;
}

int race_take_one(struct race_worker *worker, uint32_t key, uint64_t *value)
{
	struct idmap_ids ids;
	int err = race_take(worker, key, &ids);

	*value = race_one_id(worker, key, &ids);
	return err;
}

int race_lookup_pointer(struct race_worker *worker, uint32_t key, uint64_t *value)
{
	const void *p;

	usermap_read_lock();
	p = idmap_pointer(&worker->m, key);
	if (p && worker->m.kind->value_size <= 8) {
		/* relaxed: others may store it in place, as one word */
		*value = atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed);
	} else if (p) {
		uint64_t again;

		race_checked(worker, "a pointer", idmap_value_of(&worker->m, p, value));
		race_checked(worker, "a pointer", idmap_value_of(&worker->m, p, &again));
		if (again != *value)
			race_fail(worker, "a pointer's entry changed inside its section");
	}
	usermap_read_unlock();
	return p ? 0 : -ENOENT;
}

struct visit {
	struct race_worker *worker;
	void (*each)(struct race_worker *worker, uint32_t key, const struct idmap_ids *value);
};

static void visit(void *context, uint32_t key, const struct idmap_ids *value)
{
	struct visit *v = context;

	v->each(v->worker, key, value);
}

void race_batch(struct race_worker *worker, bool take,
		void (*each)(struct race_worker *worker, uint32_t key, const struct idmap_ids *value))
{
	struct visit context = { worker, each };
	uint64_t since = race_milliseconds();
	int err = idmap_batch(&worker->m, take, lock_or_not(worker), visit, &context);

	if (take)
		race_excuse(worker, since);
	if (race_checked(worker, "a batch", err))
		race_fail(worker, "a batch returned %d", err);
}
