/* SPDX-License-Identifier: MIT */
/*
 * Threads that are stopped at a chosen test point, for as long as a test wants: a thread the machine doesn't run.
 */
#ifndef TESTS_CONCURRENCY_STOP_H
#define TESTS_CONCURRENCY_STOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/testpoint.h"

#define STOP_AT(point) (UINT32_C(1) << (point))
#define STOP_ANYWHERE UINT32_MAX

struct stopped {
	pthread_t thread;
	uint32_t points;  /* set of STOP_AT */
	unsigned skip;    /* how many of those points to pass before */
	void (*body)(void *argument);
	void *argument;
	enum stop_state { STOP_RUNNING, STOP_STOPPED, STOP_RELEASED, STOP_ENDED } state; /* under the lock of stop.c */
	enum test_point where;
};

/* Runs body(argument) in a thread up to the point, or to its end if it doesn't get there; true: it is stopped. */
bool stop_start(struct stopped *stopped, uint32_t points, unsigned skip, void (*body)(void *argument), void *argument);
/* Lets the thread go on, and waits for its end. */
void stop_finish(struct stopped *stopped);

/* Calls `call` once in the calling thread, from the next test point it passes after `skip` of them: what a signal handler that
 * interrupts the engine there would do. */
void stop_call_at_point(unsigned skip, void (*call)(void *argument), void *argument);
/* Whether it has been called since. */
bool stop_called(void);
/* Calls `call` at the next n of the calling thread's test points, or at every period-th of them: other threads that are very
 * busy. */
void stop_call_at_points(unsigned n, unsigned period, void (*call)(void));

#endif
