/* SPDX-License-Identifier: MIT */
/* The generator's two files. */
#ifndef TESTS_SEMANTICS_GENERATE_H
#define TESTS_SEMANTICS_GENERATE_H

#include "command.h"
#include "rng.h"

/* Makes a CREATE. twisted: mostly with something wrong, for the slot of strange maps. percpu: of any type, else none with
 * per-CPU values. */
void generate_create(struct rng *rng, struct command *command, bool twisted, bool percpu);

#endif
