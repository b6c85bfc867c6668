/* SPDX-License-Identifier: MIT */
/*
 * core/process: who lives, whatever a process does to itself. Children tell their name through shared memory, and what
 * the parent thinks of it is checked while they are in the state in question.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/process.h"

#define CHILD_SECONDS 60 /* one that a failed test left behind ends */

static struct region region;
static struct process_slots slots;

/* Between the test and its children. */
static struct {
	_Atomic uint64_t name; /* of the child, when it has joined */
	_Atomic int answer;    /* of the child */
	_Atomic bool go;
} * shared;

static int setup(void **state)
{
	struct region_layout layout = { .attr = { .type = BPF_MAP_TYPE_ARRAY }, .n_cpus = 1 };

	(void)state;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || !process_layout(&layout) || !region_layout_end(&layout))
		return -1;
	if (region_create(&region, &layout, REGION_MEMFD, NULL, -1))
		return -1;
	process_attach(&slots, &region, &layout);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	process_leave(&slots);
	region_close(&region);
	munmap(shared, sizeof(*shared));
	return 0;
}

/* Waits for what another process or thread does; the tests' own time limit ends it. */
static void wait_until(bool (*condition)(uint64_t argument), uint64_t argument)
{
	while (!condition(argument))
		usleep(200);
}

static bool has_name(uint64_t unused)
{
	(void)unused;
	return shared->name != 0;
}

static bool may_go(uint64_t unused)
{
	(void)unused;
	return shared->go;
}

static bool is_dead(uint64_t name)
{
	return process_dead(&slots, name);
}

/* What a child does after it has joined. */
typedef void (*child_fn)(void);

static pid_t start(child_fn fn)
{
	pid_t pid;

	shared->name = 0;
	shared->go = false;
	shared->answer = -1;
	pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(CHILD_SECONDS);
	if (process_join(&slots))
		_exit(1);
	fn();
	_exit(0);
}

static uint64_t start_and_name(child_fn fn, pid_t *pid)
{
	*pid = start(fn);
	wait_until(has_name, 0);
	return shared->name;
}

static void tell_name(void)
{
	shared->name = slots.self;
}

static void pause_for_ever(void)
{
	for (;;)
		pause();
}

static void tell_and_pause(void)
{
	tell_name();
	pause_for_ever();
}

static void reap(pid_t pid)
{
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void kill_and_reap(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	reap(pid);
}

static void a_process_that_runs_lives_and_is_dead_when_it_is_killed(void **state)
{
	pid_t pid;
	uint64_t name = start_and_name(tell_and_pause, &pid);

	(void)state;
	assert_false(process_dead(&slots, name));
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_false(process_dead(&slots, name));
	kill_and_reap(pid);
	assert_true(process_dead(&slots, name));
}

static void a_killed_process_is_dead_before_it_is_reaped(void **state)
{
	pid_t pid;
	uint64_t name = start_and_name(tell_and_pause, &pid);

	(void)state;
	assert_int_equal(kill(pid, SIGKILL), 0);
	wait_until(is_dead, name);
	reap(pid);
}

static void own_process_lives(void **state)
{
	(void)state;
	assert_int_equal(process_join(&slots), 0);
	assert_false(process_dead(&slots, slots.self));
}

/* Threads */

static void *tell_then_pause(void *leader)
{
	pthread_join(*(pthread_t *)leader, NULL);
	tell_and_pause();
	return NULL;
}

static void end_the_leader(void)
{
	static pthread_t leader, other;

	leader = pthread_self();
	if (pthread_create(&other, NULL, tell_then_pause, &leader))
		_exit(1);
	pthread_exit(NULL);
}

static char state_of(pid_t pid)
{
	char path[64], line[512] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	return strrchr(line, ')')[2];
}

static void a_process_lives_as_long_as_one_of_its_threads(void **state)
{
	pid_t pid;
	uint64_t name = start_and_name(end_the_leader, &pid);

	(void)state;
	while (state_of(pid) != 'Z')
		usleep(200);
	assert_false(process_dead(&slots, name));
	kill_and_reap(pid);
	assert_true(process_dead(&slots, name));
}

#define JOINERS 4

static void *join(void *error)
{
	*(int *)error = process_join(&slots);
	return NULL;
}

static void threads_that_join_at_once_join_once(void **state)
{
	pthread_t threads[JOINERS];
	int errors[JOINERS];
	struct process_slots *joined = &slots;
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < JOINERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, join, &errors[i]), 0);
	for (unsigned i = 0; i < JOINERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(errors[i], 0);
	}
	for (uint32_t i = 0; i < PROCESSES; i++)
		taken += joined->generations[i] != 0;
	assert_int_equal(taken, 1);
}

