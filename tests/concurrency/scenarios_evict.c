/* SPDX-License-Identifier: MIT */
/*
 * Maps that evict, when a thread or a process stops, is killed, or forks in the middle of a write: at each of its test points
 * in turn. Nothing is lost for good: in the end the policy has every element to give, once.
 *
 * A child's judgement is its exit status: cmocka's own failure would run the parent's remaining tests in the child.
 */
#include "scenario.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "map/hash.h"
#include "map/hash_write.h"

#define MAX_ENTRIES 4
#define KEYS	    16
#define HANG	    60 /* seconds after which what should go on hasn't */
#define NEW_KEY	    20 /* ids from here on are of keys that come later */
#define FEW	    20 /* rounds of waiting for a stopped store: it won't end */

#define SHARED	USERMAP_MEMORY_SHARED
#define PRIVATE USERMAP_MEMORY_PRIVATE
#define AT_ONCE USERMAP_REUSE_AT_ONCE

static const struct idmap_kind kinds[] = {
	{ "lru-private-16", PRIVATE, AT_ONCE, 0, 8, 16, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-shared-16", SHARED, AT_ONCE, 0, 8, 16, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-shared-one-cpu-8", SHARED, AT_ONCE, BPF_F_ZERO_SEED, 8, 8, IDMAP_PLAIN, IDMAP_LRU_ONE },
	{ "lru-private-no-common-8", PRIVATE, AT_ONCE, BPF_F_NO_COMMON_LRU, 8, 8, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-shared-no-common-8", SHARED, AT_ONCE, BPF_F_NO_COMMON_LRU, 8, 8, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-percpu-private-8", PRIVATE, AT_ONCE, 0, 8, 8, IDMAP_PERCPU, IDMAP_LRU },
	{ "lru-percpu-shared-8", SHARED, AT_ONCE, 0, 8, 8, IDMAP_PERCPU, IDMAP_LRU },
	{ "s3fifo-private-8", PRIVATE, AT_ONCE, 0, 8, 8, IDMAP_PLAIN, IDMAP_S3FIFO },
	{ "s3fifo-shared-16", SHARED, AT_ONCE, 0, 8, 16, IDMAP_PLAIN, IDMAP_S3FIFO },
	{ "s3fifo-percpu-shared-8", SHARED, AT_ONCE, 0, 8, 8, IDMAP_PERCPU, IDMAP_S3FIFO },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* On a full map: keys 1 … MAX_ENTRIES came in this order. */
static const struct scenario_op ops[] = {
	{ .kind = OP_UPDATE, .key = NEW_KEY, .value = NEW_KEY },
	{ .kind = OP_UPDATE, .key = 2, .value = 2, .flags = BPF_NOEXIST }, /* fails, or not if it evicts the key */
	{ .kind = OP_UPDATE, .key = 3, .value = 3, .flags = BPF_EXIST },
	{ .kind = OP_DELETE, .key = 2 },
	{ .kind = OP_TAKE, .key = 1 },
	{ .kind = OP_TAKE_ALL },
};

#define N_OPS (sizeof(ops) / sizeof(ops[0]))

static void move_to_cpu(unsigned n)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(n % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &one);
	sched_setaffinity(0, sizeof(one), &one); /* where it can't be had: another one will do */
}

/* A full map, each CPU's doing, in which the first entry is hit. */
static void make_of(struct idmap *m, const struct idmap_kind *kind, uint32_t max_entries)
{
	idmap_create(m, kind, max_entries);
	for (uint32_t key = 1; key <= max_entries; key++) {
		move_to_cpu(key);
		assert_int_equal(idmap_update(m, key, key, BPF_NOEXIST), 0);
	}
	move_to_cpu(0);
	idmap_use(m, 1);
}

static void make(struct idmap *m, const struct idmap_kind *kind)
{
	make_of(m, kind, MAX_ENTRIES);
}

