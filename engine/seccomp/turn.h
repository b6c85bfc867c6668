/* SPDX-License-Identifier: MIT */
/* Whose turn it is to listen. See turn.c. */
#ifndef ENGINE_SECCOMP_TURN_H
#define ENGINE_SECCOMP_TURN_H

#include <stdbool.h>
#include <sys/types.h>

/* All are called by a worker, by its number, from 1 on. */

/* Returns when it's the worker's turn: at once if it has kept it. */
void turn_take(unsigned worker);

/* Before listening: whether requests wait for one another, so that the turn should be passed on. */
bool turn_is_wanted(int listener);

/* A request of this thread's has been received. Passes the turn on; or keeps it while the worker serves the request.
 * Whether it was kept: then turn_served() is due. */
bool turn_received(unsigned worker, pid_t tid, bool keep);
void turn_served(unsigned worker);

/* Starts the thread that looks after those who keep their turn. 0 or -errno. */
int turn_start_watch(void);

#endif
