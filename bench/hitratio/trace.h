/* SPDX-License-Identifier: MIT */
/*
 * Traces of requests to a cache: key numbers, from 0. They scale with the size of the cache that they are meant for.
 */
#ifndef BENCH_HITRATIO_TRACE_H
#define BENCH_HITRATIO_TRACE_H

#include <stddef.h>
#include <stdint.h>

struct trace {
	size_t n;
	uint32_t n_keys; /* all keys are below */
	uint32_t *keys;	 /* the caller frees them */
};

struct trace_kind {
	const char *name;
	const char *what;
	void (*generate)(struct trace *trace, const struct trace_kind *kind, uint32_t size);
	double skew;   /* Zipf's exponent */
	double spread; /* how many times as many keys as the cache holds; the length of a loop */
};

extern const struct trace_kind trace_kinds[];
extern const size_t trace_n_kinds;

/* A trace of n requests for a cache of @size entries; the same seed makes the same one. */
struct trace trace_make(const struct trace_kind *kind, uint32_t size, size_t n, uint64_t seed);

#endif
