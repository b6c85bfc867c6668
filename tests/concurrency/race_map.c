/* SPDX-License-Identifier: MIT */
/* The map's operations as races use them: what no race may cause ends the run. */
#include <errno.h>
#include <stdatomic.h>
#include <usermap/helper.h>

#include "race.h"

int race_checked(struct race_worker *worker, const char *what, int err)
{
	if (err == -EBUSY || err == -ENOMEM || err == -EPROTO)
		race_fail(worker, "%s returned %d", what, err);
	if (err == IDMAP_TORN)
		race_fail(worker, "%s gave bytes that are not one key's or value's", what);
	return err;
}

int race_update(struct race_worker *worker, uint32_t key, uint64_t value, uint64_t flags)
{
	return race_checked(worker, "update", idmap_update(&worker->m, key, value, flags));
}

int race_delete(struct race_worker *worker, uint32_t key)
{
	return race_checked(worker, "delete", idmap_delete(&worker->m, key));
}

int race_lookup(struct race_worker *worker, uint32_t key, uint64_t *value)
{
	return race_checked(worker, "lookup", idmap_lookup(&worker->m, key, value));
}

int race_take(struct race_worker *worker, uint32_t key, uint64_t *value)
{
	return race_checked(worker, "lookup_and_delete", idmap_take(&worker->m, key, value));
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
	void (*each)(struct race_worker *worker, uint32_t key, uint64_t value);
};

static void visit(void *context, uint32_t key, uint64_t value)
{
	struct visit *v = context;

	v->each(v->worker, key, value);
}

void race_batch(struct race_worker *worker, bool take, void (*each)(struct race_worker *worker, uint32_t key, uint64_t value))
{
	struct visit context = { worker, each };
	int err = race_checked(worker, "a batch", idmap_batch(&worker->m, take, visit, &context));

	if (err)
		race_fail(worker, "a batch returned %d", err);
}
