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
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <usermap/helper.h>
#include <usermap/usermap.h>

#include "core/line.h"
#include "history.h"
#include "idmap.h"
#include "map/map.h"
#include "schedule.h"
#include "whole.h"

static const struct idmap_kind kinds[] = {
	{ "grace-8", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_GRACE, 0, 8, 8 },                  /* stores in place */
	{ "grace-16", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_GRACE, BPF_F_NO_PREALLOC, 8, 16 }, /* replaces by swap */
	{ "grace-zero-seed-16", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_GRACE, BPF_F_ZERO_SEED, 8, 16 }, /* by commit */
	{ "at-once-8", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_AT_ONCE, 0, 8, 8 },
	{ "at-once-64", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_AT_ONCE, 0, 24, 64 },
	{ "shared-zero-seed-16", USERMAP_MEMORY_SHARED, USERMAP_REUSE_AT_ONCE, BPF_F_ZERO_SEED, 4, 16 },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define ROOM 24 /* operations of one thread */

static struct {
	const char *scenario, *kind, *schedule;
	uint64_t seed;
	unsigned bound, max;
	bool list, drained;
} options = { .seed = 1, .bound = 2, .max = 2000 };

/* One run. `ops` of a thread are written by it alone. */
struct experiment {
	const struct scenario *scenario;
	const struct idmap_kind *kind;
	uint32_t key_id[HISTORY_KEYS];
	uint64_t used; /* the keys that the scenario speaks of, as a mask */
	struct idmap m;
	atomic_uint_fast64_t clock;
	struct history history;
	struct {
		unsigned n;
		struct history_op op[ROOM];
	} ops[SCENARIO_THREADS];
	bool drained;
	char wrong[256]; /* what was found wrong, "" so far */
};

/* The seed of every map is the same, so that keys lie in the same lines run after run. */
ssize_t getrandom(void *buffer, size_t size, unsigned flags)
{
	(void)flags;
	memset(buffer, 0x5a, size);
	return (ssize_t)size;
}

__attribute__((format(printf, 2, 3))) static void wrong(struct experiment *x, const char *format, ...)
{
	va_list args;

	if (x->wrong[0])
		return;
	va_start(args, format);
	vsnprintf(x->wrong, sizeof(x->wrong), format, args);
	va_end(args);
}

static uint64_t now(struct experiment *x)
{
	return atomic_fetch_add(&x->clock, 1) + 1;
}

/* Looks up, or takes; a torn value fails the run. */
static int get(struct experiment *x, uint32_t key_id, uint64_t *value, bool take)
{
	int err = take ? idmap_take(&x->m, key_id, value) : idmap_lookup(&x->m, key_id, value);

	if (err == IDMAP_TORN)
		wrong(x, "a torn value");
	return err;
}

/* By pointer, which must stay the same entry for the length of its section. */
static int get_by_pointer(struct experiment *x, uint32_t key_id, uint64_t *value)
{
	const void *p;
	uint64_t again;

	*value = 0;
	usermap_read_lock();
	p = idmap_pointer(&x->m, key_id);
	if (p && x->kind->value_size == 8) {
		*value = atomic_load((const _Atomic uint64_t *)p); /* others may store it in place */
	} else if (p) {
		if (idmap_value_of(&x->m, p, value))
			wrong(x, "a torn value behind a pointer");
		for (int i = 0; i < 6; i++) {
			schedule_point(false);
			if (idmap_value_of(&x->m, p, &again) || again != *value)
				wrong(x, "a pointer's entry changed inside its section");
		}
	}
	usermap_read_unlock();
	return p ? 0 : -ENOENT;
}

static struct history_op *begin(struct experiment *x, unsigned thread, enum history_kind kind, unsigned key)
{
	struct history_op *op = &x->ops[thread].op[x->ops[thread].n++];

	*op = (struct history_op){ .kind = kind, .thread = thread, .key = key };
	op->called = now(x);
	return op;
}

/* Notes what one call said of several keys: as many operations, which overlap each other entirely. */
static void note_many(struct experiment *x, unsigned thread, enum history_kind kind, uint64_t called, const uint64_t *value)
{
	for (unsigned key = 0; key < HISTORY_KEYS; key++) {
		struct history_op *op;

		if (!(x->used >> key & 1))
			continue;
		op = begin(x, thread, value[key] ? kind : HISTORY_LOOKUP, key);
		op->value = value[key];
		op->result = value[key] ? 0 : -ENOENT;
		op->called = called;
	}
}

static void end_from(struct experiment *x, unsigned thread, unsigned first)
{
	for (; first < x->ops[thread].n; first++)
		x->ops[thread].op[first].returned = now(x);
}

static void bulk(struct experiment *x, unsigned thread)
{
	uint64_t called = now(x), value[HISTORY_KEYS];
	unsigned first = x->ops[thread].n;
	int err = idmap_bulk(&x->m, x->key_id, value, HISTORY_KEYS);

	if (err)
		wrong(x, err == IDMAP_TORN ? "a torn value from lookup_bulk" : "lookup_bulk marks what it doesn't count");
	note_many(x, thread, HISTORY_LOOKUP, called, value);
	end_from(x, thread, first);
}

struct batch {
	struct experiment *x;
	uint64_t value[HISTORY_KEYS];
};

static void batch_entry(void *context, uint32_t id, uint64_t value)
{
	struct batch *batch = context;
	unsigned key = 0;

	while (key < HISTORY_KEYS && batch->x->key_id[key] != id)
		key++;
	if (key == HISTORY_KEYS || !(batch->x->used >> key & 1))
		wrong(batch->x, "a batch gave a key that nobody stored");
	else
		batch->value[key] = value;
}

static void batch(struct experiment *x, unsigned thread, bool take)
{
	struct batch batch = { .x = x };
	uint64_t called = now(x);
	unsigned first = x->ops[thread].n;
	int err = idmap_batch(&x->m, take, batch_entry, &batch);

	if (err)
		wrong(x, "a batch: %d%s", err, err == IDMAP_TORN ? " (torn)" : "");
	note_many(x, thread, take ? HISTORY_TAKE : HISTORY_LOOKUP, called, batch.value);
	end_from(x, thread, first);
}

static void run_step(struct experiment *x, unsigned thread, unsigned number, const struct step *step)
{
	static const uint64_t flags[] = { [STEP_ANY] = BPF_ANY, [STEP_NOEXIST] = BPF_NOEXIST, [STEP_EXIST] = BPF_EXIST };
	uint32_t id = x->key_id[step->key];
	struct history_op *op;

	switch (step->kind) {
	case STEP_END:
		return;
	case STEP_ANY:
	case STEP_NOEXIST:
	case STEP_EXIST:
		op = begin(x, thread, HISTORY_UPDATE, step->key);
		op->flags = flags[step->kind];
		op->value = (thread + 1) * 100 + number;
		op->result = idmap_update(&x->m, id, op->value, op->flags);
		break;
	case STEP_DELETE:
		op = begin(x, thread, HISTORY_DELETE, step->key);
		op->result = idmap_delete(&x->m, id);
		break;
	case STEP_LOOKUP:
	case STEP_TAKE:
		op = begin(x, thread, step->kind == STEP_TAKE ? HISTORY_TAKE : HISTORY_LOOKUP, step->key);
		op->result = get(x, id, &op->value, step->kind == STEP_TAKE);
		break;
	case STEP_POINTER:
		if (x->kind->reuse != USERMAP_REUSE_GRACE)
			return;
		op = begin(x, thread, HISTORY_LOOKUP, step->key);
		op->result = get_by_pointer(x, id, &op->value);
		break;
	case STEP_BULK:
		bulk(x, thread);
		return;
	default:
		batch(x, thread, step->kind == STEP_TAKE_ALL);
		return;
	}
	op->returned = now(x);
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
	for (unsigned i = 0; i < SCENARIO_STEPS && x->scenario->thread[thread][i].kind; i++)
		run_step(x, thread, i, &x->scenario->thread[thread][i]);
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
static void note(struct experiment *x, enum history_kind kind, unsigned key, uint64_t value, int result)
{
	struct history_op *op = &x->history.op[x->history.n++];

	*op = (struct history_op){ .kind = kind, .thread = SCENARIO_THREADS, .key = key, .value = value, .result = result };
	op->called = now(x);
	op->returned = now(x);
}

static void set_up(struct experiment *x, bool drain)
{
	uint64_t value;

	idmap_create(&x->m, x->kind, x->scenario->max_entries);
	x->clock = 0;
	x->wrong[0] = 0;
	x->history.n = 0;
	x->history.max_entries = x->scenario->max_entries;
	x->history.exact = true;
	for (unsigned t = 0; t < SCENARIO_THREADS; t++)
		x->ops[t].n = 0;
	x->drained = drain;
	if (drain) { /* the first call ends stores in place; let that be over */
		idmap_update(&x->m, WHOLE_FRESH, 1, BPF_ANY);
		get(x, WHOLE_FRESH, &value, true);
	}
	for (unsigned key = 0; key < HISTORY_KEYS; key++)
		if (key >= FILLER && key < FILLER + x->scenario->fill)
			note(x, HISTORY_UPDATE, key, 1000 + key, idmap_update(&x->m, x->key_id[key], 1000 + key, BPF_ANY));
	for (unsigned i = 0; i < 4 && x->scenario->present[i]; i++) {
		unsigned key = x->scenario->present[i] - 1;

		note(x, HISTORY_UPDATE, key, 1000 + key, idmap_update(&x->m, x->key_id[key], 1000 + key, BPF_ANY));
	}
}

static void judge(struct experiment *x)
{
	const char *what;
	uint64_t value;

	for (unsigned t = 0; t < SCENARIO_THREADS; t++)
		for (unsigned i = 0; i < x->ops[t].n; i++)
			x->history.op[x->history.n++] = x->ops[t].op[i];
	for (unsigned key = 0; key < HISTORY_KEYS; key++)
		if (x->used >> key & 1) {
			int err = get(x, x->key_id[key], &value, false);

			note(x, HISTORY_LOOKUP, key, value, err);
		}
	if (history_check(&x->history) != HISTORY_OK)
		wrong(x, "the history is not linearizable");
	what = x->wrong[0] ? NULL : whole_judge(&x->m, x->key_id, HISTORY_KEYS);
	if (what)
		wrong(x, "%s", what);
}

static void report(const struct experiment *x, const struct schedule_log *log, const char *what)
{
	printf("FAILED %s %s: %s\n", x->scenario->name, x->kind->name, what);
	history_print(&x->history, stdout);
	printf("  again: explore --scenario %s --kind %s --schedule ", x->scenario->name, x->kind->name);
	schedule_print(log, stdout);
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

/* All schedules with few preemptions, up to options.max; if there are more, as many random ones. In half of
 * the latter the first lookup_and_delete, which drains, is over before. */
static bool explore(struct experiment *x)
{
	static struct schedule_search search;
	struct schedule_random random;
	unsigned n = 0, n_random = 0;
	bool more = true;

	schedule_search_init(&search, options.bound);
	for (; more && n < options.max; more = schedule_search_next(&search), n++)
		if (!try(x, &search.policy, false))
			return false;
	for (; more && n_random < options.max; n_random++) {
		schedule_random_init(&random, options.seed + n_random, 2 + n_random % 15);
		if (!try(x, &random.policy, n_random & 1))
			return false;
	}
	printf("%-24s %-20s %6u schedules%s", x->scenario->name, x->kind->name, n,
	       more ? "" : ", all with that many preemptions");
	if (n_random)
		printf(", %u random", n_random);
	if (search.diverged)
		printf(", %u not repeated exactly", search.diverged);
	printf("%s\n", search.too_deep ? ", TOO DEEP" : "");
	fflush(stdout);
	return !search.too_deep;
}

static bool replay(struct experiment *x)
{
	struct schedule_replay replay;

	if (!schedule_parse(&replay, options.schedule)) {
		fprintf(stderr, "not a schedule: %s\n", options.schedule);
		return false;
	}
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
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option argp_options[] = {
	{ "scenario", 's', "NAME", 0, "only this scenario", 0 },
	{ "kind", 'k', "NAME", 0, "only this kind of map", 0 },
	{ "schedule", 'r', "STEP:THREAD,…", 0, "run this schedule only, as a failure printed it", 0 },
	{ "drained", 'd', NULL, 0, "with --schedule: after a first lookup_and_delete", 0 },
	{ "seed", 'S', "N", 0, "of the random schedules (1)", 0 },
	{ "bound", 'b', "N", 0, "preemptions in a schedule (2)", 0 },
	{ "max", 'm', "N", 0, "schedules of a scenario and kind; beyond that as many random ones (2000)", 0 },
	{ "list", 'l', NULL, 0, "print the scenarios and kinds", 0 },
	{ 0 },
};

int main(int argc, char **argv)
{
	const struct argp argp = { argp_options, parse_option, NULL, "Explores the engine's interleavings systematically.",
				   NULL, NULL, NULL };
	static struct experiment x;
	unsigned n = 0;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	printf("seed %" PRIu64 ", at most %u preemptions\n", options.seed, options.bound);
	for (unsigned s = 0; s < n_scenarios; s++)
		for (unsigned k = 0; k < N_KINDS; k++) {
			x.scenario = &scenarios[s];
			x.kind = &kinds[k];
			if ((options.scenario && strcmp(options.scenario, x.scenario->name)) ||
			    (options.kind && strcmp(options.kind, x.kind->name)))
				continue;
			n++;
			if (options.list) {
				printf("%s %s\n", x.scenario->name, x.kind->name);
				continue;
			}
			choose_cpu(x.scenario, 0);
			choose_keys(&x);
			if (!(options.schedule ? replay(&x) : explore(&x)))
				return EXIT_FAILURE;
		}
	if (!n)
		fprintf(stderr, "no such scenario or kind\n");
	return n ? EXIT_SUCCESS : EXIT_FAILURE;
}
