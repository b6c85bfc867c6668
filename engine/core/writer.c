/* SPDX-License-Identifier: MIT */
#include "core/writer.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/credit.h"
#include "core/process.h"
#include "core/testpoint.h"
#include "core/vlock.h"

/* What a record shall say of who holds it. Where others must be able to ask whether the holder lives, the process; 0: it can't
 * be named. */
static uint64_t name_self(const struct writer_set *set)
{
	if (!set->processes)
		return (uint64_t)getpid() << 32 | (uint32_t)gettid();
	if (process_join(set->processes))
		return 0;
	return atomic_load_explicit(&set->processes->self, memory_order_acquire); /* acquire: see process_join */
}

/* Of a thread that is gone. */
static void end_operation(struct record *record)
{
	/* release: whatever it did comes before its end */
	atomic_store_explicit(&record->op, atomic_load_explicit(&record->op, memory_order_relaxed) + 1,
			      memory_order_release);
}

/*
 * Takes the record of a dead process. If that was inside an operation, what the caches say may be half true, and is
 * dropped. Not if others have still to do with what the record says: with the value lock that the dead one held, or the
 * elements in its hand; when they have, it's to be had.
 */
static bool inherit(const struct writer_set *set, struct record *record, uint64_t me)
{
	uint64_t holder = atomic_load_explicit(&record->holder, memory_order_relaxed);

	if (!holder || !process_dead(set->processes, holder) ||
	    atomic_load_explicit(&record->lock, memory_order_relaxed) ||
	    atomic_load_explicit(&record->hand, memory_order_relaxed))
		return false;
	/* acquire: what the dead one left is visible. Holders are unique, so of several heirs one wins */
	if (!atomic_compare_exchange_strong_explicit(&record->holder, &holder, me, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	atomic_store_explicit(&record->announced, 0, memory_order_relaxed);
	credit_unmark(record);
	if (atomic_load_explicit(&record->op, memory_order_relaxed) & 1) {
		record->elements = record->nodes = (struct cache){ .next = 0 };
		end_operation(record);
	}
	return true;
}

/* When all records are held. */
static uint32_t take_dead_record(const struct writer_set *set, uint64_t me)
{
	uint32_t i = 0;

	if (!set->processes)
		return RECORDS;
	while (i < RECORDS && !inherit(set, &set->records[i], me))
		i++;
	return i;
}

/* A free record, taken. RECORDS: all are held, or its memory can't be had. */
static uint32_t take_record(struct writer_set *set)
{
	struct region_header *header = set->region->header;
	uint64_t me = name_self(set);
	uint32_t used, i;

	if (!me)
		return RECORDS;
	for (i = 0; i < RECORDS; i++) {
		_Atomic uint64_t *holder = &set->records[i].holder;
		uint64_t none = 0;

		if (region_touch(set->region, set->records_offset + i * sizeof(struct record), sizeof(struct record)))
			return RECORDS;
		/* acquire: what the holder before left in the caches is visible */
		if (!atomic_load_explicit(holder, memory_order_relaxed) &&
		    atomic_compare_exchange_strong_explicit(holder, &none, me, memory_order_acquire,
							    memory_order_relaxed))
			break;
	}
	if (i == RECORDS)
		return take_dead_record(set, me);
	/* relaxed: the number only tells how far to look */
	used = atomic_load_explicit(&header->records_used, memory_order_relaxed);
	while (used <= i && !atomic_compare_exchange_weak_explicit(&header->records_used, &used, i + 1,
								   memory_order_relaxed, memory_order_relaxed))
		;
	return i;
}

static void leave_record(struct record *record)
{
	atomic_store_explicit(&record->holder, 0, memory_order_release); /* release: see take_record */
}

static int make(struct writer_set *set, struct writer **made)
{
	struct writer *w = mem_alloc(sizeof(*w));
	int err = -ENOMEM;

	if (!w)
		return err;
	w->set = set;
	w->index = take_record(set);
	if (w->index < RECORDS) {
		w->record = &set->records[w->index];
		err = thread_writer_set(set->map_id, w);
		if (err)
			leave_record(w->record);
	}
	if (err)
		mem_free(w, sizeof(*w));
	else
		*made = w;
	return err;
}

struct writer *writer_make(struct writer_set *set, int *err)
{
	struct writer *w = thread_late_writer(set->map_id);

	if (w)
		return w;
	if (!thread_making_begin()) {
		*err = -EBUSY;
		return NULL;
	}
	*err = make(set, &w);
	thread_making_end();
	return w;
}

void writer_release(struct writer *w)
{
	if (w->set->locks)
		vlock_exit(w->set->locks, w);
	/* release: whatever this thread was storing in place, it does no more */
	atomic_store_explicit(&w->record->announced, 0, memory_order_release);
	/* A thread that ends inside an operation (cancelled, or by a handler) leaves things half done: the record is
	 * not for others, nor are the chains. But its operation is over, as who waits for it, or looks for what it left,
	 * must be able to tell. */
	if (writer_busy(w)) {
		end_operation(w->record);
	} else {
		if (w->retired_elements.head)
			slab_close_chain(w->set->elements, &w->retired_elements);
		if (w->retired_nodes.head)
			slab_close_chain(w->set->nodes, &w->retired_nodes);
		leave_record(w->record);
	}
	if (w->scratch)
		mem_free(w->scratch, w->scratch_size);
	mem_free(w, sizeof(*w));
}

bool writer_is_dead(const struct writer_set *set, uint32_t record)
{
	/* acquire: what the dead one did is visible */
	return set->processes &&
	       process_dead(set->processes, atomic_load_explicit(&set->records[record].holder, memory_order_acquire));
}

bool writer_scratch(struct writer *w, size_t size)
{
	if (!w->scratch) {
		w->scratch = mem_alloc(size);
		w->scratch_size = size;
	}
	return w->scratch;
}

void writer_drain(struct writer_set *set)
{
	uint32_t used = atomic_load_explicit(&set->region->header->records_used, memory_order_acquire);

	/* Every thread's begin is on one side of this barrier: its number is visible, or it sees what the caller
	 * wrote. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		atomic_thread_fence(memory_order_seq_cst); /* no membarrier: then writer_begin has the fence */
	for (uint32_t i = 0; i < used; i++) {
		_Atomic uint64_t *op = &set->records[i].op;
		uint64_t seen = atomic_load_explicit(op, memory_order_acquire);

		if (!(seen & 1))
			continue;
		while (atomic_load_explicit(op, memory_order_acquire) == seen) {
			TEST_POINT(TP_WAIT);
			sched_yield();
		}
	}
}
