/* SPDX-License-Identifier: MIT */
/*
 * What the benchmarks know of a table: how to make one, and its loops. A loop does one kind of operation on many keys
 * and returns how often the outcome was right, so the indirect call is paid once for thousands of operations and what
 * is timed is the table's own code (peers/loops.h makes the loops from a table's inline operations).
 */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One kind of operation on keys[0..n). Returns how many had the right outcome: all n, or the benchmark is void. */
typedef size_t table_loop(void *table, const uint64_t *keys, size_t n, uint32_t generation);

enum table_op {
	TABLE_HIT,	    /* look a present key up, copy the value, check it */
	TABLE_MISS,	    /* look an absent key up */
	TABLE_INSERT,	    /* add an absent key */
	TABLE_UPDATE,	    /* give a present key a new value */
	TABLE_CHURN,	    /* delete a present key and insert it again: one operation */
	TABLE_MIXED,	    /* one half of the keys is looked up, the other updated */
	TABLE_DELETE,	    /* remove a present key */
	TABLE_VERIFY,	    /* look a present key up; the value must be of this very generation */
	TABLE_FRESH,	    /* store keys that were never there before; of a table that evicts */
	TABLE_CACHE,	    /* look a key up; store it if it's absent: one operation */
	TABLE_BULK,	    /* as TABLE_HIT, many keys a call */
	TABLE_BATCH_LOOKUP, /* walk the table, n entries of it; the keys are not looked at */
	TABLE_BATCH_UPDATE, /* store keys, absent or present, many a call */
	TABLE_BATCH_DELETE, /* remove present keys, many a call */
	TABLE_OPS,
};

enum {
	TABLE_BATCH = 1024, /* entries a batch command, and keys a bulk call */
	TABLE_LAST = 256, /* the last keys stored in a table that evicts: every policy keeps so many, of 10 k entries */
};

#define TABLE_UNKNOWN UINT64_MAX

struct table_census {
	uint64_t present, capacity; /* entries */
	uint64_t evicted;	    /* since it was made; may be TABLE_UNKNOWN */
};

struct table_ops {
	const char *name;
	const char *note;		     /* how it is used, in a few words */
	bool single_writer;		     /* two threads may not write at once */
	void *(*create)(size_t max_entries); /* NULL: not available here */
	void (*destroy)(void *table);
	void (*enter)(void *table); /* each thread, before it uses the table; may be NULL, as may the next two */
	void (*leave)(void *table);
	void (*settle)(void);	     /* waits until what was removed is freed; outside the timed part */
	table_loop *loop[TABLE_OPS]; /* NULL: this table has no such operation */
	/* The table as thread @thread has it, for tables of which each thread needs a handle; the first has the table. To be
	 * destroyed before it. NULL: all threads use the table. */
	void *(*join)(void *table, uint32_t thread);
	/* Of a table that evicts; NULL for others. While nobody writes. */
	struct table_census (*census)(void *table);
};

/* The tables on both sides of the live kernel, of each form (form.h). */
#define TABLES_OF_FORM(form)                                                                                         \
	extern const struct table_ops usermap_##form;	      /* native face, private, reuse after a grace period */ \
	extern const struct table_ops usermap_program_##form; /* program face, pointers inside a section */          \
	extern const struct table_ops usermap_bpf_##form;     /* command face, every fd checked */                   \
	extern const struct table_ops usermap_bpf_unchecked_##form;                                                  \
	extern const struct table_ops kernel_##form;	     /* the live kernel's map through bpf(2) */              \
	extern const struct table_ops kernel_program_##form; /* in a BPF program; n is a multiple of its run */      \
	int kernel_fd_##form(const void *table);	     /* of a table that kernel_form made */

TABLES_OF_FORM(hash)
TABLES_OF_FORM(percpu_hash)
TABLES_OF_FORM(percpu_array)
TABLES_OF_FORM(locked_hash)
TABLES_OF_FORM(locked_array)
TABLES_OF_FORM(lru_hash)
TABLES_OF_FORM(lru_percpu_hash)
TABLES_OF_FORM(lru_hash_own) /* NO_COMMON_LRU */
TABLES_OF_FORM(lru_percpu_hash_own)

extern const struct table_ops usermap_program_lru_hash_s3fifo;
extern const struct table_ops usermap_program_lru_percpu_hash_s3fifo;
extern const struct table_ops usermap_program_at_once_hash; /* reuse at once, as the tables that evict have it */

extern const struct table_ops kernel_raw_hash;	    /* kernel_hash, but past the C library and who is before it */
extern const struct table_ops usermap_at_once_hash; /* native face, private, reuse at once */
extern const struct table_ops usermap_shared_hash;  /* native face, shared memory */
extern const struct table_ops rculfhash_table;
extern const struct table_ops ck_ht_table;
extern const struct table_ops ck_ht_direct_table;
extern const struct table_ops ck_rhs_table;
extern const struct table_ops tbb_table;

#ifdef __cplusplus
}
#endif
#endif
