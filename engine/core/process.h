/* SPDX-License-Identifier: MIT */
/*
 * Process slots: which of the processes attached to a shared region live. See process.c.
 *
 * A slot's generation, moved on by each process that takes it, tells a holder from those before it. Private regions
 * have no slots: their threads live as long as the process.
 */
#ifndef ENGINE_CORE_PROCESS_H
#define ENGINE_CORE_PROCESS_H

#include "core/region.h"

#define PROCESSES 4096u

/* Process-local. Constant after process_attach but for what process_join sets. */
struct process_slots {
	struct region *region;
	_Atomic uint32_t *generations; /* PART_PROCESSES: whoever holds a slot's lock adds 1; everybody reads */
	_Atomic uint64_t self; /* {generation, slot + 1} of this process; 0: not yet joined. By process_join, once; a
	                                * forked child starts again from 0 */
	void *pin;	       /* the mapping that holds the slot's lock, and its size. Under process.c's lock */
	size_t pin_size;
	struct process_slots *next; /* list of those that have joined, under process.c's lock */
	struct process_slots **link;
};

bool process_layout(struct region_layout *layout);
void process_attach(struct process_slots *p, struct region *region, const struct region_layout *layout);
/* Takes a slot, if this process has none; p->self is it then. 0, -ENOMEM: no slot is free, no memory, or the program
 * has closed the region's descriptor; open(2)'s or fcntl(2)'s error. Any thread. */
int process_join(struct process_slots *p);
/* No thread of this process uses the region any more. */
void process_leave(struct process_slots *p);
/* Whether the process with this {generation, slot + 1} is gone. Asks the kernel (about 1 us). Where the program has
 * closed the region's descriptor nobody can be asked: false. */
bool process_dead(const struct process_slots *p, uint64_t self);

/* fork(): the child has no slots (core/fork.c). */
void process_fork_prepare(void);
void process_fork_parent(void);
void process_fork_child(void);

#endif
