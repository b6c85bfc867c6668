/* SPDX-License-Identifier: MIT */
/*
 * The maps with spin locks of this process, by address: the program face locks a value by nothing but a pointer.
 */
#ifndef ENGINE_CORE_LOCKMAPS_H
#define ENGINE_CORE_LOCKMAPS_H

#include "core/vlock.h"

/* When a map is attached to. The address of *l stays until lockmaps_remove. 0, -ENOMEM. */
int lockmaps_add(const struct value_locks *l);
void lockmaps_remove(const struct value_locks *l);
/* The locks of the map in whose region the address is, NULL: none. Lock-free, also in a signal handler; the map is not
 * being closed. */
const struct value_locks *lockmaps_find(const void *address);

/* In a forked child (core/fork.c). */
void lockmaps_fork_child(void);

#endif
