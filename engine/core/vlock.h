/* SPDX-License-Identifier: MIT */
/*
 * Value locks: the struct bpf_spin_lock inside a value, as a lock word that survives its owner. See vlock.c.
 */
#ifndef ENGINE_CORE_VLOCK_H
#define ENGINE_CORE_VLOCK_H

#include "core/process.h"
#include "core/words.h"
#include "core/writer.h"

/* The locks of a map, process-local; constant after attach. Values are named by number, 1 …: hash: the element's index,
 * array: index + 1. */
struct value_locks {
	struct writer_set *writers;
	struct process_slots *processes; /* NULL: a private map */
	unsigned char *spares;		 /* PART_SPARES: record i's spare value is at i * stride */
	unsigned char
		*first; /* value t is at first + t * step; where value 0 is named it may be read, and is nobody's */
	uint64_t step;
	uint64_t n; /* values 1 … n - 1 */
	uint32_t value_size;
	uint64_t stride; /* of a spare */
	uint32_t offset; /* of the lock word in a value */
};

/* Adds PART_PROCESSES (unless only private regions have such a layout) and PART_SPARES. */
bool vlock_layout(struct region_layout *layout);
/* Fills *l in. first, step, n: as above; set: region and, of a shared map, processes are there already. */
void vlock_attach(struct value_locks *l, struct writer_set *set, const struct region_layout *layout,
		  unsigned char *first, uint64_t step, uint64_t n);

/* Copies a value out: whole, as no holder of the lock was changing it (the lock's bytes as zeros). Waits for a holder;
 * finishes what a dead one began. 0; -EDEADLK: the thread has this lock, or another one of this map and would have to
 * wait for long; -EBUSY: the owner is dead and this process attached read-only; -EBUSY, -ENOMEM: the owner is dead, and
 * the caller can't have a writer; -ENOMEM: no memory for the copy of a large value; -EAGAIN: has waited for some
 * milliseconds for a living owner: the caller, who may find that the value is another one by now, comes again. On error
 * dst is untouched. Inside an operation or outside. */
int vlock_read(const struct value_locks *l, uint32_t value, void *dst);
/* The same into a buffer of the library's own, which on error may have been written to. -ENOMEM: only as above. */
int vlock_read_raw(const struct value_locks *l, uint32_t value, void *dst);

/* Takes the value's lock. The caller is inside the operation of w. Whatever the value is by then, it isn't handed out
 * again while the lock is held (record->lock is a hazard: slab.h). 0, -EDEADLK: the thread holds one in this map
 * already; -EINVAL: no such value; -EAGAIN: as above. */
int vlock_acquire(const struct value_locks *l, struct writer *w, uint32_t value);
/* The same for a value that stays what it is: waits as long as it takes. */
int vlock_acquire_own(const struct value_locks *l, struct writer *w, uint32_t value);
/* Stores a whole new value under the lock (the lock's bytes aren't copied in). Whoever takes the lock over from a dead
 * owner finishes the copy. 0, -ENOMEM: the spare's memory can't be had; nothing was stored. */
int vlock_store(const struct value_locks *l, struct writer *w, uint32_t value, const void *src);
void vlock_release(const struct value_locks *l, struct writer *w);

/* The value whose lock word is at this address; 0: none. */
uint32_t vlock_at(const struct value_locks *l, const void *lock);
/* Whether the writer's thread holds the lock of this value. */
bool vlock_holds(const struct value_locks *l, const struct writer *w, uint32_t value);

/* Releases what the writer's thread still holds, and finishes its store: it exits, perhaps in the middle of an
 * operation. Called by writer_release; so nothing is left to repair in a forked child, where every other thread's
 * writer is released. */
void vlock_exit(const struct value_locks *l, struct writer *w);

/* Copies a value's bytes but for the lock's, words at a time; nothing else. in: into the map; out: zeros for the
 * lock's. The value of a new element is stored by vlock_copy_in, too: fresh memory is an unlocked lock, and the lock of
 * a recycled element may be held by someone who came too late for its last life. Making it free would let two threads
 * have it, if the element comes back under the same key. */
void vlock_copy_in(const struct value_locks *l, void *value, const void *src);
void vlock_copy_out(const struct value_locks *l, void *dst, const void *value);

#endif
