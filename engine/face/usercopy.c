/* SPDX-License-Identifier: MIT */
/*
 * Copies to and from pointers that may be bad: what copy_from_user and copy_to_user are to the kernel.
 *
 * The copy runs in one assembly routine (usercopy_asm.h). If it faults, a SIGSEGV/SIGBUS handler recognises the routine
 * by the program counter (never by the faulting address: a non-canonical one is reported as 0) and lets it continue at
 * its fixup. Every other fault is passed on to the handler that was there before ours, as if ours did not exist.
 *
 * The handler can't help where the signal is blocked in the thread (the kernel then kills the process) or where the
 * program has installed a handler of its own over ours. Asking the kernel about both takes longer than the copy, so it
 * is asked only about a page that the thread hasn't used lately, as a pointer that has just worked is going to work and
 * a wild one leads to a page that is new; and its yes holds for some microseconds, so that a program whose keys are all
 * over the memory doesn't pay for it with every copy. If our handler isn't in effect, the kernel does the copying
 * (process_vm_readv/writev). What remains: a thread that blocks the signal, and within those microseconds, or for a
 * page that it has just used and unmapped, passes a bad pointer.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "face/usercopy.h"
#include "face/usercopy_asm.h"

#define LOWEST_ADDRESS 65536u /* nothing is mapped below vm.mmap_min_addr */

__thread uintptr_t usercopy_known[USERCOPY_KNOWN];

/* Copies by system call: slow, but can't fault. Returns how many bytes are left, or SIZE_MAX if the call is not to be
 * had. */
static size_t copy_by_kernel(void *trusted, void *user, size_t size, enum usercopy_direction direction)
{
	size_t done = 0;

	while (done < size) {
		struct iovec local = { (char *)trusted + done, size - done };
		struct iovec remote = { (char *)user + done, size - done };
		ssize_t n = direction == FROM_USER ? process_vm_readv(getpid(), &local, 1, &remote, 1, 0)
						   : process_vm_writev(getpid(), &local, 1, &remote, 1, 0);

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

#ifdef USERCOPY_ASM

static __thread unsigned known_next __attribute__((tls_model("initial-exec")));
static __thread uint64_t asked_at __attribute__((tls_model("initial-exec"))); /* when the kernel last said yes */

/* What was installed for SIGSEGV and SIGBUS before us. Written once under `installed`, before our handler is in
 * effect. */
static struct sigaction previous[2];
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static struct sigaction *previous_of(int sig)
{
	return &previous[sig == SIGBUS];
}

/* The default action: takes effect when the faulting instruction runs again, or when the sent signal arrives again. */
static void default_action(int sig, const siginfo_t *info)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	sigaction(sig, &dfl, NULL);
	if (info->si_code <= 0)
		syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), sig, info);
}

/* Does what the kernel would have done had `previous` still been installed. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	struct sigaction *prev = previous_of(sig);
	struct sigaction action = *prev;
	bool plain = !(action.sa_flags & SA_SIGINFO);

	if (plain && action.sa_handler == SIG_IGN && info->si_code <= 0)
		return; /* a fault can't be ignored, a signal that was sent can */
	if (plain && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)) {
		default_action(sig, info);
		return;
	}
	if (action.sa_flags & (int)SA_RESETHAND)
		*prev = (struct sigaction){ .sa_handler = SIG_DFL };
	/* The mask is put back when our handler returns, or by the siglongjmp that leaves it. */
	if (!(action.sa_flags & SA_NODEFER))
		sigaddset(&action.sa_mask, sig);
	pthread_sigmask(SIG_BLOCK, &action.sa_mask, NULL);
	if (plain)
		action.sa_handler(sig);
	else
		action.sa_sigaction(sig, info, context);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	uintptr_t pc = context_pc(context);

	if (info->si_code > 0 && pc >= (uintptr_t)usercopy_bytes && pc < (uintptr_t)usercopy_done) {
		uintptr_t next = pc < (uintptr_t)usercopy_slow	 ? (uintptr_t)usercopy_slow
				 : pc < (uintptr_t)usercopy_tail ? (uintptr_t)usercopy_tail
								 : (uintptr_t)usercopy_done;
		context_set_pc(context, next);
		return;
	}
	pass_on(sig, info, context);
}

static void install(int sig)
{
	struct sigaction *prev = previous_of(sig);
	struct sigaction ours = { .sa_sigaction = on_fault };
	bool handled;

	sigaction(sig, NULL, prev);
	handled = prev->sa_handler != SIG_DFL && prev->sa_handler != SIG_IGN;
	/* NODEFER: a handler that is passed a fault may leave by longjmp. The rest as the handler that we pass on to
	 * wants it; with none, an alternate stack does no harm, and Go programs demand it. */
	ours.sa_flags = SA_SIGINFO | SA_NODEFER | (handled ? prev->sa_flags & (SA_ONSTACK | SA_RESTART) : SA_ONSTACK);
	sigaction(sig, &ours, NULL);
}

static void install_all(void)
{
	install(SIGSEGV);
	install(SIGBUS);
}

static bool handler_in_effect(void)
{
	sigset_t blocked;
	struct sigaction segv, bus;

	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	if (sigismember(&blocked, SIGSEGV) || sigismember(&blocked, SIGBUS))
		return false;
	sigaction(SIGSEGV, NULL, &segv);
	sigaction(SIGBUS, NULL, &bus);
	return segv.sa_sigaction == on_fault && bus.sa_sigaction == on_fault;
}

static bool handler_in_effect_lately(void)
{
	uint64_t now = usercopy_ticks();

	if (now - asked_at < USERCOPY_YES_HOLDS)
		return true;
	if (!handler_in_effect())
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
	pthread_once(&installed, install_all);
	if (known || handler_in_effect_lately()) {
		left = copy_fast(trusted, user, size, direction);
		if (!left) {
			remember(first_page);
			remember(last_page);
		}
	} else {
		left = copy_by_kernel(trusted, user, size, direction);
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
	return impossible((uintptr_t)user, size) || copy_by_kernel(trusted, user, size, direction) ? -EFAULT : 0;
}

size_t usercopy_bytes(void *dst, const void *src, size_t size)
{
	memcpy(dst, src, size);
	return 0;
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

const struct user_io usercopy_io = { untrusted_in, untrusted_out, false };
const struct user_io trusted_io = { trusted_copy, trusted_copy, true };
