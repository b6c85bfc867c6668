/* SPDX-License-Identifier: MIT */
/*
 * Around code that takes locks which commands wait for. A signal handler may call bpf(2), or exit(), and would wait for the
 * code that it interrupted; and open() and its like are cancellation points, which bpf(2) is none of: a thread that ended
 * there would leave its locks locked. Signals that the code itself can raise stay as they are; so bad pointers are found
 * out as ever.
 */
#ifndef ENGINE_CORE_HOLD_H
#define ENGINE_CORE_HOLD_H

#include <pthread.h>
#include <signal.h>

/* The thread's, before. */
struct held {
	sigset_t signals;
	int cancel_state;
};

static inline void hold_begin(struct held *before)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t others;

	sigfillset(&others);
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&others, own[i]);
	pthread_sigmask(SIG_BLOCK, &others, &before->signals);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before->cancel_state);
}

static inline void hold_end(const struct held *before)
{
	pthread_setcancelstate(before->cancel_state, NULL);
	pthread_sigmask(SIG_SETMASK, &before->signals, NULL);
}

#endif
