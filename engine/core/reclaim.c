/* SPDX-License-Identifier: MIT */
/*
 * The engine thread that waits for grace periods.
 *
 * It sleeps until somebody requests a grace period, runs one, and rests for PACE before the next, so that a stream of
 * removals costs a bounded number of grace periods (each interrupts the other CPUs once or twice); a thread that waits
 * in reclaim_wait_for() cuts the rest short.
 *
 * Sequence: even at rest, made odd before synchronize_rcu and even after it. A cookie taken at an even value 2k is
 * done at 2k + 2; one taken at an odd value 2k + 1 needs the grace period after the running one: 2k + 4.
 *
 * Requests are a flag, so that they are free of locks: a retiring thread must not wait for another. It is cleared when a
 * grace period begins, so a request made meanwhile starts the next one.
 *
 * If the thread can't be created, whoever waits runs the grace period itself under the lock, and whoever only requests
 * tries again with the next request.
 *
 * fork: liburcu's fork handlers take the lock that synchronize_rcu holds while it waits for readers, and the forking
 * thread may be such a reader itself. So the prepare handler first tells the engine thread that the running grace
 * period will not count, lets it end by stepping out of the section for a moment (nothing is reclaimed meanwhile, as
 * the sequence does not move), and parks it; the section is resumed before fork returns.
 */
#include "core/reclaim.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/thread.h"

#define PACE_NS 200000

_Atomic uint64_t reclaim_sequence;

static _Atomic uint32_t wanted; /* futex: 1 = a grace period is wanted. Set by anybody, cleared under lock */
static _Atomic uint32_t urgent; /* number of threads in reclaim_wait_for: no rest. Written by them */
static _Atomic bool running;	/* the engine thread exists. Written under lock, read by requesters */

/* lock guards: parking, void_period, idle, and the creation of the thread. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; /* sequence advanced, thread parked, or parking ended */
static unsigned parking;				  /* a fork is going on: begin nothing */
static bool void_period;				  /* the running grace period doesn't count */
static bool idle = true;				  /* no grace period is running */

/* This thread is in a function here that takes the lock: a signal handler that interrupts it must not wait for it. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

static void want(void)
{
	/* release: what the request is for comes before it */
	if (!atomic_exchange_explicit(&wanted, 1, memory_order_release))
		futex(&wanted, FUTEX_WAKE_PRIVATE, 1, NULL);
}

/* One grace period. Called with lock held by whoever runs it; the lock is dropped meanwhile. */
static void run_period(void)
{
	while (parking || !idle)
		pthread_cond_wait(&changed, &lock);
	idle = false;
	void_period = false;
	atomic_exchange_explicit(&wanted, 0, memory_order_acquire);
	/* release: whoever sees the odd value, and so needs another period, sees that none is requested any more */
	atomic_fetch_add_explicit(&reclaim_sequence, 1, memory_order_release);
	pthread_mutex_unlock(&lock);
	/* seq_cst fence: pairs with reclaim_cookie(): a cookie that missed the odd value has its removal seen here */
	atomic_thread_fence(memory_order_seq_cst);
	urcu_bp_synchronize_rcu();
	pthread_mutex_lock(&lock);
	idle = true;
	if (void_period) {
		/* back to even without a step forward: a cookie taken while it was odd only waits longer. Who asked for
		 * this period is still to get one */
		atomic_fetch_sub_explicit(&reclaim_sequence, 1, memory_order_relaxed);
		want();
	} else {
		/* release: what the grace period waited for comes before the reuse by whoever sees the new value */
		atomic_fetch_add_explicit(&reclaim_sequence, 1, memory_order_release);
	}
	pthread_cond_broadcast(&changed);
}

static void *engine_thread(void *unused)
{
	const struct timespec pace = { .tv_nsec = PACE_NS };

	(void)unused;
	for (;;) {
		/* relaxed: run_period acquires it */
		while (!atomic_load_explicit(&wanted, memory_order_relaxed))
			futex(&wanted, FUTEX_WAIT_PRIVATE, 0, NULL);
		pthread_mutex_lock(&lock);
		run_period();
		pthread_mutex_unlock(&lock);
		if (!atomic_load_explicit(&urgent, memory_order_relaxed))
			futex(&urgent, FUTEX_WAIT_PRIVATE, 0, &pace);
	}
	return NULL;
}

