/* SPDX-License-Identifier: MIT */
/*
 * Values with spin locks under free-running threads and processes: the hunt for torn values, and counters that are only
 * right if locks exclude.
 *
 *   whole updates and lookups with BPF_F_LOCK, in hash maps plain lookups, replacements and deletions, too: every value
 *   that
 *            is seen is one that was stored, whole.
 *   torn     the same without BPF_F_LOCK on an array: the hunt must find torn values, else it would find none anywhere.
 *   counter programs take the lock and count without atomic additions: no count is lost, and BPF_F_LOCK lookups see the
 *   two
 *            counters of a value equal.
 */
#include <argp.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <usermap/helper.h>

#define MAX_WORDS   125 /* 1000 bytes */
#define MAX_THREADS 64
#define KEYS	    4
#define ENTRIES	    256 /* never full, whoever is inserting */

/* Options */
static struct {
	uint64_t seed, lookups;
	unsigned seconds, threads, processes;
	const char *test;
} options = { .seconds = 2, .threads = 3, .processes = 2 };

static const struct kind {
	const char *name;
	enum bpf_map_type type;
	unsigned memory, reuse;
} kinds[] = {
	{ "array-private", BPF_MAP_TYPE_ARRAY, USERMAP_MEMORY_PRIVATE, 0 },
	{ "array-memfd", BPF_MAP_TYPE_ARRAY, USERMAP_MEMORY_SHARED, 0 },
	{ "hash-private", BPF_MAP_TYPE_HASH, USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_GRACE },
	{ "hash-at-once", BPF_MAP_TYPE_HASH, USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_AT_ONCE },
	{ "hash-memfd", BPF_MAP_TYPE_HASH, USERMAP_MEMORY_SHARED, 0 },
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* One race: what its threads, in all processes, need to know. */
struct race {
	struct usermap *map;
	const struct kind *kind;
	unsigned words, lock_word;
	uint64_t seed;
};

/* What they find; shared by the processes. */
struct found {
	_Atomic uint64_t lookups, torn, updates, errors, counted;
	_Atomic int error; /* one of them */
	atomic_bool stop;
};
static struct found *found;

struct rng {
	uint64_t state;
};

static uint64_t next(struct rng *rng)
{
	/* splitmix64 */
	uint64_t z = rng->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct usermap *make(const struct race *race)
{
	struct usermap_opts opts = { .sz = sizeof(opts),
				     .memory = race->kind->memory,
				     .reuse = race->kind->reuse,
				     .spin_lock = 1,
				     .spin_lock_off = 8 * race->lock_word };
	struct usermap *map;
	int error = usermap_create(race->kind->type, "race", 4, 8 * race->words, ENTRIES, &opts, &map);

	if (!error)
		return map;
	fprintf(stderr, "usermap_create: %s\n", strerror(-error));
	exit(EXIT_FAILURE);
}

/* The hunt */

/* A value is one number in every word but the lock's, whose bytes read as 0; the other half of that word holds the low
 * half of the number. */
static void fill(const struct race *race, uint64_t *value, uint64_t number)
{
	for (unsigned i = 0; i < race->words; i++)
		value[i] = number;
	value[race->lock_word] = number << 32 | 0xffffffff; /* the lock's bytes are to be ignored */
}

static bool whole(const struct race *race, const uint64_t *value)
{
	uint64_t number = value[race->lock_word ? 0 : 1];

	for (unsigned i = 0; i < race->words; i++)
		if (value[i] != (i == race->lock_word ? number << 32 : number))
			return false;
	return true;
}

static void note_error(int error)
{
	atomic_fetch_add(&found->errors, 1);
	found->error = error;
}

static void note(const struct race *race, int error, const uint64_t *value, uint64_t counts[2])
{
	if (error && error != -ENOENT)
		note_error(error);
	if (error)
		return;
	counts[0]++;
	counts[1] += !whole(race, value);
}

/* With BPF_F_LOCK, and in a hash map everything that must not matter. */
static void step_whole(const struct race *race, struct rng *rng, uint64_t *value, uint64_t counts[2])
{
	bool hash = race->kind->type == BPF_MAP_TYPE_HASH;
	uint32_t dice = (uint32_t)(next(rng) % 64), key = (uint32_t)(next(rng) % KEYS);
	int error = 0;

	if (dice < 38) {
		note(race, usermap_lookup_elem(race->map, &key, value, hash && dice % 2 ? 0 : BPF_F_LOCK), value,
		     counts);
	} else if (hash && dice == 38) {
		error = usermap_delete_elem(race->map, &key);
	} else if (hash && dice == 39) {
		note(race, usermap_lookup_and_delete_elem(race->map, &key, value, BPF_F_LOCK), value, counts);
	} else {
		fill(race, value, next(rng));
		error = usermap_update_elem(race->map, &key, value, hash && dice == 40 ? 0 : BPF_F_LOCK);
		atomic_fetch_add_explicit(&found->updates, 1, memory_order_relaxed);
	}
	if (error && error != -ENOENT)
		note_error(error);
}

static void step_torn(const struct race *race, struct rng *rng, uint64_t *value, uint64_t counts[2])
{
	uint32_t key = 0;

	if (next(rng) % 2) {
		note(race, usermap_lookup_elem(race->map, &key, value, 0), value, counts);
		return;
	}
	fill(race, value, next(rng));
	if (usermap_update_elem(race->map, &key, value, 0))
		note_error(-EINVAL);
}

/* The counter */

struct counters {
	struct bpf_spin_lock lock;
	uint32_t pad;
	uint64_t first, second;
};

/* Not an atomic addition: a load, and later a store. (Atomic each, as lookups copy at any time.) */
static void count_one(uint64_t *counter)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static void step_counter(const struct race *race, struct rng *rng, uint64_t *value, uint64_t counts[2])
{
	uint32_t key = (uint32_t)(next(rng) % KEYS);
	struct counters *c;
	int error = 0;

	if (next(rng) % 4 == 0) {
		error = usermap_lookup_elem(race->map, &key, value, BPF_F_LOCK);
		counts[0]++;
		counts[1] += !error && value[1] != value[2];
	} else {
		usermap_read_lock();
		c = usermap_helper_lookup_elem(race->map, &key);
		error = c ? usermap_helper_spin_lock(&c->lock) : -ENOENT;
		if (!error) {
			count_one(&c->first);
			count_one(&c->second);
			error = usermap_helper_spin_unlock(&c->lock);
			atomic_fetch_add_explicit(&found->counted, 1, memory_order_relaxed);
		}
		usermap_read_unlock();
	}
	if (error)
		note_error(error);
}

/* Threads and processes */

typedef void (*step_fn)(const struct race *race, struct rng *rng, uint64_t *value, uint64_t counts[2]);

struct worker {
	const struct race *race;
	step_fn step;
	struct rng rng;
	pthread_t thread;
};

static void *work(void *argument)
{
	struct worker *worker = argument;
	uint64_t value[MAX_WORDS];

	while (!atomic_load_explicit(&found->stop, memory_order_relaxed)) {
		uint64_t counts[2] = { 0, 0 };

		for (unsigned i = 0; i < 256; i++)
			worker->step(worker->race, &worker->rng, value, counts);
		atomic_fetch_add(&found->lookups, counts[0]);
		atomic_fetch_add(&found->torn, counts[1]);
	}
	return NULL;
}

static void run_threads(const struct race *race, step_fn step, unsigned process)
{
	struct worker workers[MAX_THREADS];

	for (unsigned i = 0; i < options.threads; i++) {
		workers[i] = (struct worker){ .race = race, .step = step, .rng = { race->seed + 1000 * process + i } };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) {
			perror("pthread_create");
			exit(EXIT_FAILURE);
		}
	}
	for (unsigned i = 0; i < options.threads; i++)
		pthread_join(workers[i].thread, NULL);
}

/* When a race ends: it's time, or enough was looked up, or found. */
struct watch {
	pthread_t thread;
	double seconds;
	uint64_t lookups, torn;
};

static void *watch(void *argument)
{
	const struct watch *w = argument;
	double end = now() + w->seconds;

	while ((w->lookups ? found->lookups < w->lookups : now() < end) && found->torn < w->torn && !found->errors)
		usleep(2000);
	found->stop = true;
	return NULL;
}

/* In threads, of several processes if the map is shared. */
static void run(const struct race *race, step_fn step, struct watch *w)
{
	unsigned n = race->kind->memory == USERMAP_MEMORY_SHARED ? options.processes : 1;
	pid_t pids[MAX_THREADS];

	memset(found, 0, sizeof(*found));
	for (unsigned i = 1; i < n; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_threads(race, step, i);
		exit(EXIT_SUCCESS);
	}
	if (pthread_create(&w->thread, NULL, watch, w))
		exit(EXIT_FAILURE);
	run_threads(race, step, 0);
	pthread_join(w->thread, NULL);
	for (unsigned i = 1; i < n; i++) {
		int status;

		waitpid(pids[i], &status, 0);
		if (status)
			note_error(-ECHILD);
	}
}

static bool report(const char *test, const struct race *race, bool well)
{
	printf("%-8s %-14s %4u bytes, lock at %3u: %10llu lookups, %10llu updates, %8llu counted, %llu torn, %llu "
	       "errors%s%s\n",
	       test, race->kind->name, 8 * race->words, 8 * race->lock_word, (unsigned long long)found->lookups,
	       (unsigned long long)found->updates, (unsigned long long)found->counted, (unsigned long long)found->torn,
	       (unsigned long long)found->errors, found->errors ? strerrorname_np(-found->error) : "",
	       well ? "" : "  FAILED");
	fflush(stdout);
	return well;
}

/* The tests */

static struct race race_of(const struct kind *kind, unsigned words, unsigned lock_word, uint64_t seed)
{
	struct race race = { .kind = kind, .words = words, .lock_word = lock_word, .seed = seed };

	race.map = make(&race);
	return race;
}

static const unsigned sizes[] = { 8, 25, 125 }; /* words: 64, 200 and 1000 bytes */
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static bool test_whole(struct rng *rng)
{
	bool well = true;

	for (unsigned k = 0; k < N_KINDS; k++) {
		for (unsigned s = 0; s < N_SIZES; s++) {
			struct race race = race_of(&kinds[k], sizes[s], (unsigned)(next(rng) % sizes[s]), next(rng));
			struct watch w = { .seconds = (double)options.seconds / (N_KINDS * N_SIZES),
					   .lookups = options.lookups / (N_KINDS * N_SIZES),
					   .torn = 1 };

			/* an array's values are there from the beginning, as zeros; they would be taken for torn ones
			 * */
			for (uint32_t key = 0; key < KEYS; key++) {
				uint64_t value[MAX_WORDS];

				fill(&race, value, next(rng));
				usermap_update_elem(race.map, &key, value, BPF_F_LOCK);
			}
			run(&race, step_whole, &w);
			well &= report("whole", &race,
				       !found->torn && !found->errors && found->lookups && found->updates);
			usermap_close(race.map);
		}
	}
	return well;
}

#define TORN_SECONDS 60 /* mostly a moment is enough */

static bool test_torn(struct rng *rng)
{
	bool well = true;

	for (unsigned k = 0; k < 2; k++) {
		struct race race = race_of(&kinds[k], MAX_WORDS, MAX_WORDS / 2, next(rng));
		struct watch w = { .seconds = TORN_SECONDS, .torn = 10 };

		run(&race, step_torn, &w);
		well &= report("torn", &race, found->torn && !found->errors);
		usermap_close(race.map);
	}
	return well;
}

static bool test_counter(struct rng *rng)
{
	bool well = true;

	for (unsigned k = 0; k < N_KINDS; k++) {
		struct race race = race_of(&kinds[k], sizeof(struct counters) / 8, 0, next(rng));
		struct watch w = { .seconds = (double)options.seconds / N_KINDS, .torn = 1 };
		uint64_t sum = 0;

		for (uint32_t key = 0; key < KEYS; key++) {
			const struct counters zero = { { 0 }, 0, 0, 0 };

			usermap_update_elem(race.map, &key, &zero, 0);
		}
		run(&race, step_counter, &w);
		for (uint32_t key = 0; key < KEYS; key++) {
			struct counters c = { { 0 }, 0, 0, 0 };

			usermap_lookup_elem(race.map, &key, &c, BPF_F_LOCK);
			sum += c.first;
		}
		well &= report("counter", &race, sum == found->counted && sum && !found->torn && !found->errors);
		usermap_close(race.map);
	}
	return well;
}

static error_t parse(int key, char *arg, struct argp_state *argp)
{
	uint64_t number = arg ? strtoull(arg, NULL, 0) : 0;

	switch (key) {
	case 's':
		options.seed = number;
		return 0;
	case 't':
		options.seconds = (unsigned)number;
		return 0;
	case 'n':
		options.threads = (unsigned)number;
		break;
	case 'p':
		options.processes = (unsigned)number;
		break;
	case 'l':
		options.lookups = number;
		return 0;
	case 'x':
		options.test = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (!number || number > MAX_THREADS)
		argp_error(argp, "1 to %u", MAX_THREADS);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp_option list[] = {
		{ "seed", 's', "N", 0, "replay what the threads of this run did", 0 },
		{ "seconds", 't', "N", 0, "how long each test runs (2)", 0 },
		{ "threads", 'n', "N", 0, "in each process (3)", 0 },
		{ "processes", 'p', "N", 0, "on shared maps (2)", 0 },
		{ "lookups", 'l', "N", 0, "instead of seconds: so many lookups in the hunt for torn values", 0 },
		{ "test", 'x', "NAME", 0, "only this one: whole, torn, counter", 0 },
		{ 0 }
	};
	static const struct {
		const char *name;
		bool (*run)(struct rng *rng);
	} tests[] = { { "whole", test_whole }, { "torn", test_torn }, { "counter", test_counter } };
	struct rng rng;
	bool well = true;

	if (getrandom(&options.seed, sizeof(options.seed), 0) != sizeof(options.seed))
		return EXIT_FAILURE;
	argp_parse(&(struct argp){ .options = list, .parser = parse }, argc, argv, 0, NULL, NULL);
	printf("seed: --seed %llu\n", (unsigned long long)options.seed);
	fflush(stdout);
	rng.state = options.seed;
	found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (found == MAP_FAILED)
		return EXIT_FAILURE;
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (!options.test || !strcmp(options.test, tests[i].name))
			well &= tests[i].run(&rng);
	return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
