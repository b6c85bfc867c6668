/* SPDX-License-Identifier: MIT */
/* Runs a stream on two sides and finds the first command that they answer differently. */
#ifndef TESTS_SEMANTICS_COMPARE_H
#define TESTS_SEMANTICS_COMPARE_H

#include "side.h"

#define NO_MISMATCH SIZE_MAX

/* The index of the first command whose answers differ, NO_MISMATCH if none. Both sides start without maps; they are
 * left as that command left them, with its answers in side->image. */
size_t compare_run(struct side *left, struct side *right, const struct program *program);

/* Drops commands from a program that fails, as long as it still fails somewhere, and prints its length from time to
 * time. program->length shrinks. */
void compare_shrink(struct side *left, struct side *right, struct program *program);

#endif
