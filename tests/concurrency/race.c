/* SPDX-License-Identifier: MIT */
/*
 * Races: threads and processes that run freely on one small map. race_tests.c says what they do and what must hold.
 *
 * Each test runs on each kind of map for a slice of the time, in rounds: all workers work, then all wait while one of
 * them checks the map as a whole. The seed determines what each worker does; how the workers interleave is up to the
 * machine (and, in the build with test points, to --perturb).
 */
#include "race.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef USERMAP_TEST_POINTS
#include "core/testpoint.h"
#endif

#define PRIVATE USERMAP_MEMORY_PRIVATE
#define SHARED	USERMAP_MEMORY_SHARED
#define GRACE	USERMAP_REUSE_GRACE
#define AT_ONCE USERMAP_REUSE_AT_ONCE

static const struct idmap_kind kinds[] = {
	{ "grace-8", PRIVATE, GRACE, 0, 8, 8, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "grace-64", PRIVATE, GRACE, BPF_F_NO_PREALLOC, 8, 64, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "grace-zero-seed-1000", PRIVATE, GRACE, BPF_F_ZERO_SEED, 8, 1000, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "at-once-8", PRIVATE, AT_ONCE, 0, 8, 8, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "at-once-1000", PRIVATE, AT_ONCE, 0, 24, 1000, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "shared-8", SHARED, AT_ONCE, 0, 4, 8, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "shared-64", SHARED, AT_ONCE, BPF_F_ZERO_SEED, 8, 64, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "shared-1000", SHARED, AT_ONCE, BPF_F_NO_PREALLOC, 24, 1000, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "percpu-grace-8", PRIVATE, GRACE, 0, 8, 8, IDMAP_PERCPU, IDMAP_KEEPS },
	{ "percpu-at-once-16", PRIVATE, AT_ONCE, BPF_F_ZERO_SEED, 24, 16, IDMAP_PERCPU, IDMAP_KEEPS },
	{ "percpu-shared-8", SHARED, AT_ONCE, BPF_F_NO_PREALLOC, 8, 8, IDMAP_PERCPU, IDMAP_KEEPS },
	{ "locked-grace-64", PRIVATE, GRACE, 0, 8, 64, IDMAP_LOCKED, IDMAP_KEEPS },
	{ "locked-zero-seed-16", PRIVATE, GRACE, BPF_F_ZERO_SEED, 4, 16, IDMAP_LOCKED, IDMAP_KEEPS },
	{ "locked-at-once-1000", PRIVATE, AT_ONCE, BPF_F_NO_PREALLOC, 24, 1000, IDMAP_LOCKED, IDMAP_KEEPS },
	{ "locked-shared-64", SHARED, AT_ONCE, 0, 8, 64, IDMAP_LOCKED, IDMAP_KEEPS },
	{ "lru-8", PRIVATE, AT_ONCE, 0, 8, 8, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-zero-seed-1000", PRIVATE, AT_ONCE, BPF_F_ZERO_SEED, 24, 1000, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-one-cpu-64", PRIVATE, AT_ONCE, 0, 4, 64, IDMAP_PLAIN, IDMAP_LRU_ONE },
	{ "lru-no-common-16", PRIVATE, AT_ONCE, BPF_F_NO_COMMON_LRU, 8, 16, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-shared-64", SHARED, AT_ONCE, 0, 8, 64, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-shared-no-common-8", SHARED, AT_ONCE, BPF_F_NO_COMMON_LRU, 8, 8, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-percpu-16", PRIVATE, AT_ONCE, 0, 8, 16, IDMAP_PERCPU, IDMAP_LRU },
	{ "lru-percpu-no-common-8", PRIVATE, AT_ONCE, BPF_F_NO_COMMON_LRU, 4, 8, IDMAP_PERCPU, IDMAP_LRU },
	{ "lru-percpu-shared-8", SHARED, AT_ONCE, 0, 8, 8, IDMAP_PERCPU, IDMAP_LRU },
	{ "s3fifo-8", PRIVATE, AT_ONCE, 0, 8, 8, IDMAP_PLAIN, IDMAP_S3FIFO },
	{ "s3fifo-shared-64", SHARED, AT_ONCE, 0, 24, 64, IDMAP_PLAIN, IDMAP_S3FIFO },
	{ "s3fifo-percpu-16", PRIVATE, AT_ONCE, BPF_F_ZERO_SEED, 8, 16, IDMAP_PERCPU, IDMAP_S3FIFO },
	{ "s3fifo-percpu-shared-8", SHARED, AT_ONCE, 0, 8, 8, IDMAP_PERCPU, IDMAP_S3FIFO },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct {
	double seconds;
	unsigned threads, processes, perturb;
	uint64_t seed;
	const char *test, *kind;
	bool evicting;
} options = { .seconds = 10, .threads = 4, .processes = 1, .seed = 1 };

/* One slice: shared by all its workers, in shared memory. */
struct slice {
	struct race_arena arena;
	pthread_barrier_t barrier;
	atomic_bool over; /* by the checking worker, between two barriers */
	atomic_uint_fast64_t operations;
	unsigned excused; /* rounds; by the checking worker */
	double until;
	uint64_t seed;
	const struct race_test *test;
	struct idmap m;
};

struct thread {
	struct slice *slice;
	struct idmap m;
	unsigned id;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

uint64_t race_random(struct race_worker *worker)
{
	worker->random += 0x9e3779b97f4a7c15ull;
	return mix(worker->random);
}

uint64_t race_scatter(uint64_t value)
{
	value = (value ^ (value >> 32)) * 0x9e3779b97f4a7c15ull;
	return value ^ (value >> 29);
}

void race_fail(const struct race_worker *worker, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("FAILED seed %" PRIu64 ", %s, max_entries %" PRIu32 ", worker %u of %u in round %u: %s\n", options.seed,
	       worker->m.kind->name, worker->m.max_entries, worker->id, worker->n_workers, worker->round, text);
	fflush(stdout);
	_exit(EXIT_FAILURE);
}

/* The worker that this thread is, and its test: an eviction is told to the thread that needs room. */
static _Thread_local struct race_worker *self;
static _Thread_local const struct race_test *self_test;

static void tell_of_eviction(int err, uint32_t key, const struct idmap_ids *value)
{
	race_excuse(self, self->updates_since);
	race_checked(self, "an eviction", err);
	self_test->evicted(self, key, value);
}

static void *run_worker(void *argument)
{
	struct thread *thread = argument;
	struct slice *slice = thread->slice;
	struct race_worker worker = { .id = thread->id, .n_workers = options.threads * options.processes,
				      .random = mix(slice->seed + thread->id), .m = thread->m, .arena = &slice->arena };

	self = &worker;
	self_test = slice->test;
	if (worker.id == 0 && slice->test->prepare)
		slice->test->prepare(&worker);
	for (; !slice->over; worker.round++) {
		pthread_barrier_wait(&slice->barrier);
		slice->test->work(&worker);
		pthread_barrier_wait(&slice->barrier);
		if (worker.id == 0) {
			slice->test->check(&worker);
			slice->excused += slice->arena.excused;
			slice->arena.excused = false;
			slice->over = now() >= slice->until;
		}
		pthread_barrier_wait(&slice->barrier);
	}
	slice->operations += worker.sequence;
	return NULL;
}

/* The workers of one process; with several processes every other one attaches to the map itself. */
static void run_process(struct slice *slice, unsigned process)
{
	struct thread thread[RACE_WORKERS];
	pthread_t id[RACE_WORKERS];
	struct idmap m = slice->m;
	int fd = -1, err = 0;

	if (process % 2) {
		fd = usermap_get_fd(m.map);
		err = fd < 0 ? fd : usermap_open_fd(fd, NULL, &m.map);
		if (fd >= 0)
			close(fd);
	}
	for (unsigned i = 0; i < options.threads && !err; i++) {
		thread[i] = (struct thread){ .slice = slice, .m = m, .id = process * options.threads + i };
		err = pthread_create(&id[i], NULL, run_worker, &thread[i]);
	}
	if (err) {
		printf("FAILED process %u doesn't get going: %s\n", process, strerror(abs(err)));
		fflush(stdout);
		_exit(EXIT_FAILURE);
	}
	for (unsigned i = 0; i < options.threads; i++)
		pthread_join(id[i], NULL);
	if (m.map != slice->m.map)
		usermap_close(m.map);
}

/* Runs the processes; if one fails the others can't go on, and are ended. */
static bool run_processes(struct slice *slice)
{
	pid_t pid[RACE_WORKERS];
	bool ok = true;
	int status;

	fflush(stdout);
	for (unsigned p = 0; p < options.processes; p++) {
		pid[p] = fork();
		if (pid[p] < 0) {
			perror("fork");
			exit(EXIT_FAILURE);
		}
		if (!pid[p]) {
			run_process(slice, p);
			_exit(EXIT_SUCCESS);
		}
	}
	for (unsigned left = options.processes; left; left--) {
		pid_t ended = wait(&status);

		for (unsigned p = 0; p < options.processes; p++)
			if (pid[p] == ended)
				pid[p] = 0;
		if (status == 0)
			continue;
		if (ok && WIFSIGNALED(status))
			printf("FAILED a process was killed by signal %d\n", WTERMSIG(status));
		ok = false;
		for (unsigned p = 0; p < options.processes; p++)
			if (pid[p])
				kill(pid[p], SIGKILL);
	}
	return ok;
}

static bool run_slice(const struct race_test *test, const struct idmap_kind *kind, double seconds, uint64_t seed)
{
	unsigned n_workers = options.threads * options.processes;
	pthread_barrierattr_t attr;
	struct slice *slice = mmap(NULL, sizeof(*slice), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool ok = true;

	if (slice == MAP_FAILED) {
		perror("mmap");
		exit(EXIT_FAILURE);
	}
	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&slice->barrier, &attr, n_workers);
	slice->until = now() + seconds;
	slice->seed = seed;
	slice->test = test;
	idmap_create(&slice->m, kind, test->max_entries(n_workers, mix(seed)));
	if (options.processes > 1)
		ok = run_processes(slice);
	else
		run_process(slice, 0);
	printf("%-10s %-22s max_entries %3" PRIu32 " %9" PRIuFAST64 " updates", test->name, kind->name,
	       slice->m.max_entries, slice->operations);
	if (slice->excused)
		printf(", %u rounds excused", slice->excused);
	printf("%s\n", ok ? "" : " FAILED");
	fflush(stdout);
	usermap_close(slice->m.map);
	munmap(slice, sizeof(*slice));
	return ok;
}

#ifdef USERMAP_TEST_POINTS
/* Now and then gives the CPU away between two steps of the engine, where preemption would seldom strike by itself. */
static void perturb(enum test_point point)
{
	static _Thread_local uint64_t state;

	state += 0x9e3779b97f4a7c15ull + point;
	if (mix(state ^ (uintptr_t)&state) % options.perturb == 0)
		sched_yield();
}
#endif

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 's': options.seconds = strtod(arg, NULL); return 0;
	case 't': options.threads = (unsigned)strtoul(arg, NULL, 0); return 0;
	case 'p': options.processes = (unsigned)strtoul(arg, NULL, 0); return 0;
	case 'S': options.seed = strtoull(arg, NULL, 0); return 0;
	case 'T': options.test = arg; return 0;
	case 'k': options.kind = arg; return 0;
	case 'e': options.evicting = true; return 0;
	case 'P': options.perturb = (unsigned)strtoul(arg, NULL, 0); return 0;
	case ARGP_KEY_END:
		if (!options.threads || !options.processes || options.threads * options.processes > RACE_WORKERS)
			argp_error(state, "1 to %d workers", RACE_WORKERS);
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option argp_options[] = {
	{ "seconds", 's', "N", 0, "how long to run in all (10)", 0 },
	{ "threads", 't', "N", 0, "threads of each process (4)", 0 },
	{ "processes", 'p', "N", 0, "processes; more than one run on the shared kinds of map only (1)", 0 },
	{ "seed", 'S', "N", 0, "of what the workers do (1)", 0 },
	{ "test", 'T', "NAME", 0, "only this test", 0 },
	{ "kind", 'k', "NAME", 0, "only this kind of map", 0 },
	{ "evicting", 'e', NULL, 0, "only maps that evict", 0 },
#ifdef USERMAP_TEST_POINTS
	{ "perturb", 'P', "N", 0, "yield at one in N test points", 0 },
#endif
	{ 0 },
};

static const struct race_test *test_at(unsigned i)
{
	return i < n_race_tests ? &race_tests[i] : &race_evict_tests[i - n_race_tests];
}

static bool selected(const struct race_test *test, const struct idmap_kind *kind)
{
	return (!options.test || !strcmp(options.test, test->name)) &&
	       (!options.kind || !strcmp(options.kind, kind->name)) && (!options.evicting || test->evicted) &&
	       (options.processes == 1 || kind->memory == USERMAP_MEMORY_SHARED) &&
	       (test->evicted != NULL) == (kind->eviction != IDMAP_KEEPS) &&
	       (!test->told || kind->memory == USERMAP_MEMORY_PRIVATE) &&
	       (!test->only || test->only == kind->values);
}

int main(int argc, char **argv)
{
	const struct argp argp = { argp_options, parse_option, NULL, "Races threads and processes on small maps.",
				   NULL,	 NULL,	       NULL };
	double end, slice;
	const unsigned n_tests = n_race_tests + n_race_evict_tests;
	unsigned pairs = 0;
	uint64_t seed;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	idmap_evicted = tell_of_eviction;
	printf("seed %" PRIu64 ", %u threads in each of %u processes\n", options.seed, options.threads, options.processes);
#ifdef USERMAP_TEST_POINTS
	if (options.perturb)
		usermap_test_point = perturb;
#endif
	for (unsigned t = 0; t < n_tests; t++)
		for (unsigned k = 0; k < N_KINDS; k++)
			pairs += selected(test_at(t), &kinds[k]);
	if (!pairs) {
		fprintf(stderr, "no such test or kind\n");
		return EXIT_FAILURE;
	}
	slice = options.seconds / pairs > 5 ? 5 : options.seconds / pairs;
	seed = options.seed;
	for (end = now() + options.seconds * 0.999; now() < end;)
		for (unsigned t = 0; t < n_tests; t++)
			for (unsigned k = 0; k < N_KINDS; k++)
				if (selected(test_at(t), &kinds[k]) &&
				    !run_slice(test_at(t), &kinds[k], slice, mix(seed++)))
					return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
