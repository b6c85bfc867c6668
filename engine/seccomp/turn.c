/* SPDX-License-Identifier: MIT */
/*
 * Whose turn it is to listen.
 *
 * The kernel wakes all who listen at each request, on the caller's processor: there it would have to switch to each of
 * them, and all but one would find nothing. So one worker listens at a time, and the others wait for their turn.
 *
 * A worker that has got a request could pass its turn on, which wakes another worker, or keep it, and listen again when
 * the request has been served. With one caller that's all there is to do: caller and worker then take turns on one
 * processor, by two switches a request. The turn is passed on if a request may take long, and if callers wait for each
 * other. For that, requests must come from more than one thread, and there must be one already when the worker is about to
 * listen; that is asked only then, as asking takes as long as a part of the answer.
 *
 * A quick request may take long, too: if the caller's memory is provided by somebody (userfaultfd) who makes a request for
 * that, or a lock's owner is stopped. So a watch looks, a hundred times a second, whether who keeps the turn is still serving
 * the same request, and if so, gives the turn to others. While nothing is served the watch sleeps.
 *
 * The turn is one word: who has it, whether he serves a request meanwhile, and a count that makes it another word each
 * time. All changes are compare-and-swaps. They also order, as acquire and release, what only the listener touches.
 */
#include "seccomp/turn.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WORKER(word) ((word)&0xff) /* 0: nobody */
#define SERVES	     0x100u
#define COUNT	     0x200u

#define WATCH_NS 10000000 /* as long as a quick request of others may have to wait */

/* How much one caller after another weighs against the same again, and what it takes for them to be many. */
#define OTHER 4u
#define MANY  12u
#define MOST  64u

static _Atomic uint32_t turn;
static _Atomic uint32_t watch_sleeps; /* set by the watch, unset by who wakes it */

/* The listener's. */
static pid_t last_tid;
static unsigned mixture;

static void wait_while(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake_one(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* The turn, in another state; fails if it has changed since it was `before`. */
static bool change(uint32_t before, uint32_t state)
{
	uint32_t after = ((before & ~(COUNT - 1)) + COUNT) | state;

	/* seq_cst: see rouse() and rest(), and the head of the file */
	return atomic_compare_exchange_strong_explicit(&turn, &before, after, memory_order_seq_cst,
						       memory_order_relaxed);
}

static uint32_t look(void)
{
	return atomic_load_explicit(&turn, memory_order_seq_cst); /* seq_cst: see rest() */
}

static void give(uint32_t before)
{
	if (change(before, 0))
		wake_one(&turn);
}

void turn_take(unsigned worker)
{
	for (;;) {
		uint32_t now = look();

		if (WORKER(now) == worker || (!WORKER(now) && change(now, worker)))
			return;
		if (WORKER(now))
			wait_while(&turn, now);
	}
}

bool turn_is_wanted(int listener)
{
	struct pollfd more = { .fd = listener, .events = POLLIN };

	return mixture > MANY && poll(&more, 1, 0) > 0;
}

static void note_caller(pid_t tid)
{
	if (tid != last_tid)
		mixture = mixture + OTHER > MOST ? MOST : mixture + OTHER;
	else if (mixture)
		mixture--;
	last_tid = tid;
}

/* After the turn was changed: either this sees that the watch sleeps, or the watch sees the change (rest()). */
static void rouse(void)
{
	if (atomic_load_explicit(&watch_sleeps, memory_order_seq_cst) &&
	    atomic_exchange_explicit(&watch_sleeps, 0, memory_order_relaxed))
		wake_one(&watch_sleeps);
}

bool turn_received(unsigned worker, pid_t tid, bool keep)
{
	uint32_t now = look();

	note_caller(tid);
	if (!keep) {
		give(now);
		return false;
	}
	change(now, worker | SERVES);
	rouse();
	return true;
}

void turn_served(unsigned worker)
{
	uint32_t now = look();

	if (WORKER(now) == worker) /* else it was taken away; then it is not given to who is still busy */
		change(now, worker);
}

/* Sleeps until a turn is kept, if the turn hasn't changed since it was `seen`. */
static void rest(uint32_t seen)
{
	atomic_store_explicit(&watch_sleeps, 1, memory_order_seq_cst); /* before the look; see rouse() */
	if (look() == seen)
		wait_while(&watch_sleeps, 1);
	atomic_store_explicit(&watch_sleeps, 0, memory_order_relaxed); /* who has seen it set wakes in vain */
}

static void *watch(void *unused)
{
	static const struct timespec interval = { 0, WATCH_NS };
	uint32_t seen = look(), now;

	for (;; seen = now) {
		nanosleep(&interval, NULL);
		now = look();
		if (now != seen)
			continue;
		if (now & SERVES)
			give(now);
		else
			rest(now);
	}
	return unused;
}

int turn_start_watch(void)
{
	pthread_t thread;

	return -pthread_create(&thread, NULL, watch, NULL);
}
