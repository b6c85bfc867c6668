/* SPDX-License-Identifier: MIT */
/*
 * Threads that make, use, close and reuse descriptors at the same time, so that numbers wander between them; one that
 * forks all the while; and signal handlers that close. A number must never mean the map that it meant before.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/time.h>

#include "../faces/child.h"
#include "client.h"

#define THREADS 4
#define ROUNDS	400

static atomic_int next_value = 1;
static atomic_bool over;

/* A map, looked at before and after others have made and closed theirs; and a file that is none. */
static void use_one(unsigned round)
{
	int64_t value = atomic_fetch_add(&next_value, 1);
	int fd = make(value), null = open("/dev/null", O_RDONLY), copy;

	CHECK(fd >= 0 && null >= 0);
	CHECK(get(fd) == value);
	CHECK(get(null) == -EINVAL);
	copy = round % 2 ? dup(fd) : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	CHECK(get(copy) == value);
	if (round % 3 == 0)
		CHECK(dup2(null, fd) == fd && get(fd) == -EINVAL);
	close(fd);
	CHECK(put(copy, value + 1) == 0 && get(copy) == value + 1);
	close(null);
	close(copy);
}

static void *use_many(void *unused)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		use_one(i);
	return unused;
}

/* Children of a process whose other threads are anywhere. */
static void *fork_many(void *unused)
{
	while (!atomic_load(&over)) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			use_one(0);
			_exit(0);
		}
		CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	}
	return unused;
}

static void run_threads(void)
{
	pthread_t thread[THREADS], forking;

	alarm(240);
	CHECK(pthread_create(&forking, NULL, fork_many, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, use_many, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&over, true);
	pthread_join(forking, NULL);
}

static void numbers_wander_between_threads(void **state)
{
	(void)state;
	in_child(run_threads);
}

static void close_in_handler(int sig)
{
	int error = errno;

	(void)sig;
	close(dup(0));
	errno = error;
}

/* close() may be called in a handler, whatever the thread was doing. */
static void interrupt_often(void)
{
	struct sigaction action = { .sa_handler = close_in_handler, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 50 }, { 0, 50 } };

	alarm(120);
	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &often, NULL);
	for (unsigned i = 0; i < 1500; i++)
		use_one(i);
}

static void handlers_may_close(void **state)
{
	(void)state;
	in_child(interrupt_often);
}

#define HANDLED 300

static volatile sig_atomic_t handled, wrong;

static void make_in_handler(int sig)
{
	int error = errno, fd = make_with(0);

	(void)sig;
	wrong |= fd < 0 || get(fd) != -ENOENT;
	close(fd);
	handled++;
	errno = error;
}

/* So may a map be made, even while the thread was making one. */
static void interrupt_makers(void)
{
	struct sigaction action = { .sa_handler = make_in_handler, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 50 }, { 0, 50 } };

	alarm(120);
	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &often, NULL);
	while (handled < HANDLED && !wrong) {
		int fd = make(1);

		CHECK(fd >= 0 && get(fd) == 1);
		close(fd);
	}
	CHECK(!wrong);
}

static void handlers_may_make_maps(void **state)
{
	(void)state;
	in_child(interrupt_makers);
}

#define CANCELLED 100

static void *make_until_cancelled(void *unused)
{
	for (;;) {
		int state, fd = make(1);

		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
		CHECK(fd >= 0);
		close(fd);
		pthread_setcancelstate(state, NULL);
		pthread_testcancel();
	}
	return unused;
}

/* bpf(2) is no cancellation point: who is cancelled has done what he was about to do. */
static void cancel_makers(void)
{
	alarm(120);
	for (unsigned i = 0; i < CANCELLED; i++) {
		pthread_t thread;
		int fd;

		CHECK(pthread_create(&thread, NULL, make_until_cancelled, NULL) == 0);
		usleep(100 + i * 7);
		pthread_cancel(thread);
		pthread_join(thread, NULL);
		fd = make(1);
		CHECK(fd >= 0 && get(fd) == 1);
		close(fd);
	}
}

static void a_cancelled_thread_leaves_no_lock(void **state)
{
	(void)state;
	in_child(cancel_makers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_wander_between_threads),
		cmocka_unit_test(handlers_may_close),
		cmocka_unit_test(handlers_may_make_maps),
		cmocka_unit_test(a_cancelled_thread_leaves_no_lock),
	};

	skip_without_maps();
	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
