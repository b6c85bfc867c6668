/* SPDX-License-Identifier: MIT */
/*
 * Parts of tests that run in a process of their own: because they change signal handlers or namespaces, or are to die.
 * Inside, CHECK() takes the place of cmocka's assertions, which belong to the parent.
 */
#ifndef TESTS_FACES_CHILD_H
#define TESTS_FACES_CHILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define CHILD_SKIPPED 77

/* A sanitizer's own locks are not ready for a fork while other threads run. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_FORK_AMONG_THREADS 0
#else
#define CAN_FORK_AMONG_THREADS 1
#endif

#define CHECK(condition)                                                                        \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                               \
		}                                                                               \
	} while (0)

/* Runs @part in a child; its wait status. */
static inline int child_status(void (*part)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		part();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Runs @part, which must come to its end. */
static inline void in_child(void (*part)(void))
{
	int status = child_status(part);

	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPPED)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Runs @part, which must be killed by @sig. */
static inline void killed_in_child(void (*part)(void), int sig)
{
	int status = child_status(part);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), sig);
}

#endif
