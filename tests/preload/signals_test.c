/* SPDX-License-Identifier: MIT */
/*
 * The engine finds bad pointers by handling SIGSEGV; the program doesn't notice. Whichever way it installs its own
 * handlers, it gets its faults and no others, it is told what it installed before, and bad pointers stay EFAULT.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>

#include "../faces/child.h"
#include "client.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

extern sighandler_t bsd_signal(int sig, sighandler_t handler);

static sigjmp_buf back;
static volatile sig_atomic_t caught, depth;
static char *page; /* that can't be touched */

static long lookup_into(int fd, void *value)
{
	uint32_t key = 0;
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = (uintptr_t)&key, .value = (uintptr_t)value } };

	return call(ABI_MAP_LOOKUP_ELEM, &attr);
}

/* What every part does first: cmocka has handlers of its own. */
static void begin(void)
{
	struct sigaction none = { .sa_handler = SIG_DFL };

	CHECK(sigaction(SIGSEGV, &none, NULL) == 0 && sigaction(SIGBUS, &none, NULL) == 0);
}

/* sa_flags without SA_RESTORER, which the C library adds for itself. */
static int flags_of(const struct sigaction *action)
{
	return action->sa_flags & ~0x04000000;
}

/* A bad pointer is EFAULT, and no handler of the program hears of it. */
static void check_bad_pointers(int fd)
{
	int before = caught;
	union abi_attr *nowhere = (union abi_attr *)page;

	CHECK(lookup_into(fd, page) == -EFAULT);
	CHECK(lookup_into(fd, NULL) == -EFAULT);
	CHECK(lookup_into(fd, (void *)0x8000000000000000) == -EFAULT);
	CHECK(call(ABI_MAP_LOOKUP_ELEM, nowhere) == -EFAULT);
	CHECK(get(fd) == 1);
	CHECK(caught == before);
}

#ifdef __x86_64__
/* The kernel's own answer to who handles a signal, past everybody who might hide something. */
static sighandler_t asked_kernel(int sig)
{
	struct {
		sighandler_t handler;
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} found = { 0 };
	long result = SYS_rt_sigaction;
	register long size __asm__("r10") = sizeof(found.mask);

	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"((long)sig), "S"(NULL), "d"(&found), "r"(size)
			 : "rcx", "r11", "memory");
	CHECK(result == 0);
	return found.handler;
}
#endif

/* Whose handler the kernel calls: the program's, but under usermap-run the engine's. Without that bad pointers would
 * still be EFAULT, but take long. */
static void check_first(sighandler_t program_s)
{
#ifdef __x86_64__
	CHECK((asked_kernel(SIGSEGV) == program_s) == !getenv("LD_PRELOAD"));
#else
	(void)program_s;
#endif
}

static void leap(int sig)
{
	caught++;
	CHECK(sig == SIGSEGV || sig == SIGBUS);
	siglongjmp(back, 1);
}

static void leap_with_info(int sig, siginfo_t *info, void *context)
{
	caught++;
	CHECK(context && info->si_addr == page && (sig == SIGSEGV || sig == SIGBUS));
	siglongjmp(back, 1);
}

/* The program's own fault comes to its handler. */
static void check_fault(void)
{
	int before = caught;

	if (sigsetjmp(back, 1) == 0) {
		*(volatile char *)page = 1;
		CHECK(false);
	}
	CHECK(caught == before + 1);
}

/* Ways to install `leap`, and to put SIG_DFL back; each returns what was installed. */

static sighandler_t by_sigaction(int sig, sighandler_t handler)
{
	struct sigaction action = { .sa_handler = handler }, before;

	CHECK(sigaction(sig, &action, &before) == 0);
	return before.sa_handler;
}

static sighandler_t by_raw_sigaction(int sig, sighandler_t handler)
{
	struct {
		sighandler_t handler;
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} before, action = { .handler = handler };

	/* as a program does that wants the C library's way back from handlers: take what's there, change the handler */
	CHECK(syscall(SYS_rt_sigaction, sig, NULL, &before, 8) == 0);
	action.flags = before.flags & 0x04000000;
	action.restorer = before.restorer;
	CHECK(syscall(SYS_rt_sigaction, sig, &action, &before, 8) == 0);
	return before.handler;
}

static sighandler_t (*const ways[])(int, sighandler_t) = {
	signal, bsd_signal, ssignal, sysv_signal, sigset, by_sigaction, by_raw_sigaction,
};
static const char *const names[] = { "signal", "bsd_signal", "ssignal",	    "sysv_signal",
				     "sigset", "sigaction",  "rt_sigaction" };

static void install_each_way(void)
{
	int fd = make(1);

	begin();
	check_bad_pointers(fd);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		bool once = ways[i] == sysv_signal, raw = ways[i] == by_raw_sigaction;

		fprintf(stderr, "%s\n", names[i]);
		if (raw) /* the restorer that it takes over must be there */
			signal(SIGSEGV, leap);
		CHECK(ways[i](SIGSEGV, leap) == (raw ? leap : SIG_DFL));
		CHECK(by_sigaction(SIGSEGV, leap) == leap);
		CHECK(ways[i](SIGSEGV, leap) == leap);
		check_first(leap);
		check_bad_pointers(fd);
		check_fault();
		check_bad_pointers(fd);
		CHECK(ways[i](SIGSEGV, SIG_DFL) == (once ? SIG_DFL : leap));
		CHECK(ways[i](SIGBUS, leap) == SIG_DFL && ways[i](SIGBUS, SIG_DFL) == leap);
	}
}

