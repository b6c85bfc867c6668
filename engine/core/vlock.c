/* SPDX-License-Identifier: MIT */
/*
 * Value locks: the struct bpf_spin_lock inside a value, as a lock word that survives its owner.
 *
 * The word
 *
 *   unlocked  {0 | sequence: 31 bits}                                   all zero is a free lock
 *   locked    {1 | record: 12 bits | low bits of the sequence: 19}
 *
 * The owner is a thread record (record.h). Each release moves the sequence on by 1, so the lock is also a sequence
 * lock: readers copy a value without writing anything, and the copy counts if the word was the same unlocked one before
 * and after. Between locking and unlocking the full sequence is in the owner's record.
 *
 * Taking, by the thread of record R, of value V:
 *   1  R.lock = V, full fence. From now on V's memory is not handed out again (slab.h); in a hash map the caller finds
 *      the key once more when it has the lock, and stores only if it is still V's.
 *   2  R.lock_sequence = the word's sequence
 *   3  CAS of the word, unlocked -> locked by R.                          The lock is had.
 * Storing:
 *   4  the new value goes to R's spare
 *   5  R.redo = R + 1                                                     The store will be finished, whatever comes.
 *   6  the new value goes to V
 *   7  R.redo = 0
 * Releasing:
 *   8  CAS of the word, locked by R -> the next sequence, unlocked. A CAS, as the word lies in memory that others may
 *      scribble on.
 *   9  R.lock = 0
 *
 * A thread waits for an owner by pausing, then by yielding, then by naps; before each nap it looks at the owner's
 * record. If the owner's process is dead (process.h) it takes the lock over. The dead owner's record A doesn't change
 * any more:
 *   2' R.lock_sequence = A.lock_sequence, R.redo = A.redo
 *   3' CAS of the word, locked by A -> locked by R
 *   6' if R.redo: the value in that spare goes to V
 *   7' A.redo = 0, A.lock = 0, and so for every dead record that names V, as A may have taken the lock over itself: they
 *      and their spares serve nobody any more; then R.redo = 0
 * If the owner lives, the wait ends after some milliseconds all the same (-EAGAIN): a hash map's key may have another
 * element by now, and nobody shall wait for a value that was removed.
 *
 * A process killed
 *   before 3       leaves a record that names V: V's memory is withheld if V is removed. Nothing else.
 *   before 5       leaves the old value, locked. Who takes the lock over has nothing to do.
 *   from 5 to 7    leaves a mixture, locked; nobody reads it, and who takes the lock over finishes the store.
 *   before 8       leaves the new value, locked.
 *   before 9       as before 3.
 *   before 3'      leaves A's lock as it was, for the next one.
 *   from 3' to 7'  leaves a lock of its own, whose redo is in a spare of A's, which stays what it is as long as A.lock
 *                  isn't 0 or some redo names it. Copying twice does no harm.
 * Between 3 and 8 programs store through pointers, too (the program face). Such stores are not redone.
 *
 * Linearization points: an update is at 8 (or at the taker's 8), a read at the first of its two loads of the word.
 *
 * A thread that ends in a living process gives up its lock in its exit (vlock_exit), but not one that leaves by the
 * bare system call: its lock is free when its process has ended.
 *
 * Hostile files (G9). Every number from shared memory is bounded before it is used. A word whose owner's record doesn't
 * speak of V, look after look, was not written by this protocol: an owner names V before it has the lock, and until it
 * hasn't. Such a lock is taken over, without redo. So endless waiting needs a living process whose record claims the
 * lock, which any process that may write to the map can bring about by locking and not unlocking.
 */
#include "core/vlock.h"

#include <ck_pr.h>
#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/testpoint.h"

#define LOCKED	      0x80000000u
#define SEQUENCE      0x7fffffffu
#define SEQUENCE_BITS 19
#define SEQUENCE_LOW  ((1u << SEQUENCE_BITS) - 1)
#define SPARE_ALIGN   64 /* two records' spares share no line */

#define PAUSES	6 /* the n-th waits for 2^n instructions */
#define YIELDS	50
#define NAP_NS	50000
#define NAPS	64  /* then the caller looks what the value is by now */
#define STRANGE 16  /* looks at a record that doesn't speak of the value, one after another, that are enough */
#define BOUNCE	512 /* values up to this size are copied through a buffer on the stack */
#define ATTEMPTS \
	64 /* a reader's torn copies, before it takes the lock: else steady stores would keep it out for ever */

