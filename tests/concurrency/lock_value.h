/* SPDX-License-Identifier: MIT */
/*
 * What the tests of value locks share: maps of each kind whose values are whole or not, and children that are killed
 * while they use them.
 */
#ifndef TESTS_CONCURRENCY_LOCK_VALUE_H
#define TESTS_CONCURRENCY_LOCK_VALUE_H

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <usermap/helper.h>

#include "core/testpoint.h"

#define ENTRIES	      8
#define WORDS	      16
#define LOCK_WORD     8 /* the lock is in the middle, so that there is a place inside a copy */
#define SIZE	      (8 * WORDS)
#define CHILD_SECONDS 30
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum { OLD = 1, NEW, NEWER };

static const struct kind {
	enum bpf_map_type type;
	bool shared;
} kinds[] = { { BPF_MAP_TYPE_ARRAY, true },
	      { BPF_MAP_TYPE_HASH, true },
	      { BPF_MAP_TYPE_ARRAY, false },
	      { BPF_MAP_TYPE_HASH, false } };

#define SHARED_KINDS 2

static uint32_t the_key = 3;

/* Every word of a value is its number, but for the lock's, which is 0. */
static inline int update(struct usermap *map, uint64_t number, uint64_t flags)
{
	uint64_t value[WORDS];

	for (unsigned i = 0; i < WORDS; i++)
		value[i] = number;
	return usermap_update_elem(map, &the_key, value, flags);
}

/* The value's number, 0: it isn't whole; -errno. */
static inline int64_t lookup(struct usermap *map, uint64_t flags)
{
	uint64_t value[WORDS];
	int error = usermap_lookup_elem(map, &the_key, value, flags);

	if (error)
		return error;
	for (unsigned i = 0; i < WORDS; i++)
		if (value[i] != (i == LOCK_WORD ? 0 : value[0]))
			return 0;
	return (int64_t)value[0];
}

static inline struct bpf_spin_lock *lock_of(struct usermap *map)
{
	uint64_t *value;

	usermap_read_lock();
	value = usermap_helper_lookup_elem(map, &the_key);
	usermap_read_unlock();
	return (struct bpf_spin_lock *)(void *)&value[LOCK_WORD];
}

static inline struct usermap *make(struct kind kind)
{
	const struct usermap_opts opts = { .sz = sizeof(opts),
					   .memory = kind.shared ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE,
					   .spin_lock = 1,
					   .spin_lock_off = 8 * LOCK_WORD };
	struct usermap *map;

	usermap_test_point = NULL;
	assert_int_equal(usermap_create(kind.type, "locks", 4, SIZE, ENTRIES, &opts, &map), 0);
	assert_int_equal(update(map, OLD, 0), 0);
	return map;
}

/* The operations that the tests let others do: >= 0, or -errno. */
typedef int (*work_fn)(struct usermap *map);

static inline int store_new(struct usermap *map)
{
	return update(map, NEW, BPF_F_LOCK);
}

static inline int lock_and_unlock(struct usermap *map)
{
	struct bpf_spin_lock *lock = lock_of(map);
	int error = usermap_helper_spin_lock(lock);

	return error ? error : usermap_helper_spin_unlock(lock);
}

/* Processes killed at a step */

static struct {
	enum test_point point;
	unsigned skip;
} killer;

static inline void kill_self(enum test_point point)
{
	if (point == killer.point && !killer.skip--)
		raise(SIGKILL);
}

/* Runs the work in a child that is killed at the point, after `skip` of them. */
static inline void killed_at(struct usermap *map, work_fn work, enum test_point point, unsigned skip)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(CHILD_SECONDS);
		killer.point = point;
		killer.skip = skip;
		usermap_test_point = kill_self;
		work(map);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

#endif
