/* SPDX-License-Identifier: MIT */
/*
 * Value locks whose owners go away: processes killed at each step of an update, threads that exit in
 * the middle of one, forks, signal handlers. What is left is the old value or the new one, whole, and a lock that
 * others get.
 *
 * A child's judgement is its exit status: cmocka's own failure would run the parent's remaining tests in the child.
 */
#include "lock_value.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "core/vlock.h"
#include "map/map.h"
#include "stop.h"

/* The lock is free and works, for this process and another one. */
static void assert_usable(struct usermap *map)
{
	int status;
	pid_t pid;

	assert_int_equal(update(map, NEWER, BPF_F_LOCK), 0);
	assert_int_equal(lookup(map, BPF_F_LOCK), NEWER);
	pid = fork();
	if (!pid) {
		alarm(CHILD_SECONDS);
		_exit(update(map, OLD, BPF_F_LOCK) || lookup(map, BPF_F_LOCK) != OLD);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Processes killed at a step */

static int read_locked(struct usermap *map)
{
	return (int)lookup(map, BPF_F_LOCK);
}

static int read_plain(struct usermap *map)
{
	return (int)lookup(map, 0);
}

static const struct {
	enum test_point point;
	unsigned skip;
	int left; /* the value's number afterwards */
} steps[] = {
	{ TP_LOCK, 0, OLD },   { TP_LOCKED, 0, OLD },	{ TP_COPY, 0, OLD }, /* into the spare */
	{ TP_REDO, 0, NEW },   { TP_COPY, 1, NEW },			     /* into the value */
	{ TP_UNLOCK, 0, NEW }, { TP_UNLOCKED, 0, NEW },
};

static void a_process_killed_in_an_update_leaves_the_old_value_or_the_new_one(void **state)
{
	const work_fn takers[] = { read_locked, lock_and_unlock, store_new };

	(void)state;
	for (unsigned k = 0; k < SHARED_KINDS; k++) {
		for (unsigned s = 0; s < ARRAY_SIZE(steps); s++) {
			for (unsigned t = 0; t < ARRAY_SIZE(takers); t++) {
				struct usermap *map = make(kinds[k]);

				killed_at(map, store_new, steps[s].point, steps[s].skip);
				assert_true(takers[t](map) >= 0);
				assert_int_equal(lookup(map, BPF_F_LOCK), t == 2 ? NEW : steps[s].left);
				assert_usable(map);
				usermap_close(map);
			}
		}
	}
}

/* The lookup that isn't asked to lock: in hash maps it is never torn, and so takes over, too. */
static void a_plain_lookup_in_a_hash_finishes_a_dead_owners_store(void **state)
{
	struct usermap *map = make((struct kind){ BPF_MAP_TYPE_HASH, true });

	(void)state;
	killed_at(map, store_new, TP_COPY, 1);
	assert_int_equal(read_plain(map), NEW);
	assert_usable(map);
	usermap_close(map);
}

static void a_process_killed_while_it_takes_over_leaves_the_same(void **state)
{
	static const struct {
		enum test_point point;
		unsigned skip;
	} again[] = { { TP_LOCK, 0 },	{ TP_TAKEN, 0 },  { TP_COPY, 0 },
		      { TP_LOCKED, 0 }, { TP_UNLOCK, 0 }, { TP_UNLOCKED, 0 } };

	(void)state;
	for (unsigned k = 0; k < SHARED_KINDS; k++) {
		for (unsigned s = 1; s < ARRAY_SIZE(steps) - 1; s++) { /* those that leave the lock taken */
			for (unsigned a = 0; a < ARRAY_SIZE(again); a++) {
				struct usermap *map;

				if (again[a].point == TP_COPY && (steps[s].left == OLD || steps[s].point == TP_UNLOCK))
					continue; /* there is nothing to finish */
				map = make(kinds[k]);
				killed_at(map, store_new, steps[s].point, steps[s].skip);
				killed_at(map, lock_and_unlock, again[a].point, again[a].skip);
				killed_at(map, lock_and_unlock, TP_UNLOCK, 0);
				assert_int_equal(lookup(map, BPF_F_LOCK), steps[s].left);
				assert_usable(map);
				usermap_close(map);
			}
		}
	}
}

static int store_then_hold(struct usermap *map)
{
	store_new(map);
	update(map, NEWER, 0);
	return lock_and_unlock(map);
}

static void what_an_owner_had_stored_earlier_is_not_stored_again(void **state)
{
	(void)state;
	for (unsigned k = 0; k < SHARED_KINDS; k++) {
		struct usermap *map = make(kinds[k]);

		killed_at(map, store_then_hold, TP_LOCKED, 1);
		assert_int_equal(lookup(map, BPF_F_LOCK), NEWER);
		assert_usable(map);
		usermap_close(map);
	}
}

/* Elements that are reused, while a thread is late: it has found its key, or even has the lock, when the entry is
 * removed */

enum late_place { AT_START, AT_FOUND, AT_LOCK, AT_END };

static struct {
	struct usermap *map;
	_Atomic enum late_place at;
	_Atomic enum late_place may; /* how far it may go */
	int result;
} late;

static _Thread_local bool is_late;

static void reach(enum late_place place)
{
	late.at = place;
	while (late.may <= place)
		usleep(100);
}

static void late_point(enum test_point point)
{
	if (is_late && point == TP_ANNOUNCE && late.at == AT_START)
		reach(AT_FOUND);
	else if (is_late && point == TP_LOCKED && late.at == AT_FOUND)
		reach(AT_LOCK);
}

static void *store_late(void *unused)
{
	is_late = true;
	late.result = store_new(late.map);
	late.at = AT_END;
	return unused;
}

static void let_go(enum late_place place)
{
	late.may = place;
	while (late.at < place)
		usleep(100);
}

static pthread_t start_late(struct usermap *map)
{
	pthread_t thread;

	late.map = map;
	late.at = AT_START;
	late.may = AT_FOUND;
	usermap_test_point = late_point;
	assert_int_equal(pthread_create(&thread, NULL, store_late, NULL), 0);
	let_go(AT_FOUND);
	return thread;
}

static void end_late(pthread_t thread)
{
	let_go(AT_END);
	pthread_join(thread, NULL);
	assert_int_equal(late.result, 0);
	assert_int_equal(lookup(late.map, BPF_F_LOCK), NEW);
	usermap_test_point = NULL;
	assert_usable(late.map);
}

/* Whether this thread will take the element soon, without a look at who has announced it. */
static bool at_hand(struct usermap *map, uint32_t element)
{
	const struct value_locks *l = map->ops->value_locks(map);
	uint32_t i = writer_find(l->writers)->record->elements.head[0];

	while (i && i != element)
		i = (uint32_t)*slab_link(l->writers->elements, i);
	return i != 0;
}

static void delete (struct usermap *map)
{
	assert_int_equal(usermap_delete_elem(map, &the_key), 0);
}

static void insert_and_delete_another(struct usermap *map)
{
	the_key++;
	assert_int_equal(update(map, OLD, 0), 0);
	delete (map);
	the_key--;
}

#define MANY 1000 /* more than a thread has elements at hand */

/* Else two threads would have it: the late one finds the same element under its key. */
static void a_lock_stays_locked_when_its_element_comes_back(void **state)
{
	struct usermap *map = make(kinds[1]);
	struct bpf_spin_lock *lock = lock_of(map);
	uint32_t element = vlock_at(map->ops->value_locks(map), lock);
	pthread_t thread = start_late(map);

	(void)state;
	delete (map);
	for (unsigned i = 0; i < MANY && !at_hand(map, element); i++)
		insert_and_delete_another(map);
	assert_true(at_hand(map, element));
	let_go(AT_LOCK);
	assert_int_equal(update(map, OLD, 0), 0);
	for (unsigned i = 0; i < MANY && lock_of(map) != lock; i++) {
		delete (map);
		assert_int_equal(update(map, OLD, 0), 0);
	}
	assert_ptr_equal(lock_of(map), lock);
	assert_true(lock->val >> 31);
	end_late(thread);
	usermap_close(map);
}

static void a_removed_element_is_not_reused_while_somebody_has_its_lock(void **state)
{
	struct usermap *map = make(kinds[1]);
	struct bpf_spin_lock *lock = lock_of(map);
	pthread_t thread = start_late(map);

	(void)state;
	let_go(AT_LOCK);
	delete (map);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(update(map, OLD, 0), 0);
		assert_ptr_not_equal(lock_of(map), lock);
		delete (map);
	}
	end_late(thread);
	usermap_close(map);
}

/* An update that meets others wherever it can: its key comes before it inserts it, and goes before it has the lock. */

static bool met_insert, met_delete;

static void *insert_key(void *map)
{
	return (void *)(intptr_t)update(map, NEWER, BPF_NOEXIST);
}

static void *delete_key(void *map)
{
	return (void *)(intptr_t)usermap_delete_elem(map, &the_key);
}

static void in_another_thread(void *(*call)(void *map))
{
	pthread_t thread;
	void *error;

	usermap_test_point = NULL;
	assert_int_equal(pthread_create(&thread, NULL, call, late.map), 0);
	pthread_join(thread, &error);
	assert_null(error);
}

static void meet(enum test_point point)
{
	if (point == TP_COMMIT && !met_insert) {
		met_insert = true;
		in_another_thread(insert_key);
		usermap_test_point = meet;
	} else if (point == TP_ANNOUNCE && !met_delete) {
		met_delete = true;
		in_another_thread(delete_key);
	}
}

/* However many elements it has at hand: each round takes one of them for good. */
static void an_update_whose_key_comes_and_goes_still_has_an_element(void **state)
{
	struct usermap *map = make(kinds[1]);

	(void)state;
	late.map = map;
	for (unsigned i = 0; i < 200; i++) {
		delete (map);
		met_insert = met_delete = false;
		usermap_test_point = meet;
		assert_int_equal(store_new(map), 0);
		usermap_test_point = NULL;
		assert_true(met_insert && met_delete);
		assert_int_equal(lookup(map, 0), NEW);
	}
	usermap_close(map);
}

/* Owners that live */

static pid_t start_holder(struct usermap *map, void (*hold)(struct usermap *map))
{
	static atomic_bool *holding;
	pid_t pid;

	if (!holding)
		holding = mmap(NULL, sizeof(*holding), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*holding = false;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(CHILD_SECONDS);
		hold(map);
		*holding = true;
		for (;;)
			pause();
	}
	while (!*holding)
		usleep(100);
	return pid;
}

static atomic_bool got;

static void *get_lock(void *map)
{
	intptr_t error = lock_and_unlock(map);

	got = true;
	return (void *)error;
}

static void take(struct usermap *map)
{
	if (usermap_helper_spin_lock(lock_of(map)))
		_exit(1);
}

static void *take_and_leave_by_system_call(void *map)
{
	take(map);
	syscall(SYS_exit, 0);
	return NULL;
}

static void take_in_a_thread_that_leaves(struct usermap *map)
{
	pthread_t thread;

	pthread_create(&thread, NULL, take_and_leave_by_system_call, map);
	pthread_join(thread, NULL);
}

/* Waiting has no end while the owner's process is there, even if the thread is not, or it is stopped. */
static void a_lock_is_kept_as_long_as_the_process_lives(void **state)
{
	static void (*const holds[])(struct usermap * map) = { take, take_in_a_thread_that_leaves };

	(void)state;
	for (unsigned k = 0; k < SHARED_KINDS; k++) {
		for (unsigned h = 0; h < ARRAY_SIZE(holds); h++) {
			struct usermap *map = make(kinds[k]);
			pid_t holder = start_holder(map, holds[h]);
			pthread_t thread;
			void *error;

			got = false;
			kill(holder, SIGSTOP);
			assert_int_equal(pthread_create(&thread, NULL, get_lock, map), 0);
			usleep(20000);
			assert_false(got);
			kill(holder, SIGKILL);
			pthread_join(thread, &error);
			assert_null(error);
			assert_int_equal(waitpid(holder, NULL, 0), holder);
			assert_usable(map);
			usermap_close(map);
		}
	}
}

/* Threads that end */

static void *take_and_return(void *map)
{
	take(map);
	return NULL;
}

static struct stop_point {
	enum test_point point;
	unsigned skip;
} leaver;

static void leave_at_point(enum test_point point)
{
	if (point != leaver.point || leaver.skip--)
		return;
	usermap_test_point = NULL;
	pthread_exit(NULL);
}

static void *store_and_leave(void *map)
{
	usermap_test_point = leave_at_point;
	store_new(map);
	return map;
}

static void a_thread_that_ends_releases_its_lock(void **state)
{
	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct usermap *map = make(kinds[k]);
		pthread_t thread;

		pthread_create(&thread, NULL, take_and_return, map);
		pthread_join(thread, NULL);
		assert_int_equal(lock_and_unlock(map), 0);
		assert_int_equal(lookup(map, BPF_F_LOCK), OLD);
		usermap_close(map);
	}
}

