/* SPDX-License-Identifier: MIT */
/*
 * What the benchmark of counters knows of a way to count: counters that threads add to much and that are read seldom.
 */
#ifndef BENCH_COUNTERS_COUNTER_H
#define BENCH_COUNTERS_COUNTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	COUNTER_ADDS = 10000, /* of a call */
	COUNTER_MAX_THREADS = 2,
};

struct counter_ops {
	const char *name;
	const char *note;
	/* Counters 0 to n - 1, all 0. keys: the COUNTER_ADDS of them that every call adds to. NULL: not available here. */
	void *(*create)(size_t n, const uint64_t *keys);
	void (*destroy)(void *counters);
	/* Adds 1 for each of the keys. Each thread has a number of its own, and the same one only when the last is gone. */
	bool (*add)(void *counters, int thread, const uint64_t *keys);
	/* What was added to a counter; while nobody adds. */
	uint64_t (*read)(void *counters, uint64_t key);
};

/* usermap_percpu_add() */
extern const struct counter_ops counter_percpu_array; /* private */
extern const struct counter_ops counter_percpu_hash;  /* private */
extern const struct counter_ops counter_percpu_array_shared;
extern const struct counter_ops counter_percpu_hash_shared;
/* other ways in the engine */
extern const struct counter_ops counter_hash_pointer; /* an atomic add to a value of a HASH, through a pointer */
/* no map at all */
extern const struct counter_ops counter_atomic; /* one counter for all, atomic adds */
extern const struct counter_ops counter_thread; /* one for each thread, plain adds */
extern const struct counter_ops counter_getcpu; /* one for each CPU, sched_getcpu() and atomic adds */
/* the live kernel's maps, added to by a BPF program */
extern const struct counter_ops counter_kernel_array;
extern const struct counter_ops counter_kernel_hash;

#endif
