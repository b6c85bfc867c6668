/* SPDX-License-Identifier: MIT */
/*
 * Copies to and from bad pointers, and what becomes of everybody else's signals.
 *
 * Every part runs in a child of its own: the handler is installed by a process's first copy, and each part decides
 * what was there before it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "child.h"
#include "face/fault.h"
#include "face/usercopy.h"

#define PAGE 4096u

/* Two pages, of which the second is gone. */
static unsigned char *edge(void)
{
	unsigned char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK(mprotect(p + PAGE, PAGE, PROT_NONE) == 0);
	return p;
}

static void *nowhere(void)
{
	return edge() + PAGE;
}

static void touch(const void *p)
{
	(void)*(const volatile unsigned char *)p;
}

static void fill(unsigned char *p, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)(i * 31 + seed + 1);
}

static void part_every_size(void)
{
	unsigned char from[700], to[700];

	fill(from, sizeof(from), 1);
	for (size_t size = 0; size <= 600; size++) {
		for (size_t at = 0; at < 17; at += 8 - size % 2) {
			memset(to, 0, sizeof(to));
			CHECK(usercopy_in(to + at, from + 3, size) == 0);
			CHECK(memcmp(to + at, from + 3, size) == 0 && to[at + size] == 0 &&
			      (at == 0 || to[at - 1] == 0));
			memset(to, 0, sizeof(to));
			CHECK(usercopy_out(to + at, from + 3, size) == 0);
			CHECK(memcmp(to + at, from + 3, size) == 0 && to[at + size] == 0 &&
			      (at == 0 || to[at - 1] == 0));
		}
	}
}

static void copies_every_size_exactly(void **state)
{
	(void)state;
	in_child(part_every_size);
}

static void part_large(void)
{
	size_t size = 3 * PAGE + 5;
	unsigned char *from = malloc(size), *to = calloc(1, size + 1);

	fill(from, size, 2);
	CHECK(usercopy_in(to, from, size) == 0 && memcmp(to, from, size) == 0 && to[size] == 0);
	memset(to, 0, size);
	CHECK(usercopy_out(to, from, size) == 0 && memcmp(to, from, size) == 0 && to[size] == 0);
}

static void copies_across_pages(void **state)
{
	(void)state;
	in_child(part_large);
}

static void part_impossible(void)
{
	static void *const bad[] = {
		NULL,
		(void *)1,
		(void *)4096,
		(void *)UINTPTR_MAX,
		(void *)0xffff800000000000ull, /* the kernel's */
		(void *)0x0000900000000000ull, /* not canonical on x86-64 */
		(void *)(UINTPTR_MAX / 2 - 3), /* runs into the kernel's half */
	};
	unsigned char ours[64] = { 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (size_t size = 1; size <= sizeof(ours); size++) {
			CHECK(usercopy_in(ours, bad[i], size) == -EFAULT);
			CHECK(usercopy_out(bad[i], ours, size) == -EFAULT);
		}
		CHECK(usercopy_in(ours, bad[i], 0) == 0);
		CHECK(usercopy_out(bad[i], ours, 0) == 0);
	}
}

static void null_kernel_and_non_canonical_addresses_are_EFAULT(void **state)
{
	(void)state;
	in_child(part_impossible);
}

/* All prefixes of a copy that runs into the missing page. */
static void check_prefixes(void)
{
	unsigned char *page_end = edge() + PAGE, ours[400], expected[400];

	for (size_t size = 1; size <= 300; size += size < 70 ? 1 : 23) {
		for (size_t there = 0; there < size; there += size < 40 ? 1 : 7) {
			unsigned char *user = page_end - there;

			fill(ours, sizeof(ours), 3);
			memset(page_end - sizeof(ours), 0, sizeof(ours));
			CHECK(usercopy_out(user, ours, size) == -EFAULT);
			CHECK(memcmp(user, ours, there) == 0 && user[-1] == 0);

			fill(user, there, 9);
			memset(ours, 0, sizeof(ours));
			memset(expected, 0, sizeof(expected));
			memcpy(expected, user, there);
			CHECK(usercopy_in(ours, user, size) == -EFAULT);
			CHECK(memcmp(ours, expected, sizeof(ours)) == 0);
		}
	}
}

static void page_edge_copies_the_prefix_to_the_byte(void **state)
{
	(void)state;
	in_child(check_prefixes);
}

static void part_read_only_page(void)
{
	unsigned char *p = edge(), ours[8] = { 1 };

	CHECK(usercopy_out(p, ours, 8) == 0);
	CHECK(mprotect(p, PAGE, PROT_READ) == 0);
	CHECK(usercopy_out(p, ours, 8) == -EFAULT);
	CHECK(usercopy_in(ours, p, 8) == 0);
	CHECK(usercopy_out(p, ours, 8) == -EFAULT);
}

static void read_only_page_is_EFAULT_to_write_and_fine_to_read(void **state)
{
	(void)state;
	in_child(part_read_only_page);
}

