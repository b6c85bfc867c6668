/* SPDX-License-Identifier: MIT */
/*
 * The engine and the live kernel side by side, one thread: usermap_bpf() and the native face against bpf(2), the
 * program face against a BPF program. Every cell of a table is the median of many short samples; all cells of a map
 * type and size are sampled once a round, so that what disturbs the machine disturbs all alike. Where bpf(2) is refused,
 * only the engine's columns are filled.
 */
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "keys.h"
#include "table.h"

enum {
	CHUNK = 8192, /* operations between two looks at the clock: a multiple of a BPF program's run */
	SAMPLE_NS = 4000000,
	MAX_ROUNDS = 101,
	COLUMNS = 4,
	MAX_OPS = 8, /* in a comparison */
};

/* The rows of one comparison: the first column is the kernel's. */
struct comparison {
	const char *title[COLUMNS];
	const struct table_ops *table[COLUMNS];
	enum table_op ops[MAX_OPS];
	size_t n_ops;
};

enum { COMPARISONS = 4 };

/* What a column of a comparison measures. */
struct column {
	const struct table_ops *ops;
	void *table;	/* NULL: there is none */
	uint64_t fresh; /* keys stored in it that were never there before, by TABLE_FRESH */
};

static const struct form {
	const char *name; /* as --type has it */
	const char *title;
	enum keys_kind keys;
	struct comparison comparisons[COMPARISONS];
} forms[] = {

#define OPS(...) .ops = { __VA_ARGS__ }, .n_ops = sizeof((enum table_op[]){ __VA_ARGS__ }) / sizeof(enum table_op)
#define COMMAND_TABLES(form)                                                  \
	.title = { "bpf(2)", "usermap_bpf", "fds unchecked", "native face" }, \
	.table = { &kernel_##form, &usermap_bpf_##form, &usermap_bpf_unchecked_##form, &usermap_##form }
#define PROGRAM_TABLES(form) \
	.title = { "BPF program", "program face" }, .table = { &kernel_program_##form, &usermap_program_##form }
#define EVICTION_TABLES(form)                                  \
	.title = { "BPF program", "program face", "S3-FIFO" }, \
	.table = { &kernel_program_##form, &usermap_program_##form, &usermap_program_##form##_s3fifo }

	{ "HASH",
	  "HASH, 8-byte keys and values",
	  KEYS_RANDOM,
	  { { COMMAND_TABLES(hash), OPS(TABLE_HIT, TABLE_MISS, TABLE_UPDATE, TABLE_CHURN, TABLE_BATCH_LOOKUP,
					TABLE_BATCH_UPDATE, TABLE_BATCH_DELETE, TABLE_BULK) },
	    { PROGRAM_TABLES(hash), OPS(TABLE_HIT, TABLE_UPDATE, TABLE_CHURN) } } },
	{ "PERCPU_HASH",
	  "PERCPU_HASH, 8-byte keys, 8-byte values of all CPUs (programs: of theirs)",
	  KEYS_RANDOM,
	  { { COMMAND_TABLES(percpu_hash), OPS(TABLE_HIT, TABLE_UPDATE, TABLE_CHURN, TABLE_BATCH_LOOKUP,
					       TABLE_BATCH_UPDATE, TABLE_BATCH_DELETE, TABLE_BULK) },
	    { PROGRAM_TABLES(percpu_hash), OPS(TABLE_HIT, TABLE_UPDATE) } } },
	{ "PERCPU_ARRAY",
	  "PERCPU_ARRAY, 8-byte values of all CPUs (programs: of theirs)",
	  KEYS_INDEXES,
	  { { COMMAND_TABLES(percpu_array), OPS(TABLE_HIT, TABLE_UPDATE, TABLE_BATCH_LOOKUP, TABLE_BATCH_UPDATE) },
	    { PROGRAM_TABLES(percpu_array), OPS(TABLE_HIT, TABLE_UPDATE) } } },
	/* Maps that keep their keys; then others, that are full and evict. */
	{ "LRU_HASH",
	  "LRU_HASH, 8-byte keys and values",
	  KEYS_RANDOM,
	  { { COMMAND_TABLES(lru_hash), OPS(TABLE_HIT, TABLE_UPDATE, TABLE_CHURN, TABLE_BATCH_LOOKUP,
					    TABLE_BATCH_UPDATE, TABLE_BATCH_DELETE, TABLE_BULK) },
	    { EVICTION_TABLES(lru_hash), OPS(TABLE_HIT, TABLE_UPDATE, TABLE_CHURN) },
	    { COMMAND_TABLES(lru_hash), OPS(TABLE_FRESH) },
	    { EVICTION_TABLES(lru_hash), OPS(TABLE_FRESH) } } },
	{ "LRU_PERCPU_HASH",
	  "LRU_PERCPU_HASH, 8-byte keys, 8-byte values of all CPUs (programs: of theirs)",
	  KEYS_RANDOM,
	  { { COMMAND_TABLES(lru_percpu_hash), OPS(TABLE_HIT, TABLE_UPDATE, TABLE_CHURN, TABLE_BATCH_LOOKUP,
						   TABLE_BATCH_UPDATE, TABLE_BATCH_DELETE, TABLE_BULK) },
	    { EVICTION_TABLES(lru_percpu_hash), OPS(TABLE_HIT, TABLE_UPDATE) },
	    { COMMAND_TABLES(lru_percpu_hash), OPS(TABLE_FRESH) },
	    { EVICTION_TABLES(lru_percpu_hash), OPS(TABLE_FRESH) } } },
	{ "HASH_LOCK",
	  "HASH, 64-byte values with a spin lock: BPF_F_LOCK (programs: lock, copy, unlock)",
	  KEYS_RANDOM,
	  { { COMMAND_TABLES(locked_hash), OPS(TABLE_HIT, TABLE_UPDATE, TABLE_BATCH_LOOKUP, TABLE_BATCH_UPDATE) },
	    { PROGRAM_TABLES(locked_hash), OPS(TABLE_HIT, TABLE_UPDATE) } } },
	{ "ARRAY_LOCK",
	  "ARRAY, 64-byte values with a spin lock: BPF_F_LOCK (programs: lock, copy, unlock)",
	  KEYS_INDEXES,
	  { { COMMAND_TABLES(locked_array), OPS(TABLE_HIT, TABLE_UPDATE, TABLE_BATCH_LOOKUP, TABLE_BATCH_UPDATE) },
	    { PROGRAM_TABLES(locked_array), OPS(TABLE_HIT, TABLE_UPDATE) } } },
};

static const char *const op_names[TABLE_OPS] = {
	[TABLE_HIT] = "lookup hit",
	[TABLE_MISS] = "lookup miss",
	[TABLE_UPDATE] = "update",
	[TABLE_CHURN] = "delete+insert",
	[TABLE_BATCH_LOOKUP] = "batch lookup",
	[TABLE_BATCH_UPDATE] = "batch update",
	[TABLE_BATCH_DELETE] = "batch delete",
	[TABLE_BULK] = "bulk lookup",
	[TABLE_FRESH] = "insert+evict",
};

static const size_t sizes[] = { 10000, 1000000 };

enum { N_FORMS = sizeof(forms) / sizeof(*forms), N_SIZES = sizeof(sizes) / sizeof(*sizes) };

struct cell {
	double sample[MAX_ROUNDS];
	double median; /* 0: there is none */
};

/* Of one form and size. */
static struct result {
	struct cell cells[COMPARISONS][TABLE_OPS][COLUMNS];
	int rounds;
} results[N_FORMS][N_SIZES];

static struct {
	int rounds;
	int seconds; /* for all: no new round is begun after a form's and size's share of them */
	bool json;
	clockid_t clock;
	const struct form *form; /* NULL: all */
	size_t entries;		 /* 0: all sizes */
} options = { .rounds = 15, .seconds = 60, .clock = CLOCK_MONOTONIC };

static bool is_wanted(size_t f, size_t s)
{
	return (!options.form || options.form == &forms[f]) && (!options.entries || options.entries == sizes[s]);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void must_be_right(const struct table_ops *ops, enum table_op op, size_t right, size_t n)
{
	if (right < n)
		errx(1, "%s, %s: %zu of %zu operations had the wrong outcome", ops->name, op_names[op], n - right, n);
}

static bool writes_values(enum table_op op)
{
	return op == TABLE_UPDATE || op == TABLE_CHURN || op == TABLE_BATCH_UPDATE || op == TABLE_FRESH;
}

/* A chunk that was just written is in the table; of one that evicts, its end. */
static void must_hold(const struct table_ops *ops, void *table, enum table_op op, const uint64_t *chunk,
		      uint32_t generation)
{
	size_t n = op == TABLE_FRESH ? TABLE_LAST : CHUNK;

	must_be_right(ops, op, ops->loop[TABLE_VERIFY](table, chunk + CHUNK - n, n, generation), n);
}

static bool kernel_is_there;

/* The keys of a chunk: the stream's part number i of this round; or such as no table has ever seen. */
static const uint64_t *chunk_of(const struct keys *keys, enum table_op op, size_t i)
{
	const uint64_t *stream = op == TABLE_MISS ? keys->absent : keys->access;
	static uint64_t fresh[CHUNK], made;

	if (op != TABLE_FRESH)
		return stream + i % (keys->n / CHUNK) * CHUNK;
	for (size_t j = 0; j < CHUNK; j++)
		fresh[j] = keys_fresh(made++);
	return fresh;
}

/* ns per operation. The first chunk, untimed, brings the table into the caches that the column before took away; a table
 * that is to evict has less room beside its keys than that, so it's full. */
static double sample(struct column *column, enum table_op op, const struct keys *keys, uint32_t round)
{
	const struct table_ops *ops = column->ops;
	size_t done = 0;
	uint32_t generation = round * TABLE_OPS + op + 1; /* no writer before has used it */
	uint64_t spent = 0;

	for (uint32_t i = 0; i == 0 || spent < SAMPLE_NS; i++) {
		const uint64_t *chunk = chunk_of(keys, op, round * 31 + i);
		uint64_t start = now_ns(options.clock);
		size_t right = ops->loop[op](column->table, chunk, CHUNK, generation);

		if (i) {
			spent += now_ns(options.clock) - start;
			done += CHUNK;
		}
		must_be_right(ops, op, right, CHUNK);
		column->fresh += op == TABLE_FRESH ? CHUNK : 0;
		if (op == TABLE_BATCH_DELETE)
			must_be_right(ops, op, ops->loop[TABLE_BATCH_UPDATE](column->table, chunk, CHUNK, generation),
				      CHUNK);
		if (round == 0 && i == 0 && writes_values(op) && ops->loop[TABLE_VERIFY])
			must_hold(ops, column->table, op, chunk, generation);
	}
	return (double)spent / (double)done;
}

/* The first column is the kernel's, which may be refused. */
static struct column make_column(const struct table_ops *ops, int col, const struct keys *keys)
{
	struct column column = { .ops = ops, .table = ops->create(keys->n) };

	if (!column.table && (col > 0 || kernel_is_there))
		err(1, "%s: can't make a table of %zu entries", ops->name, keys->n);
	if (column.table)
		must_be_right(ops, TABLE_UPDATE, ops->loop[TABLE_INSERT](column.table, keys->fill, keys->n, 0),
			      keys->n);
	return column;
}

static void measure_round(const struct comparison *c, struct column columns[COLUMNS],
			  struct cell row[TABLE_OPS][COLUMNS], const struct keys *keys, int round)
{
	for (size_t o = 0; o < c->n_ops; o++) {
		for (int col = 0; col < COLUMNS; col++) {
			struct column *column = &columns[col];

			if (!column->table || !column->ops->loop[c->ops[o]])
				continue;
			if (column->ops->enter)
				column->ops->enter(column->table);
			row[c->ops[o]][col].sample[round] = sample(column, c->ops[o], keys, (uint32_t)round);
		}
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void take_medians(struct result *result)
{
	struct cell *cell = &result->cells[0][0][0], *end = cell + sizeof(result->cells) / sizeof(*cell);

	for (; cell < end; cell++) {
		qsort(cell->sample, (size_t)result->rounds, sizeof(double), compare_doubles);
		cell->median = cell->sample[result->rounds / 2];
	}
}

/* On a terminal the line is overwritten by the next one. */
static void progress(const struct form *form, size_t n, const char *what, int round)
{
	const char *before = isatty(STDERR_FILENO) ? "\r\033[K" : "", *after = *before ? "" : "\n";

	if (*before || round % 5 == 0)
		fprintf(stderr, "%s%s, %zu entries: %s %d of %d%s", before, form->name, n, what, round, options.rounds,
			after);
}

/* A table that evicts ends as full as it may be, and what is not in it was evicted. */
static void must_be_full(const struct column *column, size_t n)
{
	struct table_census census = column->ops->census(column->table);
	const char *name = column->ops->name;

	if (census.present < n || census.present > census.capacity)
		errx(1, "%s: of %" PRIu64 " entries %" PRIu64 " are there", name, census.capacity, census.present);
	if (census.evicted != TABLE_UNKNOWN && census.present + census.evicted != n + column->fresh)
		errx(1, "%s: %" PRIu64 " entries evicted and %" PRIu64 " there, of %" PRIu64 " stored", name,
		     census.evicted, census.present, n + column->fresh);
}

static void finish(const struct column columns[COLUMNS], size_t n)
{
	for (const struct column *column = columns; column < columns + COLUMNS; column++) {
		if (!column->table)
			continue;
		if (column->ops->census)
			must_be_full(column, n);
		column->ops->destroy(column->table);
	}
}

static void measure(const struct form *form, const struct keys *keys, struct result *result, uint64_t share)
{
	uint64_t start = now_ns(CLOCK_MONOTONIC);
	struct column columns[COMPARISONS][COLUMNS] = { 0 };
	int round = 0;

	progress(form, keys->n, "filling the maps; rounds done:", 0);
	for (int c = 0; c < COMPARISONS; c++)
		for (int col = 0; col < COLUMNS; col++)
			if (form->comparisons[c].table[col])
				columns[c][col] = make_column(form->comparisons[c].table[col], col, keys);
	do {
		for (int c = 0; c < COMPARISONS; c++)
			measure_round(&form->comparisons[c], columns[c], result->cells[c], keys, round);
		progress(form, keys->n, "rounds done:", ++round);
	} while (round < options.rounds && now_ns(CLOCK_MONOTONIC) - start < share);
	result->rounds = round;
	take_medians(result);
	for (int c = 0; c < COMPARISONS; c++)
		finish(columns[c], keys->n);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
}

static void measure_all(void)
{
	uint64_t parts = (options.entries ? 1u : N_SIZES) * (options.form ? 1u : N_FORMS);
	uint64_t share = (uint64_t)options.seconds * 1000000000 / parts;

	for (size_t f = 0; f < N_FORMS; f++)
		for (size_t s = 0; s < N_SIZES; s++)
			if (is_wanted(f, s))
				measure(&forms[f], keys_get(forms[f].keys, sizes[s]), &results[f][s], share);
}

/* Ends a line that was padded to its columns. */
static void print_trimmed(char *line)
{
	size_t end = strlen(line);

	while (end > 0 && line[end - 1] == ' ')
		end--;
	line[end] = 0;
	puts(line);
}

static void print_row(const char *name, const struct cell row[COLUMNS])
{
	char line[160];
	int at = snprintf(line, sizeof(line), "  %-15s", name);

	for (int col = 0; col < COLUMNS; col++) {
		double ns = row[col].median;

		if (ns > 0)
			at += snprintf(line + at, sizeof(line) - (size_t)at, "%15.1f", ns);
		else
			at += snprintf(line + at, sizeof(line) - (size_t)at, "%15s", "");
		if (col > 0 && ns > 0 && row[0].median > 0)
			at += snprintf(line + at, sizeof(line) - (size_t)at, " %6.1fx", row[0].median / ns);
		else if (col > 0)
			at += snprintf(line + at, sizeof(line) - (size_t)at, " %7s", "");
	}
	print_trimmed(line);
}

static void print_head(const struct comparison *c)
{
	char line[160];
	int at = snprintf(line, sizeof(line), "%32s", c->title[0]);

	for (int col = 1; col < COLUMNS && c->title[col]; col++)
		at += snprintf(line + at, sizeof(line) - (size_t)at, "%15s %7s", c->title[col], "");
	print_trimmed(line);
}

static void print_result(const struct form *form, size_t entries, const struct result *result)
{
	printf("\n%s; %zu entries, rounds: %d\n", form->title, entries, result->rounds);
	for (int c = 0; c < COMPARISONS && form->comparisons[c].n_ops; c++) {
		const struct comparison *comparison = &form->comparisons[c];

		print_head(comparison);
		for (size_t o = 0; o < comparison->n_ops; o++)
			print_row(op_names[comparison->ops[o]], result->cells[c][comparison->ops[o]]);
	}
}

static void print_tables(void)
{
	printf("One thread, medians: ns per operation, batch and bulk: per element%s.\n",
	       kernel_is_there ? ", and how many times faster than the kernel's column" : "");
	for (size_t f = 0; f < N_FORMS; f++)
		for (size_t s = 0; s < N_SIZES; s++)
			if (is_wanted(f, s))
				print_result(&forms[f], sizes[s], &results[f][s]);
}

static void print_cell_json(size_t f, size_t s, int c, int op, int col)
{
	static const char *separator = "";

	printf("%s\n{\"type\": \"%s\", \"entries\": %zu, \"op\": \"%s\", \"table\": \"%s\", \"ns\": %.2f}", separator,
	       forms[f].name, sizes[s], op_names[op], forms[f].comparisons[c].table[col]->name,
	       results[f][s].cells[c][op][col].median);
	separator = ",";
}

static void print_json(void)
{
	printf("{\"cells\": [");
	for (size_t f = 0; f < N_FORMS; f++)
		for (size_t s = 0; s < N_SIZES; s++)
			for (int c = 0; c < COMPARISONS; c++)
				for (int op = 0; op < TABLE_OPS; op++)
					for (int col = 0; col < COLUMNS; col++)
						if (results[f][s].cells[c][op][col].median > 0)
							print_cell_json(f, s, c, op, col);
	printf("\n]}\n");
}

static const struct form *find_form(const char *name)
{
	for (size_t f = 0; f < N_FORMS; f++)
		if (strcasecmp(forms[f].name, name) == 0)
			return &forms[f];
	return NULL;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 'r':
		options.rounds = atoi(arg);
		if (options.rounds < 1 || options.rounds > MAX_ROUNDS)
			argp_error(state, "rounds: 1 to %d", MAX_ROUNDS);
		return 0;
	case 's':
		options.seconds = atoi(arg);
		return 0;
	case 'j':
		options.json = true;
		return 0;
	case 't':
		options.form = find_form(arg);
		if (!options.form)
			argp_error(state,
				   "types: HASH, PERCPU_HASH, PERCPU_ARRAY, LRU_HASH, LRU_PERCPU_HASH, HASH_LOCK, "
				   "ARRAY_LOCK");
		return 0;
	case 'e':
		options.entries = strtoul(arg, NULL, 10);
		if (options.entries != sizes[0] && options.entries != sizes[1])
			argp_error(state, "entries: %zu or %zu", sizes[0], sizes[1]);
		return 0;
	case 'c':
		options.clock = CLOCK_THREAD_CPUTIME_ID;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "rounds", 'r', "N", 0, "Samples a cell (15)", 0 },
	{ "seconds", 's', "N", 0, "Begin no new round after about this time (60)", 0 },
	{ "type", 't', "TYPE", 0, "One type of map instead of all", 0 },
	{ "entries", 'e', "N", 0, "One size, 10000 or 1000000, instead of both", 0 },
	{ "json", 'j', NULL, 0, "Print JSON instead of a table", 0 },
	{ "cpu", 'c', NULL, 0, "CPU time instead of wall time, for a busy machine (waiting is not seen)", 0 },
	{ 0 },
};

static const struct argp argp = { .options = option_table,
				  .parser = parse_option,
				  .doc = "usermap and the live kernel's maps side by side." };

int main(int argc, char **argv)
{
	void *probe;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	probe = kernel_hash.create(16);
	kernel_is_there = probe;
	if (probe)
		kernel_hash.destroy(probe);
	else
		fprintf(stderr, "bpf(2) is not permitted here (%s): only the engine is measured\n", strerror(errno));
	measure_all();
	if (options.json)
		print_json();
	else
		print_tables();
	return 0;
}
