/* SPDX-License-Identifier: MIT */
/*
 * Storms of usermap_percpu_add(): many more threads than CPUs, moved from CPU to CPU all the time and interrupted by signals
 * whose handlers add, too; in one process and in several, with and without rseq. Not one addition may be lost.
 *
 * A sequence of a few instructions is hardly ever interrupted, so each storm runs twice, the second time with the sequences
 * stretched (core/percpu.h): then some must be aborted, or the test proves nothing.
 *
 * The program needs nothing but itself and /proc, so that it can run in a guest with more CPUs.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <usermap/helper.h>

#include "core/percpu.h"
#include "core/percpu_asm.h"

extern unsigned hash_settle_patience; /* map/hash_write.h, whose names are in the way of this file's */

#define KEYS		4
#define COUNTERS	3
#define MAX_CPUS	4096
#define MAX_THREADS	4096
#define PROCESSES	4
#define ADDS_PER_MOVE	16
#define ADDS_PER_DRAIN	64
#define SIGNAL_NS	1000000
#define RSEQ_UNREGISTER 1
#define WITHOUT_RSEQ	"glibc.pthread.rseq=0"

static struct {
	unsigned threads, adds, stretch;
	uint64_t seed;
	const char *only;
	int map_fd, tally_fd; /* of a process that takes part in another's storm */
} options = { .threads = 24, .adds = 10000, .stretch = 64, .map_fd = -1, .tally_fd = -1 };

struct storm {
	const char *name;
	enum bpf_map_type type;
	bool shared;	   /* in several processes */
	bool made_without; /* the map is made by a thread without rseq */
	bool mixed;	   /* every second process is without rseq */
	bool drain;	   /* entries are taken out and put back meanwhile */
};

static const struct storm storms[] = {
	{ .name = "array", .type = BPF_MAP_TYPE_PERCPU_ARRAY },
	{ .name = "array made without rseq", .type = BPF_MAP_TYPE_PERCPU_ARRAY, .made_without = true },
	{ .name = "hash", .type = BPF_MAP_TYPE_PERCPU_HASH },
	{ .name = "hash, drained", .type = BPF_MAP_TYPE_PERCPU_HASH, .drain = true },
	{ .name = "shared array", .type = BPF_MAP_TYPE_PERCPU_ARRAY, .shared = true },
	{ .name = "shared array, mixed processes", .type = BPF_MAP_TYPE_PERCPU_ARRAY, .shared = true, .mixed = true },
	{ .name = "shared array made without rseq, mixed processes",
	  .type = BPF_MAP_TYPE_PERCPU_ARRAY,
	  .shared = true,
	  .made_without = true,
	  .mixed = true },
	{ .name = "shared hash", .type = BPF_MAP_TYPE_PERCPU_HASH, .shared = true },
	{ .name = "shared hash, drained, mixed processes",
	  .type = BPF_MAP_TYPE_PERCPU_HASH,
	  .shared = true,
	  .drain = true,
	  .mixed = true },
};

typedef uint64_t sums[KEYS][COUNTERS];

/* What has happened in all threads and processes, in shared memory. */
struct tally {
	_Atomic uint64_t added[KEYS][COUNTERS], drained[KEYS][COUNTERS];
	_Atomic uint64_t calls, done, refused, absent, busy, aborts;
	bool drain; /* by the parent, before it starts the others */
	unsigned stretch;
	uint64_t seed;
};

/* A thread's part, and its signal handler's. */
struct part {
	sums added, drained;
	uint64_t calls, done, refused, absent, busy;
	uint64_t random;
};

struct worker {
	struct part part, handler;
	struct usermap *map;
	struct tally *tally;
	_Atomic pid_t tid; /* by the thread; read by those who move it */
};

static struct worker workers[MAX_THREADS];
static unsigned n_workers;
static cpu_set_t allowed;
static size_t allowed_cpus[CPU_SETSIZE], n_allowed;
static __thread struct worker *self;

static void fail(const char *what, long detail)
{
	printf("FAILED --seed %" PRIu64 ": %s: %ld\n", options.seed, what, detail);
	fflush(stdout);
	_exit(EXIT_FAILURE);
}

