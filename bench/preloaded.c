/* SPDX-License-Identifier: MIT */
/*
 * What a program gains that calls bpf(2) by the C library's syscall() and is run under usermap-run: its map beside the
 * kernel's, in one process, in turns. Cells are medians of short samples.
 *
 *   usermap-run preloaded [ROUNDS [ENTRIES]]
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keys.h"
#include "table.h"

enum { CHUNK = 8192, SAMPLE_NS = 4000000, MAX_ROUNDS = 101, SIDES = 2 };

static const struct table_ops *const sides[SIDES] = { &kernel_raw_hash, &kernel_hash };

static const struct {
	const char *name;
	enum table_op op;
} rows[] = {
	{ "lookup hit", TABLE_HIT },
	{ "lookup miss", TABLE_MISS },
	{ "update", TABLE_UPDATE },
	{ "delete+insert", TABLE_CHURN },
	{ "batch lookup", TABLE_BATCH_LOOKUP },
	{ "batch update", TABLE_BATCH_UPDATE },
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other load disturbs it less than wall time */
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void run(const struct table_ops *side, void *table, enum table_op op, const uint64_t *keys, uint32_t generation)
{
	if (side->loop[op](table, keys, CHUNK, generation) < CHUNK)
		errx(1, "%s: an operation had the wrong outcome", side->name);
}

/* ns an operation. The first chunk, untimed, brings the table into the caches. */
static double sample(int side, void *table, enum table_op op, const struct keys *keys, uint32_t round)
{
	const uint64_t *stream = op == TABLE_MISS ? keys->absent : keys->access;
	size_t places = keys->n / CHUNK, done = 0;
	double spent = 0;

	for (uint32_t i = 0; i == 0 || spent < SAMPLE_NS; i++) {
		const uint64_t *chunk = stream + (round * 31 + i) % places * CHUNK;
		double start = now_ns();

		run(sides[side], table, op, chunk, round * TABLE_OPS + op + 1);
		if (i) {
			spent += now_ns() - start;
			done += CHUNK;
		}
		if (i == 0 && (op == TABLE_UPDATE || op == TABLE_BATCH_UPDATE)) /* was it done at all? */
			run(sides[side], table, TABLE_VERIFY, chunk, round * TABLE_OPS + op + 1);
	}
	return spent / (double)done;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *samples, int n)
{
	qsort(samples, (size_t)n, sizeof(*samples), compare_doubles);
	return samples[n / 2];
}

static void measure(size_t entries, int rounds)
{
	static double samples[ROWS][SIDES][MAX_ROUNDS];
	const struct keys *keys = keys_get(KEYS_RANDOM, entries);
	void *tables[SIDES];

	for (int s = 0; s < SIDES; s++) {
		tables[s] = sides[s]->create(entries);
		if (!tables[s])
			err(1, "%s: no map of %zu entries", sides[s]->name, entries);
		if (sides[s]->loop[TABLE_INSERT](tables[s], keys->fill, entries, 0) < entries)
			err(1, "%s: can't fill the map", sides[s]->name);
	}
	for (int round = 0; round < rounds; round++)
		for (int r = 0; r < ROWS; r++)
			for (int s = 0; s < SIDES; s++)
				samples[r][s][round] = sample(s, tables[s], rows[r].op, keys, (uint32_t)round);
	printf("\n%zu entries, ns an operation or element\n%-16s %10s %10s %8s\n", entries, "", "kernel", "usermap",
	       "ratio");
	for (int r = 0; r < ROWS; r++) {
		double kernel = median(samples[r][0], rounds), ours = median(samples[r][1], rounds);

		printf("%-16s %10.0f %10.0f %8.1f\n", rows[r].name, kernel, ours, kernel / ours);
	}
	for (int s = 0; s < SIDES; s++)
		sides[s]->destroy(tables[s]);
}

int main(int argc, char **argv)
{
	const char *preload = getenv("LD_PRELOAD");
	int rounds = argc > 1 ? atoi(argv[1]) : 15;

	if (!preload || !strstr(preload, "libusermap-preload.so"))
		errx(1, "to be run under usermap-run: without it both sides are the kernel");
	if (rounds < 1 || rounds > MAX_ROUNDS)
		errx(1, "1 to %d rounds", MAX_ROUNDS);
	if (argc > 2) {
		measure(strtoul(argv[2], NULL, 0), rounds);
		return 0;
	}
	measure(10000, rounds);
	measure(1000000, rounds);
	return 0;
}
