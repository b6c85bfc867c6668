/* SPDX-License-Identifier: MIT */
/*
 * Grace periods, by polling.
 *
 * One engine thread waits for liburcu's grace periods and counts them in a sequence number: odd while one runs. Whoever
 * removes something takes a cookie after the removal and asks later whether a grace period that began after the cookie
 * has ended. So nobody waits inside an operation, and thousands of elements stand behind one cookie.
 */
#ifndef ENGINE_CORE_RECLAIM_H
#define ENGINE_CORE_RECLAIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Written by the engine thread; read by everybody. */
extern _Atomic uint64_t reclaim_sequence;

/* A cookie for what was removed before the call. */
static inline uint64_t reclaim_cookie(void)
{
	/* seq_cst fence: the removal is visible before the sequence is read, against the engine thread's own fence
	 * between making the sequence odd and looking for readers */
	atomic_thread_fence(memory_order_seq_cst);
	return (atomic_load_explicit(&reclaim_sequence, memory_order_relaxed) + 3) & ~1ull;
}

/* Whether no reader can still see what was removed before the cookie was taken. */
static inline bool reclaim_done(uint64_t cookie)
{
	/* acquire: readers' last accesses come before the reuse that follows */
	return atomic_load_explicit(&reclaim_sequence, memory_order_acquire) >= cookie;
}

/* Sees to it that a grace period runs soon. Starts the engine thread if need be; never waits. */
void reclaim_request(void);

/* Waits until reclaim_done(cookie). The caller must be outside any read-side section. */
void reclaim_wait_for(uint64_t cookie);

/* Whether the caller is a signal handler that interrupted this thread here: then it must not wait. */
bool reclaim_busy(void);

/* Waits for a full grace period. The caller must be outside any read-side section. Always 0. */
int reclaim_wait(void);

#ifdef USERMAP_TEST_POINTS
/* Whether no grace period is in progress, nor will begin unless it's requested. */
bool reclaim_rests(void);
#endif

/* Whether this process has the engine thread. */
bool reclaim_has_thread(void);

/* fork, called by core/fork.c: no grace period is in progress from prepare to parent or child. */
void reclaim_fork_prepare(void);
void reclaim_fork_parent(void);
void reclaim_fork_child(void);

#endif
