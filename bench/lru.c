/* SPDX-License-Identifier: MIT */
/*
 * Maps that evict under google-benchmark: operation/table/entries; the engine's program face with both evictions, beside
 * its HASH and the live kernel's maps in a BPF program.
 *
 *	evict	    a key that was never there before, into a full map; one thread and two, each on a CPU of its own
 *	cache	    a request to a cache (keys_trace): a key is looked up, and stored if it's absent
 *	hit	    of keys that have been hit before
 *	first-hit   of keys that have not: every hit leaves a mark
 *	update	    of present keys
 *	delete+insert
 *
 * Maps hold a little more than the entries that the benchmark's name has (keys_lru_share), so that present keys stay.
 * After each benchmark the work is checked: the last keys are there with their values, old ones are gone, the map is as
 * full as it may be and, where that's counted, as many entries were evicted as were stored and are not there.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "gbench.h"
#include "keys.h"
#include "table.h"

enum {
	CHUNK = 8192, /* operations between two looks at the clock: a multiple of a BPF program's run */
	MAX_THREADS = 2,
	MAX_FRESH = 4, /* tables that a benchmark of first hits goes through */
};

/* What is in a benchmark's table. */
enum content {
	KEPT,	/* n keys; nothing is evicted */
	FULL,	/* keys that came once */
	CACHED, /* the keys of a trace */
	CONTENTS,
};

#define TABLE(side, form)                       \
	{                                       \
#side "_" #form, &side##_##form \
	}

static const struct {
	const char *name;
	const struct table_ops *ops;
} tables[] = {
	TABLE(usermap_program, lru_hash),
	TABLE(usermap_program, lru_hash_own),
	TABLE(usermap_program, lru_hash_s3fifo),
	TABLE(usermap_program, lru_percpu_hash),
	TABLE(usermap_program, lru_percpu_hash_own),
	TABLE(usermap_program, lru_percpu_hash_s3fifo),
	TABLE(usermap_program, hash),
	TABLE(usermap_program_at_once, hash),
	TABLE(usermap_program, percpu_hash),
	TABLE(kernel_program, lru_hash),
	TABLE(kernel_program, lru_hash_own),
	TABLE(kernel_program, lru_percpu_hash),
	TABLE(kernel_program, lru_percpu_hash_own),
	TABLE(kernel_program, hash),
	TABLE(kernel_program, percpu_hash),
};

static const struct operation {
	const char *name;
	enum table_op op;
	enum content content;
	int threads;
	bool first_hits;
} operations[] = {
	{ "evict", TABLE_FRESH, FULL, 2, false },   { "cache", TABLE_CACHE, CACHED, 1, false },
	{ "hit", TABLE_HIT, KEPT, 1, false },	    { "first-hit", TABLE_HIT, KEPT, 1, true },
	{ "update", TABLE_UPDATE, KEPT, 1, false }, { "delete+insert", TABLE_CHURN, KEPT, 1, false },
};

static const size_t sizes[] = { 10000, 1000000 };

/* A table, made on first use, kept until exit; all benchmarks of its content and size use it. */
struct fixture {
	const struct table_ops *ops;
	enum content content;
	size_t n;
	void *table[MAX_THREADS];	/* as the threads have it; NULL: not yet */
	uint64_t position[MAX_THREADS]; /* of the threads in their streams of keys; grows for ever */
	const struct keys *keys;
	const struct keys_trace *trace;
	unsigned int inside; /* threads in the running benchmark */
	bool hit;	     /* every key has been, since the last write */
	uint32_t generation; /* of the running benchmark: 1, 2, … */
};

static struct fixture fixtures[sizeof(tables) / sizeof(*tables)][sizeof(sizes) / sizeof(*sizes)][CONTENTS];

struct benchmark {
	struct fixture *fixture;
	const struct operation *operation;
};

/* Guards all fixtures outside the timed loops. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A CPU for each thread, of those that this process may use. */
static size_t cpus[MAX_THREADS];
static int n_cpus;

static void find_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		err(1, "sched_getaffinity");
	for (size_t cpu = 0; cpu < CPU_SETSIZE && n_cpus < MAX_THREADS; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[n_cpus++] = cpu;
}

static void stay_on_cpu(int thread)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpus[thread], &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
}