static void part_page_that_was_there(void)
{
	unsigned char *p = edge(), ours[8];

	CHECK(usercopy_in(ours, p, 8) == 0);
	CHECK(munmap(p, PAGE) == 0);
	CHECK(usercopy_in(ours, p, 8) == -EFAULT);
}

static void page_unmapped_after_use_is_EFAULT(void **state)
{
	(void)state;
	in_child(part_page_that_was_there);
}

static void part_past_end_of_file(void)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	unsigned char *p, ours[16] = { 0 };

	CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK(usercopy_in(ours, p + PAGE, 16) == -EFAULT);
	memset(ours, 7, sizeof(ours));
	CHECK(usercopy_out(p + PAGE - 8, ours, 16) == -EFAULT);
	CHECK(p[PAGE - 1] == 7);
}

static void sigbus_past_the_end_of_a_file_is_EFAULT(void **state)
{
	(void)state;
	in_child(part_past_end_of_file);
}

/* Until the copies ask again whether their handler is in effect. */
static void let_answer_age(void)
{
	CHECK(usleep(5000) == 0);
}

static void block_faults(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigaddset(&set, SIGBUS);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	usleep(10000); /* what was asked about the signals before counts no more */
}

static void part_blocked_from_the_start(void)
{
	block_faults();
	check_prefixes();
}

static void part_blocked_later(void)
{
	unsigned char ours[8];

	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
	CHECK(usercopy_in(ours, (unsigned char[8]){ 1 }, 8) == 0);
	block_faults();
	let_answer_age();
	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
	CHECK(usercopy_out(nowhere(), ours, 8) == -EFAULT);
	check_prefixes();
}

static void blocked_signal_is_EFAULT_and_not_death(void **state)
{
	(void)state;
	in_child(part_blocked_from_the_start);
	in_child(part_blocked_later);
}

static volatile sig_atomic_t calls;
static sigjmp_buf escape;
static void *volatile seen_address;

static void count_call(int sig)
{
	(void)sig;
	calls++;
}

static void part_replaced(void)
{
	unsigned char ours[8];
	struct sigaction later = { .sa_handler = count_call };

	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
	CHECK(sigaction(SIGSEGV, &later, NULL) == 0);
	let_answer_age();
	usleep(10000); /* as in block_faults */
	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
	CHECK(usercopy_out(nowhere(), ours, 8) == -EFAULT);
	CHECK(calls == 0);
}

static void replaced_handler_is_neither_called_nor_needed(void **state)
{
	(void)state;
	in_child(part_replaced);
}

static void jump_out(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	calls++;
	seen_address = info->si_addr;
	siglongjmp(escape, 1);
}

static void part_chained_jump(void)
{
	struct sigaction before = { .sa_sigaction = jump_out, .sa_flags = SA_SIGINFO };
	unsigned char *volatile bad = nowhere(), ours[8];

	CHECK(sigaction(SIGSEGV, &before, NULL) == 0);
	for (volatile int round = 1; round <= 3; round++) {
		CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
		if (sigsetjmp(escape, 1) == 0) {
			touch(bad);
			CHECK(false);
		}
		CHECK(calls == round && seen_address == bad);
	}
}

static void earlier_handler_gets_its_faults_and_may_jump_away(void **state)
{
	(void)state;
	in_child(part_chained_jump);
}

static sigset_t mask_inside;
static void *volatile page_to_mend;

static void mend_page(int sig)
{
	(void)sig;
	calls++;
	pthread_sigmask(SIG_BLOCK, NULL, &mask_inside);
	mprotect(page_to_mend, PAGE, PROT_READ);
}

static void part_chained_mask(void)
{
	struct sigaction before = { .sa_handler = mend_page };
	unsigned char ours[8];
	sigset_t now;

	sigaddset(&before.sa_mask, SIGUSR1);
	CHECK(sigaction(SIGSEGV, &before, NULL) == 0);
	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
	page_to_mend = nowhere();
	touch(page_to_mend); /* the handler returns, and the access succeeds */
	CHECK(calls == 1);
	CHECK(sigismember(&mask_inside, SIGUSR1) && sigismember(&mask_inside, SIGSEGV) &&
	      !sigismember(&mask_inside, SIGUSR2));
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	CHECK(!sigismember(&now, SIGUSR1) && !sigismember(&now, SIGSEGV));
}

static void earlier_handler_runs_under_its_own_mask(void **state)
{
	(void)state;
	in_child(part_chained_mask);
}

static void part_reset_hand(void)
{
	struct sigaction before = { .sa_handler = count_call, .sa_flags = (int)SA_RESETHAND };
	unsigned char ours[8];

	CHECK(sigaction(SIGSEGV, &before, NULL) == 0);
	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
	CHECK(kill(getpid(), SIGSEGV) == 0 && calls == 1);
	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
	kill(getpid(), SIGSEGV);
}