static uint64_t draw(struct part *part)
{
	/* splitmix64 */
	uint64_t z = part->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Additions. The first counter counts them; the others take any number, so that no two mistakes cancel each other out. */
static void add_one(struct worker *w, struct part *part)
{
	uint32_t key = (uint32_t)(draw(part) % KEYS), c = (uint32_t)(draw(part) % COUNTERS);
	uint64_t delta = c ? draw(part) : 1;
	int error = usermap_percpu_add(w->map, &key, c * 8, delta);

	part->calls++;
	switch (error) {
	case 0:
		part->added[key][c] += delta;
		part->done++;
		break;
	case -EOPNOTSUPP:
		part->refused++;
		break;
	case -ENOENT:
		part->absent++;
		break;
	case -EBUSY:
		part->busy++;
		break;
	default:
		fail("an addition", error);
	}
}

static void on_signal(int signal)
{
	int saved = errno;

	(void)signal;
	if (self)
		add_one(self, &self->handler);
	errno = saved;
}

static timer_t start_signals(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	const struct itimerspec every = { .it_interval = { 0, SIGNAL_NS }, .it_value = { 0, SIGNAL_NS } };
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &every, NULL))
		fail("a timer", errno);
	return timer;
}

/* Sends some thread of this process to some CPU. */
static void move_one(struct part *part)
{
	/* relaxed: a number; a thread that has ended is not found */
	pid_t tid = atomic_load_explicit(&workers[draw(part) % n_workers].tid, memory_order_relaxed);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(allowed_cpus[draw(part) % n_allowed], &set);
	if (tid)
		sched_setaffinity(tid, sizeof(set), &set);
}

static void add_slots(sums to, uint32_t key, const uint64_t *value, unsigned n_cpus)
{
	for (unsigned cpu = 0; cpu < n_cpus; cpu++)
		for (unsigned c = 0; c < COUNTERS; c++)
			to[key][c] += value[cpu * COUNTERS + c];
}

static unsigned cpus_of(const struct usermap *map)
{
	struct usermap_info info = { .sz = sizeof(info) };

	if (usermap_get_info(map, &info))
		fail("info", 0);
	return info.n_cpus;
}

/* Takes an entry out, and puts zeros back. */
static void drain_one(struct worker *w)
{
	static _Thread_local uint64_t value[MAX_CPUS * COUNTERS];
	uint32_t key = (uint32_t)(draw(&w->part) % KEYS);
	int error = usermap_lookup_and_delete_elem(w->map, &key, value, 0);

	if (!error)
		add_slots(w->part.drained, key, value, cpus_of(w->map));
	else if (error != -ENOENT)
		fail("lookup_and_delete", error);
	memset(value, 0, sizeof(uint64_t) * COUNTERS * cpus_of(w->map));
	error = usermap_update_elem(w->map, &key, value, BPF_NOEXIST);
	if (error && error != -EEXIST)
		fail("insert", error);
}

static void give(struct tally *tally, const struct part *part)
{
	for (unsigned key = 0; key < KEYS; key++) {
		for (unsigned c = 0; c < COUNTERS; c++) {
			tally->added[key][c] += part->added[key][c];
			tally->drained[key][c] += part->drained[key][c];
		}
	}
	tally->calls += part->calls;
	tally->done += part->done;
	tally->refused += part->refused;
	tally->absent += part->absent;
	tally->busy += part->busy;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	timer_t timer;

	add_one(w, &w->part); /* what the library keeps of a thread is made here, not in the handler */
	atomic_store_explicit(&w->tid, (pid_t)syscall(SYS_gettid), memory_order_relaxed); /* relaxed: as in move_one */
	self = w;
	timer = start_signals();
	for (unsigned i = 1; i < options.adds; i++) {
		add_one(w, &w->part);
		if (i % ADDS_PER_MOVE == 0)
			move_one(&w->part);
		if (w->tally->drain && i % ADDS_PER_DRAIN == 0)
			drain_one(w);
	}
	timer_delete(timer);
	self = NULL;
	atomic_signal_fence(memory_order_seq_cst); /* a last signal finds nobody */
	give(w->tally, &w->part);
	give(w->tally, &w->handler);
	return NULL;
}

/* This process's share of a storm. */
static void blow(struct usermap *map, struct tally *tally, unsigned first, unsigned n)
{
	static pthread_t threads[MAX_THREADS];

	atomic_store(&percpu_stretch, tally->stretch);
	hash_settle_patience = 100000; /* as in the library: on a busy machine a preempted thread comes back late */
	atomic_store(&percpu_aborts, 0);
	n_workers = n;
	for (unsigned i = 0; i < n; i++) {
		workers[i] = (struct worker){ .map = map, .tally = tally };
		workers[i].part.random = tally->seed + 2 * (first + i);
		workers[i].handler.random = ~workers[i].part.random;
	}
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			fail("a thread", errno);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	tally->aborts += atomic_load(&percpu_aborts);
}

