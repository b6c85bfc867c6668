/* SPDX-License-Identifier: MIT */
/* The threads that make the requests. See target.c. */
#ifndef ENGINE_SECCOMP_TARGET_H
#define ENGINE_SECCOMP_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

#define TARGETS 16u

struct target {
	pid_t tid; /* 0: none */
	int pidfd;
};

/* Those that a worker has seen lately. Zero: none. */
struct targets {
	struct target known[TARGETS];
};

/* A duplicate of a descriptor of the thread that has this number; or -1, and errno. */
int target_duplicate(struct targets *targets, pid_t tid, int fd);

/* Whether one of the thread's descriptors is closed on exec. */
bool target_closes_on_exec(pid_t tid, int fd);

#endif
