/* SPDX-License-Identifier: MIT */
/*
 * Value locks under the finest knife: a process is killed after each single instruction of an update, and of a takeover
 * from a process that was killed in the middle of one. What is left is the old value or the new one, whole, and a lock
 * that others get.
 */
#include "lock_value.h"

#include <limits.h>
#include <string.h>
#include <sys/ptrace.h>

#define KILLS 1000 /* of stepped children, each of which keeps a thread record of the map's 4096 */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SINGLE_STEPS 0 /* their runtimes would be stepped through */
#else
#define SINGLE_STEPS 1
#endif

static void stop_self(enum test_point point)
{
	if (point != TP_LOCK)
		return;
	usermap_test_point = NULL;
	raise(SIGSTOP);
}

/* Runs the work in a child, from the first time it asks for the lock up to its n-th instruction, and kills it there.
 * true: it ended before; *n is how many there were. */
static bool killed_after(struct usermap *map, work_fn work, unsigned *n)
{
	bool in_time = true;
	unsigned done = 0;
	int status;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		the_key++;
		update(map, OLD, BPF_F_LOCK); /* so that it has what a thread's first write makes */
		the_key--;
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		usermap_test_point = stop_self;
		work(map);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSTOPPED(status));
	for (; done < *n && in_time; done++) {
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
		waitpid(pid, &status, 0);
		in_time = WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	*n = done;
	return !in_time;
}

/* Calls check(map, after n instructions) for a thousand n, from none to all that `work` takes. */
static void for_each_instruction(struct kind kind, void (*prepare)(struct usermap *map), work_fn work,
				 void (*check)(struct usermap *map))
{
	struct usermap *map = make(kind);
	unsigned all = UINT_MAX, stride;

	prepare(map);
	assert_true(killed_after(map, work, &all));
	check(map);
	stride = all / KILLS + 1;
	for (unsigned at = 0; at < all; at += stride) {
		unsigned n = at;

		prepare(map);
		killed_after(map, work, &n);
		check(map);
	}
	print_message("%u instructions, killed after each %u\n", all, stride);
	usermap_close(map);
}

static bool seen[NEWER + 1];

static void store_old(struct usermap *map)
{
	assert_int_equal(update(map, OLD, BPF_F_LOCK), 0);
}

static void check_old_or_new(struct usermap *map)
{
	int64_t left = lookup(map, BPF_F_LOCK);

	assert_true(left == OLD || left == NEW);
	seen[left] = true;
	assert_int_equal(lock_and_unlock(map), 0);
}

static void killed_after_any_instruction_of_an_update_a_process_leaves_old_or_new(void **state)
{
	(void)state;
	if (!SINGLE_STEPS)
		skip();
	for (unsigned k = 0; k < SHARED_KINDS; k++) {
		memset(seen, 0, sizeof(seen));
		for_each_instruction(kinds[k], store_old, store_new, check_old_or_new);
		assert_true(seen[OLD] && seen[NEW]);
	}
}

static void die_in_store(struct usermap *map)
{
	store_old(map);
	killed_at(map, store_new, TP_COPY, 1);
}

static void check_new(struct usermap *map)
{
	assert_int_equal(lookup(map, BPF_F_LOCK), NEW);
	assert_int_equal(lock_and_unlock(map), 0);
}

static void killed_after_any_instruction_of_a_takeover_a_process_leaves_new(void **state)
{
	(void)state;
	if (!SINGLE_STEPS)
		skip();
	for (unsigned k = 0; k < SHARED_KINDS; k++)
		for_each_instruction(kinds[k], die_in_store, lock_and_unlock, check_new);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_after_any_instruction_of_an_update_a_process_leaves_old_or_new),
		cmocka_unit_test(killed_after_any_instruction_of_a_takeover_a_process_leaves_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
