/* SPDX-License-Identifier: MIT */
/*
 * Random operations on an LRU map. They say all that they do, whatever was answered before: any may be left out of a
 * stream and the rest still means something, which is what shrinking needs.
 */
#ifndef TESTS_SEMANTICS_LRU_STREAM_H
#define TESTS_SEMANTICS_LRU_STREAM_H

#include "lru_side.h"

struct lru_stream {
	struct lru_case c;
	struct lru_op *ops; /* op->cpu: the n-th usable one */
	uint32_t n;
};

enum lru_kind { LRU_HASH_COMMON, LRU_HASH_OWN, LRU_PERCPU_COMMON, LRU_PERCPU_OWN, LRU_KINDS };

extern const char *const lru_kind_names[LRU_KINDS];

/* The CPUs that a map has lists for, and those of them that operations run on. */
struct lru_cpus {
	uint32_t possible, usable;
};

struct lru_stream lru_stream_new(uint64_t seed, enum lru_kind kind, uint32_t max_entries, uint32_t steps,
				 struct lru_cpus cpus);
void lru_stream_free(struct lru_stream *stream);
void lru_op_print(const struct lru_op *op);

#endif
