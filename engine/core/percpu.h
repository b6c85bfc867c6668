/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU values: each possible CPU owns one contiguous area of the region; slot i of every area belongs to value i. Areas
 * are whole pages, so CPUs share no line, and lie on the CPU's NUMA node.
 *
 * A slot is round_up(value_size, 8) bytes. Commands copy whole slots of all CPUs, padding included; programs write value_size
 * bytes of one slot and leave the padding as it is (Linux 6.18). Slots are copied word by word (core/words.h): like the
 * kernel's they are torn per 8 aligned bytes at most, unless a caller validates what it copied.
 *
 * percpu_add() is a restartable sequence: see percpu.c.
 */
#ifndef ENGINE_CORE_PERCPU_H
#define ENGINE_CORE_PERCPU_H

#include "core/cpu.h"
#include "core/region.h"
#include "core/words.h"

#define PERCPU_MAX_VALUE 32768u /* bytes of a slot at most, as in the kernel */

/* Process-local view. Constant after percpu_attach. */
struct percpu {
	unsigned char *base;
	uint64_t area;	 /* bytes from one CPU's area to the next */
	uint32_t stride; /* of a slot */
	uint32_t value_size;
	uint32_t n_cpus;
	uint32_t n;	  /* slots in an area */
	bool atomic;	  /* adds are atomic instructions, in every process: percpu_format() decides */
	bool restartable; /* adds are restartable sequences, and this process can run them */
	struct region *region;
	uint64_t offset; /* of the first area in the region */
};

/* Adds PART_PERCPU: n slots of value_size an area, the first `prealloc` of them touched at creation. */
bool percpu_layout(struct region_layout *layout, uint64_t n, uint64_t prealloc);
/* For a new region, before percpu_attach: notes in the header how adds are done. */
void percpu_format(struct region *region, const struct region_layout *layout);
void percpu_attach(struct percpu *p, struct region *region, const struct region_layout *layout, uint64_t n);
/* Obtains the memory of slots [first, first + n) of all CPUs. 0, -ENOMEM. */
int percpu_touch(const struct percpu *p, uint64_t first, uint64_t n);

/* An index from shared memory is checked: a wild one becomes slot 0. */
static inline unsigned char *percpu_slot(const struct percpu *p, uint32_t cpu, uint32_t index)
{
	return p->base + cpu * p->area + (uint64_t)(index < p->n ? index : 0) * p->stride;
}

/* All slots, from and to a buffer of n_cpus strides. */
void percpu_load(const struct percpu *p, uint32_t index, void *dst);
void percpu_store(const struct percpu *p, uint32_t index, const void *src);
/* value_size bytes of one slot; of all slots but one, zeros. The padding stays. */
void percpu_store_one(const struct percpu *p, uint32_t cpu, uint32_t index, const void *src);
void percpu_clear_others(const struct percpu *p, uint32_t cpu, uint32_t index);

/* Adds to the u64 at `offset`, a multiple of 8 inside value_size, of the current CPU's slot. 0; -EOPNOTSUPP: this thread can't
 * run restartable sequences, on which the map relies; nothing was added. The caller sees to it that the slot stays what it
 * is. */
int percpu_add(const struct percpu *p, uint32_t index, uint32_t offset, uint64_t delta);

#ifdef USERMAP_TEST_POINTS
/* How often sequences were aborted and begun again, in this process; and how long tests stretch them, in pauses. */
extern _Atomic uint64_t percpu_aborts;
extern _Atomic uint32_t percpu_stretch;
#endif

#endif
