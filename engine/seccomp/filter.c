/* SPDX-License-Identifier: MIT */
/*
 * Which system calls the supervisor gets to see: bpf(2), and mmap(2) of a descriptor. All others run as
 * ever, after the few instructions of this filter. A program of another word size makes its calls by other numbers, and
 * keeps the kernel's maps.
 *
 * A signal doesn't end a call that the supervisor has taken (WAIT_KILLABLE_RECV): else it would be made anew, and an
 * operation be done twice.
 */
#include "seccomp/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "which architecture do the system calls of this processor have?"
#endif

/* Both processors are little-endian: the lower half of an argument comes first. Flags and descriptors have no other. */
#define LOAD(field)	      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_IF(value, n)     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, n, 0)
#define SKIP_UNLESS(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n)
#define ANSWER(action)	      BPF_STMT(BPF_RET | BPF_K, action)

static struct sock_filter program[] = {
	LOAD(arch),
	SKIP_UNLESS(ARCHITECTURE, 8), /* to "allow" */
	LOAD(nr),
	SKIP_IF(SYS_bpf, 5), /* to "notify" */
	SKIP_UNLESS(SYS_mmap, 5),
	LOAD(args[3]),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 3, 0),
	LOAD(args[4]),
	SKIP_IF((__u32)-1, 1),
	ANSWER(SECCOMP_RET_USER_NOTIF),
	ANSWER(SECCOMP_RET_ALLOW),
};

int filter_install(void)
{
	struct sock_fprog filter = { .len = sizeof(program) / sizeof(program[0]), .filter = program };
	long listener;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			   SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &filter);
	return listener < 0 ? -errno : (int)listener;
}
