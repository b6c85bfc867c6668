/* SPDX-License-Identifier: MIT */
/*
 * usermap and its peers under google-benchmark: operation/table/entries, 1 and 2 threads, wall time.
 */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "gbench.h"
#include "keys.h"
#include "table.h"

enum {
	CHUNK = 1000, /* operations between two looks at the clock; divides the number of entries of each thread */
	MAX_THREADS = 2,
	MAX_FRESH = 4, /* tables that an insert benchmark fills; more would push each other out of the cache */
};

static const struct table_ops *const tables[] = {
	&usermap_hash,	   &usermap_at_once_hash,	&usermap_shared_hash, &usermap_program_hash,
	&usermap_bpf_hash, &usermap_bpf_unchecked_hash, &kernel_hash,	      &rculfhash_table,
	&ck_ht_table,	   &ck_ht_direct_table,		&ck_rhs_table,	      &tbb_table,
};

static const struct {
	enum table_op op;
	const char *name;
	bool writes;
} operations[] = {
	{ TABLE_HIT, "hit", false },	  { TABLE_MISS, "miss", false },	  { TABLE_INSERT, "insert", true },
	{ TABLE_UPDATE, "update", true }, { TABLE_CHURN, "delete+insert", true }, { TABLE_MIXED, "50-50", true },
	{ TABLE_BULK, "bulk", false },
};

/* A table that holds n entries, made on first use, kept until exit; all benchmarks of its table and size use it. */
struct fixture {
	const struct table_ops *ops;
	size_t n;
	const struct keys *keys;
	void *table;
	void *fresh[MAX_FRESH]; /* of the insert benchmark that is running */
	uint32_t n_fresh;
	unsigned int inside; /* threads in the running benchmark */
	uint32_t generation; /* of the running benchmark: 1, 2, … */
	size_t start;	     /* in the key stream; moves on, so none finds the last one's keys in the cache */
	struct fixture *next;
};

struct benchmark {
	struct fixture *fixture;
	enum table_op op;
	bool writes;
};

/* Guards all fixtures outside the timed loops. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fixture *fixtures;

static void enter(const struct table_ops *ops, void *table)
{
	if (ops->enter)
		ops->enter(table);
}

static void leave(const struct table_ops *ops, void *table)
{
	if (ops->leave)
		ops->leave(table);
}

static void *create_or_die(const struct fixture *f)
{
	void *table = f->ops->create(f->n);

	if (!table)
		err(1, "%s: can't make a table of %zu entries", f->ops->name, f->n);
	return table;
}

static void fill(struct fixture *f)
{
	f->table = create_or_die(f);
	enter(f->ops, f->table);
	if (f->ops->loop[TABLE_INSERT](f->table, f->keys->fill, f->n, 0) != f->n)
		errx(1, "%s: filling failed", f->ops->name);
	leave(f->ops, f->table);
}

/*
 * An empty table that was looked through once, untimed: memory that the kernel has just cleared is in no cache,
 * memory that an allocator hands out again is. Now each table's index is where its size lets it be.
 */
static void *create_fresh(const struct fixture *f)
{
	void *table = create_or_die(f);

	enter(f->ops, table);
	if (f->ops->loop[TABLE_MISS](table, f->keys->fill, f->n, 0) != f->n)
		errx(1, "%s: a new table isn't empty", f->ops->name);
	leave(f->ops, table);
	return table;
}

/* The first thread in makes what the benchmark needs. */
static void begin(struct fixture *f, enum table_op op, uint32_t n_fresh)
{
	pthread_mutex_lock(&lock);
	if (!f->inside++) {
		f->keys = keys_get(KEYS_RANDOM, f->n);
		f->generation++;
		f->start = (f->start + 37 * CHUNK) % f->n;
		f->n_fresh = op == TABLE_INSERT ? n_fresh : 0;
		for (uint32_t i = 0; i < f->n_fresh; i++)
			f->fresh[i] = create_fresh(f);
		if (op != TABLE_INSERT && !f->table)
			fill(f);
	}
	pthread_mutex_unlock(&lock);
}

/* The last thread out clears it away. */
static void end(struct fixture *f)
{
	pthread_mutex_lock(&lock);
	if (!--f->inside) {
		if (f->ops->settle)
			f->ops->settle();
		for (uint32_t i = 0; i < f->n_fresh; i++)
			f->ops->destroy(f->fresh[i]);
	}
	pthread_mutex_unlock(&lock);
}

/*
 * Readers go through all keys, from different places. Threads that write must not delete each other's keys: each has
 * a part of them for itself.
 */
