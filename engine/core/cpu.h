/* SPDX-License-Identifier: MIT */
/* The CPU this thread runs on, for choosing among per-CPU lists: a hint, wrong at any time without harm. */
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

/* In [0, n_cpus). */
static inline uint32_t cpu_current(uint32_t n_cpus)
{
	const struct rseq *area = (const void *)((const char *)cpu_thread_pointer() + __rseq_offset);
	uint32_t cpu = __rseq_size ? *(const volatile uint32_t *)&area->cpu_id : UINT32_MAX;

	if (__builtin_expect(cpu < n_cpus, 1))
		return cpu;
	if ((int32_t)cpu < 0) /* rseq is not registered */
		cpu = (uint32_t)sched_getcpu();
	return cpu % n_cpus;
}

#endif
