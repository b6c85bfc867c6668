/* SPDX-License-Identifier: MIT */
/* The generator's two files. */
#ifndef TESTS_SEMANTICS_GENERATE_H
#define TESTS_SEMANTICS_GENERATE_H

#include "command.h"
#include "rng.h"

/* Makes a CREATE. twisted: mostly with something wrong, for the slot of strange maps. by_cpus: of any type, else none
 * whose answers depend on the number of CPUs. */
void generate_create(struct rng *rng, struct command *command, bool twisted, bool by_cpus);

#endif