/* exec and fork */

static void tell_and_exec(void)
{
	tell_name();
	execl("/bin/sh", "sh", "-c", "while :; do sleep 1; done", NULL);
	_exit(1);
}

static void a_process_is_dead_when_it_has_become_another_program(void **state)
{
	pid_t pid;
	uint64_t name = start_and_name(tell_and_exec, &pid);

	(void)state;
	wait_until(is_dead, name);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	kill_and_reap(pid);
}

/* Has a child that outlives it. */
static void fork_and_end(void)
{
	uint64_t name = slots.self;
	pid_t pid = fork();

	if (pid)
		_exit(pid < 0);
	if (slots.self || process_join(&slots) || slots.self == name)
		shared->answer = 0;
	else
		shared->answer = 1;
	shared->name = name;
	wait_until(may_go, 0);
	_exit(0);
}

/* Not under qemu-user, which forgets MADV_DONTFORK. */
static bool dontfork_works(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ends[2], status = 1;
	pid_t pid;

	assert_true(page != MAP_FAILED && madvise(page, 4096, MADV_DONTFORK) == 0 && pipe(ends) == 0);
	pid = fork();
	if (pid == 0)
		_exit(write(ends[1], page, 1) == 1); /* of memory that isn't there: EFAULT */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ends[0]);
	close(ends[1]);
	munmap(page, 4096);
	return status == 0;
}

static void a_forked_child_does_not_keep_its_parent_alive_and_has_its_own_name(void **state)
{
	uint64_t name;
	pid_t pid;

	(void)state;
	if (!dontfork_works())
		skip();
	name = start_and_name(fork_and_end, &pid);
	reap(pid);
	assert_true(process_dead(&slots, name));
	assert_int_equal(shared->answer, 1);
	shared->go = true;
}

static atomic_bool done;

#define FORKS 300

/* Children that live on while the other thread comes and goes. */
static void *fork_children(void *unused)
{
	pid_t pids[FORKS];
	unsigned n;

	for (n = 0; n < FORKS && !done; n++) {
		pids[n] = fork();
		if (!pids[n])
			pause_for_ever();
	}
	done = true;
	while (n--)
		kill_and_reap(pids[n]);
	return unused;
}

static void a_child_forked_while_a_thread_joins_holds_nothing(void **state)
{
	pthread_t forker;
	bool well = true;

	(void)state;
	if (!dontfork_works())
		skip();
	done = false;
	assert_int_equal(process_join(&slots), 0); /* from now on fork() is handled */
	process_leave(&slots);
	assert_int_equal(pthread_create(&forker, NULL, fork_children, NULL), 0);
	while (!done && well) {
		uint64_t name;

		well = !process_join(&slots);
		name = slots.self;
		process_leave(&slots);
		well = well && process_dead(&slots, name);
	}
	done = true;
	pthread_join(forker, NULL);
	assert_true(well);
}

/* Namespaces */

static void ask_from_another_namespace(void)
{
	uint64_t outside = shared->name;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		_exit(1);
	pid = fork();
	if (pid)
		waitpid(pid, NULL, 0), _exit(0);
	if (process_join(&slots))
		_exit(1);
	shared->answer = getpid() == 1 && !process_dead(&slots, outside);
	tell_name();
	for (unsigned i = 0; i < 50000 && !shared->go; i++) /* no alarm ends a namespace's first process */
		usleep(200);
	_exit(0);
}

static void processes_of_another_pid_namespace_live(void **state)
{
	uint64_t inside;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(process_join(&slots), 0);
	shared->name = slots.self;
	shared->answer = -1;
	shared->go = false;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ask_from_another_namespace();
	}
	while (shared->answer < 0 || shared->name == slots.self)
		usleep(200);
	inside = shared->name;
	assert_int_equal(shared->answer, 1);
	assert_false(process_dead(&slots, inside));
	kill_and_reap(pid); /* its child, who is the namespace's init, lives on */
	assert_false(process_dead(&slots, inside));
	shared->go = true;
	wait_until(is_dead, inside);
}

/* Descriptors */

static void close_all_and_pause(void)
{
	int other;

	close_range(3, ~0u, 0);
	shared->answer = process_dead(&slots, 1ull << 32 | 1);
	other = memfd_create("other", 0); /* the number of the region's is soon another file's */
	while (dup(other) < region.fd)
		;
	shared->answer |= process_dead(&slots, 1ull << 32 | 1);
	tell_and_pause();
}

