/* SPDX-License-Identifier: MIT */
/* A command on its way: prepare.c readies it, execute.c makes the call and takes the answer. */
#ifndef TESTS_SEMANTICS_RUN_H
#define TESTS_SEMANTICS_RUN_H

#include "side.h"

#define TOKEN_SIZE 4u
#define HASH_SIZE  32u

struct run {
	struct side *side;
	struct slot *slot;
	struct command command; /* tamed */
	uint32_t entries;	/* of a batch's buffers */
	struct window attr, buffer[BUFFER_N];
	unsigned char before[ABI_ATTR_SIZE]; /* the attr that the call was given */
	int types_fd;			     /* CREATE: the types of a value with a spin lock; -1: none */
};

static inline bool is_batch(uint32_t op)
{
	return op >= OP_LOOKUP_BATCH && op <= OP_DELETE_BATCH;
}

static inline bool is_walking_batch(uint32_t op)
{
	return op == OP_LOOKUP_BATCH || op == OP_LOOKUP_AND_DELETE_BATCH;
}

static inline bool asks_for_hash(const struct command *command)
{
	return command->op == OP_INFO && command->seed & 0x40;
}

/* Tames the command, places and fills its buffers and its attr. */
void run_prepare(struct run *run);

#endif
