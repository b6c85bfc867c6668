/* SPDX-License-Identifier: MIT */
/*
 * A command of a stream, and the stream. A command says all that it does by itself: what its buffers hold is a
 * function of its own fields and of the map it meets, never of the answers before it. So any command may be dropped
 * from a stream and the rest still means something: this is what shrinking needs.
 */
#ifndef TESTS_SEMANTICS_COMMAND_H
#define TESTS_SEMANTICS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "helper.h"

enum op {
	OP_CREATE, /* a created map replaces the slot's */
	OP_LOOKUP,
	OP_UPDATE,
	OP_DELETE,
	OP_NEXT_KEY,
	OP_LOOKUP_AND_DELETE,
	OP_LOOKUP_BATCH,
	OP_LOOKUP_AND_DELETE_BATCH,
	OP_UPDATE_BATCH,
	OP_DELETE_BATCH,
	OP_INFO,
	OP_FREEZE,
	OP_UNKNOWN,	/* a number that is no command */
	OP_DUP,		/* the slot's descriptor moves to another number */
	OP_DUMP,	/* the whole contents, by GET_NEXT_KEY and LOOKUP */
	OP_BATCH_WALK,	/* the whole contents, by LOOKUP_BATCH in pieces */
	OP_BATCH_DRAIN, /* the same by LOOKUP_AND_DELETE_BATCH */
	OP_HELPER,	/* the first of the program face's calls, in the order of enum helper */
	OP_N = OP_HELPER + HELPER_N
};

/* Where a buffer lies. The first four are good for reading. */
enum place {
	AT_BUFFER, /* arg 0..7: misaligned by that much */
	AT_EDGE,   /* its last byte is the last before an unmapped page */
	AT_SHORT,  /* its last 1 + size * arg / 1024 bytes lie in that page */
	AT_READ_ONLY,
	AT_NULL,
	AT_LOW,
	AT_UNMAPPED,
	AT_KERNEL,
	AT_NON_CANONICAL,
	AT_PARTNER, /* second and later buffers: the address of the first */
	AT_N
};

struct pointer {
	uint32_t place;
	uint32_t arg;
};

enum fd_kind {
	FD_SLOT,
	FD_CLOSED, /* a number that was never open */
	FD_STALE,  /* of a map that has just been closed */
	FD_MINUS_ONE,
	FD_DEV_NULL,
	FD_PIPE,
	FD_SOCKET,
	FD_EVENT,
	FD_MEMFD,
	FD_TMPFILE, /* a regular file in a tmpfs */
	FD_DIRECTORY,
	FD_PATH, /* opened by O_PATH */
	FD_N
};

/* What in_batch points to. */
enum in_kind {
	IN_NULL,
	IN_TOKEN, /* what the last batch on this map gave, NULL if none */
	IN_INDEX, /* the command's key, modulo a little more than the number of buckets */
	IN_HUGE,
	IN_N
};

/* The keys of a batch. */
enum keys_kind { KEYS_RANDOM, KEYS_ASCENDING, KEYS_EQUAL, KEYS_N };

enum {
	BUFFER_KEY = 0,
	BUFFER_VALUE = 1,
	BUFFER_IN = 0,
	BUFFER_OUT = 1,
	BUFFER_KEYS = 2,
	BUFFER_VALUES = 3,
	BUFFER_HASH = 2,
	BUFFER_N = 4
};

#define NO_JUNK UINT32_MAX

struct command {
	uint32_t op;
	uint32_t slot;
	uint32_t fd; /* enum fd_kind; CREATE: what the descriptors in the attr are */
	uint32_t attr_size;
	struct pointer attr;
	struct pointer buffer[BUFFER_N]; /* INFO: [0] is the info; CREATE: [0] is the program hash */
	uint32_t junk_at;		 /* an attr byte that is overwritten, NO_JUNK for none */
	uint32_t junk;
	uint32_t key;
	uint32_t count; /* batches; INFO: info_len; UNKNOWN: the command's number; LOOKUP_PERCPU: the CPU; FOR_EACH: how
			 * often */
	uint32_t in;	/* enum in_kind */
	uint32_t keys;	/* enum keys_kind */
	uint64_t flags;
	uint64_t elem_flags;
	uint64_t seed; /* of the data */
	struct abi_create create;
	uint32_t lock;	 /* CREATE: lock_off of a value with a spin lock, or NO_LOCK */
	uint32_t f_lock; /* BPF_F_LOCK goes with it where values have a spin lock */
	uint32_t each;	 /* FOR_EACH: enum each */
	uint32_t cpu;	 /* that helpers, and all commands on LRU maps, run on */
	uint32_t sound;	 /* nothing is wrong with it: counts are cut to what the buffers hold */
};

#define SLOTS 8u

struct program {
	struct command *commands;
	size_t length;
};

/* The attr size up to the last field that the command uses. */
uint32_t command_attr_end(uint32_t op);
/* The number of the bpf command behind an op. */
int command_number(const struct command *command);

/* Makes the stream of a seed. sound: without wrong sizes, pointers and descriptors, and without what only descriptors
 * have, so that the native face can run it. Streams of even seeds have per-CPU and LRU maps, whose answers depend on the
 * number of CPUs; those of odd seeds fit any machine. */
struct program program_generate(uint64_t seed, size_t length, bool sound);
static inline bool program_needs_cpus(uint64_t seed)
{
	return seed % 2 == 0;
}
void program_free(struct program *program);
uint64_t program_hash(const struct program *program);

#endif
