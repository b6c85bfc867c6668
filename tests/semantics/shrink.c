/* SPDX-License-Identifier: MIT */
/*
 * Shrinking by delta debugging: pieces of the program are left out, halves first, then ever smaller ones, as long as
 * what remains still fails. Whatever fails counts, and what follows the failing command is always cut off.
 */
#include <stdio.h>
#include <string.h>

#include "compare.h"
#include "memory.h"

/* The program without [from, from + count). */
static struct program without(const struct program *program, size_t from, size_t count)
{
	struct program rest = { need_memory(program->length * sizeof(struct command)), program->length - count };

	memcpy(rest.commands, program->commands, from * sizeof(struct command));
	memcpy(rest.commands + from, program->commands + from + count, (rest.length - from) * sizeof(struct command));
	return rest;
}

/* Leaves a piece out if the rest fails. */
static bool try_without(struct side *left, struct side *right, struct program *program, size_t from, size_t count)
{
	struct program rest = without(program, from, count);
	size_t at = compare_run(left, right, &rest);

	if (at == NO_MISMATCH) {
		program_free(&rest);
		return false;
	}
	rest.length = at + 1;
	program_free(program);
	*program = rest;
	return true;
}

void compare_shrink(struct side *left, struct side *right, struct program *program)
{
	size_t at = compare_run(left, right, program);

	if (at == NO_MISMATCH)
		return;
	program->length = at + 1;
	for (size_t piece = program->length / 2; piece; piece = piece > 1 ? (piece + 1) / 2 : 0) {
		bool dropped;

		do {
			dropped = false;
			for (size_t from = 0; from + piece <= program->length;) {
				if (try_without(left, right, program, from, piece))
					dropped = true;
				else
					from += piece;
			}
		} while (dropped && piece == 1);
		printf("shrinking: %zu commands, pieces of %zu\n", program->length, piece);
	}
}
