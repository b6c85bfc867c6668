/* SPDX-License-Identifier: MIT */
/*
 * What the library keeps of a thread: its reader in liburcu's registry, and its writer in each map it has written to.
 *
 * The read side is liburcu's (bp flavour), inlined. In a shared library each access to liburcu's own thread-local
 * pointer is a call of __tls_get_addr, so the pointer is kept once more, behind the one initial-exec thread-local
 * pointer of this library: 8 bytes, which dlopen can always place.
 *
 * A thread's state is made at its first call and released when it exits, before any destructor of a pthread key runs:
 * liburcu's own destructor frees the reader, and calls that other destructors make afterwards must not use the stale
 * pointer. Such late calls take the slow path each time and are released by a key of our own.
 */
#ifndef ENGINE_CORE_THREAD_H
#define ENGINE_CORE_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu-bp.h>
#include <urcu/compiler.h>

struct writer;

struct thread {
	struct urcu_bp_reader
		*reader;	 /* ours until the thread exits; ctr is written by this thread, read by grace periods */
	struct writer **writers; /* by a map's local id. Entries: this thread sets them, the map's close clears them;
	                                * the table itself is replaced by this thread only, under the registry's lock */
	uint32_t n_writers;
	const void
		*writing; /* what a command of this thread writes to, or NULL. By this thread; relaxed atomics: freezing
	                      * a map looks at it, and a look that comes too early or too late is the kernel's race as well */
	struct thread *next; /* registry of all threads, under its lock */
	struct thread **link;
};

extern __thread struct thread *thread_self __attribute__((tls_model("initial-exec")));

/* The slow path: makes the state. NULL when memory is exhausted, or
 * where thread_making_begin() says false. */
struct thread *thread_make(void);

/* Brackets the making of what belongs to this thread. false: the caller is a signal handler that interrupted that, or
 * that interrupted a holder of the registry's lock. */
bool thread_making_begin(void);
void thread_making_end(void);

/* The slow path of sections: through liburcu's functions, for threads without state here. */
void thread_read_lock_slow(void);
void thread_read_unlock_slow(void);

/* Begins a section, if the thread has state; NULL: it hasn't, and the slow path must be taken. A thread has state here
 * only where membarrier(2) works, so that a compiler barrier is all the ordering the fast path needs. */
static inline struct urcu_bp_reader *thread_section_begin(void)
{
	struct thread *self = thread_self;
	struct urcu_bp_reader *reader;
	unsigned long ctr;

	if (caa_unlikely(!self))
		return NULL;
	reader = self->reader;
	ctr = reader->ctr;
	/* the phase of the current grace period if it is the outermost, else one level more */
	ctr = caa_likely(!(ctr & URCU_BP_GP_CTR_NEST_MASK)) ? _CMM_LOAD_SHARED(urcu_bp_gp.ctr) : ctr + URCU_BP_GP_COUNT;
	_CMM_STORE_SHARED(reader->ctr, ctr);
	cmm_barrier(); /* against the grace period's membarrier: the section's reads come after the announcement */
	return reader;
}

static inline void thread_section_end(struct urcu_bp_reader *reader)
{
	cmm_barrier(); /* against the grace period's membarrier: the section's reads come before its end */
	_CMM_STORE_SHARED(reader->ctr, reader->ctr - URCU_BP_GP_COUNT);
}

static inline void thread_read_lock(void)
{
	if (caa_unlikely(!thread_section_begin()))
		thread_read_lock_slow();
}

static inline void thread_read_unlock(void)
{
	struct thread *self = thread_self;

	if (caa_likely(self != NULL))
		thread_section_end(self->reader);
	else
		thread_read_unlock_slow();
}

/* Whether the calling thread is inside a section, its own or the host's. */
static inline bool thread_in_section(void)
{
	struct thread *self = thread_self;
	struct urcu_bp_reader *reader = self ? self->reader : URCU_TLS(urcu_bp_reader);

	return reader && reader->ctr & URCU_BP_GP_CTR_NEST_MASK;
}

/* A number for a map handle, that indexes every thread's table. 0, -ENOMEM. put: no thread uses the map any more; the
 * writers that threads still have there are released. */
int thread_map_id_get(uint32_t *id);
void thread_map_id_put(uint32_t id);

/* The calling thread's writer of the map with this id, NULL if it has none yet. */
static inline struct writer *thread_writer(uint32_t id)
{
	struct thread *self = thread_self;

	return caa_likely(self && id < self->n_writers) ? self->writers[id] : NULL;
}
/* The same, of a thread that is exiting. */
struct writer *thread_late_writer(uint32_t id);
/* Makes it so. 0, -ENOMEM. Between thread_making_begin and _end. */
int thread_writer_set(uint32_t id, struct writer *writer);

/* Around a command that writes to what `map` points to: NULL ends it. */
static inline void thread_set_writing(const void *map)
{
	struct thread *self = thread_self;

	if (caa_likely(self != NULL))
		__atomic_store_n(&self->writing, map, __ATOMIC_RELAXED); /* relaxed: see struct thread */
}
/* Whether a command of this process is writing to it. */
bool thread_any_writing(const void *map);

/* What becomes of a writer when its thread exits or its map is closed (writer.c). Called under the registry's lock. */
void writer_release(struct writer *writer);

/* fork, called by core/fork.c: the child keeps the forking thread's state only; each other thread's writers go to
 * `orphan`, and so do those of the forking thread for which `keep` says false. */
void thread_fork_prepare(void);
void thread_fork_parent(void);
void thread_fork_child(bool (*keep)(struct writer *writer), void (*orphan)(struct writer *writer));

#endif
