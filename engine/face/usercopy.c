/* SPDX-License-Identifier: MIT */
/*
 * Copies to and from pointers that may be bad: what copy_from_user and copy_to_user are to the kernel.
 *
 * The copy runs in one assembly routine (usercopy_asm.h). If it faults, a SIGSEGV/SIGBUS handler (fault.c) recognises the
 * routine by the program counter (never by the faulting address: a non-canonical one is reported as 0) and lets it
 * continue at its fixup.
 *
 * The handler can't help where the signal is blocked in the thread (the kernel then kills the process) or where the
 * program has installed a handler of its own over ours. Asking the kernel about both takes longer than the copy, so it
 * is asked only about a page that the thread hasn't used lately, as a pointer that has just worked is going to work and
 * a wild one leads to a page that is new; and its yes holds for some microseconds, so that a program whose keys are all
 * over the memory doesn't pay for it with every copy. If our handler isn't in effect, the kernel does the copying
 * (process_vm_readv/writev). What remains: a thread that blocks the signal, and within those microseconds, or for a
 * page that it has just used and unmapped, passes a bad pointer.
 *
 * The pointers of a caller in another process (caller.h) are not for this routine, and no page of its is ever known.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "face/caller.h"
#include "face/fault.h"
#include "face/usercopy.h"
#include "face/usercopy_asm.h"

#define LOWEST_ADDRESS 65536u /* nothing is mapped below vm.mmap_min_addr */

__thread uintptr_t usercopy_known[USERCOPY_KNOWN];

size_t usercopy_by_kernel(pid_t pid, void *trusted, void *user, size_t size, enum usercopy_direction direction)
{
	size_t done = 0;

	while (done < size) {
		struct iovec local = { (char *)trusted + done, size - done };
		struct iovec remote = { (char *)user + done, size - done };
		ssize_t n = direction == FROM_USER ? process_vm_readv(pid, &local, 1, &remote, 1, 0)
						   : process_vm_writev(pid, &local, 1, &remote, 1, 0);

		if (n < 0 && errno != EFAULT)
			return SIZE_MAX;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return size - done;
}

/* Addresses that no mapping has are answered without a fault; the upper half of the address space is the kernel's. */
static inline bool impossible(uintptr_t addr, size_t size)
{
	return addr < LOWEST_ADDRESS || (intptr_t)addr < 0 || (intptr_t)(addr + size) < 0;
}

static int copy_of_caller(void *trusted, void *user, size_t size, enum usercopy_direction direction)
{
	return direction == FROM_USER ? caller_read(trusted, user, size) : caller_write(user, trusted, size);
}

#ifdef USERCOPY_ASM

static __thread unsigned known_next __attribute__((tls_model("initial-exec")));
static __thread uint64_t asked_at __attribute__((tls_model("initial-exec"))); /* when the kernel last said yes */

bool usercopy_mend(void *context)
{
	uintptr_t pc = context_pc(context);
	uintptr_t next = pc < (uintptr_t)usercopy_slow	 ? (uintptr_t)usercopy_slow
			 : pc < (uintptr_t)usercopy_tail ? (uintptr_t)usercopy_tail
							 : (uintptr_t)usercopy_done;

	if (pc < (uintptr_t)usercopy_bytes || pc >= (uintptr_t)usercopy_done)
		return false;
	context_set_pc(context, next);
	return true;
}

static bool handler_in_effect_lately(void)
{
	uint64_t now = usercopy_ticks();

	if (now - asked_at < USERCOPY_YES_HOLDS)
		return true;
	if (!fault_handler_in_effect())
		return false;
	asked_at = now;
	return true;
}

static void remember(uintptr_t page)
{
	if (!usercopy_is_known(page))
		usercopy_known[known_next++ % USERCOPY_KNOWN] = page;
}

static size_t copy_fast(void *trusted, void *user, size_t size, enum usercopy_direction direction)
{
	return direction == FROM_USER ? usercopy_bytes(trusted, user, size) : usercopy_bytes(user, trusted, size);
}

/* Where the kernel doesn't copy either (a seccomp filter, qemu-user): at least with the signals let through. One that
 * was sent to the thread and waits comes early then. */
static size_t copy_unblocked(void *trusted, void *user, size_t size, enum usercopy_direction direction)
{
	sigset_t faults, before;
	size_t left;

	sigemptyset(&faults);
	sigaddset(&faults, SIGSEGV);
	sigaddset(&faults, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &faults, &before);
	left = copy_fast(trusted, user, size, direction);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return left;
}

int usercopy_careful(void *trusted, void *user, size_t size, enum usercopy_direction direction)
{
	uintptr_t addr = (uintptr_t)user, last = addr + size - 1;
	uintptr_t first_page = usercopy_page(addr, direction), last_page = usercopy_page(last, direction);
	bool known = last_page - first_page <= 2 && usercopy_is_known(first_page) && usercopy_is_known(last_page);
	size_t left;

	if (size == 0)
		return 0;
	if (impossible(addr, size))
		return -EFAULT;
	if (caller)
		return copy_of_caller(trusted, user, size, direction);
	fault_install();
	if (known || handler_in_effect_lately()) {
		left = copy_fast(trusted, user, size, direction);
		if (!left) {
			remember(first_page);
			remember(last_page);
		}
	} else {
		left = usercopy_by_kernel(getpid(), trusted, user, size, direction);
		if (left == SIZE_MAX)
			left = copy_unblocked(trusted, user, size, direction);
	}
	return left ? -EFAULT : 0;
}

#else /* no assembly for this processor: no page is ever known, the kernel is always asked */

int usercopy_careful(void *trusted, void *user, size_t size, enum usercopy_direction direction)
{
	if (size == 0)
		return 0;
	if (caller)
		return copy_of_caller(trusted, user, size, direction);
	return impossible((uintptr_t)user, size) || usercopy_by_kernel(getpid(), trusted, user, size, direction)
		       ? -EFAULT
		       : 0;
}

size_t usercopy_bytes(void *dst, const void *src, size_t size)
{
	memcpy(dst, src, size);
	return 0;
}

bool usercopy_mend(void *context)
{
	(void)context;
	return false;
}

#endif

static int untrusted_in(void *dst, const void *user, size_t size)
{
	return usercopy_in(dst, user, size);
}

static int untrusted_out(void *user, const void *src, size_t size)
{
	return usercopy_out(user, src, size);
}

static int trusted_copy(void *dst, const void *src, size_t size)
{
	memcpy(dst, src, size);
	return 0;
}

/* To pages that have been copied to lately. */
static bool untrusted_sure(const void *user, size_t size)
{
	uintptr_t first = (uintptr_t)user, last = first + size - 1;

	return last - first < 4096 && usercopy_is_known(usercopy_page(first, TO_USER)) &&
	       usercopy_is_known(usercopy_page(last, TO_USER));
}

static bool always_sure(const void *user, size_t size)
{
	(void)user;
	(void)size;
	return true;
}

const struct user_io usercopy_io = { untrusted_in, untrusted_out, untrusted_sure };
const struct user_io trusted_io = { trusted_copy, trusted_copy, always_sure };
