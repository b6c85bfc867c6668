/* SPDX-License-Identifier: MIT */
/*
 * Hit ratios of LRU maps: how many requests of a trace find their key, when what is missing is stored. Beside the engine's
 * two evictions stand the optimum, which knows the future, true LRU, and the live kernel's LRU_HASH in a BPF program.
 *
 * Kernel and engine run on one CPU, the same, and must have the same hits with USERMAP_EVICTION_KERNEL; S3-FIFO must not
 * have fewer. Exit status 1 if not. Where bpf(2) isn't permitted, nothing is compared with the kernel.
 */
#include <argp.h>
#include <err.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"
#include "reference.h"
#include "trace.h"

struct options {
	const char *trace;
	uint32_t size;
	unsigned long requests;
	unsigned long seed;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	unsigned long value;
	char *end;

	if (key == 't') {
		options->trace = arg;
		return 0;
	}
	if (key != 's' && key != 'r' && key != 'S')
		return ARGP_ERR_UNKNOWN;
	value = strtoul(arg, &end, 0);
	if (*end || end == arg || (key != 'S' && (value == 0 || value > 1u << 26)))
		argp_error(state, "%s is no number from 1 to 2^26", arg);
	if (key == 's')
		options->size = (uint32_t)value;
	else if (key == 'r')
		options->requests = value;
	else
		options->seed = value;
	return 0;
}

static void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(EXIT_FAILURE, "sched_setaffinity");
}

static double percent(const struct trace *trace, size_t hits)
{
	return 100.0 * (double)hits / (double)trace->n;
}

/* Prints a line. Whether all is as it must be. */
static bool measure(const struct trace_kind *kind, uint32_t size, const struct options *options)
{
	struct trace trace = trace_make(kind, size, options->requests, options->seed);
	size_t like_kernel = maps_engine(&trace, size, USERMAP_EVICTION_KERNEL);
	size_t s3fifo = maps_engine(&trace, size, USERMAP_EVICTION_S3FIFO), kernel = 0;
	bool there = maps_kernel(&trace, size, &kernel), same = !there || kernel == like_kernel;

	printf("%-15s %8u %8.2f ", kind->name, size, percent(&trace, reference_optimum(&trace, size)));
	if (there)
		printf("%8.2f ", percent(&trace, kernel));
	else
		printf("%8s ", "-");
	printf("%8.2f %8.2f %8.2f%s%s\n", percent(&trace, like_kernel), percent(&trace, s3fifo),
	       percent(&trace, reference_lru(&trace, size)), same ? "" : "  NOT THE KERNEL'S",
	       s3fifo < like_kernel ? "  S3-FIFO HAS FEWER" : "");
	fflush(stdout);
	free(trace.keys);
	return same && s3fifo >= like_kernel;
}

static void print_kinds(void)
{
	for (size_t i = 0; i < trace_n_kinds; i++)
		if (*trace_kinds[i].what)
			printf("# %-15s %s\n", trace_kinds[i].name, trace_kinds[i].what);
}

int main(int argc, char **argv)
{
	static const struct argp_option argp_options[] = {
		{ "trace", 't', "NAME", 0, "only this trace", 0 },
		{ "size", 's', "N", 0, "entries of the cache (100, 1000 and 10000)", 0 },
		{ "requests", 'r', "N", 0, "length of the traces, rounded up to a multiple of 65536 (1048576)", 0 },
		{ "seed", 'S', "N", 0, "of the traces (1)", 0 },
		{ 0 }
	};
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse,
		.doc = "Hit ratios of LRU maps in percent, beside the optimum and the kernel's."
	};
	static const uint32_t sizes[] = { 100, 1000, 10000 };
	struct options options = { .requests = 1 << 20, .seed = 1 };
	bool right = true, any = false;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	options.requests = (options.requests + MAPS_BLOCK - 1) / MAPS_BLOCK * MAPS_BLOCK;
	stay_on_this_cpu();
	printf("# %lu requests, --seed %lu\n", options.requests, options.seed);
	print_kinds();
	printf("%-15s %8s %8s %8s %8s %8s %8s\n", "trace", "entries", "optimum", "Linux", "KERNEL", "S3FIFO",
	       "true LRU");
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (size_t i = 0; i < trace_n_kinds; i++) {
			if (options.trace && strcmp(options.trace, trace_kinds[i].name) != 0)
				continue;
			any = true;
			right &= measure(&trace_kinds[i], options.size ? options.size : sizes[s], &options);
		}
		if (options.size)
			break;
	}
	if (!any)
		errx(EXIT_FAILURE, "there is no trace %s", options.trace);
	return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