/* New keys come on every CPU, each with its value; NULL, or what is wrong. What they find at first may be anything. */
static const char *go_on(const struct idmap *m)
{
	uint64_t value;

	for (unsigned i = 0; i < 6 * MAX_ENTRIES; i++) {
		uint32_t key = NEW_KEY + 10 + i;

		move_to_cpu(i / 8);
		if (idmap_update(m, key, key, BPF_NOEXIST))
			return "a new key doesn't come in";
		if (idmap_lookup(m, key, &value) || value != key)
			return "a new key isn't there";
		if (i % 4 == 0 && idmap_delete(m, key))
			return "a new key can't be deleted";
	}
	return NULL;
}

/* And all the policy's elements are there, before others come and after. */
static const char *go_on_with_all(const struct idmap *m)
{
	const char *wrong = NULL;
	uint32_t n = 0;

	for (unsigned round = 0; round < 2 && !wrong; round++) {
		wrong = go_on(m);
		if (!wrong)
			wrong = whole_take_all(m, &n);
		if (!wrong && n != m->max_entries)
			wrong = "the policy doesn't give all elements";
		/* what a process leaves that is killed while it frees an element S3-FIFO doesn't count */
		if (!wrong && idmap_count(m) && m->kind->eviction != IDMAP_S3FIFO)
			wrong = "the count of the empty map isn't 0";
	}
	return wrong;
}

static const char *go_on_and_be_whole(const struct idmap *m)
{
	const char *wrong = go_on_with_all(m);

	return wrong ? wrong : whole_judge(m, NULL, 0);
}

/* What a killed process may leave: the kernel's LRU gets it all back, S3-FIFO every element. */
static const char *go_on_after_kill(const struct idmap *m)
{
	return m->kind->eviction == IDMAP_S3FIFO ? go_on_with_all(m) : go_on_and_be_whole(m);
}

static void must(const char *wrong, const struct idmap_kind *kind, size_t op, unsigned skip)
{
	if (wrong)
		fail_msg("%s, operation %zu at point %u: %s", kind->name, op, skip, wrong);
}

/* The test point at which this process ends, or stops. */
static struct {
	unsigned skip;
	int signal;
} end;

static void end_at_point(enum test_point point)
{
	(void)point;
	if (!end.skip--)
		raise(end.signal);
}

/* Runs the operation in a child that gets the signal at its test point `skip`. Its wait status. */
static int run_in_child(const struct scenario_op *op, unsigned skip, int signal, pid_t *pid)
{
	int status = 0;

	*pid = fork();
	if (!*pid) {
		struct scenario_op mine = *op;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(HANG);
		end.skip = skip;
		end.signal = signal;
		usermap_test_point = end_at_point;
		scenario_run_op(&mine);
		_exit(0);
	}
	assert_true(*pid > 0);
	assert_int_equal(waitpid(*pid, &status, WUNTRACED), *pid);
	return status;
}

static void kill_at_each_point(const struct idmap_kind *kind, uint32_t max_entries, size_t i)
{
	pid_t pid;

	for (unsigned skip = 0, killed = 1; killed; skip++) {
		struct scenario_op op = ops[i];
		struct idmap m;

		make_of(&m, kind, max_entries);
		op.m = &m;
		killed = WIFSIGNALED(run_in_child(&op, skip, SIGKILL, &pid));
		alarm(HANG);
		must(go_on_after_kill(&m), kind, i, skip);
		usermap_close(m.map);
		alarm(0);
	}
}

static void killed_anywhere_a_process_costs_no_element(void **state)
{
	(void)state;
	for (const struct idmap_kind *kind = kinds; kind < kinds + N_KINDS; kind++)
		for (size_t i = 0; i < N_OPS && kind->memory == SHARED; i++)
			kill_at_each_point(kind, MAX_ENTRIES, i);
}

/* The only element is another CPU's. */
static void killed_anywhere_a_thief_costs_no_element(void **state)
{
	(void)state;
	for (const struct idmap_kind *kind = kinds; kind < kinds + N_KINDS; kind++)
		if (kind->memory == SHARED)
			kill_at_each_point(kind, 1, 0);
}

