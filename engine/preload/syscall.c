/* SPDX-License-Identifier: MIT */
/*
 * syscall(): the way by which libbpf and bpftool call bpf(2), which the C library has no function for.
 *
 * bpf(2) never reaches the kernel: what the engine doesn't have is EINVAL, as from a kernel without it, so that no
 * command is ever given a descriptor that means something else there. Calls that have a function in the C library which
 * this library replaces are given to the replacement. Everything else is passed on.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <usermap/bpf.h>

#include "face/probe.h"
#include "preload/ours.h"

/* sigaction's argument as the kernel has it. */
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};
#define KERNEL_RESTORER 0x04000000ul /* the C library's own business */

static long raw_sigaction(int sig, const struct kernel_action *act, struct kernel_action *old)
{
	struct sigaction action = { 0 }, before;

	if (act) {
		action.sa_handler = act->handler;
		action.sa_flags = (int)(act->flags & ~KERNEL_RESTORER);
		memcpy(&action.sa_mask, &act->mask, sizeof(act->mask));
	}
	if (our_sigaction(sig, act ? &action : NULL, &before))
		return -1;
	if (old) {
		*old = (struct kernel_action){ .handler = before.sa_handler, .flags = (unsigned)before.sa_flags };
		memcpy(&old->mask, &before.sa_mask, sizeof(old->mask));
	}
	return 0;
}

static void *pointer(long value)
{
	return (void *)(uintptr_t)value;
}

static long load_program(void *attr, unsigned size)
{
	int error = errno;
	long result = probe_load(attr, size);

	if (result >= 0)
		errno = error; /* whatever failed inside: bpftool looks at errno after calls that went well */
	return result;
}

static __attribute__((noinline)) long other(long number, const long a[6])
{
	switch (number) {
	case SYS_bpf:
		return load_program(pointer(a[1]), (unsigned)a[2]);
	case SYS_close:
		return our_close((int)a[0]);
	case SYS_close_range:
		return our_close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
#ifdef SYS_dup2
	case SYS_dup2:
		return our_dup2((int)a[0], (int)a[1]);
#endif
	case SYS_dup3:
		return our_dup3((int)a[0], (int)a[1], (int)a[2]);
	case SYS_fcntl:
		return our_fcntl((int)a[0], (int)a[1], pointer(a[2]));
	case SYS_lseek:
		return our_lseek((int)a[0], a[1], (int)a[2]);
	case SYS_mmap:
		return (long)our_mmap(pointer(a[0]), (size_t)a[1], (int)a[2], (int)a[3], (int)a[4], a[5]);
	case SYS_unshare:
		return our_unshare((int)a[0]);
	case SYS_rt_sigaction:
		if (a[3] == sizeof(uint64_t) && (a[0] == SIGSEGV || a[0] == SIGBUS))
			return raw_sigaction((int)a[0], pointer(a[1]), pointer(a[2]));
		break;
	}
	return next_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/*
 * What programs call syscall(). It has as many arguments as a call can have, by name: those of a variadic function lie in the
 * same registers and behind the same address, but are first all stored, which takes part of a lookup's time. What the caller
 * didn't give is read, and not used by the kernel either.
 */
__attribute__((visibility("default"))) long our_syscall(long number, long a, long b, long c, long d, long e,
							long f) __asm__("syscall");

long our_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_bpf && (int)a != BPF_PROG_LOAD)
		return usermap_bpf((int)a, pointer(b), (unsigned)c);
	return other(number, (const long[6]){ a, b, c, d, e, f });
}
