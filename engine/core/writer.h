/* SPDX-License-Identifier: MIT */
/*
 * Writers: a thread's right to write to a map. The shared half is a record in the region (record.h), the process-local
 * half is the struct writer, found through the thread's table.
 *
 * Between writer_begin and writer_end the record's operation number is odd. Who must know that no operation that began
 * before some instant is still running (drain) reads the numbers after a membarrier: the begin then needs no fence.
 */
#ifndef ENGINE_CORE_WRITER_H
#define ENGINE_CORE_WRITER_H

#include <errno.h>

#include "core/cpu.h"
#include "core/record.h"
#include "core/slab.h"
#include "core/thread.h"

struct process_slots;
struct value_locks;

/* A map's writers, in this process. Set up before the map is used, constant afterwards but for the marked fields. */
struct writer_set {
	struct region *region;
	struct record *records;
	uint64_t records_offset; /* of the records in the region */
	struct slab *elements, *nodes;
	uint32_t map_id;
	struct process_slots *processes; /* of a shared region whose records tell which process holds them; else NULL */
	const struct value_locks *locks; /* of a map with spin locks, else NULL */
	bool private_memory;		 /* a forked child has its own copy */
	/* makes a copy whole in which other threads were writing; self: the only thread's writer, if it has one */
	void (*repair)(struct writer_set *set, struct writer *self);
	bool broken; /* in a forked child: such a thread was found; see fork.c */
	struct writer_set *next_broken;
};

struct writer {
	struct record *record;
	uint32_t index; /* of the record */
	uint32_t cpu;	/* where the operation began */
	uint64_t owner; /* {operation number, record index} */
	struct writer_set *set;
	struct slab_chain retired_elements, retired_nodes; /* not full yet; maps with grace periods */
	void *scratch; /* room for a value, if the map's operations have needed that; else NULL */
	size_t scratch_size;
	struct {
		uint64_t owner;
		uint32_t index;
	} taken; /* lru.c: the last element this writer was handed, and by which operation */
};

/* The slow path of writer_begin. NULL: *err is -ENOMEM (memory, or no record is free), -EBUSY. */
struct writer *writer_make(struct writer_set *set, int *err);
/* Whether a record's holder is known to be a process that is gone. Asks the kernel. */
bool writer_is_dead(const struct writer_set *set, uint32_t record);
/* Room for a value of this size, always the same for a map's writer, at w->scratch. false: there is no memory. */
bool writer_scratch(struct writer *w, size_t size);
/* Waits until every operation that was going on at the call has ended. The caller is in none. */
void writer_drain(struct writer_set *set);

/* The thread's writer if it has one, even if the thread is exiting; else NULL. */
static inline struct writer *writer_find(const struct writer_set *set)
{
	struct writer *w = thread_writer(set->map_id);

	return w ? w : thread_late_writer(set->map_id);
}

/* Begins an operation. */
static inline void writer_enter(struct writer *w)
{
	/* relaxed: only this thread writes it */
	uint64_t op = atomic_load_explicit(&w->record->op, memory_order_relaxed) + 1;

	atomic_store_explicit(&w->record->op, op, memory_order_relaxed);
	/* release: whoever sees an effect of the operation sees its number */
	atomic_thread_fence(memory_order_release);
	urcu_bp_smp_mb_slave(); /* against writer_drain: the number is visible before the operation reads anything */
	w->owner = op << RECORD_BITS | w->index;
}

/*
 * The same for an operation of a few instructions that needs no owner word: returns the operation's number, 0 if the
 * thread is inside one already. The thread has state (thread.h), so membarrier works and a compiler barrier will do.
 */
static inline uint64_t writer_enter_briefly(struct writer *w)
{
	/* relaxed: only this thread writes it */
	uint64_t op = atomic_load_explicit(&w->record->op, memory_order_relaxed);

	if (caa_unlikely(op & 1))
		return 0;
	atomic_store_explicit(&w->record->op, op + 1, memory_order_relaxed);
	cmm_barrier(); /* against writer_drain's membarrier */
	return op + 1;
}

static inline void writer_leave(struct writer *w, uint64_t op)
{
	/* release: the operation's effects come before its end */
	atomic_store_explicit(&w->record->op, op + 1, memory_order_release);
}

/* Whether the thread is inside an operation: then the caller is a signal handler that interrupted it. */
static inline bool writer_busy(const struct writer *w)
{
	/* relaxed: only this thread writes it */
	return atomic_load_explicit(&w->record->op, memory_order_relaxed) & 1;
}

/* NULL: *err is -ENOMEM, or -EBUSY: a signal handler interrupted a write of this thread to this map. */
static inline struct writer *writer_begin(struct writer_set *set, uint32_t n_cpus, int *err)
{
	struct writer *w = thread_writer(set->map_id);

	if (caa_unlikely(!w)) {
		w = writer_make(set, err);
		if (!w)
			return NULL;
	}
	if (caa_unlikely(writer_busy(w))) {
		*err = -EBUSY;
		return NULL;
	}
	writer_enter(w);
	w->cpu = cpu_current(n_cpus);
	return w;
}

static inline void writer_end(struct writer *w)
{
	writer_leave(w, w->owner >> RECORD_BITS);
}

#endif