/* Several die, one after the other, before anybody goes on. */
static void killed_one_after_the_other_processes_cost_no_element(void **state)
{
	pid_t pid;

	(void)state;
	for (const struct idmap_kind *kind = kinds; kind < kinds + N_KINDS; kind++)
		for (unsigned skip = 0; skip < 60 && kind->memory == SHARED; skip++) {
			struct idmap m;

			make(&m, kind);
			for (uint32_t n = 0; n < 3; n++) {
				struct scenario_op op = {
					.m = &m, .kind = OP_UPDATE, .key = NEW_KEY + n, .value = NEW_KEY + n
				};

				run_in_child(&op, skip + 7 * n, SIGKILL, &pid);
			}
			alarm(HANG);
			must(go_on_after_kill(&m), kind, 0, skip);
			usermap_close(m.map);
			alarm(0);
		}
}

/* A child of a private map has a whole copy of it, wherever another thread was; and the parent's is as good as before. */
static void forked_anywhere_a_private_map_is_whole_in_the_child(void **state)
{
	(void)state;
	for (const struct idmap_kind *kind = kinds; kind < kinds + N_KINDS; kind++)
		for (size_t i = 0; i < N_OPS && kind->memory == PRIVATE; i++)
			for (unsigned skip = 0, stops = 1; stops; skip++) {
				struct scenario_op op = ops[i];
				struct stopped thread;
				struct idmap m;
				int status;
				pid_t pid;

				make(&m, kind);
				op.m = &m;
				stops = stop_start(&thread, STOP_ANYWHERE, skip, scenario_run_op, &op);
				pid = fork();
				if (!pid) {
					alarm(HANG);
					_exit(go_on_and_be_whole(&m) != NULL);
				}
				assert_int_equal(waitpid(pid, &status, 0), pid);
				must(status ? "the child's map isn't whole" : NULL, kind, i, skip);
				stop_finish(&thread);
				must(go_on_and_be_whole(&m), kind, i, skip);
				usermap_close(m.map);
			}
}

/* fork() in the callback of an eviction, while another thread is stopped somewhere: the child goes on from there. */
static struct {
	bool wanted, in_child;
	pid_t pid;
} forking;

static void fork_in_callback(int err, uint32_t key, const struct idmap_ids *value)
{
	(void)err;
	(void)key;
	(void)value;
	if (!forking.wanted)
		return;
	forking.wanted = false;
	forking.pid = fork();
	if (forking.pid)
		return;
	forking.in_child = true;
	usermap_test_point = NULL;
	alarm(HANG);
}

static void insert_and_fork(void *argument)
{
	struct scenario_op *op = argument;

	scenario_run_op(op);
	if (forking.in_child) /* past the leak checker, which doesn't know what the main thread knew */
		syscall(SYS_exit_group, op->result || go_on_with_all(op->m));
}

static void forked_in_the_callback_a_private_map_has_all_elements(void **state)
{
	(void)state;
	idmap_evicted = fork_in_callback;
	for (const struct idmap_kind *kind = kinds; kind < kinds + N_KINDS; kind++)
		for (unsigned skip = 0, stops = 1; stops && kind->memory == PRIVATE; skip++) {
			struct scenario_op stopped_op = ops[0],
					   op = { .kind = OP_UPDATE, .key = NEW_KEY + 1, .value = 1 };
			struct stopped stopped, thread;
			struct idmap m;
			int status = 0;

			make(&m, kind);
			stopped_op.m = op.m = &m;
			forking.pid = 0;
			alarm(HANG);
			stops = stop_start(&stopped, STOP_ANYWHERE, skip, insert_and_fork, &stopped_op);
			forking.wanted = true;
			move_to_cpu(skip);
			stop_start(&thread, STOP_AT(TP_WAIT), 0, insert_and_fork, &op);
			stop_finish(&stopped);
			stop_finish(&thread);
			forking.wanted = false;
			if (forking.pid)
				assert_int_equal(waitpid(forking.pid, &status, 0), forking.pid);
			must(status ? "the child's map lacks something" : NULL, kind, 0, skip);
			must(go_on_and_be_whole(&m), kind, 0, skip);
			usermap_close(m.map);
			alarm(0);
		}
	idmap_evicted = NULL;
}

