/* SPDX-License-Identifier: MIT */
/*
 * Where the buffers of commands lie: memory with a hole behind it and a read-only view of itself, so that a buffer can
 * end at the edge of a page, hang over it, or refuse to be written. Around each buffer is a margin whose bytes are
 * compared too: nobody may touch them.
 */
#ifndef TESTS_SEMANTICS_ARENA_H
#define TESTS_SEMANTICS_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "command.h"

#define ARENA_SIZE (16u << 20)
#define ARENA_ROOM (ARENA_SIZE - 8192u) /* the largest buffer */

struct arena {
	unsigned char *base;
	const unsigned char *read_only; /* the same memory */
};

struct window {
	void *user;	      /* the address a command is given */
	unsigned char *data;  /* the buffer's bytes, writable for the test; NULL if it has none */
	size_t size;	      /* how many of them exist */
	unsigned char *start; /* with the margins */
	size_t length;
};

void arena_init(struct arena *arena); /* exits on failure */

/* Places a buffer of size bytes and fills it and its margins with the byte `canary`. partner: for AT_PARTNER. */
void arena_place(const struct arena *arena, struct pointer pointer, size_t size, unsigned char canary,
		 const struct window *partner, struct window *window);

/* Puts bytes into a buffer as far as it exists. */
void window_write(struct window *window, size_t offset, const void *bytes, size_t size);

#endif
