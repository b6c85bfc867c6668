/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests share: cmocka, random numbers under a seed that is printed and can be given, and counts of what
 * the process holds, by which a leak is seen.
 */
#ifndef TESTS_UNIT_SUPPORT_H
#define TESTS_UNIT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Reads --seed N from the command line, else draws one; prints it. */
void support_seed(int argc, char **argv);
uint64_t support_random(void);
/* For a thread other than main: numbers of its own. */
void support_random_seed(uint64_t seed);
/* Below n, which is > 0. */
uint64_t support_random_below(uint64_t n);

/* What a failed call must leave as it was. */
struct holdings {
	unsigned fds;
	unsigned mappings;
	unsigned files; /* in the directory */
};
struct holdings support_holdings(const char *directory);
void support_assert_same(struct holdings before, struct holdings after);

/* A directory of its own in /dev/shm; support_scratch_remove() wants it empty. */
const char *support_scratch_make(char path[64]);
void support_scratch_remove(const char *path);

/* Makes the n-th acquisition of memory (from 1) fail; 0: none. support_acquisitions(): how many there were since. */
void support_fail_nth(unsigned n);
unsigned support_acquisitions(void);

/* Whether the kernel is qemu-user's: there MADV_POPULATE_WRITE does nothing and says it did, so that private memory is
 * there only once it is written to; and address space costs memory and time by the page. */
bool support_emulated(void);

/* Runs fn in a child and returns its wait status. */
int support_in_child(int (*fn)(void *arg), void *arg);

#endif
