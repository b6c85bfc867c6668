/* SPDX-License-Identifier: MIT */
/*
 * The serialising scheduler of schedule.h. There is no scheduler thread: whoever arrives at a point decides under the lock
 * and hands the baton on, one semaphore a thread. The caller of schedule_run() only watches for sleepers.
 */
#include "schedule.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/testpoint.h"

#define WATCH_NS 4000000      /* how often the watcher looks for a sleeping thread */
#define HANG_LOOKS 2500       /* looks without any progress before the run counts as hung: 10 s */
#define NOBODY SCHEDULE_THREADS

enum thread_state { IDLE, READY, ASLEEP, FINISHED };

struct thread {
	sem_t baton;
	enum thread_state state;
	pid_t tid;
	unsigned patience; /* points left before it must yield */
};

/* All fields are guarded by lock, except that `body` and `context` are written before the batons are handed out. */
static struct {
	pthread_mutex_t lock;
	struct thread thread[SCHEDULE_THREADS];
	unsigned n_started; /* threads that exist; they are kept from run to run */
	unsigned n;         /* threads of this run */
	unsigned running;   /* who has the baton, or NOBODY */
	unsigned unfinished;
	unsigned step;
	uint64_t progress;
	bool hung;
	struct schedule_policy *policy;
	struct schedule_log *log;
	void (*body)(void *context, unsigned thread);
	void *context;
	sem_t ended;
} run = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local unsigned self = NOBODY;

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) && errno == EINTR)
		;
}

/* Decides who moves after `last` stopped at a point (may_stay: and could go on). Nobody can: NOBODY. */
static unsigned decide(unsigned last, bool may_stay)
{
	struct schedule_choice choice = { 0 };
	unsigned at;

	if (may_stay && run.thread[last].patience) {
		choice.running_first = true;
		choice.thread[choice.n++] = last;
	}
	for (unsigned i = 1; i <= run.n; i++) {
		unsigned t = (last + i) % run.n;

		/* the last one comes last here: if it was to stay it is in already, or has to yield to the others */
		if (run.thread[t].state == READY && !(t == last && may_stay && choice.n))
			choice.thread[choice.n++] = t;
	}
	if (!choice.n)
		return NOBODY;
	at = run.policy->choose(run.policy, run.step, &choice);
	if (at) {
		if (run.log->n < sizeof(run.log->other) / sizeof(run.log->other[0])) {
			run.log->other[run.log->n].step = run.step;
			run.log->other[run.log->n].thread = choice.thread[at];
		}
		run.log->n++;
	}
	run.step++;
	run.progress++;
	if (choice.thread[at] != last)
		run.thread[choice.thread[at]].patience = SCHEDULE_PATIENCE;
	else if (!choice.running_first)
		run.thread[last].patience = SCHEDULE_PATIENCE; /* it should have yielded, but there is nobody else */
	return choice.thread[at];
}

/* Called with the lock held, which it drops. */
static void hand_over(unsigned next)
{
	run.running = next;
	pthread_mutex_unlock(&run.lock);
	if (next != NOBODY)
		sem_post(&run.thread[next].baton);
}

void schedule_point(bool waiting)
{
	struct thread *me;
	unsigned next;

	if (self == NOBODY)
		return;
	me = &run.thread[self];
	pthread_mutex_lock(&run.lock);
	if (me->state == ASLEEP) { /* set aside meanwhile: back in the queue */
		me->state = READY;
		run.progress++;
		if (run.running != NOBODY) {
			pthread_mutex_unlock(&run.lock);
			wait_for(&me->baton);
			return;
		}
		run.running = self;
	}
	if (run.step >= SCHEDULE_MAX_STEPS) {
		run.hung = true;
		sem_post(&run.ended);
		pthread_mutex_unlock(&run.lock);
		wait_for(&me->baton); /* for ever */
	}
	me->patience = waiting || !me->patience ? 0 : me->patience - 1;
	next = decide(self, true);
	if (next == self) {
		pthread_mutex_unlock(&run.lock);
		return;
	}
	hand_over(next);
	wait_for(&me->baton);
}

