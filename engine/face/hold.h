/* SPDX-License-Identifier: MIT */
/*
 * Around code that takes the faces' locks: a signal handler may call bpf(2), or exit(), and would wait for the code that it
 * interrupted. Signals that the code itself can raise stay as they are; so bad pointers are found out as ever.
 */
#ifndef ENGINE_FACE_HOLD_H
#define ENGINE_FACE_HOLD_H

#include <pthread.h>
#include <signal.h>

static inline void signals_hold(sigset_t *before)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t others;

	sigfillset(&others);
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&others, own[i]);
	pthread_sigmask(SIG_BLOCK, &others, before);
}

static inline void signals_release(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

#endif
