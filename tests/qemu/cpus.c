/* SPDX-License-Identifier: MIT */
#include "cpus.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

unsigned cpus_possible(void)
{
	unsigned first = 0, last = 0, n = 0;
	FILE *list = fopen("/sys/devices/system/cpu/possible", "re");

	/* Linux has them without gaps on the machines that this runs on: one range, or one number. */
	if (list) {
		n = (unsigned)fscanf(list, "%u-%u", &first, &last);
		fclose(list);
	}
	return n == 2 && first == 0 ? last + 1 : n == 1 && first == 0 ? 1 : 0;
}

/* The process's: a thread that was pinned has less. */
static void usable(cpu_set_t *set)
{
	sched_getaffinity(getpid(), sizeof(*set), set);
}

bool cpus_usable(unsigned cpu)
{
	cpu_set_t set;

	usable(&set);
	return cpu < CPUS_MAX && CPU_ISSET(cpu, &set);
}

unsigned cpus_usable_count(void)
{
	unsigned n = 0;

	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
		n += cpus_usable(cpu);
	return n;
}

bool cpus_pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

bool cpus_set_online(unsigned cpu, bool online)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", cpu);

	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return false;

	bool done = write(fd, online ? "1" : "0", 1) == 1;

	close(fd);
	return done;
}

struct worker {
	pthread_t thread;
	pthread_barrier_t *begin;
	cpus_work work;
	void *arg;
	unsigned cpu;
	const char *fault; /* by the worker; read after it was joined */
};

static void *run(void *argument)
{
	struct worker *worker = argument;
	bool pinned = cpus_pin(worker->cpu);

	pthread_barrier_wait(worker->begin);
	worker->fault = pinned ? worker->work(worker->cpu, worker->arg) : "can't have the CPU";
	return NULL;
}

unsigned cpus_run(unsigned per_cpu, cpus_work work, void *arg)
{
	unsigned n = 0, faults = 0, n_workers = per_cpu * cpus_usable_count();
	struct worker *workers = calloc(n_workers, sizeof(*workers));
	pthread_barrier_t begin;

	pthread_barrier_init(&begin, NULL, n_workers);
	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
		for (unsigned i = 0; i < per_cpu && cpus_usable(cpu); i++, n++) {
			workers[n] = (struct worker){ .begin = &begin, .work = work, .arg = arg, .cpu = cpu };
			if (pthread_create(&workers[n].thread, NULL, run, &workers[n]) != 0) {
				perror("pthread_create");
				exit(EXIT_FAILURE);
			}
		}
	}
	while (n-- > 0) {
		pthread_join(workers[n].thread, NULL);
		if (!workers[n].fault)
			continue;
		fprintf(stderr, "CPU %u: %s\n", workers[n].cpu, workers[n].fault);
		faults++;
	}
	pthread_barrier_destroy(&begin);
	free(workers);
	return faults;
}
