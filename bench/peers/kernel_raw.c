/* SPDX-License-Identifier: MIT */
/* The live kernel's map as peers/kernel.c has it, but past the C library: under usermap-run, too, it is the kernel's. */
#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long command(int cmd, union bpf_attr *attr, unsigned int size)
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

#include "peers/command.h"

const struct table_ops FORM_TABLE(kernel_raw) = {
	.name = "kernel_raw",
	.note = "bpf(2) without the C library, preallocated",
	.create = command_create,
	.destroy = command_destroy,
	.loop = { COMMAND_LOOPS },
};
