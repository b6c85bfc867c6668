/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU values: their layout, copies, and additions.
 *
 * Additions
 * ---------
 * percpu_add() adds to a counter in the slot of the CPU that it runs on. Nobody else adds to that slot at that instant,
 * unless the thread is preempted or moved between choosing the slot and storing the sum; so what's needed is not an atomic
 * instruction, but to notice that. A restartable sequence (rseq(2)) does: the kernel, before it lets a thread go on that it
 * has preempted, moved, or interrupted with a signal, looks whether the thread was inside such a sequence, and if so sends it
 * to the sequence's abort handler. Ours begins again.
 *
 * The sequence reads the CPU's number, computes the counter's address, and adds. Its last instruction is the only one that
 * writes (on x86-64 the whole addition, on aarch64 the store of the sum): before it nothing has happened, behind it all has,
 * and it's the linearization point. A thread stopped or killed anywhere leaves the counter with or without delta, nothing in
 * between, and keeps nobody from adding. A signal handler may add to the same counter: it comes before the interrupted
 * addition or after it. Memory order: none but that of the counter itself, which is that of a relaxed atomic addition.
 *
 * The announcement of the sequence to the kernel isn't taken back at its end: the kernel drops it by itself, the next time it
 * interrupts the thread elsewhere. It reads the descriptor then, so the library mustn't be unmapped; it's linked with
 * -z nodelete. (A debugger that steps through single instructions aborts the sequence at each: it must step over it.)
 *
 * Sequences exclude each other only if every addition to a slot is one, made on the slot's CPU. So it's decided at creation,
 * for all processes, whether a map's additions are sequences, or atomic instructions that may come from any CPU. They are the
 * latter where the machine or this build has no sequences, where the process or its first thread runs without
 * (GLIBC_TUNABLES=glibc.pthread.rseq=0, valgrind, old kernels), and where the map has fewer slots than the machine has CPU
 * numbers, so that CPUs share slots. A thread that can't do its part in a map of sequences is told so: -EOPNOTSUPP. (A thread
 * that was made by clone(2), behind the C library's back, looks registered through the area it shares with its maker: it
 * must not add.)
 */
#include "core/percpu.h"

#include <errno.h>
#include <stdatomic.h>

#include "core/machine.h"
#include "core/percpu_asm.h"

bool percpu_layout(struct region_layout *layout, uint64_t n, uint64_t prealloc)
{
	uint64_t stride = words_stride(layout->attr.value_size);

	return region_layout_add_areas(layout, PART_PERCPU, layout->n_cpus, n * stride, prealloc * stride);
}

void percpu_format(struct region *region, const struct region_layout *layout)
{
	bool sequences = HAVE_SEQUENCE && (int32_t)cpu_rseq_id() >= 0 && layout->n_cpus >= possible_cpu_ids();

	region->header->percpu_atomic = !sequences;
}

void percpu_attach(struct percpu *p, struct region *region, const struct region_layout *layout, uint64_t n)
{
	bool atomic = region->header->percpu_atomic != 0;

	*p = (struct percpu){
		.base = region_part(region, layout, PART_PERCPU),
		.area = layout->size[PART_PERCPU] / layout->n_cpus,
		.stride = (uint32_t)words_stride(layout->attr.value_size),
		.value_size = layout->attr.value_size,
		.n_cpus = layout->n_cpus,
		.n = (uint32_t)n,
		.atomic = atomic,
		.restartable = HAVE_SEQUENCE && !atomic && __rseq_size,
		.region = region,
		.offset = layout->offset[PART_PERCPU],
	};
}

int percpu_touch(const struct percpu *p, uint64_t first, uint64_t n)
{
	for (uint32_t cpu = 0; cpu < p->n_cpus; cpu++) {
		int error = region_touch(p->region, p->offset + cpu * p->area + first * p->stride, n * p->stride);

		if (error)
			return error;
	}
	return 0;
}

