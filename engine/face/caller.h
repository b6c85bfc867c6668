/* SPDX-License-Identifier: MIT */
/*
 * A caller in another process. A supervisor (seccomp/) that answers the bpf(2) of programs runs the same command face as
 * a program that links the library; only pointers, descriptors and relative paths are then another process's. The
 * places that take one from a caller ask here what it is to this process.
 *
 * While `caller` is set, it is whom the thread works for. Pointers are then copied by the kernel (usercopy.c).
 * Descriptors are duplicated into this process, each once a command, so that all of a command is about the same file.
 */
#ifndef ENGINE_FACE_CALLER_H
#define ENGINE_FACE_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CALLER_TAKES 4 /* more than any command has: two, and a directory */

struct caller {
	pid_t tid;
	int pidfd; /* the thread's, by which its descriptors are got; -1: this process had no descriptor for it */
	/* Whether the thread still waits for its answer: if not, its number may be another's by now. */
	bool (*waits)(const struct caller *caller);
	unsigned n_taken;
	struct {
		int theirs;
		int own;
	} taken[CALLER_TAKES];
	bool no_descriptor; /* one couldn't be taken for want of a number in this process, and was said to be closed */
};

/* Initial-exec: it's looked at by each command. */
extern __thread struct caller *caller __attribute__((tls_model("initial-exec")));

/* Sets and unsets `caller`. The fields up to `waits` are set. */
void caller_begin(struct caller *who);
void caller_end(void);

int caller_take_fd(int fd);

/* A descriptor, or AT_FDCWD, as this process has it; -1 if the caller's isn't open. Valid until caller_end(). */
static inline int caller_fd(int fd)
{
	return __builtin_expect(caller == NULL, 1) ? fd : caller_take_fd(fd);
}

#endif
