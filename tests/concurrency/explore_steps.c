/* SPDX-License-Identifier: MIT */
/* The steps of a scenario's threads: each calls the map, and notes what it did as operations of the history. */
#include <errno.h>
#include <string.h>
#include <usermap/helper.h>

#include "explore.h"
#include "schedule.h"

/* By pointer, which must stay the same entry for the length of its section. */
static int get_by_pointer(struct experiment *x, uint32_t key_id, uint64_t *value)
{
	const void *p;
	uint64_t again;

	*value = 0;
	usermap_read_lock();
	p = idmap_pointer(&x->m, key_id);
	if (p && x->kind->value_size == 8) {
		*value = atomic_load((const _Atomic uint64_t *)p); /* others may store it in place */
	} else if (p) {
		if (idmap_value_of(&x->m, p, value))
			experiment_wrong(x, "a torn value behind a pointer");
		for (int i = 0; i < 6; i++) {
			schedule_point(false);
			if (idmap_value_of(&x->m, p, &again) || again != *value)
				experiment_wrong(x, "a pointer's entry changed inside its section");
		}
	}
	usermap_read_unlock();
	return p ? 0 : -ENOENT;
}

static void between_stores(void)
{
	schedule_point(false);
}

/* In which experiment the calling thread acts, and when its present operation began. */
static _Thread_local struct {
	struct experiment *x;
	unsigned thread;
	uint64_t began;
} acting;

void experiment_act(struct experiment *x, unsigned thread)
{
	acting.x = x;
	acting.thread = thread;
	acting.began = x ? experiment_now(x) : 0;
}

static struct history_op *add_op(struct experiment *x, unsigned thread, enum history_kind kind, unsigned key)
{
	struct history_op *op = &x->ops[thread].op[x->ops[thread].n];

	if (x->ops[thread].n == EXPERIMENT_OPS - 1)
		experiment_wrong(x, "more operations than there is room for");
	else
		x->ops[thread].n++;
	*op = (struct history_op){ .kind = kind, .thread = thread, .key = key };
	return op;
}

static struct history_op *begin(struct experiment *x, unsigned thread, enum history_kind kind, unsigned key)
{
	struct history_op *op = add_op(x, thread, kind, key);

	op->called = acting.began = experiment_now(x);
	return op;
}

void experiment_evicted(int err, uint32_t key_id, const struct idmap_ids *value)
{
	struct experiment *x = acting.x;
	struct history_op *op;
	unsigned key = 0;

	if (!x)
		return;
	while (key < HISTORY_KEYS && x->key_id[key] != key_id)
		key++;
	if (err || key == HISTORY_KEYS) {
		experiment_wrong(x, "something was evicted that nobody stored");
		return;
	}
	op = add_op(x, acting.thread, HISTORY_TAKE, key);
	memcpy(op->value, value->word, sizeof(op->value));
	op->called = acting.began;
	op->returned = experiment_now(x);
}

/* Notes what one call said of several keys: as many operations, which overlap each other entirely. */
static void note_many(struct experiment *x, unsigned thread, enum history_kind kind, uint64_t called,
		      const struct idmap_ids *value)
{
	unsigned first = x->ops[thread].n;

	for (unsigned key = 0; key < HISTORY_KEYS; key++) {
		bool there = value[key].word[0];
		struct history_op *op;

		if (!(x->used >> key & 1))
			continue;
		op = begin(x, thread, there ? kind : HISTORY_LOOKUP, key);
		memcpy(op->value, value[key].word, sizeof(op->value));
		op->result = there ? 0 : -ENOENT;
		op->called = called;
	}
	for (; first < x->ops[thread].n; first++)
		x->ops[thread].op[first].returned = experiment_now(x);
}

static void bulk(struct experiment *x, unsigned thread)
{
	uint64_t called = experiment_now(x);
	struct idmap_ids value[HISTORY_KEYS];
	int err = idmap_bulk(&x->m, x->key_id, value, HISTORY_KEYS);

	if (err)
		experiment_wrong(x, err == IDMAP_TORN ? "a torn value from lookup_bulk"
						      : "lookup_bulk marks what it doesn't count");
	note_many(x, thread, HISTORY_LOOKUP, called, value);
}

struct batch {
	struct experiment *x;
	struct idmap_ids value[HISTORY_KEYS];
};

static void batch_entry(void *context, uint32_t id, const struct idmap_ids *value)
{
	struct batch *batch = context;
	unsigned key = 0;

	while (key < HISTORY_KEYS && batch->x->key_id[key] != id)
		key++;
	if (key == HISTORY_KEYS || !(batch->x->used >> key & 1))
		experiment_wrong(batch->x, "a batch gave a key that nobody stored");
	else
		batch->value[key] = *value;
}