static void each_way_to_install_a_handler(void **state)
{
	(void)state;
	in_child(install_each_way);
}

static void answer_queries(void)
{
	struct sigaction action = { .sa_sigaction = leap_with_info, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART };
	struct sigaction found;
	int fd = make(1);

	begin();
	sigaddset(&action.sa_mask, SIGUSR1);
	check_bad_pointers(fd);
	CHECK(sigaction(SIGSEGV, NULL, &found) == 0 && found.sa_handler == SIG_DFL && flags_of(&found) == 0);
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	check_bad_pointers(fd);
	CHECK(sigaction(SIGSEGV, NULL, &found) == 0 && found.sa_sigaction == leap_with_info);
	CHECK(flags_of(&found) == (SA_SIGINFO | SA_NODEFER | SA_RESTART));
	CHECK(sigismember(&found.sa_mask, SIGUSR1) == 1 && sigismember(&found.sa_mask, SIGUSR2) == 0);
	check_fault();
	CHECK(siginterrupt(SIGSEGV, 1) == 0 && sigaction(SIGSEGV, NULL, &found) == 0);
	CHECK((found.sa_flags & SA_RESTART) == 0);
	CHECK(sigaction(NSIG, &action, NULL) == -1 && errno == EINVAL);
	CHECK(signal(SIGSEGV, SIG_ERR) == SIG_ERR && errno == EINVAL);
}

static void queries_tell_the_program_s_own(void **state)
{
	(void)state;
	in_child(answer_queries);
}

static void fault_again(int sig)
{
	sigset_t blocked;

	(void)sig;
	CHECK(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
	CHECK(sigismember(&blocked, SIGSEGV) == 0 && sigismember(&blocked, SIGUSR1) == 1);
	if (++depth < 3)
		*(volatile char *)page = 1;
	siglongjmp(back, 1);
}

static void nest(void)
{
	struct sigaction action = { .sa_handler = fault_again, .sa_flags = SA_NODEFER };

	begin();
	sigaddset(&action.sa_mask, SIGUSR1);
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	check_bad_pointers(make(1));
	if (sigsetjmp(back, 1) == 0)
		*(volatile char *)page = 1;
	CHECK(depth == 3);
}

static void nodefer_and_the_mask_count(void **state)
{
	(void)state;
	in_child(nest);
}

static void die_of_second(void)
{
	int fd = make(1);

	begin();
	check_bad_pointers(fd);
	CHECK(sysv_signal(SIGSEGV, leap) == SIG_DFL);
	check_fault();
	check_bad_pointers(fd);
	*(volatile char *)page = 1;
}

static void die(void)
{
	begin();
	check_bad_pointers(make(1));
	*(volatile char *)page = 1;
}

static void die_although_ignored(void)
{
	begin();
	CHECK(sigignore(SIGSEGV) == 0);
	check_bad_pointers(make(1));
	raise(SIGSEGV); /* a signal that is sent can be ignored */
	kill(getpid(), SIGSEGV);
	*(volatile char *)page = 1;
}

static void die_by_kill(void)
{
	begin();
	check_bad_pointers(make(1));
	kill(getpid(), SIGBUS);
	CHECK(false);
}

static void the_default_is_death(void **state)
{
	(void)state;
	killed_in_child(die, SIGSEGV);
	killed_in_child(die_of_second, SIGSEGV);
	killed_in_child(die_although_ignored, SIGSEGV);
	killed_in_child(die_by_kill, SIGBUS);
}

/* A vforked child's handlers are its own, although it has its parent's memory. */
static void vfork_and_install(void)
{
	int fd = make(1), status;
	pid_t pid;

	begin();
	CHECK(signal(SIGSEGV, leap) == SIG_DFL);
	check_bad_pointers(fd);
	pid = vfork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	check_fault();
	CHECK(signal(SIGSEGV, SIG_DFL) == leap);
}

static void a_vforked_child_s_handlers_are_its_own(void **state)
{
	(void)state;
	in_child(vfork_and_install);
}

static void fork_and_install(void)
{
	int fd = make(1), status;
	pid_t pid;

	begin();
	CHECK(signal(SIGSEGV, leap) == SIG_DFL);
	check_bad_pointers(fd);
	pid = fork();
	if (pid == 0) {
		check_bad_pointers(fd);
		check_fault();
		CHECK(signal(SIGSEGV, SIG_DFL) == leap);
		check_first(SIG_DFL);
		check_bad_pointers(fd);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	check_fault();
}

static void a_forked_child_s_handlers_are_its_own(void **state)
{
	(void)state;
	in_child(fork_and_install);
}

static void hold(void)
{
	int fd = make(1);

	begin();
	CHECK(sigset(SIGBUS, leap) == SIG_DFL);
	CHECK(sigset(SIGBUS, SIG_HOLD) == leap);
	check_bad_pointers(fd);
	raise(SIGBUS);
	CHECK(caught == 0);
	if (sigsetjmp(back, 1) == 0) {
		sigset(SIGBUS, leap);
		CHECK(false);
	}
	CHECK(caught == 1);
	check_bad_pointers(fd);
}

static void sigset_holds(void **state)
{
	(void)state;
	in_child(hold);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way_to_install_a_handler),
		cmocka_unit_test(queries_tell_the_program_s_own),
		cmocka_unit_test(nodefer_and_the_mask_count),
		cmocka_unit_test(the_default_is_death),
		cmocka_unit_test(a_vforked_child_s_handlers_are_its_own),
		cmocka_unit_test(a_forked_child_s_handlers_are_its_own),
		cmocka_unit_test(sigset_holds),
	};

	skip_without_maps();
	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
