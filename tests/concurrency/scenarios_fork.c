/* SPDX-License-Identifier: MIT */
/*
 * fork() at bad moments, and signal handlers that interrupt the engine.
 *
 * A child's checks end it with a distinct status: cmocka's own failure would run the parent's remaining tests in the child.
 */
#include "scenario.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <usermap/helper.h>

#include "core/reclaim.h"

#define KEYS 12
#define MAX_ENTRIES 16

/* Forks; the child runs `check`, which gives NULL or what is wrong. The parent passes that on. */
static void in_child(const char *(*check)(void *context), void *context, const char *where)
{
	int status, pipe_fd[2];
	char text[256] = "";
	pid_t pid;

	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		const char *wrong;

		alarm(60); /* a child that hangs is killed by the signal */
		wrong = check(context);
		if (wrong)
			dprintf(pipe_fd[1], "%s", wrong);
		_exit(wrong != NULL);
	}
	close(pipe_fd[1]);
	if (read(pipe_fd[0], text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(pipe_fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		fail_msg("%s: the child says \"%s\", status %x", where, text, (unsigned)status);
}

struct forked {
	struct idmap m;
	uint32_t keys[KEYS];
};

static const char *use_and_judge(void *context)
{
	struct forked *f = context;
	uint64_t value;

	for (uint32_t i = 0; i < 4; i++)
		if (idmap_update(&f->m, f->keys[i], 50 + i, BPF_ANY) || idmap_lookup(&f->m, f->keys[i], &value) ||
		    value != 50 + i)
			return "an update or lookup failed";
	if (idmap_delete(&f->m, f->keys[0]) || idmap_take(&f->m, f->keys[1], &value) || value != 51)
		return "a delete failed";
	return whole_judge(&f->m, f->keys, KEYS);
}

/* fork() waits for the readers of a grace period that is in progress; no such reader may be stopped then. So: until none is in
 * progress nor about to begin. */
static void let_grace_periods_end(void)
{
	do
		reclaim_wait();
	while (!reclaim_rests());
}

static void make(struct forked *f, const struct idmap_kind *kind)
{
	uint64_t value;

	idmap_create(&f->m, kind, MAX_ENTRIES);
	scenario_keys_of_one_line(&f->m, 1, f->keys, KEYS);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(idmap_update(&f->m, f->keys[i], i + 1, BPF_NOEXIST), 0);
	assert_int_equal(idmap_update(&f->m, f->keys[5], 5, BPF_NOEXIST), 0);
	assert_int_equal(idmap_take(&f->m, f->keys[5], &value), 0); /* drained: see scenarios.c */
	let_grace_periods_end();
}

static const struct scenario_op ops[] = {
	{ .kind = OP_UPDATE, .key = 6, .value = 1, .flags = BPF_NOEXIST }, { .kind = OP_UPDATE, .key = 2, .value = 1 },
	{ .kind = OP_DELETE, .key = 2 }, { .kind = OP_TAKE, .key = 2 }, { .kind = OP_TAKE_ALL },
	{ .kind = OP_UPDATE, .key = 2, .value = 1, .flags = BPF_EXIST | BPF_F_LOCK }, /* where values have a lock */
};

#define N_OPS (sizeof(ops) / sizeof(ops[0]))

static bool applies(const struct scenario_op *op, const struct idmap_kind *kind)
{
	return !(op->flags & BPF_F_LOCK) || kind->values == IDMAP_LOCKED;
}

/* The child of a private map has a whole copy, wherever another thread was writing; the parent's map is as good as before. */
static void fork_while_a_thread_writes_a_private_map(void **state)
{
	(void)state;
	for (unsigned k = 0; k < n_scenario_kinds; k++)
		for (unsigned i = 0; i < N_OPS && scenario_kinds[k].memory == USERMAP_MEMORY_PRIVATE; i++)
			for (unsigned skip = 0, more = applies(&ops[i], &scenario_kinds[k]); more; skip++) {
				struct scenario_op op = ops[i];
				struct stopped stopped;
				struct forked f;
				char where[64];

				make(&f, &scenario_kinds[k]);
				op.m = &f.m;
				op.key = f.keys[op.key];
				more = stop_start(&stopped, STOP_ANYWHERE, skip, scenario_run_op, &op);
				snprintf(where, sizeof(where), "%s, operation %u at point %u (%d)",
					 scenario_kinds[k].name, i, skip, (int)stopped.where);
				in_child(use_and_judge, &f, where);
				stop_finish(&stopped);
				assert_int_equal(op.result, 0);
				scenario_is_whole(&f.m, f.keys, KEYS, where);
				usermap_close(f.m.map);
			}
}

static const char *use_shared(void *context)
{
	struct forked *f = context;
	uint64_t value;

	for (uint32_t i = 0; i < 1000; i++)
		if (idmap_update(&f->m, f->keys[7], i, BPF_ANY) || idmap_delete(&f->m, f->keys[7]))
			return "a write to the shared map failed";
	if (idmap_update(&f->m, f->keys[8], 88, BPF_NOEXIST))
		return "an insert into the shared map failed";
	return idmap_lookup(&f->m, f->keys[0], &value) || value != 1 ? "an entry is missing" : NULL;
}

static bool fork_at_step(const struct idmap_kind *kind, const struct scenario_op *what, unsigned skip)
{
	struct scenario_op op = *what;
	struct stopped stopped;
	struct forked f;
	uint64_t value;
	bool more;

	make(&f, kind);
	op.m = &f.m;
	op.key = f.keys[op.key];
	more = stop_start(&stopped, STOP_ANYWHERE, skip, scenario_run_op, &op);
	in_child(use_shared, &f, "shared");
	assert_int_equal(idmap_lookup(&f.m, f.keys[8], &value), 0);
	assert_int_equal(value, 88);
	stop_finish(&stopped);
	assert_int_equal(op.result, 0);
	scenario_is_whole(&f.m, f.keys, KEYS, "shared, after a fork");
	usermap_close(f.m.map);
	return more;
}

/* A shared map stays shared: the child goes on although the parent's threads are stopped in it, and the parent sees it. */
static void fork_while_a_thread_writes_a_shared_map(void **state)
{
	(void)state;
	for (unsigned k = 0; k < n_scenario_kinds; k++)
		for (unsigned i = 0; i < N_OPS && scenario_kinds[k].memory == USERMAP_MEMORY_SHARED; i++)
			for (unsigned skip = 0; ops[i].kind == OP_UPDATE && applies(&ops[i], &scenario_kinds[k]); skip++)
				if (!fork_at_step(&scenario_kinds[k], &ops[i], skip))
					break;
}

struct churn {
	struct forked f;
	atomic_bool stop, started;
	pthread_t thread;
};

/* Replaces and deletes without end, so that grace periods are wanted all the time. */
static void *churn(void *context)
{
	struct churn *c = context;
	uint64_t value;

	for (uint64_t i = 0; !c->stop; i++) {
		idmap_update(&c->f.m, c->f.keys[9], i, BPF_ANY);
		if (i % 8 == 0)
			idmap_take(&c->f.m, c->f.keys[9], &value);
		c->started = i > 1000;
	}
	return NULL;
}

static const char *child_in_section(void *context)
{
	struct churn *c = context;

	/* the section was copied, too: it ends here, and others can follow */
	usermap_read_unlock();
	usermap_read_lock();
	if (!idmap_pointer(&c->f.m, c->f.keys[3]))
		return "the entry that nobody touches is missing";
	usermap_read_unlock();
	return use_and_judge(&c->f);
}

/* fork inside a read-side section, while another thread keeps the engine's grace periods going. */
static void fork_in_a_section_while_grace_periods_run(void **state)
{
	struct churn c = { .stop = false };

	(void)state;
	make(&c.f, &scenario_kinds[1]);
	assert_int_equal(pthread_create(&c.thread, NULL, churn, &c), 0);
	while (!c.started)
		sched_yield();
	for (unsigned i = 0; i < 50; i++) {
		const void *p;
		uint64_t value;

		usermap_read_lock();
		p = idmap_pointer(&c.f.m, c.f.keys[2]);
		assert_non_null(p);
		in_child(child_in_section, &c, "fork in a section");
		assert_int_equal(idmap_value_of(&c.f.m, p, &value), 0); /* the parent's section goes on */
		assert_int_equal(value, 3);
		usermap_read_unlock();
	}
	c.stop = true;
	pthread_join(c.thread, NULL);
	scenario_is_whole(&c.f.m, c.f.keys, KEYS, "after forks in sections");
	usermap_close(c.f.m.map);
}

struct interruption {
	struct forked *f, *other;
	const struct scenario_op *op;
	int same, elsewhere, lookup, lookup_same;
};

static void interrupt(void *context)
{
	struct interruption *i = context;
	uint64_t value;

	i->same = idmap_update(&i->f->m, i->f->keys[10], 1, BPF_ANY);
	i->elsewhere = idmap_update(&i->other->m, i->other->keys[10], 1, BPF_ANY);
	i->lookup = idmap_lookup(&i->f->m, i->f->keys[0], &value);
	i->lookup_same = idmap_lookup(&i->f->m, i->f->keys[2], &value);
}

/* What a signal handler may do at any step of an operation: write to other maps, look up; and be told -EBUSY by the map
 * itself, if it is a write that the handler interrupted, or -EDEADLK, if a value is locked by what it interrupted. */
static void a_handler_that_interrupts_a_write_is_told_ebusy(void **state)
{
	unsigned busy = 0, deadlocks = 0;

	(void)state;
	for (unsigned k = 0; k < n_scenario_kinds; k++)
		for (unsigned i = 0; i < N_OPS; i++)
			for (unsigned skip = 0, more = applies(&ops[i], &scenario_kinds[k]); more; skip++) {
				struct scenario_op op = ops[i];
				struct forked f, other;
				struct interruption context = { .f = &f, .other = &other, .op = &op };

				make(&f, &scenario_kinds[k]);
				make(&other, &scenario_kinds[k]);
				op.m = &f.m;
				op.key = f.keys[op.key];
				stop_call_at_point(skip, interrupt, &context);
				scenario_run_op(&op);
				more = stop_called();
				assert_int_equal(op.result, 0);
				if (more) {
					assert_true(context.same == -EBUSY || context.same == 0);
					busy += context.same == -EBUSY;
					assert_int_equal(context.elsewhere, 0);
					assert_true(context.lookup == 0 || op.kind == OP_TAKE_ALL);
					deadlocks += context.lookup_same == -EDEADLK;
					assert_true(context.lookup_same == 0 || context.lookup_same == -ENOENT ||
						    (context.lookup_same == -EDEADLK && op.flags & BPF_F_LOCK));
				}
				scenario_is_whole(&f.m, f.keys, KEYS, "after an interruption");
				scenario_is_whole(&other.m, other.keys, KEYS, "the handler's map");
				usermap_close(f.m.map);
				usermap_close(other.m.map);
			}
	assert_true(busy > 50);
	assert_true(deadlocks > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fork_while_a_thread_writes_a_private_map),
		cmocka_unit_test(fork_while_a_thread_writes_a_shared_map),
		cmocka_unit_test(fork_in_a_section_while_grace_periods_run),
		cmocka_unit_test(a_handler_that_interrupts_a_write_is_told_ebusy),
	};

	return cmocka_run_group_tests_name("fork and signals", tests, NULL, NULL);
}
