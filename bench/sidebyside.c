/* SPDX-License-Identifier: MIT */
/*
 * The engine and the live kernel side by side, one thread: usermap_bpf() and the native face against bpf(2), the
 * program face against a BPF program. Every cell of the table is the median of many short samples; all cells are
 * sampled once a round, so that what disturbs the machine disturbs all alike. Where bpf(2) is refused, only the
 * engine's columns are filled.
 */
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "keys.h"
#include "table.h"

enum {
	CHUNK = 8192, /* operations between two looks at the clock: a multiple of a BPF program's run */
	SAMPLE_NS = 4000000,
	MAX_ROUNDS = 101,
	COLUMNS = 4,
};

/* The rows of one comparison: the first column is the kernel's. */
static const struct comparison {
	const char *title[COLUMNS];
	const struct table_ops *table[COLUMNS];
	enum table_op ops[8];
	size_t n_ops;
} comparisons[] = {
	{ { "bpf(2)", "usermap_bpf", "fds unchecked", "native face" },
	  { &kernel_table, &usermap_bpf_table, &usermap_bpf_unchecked_table, &usermap_table },
	  { TABLE_HIT, TABLE_MISS, TABLE_UPDATE, TABLE_CHURN, TABLE_BATCH_LOOKUP, TABLE_BATCH_UPDATE,
	    TABLE_BATCH_DELETE, TABLE_BULK },
	  8 },
	{ { "BPF program", "program face" },
	  { &kernel_program_table, &usermap_program_table },
	  { TABLE_HIT, TABLE_UPDATE, TABLE_CHURN },
	  3 },
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
};

static const size_t sizes[] = { 10000, 1000000 };

enum { N_COMPARISONS = sizeof(comparisons) / sizeof(*comparisons), N_SIZES = sizeof(sizes) / sizeof(*sizes) };

struct cell {
	double sample[MAX_ROUNDS];
	double median; /* 0: there is none */
};

static struct cell cells[N_SIZES][N_COMPARISONS][TABLE_OPS][COLUMNS];

static int rounds_done[N_SIZES];

static struct {
	int rounds;
	int seconds; /* for all: no new round is begun after a size's share of them */
	bool json;
	clockid_t clock;
} options = { .rounds = 15, .seconds = 30, .clock = CLOCK_MONOTONIC };

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
	return op == TABLE_UPDATE || op == TABLE_CHURN || op == TABLE_BATCH_UPDATE;
}

/* ns per operation. The first chunk, untimed, brings the table into the caches that the column before took away. */
static double sample(const struct table_ops *ops, void *table, enum table_op op, const struct keys *keys,
		     uint32_t round)
{
	const uint64_t *stream = op == TABLE_MISS ? keys->absent : keys->access;
	size_t places = keys->n / CHUNK, done = 0;
	uint32_t generation = round * TABLE_OPS + op + 1; /* no writer before has used it */
	uint64_t spent = 0;

	for (uint32_t i = 0; i == 0 || spent < SAMPLE_NS; i++) {
		const uint64_t *chunk = stream + (round * 31 + i) % places * CHUNK;
		uint64_t start = now_ns(options.clock);
		size_t right = ops->loop[op](table, chunk, CHUNK, generation);

		if (i) {
			spent += now_ns(options.clock) - start;
			done += CHUNK;
		}
		must_be_right(ops, op, right, CHUNK);
		if (op == TABLE_BATCH_DELETE)
			must_be_right(ops, op, ops->loop[TABLE_BATCH_UPDATE](table, chunk, CHUNK, generation), CHUNK);
		if (round == 0 && i == 0 && writes_values(op) && ops->loop[TABLE_VERIFY])
			must_be_right(ops, op, ops->loop[TABLE_VERIFY](table, chunk, CHUNK, generation), CHUNK);
	}
	return (double)spent / (double)done;
}

static void *make_table(const struct table_ops *ops, const struct keys *keys)
{
	void *table = ops->create(keys->n);

	if (!table && ops != &kernel_table && ops != &kernel_program_table)
		err(1, "%s: can't make a table of %zu entries", ops->name, keys->n);
	if (!table)
		return NULL;
	must_be_right(ops, TABLE_UPDATE, ops->loop[TABLE_INSERT](table, keys->fill, keys->n, 0), keys->n);
	return table;
}

