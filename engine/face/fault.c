/* SPDX-License-Identifier: MIT */
/*
 * The handler of SIGSEGV and SIGBUS.
 *
 * A fault in the copy routine is mended (usercopy_mend). Every other signal goes to the action that the program has
 * installed, as if our handler did not exist: with its mask, its flags, and its default.
 *
 * The program's actions are nodes that never change and are never freed, so that the handler can read one while another
 * thread installs another; `program_action` leads to the one in force. Equal actions are one node, so a program that
 * installs and restores a few for ever has a few nodes. All of that is done without locks, by what may be called in a
 * signal handler, as sigaction() may be.
 *
 * After vfork() the child has the parent's memory, but signal actions of its own: what it installs must not become
 * the parent's. It's known by its process id, and asks the kernel directly; our handler is then gone there.
 */
#include "face/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "face/usercopy.h"

struct action_node {
	struct sigaction action;
	struct action_node *next; /* in the list of all */
};

static struct action_node default_node = { .action = { .sa_handler = SIG_DFL } };
static _Atomic(struct action_node *) nodes = &default_node;
static _Atomic(struct action_node *) program_action[2]; /* SIGSEGV's and SIGBUS's; NULL: not installed */
static _Atomic pid_t installed_by;

static _Atomic(struct action_node *) *action_of(int sig)
{
	return &program_action[sig == SIGBUS];
}

static bool same_action(const struct sigaction *a, const struct sigaction *b)
{
	/* sa_mask: the kernel has 64 signals, the C library's type has room for more */
	return a->sa_handler == b->sa_handler && a->sa_flags == b->sa_flags &&
	       memcmp(&a->sa_mask, &b->sa_mask, _NSIG / 8) == 0;
}

/* The node of an action, or NULL if there is no memory for it. */
static struct action_node *node_of(const struct sigaction *action)
{
	/* acquire: nodes are filled before they are linked */
	struct action_node *first = atomic_load_explicit(&nodes, memory_order_acquire), *node;

	for (node = first; node; node = node->next)
		if (same_action(&node->action, action))
			return node;
	/* A page each: malloc can't be called here. */
	node = mmap(NULL, sizeof(*node), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (node == MAP_FAILED)
		return NULL;
	node->action = *action;
	do
		node->next = first;
	/* release: filled before linked; acquire for the next try's node->next to be followed */
	while (!atomic_compare_exchange_weak_explicit(&nodes, &first, node, memory_order_acq_rel,
						      memory_order_acquire));
	return node;
}

/* The default action: takes effect when the faulting instruction runs again, or when the sent signal arrives again. */
static void default_action(int sig, const siginfo_t *info)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	sigaction(sig, &dfl, NULL);
	if (info->si_code <= 0)
		syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), sig, info);
}

/* Does what the kernel would have done if the program's action were its own. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	/* acquire: the node's action after the pointer */
	struct action_node *node = atomic_load_explicit(action_of(sig), memory_order_acquire);
	struct sigaction action = node->action;
	bool plain = !(action.sa_flags & SA_SIGINFO);

	if (plain && action.sa_handler == SIG_IGN && info->si_code <= 0)
		return; /* a fault can't be ignored, a signal that was sent can */
	if (plain && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)) {
		default_action(sig, info);
		return;
	}
	if (action.sa_flags & (int)SA_RESETHAND)
		/* release, as every store of a node; unless the program has installed another one meanwhile */
		atomic_compare_exchange_strong_explicit(action_of(sig), &node, &default_node, memory_order_release,
							memory_order_relaxed);
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
	if (info->si_code <= 0 || !usercopy_mend(context))
		pass_on(sig, info, context);
}

/* Installs the handler with what the program's action wants of the kernel. */
static int put_before(int sig)
{
	struct action_node *node;
	int result;

	do {
		node = atomic_load_explicit(action_of(sig), memory_order_acquire);
		const struct sigaction *action = &node->action;
		bool handled = action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
		/* NODEFER: a handler that is passed a fault may leave by longjmp. With no handler, an alternate stack
		 * does no harm, and Go programs demand it. */
		struct sigaction ours = {
			.sa_sigaction = on_fault,
			.sa_flags = SA_SIGINFO | SA_NODEFER |
				    (handled ? action->sa_flags & (SA_ONSTACK | SA_RESTART) : SA_ONSTACK),
		};

		result = sigaction(sig, &ours, NULL);
		/* Another thread may have installed another action, and lost the race for the flags. */
	} while (atomic_load_explicit(action_of(sig), memory_order_acquire) != node);
	return result;
}

static void install(int sig)
{
	struct action_node *node;
	struct sigaction before;

	sigaction(sig, NULL, &before);
	if (before.sa_sigaction == on_fault)
		return; /* a child that was forked while another thread was here; it begins anew, by pthread_once */
	node = node_of(&before);
	if (!node)
		return; /* without the handler, the kernel does the copying */
	/* release: the node's action before the pointer */
	atomic_store_explicit(action_of(sig), node, memory_order_release);
	put_before(sig);
}

/* relaxed, here and in fault_sigaction: a thread sees what its own process wrote before it was forked */
static void note_process(void)
{
	atomic_store_explicit(&installed_by, getpid(), memory_order_relaxed);
}

static void install_all(void)
{
	note_process();
	pthread_atfork(NULL, NULL, note_process);
	install(SIGSEGV);
	install(SIGBUS);
}

void fault_install(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install_all);
}

bool fault_handler_in_effect(void)
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

int fault_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct action_node *before, *node;

	/* acquire, here and below: the node's action after the pointer */
	if ((sig != SIGSEGV && sig != SIGBUS) || !atomic_load_explicit(action_of(sig), memory_order_acquire) ||
	    getpid() != atomic_load_explicit(&installed_by, memory_order_relaxed))
		return sigaction(sig, act, old);
	if (!act) {
		before = atomic_load_explicit(action_of(sig), memory_order_acquire);
	} else {
		node = node_of(act);
		if (!node) {
			errno = ENOMEM;
			return -1;
		}
		before = atomic_exchange_explicit(action_of(sig), node, memory_order_acq_rel);
		if (put_before(sig))
			return -1;
	}
	if (old)
		*old = before->action;
	return 0;
}
