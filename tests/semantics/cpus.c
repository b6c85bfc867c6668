/* SPDX-License-Identifier: MIT */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpus.h"

static struct {
	uint32_t possible;
	uint32_t n; /* that may be used, as it was at first: */
	uint32_t usable[CPU_SETSIZE];
	uint32_t pinned; /* 0: not yet; else the number + 1 in usable[] */
} cpus;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void find(void)
{
	FILE *file = fopen("/sys/devices/system/cpu/possible", "re");
	unsigned from, to;
	cpu_set_t set;

	if (!file)
		die("the possible CPUs");
	while (fscanf(file, "%u", &from) == 1) {
		to = from;
		if (fscanf(file, "-%u", &to) == 1 && to < from)
			die("the possible CPUs");
		cpus.possible += to - from + 1;
		if (fgetc(file) != ',')
			break;
	}
	fclose(file);
	if (sched_getaffinity(0, sizeof(set), &set))
		die("the usable CPUs");
	for (uint32_t i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			cpus.usable[cpus.n++] = i;
	if (!cpus.possible || !cpus.n)
		die("no CPUs");
}

uint32_t cpus_possible(void)
{
	if (!cpus.n)
		find();
	return cpus.possible;
}

uint32_t cpus_usable(void)
{
	if (!cpus.n)
		find();
	return cpus.n;
}

bool cpus_all_usable(void)
{
	return cpus_possible() == cpus_usable() && cpus.usable[cpus.n - 1] == cpus.n - 1;
}

void cpus_pin(uint32_t n)
{
	cpu_set_t set;

	n %= cpus_usable();
	if (cpus.pinned == n + 1)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpus.usable[n], &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("moving to another CPU");
	cpus.pinned = n + 1;
}