_Static_assert(1 + RECORD_BITS + SEQUENCE_BITS == 32, "the lock word is full");

static uint32_t locked_word(uint32_t record, uint32_t sequence)
{
	return LOCKED | record << SEQUENCE_BITS | (sequence & SEQUENCE_LOW);
}

static uint32_t owner_of(uint32_t word)
{
	return (word & SEQUENCE) >> SEQUENCE_BITS;
}

static unsigned char *value_at(const struct value_locks *l, uint32_t value)
{
	return l->first + (value < l->n ? value : 0) * l->step;
}

static _Atomic uint32_t *word_at(const struct value_locks *l, uint32_t value)
{
	return (_Atomic uint32_t *)(void *)(value_at(l, value) + l->offset);
}

static uint64_t spare_stride(const struct map_attr *attr)
{
	return ((uint64_t)attr->value_size + SPARE_ALIGN - 1) / SPARE_ALIGN * SPARE_ALIGN;
}

bool vlock_layout(struct region_layout *layout)
{
	if (layout->reuse == USERMAP_REUSE_AT_ONCE && !process_layout(layout))
		return false;
	return region_layout_add(layout, PART_SPARES, RECORDS * spare_stride(&layout->attr), 0);
}

void vlock_attach(struct value_locks *l, struct writer_set *set, const struct region_layout *layout,
		  unsigned char *first, uint64_t step, uint64_t n)
{
	*l = (struct value_locks){ .writers = set,
				   .processes = set->processes,
				   .spares = region_part(set->region, layout, PART_SPARES),
				   .first = first,
				   .step = step,
				   .n = n,
				   .value_size = layout->attr.value_size,
				   .stride = spare_stride(&layout->attr),
				   .offset = layout->attr.spin_lock_off };
}

/* The half of a word that the lock isn't in. */
static size_t half_beside(const struct value_locks *l, size_t *size)
{
	size_t beside = l->offset ^ 4;

	*size = beside >= l->value_size ? 0 : l->value_size - beside < 4 ? l->value_size - beside : 4;
	return beside;
}

void vlock_copy_in(const struct value_locks *l, void *value, const void *src)
{
	const size_t before = l->offset & ~(size_t)7, behind = before + 8;
	unsigned char *to = value;
	const unsigned char *from = src;
	size_t size, beside = half_beside(l, &size);
	uint32_t half = 0;

	words_store(to, from, before);
	if (size) {
		memcpy(&half, from + beside, size);
		__atomic_store_n((word32_t *)(void *)(to + beside), half,
				 __ATOMIC_RELAXED); /* relaxed: as words_store */
	}
	TEST_POINT(TP_COPY);
	if (l->value_size > behind)
		words_store(to + behind, from + behind, l->value_size - behind);
}

void vlock_copy_out(const struct value_locks *l, void *dst, const void *value)
{
	const size_t before = l->offset & ~(size_t)7, behind = before + 8;
	unsigned char *to = dst;
	const unsigned char *from = value;
	size_t size, beside = half_beside(l, &size);
	uint32_t half;

	words_load(to, from, before);
	memset(to + l->offset, 0, 4);
	if (size) {
		half = __atomic_load_n((const word32_t *)(const void *)(from + beside),
				       __ATOMIC_RELAXED); /* relaxed: as words_load */
		memcpy(to + beside, &half, size);
	}
	TEST_POINT(TP_DATA);
	if (l->value_size > behind)
		words_load(to + behind, from + behind, l->value_size - behind);
}

/* Waiting */

enum waited { WAITED, OWNER_GONE, WAITED_LONG };

struct patience {
	unsigned rounds;
	unsigned naps;
	unsigned strange; /* looks, one after another, at a record that didn't speak of the value */
};

/* Whether the record that a locked word names says that its thread has the lock, or is about to. self: the waiting
 * record, which is about to; or RECORDS. */
static bool claims(const struct value_locks *l, uint32_t index, uint32_t value, uint32_t self)
{
	const struct writer_set *set = l->writers;

	/* acquire: what is read next is as new. A record that was never used may not even have memory */
	return index != self && value && value < l->n &&
	       index < atomic_load_explicit(&set->region->header->records_used, memory_order_acquire) &&
	       atomic_load_explicit(&set->records[index].lock, memory_order_acquire) == value;
}