static void a_process_that_closes_all_descriptors_lives_and_can_ask_nobody(void **state)
{
	pid_t pid;
	uint64_t name;

	(void)state;
	/* slot 0 as if its holder had died */
	slots.generations[0] = 1;
	assert_true(process_dead(&slots, 1ull << 32 | 1));
	name = start_and_name(close_all_and_pause, &pid);
	assert_false(process_dead(&slots, name));
	assert_int_equal(shared->answer, 0);
	kill_and_reap(pid);
	assert_true(process_dead(&slots, name));
}

static void join_without_the_regions_descriptor_is_ENOMEM(void **state)
{
	int mine = dup(region.fd), other = memfd_create("other", MFD_CLOEXEC);

	(void)state;
	assert_true(mine >= 0 && other >= 0);
	close(region.fd);
	assert_int_equal(process_join(&slots), -ENOMEM);
	assert_int_equal(dup2(other, region.fd), region.fd); /* its number is another file's now */
	assert_int_equal(process_join(&slots), -ENOMEM);
	assert_int_equal(dup2(mine, region.fd), region.fd);
	assert_int_equal(process_join(&slots), 0);
	close(mine);
	close(other);
}

static void joining_and_leaving_keep_nothing(void **state)
{
	struct holdings before = support_holdings("/proc/self/fd");

	(void)state;
	for (unsigned i = 1; i <= 2; i++) {
		support_fail_nth(i == 1);
		assert_int_equal(process_join(&slots), i == 1 ? -ENOMEM : 0);
		support_fail_nth(0);
		process_leave(&slots);
		support_assert_same(before, support_holdings("/proc/self/fd"));
	}
}

/* Slots */

static void a_slots_next_holder_is_another(void **state)
{
	uint64_t before;

	(void)state;
	assert_int_equal(process_join(&slots), 0);
	before = slots.self;
	process_leave(&slots);
	assert_true(process_dead(&slots, before));
	assert_int_equal(process_join(&slots), 0);
	assert_int_equal((uint32_t)slots.self, (uint32_t)before);
	assert_true(process_dead(&slots, before));
	assert_false(process_dead(&slots, slots.self));
}

static void join_when_all_slots_are_held_is_ENOMEM(void **state)
{
	struct flock all = { .l_type = F_WRLCK, .l_start = (off_t)1 << 50 };
	int fd = region_reopen(&region, O_RDWR);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
	assert_int_equal(process_join(&slots), -ENOMEM);
	all.l_type = F_UNLCK;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
	assert_int_equal(process_join(&slots), 0);
	close(fd);
}

static void names_that_are_none_are_dead(void **state)
{
	const uint64_t wild[] = {
		0, 1ull << 32, UINT64_MAX, PROCESSES + 1, 1ull << 32 | (PROCESSES + 1), 7ull << 32 | 3
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wild); i++)
		assert_true(process_dead(&slots, wild[i]));
}

static void a_reader_may_ask(void **state)
{
	struct region_layout found;
	struct region reader;
	struct process_slots asking;
	uint64_t name;

	(void)state;
	region_publish(&region, NULL);
	assert_int_equal(region_attach(&reader, region.fd, true, &found), 0);
	process_attach(&asking, &reader, &found);
	assert_int_equal(process_join(&slots), 0);
	assert_false(process_dead(&asking, slots.self));
	name = slots.self;
	process_leave(&slots);
	assert_true(process_dead(&asking, name));
	region_close(&reader);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(a_process_that_runs_lives_and_is_dead_when_it_is_killed),
		ROW(a_killed_process_is_dead_before_it_is_reaped),
		ROW(own_process_lives),
		ROW(a_process_lives_as_long_as_one_of_its_threads),
		ROW(threads_that_join_at_once_join_once),
		ROW(a_process_is_dead_when_it_has_become_another_program),
		ROW(a_forked_child_does_not_keep_its_parent_alive_and_has_its_own_name),
		ROW(a_child_forked_while_a_thread_joins_holds_nothing),
		ROW(processes_of_another_pid_namespace_live),
		ROW(a_process_that_closes_all_descriptors_lives_and_can_ask_nobody),
		ROW(join_without_the_regions_descriptor_is_ENOMEM),
		ROW(joining_and_leaving_keep_nothing),
		ROW(a_slots_next_holder_is_another),
		ROW(join_when_all_slots_are_held_is_ENOMEM),
		ROW(names_that_are_none_are_dead),
		ROW(a_reader_may_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
