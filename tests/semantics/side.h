/* SPDX-License-Identifier: MIT */
/*
 * One side of the comparison: a bpf(2), the maps a stream has made on it, and the last answer. Two sides run the same
 * stream in the same process, in turns, with the same buffers.
 */
#ifndef TESTS_SEMANTICS_SIDE_H
#define TESTS_SEMANTICS_SIDE_H

#include <stdbool.h>

#include "abi.h"
#include "arena.h"
#include "command.h"
#include "image.h"

struct slot {
	int fd;			  /* -1: no map */
	struct abi_create create; /* max_entries: as the map has it */
	uint64_t seed;		  /* of the command that created it: the style of its keys */
	uint32_t *crowd;	  /* the numbers of crowded keys, NULL: every number is a key */
	bool ordered;		  /* the order of walks is part of the contract */
	bool has_token;
	unsigned char token[4]; /* what the last batch left in out_batch */
	uint32_t id, btf_id;	/* of GET_INFO, 0 until seen */
	uint32_t lock_off;	/* of the spin lock in a value, NO_LOCK: none */
	uint32_t value_bytes;	/* what a value takes in the buffers of commands */
	void *helpers;		/* what the side's program face keeps of the map; NULL until used */
	bool any_loose;		/* padding.c */
	unsigned char loose[1 << 13];
};

struct side {
	const char *name;
	abi_bpf bpf;
	const struct helper_face *helpers;
	struct slot slot[SLOTS];
	int other_fd[FD_N]; /* the descriptors that are no maps */
	struct arena attr, buffer[BUFFER_N];
	struct image image;
};

void side_init(struct side *side, const char *name, abi_bpf bpf, const struct helper_face *helpers);
void side_reset(struct side *side); /* no maps, as at first */
void side_close(struct side *side);

/* Runs a command and leaves the answer in side->image. */
void side_execute(struct side *side, const struct command *command);

/* A call of the program face (helper.c). */
void helper_execute(struct side *side, struct slot *slot, const struct command *command);

/* The commands that look at a whole map (contents.c). */
void contents_dump(struct side *side, struct slot *slot);
void contents_batches(struct side *side, struct slot *slot, uint32_t chunk, bool drain);

/* Keys and values. */
void slot_open(struct side *side, struct slot *slot, int fd, const struct abi_create *create, uint32_t lock_off,
	       uint64_t seed); /* a new map in the place of the old */
void slot_close(struct side *side, struct slot *slot);
uint32_t slot_universe(const struct slot *slot); /* how many different keys a stream uses on the map */
void slot_key(const struct slot *slot, uint32_t number, void *key);
void fill_value(uint64_t seed, void *value, size_t size);
long side_elem(struct side *side, int cmd, int fd, const void *key, void *value); /* with sound arguments; -errno */

#endif