/* A thread's next keys: of the present ones, of the trace, or made in room. */
static const uint64_t *chunk_at(const struct fixture *f, uint64_t position, uint64_t room[CHUNK])
{
	switch (f->content) {
	case CACHED:
		return f->trace->keys + (position & f->trace->mask);
	case FULL:
		for (size_t i = 0; i < CHUNK; i++)
			room[i] = keys_fresh(position + i);
		return room;
	default:
		return f->keys->access + position / CHUNK % (f->n / CHUNK) * CHUNK;
	}
}

/* Returns how many of a chunk's operations had the right outcome. */
static size_t do_chunk(struct fixture *f, int thread, enum table_op op)
{
	uint64_t room[CHUNK];
	const uint64_t *keys = chunk_at(f, f->position[thread], room);

	f->position[thread] += CHUNK;
	return f->ops->loop[op](f->table[thread], keys, CHUNK, f->generation);
}

static uint64_t first_position(int thread)
{
	return (uint32_t)thread * KEYS_THREAD_STEP;
}

static void *create_or_die(const struct fixture *f)
{
	void *table = f->ops->create(f->n);

	if (!table)
		err(1, "%s: can't make a table of %zu entries", f->ops->name, f->n);
	if (f->content == KEPT && f->ops->loop[TABLE_INSERT](table, f->keys->fill, f->n, 0) != f->n)
		errx(1, "%s: filling failed", f->ops->name);
	return table;
}

/* Makes the table as a thread has it, and fills what the thread can fill of it. */
static void join(struct fixture *f, int thread, enum table_op op)
{
	size_t n = f->content == CACHED ? f->trace->mask + 1 : keys_lru_share(f->n);

	if (thread == 0)
		f->table[0] = create_or_die(f);
	else
		f->table[thread] = f->ops->join ? f->ops->join(f->table[0], (uint32_t)thread) : f->table[0];
	if (!f->table[thread])
		err(1, "%s: thread %d", f->ops->name, thread);
	f->position[thread] = first_position(thread);
	while (f->content != KEPT && f->position[thread] - first_position(thread) < n)
		do_chunk(f, thread, op);
}

/* So that all keys have been hit before. A BPF program's ring is longer than the stream, but less than twice as long. */
static void hit_all(struct fixture *f)
{
	for (size_t done = 0; done < 2 * f->n; done += CHUNK)
		do_chunk(f, 0, TABLE_HIT);
	f->hit = true;
}

static void begin(struct fixture *f, int thread, enum table_op op)
{
	pthread_mutex_lock(&lock);
	f->keys = keys_get(KEYS_RANDOM, f->n);
	f->trace = keys_trace_get(f->n);
	if (!f->inside++)
		f->generation++;
	if (!f->table[0])
		join(f, 0, op);
	if (!f->table[thread])
		join(f, thread, op);
	if (op != TABLE_HIT)
		f->hit = false;
	else if (!f->hit)
		hit_all(f);
	pthread_mutex_unlock(&lock);
}

/* What is wrong with a table that nobody writes to; NULL: nothing. */
static const char *find_fault(struct fixture *f, enum table_op op)
{
	struct table_census census = f->ops->census ? f->ops->census(f->table[0]) : (struct table_census){ 0 };
	uint64_t room[CHUNK], at = f->position[0], stored = 0;

	if (census.present > census.capacity)
		return "more entries than the map may have";
	if (f->content != KEPT && census.present < f->n)
		return "a map that should be full isn't";
	if ((op == TABLE_UPDATE || op == TABLE_CHURN) &&
	    f->ops->loop[TABLE_VERIFY](f->table[0], chunk_at(f, at - CHUNK, room), TABLE_LAST, f->generation) !=
		    TABLE_LAST)
		return "the values written are not in the table";
	if (op != TABLE_FRESH)
		return NULL;
	for (int i = 0; i < MAX_THREADS; i++)
		stored += f->table[i] ? f->position[i] - first_position(i) : 0;
	if (census.evicted != TABLE_UNKNOWN && census.evicted != stored - census.present)
		return "entries are missing that were not evicted";
	if (do_chunk(f, 0, op) != CHUNK ||
	    f->ops->loop[TABLE_VERIFY](f->table[0], chunk_at(f, at, room) + CHUNK - TABLE_LAST, TABLE_LAST,
				       f->generation) != TABLE_LAST)
		return "the last keys are not in the table";
	if (census.evicted == TABLE_UNKNOWN && at >= 2 * keys_lru_share(f->n) + CHUNK &&
	    f->ops->loop[TABLE_MISS](f->table[0], chunk_at(f, at - 2 * keys_lru_share(f->n), room), CHUNK, 0) != CHUNK)
		return "old keys are still in the table";
	return NULL;
}