static bool holder_dead(const struct value_locks *l, uint32_t index)
{
	return l->processes && process_dead(l->processes, atomic_load_explicit(&l->writers->records[index].holder,
									       memory_order_acquire));
}

/* Whether the owner in this locked word, which was just read, won't ever unlock. */
static bool owner_gone(const struct value_locks *l, uint32_t value, uint32_t word, uint32_t self, struct patience *p)
{
	uint32_t index = owner_of(word);

	if (claims(l, index, value, self)) {
		p->strange = 0;
		return holder_dead(l, index);
	}
	/* relaxed: it isn't older than what claims() read. Mostly the owner has unlocked since the word was read */
	if (atomic_load_explicit(word_at(l, value), memory_order_relaxed) == word)
		p->strange++;
	else
		p->strange = 0;
	return p->strange >= STRANGE;
}

/* Lets others run, or looks at the owner. */
static enum waited wait_for_owner(const struct value_locks *l, uint32_t value, uint32_t word, uint32_t self,
				  struct patience *p)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };

	TEST_POINT(TP_WAIT);
	if (p->rounds < PAUSES) {
		for (unsigned i = 1u << p->rounds; i; i--)
			ck_pr_stall();
	} else if (p->rounds < PAUSES + YIELDS) {
		sched_yield();
	} else if (owner_gone(l, value, word, self, p)) {
		return OWNER_GONE;
	} else if (p->naps++ >= NAPS) {
		return WAITED_LONG;
	} else {
		syscall(SYS_nanosleep, &nap, NULL); /* not the library's: that one is a cancellation point */
		return WAITED;
	}
	p->rounds++;
	return WAITED;
}

/* Taking and releasing */

/* The CAS that takes the lock; sequence and redo are the word's before. */
static bool take(struct writer *w, _Atomic uint32_t *word, uint32_t old, uint32_t sequence)
{
	/* relaxed: published by the CAS */
	atomic_store_explicit(&w->record->lock_sequence, sequence, memory_order_relaxed);
	TEST_POINT(TP_LOCK);
	/* acquire: the holders' stores before are visible; release: to who reads the word, so is the record */
	return atomic_compare_exchange_strong_explicit(word, &old, locked_word(w->index, sequence),
						       memory_order_acq_rel, memory_order_relaxed);
}

/* Copies the spare with this number + 1 to the value. */
static void copy_spare(const struct value_locks *l, uint32_t value, uint32_t spare)
{
	atomic_thread_fence(memory_order_release); /* as in vlock_acquire */
	vlock_copy_in(l, value_at(l, value), l->spares + (spare - 1) * l->stride);
}

/* Finishes a store that a record has noted. */
static void redo(const struct value_locks *l, struct record *record, uint32_t value, uint32_t spare)
{
	copy_spare(l, value, spare);
	atomic_store_explicit(&record->redo, 0, memory_order_release); /* release: when it is stored */
}

/* The records of the dead speak of the value no more, so that its memory isn't withheld for ever: of its owners, who
 * may have died one after the other taking over from each other, and of those that waited. */
static void forget_dead(const struct value_locks *l, uint32_t self, uint32_t value)
{
	/* acquire: as in claims() */
	uint32_t used = atomic_load_explicit(&l->writers->region->header->records_used, memory_order_acquire);

	for (uint32_t i = 0; i < used && i < RECORDS; i++) {
		struct record *dead = &l->writers->records[i];

		if (!claims(l, i, value, self) || !holder_dead(l, i))
			continue;
		atomic_store_explicit(&dead->redo, 0, memory_order_relaxed); /* relaxed: nobody's word names it */
		atomic_store_explicit(&dead->lock, 0, memory_order_release); /* release: after all use of its spare */
	}
}

