/* SPDX-License-Identifier: MIT */
/*
 * The program's actions for SIGSEGV and SIGBUS, which the engine handles first (face/fault.h): whichever way the program
 * installs them, they come behind the engine's handler, and it is told what it installed before.
 *
 * signal() and its relatives are sigaction() with flags, as the C library makes them. For all other signals they are the
 * C library's own.
 */
#include <errno.h>

/* Programs may still call what is out of use. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include "face/fault.h"
#include "preload/ours.h"

__attribute__((constructor)) static void install(void)
{
	fault_install();
}

int our_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return fault_sigaction(sig, act, old);
}
PUBLISH(sigaction, our_sigaction);
extern int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);
PUBLISH(__sigaction, our_sigaction);

static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS;
}

static sighandler_t install_plain(int sig, sighandler_t handler, int flags, bool mask_itself)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags }, before;

	if (handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (mask_itself)
		sigaddset(&action.sa_mask, sig);
	return our_sigaction(sig, &action, &before) ? SIG_ERR : before.sa_handler;
}

static sighandler_t our_signal(int sig, sighandler_t handler)
{
	return is_fault(sig) ? install_plain(sig, handler, SA_RESTART, true) : next_signal(sig, handler);
}
PUBLISH(signal, our_signal);
PUBLISH(ssignal, our_signal);
extern sighandler_t bsd_signal(int sig, sighandler_t handler);
PUBLISH(bsd_signal, our_signal);

static sighandler_t our_sysv_signal(int sig, sighandler_t handler)
{
	return is_fault(sig) ? install_plain(sig, handler, (int)SA_RESETHAND | SA_NODEFER, false)
			     : next_sysv_signal(sig, handler);
}
PUBLISH(sysv_signal, our_sysv_signal);
PUBLISH(__sysv_signal, our_sysv_signal);

/* SIG_HOLD blocks the signal; any other action unblocks it. The answer is SIG_HOLD if it was blocked. */
static sighandler_t our_sigset(int sig, sighandler_t handler)
{
	struct sigaction before;
	sigset_t one, blocked;
	sighandler_t earlier;

	if (!is_fault(sig))
		return next_sigset(sig, handler);
	sigemptyset(&one);
	sigaddset(&one, sig);
	if (handler == SIG_HOLD) {
		if (sigprocmask(SIG_BLOCK, &one, &blocked) || our_sigaction(sig, NULL, &before))
			return SIG_ERR;
		earlier = before.sa_handler;
	} else {
		earlier = install_plain(sig, handler, 0, false);
		if (earlier == SIG_ERR || sigprocmask(SIG_UNBLOCK, &one, &blocked))
			return SIG_ERR;
	}
	return sigismember(&blocked, sig) ? SIG_HOLD : earlier;
}
PUBLISH(sigset, our_sigset);

static int our_sigignore(int sig)
{
	struct sigaction action = { .sa_handler = SIG_IGN };

	return is_fault(sig) ? our_sigaction(sig, &action, NULL) : next_sigignore(sig);
}
PUBLISH(sigignore, our_sigignore);

static int our_siginterrupt(int sig, int interrupt)
{
	struct sigaction action;

	if (!is_fault(sig))
		return next_siginterrupt(sig, interrupt);
	if (our_sigaction(sig, NULL, &action))
		return -1;
	action.sa_flags = interrupt ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
	return our_sigaction(sig, &action, NULL);
}
PUBLISH(siginterrupt, our_siginterrupt);