static void end(struct gbench_state *state, struct fixture *f, enum table_op op)
{
	const char *fault;

	pthread_mutex_lock(&lock);
	if (!--f->inside) {
		stay_on_cpu(0); /* whose programs and share the checks use */
		fault = find_fault(f, op);
		if (fault)
			gbench_skip(state, fault);
	}
	pthread_mutex_unlock(&lock);
}

static void run_operation(struct gbench_state *state, void *arg)
{
	const struct benchmark *b = arg;
	enum table_op op = b->operation->op;
	int thread = gbench_thread_index(state);
	size_t right = 0, done = 0;

	stay_on_cpu(thread);
	begin(b->fixture, thread, op);
	do_chunk(b->fixture, thread, op); /* untimed: what was used last is in the caches */
	while (gbench_keep_running_batch(state, CHUNK)) {
		right += do_chunk(b->fixture, thread, op);
		done += CHUNK;
	}
	gbench_items(state, (int64_t)done);
	if (right != done)
		gbench_skip(state, "operations with a wrong outcome");
	end(state, b->fixture, op);
}

static int fresh_tables(size_t n)
{
	return n >= 100000 ? 1 : MAX_FRESH;
}

/* One thread. An iteration goes through a table that was just filled. */
static void run_first_hits(struct gbench_state *state, void *arg)
{
	struct fixture f = *((const struct benchmark *)arg)->fixture;
	void *fresh[MAX_FRESH];
	size_t right = 0, done = 0;
	int used = 0;

	stay_on_cpu(0);
	f.keys = keys_get(KEYS_RANDOM, f.n);
	for (int i = 0; i < fresh_tables(f.n); i++)
		fresh[i] = create_or_die(&f);
	while (gbench_keep_running_batch(state, 1)) {
		f.table[0] = fresh[used++];
		for (size_t i = 0; i < f.n / CHUNK; i++, done += CHUNK)
			right += do_chunk(&f, 0, TABLE_HIT);
	}
	gbench_items(state, (int64_t)done);
	if (right != done)
		gbench_skip(state, "operations with a wrong outcome");
	for (int i = 0; i < fresh_tables(f.n); i++)
		f.ops->destroy(fresh[i]);
}

static void add(size_t t, size_t s, const struct operation *operation, int threads)
{
	struct benchmark *b = malloc(sizeof(*b));
	struct gbench *g;
	char name[96];

	if (!b)
		err(1, NULL);
	*b = (struct benchmark){ .fixture = &fixtures[t][s][operation->content], .operation = operation };
	*b->fixture = (struct fixture){ .ops = tables[t].ops, .content = operation->content, .n = sizes[s] };
	snprintf(name, sizeof(name), "%s/%s/%zu", operation->name, tables[t].name, sizes[s]);
	g = gbench_register(name, operation->first_hits ? run_first_hits : run_operation, b);
	gbench_threads(g, threads);
	gbench_real_time(g);
	if (operation->first_hits)
		gbench_iterations(g, fresh_tables(sizes[s]));
	else
		gbench_min_time(g, 0.02);
}

static bool is_available(size_t t)
{
	void *table = tables[t].ops->create(16);

	if (!table) {
		warn("%s is not available here", tables[t].name);
		return false;
	}
	tables[t].ops->destroy(table);
	return true;
}

static void add_all(void)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++) {
		if (!is_available(t))
			continue;
		gbench_context(tables[t].name, tables[t].ops->note);
		for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
			for (size_t o = 0; o < sizeof(operations) / sizeof(*operations); o++)
				if (tables[t].ops->census || operations[o].content == KEPT)
					for (int threads = 1; threads <= operations[o].threads && threads <= n_cpus;
					     threads++)
						add(t, s, &operations[o], threads);
	}
}

int main(int argc, char **argv)
{
	find_cpus();
	add_all();
	return gbench_main(argc, argv);
}