/* Processes */

static struct tally *map_tally(int fd)
{
	struct tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (tally == MAP_FAILED)
		fail("the tally", errno);
	return tally;
}

static unsigned share(unsigned process)
{
	return options.threads / PROCESSES + (process < options.threads % PROCESSES);
}

/* A process that takes part: the same program with the descriptors as arguments. */
static pid_t start_process(int map_fd, int tally_fd, unsigned process, bool without)
{
	char threads[32], adds[32], seed[32], fds[64];
	pid_t pid;

	snprintf(threads, sizeof(threads), "--threads=%u", share(process));
	snprintf(adds, sizeof(adds), "--adds=%u", options.adds);
	snprintf(seed, sizeof(seed), "--seed=%" PRIu64, options.seed + 1000003 * process);
	snprintf(fds, sizeof(fds), "--take-part=%d,%d", map_fd, tally_fd);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		fail("a process", errno);
	if (pid > 0)
		return pid;
	if (without)
		setenv("GLIBC_TUNABLES", WITHOUT_RSEQ, 1);
	execl("/proc/self/exe", "percpu_add_test", threads, adds, seed, fds, NULL);
	_exit(127);
}

static int take_part(void)
{
	struct usermap *map;
	int error = usermap_open_fd(options.map_fd, NULL, &map);
	struct tally *tally = map_tally(options.tally_fd);

	if (error)
		fail("attaching", error);
	workers[0].part.random = options.seed;
	blow(map, tally, (unsigned)(draw(&workers[0].part) >> 40), options.threads);
	usermap_close(map);
	return EXIT_SUCCESS;
}

static void blow_in_processes(const struct storm *storm, const struct usermap *map, int tally_fd)
{
	int status, map_fd = usermap_get_fd(map);
	pid_t pids[PROCESSES];

	if (map_fd < 0 || fcntl(map_fd, F_SETFD, 0) || fcntl(tally_fd, F_SETFD, 0))
		fail("the map's descriptor", map_fd);
	for (unsigned p = 0; p < PROCESSES; p++)
		pids[p] = start_process(map_fd, tally_fd, p, storm->mixed && p % 2);
	for (unsigned p = 0; p < PROCESSES; p++)
		if (waitpid(pids[p], &status, 0) != pids[p] || status)
			fail("a process ends with", status);
	close(map_fd);
}

/* Storms */

static void make_map(const struct storm *storm, struct usermap **map)
{
	struct usermap_opts opts = { .sz = sizeof(opts),
				     .memory = storm->shared ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE };
	int error = usermap_create(storm->type, "storm", 4, COUNTERS * 8, KEYS, &opts, map);

	if (error)
		fail("creation", error);
}

struct making {
	const struct storm *storm;
	struct usermap *map;
};

static bool registered(void)
{
	return (int32_t)cpu_rseq_id() >= 0;
}

static void *make_without(void *argument)
{
	struct making *making = argument;
	uint32_t size = __rseq_size < 32 ? 32 : __rseq_size;

	if (registered() && syscall(SYS_rseq, cpu_rseq(), size, RSEQ_UNREGISTER, RSEQ_SIG))
		fail("unregistering rseq", errno);
	make_map(making->storm, &making->map);
	return NULL;
}

static struct usermap *make(const struct storm *storm)
{
	struct making making = { .storm = storm };
	pthread_t thread;

	if (storm->made_without) {
		if (pthread_create(&thread, NULL, make_without, &making) || pthread_join(thread, NULL))
			fail("a thread", errno);
	} else {
		make_map(storm, &making.map);
	}
	for (uint32_t key = 0; storm->type == BPF_MAP_TYPE_PERCPU_HASH && key < KEYS; key++) {
		static const uint64_t zero[COUNTERS];
		long error = usermap_helper_update_elem(making.map, &key, zero, BPF_NOEXIST);

		if (error)
			fail("insert", error);
	}
	return making.map;
}

static void check_sums(struct usermap *map, const struct tally *tally)
{
	static uint64_t value[MAX_CPUS * COUNTERS];
	sums found = { { 0 } };

	for (uint32_t key = 0; key < KEYS; key++) {
		int error = usermap_lookup_elem(map, &key, value, 0);

		if (!error)
			add_slots(found, key, value, cpus_of(map));
		else if (error != -ENOENT || !tally->drain)
			fail("lookup", error);
		for (unsigned c = 0; c < COUNTERS; c++) {
			found[key][c] += tally->drained[key][c];
			if (found[key][c] != tally->added[key][c]) {
				printf("key %" PRIu32 ", counter %u: %" PRIu64 " instead of %" PRIu64 "\n", key, c,
				       found[key][c], tally->added[key][c]);
				fail("additions lost or made twice", (long)(tally->added[key][c] - found[key][c]));
			}
		}
	}
}