static void earlier_one_shot_handler_is_called_once(void **state)
{
	(void)state;
	killed_in_child(part_reset_hand, SIGSEGV);
}

static void default_first(void)
{
	unsigned char ours[8];

	signal(SIGSEGV, SIG_DFL); /* a sanitizer's is not */
	signal(SIGBUS, SIG_DFL);
	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
}

static void part_default_fault(void)
{
	default_first();
	touch(nowhere());
}

static void part_default_sent(void)
{
	default_first();
	kill(getpid(), SIGSEGV);
}

static void part_default_bus(void)
{
	default_first();
	raise(SIGBUS);
}

static void default_action_really_happens(void **state)
{
	(void)state;
	killed_in_child(part_default_fault, SIGSEGV);
	killed_in_child(part_default_sent, SIGSEGV);
	killed_in_child(part_default_bus, SIGBUS);
}

static void part_ignored(void)
{
	unsigned char ours[8];

	signal(SIGSEGV, SIG_IGN);
	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
	CHECK(kill(getpid(), SIGSEGV) == 0); /* a signal that is sent can be ignored, a fault can't */
	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
}

static void part_ignored_fault(void)
{
	part_ignored();
	touch(nowhere());
}

static void ignored_signal_stays_ignored(void **state)
{
	(void)state;
	in_child(part_ignored);
	killed_in_child(part_ignored_fault, SIGSEGV);
}

static void *copy_in_thread(void *bad)
{
	unsigned char from[64], to[64];

	for (unsigned i = 0; i < 2000; i++) {
		fill(from, sizeof(from), i);
		CHECK(usercopy_in(to, from, sizeof(to)) == 0 && memcmp(to, from, sizeof(to)) == 0);
		CHECK(usercopy_in(to, bad, 1 + i % 64) == -EFAULT);
	}
	return NULL;
}

static void part_threads(void)
{
	pthread_t threads[4];
	void *bad = nowhere();

	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, copy_in_thread, bad) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void threads_fault_at_the_same_time(void **state)
{
	(void)state;
	in_child(part_threads);
}

/* Where the library is stopped while it installs its handlers: that of SIGSEGV is there, that of SIGBUS isn't. */
static atomic_bool stops, is_stopped, goes_on;

int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	int (*libcs)(int, const struct sigaction *, struct sigaction *) =
		(int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");

	if (stops && sig == SIGBUS) {
		is_stopped = true;
		while (!goes_on)
			usleep(100);
	}
	return libcs(sig, act, old);
}

static void *copy_first(void *unused)
{
	unsigned char ours[8];

	CHECK(usercopy_in(ours, nowhere(), 8) == -EFAULT);
	is_stopped = true; /* or doesn't stop, where the kernel does the copying */
	return unused;
}

static void part_forked_while_installing(void)
{
	struct sigaction before = { .sa_handler = count_call }, now;
	pthread_t thread;
	int status;
	pid_t pid;

	CHECK(sigaction(SIGSEGV, &before, NULL) == 0 && sigaction(SIGBUS, &before, NULL) == 0);
	stops = true;
	CHECK(pthread_create(&thread, NULL, copy_first, NULL) == 0);
	while (!is_stopped)
		usleep(100);
	stops = false;
	pid = fork();
	if (pid == 0) {
		copy_first(NULL);
		CHECK(fault_sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == count_call);
		CHECK(fault_sigaction(SIGBUS, NULL, &now) == 0 && now.sa_handler == count_call);
		_exit(0);
	}
	goes_on = true;
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void child_forked_while_the_handler_is_installed_knows_the_earlier_one(void **state)
{
	(void)state;
	if (!CAN_FORK_AMONG_THREADS)
		skip();
	in_child(part_forked_while_installing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_every_size_exactly),
		cmocka_unit_test(copies_across_pages),
		cmocka_unit_test(null_kernel_and_non_canonical_addresses_are_EFAULT),
		cmocka_unit_test(page_edge_copies_the_prefix_to_the_byte),
		cmocka_unit_test(read_only_page_is_EFAULT_to_write_and_fine_to_read),
		cmocka_unit_test(page_unmapped_after_use_is_EFAULT),
		cmocka_unit_test(sigbus_past_the_end_of_a_file_is_EFAULT),
		cmocka_unit_test(blocked_signal_is_EFAULT_and_not_death),
		cmocka_unit_test(replaced_handler_is_neither_called_nor_needed),
		cmocka_unit_test(earlier_handler_gets_its_faults_and_may_jump_away),
		cmocka_unit_test(earlier_handler_runs_under_its_own_mask),
		cmocka_unit_test(earlier_one_shot_handler_is_called_once),
		cmocka_unit_test(default_action_really_happens),
		cmocka_unit_test(ignored_signal_stays_ignored),
		cmocka_unit_test(threads_fault_at_the_same_time),
		cmocka_unit_test(child_forked_while_the_handler_is_installed_knows_the_earlier_one),
	};

	return cmocka_run_group_tests_name("usercopy", tests, NULL, NULL);
}
