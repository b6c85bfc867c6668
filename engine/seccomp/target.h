/* SPDX-License-Identifier: MIT */
/* The threads that make the requests. See target.c. */
#ifndef ENGINE_SECCOMP_TARGET_H
#define ENGINE_SECCOMP_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

#define TARGETS 16u

/* Those that a worker has seen lately. Zero: none. */
struct targets {
	struct {
		pid_t tid;
		int pidfd;
	} known[TARGETS];
};

/* A pidfd of a thread that waits for its answer, by which its descriptors can be got; or -1. The table's. */
int target_pidfd(struct targets *targets, pid_t tid);

/* Whether one of the thread's descriptors is closed on exec. */
bool target_closes_on_exec(pid_t tid, int fd);

#endif