static bool adds_by_sequences(const struct storm *storm)
{
	return HAVE_SEQUENCE && registered() && !storm->made_without;
}

static void check_counts(const struct storm *storm, const struct tally *t)
{
	bool sequences = adds_by_sequences(storm);

	if (t->done + t->refused + t->absent + t->busy != t->calls || !t->done)
		fail("calls", (long)t->calls);
	if ((sequences && storm->mixed) != (t->refused > 0))
		fail("additions refused", (long)t->refused);
	if (!storm->drain && t->absent)
		fail("entries not found", (long)t->absent);
	if (storm->type == BPF_MAP_TYPE_PERCPU_ARRAY && t->busy)
		fail("additions in handlers refused", (long)t->busy);
	if (sequences && t->stretch && !t->aborts)
		fail("sequences aborted although stretched", 0);
	if (!sequences && t->aborts)
		fail("sequences aborted although there are none", (long)t->aborts);
}

static void run(const struct storm *storm, unsigned stretch)
{
	int fd = memfd_create("tally", MFD_CLOEXEC);
	struct usermap *map = make(storm);
	struct tally *tally;

	if (fd < 0 || ftruncate(fd, sizeof(*tally)))
		fail("the tally", errno);
	tally = map_tally(fd);
	tally->drain = storm->drain;
	tally->stretch = stretch;
	tally->seed = options.seed;
	if (storm->shared)
		blow_in_processes(storm, map, fd);
	else
		blow(map, tally, 0, options.threads);
	check_sums(map, tally);
	check_counts(storm, tally);
	printf("%s, stretched by %u: %" PRIu64 " additions exact; %" PRIu64 " aborts, %" PRIu64 " refused, %" PRIu64
	       " busy, %" PRIu64 " absent\n",
	       storm->name, stretch, tally->done, tally->aborts, tally->refused, tally->busy, tally->absent);
	munmap(tally, sizeof(*tally));
	close(fd);
	usermap_close(map);
}

static error_t parse(int key, char *arg, struct argp_state *argp)
{
	switch (key) {
	case 't':
		options.threads = (unsigned)strtoul(arg, NULL, 0);
		if (!options.threads || options.threads > MAX_THREADS)
			argp_error(argp, "1 to %d threads", MAX_THREADS);
		return 0;
	case 'a':
		options.adds = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	case 's':
		options.seed = strtoull(arg, NULL, 0);
		return 0;
	case 'p':
		options.stretch = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	case 'o':
		options.only = arg;
		return 0;
	case 'x':
		return sscanf(arg, "%d,%d", &options.map_fd, &options.tally_fd) == 2 ? 0 : ARGP_ERR_UNKNOWN;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option known[] = {
		{ "threads", 't', "N", 0, "threads of a storm, in all processes together (24)", 0 },
		{ "adds", 'a', "N", 0, "additions of each thread (10000)", 0 },
		{ "stretch", 'p', "N", 0, "pauses inside a stretched sequence (64); 0: no stretched storms", 0 },
		{ "seed", 's', "N", 0, "replay the run with this seed", 0 },
		{ "only", 'o', "TEXT", 0, "only storms with TEXT in their name", 0 },
		{ "take-part", 'x', "FDS", OPTION_HIDDEN, NULL, 0 },
		{ 0 },
	};
	static const struct argp argp = { .options = known, .parser = parse };
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	if (getrandom(&options.seed, sizeof(options.seed), 0) != sizeof(options.seed))
		return EXIT_FAILURE;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (sigaction(SIGUSR1, &action, NULL) || sched_getaffinity(0, sizeof(allowed), &allowed))
		fail("set-up", errno);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			allowed_cpus[n_allowed++] = cpu;
	if (options.map_fd >= 0)
		return take_part();
	printf("seed: --seed %" PRIu64 "; rseq: %s\n", options.seed, registered() ? "yes" : "no");
	for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++) {
		if (options.only && !strstr(storms[i].name, options.only))
			continue;
		run(&storms[i], 0);
		if (options.stretch && adds_by_sequences(&storms[i]))
			run(&storms[i], options.stretch);
	}
	return EXIT_SUCCESS;
}