static void measure_round(const struct comparison *c, void *const tables[COLUMNS], struct cell row[TABLE_OPS][COLUMNS],
			  const struct keys *keys, int round)
{
	for (size_t o = 0; o < c->n_ops; o++) {
		for (int col = 0; col < COLUMNS; col++) {
			const struct table_ops *ops = c->table[col];

			if (!ops || !tables[col] || !ops->loop[c->ops[o]])
				continue;
			if (ops->enter)
				ops->enter(tables[col]);
			row[c->ops[o]][col].sample[round] = sample(ops, tables[col], c->ops[o], keys, (uint32_t)round);
		}
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void take_medians(struct cell row[TABLE_OPS][COLUMNS], int rounds)
{
	for (int op = 0; op < TABLE_OPS; op++) {
		for (int col = 0; col < COLUMNS; col++) {
			struct cell *cell = &row[op][col];

			qsort(cell->sample, (size_t)rounds, sizeof(double), compare_doubles);
			cell->median = cell->sample[rounds / 2];
		}
	}
}

/* On a terminal the line is overwritten by the next one. */
static void progress(size_t n, const char *what, int round)
{
	const char *format = isatty(STDERR_FILENO) ? "\r\033[K%zu entries: %s %d of %d" : "%zu entries: %s %d of %d\n";

	if (isatty(STDERR_FILENO) || round % 5 == 0)
		fprintf(stderr, format, n, what, round, options.rounds);
}

static void measure_size(size_t s)
{
	const struct keys *keys = keys_get(sizes[s]);
	uint64_t start = now_ns(CLOCK_MONOTONIC), share = (uint64_t)options.seconds * 1000000000 / N_SIZES;
	void *tables[N_COMPARISONS][COLUMNS] = { 0 };
	int round = 0;

	progress(keys->n, "filling the maps; rounds done:", 0);
	for (size_t c = 0; c < N_COMPARISONS; c++)
		for (int col = 0; col < COLUMNS; col++)
			if (comparisons[c].table[col])
				tables[c][col] = make_table(comparisons[c].table[col], keys);
	do {
		for (size_t c = 0; c < N_COMPARISONS; c++)
			measure_round(&comparisons[c], tables[c], cells[s][c], keys, round);
		progress(keys->n, "rounds done:", ++round);
	} while (round < options.rounds && now_ns(CLOCK_MONOTONIC) - start < share);
	rounds_done[s] = round;
	for (size_t c = 0; c < N_COMPARISONS; c++) {
		take_medians(cells[s][c], rounds_done[s]);
		for (int col = 0; col < COLUMNS; col++)
			if (tables[c][col])
				comparisons[c].table[col]->destroy(tables[c][col]);
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
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

static void print_head(size_t entries, const struct comparison *c)
{
	char line[160];
	int at = snprintf(line, sizeof(line), "%9zu entries%15s", entries, c->title[0]);

	for (int col = 1; col < COLUMNS && c->title[col]; col++)
		at += snprintf(line + at, sizeof(line) - (size_t)at, "%15s %7s", c->title[col], "");
	print_trimmed(line);
}

static void print_tables(bool with_kernel)
{
	printf("HASH, 8-byte keys and values, one thread: ns per operation, batch and bulk: per element%s.\n"
	       "Medians of %d (10 k) and %d (1 M) interleaved rounds.\n",
	       with_kernel ? ",\nand how many times faster than the kernel's column" : "", rounds_done[0],
	       rounds_done[1]);
	for (size_t s = 0; s < N_SIZES; s++) {
		for (size_t c = 0; c < N_COMPARISONS; c++) {
			putchar('\n');
			print_head(sizes[s], &comparisons[c]);
			for (size_t o = 0; o < comparisons[c].n_ops; o++)
				print_row(op_names[comparisons[c].ops[o]], cells[s][c][comparisons[c].ops[o]]);
		}
	}
}

static void print_cell_json(size_t s, size_t c, int op, int col)
{
	static const char *separator = "";

	printf("%s\n{\"entries\": %zu, \"op\": \"%s\", \"table\": \"%s\", \"ns\": %.2f}", separator, sizes[s],
	       op_names[op], comparisons[c].table[col]->name, cells[s][c][op][col].median);
	separator = ",";
}

static void print_json(void)
{
	printf("{\"rounds\": [%d, %d], \"cells\": [", rounds_done[0], rounds_done[1]);
	for (size_t s = 0; s < N_SIZES; s++)
		for (size_t c = 0; c < N_COMPARISONS; c++)
			for (int op = 0; op < TABLE_OPS; op++)
				for (int col = 0; col < COLUMNS; col++)
					if (cells[s][c][op][col].median > 0)
						print_cell_json(s, c, op, col);
	printf("\n]}\n");
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
	case 'c':
		options.clock = CLOCK_THREAD_CPUTIME_ID;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "rounds", 'r', "N", 0, "Samples a cell (15)", 0 },
	{ "seconds", 's', "N", 0, "Begin no new round after about this time (30)", 0 },
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
	probe = kernel_table.create(16);
	if (probe)
		kernel_table.destroy(probe);
	else
		fprintf(stderr, "bpf(2) is not permitted here (%s): only the engine is measured\n", strerror(errno));
	for (size_t s = 0; s < N_SIZES; s++)
		measure_size(s);
	if (options.json)
		print_json();
	else
		print_tables(probe != NULL);
	return 0;
}
