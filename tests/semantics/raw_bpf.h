/* SPDX-License-Identifier: MIT */
/* bpf(2) of the kernel, not by syscall(): under the preload library that would be the engine. */
#ifndef TESTS_SEMANTICS_RAW_BPF_H
#define TESTS_SEMANTICS_RAW_BPF_H

#include <errno.h>
#include <sys/syscall.h>

static inline long raw_bpf(int cmd, void *attr, unsigned size)
{
#if defined(__x86_64__)
	long result = __NR_bpf;

	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"((long)cmd), "S"(attr), "d"((unsigned long)size)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long number __asm__("x8") = __NR_bpf;
	register long result __asm__("x0") = cmd;
	register void *second __asm__("x1") = attr;
	register unsigned long third __asm__("x2") = size;

	__asm__ volatile("svc 0" : "+r"(result) : "r"(number), "r"(second), "r"(third) : "memory");
#else
#error "how are system calls made here?"
#endif
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

#endif
