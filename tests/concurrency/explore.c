/* SPDX-License-Identifier: MIT */
/*
 * The explorer: runs every scenario of explore_scenarios.c on the real engine, in every kind of map, under all schedules
 * with few preemptions (and random ones where there are too many), and judges each run:
 *  - the history is linearizable (G1, G3), the contents found at the end included; no value is torn (G2);
 *  - the map is whole afterwards (whole.h): no lost or doubled element, no lost credit or slot.
 * A failing run prints the command that repeats it.
 */
#include "explore.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "map/hash.h"
#include "schedule.h"
#include "whole.h"

#define PRIVATE USERMAP_MEMORY_PRIVATE
#define SHARED	USERMAP_MEMORY_SHARED
#define GRACE	USERMAP_REUSE_GRACE
#define AT_ONCE USERMAP_REUSE_AT_ONCE

static const struct idmap_kind kinds[] = {
	{ "grace-8", PRIVATE, GRACE, 0, 8, 8, IDMAP_PLAIN, IDMAP_KEEPS },			      /* stores in place */
	{ "grace-16", PRIVATE, GRACE, BPF_F_NO_PREALLOC, 8, 16, IDMAP_PLAIN, IDMAP_KEEPS },	      /* replaces by swap */
	{ "grace-zero-seed-16", PRIVATE, GRACE, BPF_F_ZERO_SEED, 8, 16, IDMAP_PLAIN, IDMAP_KEEPS }, /* by commit */
	{ "at-once-8", PRIVATE, AT_ONCE, 0, 8, 8, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "at-once-64", PRIVATE, AT_ONCE, 0, 24, 64, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "shared-zero-seed-16", SHARED, AT_ONCE, BPF_F_ZERO_SEED, 4, 16, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "percpu-grace-8", PRIVATE, GRACE, 0, 8, 8, IDMAP_PERCPU, IDMAP_KEEPS },
	{ "percpu-at-once-16", PRIVATE, AT_ONCE, BPF_F_ZERO_SEED, 24, 16, IDMAP_PERCPU, IDMAP_KEEPS },
	{ "percpu-shared-8", SHARED, AT_ONCE, BPF_F_NO_PREALLOC, 8, 8, IDMAP_PERCPU, IDMAP_KEEPS },
	{ "locked-grace-24", PRIVATE, GRACE, 0, 8, 24, IDMAP_LOCKED, IDMAP_KEEPS },
	{ "locked-zero-seed-16", PRIVATE, GRACE, BPF_F_ZERO_SEED, 4, 16, IDMAP_LOCKED, IDMAP_KEEPS },
	{ "locked-at-once-24", PRIVATE, AT_ONCE, 0, 24, 24, IDMAP_LOCKED, IDMAP_KEEPS },
	{ "locked-shared-40", SHARED, AT_ONCE, BPF_F_NO_PREALLOC, 8, 40, IDMAP_LOCKED, IDMAP_KEEPS },
	{ "lru-8", PRIVATE, AT_ONCE, 0, 8, 8, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-one-cpu-64", PRIVATE, AT_ONCE, BPF_F_ZERO_SEED, 24, 64, IDMAP_PLAIN, IDMAP_LRU_ONE },
	{ "lru-no-common-16", PRIVATE, AT_ONCE, BPF_F_NO_COMMON_LRU, 8, 16, IDMAP_PLAIN, IDMAP_LRU },
	{ "lru-percpu-8", PRIVATE, AT_ONCE, 0, 8, 8, IDMAP_PERCPU, IDMAP_LRU },
	{ "lru-percpu-no-common-16", PRIVATE, AT_ONCE, BPF_F_NO_COMMON_LRU, 24, 16, IDMAP_PERCPU, IDMAP_LRU },
	{ "s3fifo-8", PRIVATE, AT_ONCE, 0, 8, 8, IDMAP_PLAIN, IDMAP_S3FIFO },
	{ "s3fifo-percpu-16", PRIVATE, AT_ONCE, BPF_F_ZERO_SEED, 8, 16, IDMAP_PERCPU, IDMAP_S3FIFO },
};

#define N_KINDS	   (sizeof(kinds) / sizeof(kinds[0]))
#define MANY_STEPS 100 /* of a process that is to die */
static struct {
	const char *scenario, *kind, *schedule;
	uint64_t seed;
	unsigned bound, max;
	unsigned death;
	bool list, drained, evicting;
} options = { .seed = 1, .bound = 2, .max = 2000 };

/* The seed of every map is the same, so that keys lie in the same lines run after run. */
ssize_t getrandom(void *buffer, size_t size, unsigned flags)
{
	(void)flags;
	memset(buffer, 0x5a, size);
	return (ssize_t)size;
}

void experiment_wrong(struct experiment *x, const char *format, ...)
{
	va_list args;

	if (x->wrong[0])
		return;
	va_start(args, format);
	vsnprintf(x->wrong, sizeof(x->wrong), format, args);
	va_end(args);
}

uint64_t experiment_now(struct experiment *x)
{
	return atomic_fetch_add(&x->clock, 1) + 1;
}

int experiment_get(struct experiment *x, uint32_t key_id, bool take, uint64_t flags, struct idmap_ids *value)
{
	int err = idmap_get(&x->m, key_id, take, flags, value);

	if (err == IDMAP_TORN)
		experiment_wrong(x, "a torn value");
	return err;
}

/* The CPU for a thread: its own if the scenario spreads them, otherwise that of the first. */
static void choose_cpu(const struct scenario *scenario, unsigned thread)
{
	static cpu_set_t allowed;
	static atomic_int known;
	cpu_set_t one;
	size_t at = 0;

	if (!known) {
		sched_getaffinity(0, sizeof(allowed), &allowed);
		known = CPU_COUNT(&allowed);
	}
	for (unsigned skip = scenario->spread ? thread % (unsigned)known : 0; skip || !CPU_ISSET(at, &allowed); at++)
		skip -= CPU_ISSET(at, &allowed) != 0;
	if (sched_getcpu() == (int)at)
		return;
	CPU_ZERO(&one);
	CPU_SET(at, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static void run_thread(void *context, unsigned thread)
{
	struct experiment *x = context;

	choose_cpu(x->scenario, thread);
	experiment_run_thread(x, thread);
}

static struct line *lines(const struct idmap *m, uint64_t *n)
{
	const struct region_layout *layout = &m->map->region.header->layout;

	*n = layout->size[PART_INDEX] / sizeof(struct line);
	return region_part(&m->map->region, layout, PART_INDEX);
}

/* The one tag in an otherwise empty index, and its line. */
static uint8_t find_tag(const struct idmap *m, uint64_t *line)
{
	uint64_t n;
	struct line *l = lines(m, &n);

	for (*line = 0; *line < n; ++*line)
		for (unsigned s = 0; s < LINE_SLOTS; s++) {
			uint8_t tag = (uint8_t)(l[*line].commit.second >> 8 * s);

			if (tag)
				return tag;
		}
	return 0;
}

/* Chooses keys that share a line, and the first four a tag. */
static void choose_keys(struct experiment *x)
{
	uint64_t line, first_line = 0;
	uint8_t tag, first_tag = 0;
	unsigned same = 0, others = 4;

	idmap_create(&x->m, x->kind, x->scenario->max_entries);
	for (uint32_t id = 1; same < 4 || others < HISTORY_KEYS; id++) {
		if (idmap_update(&x->m, id, 1, BPF_ANY) || id == WHOLE_FRESH) {
			fprintf(stderr, "%s %s: no keys\n", x->scenario->name, x->kind->name);
			exit(EXIT_FAILURE);
		}
		tag = find_tag(&x->m, &line);
		idmap_delete(&x->m, id);
		if (!first_tag) {
			first_tag = tag;
			first_line = line;
		}
		if (line == first_line && tag == first_tag && same < 4)
			x->key_id[same++] = id;
		else if (line == first_line && tag != first_tag && others < HISTORY_KEYS)
			x->key_id[others++] = id;
	}
	usermap_close(x->m.map);
	x->used = 0;
	for (unsigned i = 0; i < x->scenario->fill; i++)
		x->used |= UINT64_C(1) << (FILLER + i);
	for (unsigned i = 0; i < 4 && x->scenario->present[i]; i++)
		x->used |= UINT64_C(1) << (x->scenario->present[i] - 1);
	for (unsigned t = 0; t < SCENARIO_THREADS; t++)
		for (unsigned i = 0; i < SCENARIO_STEPS && x->scenario->thread[t][i].kind; i++)
			if (x->scenario->thread[t][i].kind < STEP_BULK)
				x->used |= UINT64_C(1) << x->scenario->thread[t][i].key;
}

/* An operation of the main thread, while nobody else runs. */
static struct history_op *note(struct experiment *x, enum history_kind kind, unsigned key, struct idmap_ids value, int result)
{
	struct history_op *op = &x->history.op[x->history.n++];

	if (x->history.n == HISTORY_OPS) {
		x->history.n--;
		experiment_wrong(x, "a history too long");
	}
	*op = (struct history_op){ .kind = kind, .thread = SCENARIO_THREADS, .key = key, .result = result };
	memcpy(op->value, value.word, sizeof(op->value));
	op->called = experiment_now(x);
	op->returned = experiment_now(x);
	return op;
}

static void store(struct experiment *x, unsigned key)
{
	note(x, HISTORY_UPDATE, key, idmap_ids_of(x->kind, 1000 + key),
	     idmap_update(&x->m, x->key_id[key], 1000 + key, BPF_ANY));
}

#define DIES_WITHIN  3 /* exit status of the process that dies */
#define DIES_WITHOUT 4

static unsigned steps_left;

static void count_down(enum test_point point)
{
	(void)point;
	if (!steps_left--)
		_exit(DIES_WITHIN);
}

/* Makes a process die in an update under the lock, or finish it if it has fewer steps. */
static void die(struct experiment *x)
{
	const uint64_t value = 999;
	struct history_op *op;
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		usermap_test_point = count_down;
		steps_left = x->death;
		_exit(idmap_update(&x->m, x->key_id[0], value, BPF_EXIST | BPF_F_LOCK) ? DIES_WITHOUT : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == DIES_WITHOUT)
		experiment_wrong(x, "the process that should die does something else");
	op = note(x, HISTORY_UPDATE, 0, idmap_ids_of(x->kind, value), 0);
	op->flags = BPF_EXIST;
	op->pending = WEXITSTATUS(status) == DIES_WITHIN;
	if (op->pending)
		op->returned = UINT64_MAX;
	x->died = op->pending;
}

static void set_up(struct experiment *x, bool drain)
{
	struct idmap_ids value;

	idmap_create(&x->m, x->kind, x->scenario->max_entries);
	if (hash_of(x->m.map)->elements.hazards)
		hash_of(x->m.map)->elements.chunk = 1; /* what is given back serves again at once */
	x->clock = 0;
	x->wrong[0] = 0;
	x->history.n = 0;
	x->history.max_entries = x->m.max_entries;
	x->history.words = idmap_words(x->kind);
	x->history.exact = true;
	for (unsigned t = 0; t <= SCENARIO_THREADS; t++)
		x->ops[t].n = 0;
	experiment_act(x, SCENARIO_THREADS);
	x->drained = drain && x->kind->reuse == GRACE;
	if (x->drained) { /* the first call ends stores in place; let that be over */
		idmap_update(&x->m, WHOLE_FRESH, 1, BPF_ANY);
		experiment_get(x, WHOLE_FRESH, true, 0, &value);
	}
	for (unsigned i = 0; i < x->scenario->fill; i++)
		store(x, FILLER + i);
	for (unsigned i = 0; i < 4 && x->scenario->present[i]; i++)
		store(x, x->scenario->present[i] - 1);
	for (unsigned i = 0; i < x->scenario->fill && x->scenario->fill_used; i++)
		idmap_use(&x->m, x->key_id[FILLER + i]);
	if (x->scenario->dies)
		die(x);
}

static void judge(struct experiment *x)
{
	enum history_verdict verdict;
	struct idmap_ids value;
	const char *what;

	for (unsigned t = 0; t <= SCENARIO_THREADS; t++)
		for (unsigned i = 0; i < x->ops[t].n; i++)
			if (x->history.n < HISTORY_OPS - HISTORY_KEYS)
				x->history.op[x->history.n++] = x->ops[t].op[i];
			else
				experiment_wrong(x, "a history too long");
	for (unsigned key = 0; key < HISTORY_KEYS; key++)
		if (x->used >> key & 1) {
			int err = experiment_get(x, x->key_id[key], false, 0, &value);

			note(x, HISTORY_LOOKUP, key, value, err);
		}
	experiment_act(NULL, 0);
	verdict = history_check(&x->history);
	if (verdict != HISTORY_OK)
		experiment_wrong(x, verdict == HISTORY_WRONG ? "the history is not linearizable"
							     : "the history is too hard to judge");
	what = x->wrong[0] ? NULL : whole_judge(&x->m, x->key_id, HISTORY_KEYS);
	if (what)
		experiment_wrong(x, "%s", what);
}

static void report(const struct experiment *x, const struct schedule_log *log, const char *what)
{
	printf("FAILED %s %s: %s\n", x->scenario->name, x->kind->name, what);
	history_print(&x->history, stdout);
	printf("  again: explore --scenario %s --kind %s --schedule ", x->scenario->name, x->kind->name);
	schedule_print(log, stdout);
	if (x->scenario->dies)
		printf(" --death %u", x->death);
	printf("%s\n", x->drained ? " --drained" : "");
	fflush(stdout);
}

/* One run under the policy; false if it failed. */
static bool try(struct experiment *x, struct schedule_policy *policy, bool drain)
{
	struct schedule_log log;
	unsigned threads = x->scenario->thread[2][0].kind ? 3 : 2;

	set_up(x, drain);
	if (schedule_run(threads, run_thread, x, policy, &log) == SCHEDULE_HUNG) {
		report(x, &log, "no progress");
		exit(EXIT_FAILURE); /* the threads are stuck in the map */
	}
	judge(x);
	if (x->wrong[0])
		report(x, &log, x->wrong);
	usermap_close(x->m.map);
	return !x->wrong[0];
}

/* The n-th random schedule: in turn with switches everywhere, and with one, two or three. In half of them the first
 * lookup_and_delete, which drains, is over before. */
static bool try_random(struct experiment *x, unsigned n)
{
	struct schedule_random random;
	struct schedule_few few;

	schedule_random_init(&random, options.seed + n, 2 + n / 4 % 15);
	schedule_few_init(&few, options.seed + n, 1 + n / 4 % SCHEDULE_FEW, 16u << n / 4 % 4);
	return try(x, n & 2 ? &random.policy : &few.policy, n & 1);
}

/* All schedules with one preemption, then all with more, up to so many in all; if there are more, as many random ones. */
static bool explore(struct experiment *x, unsigned max)
{
	static struct schedule_search search;
	unsigned n = 0, n_random = 0;
	bool more = false;

	for (unsigned bound = 1; bound <= options.bound && !more; bound++) {
		schedule_search_init(&search, bound);
		for (more = true; more && n < max; more = schedule_search_next(&search), n++)
			if (!try(x, &search.policy, false))
				return false;
	}
	for (; more && n_random < max; n_random++)
		if (!try_random(x, n_random))
			return false;
	printf("%-24s %-20s %6u schedules%s", x->scenario->name, x->kind->name, n,
	       more ? "" : ", all with that many preemptions");
	if (x->scenario->dies)
		printf(", death at step %u", x->death);
	if (n_random)
		printf(", %u random", n_random);
	if (search.diverged)
		printf(", %u not repeated exactly", search.diverged);
	printf("%s\n", search.too_deep ? ", TOO DEEP" : "");
	fflush(stdout);
	return !search.too_deep;
}

/* With a process that dies: at each of its steps, and at last after them. */
static bool explore_deaths(struct experiment *x)
{
	bool ok;

	x->death = 0;
	do
		ok = explore(x, options.max / 8 + 1);
	while (ok && x->died && x->death++ < MANY_STEPS);
	return ok && !x->died;
}

static bool replay(struct experiment *x)
{
	struct schedule_replay replay;

	if (!schedule_parse(&replay, options.schedule)) {
		fprintf(stderr, "not a schedule: %s\n", options.schedule);
		return false;
	}
	x->death = options.death;
	return try(x, &replay.policy, options.drained);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	(void)state;
	switch (key) {
	case 's': options.scenario = arg; return 0;
	case 'k': options.kind = arg; return 0;
	case 'r': options.schedule = arg; return 0;
	case 'S': options.seed = strtoull(arg, NULL, 0); return 0;
	case 'b': options.bound = (unsigned)strtoul(arg, NULL, 0); return 0;
	case 'm': options.max = (unsigned)strtoul(arg, NULL, 0); return 0;
	case 'l': options.list = true; return 0;
	case 'd': options.drained = true; return 0;
	case 'e': options.evicting = true; return 0;
	case 'D': options.death = (unsigned)strtoul(arg, NULL, 0); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option argp_options[] = {
	{ "scenario", 's', "NAME", 0, "only this scenario", 0 },
	{ "kind", 'k', "NAME", 0, "only this kind of map", 0 },
	{ "evicting", 'e', NULL, 0, "only maps that evict", 0 },
	{ "schedule", 'r', "STEP:THREAD,…", 0, "run this schedule only, as a failure printed it", 0 },
	{ "drained", 'd', NULL, 0, "with --schedule: after a first lookup_and_delete", 0 },
	{ "death", 'D', "N", 0, "with --schedule: the step at which the process dies", 0 },
	{ "seed", 'S', "N", 0, "of the random schedules (1)", 0 },
	{ "bound", 'b', "N", 0, "preemptions in a schedule (2)", 0 },
	{ "max", 'm', "N", 0, "schedules of a scenario and kind; beyond that as many random ones (2000)", 0 },
	{ "list", 'l', NULL, 0, "print the scenarios and kinds", 0 },
	{ 0 },
};

static bool selected(const struct scenario *scenario, const struct idmap_kind *kind)
{
	if ((options.scenario && strcmp(options.scenario, scenario->name)) ||
	    (options.kind && strcmp(options.kind, kind->name)) || (options.evicting && kind->eviction == IDMAP_KEEPS))
		return false;
	if ((scenario->only && scenario->only != kind->values) || (scenario->evicts && kind->eviction == IDMAP_KEEPS))
		return false;
	return !scenario->dies || kind->memory == USERMAP_MEMORY_SHARED;
}

int main(int argc, char **argv)
{
	const struct argp argp = { argp_options, parse_option, NULL, "Explores the engine's interleavings systematically.",
				   NULL, NULL, NULL };
	static struct experiment x;
	unsigned n = 0;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	idmap_evicted = experiment_evicted;
	printf("seed %" PRIu64 ", at most %u preemptions\n", options.seed, options.bound);
	for (unsigned s = 0; s < n_scenarios; s++)
		for (unsigned k = 0; k < N_KINDS; k++) {
			x.scenario = &scenarios[s];
			x.kind = &kinds[k];
			if (!selected(x.scenario, x.kind))
				continue;
			n++;
			if (options.list) {
				printf("%s %s\n", x.scenario->name, x.kind->name);
				continue;
			}
			choose_cpu(x.scenario, 0);
			choose_keys(&x);
			if (!(options.schedule	? replay(&x) :
			      x.scenario->dies	? explore_deaths(&x) :
						  explore(&x, options.max)))
				return EXIT_FAILURE;
		}
	if (!n)
		fprintf(stderr, "no such scenario or kind\n");
	return n ? EXIT_SUCCESS : EXIT_FAILURE;
}