void percpu_load(const struct percpu *p, uint32_t index, void *dst)
{
	const unsigned char *slot = percpu_slot(p, 0, index);
	unsigned char *out = dst;

	for (uint32_t cpu = 0; cpu < p->n_cpus; cpu++, slot += p->area, out += p->stride)
		words_load(out, slot, p->stride);
}

void percpu_store(const struct percpu *p, uint32_t index, const void *src)
{
	unsigned char *slot = percpu_slot(p, 0, index);
	const unsigned char *in = src;

	for (uint32_t cpu = 0; cpu < p->n_cpus; cpu++, slot += p->area, in += p->stride)
		words_store(slot, in, p->stride);
}

void percpu_store_one(const struct percpu *p, uint32_t cpu, uint32_t index, const void *src)
{
	words_store_exact(percpu_slot(p, cpu, index), src, p->value_size);
}

void percpu_clear_others(const struct percpu *p, uint32_t cpu, uint32_t index)
{
	for (uint32_t other = 0; other < p->n_cpus; other++)
		if (other != cpu)
			words_clear_exact(percpu_slot(p, other, index), p->value_size);
}

#ifdef USERMAP_TEST_POINTS
_Atomic uint64_t percpu_aborts;
_Atomic uint32_t percpu_stretch;
/* relaxed: a count; and a number that a test sets before it starts threads */
#define COUNT_ABORT() atomic_fetch_add_explicit(&percpu_aborts, 1, memory_order_relaxed)
#define PAUSES()      atomic_load_explicit(&percpu_stretch, memory_order_relaxed)
#else
#define COUNT_ABORT() ((void)0)
#define PAUSES()      0
#endif

#if HAVE_SEQUENCE
/* Adds delta to the u64 at first + cpu * area. False: the thread's CPU has no number, or one that isn't below n_cpus. */
static inline bool sequence_add(unsigned char *first, uint64_t area, uint32_t n_cpus, uint64_t delta)
{
	struct rseq *rseq = cpu_rseq();

again:
	__asm__ goto(SEQUENCE_DESCRIPTOR SEQUENCE_ANNOUNCE "1:\n" SEQUENCE_ADD "2:\n" SEQUENCE_HANDLER
		     :
		     : [rseq] "r"(rseq), [first] "r"(first), [area] "r"(area), [n_cpus] "r"(n_cpus), [delta] "r"(delta),
		       [pauses] "ri"(PAUSES()), [rseq_cs] "i"(offsetof(struct rseq, rseq_cs)),
		       [cpu_id] "i"(offsetof(struct rseq, cpu_id))
		     : SEQUENCE_CLOBBERS
		     : aborted, no_cpu);
	return true;
aborted:
	COUNT_ABORT();
	goto again;
no_cpu:
	return false;
}
#else
static inline bool sequence_add(unsigned char *first, uint64_t area, uint32_t n_cpus, uint64_t delta)
{
	(void)first, (void)area, (void)n_cpus, (void)delta, (void)PAUSES();
	return false;
}
#endif

/* Away from percpu_add(), so that its path has no stack frame. */
static __attribute__((noinline)) int atomic_add(const struct percpu *p, unsigned char *first, uint64_t delta)
{
	if (!p->atomic)
		return -EOPNOTSUPP;
	/* relaxed: a counter orders nothing else */
	__atomic_fetch_add((word_t *)(first + cpu_current(p->n_cpus) * p->area), delta, __ATOMIC_RELAXED);
	return 0;
}

int percpu_add(const struct percpu *p, uint32_t index, uint32_t offset, uint64_t delta)
{
	unsigned char *first = percpu_slot(p, 0, index) + offset;

	if (__builtin_expect(!p->restartable, 0))
		return atomic_add(p, first, delta);
	return __builtin_expect(sequence_add(first, p->area, p->n_cpus, delta), 1) ? 0 : -EOPNOTSUPP;
}