static void a_thread_that_ends_in_an_update_leaves_the_old_value_or_the_new_one(void **state)
{
	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (unsigned s = 0; s < ARRAY_SIZE(steps); s++) {
			struct usermap *map = make(kinds[k]);
			pthread_t thread;
			void *ended;

			leaver = (struct stop_point){ steps[s].point, steps[s].skip };
			pthread_create(&thread, NULL, store_and_leave, map);
			pthread_join(thread, &ended);
			assert_null(ended);
			assert_int_equal(lookup(map, BPF_F_LOCK), steps[s].left);
			assert_usable(map);
			usermap_close(map);
		}
	}
}

/* fork() */

static void store_in_thread(void *map)
{
	store_new(map);
}

/* Whether the child finds this number and a lock that it gets. */
static bool child_finds(struct usermap *map, int number)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(CHILD_SECONDS);
		_exit(lookup(map, BPF_F_LOCK) != number || lock_and_unlock(map) || update(map, NEWER, BPF_F_LOCK) ||
		      lookup(map, BPF_F_LOCK) != NEWER);
	}
	waitpid(pid, &status, 0);
	return !status;
}

static void a_forked_childs_own_copy_has_no_lock_of_other_threads(void **state)
{
	(void)state;
	for (unsigned k = SHARED_KINDS; k < ARRAY_SIZE(kinds); k++) {
		for (unsigned s = 0; s < ARRAY_SIZE(steps); s++) {
			struct usermap *map = make(kinds[k]);
			struct stopped thread;
			bool well;

			assert_true(stop_start(&thread, STOP_AT(steps[s].point), steps[s].skip, store_in_thread, map));
			well = child_finds(map, steps[s].left);
			stop_finish(&thread);
			assert_true(well);
			assert_int_equal(lookup(map, BPF_F_LOCK), NEW);
			usermap_close(map);
		}
	}
}

