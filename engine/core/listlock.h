/* SPDX-License-Identifier: MIT */
/*
 * List locks: locks around a few stores to lists in a region, which survive their holder.
 *
 * The word is 0, or the owner word (writer.h) of the operation that holds the lock. Owner words are unique for ever, so
 * a word tells for ever whether its holder can still release it: see listlock.c.
 *
 * Locks of one region are taken in one order, which is its user's to say. A holder may end at any instruction; then the
 * lists behind the lock are in the middle of a change. So nobody gets such a lock by waiting: the waiter is told, lets
 * go of what it holds, and makes the lists whole, for which it seizes the lock.
 */
#ifndef ENGINE_CORE_LISTLOCK_H
#define ENGINE_CORE_LISTLOCK_H

#include "core/testpoint.h"
#include "core/writer.h"

struct listlock {
	_Atomic uint64_t word; /* by CAS from 0, or from a word whose operation is over; by the holder to 0 */
};

/* Whether the operation that an owner word names will do nothing more: it is over, or its process is dead. */
bool listlock_over(const struct writer_set *set, uint64_t owner);

/* listlock_acquire when the lock isn't free. */
bool listlock_wait(struct listlock *lock, const struct writer *w);
/* Takes the lock in any case. true: from an operation that is over, so what it guards is to be made whole. */
bool listlock_seize(struct listlock *lock, const struct writer *w);

/* Inside an operation of w, which doesn't hold the lock. false: the lock is not had, and its holder is gone. */
static inline bool listlock_acquire(struct listlock *lock, const struct writer *w)
{
	uint64_t none = 0;

	TEST_POINT(TP_LIST_LOCK);
	/* acquire: the lists are as the holder before left them */
	if (caa_likely(atomic_compare_exchange_strong_explicit(&lock->word, &none, w->owner, memory_order_acquire,
							       memory_order_relaxed)))
		return true;
	return listlock_wait(lock, w);
}

static inline void listlock_release(struct listlock *lock)
{
	atomic_store_explicit(&lock->word, 0, memory_order_release); /* release: the lists are as they are to be */
}

#endif