/* Starts the engine thread. Called with lock held. */
static void start(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	if (atomic_load_explicit(&running, memory_order_relaxed) || parking || pthread_attr_init(&attr))
		return;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* the host's signals are not for this thread */
	if (!pthread_create(&thread, &attr, engine_thread, NULL))
		atomic_store_explicit(&running, true, memory_order_relaxed);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
}

bool reclaim_busy(void)
{
	return inside;
}

/* The calling thread must not be cancelled inside, nor may a signal handler of its own come in. */
static int enter(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	inside = true;
	return state;
}

static void leave(int state)
{
	inside = false;
	pthread_setcancelstate(state, NULL);
}

void reclaim_request(void)
{
	/* relaxed: only the flag itself matters; the cookie's own fence orders the removal */
	if (atomic_load_explicit(&wanted, memory_order_relaxed) && atomic_load_explicit(&running, memory_order_relaxed))
		return;
	if (!inside && !atomic_load_explicit(&running, memory_order_relaxed)) {
		int state = enter();

		if (!pthread_mutex_trylock(&lock)) {
			start();
			pthread_mutex_unlock(&lock);
		}
		leave(state);
	}
	want();
}

void reclaim_wait_for(uint64_t cookie)
{
	int state;

	if (reclaim_done(cookie))
		return;
	state = enter();
	atomic_fetch_add_explicit(&urgent, 1, memory_order_relaxed);
	futex(&urgent, FUTEX_WAKE_PRIVATE, 1, NULL);
	pthread_mutex_lock(&lock);
	while (!reclaim_done(cookie)) {
		start();
		if (!atomic_load_explicit(&running, memory_order_relaxed)) {
			run_period();
			continue;
		}
		want();
		pthread_cond_wait(&changed, &lock);
	}
	pthread_mutex_unlock(&lock);
	atomic_fetch_sub_explicit(&urgent, 1, memory_order_relaxed);
	leave(state);
}

int reclaim_wait(void)
{
	reclaim_wait_for(reclaim_cookie());
	return 0;
}

#ifdef USERMAP_TEST_POINTS
bool reclaim_rests(void)
{
	bool rests;

	pthread_mutex_lock(&lock);
	rests = idle && !atomic_load_explicit(&wanted, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
	return rests;
}
#endif

bool reclaim_has_thread(void)
{
	return atomic_load_explicit(&running, memory_order_relaxed);
}

void reclaim_fork_prepare(void)
{
	struct urcu_bp_reader *reader = URCU_TLS(urcu_bp_reader);
	unsigned long nesting = reader ? reader->ctr & URCU_BP_GP_CTR_NEST_MASK : 0;

	pthread_mutex_lock(&lock);
	parking++;
	void_period = true;
	if (!idle) {
		if (nesting)
			_CMM_STORE_SHARED(reader->ctr, 0);
		while (!idle)
			pthread_cond_wait(&changed, &lock);
		if (nesting) {
			/* resume with the same nesting in the current phase, as a reader that began now */
			_CMM_STORE_SHARED(reader->ctr,
					  nesting | (_CMM_LOAD_SHARED(urcu_bp_gp.ctr) & ~URCU_BP_GP_CTR_NEST_MASK));
			cmm_smp_mb(); /* the announcement comes before the section's further reads */
		}
	}
}

void reclaim_fork_parent(void)
{
	parking--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void reclaim_fork_child(void)
{
	parking = 0;
	idle = true;
	atomic_store_explicit(&running, false, memory_order_relaxed);
	atomic_store_explicit(&urgent, 0, memory_order_relaxed);
	pthread_cond_init(&changed, NULL); /* the parent's waiters don't exist here */
	pthread_mutex_unlock(&lock);	   /* locked by this thread in reclaim_fork_prepare */
}
