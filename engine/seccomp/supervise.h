/* SPDX-License-Identifier: MIT */
/* usermap-run --seccomp. See supervise.c. */
#ifndef ENGINE_SECCOMP_SUPERVISE_H
#define ENGINE_SECCOMP_SUPERVISE_H

/* Runs a program in a process of its own, supervised, until it and all that came of it have ended. What it exited with;
 * if it was killed by a signal, so is this process. execute: executes it, returns what to exit with if that fails;
 * failure: what to return if it can't be supervised, which has then been said. */
int supervise(int (*execute)(char **argv), char **argv, int failure);

#endif