static void run_operation(struct gbench_state *state, void *arg)
{
	const struct benchmark *b = arg;
	struct fixture *f = b->fixture;
	table_loop *loop = f->ops->loop[b->op];
	const uint64_t *stream, *last = NULL;
	size_t part = f->n / (size_t)gbench_thread_count(state), first = part * (size_t)gbench_thread_index(state);
	size_t at, right = 0, done = 0;

	begin(f, b->op, 0);
	stream = b->op == TABLE_MISS ? f->keys->absent : f->keys->access;
	if (b->writes) {
		stream += first;
		first = 0;
	} else {
		part = f->n;
	}
	at = (f->start + first) % part;
	enter(f->ops, f->table);
	loop(f->table, stream + at, CHUNK, f->generation);
	while (gbench_keep_running_batch(state, CHUNK)) {
		last = stream + at;
		right += loop(f->table, last, CHUNK, f->generation);
		done += CHUNK;
		at = at + CHUNK < part ? at + CHUNK : 0;
	}
	gbench_items(state, (int64_t)done);
	if (right != done)
		gbench_skip(state, "operations with a wrong outcome");
	if ((b->op == TABLE_UPDATE || b->op == TABLE_CHURN) && last &&
	    f->ops->loop[TABLE_VERIFY](f->table, last, CHUNK, f->generation) != CHUNK)
		gbench_skip(state, "the values written are not in the table");
	leave(f->ops, f->table);
	end(f);
}

/* One iteration fills one fresh table; each thread inserts its part of the keys. */
static void run_insert(struct gbench_state *state, void *arg)
{
	const struct benchmark *b = arg;
	struct fixture *f = b->fixture;
	size_t part = f->n / (size_t)gbench_thread_count(state);
	size_t first = part * (size_t)gbench_thread_index(state), right = 0, done = 0;
	uint32_t i = 0;

	begin(f, TABLE_INSERT, f->n >= 100000 ? 1 : MAX_FRESH);
	enter(f->ops, f->fresh[0]);
	while (gbench_keep_running_batch(state, 1)) {
		right += f->ops->loop[TABLE_INSERT](f->fresh[i++], f->keys->fill + first, part, 1);
		done += part;
	}
	gbench_items(state, (int64_t)done);
	if (right != done || f->ops->loop[TABLE_HIT](f->fresh[0], f->keys->fill + first, part, 0) != part)
		gbench_skip(state, "operations with a wrong outcome");
	leave(f->ops, f->fresh[0]);
	end(f);
}

static struct fixture *fixture_get(const struct table_ops *ops, size_t n)
{
	struct fixture *f = fixtures;

	while (f && (f->ops != ops || f->n != n))
		f = f->next;
	if (f)
		return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		err(1, NULL);
	f->ops = ops;
	f->n = n;
	f->next = fixtures;
	fixtures = f;
	return f;
}

static void add(const struct table_ops *ops, size_t operation, size_t n, int threads)
{
	struct benchmark *b = malloc(sizeof(*b));
	enum table_op op = operations[operation].op;
	struct gbench *g;
	char name[96];

	if (!b)
		err(1, NULL);
	b->fixture = fixture_get(ops, n);
	b->op = op;
	b->writes = operations[operation].writes;
	snprintf(name, sizeof(name), "%s/%s/%zu", operations[operation].name, ops->name, n);
	g = gbench_register(name, op == TABLE_INSERT ? run_insert : run_operation, b);
	gbench_threads(g, threads);
	gbench_real_time(g);
	if (op == TABLE_INSERT)
		gbench_iterations(g, n >= 100000 ? 1 : MAX_FRESH);
	else
		gbench_min_time(g, 0.02);
}

static bool is_available(const struct table_ops *ops)
{
	void *table = ops->create(16);

	if (!table) {
		warn("%s is not available here", ops->name);
		return false;
	}
	ops->destroy(table);
	return true;
}

static void add_all(void)
{
	static const size_t sizes[] = { 10000, 1000000 };

	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++) {
		if (!is_available(tables[t]))
			continue;
		gbench_context(tables[t]->name, tables[t]->note);
		for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
			for (size_t o = 0; o < sizeof(operations) / sizeof(*operations); o++)
				for (int threads = 1; threads <= MAX_THREADS; threads++)
					if (tables[t]->loop[operations[o].op] &&
					    (threads == 1 || !operations[o].writes || !tables[t]->single_writer))
						add(tables[t], o, sizes[s], threads);
	}
	for (size_t o = 0; o < sizeof(operations) / sizeof(*operations); o++)
		if (operations[o].op == TABLE_HIT || operations[o].op == TABLE_BULK)
			add(&usermap_hash, o, 16000000, 1);
}

int main(int argc, char **argv)
{
	add_all();
	return gbench_main(argc, argv);
}