static void batch(struct experiment *x, unsigned thread, bool take, uint64_t flags)
{
	struct batch batch = { .x = x };
	uint64_t called = experiment_now(x);
	int err = idmap_batch(&x->m, take, flags, batch_entry, &batch);

	if (err)
		experiment_wrong(x, "a batch: %d%s", err, err == IDMAP_TORN ? " (torn)" : "");
	note_many(x, thread, take ? HISTORY_TAKE : HISTORY_LOOKUP, called, batch.value);
}

static void set_value(const struct experiment *x, struct history_op *op, uint64_t value)
{
	struct idmap_ids ids = idmap_ids_of(x->kind, value);

	memcpy(op->value, ids.word, sizeof(op->value));
}

/* The words of a per-CPU value that aren't in this CPU's slot. */
static unsigned other_slots(const struct experiment *x)
{
	unsigned n = x->kind->value_size / 8, slot = ((1u << n) - 1) << idmap_slot() * n;

	return ~slot;
}

static void run_update(struct experiment *x, struct history_op *op, const struct step *step, uint64_t lock,
		       uint64_t value)
{
	op->kind = HISTORY_UPDATE;
	op->flags = step->kind == STEP_NOEXIST				  ? BPF_NOEXIST
		    : step->kind == STEP_EXIST || step->kind == STEP_HOLD ? BPF_EXIST
									  : BPF_ANY;
	set_value(x, op, value);
	if (step->kind == STEP_HOLD) {
		op->result = idmap_hold(&x->m, x->key_id[step->key], value, between_stores);
	} else if (step->kind == STEP_SLOT) {
		op->kept = other_slots(x);
		op->result = idmap_update_slot(&x->m, x->key_id[step->key], value, BPF_ANY);
	} else {
		op->result = idmap_update(&x->m, x->key_id[step->key], value, op->flags | lock);
	}
	if (x->kind->eviction != IDMAP_KEEPS && (op->result == -E2BIG || op->result == -ENOMEM))
		experiment_wrong(x, "no room in a map that evicts: %d", op->result);
}

/* To the first word of this CPU's slot. */
static void run_add(struct experiment *x, struct history_op *op, unsigned key, uint64_t delta)
{
	op->kind = HISTORY_ADD;
	op->value[idmap_slot() * x->kind->value_size / 8] = delta;
	op->result = idmap_add(&x->m, x->key_id[key], delta);
}

static void run_get(struct experiment *x, struct history_op *op, const struct step *step, uint64_t lock)
{
	struct idmap_ids value = { { 0 } };
	bool take = step->kind == STEP_TAKE;

	op->kind = take ? HISTORY_TAKE : HISTORY_LOOKUP;
	if (step->kind == STEP_POINTER)
		op->result = get_by_pointer(x, x->key_id[step->key], &value.word[0]);
	else
		op->result = experiment_get(x, x->key_id[step->key], take, lock, &value);
	memcpy(op->value, value.word, sizeof(op->value));
}

static void run_step(struct experiment *x, unsigned thread, unsigned number, const struct step *step)
{
	const uint64_t lock = step->lock && x->kind->values == IDMAP_LOCKED ? BPF_F_LOCK : 0;
	struct history_op *op;

	if (step->kind == STEP_POINTER && (x->kind->reuse != USERMAP_REUSE_GRACE || x->kind->values == IDMAP_PERCPU))
		return;
	if (step->kind == STEP_USE) {
		idmap_use(&x->m, x->key_id[step->key]);
		return;
	}
	if (step->kind == STEP_BULK) {
		bulk(x, thread);
		return;
	}
	if (step->kind == STEP_LOOKUP_ALL || step->kind == STEP_TAKE_ALL) {
		batch(x, thread, step->kind == STEP_TAKE_ALL, lock);
		return;
	}
	op = begin(x, thread, HISTORY_DELETE, step->key);
	switch (step->kind) {
	case STEP_DELETE:
		op->result = idmap_delete(&x->m, x->key_id[step->key]);
		break;
	case STEP_LOOKUP:
	case STEP_TAKE:
	case STEP_POINTER:
		run_get(x, op, step, lock);
		break;
	case STEP_ADD:
		run_add(x, op, step->key, (thread + 1) * 10000);
		break;
	default:
		run_update(x, op, step, lock, (thread + 1) * 100 + number);
	}
	op->returned = experiment_now(x);
}

void experiment_run_thread(struct experiment *x, unsigned thread)
{
	experiment_act(x, thread);
	for (unsigned i = 0; i < SCENARIO_STEPS && x->scenario->thread[thread][i].kind; i++)
		run_step(x, thread, i, &x->scenario->thread[thread][i]);
	experiment_act(NULL, 0);
}
