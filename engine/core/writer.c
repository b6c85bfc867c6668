/* SPDX-License-Identifier: MIT */
#include "core/writer.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/alloc.h"
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
	/* relaxed: the number only tells how far to look */
	used = atomic_load_explicit(&header->records_used, memory_order_relaxed);
	while (i < RECORDS && used <= i &&
	       !atomic_compare_exchange_weak_explicit(&header->records_used, &used, i + 1, memory_order_relaxed,
						      memory_order_relaxed))
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
	 * not for others, nor are the chains. */
	if (!writer_busy(w)) {
		if (w->retired_elements.head)
			slab_close_chain(w->set->elements, &w->retired_elements);
		if (w->retired_nodes.head)
			slab_close_chain(w->set->nodes, &w->retired_nodes);
		leave_record(w->record);
	}
	mem_free(w, sizeof(*w));
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
