/* SPDX-License-Identifier: MIT */
/*
 * The CPU this thread runs on, for choosing among per-CPU lists and slots: a hint, wrong at any time without harm. The kernel
 * keeps it up to date in the restartable-sequences area that glibc registers for each thread.
 */
#ifndef ENGINE_CORE_CPU_H
#define ENGINE_CORE_CPU_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/rseq.h>

static inline void *cpu_thread_pointer(void)
{
#ifdef __x86_64__
	void *p;

	__asm__("mov %%fs:0, %0" : "=r"(p)); /* clang 14 has no __builtin_thread_pointer here */
	return p;
#else
	return __builtin_thread_pointer();
#endif
}

/* This thread's area. It's there in any case; whether it's registered, cpu_id says, if __rseq_size isn't 0. */
static inline struct rseq *cpu_rseq(void)
{
	return (struct rseq *)((char *)cpu_thread_pointer() + __rseq_offset);
}

/* As the kernel says; above INT_MAX: the area isn't registered. */
static inline uint32_t cpu_rseq_id(void)
{
	return __rseq_size ? *(const volatile uint32_t *)&cpu_rseq()->cpu_id : UINT32_MAX;
}

/* In [0, n_cpus). */
static inline uint32_t cpu_current(uint32_t n_cpus)
{
	uint32_t cpu = cpu_rseq_id();

	if (__builtin_expect(cpu < n_cpus, 1))
		return cpu;
	if ((int32_t)cpu < 0) /* rseq is not registered */
		cpu = (uint32_t)sched_getcpu();
	return cpu % n_cpus;
}

#endif
