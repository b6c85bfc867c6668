/* SPDX-License-Identifier: MIT */
/* core/listlock: who has the lock, who is told that its holder is gone, and who gets it then. */
#include "lru_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_SECONDS 60
#define THREADS	      3
#define ROUNDS	      20000

static struct fixture *f;
static struct listlock *lock;

static int setup(void **state)
{
	const struct fixture_shape shape = { .n = 1, .n_cpus = 1, .shared = true };

	(void)state;
	f = fixture_make(&shape);
	lock = &lru_set_of(&f->e, 0)->lock;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_free(f);
	return 0;
}

static uint64_t word_of(uint64_t op, uint32_t record)
{
	return op << RECORD_BITS | record;
}

static void the_holder_is_named_and_the_lock_is_free_afterwards(void **state)
{
	struct writer *w = fixture_begin(f, 0, 0);

	(void)state;
	assert_true(listlock_acquire(lock, w));
	assert_int_equal(lock->word, w->owner);
	listlock_release(lock);
	assert_int_equal(lock->word, 0);
	assert_false(listlock_seize(lock, w)); /* nobody's: nothing to make whole */
	assert_int_equal(lock->word, w->owner);
	listlock_release(lock);
}

static uint64_t guarded; /* not atomic: TSan, too, sees whether the lock guards it */

static void *add(void *argument)
{
	unsigned writer = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct writer *w = fixture_begin(f, writer, 0);

		assert_true(listlock_acquire(lock, w));
		guarded++;
		listlock_release(lock);
		fixture_end(w);
	}
	return NULL;
}

static void only_one_has_it(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add, (void *)i), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(guarded, THREADS * ROUNDS);
}

/* A word that no running operation wrote: who waits is told, who seizes is told and has the lock. */
static void assert_gone(uint64_t word)
{
	struct writer *w = &f->w[0];

	lock->word = word;
	assert_false(listlock_acquire(lock, w));
	assert_int_equal(lock->word, word); /* not by waiting */
	assert_true(listlock_seize(lock, w));
	assert_int_equal(lock->word, w->owner);
	listlock_release(lock);
}

static void words_of_no_running_operation_are_gone(void **state)
{
	struct writer *other = fixture_begin(f, 1, 0);
	uint64_t ended = other->owner, op;

	(void)state;
	fixture_end(other);
	fixture_begin(f, 0, 0);
	assert_gone(ended); /* its thread left it */
	op = atomic_load(&other->record->op);
	assert_gone(word_of(op, other->index));	    /* a number between operations */
	assert_gone(word_of(op + 1, other->index)); /* one that is still to come */
	assert_gone(word_of(1, FIXTURE_WRITERS));   /* a record that nobody has held */
	assert_gone(word_of(1, RECORDS - 1));
	assert_gone(f->w[0].owner); /* the waiter's own */
	assert_gone(UINT64_MAX);
}

static pid_t start_holder(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(CHILD_SECONDS);
		fixture_join(f);
		if (!listlock_acquire(lock, fixture_begin(f, 0, 0)))
			_exit(1);
		for (;;)
			pause();
	}
	while (!atomic_load(&lock->word))
		usleep(100);
	return pid;
}

static void dead_processes_are_gone(void **state)
{
	pid_t pid = start_holder();
	uint64_t word = atomic_load(&lock->word);

	(void)state;
	assert_false(listlock_over(&f->writers, word));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(listlock_over(&f->writers, word));
	fixture_begin(f, 0, 0);
	assert_gone(word);
}

static _Atomic unsigned waits;

static void count_waits(enum test_point point)
{
	waits += point == TP_WAIT;
}

static void *acquire(void *argument)
{
	(void)argument;
	return (void *)(uintptr_t)listlock_acquire(lock, fixture_begin(f, 0, 0));
}

/* A stopped holder delays, no more and no less. */
static void a_stopped_holder_is_waited_for(void **state)
{
	pid_t pid = start_holder();
	pthread_t thread;
	void *had;

	(void)state;
	kill(pid, SIGSTOP);
	usleep(1000);
	usermap_test_point = count_waits;
	assert_int_equal(pthread_create(&thread, NULL, acquire, NULL), 0);
	while (waits < 70) /* it has come to naps, in which it asks for the holder */
		usleep(1000);
	usermap_test_point = NULL;
	assert_int_not_equal(atomic_load(&lock->word), f->w[0].owner);
	listlock_release(lock); /* as the holder does */
	pthread_join(thread, &had);
	assert_true(had);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void *seize(void *argument)
{
	struct writer *w = fixture_begin(f, (unsigned)(uintptr_t)argument, 0);
	bool gone = listlock_seize(lock, w);

	guarded++;
	listlock_release(lock);
	return (void *)(uintptr_t)gone;
}

static void of_several_one_finds_it_gone(void **state)
{
	(void)state;
	guarded = 0;
	for (unsigned round = 0; round < 200; round++) {
		pthread_t threads[THREADS];
		uintptr_t n = 0;
		void *gone;

		for (unsigned i = 0; round && i < THREADS; i++)
			fixture_end(&f->w[i]);
		lock->word = word_of(1, FIXTURE_WRITERS);
		for (uintptr_t i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, seize, (void *)i), 0);
		for (unsigned i = 0; i < THREADS; i++) {
			pthread_join(threads[i], &gone);
			n += (uintptr_t)gone;
		}
		assert_int_equal(n, 1);
	}
	assert_int_equal(guarded, 200 * THREADS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_holder_is_named_and_the_lock_is_free_afterwards, setup, teardown),
		cmocka_unit_test_setup_teardown(only_one_has_it, setup, teardown),
		cmocka_unit_test_setup_teardown(words_of_no_running_operation_are_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(dead_processes_are_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stopped_holder_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(of_several_one_finds_it_gone, setup, teardown),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
