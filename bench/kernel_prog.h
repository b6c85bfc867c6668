/* SPDX-License-Identifier: MIT */
/*
 * BPF programs that use a map as programs do, for BPF_PROG_TEST_RUN: one run does KERNEL_PROG_RUN operations on keys
 * from a ring, one after another. Assembled by hand and loaded through bpf(2): needs no compiler and no libbpf at run
 * time.
 */
#ifndef BENCH_KERNEL_PROG_H
#define BENCH_KERNEL_PROG_H

#include <stdbool.h>
#include <stdint.h>

enum {
	KERNEL_PROG_RUN = 1024,
	KERNEL_PROG_ADDS = 5000, /* of a run of a program that counts: the verifier bears no more than 8192 loops */
	KERNEL_PROG_WORDS = 8,	 /* of a value with a spin lock; the lock is in word 0 */
};

/* The one value of a program's state map. The program writes it; the benchmark reads it between runs. */
struct kernel_prog_state {
	uint64_t position; /* in the ring, of the next run; grows for ever */
	uint64_t right;	   /* operations with the right outcome */
	uint64_t hits;	   /* of CACHE: the key was found, and the value fits it */
};

enum kernel_prog_kind {
	KERNEL_PROG_LOOKUP, /* right: found, and the value fits the key */
	KERNEL_PROG_UPDATE, /* right: stored */
	KERNEL_PROG_CHURN,  /* right: deleted, then inserted with BPF_NOEXIST */
	KERNEL_PROG_FRESH,  /* the key is keys_fresh() of its position, from no ring. right: stored */
	KERNEL_PROG_CACHE,  /* right: found, and the value fits the key; or absent, and stored */
};

enum { KERNEL_PROG_KINDS = KERNEL_PROG_CACHE + 1 };

struct kernel_prog_maps {
	int map;	    /* 8-byte keys or indexes; 8-byte values, or as follows */
	bool locked;	    /* values have a spin lock: programs read and write them under it */
	int state;	    /* an ARRAY of one struct kernel_prog_state */
	int keys;	    /* an ARRAY of one value: the ring's keys; of FRESH: not used */
	uint32_t ring_mask; /* the ring's length - 1; the length is a power of two */
};

/* Returns a descriptor, or -1 and errno. */
int kernel_prog_load(enum kernel_prog_kind kind, const struct kernel_prog_maps *maps);

/* A program that adds 1 to the counters in @map, its 8-byte values, of KERNEL_PROG_ADDS keys. @keys is an ARRAY of one value,
 * 8 bytes a key, of which @first is the first. It writes to nothing else, so two may run at once. */
int kernel_prog_load_adds(int map, int keys, int first);

/* Runs @prog @repeat times. Returns 0, or -1 and errno. */
int kernel_prog_run(int prog, uint32_t repeat);

#endif
