/* SPDX-License-Identifier: MIT */
#include "stop.h"

#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static _Thread_local struct stopped *self; /* this thread, until it was stopped */

static _Thread_local struct {
	void (*call)(void *argument);
	void *argument;
	unsigned skip;
} handler;

static _Thread_local struct {
	void (*call)(void);
	unsigned left, period, until;
	bool inside; /* what is called passes test points, too */
} busy;

static void set_state(struct stopped *stopped, enum stop_state state)
{
	pthread_mutex_lock(&lock);
	stopped->state = state;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void at_point(enum test_point point)
{
	struct stopped *me = self;

	if (handler.call && handler.skip-- == 0) {
		void (*call)(void *argument) = handler.call;

		handler.call = NULL;
		call(handler.argument);
	}
	if (busy.left && !busy.inside && --busy.until == 0) {
		busy.left--;
		busy.until = busy.period;
		busy.inside = true;
		busy.call();
		busy.inside = false;
	}
	if (!me || !(me->points & STOP_AT(point)) || me->skip-- > 0)
		return;
	self = NULL;
	me->where = point;
	set_state(me, STOP_STOPPED);
	pthread_mutex_lock(&lock);
	while (me->state == STOP_STOPPED)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void *run(void *argument)
{
	struct stopped *me = argument;

	self = me;
	me->body(me->argument);
	self = NULL;
	set_state(me, STOP_ENDED);
	return NULL;
}

bool stop_start(struct stopped *stopped, uint32_t points, unsigned skip, void (*body)(void *argument), void *argument)
{
	bool is_stopped;

	*stopped = (struct stopped){ .points = points, .skip = skip, .body = body, .argument = argument };
	usermap_test_point = at_point;
	if (pthread_create(&stopped->thread, NULL, run, stopped)) {
		perror("pthread_create");
		exit(EXIT_FAILURE);
	}
	pthread_mutex_lock(&lock);
	while (stopped->state == STOP_RUNNING)
		pthread_cond_wait(&changed, &lock);
	is_stopped = stopped->state == STOP_STOPPED;
	pthread_mutex_unlock(&lock);
	return is_stopped;
}

void stop_finish(struct stopped *stopped)
{
	pthread_mutex_lock(&lock);
	if (stopped->state == STOP_STOPPED)
		stopped->state = STOP_RELEASED;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(stopped->thread, NULL);
}

void stop_call_at_point(unsigned skip, void (*call)(void *argument), void *argument)
{
	usermap_test_point = at_point;
	handler.call = call;
	handler.argument = argument;
	handler.skip = skip;
}

bool stop_called(void)
{
	bool called = !handler.call;

	handler.call = NULL;
	return called;
}

void stop_call_at_points(unsigned n, unsigned period, void (*call)(void))
{
	usermap_test_point = at_point;
	busy.call = call;
	busy.left = n;
	busy.period = period;
	busy.until = period;
}
