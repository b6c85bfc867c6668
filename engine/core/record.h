/* SPDX-License-Identifier: MIT */
/*
 * Thread records: what a region knows of each thread that writes to it.
 *
 * A record says which operation its thread is in, and holds the elements and overflow nodes the thread keeps at hand.
 * It lies in the region, so that what a dead thread had can be found; a thread that ends leaves its record, caches and
 * all, to the next one. The operation number never goes back, not even between holders, so the owner word {operation
 * number, record} written into an element is unique for ever.
 */
#ifndef ENGINE_CORE_RECORD_H
#define ENGINE_CORE_RECORD_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/commit.h"

#define RECORDS	      4096u
#define RECORD_BITS   12
#define OUTGOING_MANY UINT32_MAX

/* Objects at hand: two chains, and a range that was never used. By the record's holder only. */
struct cache {
	uint32_t head[2]; /* chains through the objects' link words; [0] is taken from and given to */
	uint32_t count[2];
	uint32_t next, end; /* fresh objects [next, end) */
};

struct record {
	_Alignas(64) _Atomic uint64_t
		holder;	     /* 0 = free; else the process and attach generation. CAS by whoever takes it */
	_Atomic uint64_t op; /* operation number, odd inside an operation. By the holder; read by drain and recovery */
	_Atomic uint32_t line; /* the operation's line and elements: by the holder, for recovery */
	_Atomic uint32_t incoming;
	_Atomic uint32_t outgoing; /* OUTGOING_MANY: all of a bucket's */
	_Atomic uint32_t credit;   /* the mark of credit.h: credits in hand. By the holder; read by inserts that find no
	                             * credit */
	_Atomic uint32_t
		announced; /* element whose per-CPU values are being stored to in place. By the holder; read by who
	                             * reuses elements, or waits for such stores */
	/* The value lock held, or being taken: the value's number, the lock word's sequence before, and whose spare
	 * (record index + 1) is being copied into the value. By the holder; read by who reuses elements and by who
	 * takes over */
	_Atomic uint32_t lock;
	_Atomic uint32_t lock_sequence;
	_Atomic uint32_t redo;
	/* Elements may be in the operation's hand that it evicts (lru.c). By the holder; read when it's dead */
	_Atomic uint32_t hand;
	uint32_t reserved;
	struct cache elements;
	struct cache nodes;
	_Atomic uint64_t evictions, rotations; /* s3fifo.c: what the holders did. By the holder; read by get_info */
};

_Static_assert(sizeof(struct record) == 128, "two cache lines");

/* One line a CPU: free objects in chains, and credits. Everybody writes, by CAS. */
struct cpu_line {
	_Alignas(64) struct pair elements; /* {version, index of the first chain} */
	struct pair nodes;
	_Atomic uint64_t credits; /* {version: high 32, count: low 32} */
	uint64_t reserved[3];
};

/* Behind the CPUs' lines: the first object that was never handed out. */
struct fresh_line {
	_Alignas(64) _Atomic uint64_t elements;
	_Alignas(64) _Atomic uint64_t nodes;
};

_Static_assert(sizeof(struct cpu_line) == 64, "one cache line");

#endif