/* strange: the word names somebody who never had the lock. */
static bool take_over(const struct value_locks *l, struct writer *w, uint32_t value, uint32_t old, bool strange)
{
	struct record *dead = &l->writers->records[owner_of(old)];
	uint32_t sequence = old & SEQUENCE_LOW, spare = 0;

	if (!strange) {
		/* acquire: with it, the spare is whole. The dead change nothing any more */
		spare = atomic_load_explicit(&dead->redo, memory_order_acquire);
		spare = spare <= RECORDS ? spare : 0;
		/* relaxed: any number will do, the dead owner's keeps the order of versions */
		sequence = atomic_load_explicit(&dead->lock_sequence, memory_order_relaxed) & SEQUENCE;
	}
	atomic_store_explicit(&w->record->redo, spare, memory_order_relaxed); /* relaxed: published by the CAS */
	if (!take(w, word_at(l, value), old, sequence)) {
		atomic_store_explicit(&w->record->redo, 0, memory_order_relaxed); /* relaxed: the word isn't ours */
		return false;
	}
	TEST_POINT(TP_TAKEN);
	if (spare)
		copy_spare(l, value, spare);
	forget_dead(l, w->index, value);
	atomic_store_explicit(&w->record->redo, 0, memory_order_release); /* release: when all is done */
	return true;
}

int vlock_acquire(const struct value_locks *l, struct writer *w, uint32_t value)
{
	_Atomic uint32_t *word = word_at(l, value);
	struct patience patience = { 0 };

	if (!value || value >= l->n) /* from a hostile file */
		return -EINVAL;
	if (atomic_load_explicit(&w->record->lock, memory_order_relaxed)) /* relaxed: this thread's own */
		return -EDEADLK;
	TEST_POINT(TP_ANNOUNCE);
	atomic_store_explicit(&w->record->lock, value, memory_order_relaxed); /* relaxed: the fence follows */
	/* against the fence of who looks for hazards: the value's memory isn't handed out, or the caller sees that the
	 * value was removed */
	atomic_thread_fence(memory_order_seq_cst);
	for (;;) {
		uint32_t old =
			atomic_load_explicit(word, memory_order_acquire); /* acquire: the owner's record isn't older */
		enum waited waited;

		if (!(old & LOCKED)) {
			if (take(w, word, old, old))
				break;
			continue;
		}
		waited = wait_for_owner(l, value, old, w->index, &patience);
		if (waited == OWNER_GONE && take_over(l, w, value, old, patience.strange))
			break;
		if (waited == WAITED_LONG) {
			/* release: after all use of the value's memory (slab.h) */
			atomic_store_explicit(&w->record->lock, 0, memory_order_release);
			return -EAGAIN;
		}
	}
	atomic_thread_fence(memory_order_release); /* release: a reader that sees a store sees the locked word, too */
	TEST_POINT(TP_LOCKED);
	return 0;
}

int vlock_acquire_own(const struct value_locks *l, struct writer *w, uint32_t value)
{
	int err;

	do
		err = vlock_acquire(l, w, value);
	while (err == -EAGAIN);
	return err;
}

int vlock_store(const struct value_locks *l, struct writer *w, uint32_t value, const void *src)
{
	struct region *region = l->writers->region;
	unsigned char *spare = l->spares + w->index * l->stride;

	if (region_touch(region, (uint64_t)(spare - region->base), l->value_size))
		return -ENOMEM;
	vlock_copy_in(l, spare, src);
	/* release: with it, the spare is whole */
	atomic_store_explicit(&w->record->redo, w->index + 1, memory_order_release);
	TEST_POINT(TP_REDO);
	redo(l, w->record, value, w->index + 1);
	return 0;
}

bool vlock_holds(const struct value_locks *l, const struct writer *w, uint32_t value)
{
	const struct record *record = w->record;

	/* relaxed: this thread's own, and the word doesn't change under its owner */
	return value && value < l->n && atomic_load_explicit(&record->lock, memory_order_relaxed) == value &&
	       atomic_load_explicit(word_at(l, value), memory_order_relaxed) ==
		       locked_word(w->index, atomic_load_explicit(&record->lock_sequence, memory_order_relaxed));
}