static void a_forked_child_holds_its_parents_lock_in_its_own_copy_alone(void **state)
{
	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct usermap *map = make(kinds[k]);
		int status;
		pid_t pid;

		take(map);
		pid = fork();
		if (!pid)
			_exit(usermap_helper_spin_unlock(lock_of(map)) != (kinds[k].shared ? -EPERM : 0));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(usermap_helper_spin_unlock(lock_of(map)), 0);
		assert_usable(map);
		usermap_close(map);
	}
}

/* Signal handlers */

static void in_handler(void *map)
{
	int64_t number = lookup(map, BPF_F_LOCK);
	int error = update(map, NEWER, BPF_F_LOCK);

	assert_true(number == OLD || number == NEW || number == -EDEADLK || number == -EBUSY);
	assert_true(!error || error == -EDEADLK || error == -EBUSY);
	error = usermap_helper_spin_lock(lock_of(map));
	assert_true(!error || error == -EDEADLK || error == -EBUSY);
	if (!error)
		assert_int_equal(usermap_helper_spin_unlock(lock_of(map)), 0);
	else
		assert_int_not_equal(usermap_helper_spin_unlock(lock_of(map)), 0); /* it has no lock, its thread may */
	the_key++;
	number = lookup(map, BPF_F_LOCK);
	the_key--;
	assert_int_equal(number, OLD);
}

