/* SPDX-License-Identifier: MIT */
/* Who moves next: the policies of schedule.h: replay, random, few preemptions, bounded depth-first search. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schedule.h"

void schedule_print(const struct schedule_log *log, FILE *out)
{
	const unsigned room = sizeof(log->other) / sizeof(log->other[0]);

	if (!log->n)
		fputc('-', out);
	for (unsigned i = 0; i < log->n && i < room; i++)
		fprintf(out, "%s%u:%u", i ? "," : "", log->other[i].step, log->other[i].thread);
	if (log->n > room)
		fprintf(out, " (cut: replay it by its seed)");
}

static unsigned replay_choose(struct schedule_policy *policy, unsigned step, const struct schedule_choice *choice)
{
	struct schedule_replay *replay = (struct schedule_replay *)policy;

	if (replay->at == replay->log.n || replay->log.other[replay->at].step != step)
		return 0;
	for (unsigned i = 0; i < choice->n; i++)
		if (choice->thread[i] == replay->log.other[replay->at].thread) {
			replay->at++;
			return i;
		}
	fprintf(stderr, "replay: thread %u can't move at step %u: the run went differently\n",
		replay->log.other[replay->at].thread, step);
	replay->at++;
	return 0;
}

bool schedule_parse(struct schedule_replay *replay, const char *text)
{
	memset(replay, 0, sizeof(*replay));
	replay->policy.choose = replay_choose;
	if (!strcmp(text, "-"))
		return true;
	while (replay->log.n < sizeof(replay->log.other) / sizeof(replay->log.other[0])) {
		int used = 0;

		if (sscanf(text, "%u:%u%n", &replay->log.other[replay->log.n].step, &replay->log.other[replay->log.n].thread,
			   &used) != 2)
			return false;
		replay->log.n++;
		text += used;
		if (!*text)
			return true;
		if (*text++ != ',')
			return false;
	}
	return false;
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t x;

	*state += 0x9e3779b97f4a7c15ull;
	x = (*state ^ (*state >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static unsigned random_choose(struct schedule_policy *policy, unsigned step, const struct schedule_choice *choice)
{
	struct schedule_random *random = (struct schedule_random *)policy;
	uint64_t x = next_random(&random->state);

	(void)step;
	if (choice->running_first && x % random->period)
		return 0;
	return (unsigned)((x >> 32) % choice->n);
}

void schedule_random_init(struct schedule_random *random, uint64_t seed, unsigned period)
{
	random->policy.choose = random_choose;
	random->state = seed;
	random->period = period;
}

static unsigned few_choose(struct schedule_policy *policy, unsigned step, const struct schedule_choice *choice)
{
	struct schedule_few *few = (struct schedule_few *)policy;
	unsigned x = (unsigned)(next_random(&few->state) >> 32);

	if (!choice->running_first)
		return x % choice->n;
	for (unsigned i = 0; i < few->n && choice->n > 1; i++)
		if (few->at[i] == step)
			return 1 + x % (choice->n - 1);
	return 0;
}

void schedule_few_init(struct schedule_few *few, uint64_t seed, unsigned n, unsigned span)
{
	few->policy.choose = few_choose;
	few->state = seed;
	few->n = n < SCHEDULE_FEW ? n : SCHEDULE_FEW;
	for (unsigned i = 0; i < few->n; i++)
		few->at[i] = (unsigned)(next_random(&few->state) >> 32) % span;
}

static unsigned search_choose(struct schedule_policy *policy, unsigned step, const struct schedule_choice *choice)
{
	struct schedule_search *search = (struct schedule_search *)policy;
	bool varied = choice->running_first ? search->preemptions < search->bound : search->free < SCHEDULE_FREE;
	unsigned options = varied ? choice->n : 1, chosen = 0;

	if (step >= SCHEDULE_DEPTH) {
		search->too_deep = true;
		return 0;
	}
	if (step < search->prefix) {
		chosen = search->path[step].chosen;
		if (chosen >= options) {
			search->diverged++;
			chosen = 0;
		}
	}
	search->path[step].chosen = (unsigned char)chosen;
	search->path[step].options = (unsigned char)options;
	search->depth = step + 1;
	if (choice->running_first && chosen)
		search->preemptions++;
	if (!choice->running_first && choice->n > 1)
		search->free++;
	return chosen;
}

void schedule_search_init(struct schedule_search *search, unsigned bound)
{
	memset(search, 0, sizeof(*search));
	search->policy.choose = search_choose;
	search->bound = bound;
}

bool schedule_search_next(struct schedule_search *search)
{
	unsigned at = search->depth;

	while (at && search->path[at - 1].chosen + 1 == search->path[at - 1].options)
		at--;
	if (!at)
		return false;
	search->path[at - 1].chosen++;
	search->prefix = at;
	search->depth = 0;
	search->preemptions = 0;
	search->free = 0;
	return true;
}
