/* SPDX-License-Identifier: MIT */
/* The machine's CPUs, for tests whose threads sit on each of them. */
#ifndef TESTS_QEMU_CPUS_H
#define TESTS_QEMU_CPUS_H

#include <stdbool.h>

#define CPUS_MAX 256u

/* What the kernel says of itself: its possible CPUs, and whether CPU `cpu` can be run on by this process (of those below
 * CPUS_MAX). Read anew at each call. */
unsigned cpus_possible(void);
bool cpus_usable(unsigned cpu);
unsigned cpus_usable_count(void);

/* Puts the calling thread on one CPU. False: it can't be had. */
bool cpus_pin(unsigned cpu);

/* Takes a CPU away from the machine, or gives it back: for guests. False: the kernel refuses. */
bool cpus_set_online(unsigned cpu, bool online);

/* A part of a test that runs in many threads: NULL, or what is wrong. */
typedef const char *(*cpus_work)(unsigned cpu, void *arg);

/* Runs work in `per_cpu` threads on each usable CPU, all at the same time. The number of threads in which something was
 * wrong; says what. */
unsigned cpus_run(unsigned per_cpu, cpus_work work, void *arg);

#define CPUS_TEXT_(x) #x
#define CPUS_TEXT(x)  CPUS_TEXT_(x)
/* In such a part. */
#define EXPECT(condition)                                                        \
	do {                                                                     \
		if (!(condition))                                                \
			return __FILE__ ":" CPUS_TEXT(__LINE__) ": " #condition; \
	} while (0)

#endif