static void interrupted_anywhere(struct usermap *map, work_fn work, int left)
{
	for (unsigned skip = 0;; skip++) {
		the_key++;
		assert_int_equal(update(map, OLD, 0), 0);
		the_key--;
		assert_int_equal(update(map, OLD, BPF_F_LOCK), 0);
		stop_call_at_point(skip, in_handler, map);
		assert_true(work(map) >= 0);
		if (!stop_called())
			break;
		assert_int_equal(lookup(map, BPF_F_LOCK), left);
		assert_int_equal(lock_and_unlock(map), 0);
	}
}

static void handlers_of_signals_dont_wait_for_their_own_thread(void **state)
{
	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct usermap *map = make(kinds[k]);

		interrupted_anywhere(map, store_new, NEW);
		usermap_close(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_killed_in_an_update_leaves_the_old_value_or_the_new_one),
		cmocka_unit_test(a_plain_lookup_in_a_hash_finishes_a_dead_owners_store),
		cmocka_unit_test(what_an_owner_had_stored_earlier_is_not_stored_again),
		cmocka_unit_test(a_lock_stays_locked_when_its_element_comes_back),
		cmocka_unit_test(a_removed_element_is_not_reused_while_somebody_has_its_lock),
		cmocka_unit_test(an_update_whose_key_comes_and_goes_still_has_an_element),
		cmocka_unit_test(a_process_killed_while_it_takes_over_leaves_the_same),
		cmocka_unit_test(a_lock_is_kept_as_long_as_the_process_lives),
		cmocka_unit_test(a_thread_that_ends_releases_its_lock),
		cmocka_unit_test(a_thread_that_ends_in_an_update_leaves_the_old_value_or_the_new_one),
		cmocka_unit_test(a_forked_childs_own_copy_has_no_lock_of_other_threads),
		cmocka_unit_test(a_forked_child_holds_its_parents_lock_in_its_own_copy_alone),
		cmocka_unit_test(handlers_of_signals_dont_wait_for_their_own_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