/* Whether the operation ends although another thread is stopped. If not it is left where it waits. */
static bool goes_on(struct stopped *thread, struct scenario_op *op)
{
	if (stop_start(thread, STOP_AT(TP_WAIT), 0, scenario_run_op, op))
		return false;
	stop_finish(thread);
	return true;
}

/* The number of operations that had to wait. */
static unsigned meet_stopped(const struct idmap_kind *kind, size_t i, unsigned skip, bool *stops)
{
	struct scenario_op stopped_op = ops[i], op = { .kind = OP_UPDATE, .key = NEW_KEY + 1, .value = NEW_KEY + 1 };
	struct stopped stopped, thread;
	struct idmap m;
	bool waits;

	make(&m, kind);
	stopped_op.m = op.m = &m;
	*stops = stop_start(&stopped, STOP_ANYWHERE, skip, scenario_run_op, &stopped_op);
	waits = !goes_on(&thread, &op);
	stop_finish(&stopped);
	if (waits)
		stop_finish(&thread);
	assert_int_equal(op.result, 0);
	must(go_on_and_be_whole(&m), kind, i, skip);
	usermap_close(m.map);
	return waits;
}

/* With the kernel's policy an update waits for one that is stopped at the lists, and no longer; S3-FIFO's never. */
static void stopped_anywhere_a_thread_only_delays_others(void **state)
{
	(void)state;
	for (const struct idmap_kind *kind = kinds; kind < kinds + N_KINDS; kind++) {
		unsigned waited = 0, met = 0;

		for (size_t i = 0; i < N_OPS - 1; i++) { /* the last has every element in hand for a moment */
			bool stops = true;

			for (unsigned skip = 0; stops; skip++, met++) {
				alarm(HANG);
				waited += meet_stopped(kind, i, skip, &stops);
				alarm(0);
			}
		}
		if (kind->eviction == IDMAP_S3FIFO)
			assert_int_equal(waited, 0);
		else
			assert_in_range(waited, 1, met - 1);
	}
}

static void *insert_one(void *argument)
{
	scenario_run_op(argument);
	return NULL;
}

/* Nobody takes a stopped process for dead: its lock is its own, and it finishes what it began. */
static void stopped_anywhere_a_process_only_delays_others(void **state)
{
	(void)state;
	for (const struct idmap_kind *kind = kinds; kind < kinds + N_KINDS; kind++)
		for (unsigned skip = 0, stops = 1; stops && kind->memory == SHARED; skip++) {
			struct scenario_op op = ops[0], other = { .kind = OP_UPDATE, .key = NEW_KEY + 1, .value = 1 };
			pthread_t thread;
			struct idmap m;
			int status;
			pid_t pid;

			make(&m, kind);
			op.m = other.m = &m;
			alarm(HANG);
			status = run_in_child(&op, skip, SIGSTOP, &pid);
			stops = WIFSTOPPED(status);
			assert_int_equal(pthread_create(&thread, NULL, insert_one, &other), 0);
			usleep(4000); /* long enough for a waiter to come to its naps, where it asks who has the lock */
			if (stops) {
				kill(pid, SIGCONT);
				assert_int_equal(waitpid(pid, &status, 0), pid);
			}
			pthread_join(thread, NULL);
			assert_true(WIFEXITED(status));
			assert_int_equal(other.result, 0);
			must(go_on_and_be_whole(&m), kind, 0, skip);
			usermap_close(m.map);
			alarm(0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stopped_anywhere_a_thread_only_delays_others),
		cmocka_unit_test(stopped_anywhere_a_process_only_delays_others),
		cmocka_unit_test(killed_anywhere_a_process_costs_no_element),
		cmocka_unit_test(killed_anywhere_a_thief_costs_no_element),
		cmocka_unit_test(killed_one_after_the_other_processes_cost_no_element),
		cmocka_unit_test(forked_anywhere_a_private_map_is_whole_in_the_child),
		cmocka_unit_test(forked_in_the_callback_a_private_map_has_all_elements),
	};

	hash_settle_patience = FEW;
	return cmocka_run_group_tests_name("evictions", tests, NULL, NULL);
}
