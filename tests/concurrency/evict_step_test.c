/* SPDX-License-Identifier: MIT */
/*
 * Evictions under the finest knife: a process is killed after one single instruction or another of an insert into a full
 * map, and of the other writes. The survivors go on, on every CPU, with every element that the map has.
 */
#include "scenario.h"

#include <argp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "map/hash_write.h"

#define MAX_ENTRIES 6
#define NEW_KEY	    20
#define CHILD_KEY   10 /* of the child's first write */
#define HANG	    60
#define FEW	    20	 /* rounds of waiting for a store that a dead process began */
#define RECORDS_MAX 3000 /* children of one map: each keeps a thread record of its 4096 */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SINGLE_STEPS 0 /* their runtimes would be stepped through */
#else
#define SINGLE_STEPS 1
#endif

#define SHARED	USERMAP_MEMORY_SHARED
#define AT_ONCE USERMAP_REUSE_AT_ONCE

static const struct idmap_kind kinds[] = {
	{ "lru-shared-8", SHARED, AT_ONCE, 0, 8, 8, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-shared-no-common-16", SHARED, AT_ONCE, BPF_F_NO_COMMON_LRU, 8, 16, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-percpu-shared-8", SHARED, AT_ONCE, 0, 8, 8, IDMAP_PERCPU, IDMAP_LRU },
	{ "s3fifo-shared-8", SHARED, AT_ONCE, 0, 8, 8, IDMAP_PLAIN, IDMAP_S3FIFO },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* How many kills an operation gets; where it has more instructions, they lie evenly apart. */
static unsigned kills = 150, first_kill;

/* The keys there are: 1 … MAX_ENTRIES. `apart`: a single one, which came on the other CPU, so that an insert steals. */
static const struct work {
	const char *name;
	struct scenario_op op;
	bool apart;
} works[] = {
	{ "insert", { .kind = OP_UPDATE, .key = NEW_KEY, .value = NEW_KEY }, false },
	{ "insert that steals", { .kind = OP_UPDATE, .key = NEW_KEY, .value = NEW_KEY }, true },
	{ "replacement", { .kind = OP_UPDATE, .key = MAX_ENTRIES, .value = 3, .flags = BPF_EXIST }, false },
	{ "delete", { .kind = OP_DELETE, .key = MAX_ENTRIES }, false },
};

#define N_WORKS (sizeof(works) / sizeof(works[0]))

static void move_to_cpu(unsigned n)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(n % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &one);
	sched_setaffinity(0, sizeof(one), &one); /* where it can't be had: another one will do */
}

static void fill(const struct idmap *m, bool apart)
{
	move_to_cpu(apart);
	for (uint32_t key = 1; key <= (apart ? 1 : MAX_ENTRIES); key++)
		assert_int_equal(idmap_update(m, key, key, BPF_NOEXIST), 0);
	move_to_cpu(0);
}

/* New keys come on each CPU; then the policy has every element to give. The map is empty afterwards. */
static void go_on(const struct idmap *m, const struct work *work, unsigned instruction)
{
	const char *wrong = NULL;
	uint64_t value;
	uint32_t n = 0;

	for (unsigned i = 0; i < 4 * MAX_ENTRIES && !wrong; i++) {
		uint32_t key = NEW_KEY + 1 + i;

		move_to_cpu(i / MAX_ENTRIES);
		if (idmap_update(m, key, key, BPF_NOEXIST) || idmap_lookup(m, key, &value) || value != key)
			wrong = "a new key doesn't come in";
	}
	if (!wrong)
		wrong = whole_take_all(m, &n);
	if (!wrong && n != m->max_entries)
		wrong = "the policy doesn't give all elements";
	/* what a process leaves that is killed while it frees an element S3-FIFO doesn't count */
	if (!wrong && idmap_count(m) && m->kind->eviction != IDMAP_S3FIFO)
		wrong = "the count of the empty map isn't 0";
	if (wrong)
		fail_msg("%s, %s, killed after %u instructions: %s", m->kind->name, work->name, instruction, wrong);
}

static void stop_self(enum test_point point)
{
	(void)point;
	usermap_test_point = NULL;
	raise(SIGSTOP);
}

static void work_in_child(const struct idmap *m, const struct work *work)
{
	struct scenario_op op = work->op;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	idmap_use(m, 1);
	idmap_delete(m, CHILD_KEY); /* so that it has what a thread's first write makes */
	op.m = m;
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	usermap_test_point = stop_self;
	scenario_run_op(&op);
	raise(SIGSTOP);
	_exit(0);
}

/* Runs the work in a child, from its first test point on, up to its n-th instruction, and kills it there. *n: how many there
 * were. */
static void kill_after(const struct idmap *m, const struct work *work, unsigned *n)
{
	bool in_time = true;
	unsigned done = 0;
	int status;
	pid_t pid = fork();

	if (!pid)
		work_in_child(m, work);
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
}

static void kill_after_instructions(const struct idmap_kind *kind, const struct work *work)
{
	unsigned all = UINT_MAX, children = 0, stride;
	struct idmap m;

	idmap_create(&m, kind, work->apart ? 1 : MAX_ENTRIES);
	fill(&m, work->apart);
	kill_after(&m, work, &all);
	go_on(&m, work, all);
	stride = all / kills + 1;
	for (unsigned at = first_kill % stride; at < all; at += stride) {
		unsigned n = at;

		if (++children == RECORDS_MAX) {
			usermap_close(m.map);
			idmap_create(&m, kind, work->apart ? 1 : MAX_ENTRIES);
			children = 0;
		}
		alarm(HANG);
		fill(&m, work->apart);
		kill_after(&m, work, &n);
		go_on(&m, work, n);
	}
	alarm(0);
	print_message("%s, %s: %u instructions, killed after each %u from %u on\n", kind->name, work->name, all, stride,
		      first_kill % stride);
	usermap_close(m.map);
}

static void killed_after_any_instruction_a_process_costs_no_element(void **state)
{
	(void)state;
	if (!SINGLE_STEPS)
		skip();
	for (size_t k = 0; k < N_KINDS; k++)
		for (size_t i = 0; i < N_WORKS; i++)
			kill_after_instructions(&kinds[k], &works[i]);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	(void)state;
	switch (key) {
	case 'k':
		kills = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	case 'f':
		first_kill = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option argp_options[] = {
	{ "kills", 'k', "N", 0, "how many times each operation is killed (150); many: after each instruction", 0 },
	{ "first", 'f', "N", 0, "the first kill is after so many instructions (0)", 0 },
	{ 0 },
};

int main(int argc, char **argv)
{
	const struct argp argp = { argp_options, parse_option, NULL, "Kills processes inside evictions.",
				   NULL,	 NULL,	       NULL };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_after_any_instruction_a_process_costs_no_element),
	};

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (!kills)
		return EXIT_FAILURE;
	hash_settle_patience = FEW;
	return cmocka_run_group_tests_name("eviction steps", tests, NULL, NULL);
}
