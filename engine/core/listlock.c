/* SPDX-License-Identifier: MIT */
/*
 * List locks. A waiter pauses, then yields, then naps: a holder has some dozens of stores to do, so it comes to naps only
 * when the holder is not running. Then, before each nap, the waiter looks whether there is a holder at all.
 *
 * The word X = {operation, record} was read. The holder is gone if
 *   the record's operation number isn't X's any more: the operation has ended;
 *   the record belongs to a process that is dead (process.h);
 *   the record is one that nobody has ever held, or the waiter's own, or the number is not that of an operation: X was not
 *   written by this protocol.
 * In each case nobody will write X again: who wrote it is out of its operation, and another operation's word is another
 * one. So a CAS from X succeeds only if the lock was never released, and there is no moment at which two have it. A
 * holder that releases, and ends, between the two reads of a waiter leaves a word that isn't X.
 *
 * A holder that is stopped, or a thread that leaves a living process by the bare system call, keeps its lock until it
 * goes on, or its process has ended. So does a process that may write to the map and means ill (G9).
 */
#include "core/listlock.h"

#include <ck_pr.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAUSES 6 /* the n-th waits for 2^n instructions */
#define YIELDS 50
#define NAP_NS 50000

bool listlock_over(const struct writer_set *set, uint64_t owner)
{
	uint32_t index = (uint32_t)owner % RECORDS;
	const struct record *record = &set->records[index];

	/* acquire: what is read next is as new. A record that was never used may not even have memory */
	if (index >= atomic_load_explicit(&set->region->header->records_used, memory_order_acquire))
		return true;
	/* acquire: what the operation did is visible. Operations have odd numbers */
	if (!(owner >> RECORD_BITS & 1) ||
	    atomic_load_explicit(&record->op, memory_order_acquire) != owner >> RECORD_BITS)
		return true;
	return writer_is_dead(set, index);
}

/* Whether the holder in this word, which was just read, won't ever release the lock. */
static bool holder_gone(const struct listlock *lock, uint64_t word, const struct writer *w)
{
	if (word % RECORDS != w->index && !listlock_over(w->set, word))
		return false;
	/* relaxed: the CAS of who seizes the lock decides. Mostly the holder has released it since */
	return atomic_load_explicit(&lock->word, memory_order_relaxed) == word;
}

/* Lets others run. Whether it's time to look at the holder. */
static bool be_patient(unsigned *rounds)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };

	TEST_POINT(TP_WAIT);
	if (*rounds < PAUSES) {
		for (unsigned i = 1u << *rounds; i; i--)
			ck_pr_stall();
	} else if (*rounds < PAUSES + YIELDS) {
		sched_yield();
	} else {
		syscall(SYS_nanosleep, &nap, NULL); /* not the library's: that one is a cancellation point */
		return true;
	}
	++*rounds;
	return false;
}

/* Takes the lock from who has it by this word, or 0. */
static bool take(struct listlock *lock, uint64_t word, const struct writer *w)
{
	/* acquire: the lists are as the holder before left them */
	return atomic_compare_exchange_strong_explicit(&lock->word, &word, w->owner, memory_order_acquire,
						       memory_order_relaxed);
}

bool listlock_wait(struct listlock *lock, const struct writer *w)
{
	unsigned rounds = 0;

	for (;;) {
		/* acquire: the record's operation number isn't older */
		uint64_t word = atomic_load_explicit(&lock->word, memory_order_acquire);

		if (!word && take(lock, 0, w))
			return true;
		if (be_patient(&rounds) && word && holder_gone(lock, word, w))
			return false;
	}
}

bool listlock_seize(struct listlock *lock, const struct writer *w)
{
	for (;;) {
		uint64_t word;

		if (listlock_acquire(lock, w))
			return false;
		word = atomic_load_explicit(&lock->word, memory_order_acquire); /* acquire: as above */
		if (word && holder_gone(lock, word, w) && take(lock, word, w))
			return true;
	}
}
