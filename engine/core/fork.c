/* SPDX-License-Identifier: MIT */
/*
 * fork(): the child has one thread, a copy of every private map, and the same shared maps.
 *
 * Before: no grace period is in progress, and the locks of the threads' registry are held, so the child's copies are
 * whole. Child, shared maps: the records and the process slots (process.h) belong to the parent, so every writer is
 * dropped; the next write takes a record and a slot of the child's own. A value lock that the forking thread holds is
 * not the child's. A child forked by a signal handler that interrupted a write to a shared map must
 * therefore not return from the handler: it would go on with the parent's record.
 * Child, private maps: the forking thread's writer is good; the other threads are gone. If one of them was inside an
 * operation, its element, its claim or its credit would be lost in the copy: the map is rebuilt from what is published
 * (repair), which the only thread of a process can simply do. Not so if the forking thread itself is inside an
 * operation (again a handler): then the copy keeps the loss, which is at most one element and credit a thread.
 */
#include "core/fork.h"

#include <pthread.h>
#include <stddef.h>

#include "core/alloc.h"
#include "core/hold.h"
#include "core/lockmaps.h"
#include "core/process.h"
#include "core/reclaim.h"
#include "core/writer.h"

static struct writer_set *broken_sets;

static bool in_operation(const struct writer *w)
{
	return w && atomic_load_explicit(&w->record->op, memory_order_relaxed) & 1;
}

static bool keep(struct writer *w)
{
	return w->set->private_memory;
}

static void orphan(struct writer *w)
{
	struct writer_set *set = w->set;

	if (!set->private_memory) { /* no scratch: that is for callbacks, which shared maps don't have */
		mem_free(w, sizeof(*w));
		return;
	}
	if (in_operation(w) && !set->broken) {
		set->broken = true;
		set->next_broken = broken_sets;
		broken_sets = set;
	}
	writer_release(w);
}

static struct held before_fork; /* the forking thread's. Under all the locks */

static void prepare(void)
{
	struct held before;

	hold_begin(&before);
	reclaim_fork_prepare(); /* first: it may have to wait for readers, which may need the registry's lock */
	thread_fork_prepare();
	process_fork_prepare();
	before_fork = before;
}

static void parent(void)
{
	struct held before = before_fork;

	process_fork_parent();
	thread_fork_parent();
	reclaim_fork_parent();
	hold_end(&before);
}

static void child(void)
{
	reclaim_fork_child();
	process_fork_child();
	lockmaps_fork_child();
	thread_fork_child(keep, orphan);
	while (broken_sets) {
		struct writer_set *set = broken_sets;

		broken_sets = set->next_broken;
		set->broken = false;
		if (!in_operation(writer_find(set)))
			set->repair(set, writer_find(set));
	}
	hold_end(&before_fork);
}

static void install(void)
{
	pthread_atfork(prepare, parent, child);
}

void fork_handlers_install(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
}
