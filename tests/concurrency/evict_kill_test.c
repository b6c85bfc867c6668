/* SPDX-License-Identifier: MIT */
/*
 * Processes that fill and use a shared map that evicts, and are killed again and again at any instant. The others go on: no
 * lock stays held, no entry has another's value; and in the end the map has every element.
 */
#include "scenario.h"

#include <argp.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "map/hash_write.h"

#define MAX_ENTRIES 48
#define KEYS	    120
#define WORKERS	    3
#define STUCK_S	    20 /* seconds in which a worker must have done something */
#define FEW	    50 /* rounds of waiting for a store that a dead process began */

#define SHARED	USERMAP_MEMORY_SHARED
#define AT_ONCE USERMAP_REUSE_AT_ONCE

static const struct idmap_kind kinds[] = {
	{ "lru-shared-64", SHARED, AT_ONCE, 0, 8, 64, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-shared-no-common-8", SHARED, AT_ONCE, BPF_F_NO_COMMON_LRU, 8, 8, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-percpu-shared-8", SHARED, AT_ONCE, 0, 8, 8, IDMAP_PERCPU, IDMAP_LRU },
	{ "s3fifo-shared-64", SHARED, AT_ONCE, 0, 8, 64, IDMAP_PLAIN, IDMAP_S3FIFO },
	{ "s3fifo-percpu-shared-8", SHARED, AT_ONCE, 0, 8, 8, IDMAP_PERCPU, IDMAP_S3FIFO },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct {
	uint64_t seed;
	unsigned kills;
} options = { .seed = 1, .kills = 200 };

/* What the processes share. By each worker its own; read by the test. */
static struct {
	atomic_uint_fast64_t done; /* operations */
} * workers;

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static void move_to_cpu(unsigned n)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(n % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &one);
	sched_setaffinity(0, sizeof(one), &one); /* where it can't be had: another one will do */
}

/* Values are those of their keys, but for what a dead process had stored of a value of several words. */
static bool is_own(const struct idmap *m, uint32_t key, const struct idmap_ids *value)
{
	for (unsigned i = 0; i < idmap_words(m->kind); i++)
		if (value->word[i] % (KEYS + 1) != key)
			return false;
	return true;
}

/* NULL, or what is wrong. */
static const char *operate(const struct idmap *m, uint32_t key, uint64_t random)
{
	uint64_t id = key + (KEYS + 1) * (random >> 40);
	struct idmap_ids value;
	int err = 0;

	switch (random % 16) {
	case 0:
		err = idmap_delete(m, key);
		break;
	case 1:
		err = idmap_get(m, key, true, 0, &value);
		if (!err && !is_own(m, key, &value))
			return "a value that was taken is another key's";
		break;
	case 2 ... 4:
		idmap_use(m, key);
		break;
	case 5 ... 8:
		err = idmap_get(m, key, false, 0, &value);
		if (!err && !is_own(m, key, &value))
			return "a value is another key's";
		break;
	case 9:
		move_to_cpu((unsigned)(random >> 8));
		break;
	default:
		err = idmap_update(m, key, id, random >> 8 & 1 ? BPF_NOEXIST : BPF_ANY);
	}
	return err && err != -ENOENT && err != -EEXIST ? "an operation fails" : NULL;
}

static void work(const struct idmap *m, unsigned worker, uint64_t random)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		uint64_t x = next_random(&random);
		const char *wrong = operate(m, 1 + (uint32_t)(x >> 32) % KEYS, x);

		if (wrong) {
			printf("worker %u: %s\n", worker, wrong);
			fflush(stdout);
			_exit(EXIT_FAILURE);
		}
		atomic_fetch_add(&workers[worker].done, 1);
	}
}

static pid_t start(const struct idmap *m, unsigned worker, uint64_t *random)
{
	uint64_t seed = next_random(random);
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		work(m, worker, seed);
	assert_true(pid > 0);
	return pid;
}

static void end(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status)); /* it hadn't ended before, having found something wrong */
}

/* Every worker that lives does something. */
static void all_move(const struct idmap *m, unsigned dead)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		uint64_t before = atomic_load(&workers[i].done);
		time_t since = time(NULL);

		while (i != dead && atomic_load(&workers[i].done) == before) {
			if (time(NULL) - since > STUCK_S)
				fail_msg("%s: worker %u is stuck", m->kind->name, i);
			usleep(200);
		}
	}
}

static void all_elements_are_there(const struct idmap *m)
{
	const char *wrong = NULL;
	uint32_t n = 0;

	for (uint32_t i = 0; i < 3 * MAX_ENTRIES && !wrong; i++) {
		move_to_cpu(i / 4);
		if (idmap_update(m, KEYS + 1 + i, KEYS + 1 + i, BPF_ANY))
			wrong = "a new key doesn't come in";
	}
	if (!wrong)
		wrong = whole_take_all(m, &n);
	if (!wrong && n != m->max_entries)
		wrong = "the policy doesn't give all elements";
	if (wrong)
		fail_msg("%s, seed %" PRIu64 ": %s", m->kind->name, options.seed, wrong);
}

static void processes_killed_at_any_instant_cost_no_element(void **state)
{
	uint64_t random = options.seed;

	(void)state;
	workers = mmap(NULL, WORKERS * sizeof(*workers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(workers, MAP_FAILED);
	for (const struct idmap_kind *kind = kinds; kind < kinds + N_KINDS; kind++) {
		pid_t pid[WORKERS];
		struct idmap m;

		idmap_create(&m, kind, MAX_ENTRIES);
		for (unsigned i = 0; i < WORKERS; i++)
			pid[i] = start(&m, i, &random);
		for (unsigned n = 0; n < options.kills; n++) {
			unsigned victim = (unsigned)next_random(&random) % WORKERS;

			usleep((unsigned)next_random(&random) % 3000);
			end(pid[victim]);
			if (n % 4 == 0)
				all_move(&m, victim);
			pid[victim] = start(&m, victim, &random);
		}
		all_move(&m, WORKERS);
		for (unsigned i = 0; i < WORKERS; i++)
			end(pid[i]);
		all_elements_are_there(&m);
		usermap_close(m.map);
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	(void)state;
	switch (key) {
	case 'S':
		options.seed = strtoull(arg, NULL, 0);
		return 0;
	case 'k':
		options.kills = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option argp_options[] = {
	{ "seed", 'S', "N", 0, "of what the processes do (1)", 0 },
	{ "kills", 'k', "N", 0, "of each kind of map, fewer than 4000 (200)", 0 },
	{ 0 },
};

int main(int argc, char **argv)
{
	const struct argp argp = { argp_options, parse_option, NULL, "Kills processes that use maps that evict.",
				   NULL,	 NULL,	       NULL };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_killed_at_any_instant_cost_no_element),
	};

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	print_message("seed %" PRIu64 "\n", options.seed);
	hash_settle_patience = FEW;
	return cmocka_run_group_tests_name("kills", tests, NULL, NULL);
}