void vlock_release(const struct value_locks *l, struct writer *w)
{
	struct record *record = w->record;
	/* relaxed: this thread's own */
	uint32_t value = atomic_load_explicit(&record->lock, memory_order_relaxed);
	uint32_t sequence = atomic_load_explicit(&record->lock_sequence, memory_order_relaxed);
	uint32_t mine = locked_word(w->index, sequence);

	TEST_POINT(TP_UNLOCK);
	if (value && value < l->n) /* else scribbled on */
		/* release: what was stored under the lock comes before */
		atomic_compare_exchange_strong_explicit(word_at(l, value), &mine, (sequence + 1) & SEQUENCE,
							memory_order_release, memory_order_relaxed);
	TEST_POINT(TP_UNLOCKED);
	/* release: after the unlocking (claims), and after all use of the value's memory (slab.h) */
	atomic_store_explicit(&record->lock, 0, memory_order_release);
}

void vlock_exit(const struct value_locks *l, struct writer *w)
{
	/* relaxed: this thread's own */
	uint32_t value = atomic_load_explicit(&w->record->lock, memory_order_relaxed);
	uint32_t spare = atomic_load_explicit(&w->record->redo, memory_order_relaxed);

	if (!value)
		return;
	if (spare && spare <= RECORDS && vlock_holds(l, w, value))
		redo(l, w->record, value, spare);
	atomic_store_explicit(&w->record->redo, 0, memory_order_relaxed); /* relaxed: it isn't the owner's any more */
	vlock_release(l, w);
}

uint32_t vlock_at(const struct value_locks *l, const void *lock)
{
	uint64_t distance = (uintptr_t)lock - ((uintptr_t)l->first + l->offset), value = distance / l->step;

	return distance % l->step == 0 && value < l->n ? (uint32_t)value : 0;
}

/* Reading */

/* Copies under the lock, inside the thread's operation or one made for it. */
static int read_locked(const struct value_locks *l, uint32_t value, void *dst)
{
	struct writer *w = writer_find(l->writers);
	bool busy = w && writer_busy(w);
	int err = 0;

	if (l->writers->region->read_only)
		return -EBUSY;
	if (!busy) {
		w = writer_begin(l->writers, 1, &err);
		if (!w)
			return err;
	}
	err = vlock_acquire(l, w, value);
	if (!err) {
		vlock_copy_out(l, dst, value_at(l, value));
		vlock_release(l, w);
	}
	if (!busy)
		writer_end(w);
	return err;
}

/* Whether the word was unlocked, and the copy made then. */
static bool read_unlocked(const struct value_locks *l, uint32_t value, void *dst, uint32_t word)
{
	if (word & LOCKED)
		return false;
	vlock_copy_out(l, dst, value_at(l, value));
	/* acquire fence: the value was read before the word is read again */
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(word_at(l, value), memory_order_relaxed) == word;
}

/* Whether a thread that waits may wait for itself: it has this value's lock, or another one and has waited long. */
static bool may_deadlock(const struct writer *w, uint32_t value, const struct patience *p)
{
	/* relaxed: this thread's own */
	uint32_t held = w ? atomic_load_explicit(&w->record->lock, memory_order_relaxed) : 0;

	return held && (held == value || p->rounds >= PAUSES + YIELDS);
}

int vlock_read_raw(const struct value_locks *l, uint32_t value, void *dst)
{
	struct patience patience = { 0 };
	unsigned torn = 0;

	for (;;) {
		/* acquire: the value isn't read before the word */
		uint32_t word = atomic_load_explicit(word_at(l, value), memory_order_acquire);

		if (read_unlocked(l, value, dst, word))
			return 0;
		if (!(word & LOCKED)) {
			int err = ++torn % ATTEMPTS ? -EBUSY : read_locked(l, value, dst);

			if (!err || err == -EAGAIN)
				return err;
			continue; /* this thread can't take the lock */
		}
		if (may_deadlock(writer_find(l->writers), value, &patience))
			return -EDEADLK;
		switch (wait_for_owner(l, value, word, RECORDS, &patience)) {
		case OWNER_GONE:
			return read_locked(l, value, dst);
		case WAITED_LONG:
			return -EAGAIN;
		case WAITED:
			break;
		}
	}
}

int vlock_read(const struct value_locks *l, uint32_t value, void *dst)
{
	unsigned char small[BOUNCE];
	void *copy = l->value_size <= BOUNCE ? small : mem_alloc(l->value_size);
	int err = copy ? vlock_read_raw(l, value, copy) : -ENOMEM;

	if (!err)
		memcpy(dst, copy, l->value_size);
	if (copy && copy != small)
		mem_free(copy, l->value_size);
	return err;
}