static void finish(unsigned me)
{
	bool had_baton;

	pthread_mutex_lock(&run.lock);
	had_baton = run.running == me;
	run.thread[me].state = FINISHED;
	run.progress++;
	if (--run.unfinished == 0)
		sem_post(&run.ended);
	if (had_baton || run.running == NOBODY)
		hand_over(decide(me, false));
	else
		pthread_mutex_unlock(&run.lock);
}

static void *thread_main(void *argument)
{
	unsigned me = (unsigned)(uintptr_t)argument;

	self = me;
	pthread_mutex_lock(&run.lock);
	run.thread[me].tid = gettid();
	pthread_mutex_unlock(&run.lock);
	for (;;) {
		wait_for(&run.thread[me].baton);
		run.body(run.context, me);
		finish(me);
	}
	return NULL;
}

static void start_threads(unsigned n)
{
	pthread_t thread;

	if (!run.n_started)
		sem_init(&run.ended, 0, 0);
	for (; run.n_started < n; run.n_started++) {
		sem_init(&run.thread[run.n_started].baton, 0, 0);
		if (pthread_create(&thread, NULL, thread_main, (void *)(uintptr_t)run.n_started)) {
			perror("pthread_create");
			exit(EXIT_FAILURE);
		}
	}
}

/* Whether the thread waits in the kernel (not merely for a CPU). */
static bool sleeps(pid_t tid)
{
	char path[64], line[256], *state;
	bool asleep = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fgets(line, sizeof(line), file)) {
		state = strrchr(line, ')');
		asleep = state && state[1] == ' ' && state[2] == 'S';
	}
	fclose(file);
	return asleep;
}

/* Sets the running thread aside if it sleeps, so that the others can move. */
static void look_for_sleeper(uint64_t *seen, unsigned *looks)
{
	unsigned running;

	pthread_mutex_lock(&run.lock);
	running = run.running;
	if (run.progress != *seen) {
		*seen = run.progress;
		*looks = 0;
	} else if (++*looks >= HANG_LOOKS) {
		run.hung = true;
	} else if (running != NOBODY && run.thread[running].state == READY && sleeps(run.thread[running].tid)) {
		run.thread[running].state = ASLEEP;
		run.progress++;
		hand_over(decide(running, false));
		return;
	}
	pthread_mutex_unlock(&run.lock);
}

enum schedule_result schedule_run(unsigned n, void (*body)(void *context, unsigned thread), void *context,
				  struct schedule_policy *policy, struct schedule_log *log)
{
	uint64_t seen = 0;
	unsigned looks = 0;
	bool hung;

	start_threads(n);
	memset(log, 0, sizeof(*log));
	pthread_mutex_lock(&run.lock);
	run.n = n;
	run.unfinished = n;
	run.step = 0;
	run.hung = false;
	run.policy = policy;
	run.log = log;
	run.body = body;
	run.context = context;
	for (unsigned i = 0; i < n; i++) {
		run.thread[i].state = READY;
		run.thread[i].patience = SCHEDULE_PATIENCE;
	}
	hand_over(decide(n - 1, false)); /* so that the default order is 0, 1, 2 … */
	for (;;) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += WATCH_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (!sem_timedwait(&run.ended, &until))
			break;
		look_for_sleeper(&seen, &looks);
		pthread_mutex_lock(&run.lock);
		hung = run.hung;
		pthread_mutex_unlock(&run.lock);
		if (hung)
			break;
	}
	pthread_mutex_lock(&run.lock);
	hung = run.hung;
	log->n_steps = run.step;
	pthread_mutex_unlock(&run.lock);
	return hung ? SCHEDULE_HUNG : SCHEDULE_DONE;
}

static void at_test_point(enum test_point point)
{
	schedule_point(point == TP_WAIT);
}

__attribute__((constructor)) static void install(void)
{
	usermap_test_point = at_test_point;
}
