/* SPDX-License-Identifier: MIT */
#include "core/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/alloc.h"
#include "core/fork.h"
#include "core/hold.h"

__thread struct thread *thread_self __attribute__((tls_model("initial-exec")));

/* The state of a thread whose sections take the slow path: its first state was released already (see the head of
 * thread.h), or there is no membarrier. */
static __thread struct thread *late_self __attribute__((tls_model("initial-exec")));
static __thread bool exiting __attribute__((tls_model("initial-exec")));
static __thread bool making
	__attribute__((tls_model("initial-exec"))); /* inside a slow path: a handler must not enter */

/* lock guards: threads and its links, every thread's table pointer and size, map_ids. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct thread *threads;
static uint64_t *map_ids; /* bitmap of the ids in use */
static uint32_t n_map_words;

/*
 * When liburcu registers a thread it takes a lock that its fork handlers don't know of: a child that is forked meanwhile
 * would wait for it for ever. So every registration is made with this lock held, and a fork takes it. liburcu's locks are
 * taken inside it. When a thread has ended liburcu takes the lock once more, and there nothing can hold it back. So the
 * thread that forks is registered before: a child of one thread, then, hardly ever has a use for the lock.
 */
static pthread_mutex_t registering = PTHREAD_MUTEX_INITIALIZER;

static pthread_key_t key;
static bool have_key;

extern int __cxa_thread_atexit_impl(void (*fn)(void *), void *arg, void *dso);
extern void *__dso_handle;

static void unlink_thread(struct thread *t)
{
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
}

/* Takes the registry's lock. A signal handler that comes meanwhile must not want it: `making` tells. */
static bool lock_registry(void)
{
	bool was_making = making;

	making = true;
	pthread_mutex_lock(&lock);
	return was_making;
}

static void unlock_registry(bool was_making)
{
	pthread_mutex_unlock(&lock);
	making = was_making;
}

static void destroy(struct thread *t)
{
	bool was_making = lock_registry(); /* to the end of the releases: a map's close waits for them */

	unlink_thread(t);
	for (uint32_t i = 0; i < t->n_writers; i++)
		if (t->writers[i])
			writer_release(t->writers[i]);
	unlock_registry(was_making);
	if (t->writers)
		mem_free(t->writers, t->n_writers * sizeof(*t->writers));
	mem_free(t, sizeof(*t));
}

/* A thread may exit inside a section. liburcu keeps the count with the reader's slot, and its next owner's registration
 * would fail an assertion. */
static void end_section(void)
{
	struct urcu_bp_reader *reader = URCU_TLS(urcu_bp_reader);

	if (!reader)
		return;
	urcu_bp_smp_mb_slave(); /* as at the end of any section */
	_CMM_STORE_SHARED(reader->ctr, 0);
}

/* Runs before the destructors of pthread keys: later calls of this thread go through late_self. */
static void on_exit_thread(void *t)
{
	thread_self = NULL;
	exiting = true;
	pthread_setspecific(key, NULL);
	destroy(t); /* in the section still, if there is one: a store under a value's lock may have to be finished */
	end_section();
}

/* The key's destructor: for state made by late calls, be they the thread's first or not. */
static void on_late_exit(void *t)
{
	thread_self = NULL;
	late_self = NULL;
	exiting = true;
	destroy(t);
	end_section();
}

/* Early, so that the key is next to liburcu's: a key between the two could have a destructor that calls the library
 * when only liburcu's has run. */
__attribute__((constructor)) static void make_key(void)
{
	have_key = !pthread_key_create(&key, on_late_exit);
	/* also before anybody can fork: a thread that forks may be at its first call, while another takes liburcu's locks */
	fork_handlers_install();
}

static struct thread *make(void)
{
	struct thread *t = have_key ? mem_alloc(sizeof(*t)) : NULL;

	if (!t)
		return NULL;
	if (pthread_setspecific(key, t) || (!exiting && __cxa_thread_atexit_impl(on_exit_thread, t, &__dso_handle))) {
		pthread_setspecific(key, NULL);
		mem_free(t, sizeof(*t));
		return NULL;
	}
	pthread_mutex_lock(&lock);
	t->next = threads;
	t->link = &threads;
	if (threads)
		threads->link = &t->next;
	threads = t;
	pthread_mutex_unlock(&lock);
	return t;
}

static void register_thread(void)
{
	struct held before;

	if (URCU_TLS(urcu_bp_reader))
		return;
	hold_begin(&before); /* a handler may register, too */
	pthread_mutex_lock(&registering);
	urcu_bp_register();
	pthread_mutex_unlock(&registering);
	hold_end(&before);
}

bool thread_making_begin(void)
{
	if (making)
		return false;
	making = true;
	return true;
}

void thread_making_end(void)
{
	making = false;
}

/* The thread's state, made if it isn't there. Called with `making` set. */
static struct thread *state(void)
{
	struct thread *t = thread_self ? thread_self : late_self;

	fork_handlers_install();
	if (!t)
		t = make();
	if (t && !thread_self) {
		register_thread();
		t->reader = URCU_TLS(urcu_bp_reader);
		if (exiting || !urcu_bp_has_sys_membarrier)
			late_self = t;
		else
			thread_self = t;
	}
	return t;
}

struct thread *thread_make(void)
{
	struct thread *t;

	if (!thread_making_begin())
		return NULL;
	t = state();
	thread_making_end();
	return t;
}

void thread_read_lock_slow(void)
{
	register_thread();
	urcu_bp_read_lock(); /* sections nest whichever path counts them: it is one counter */
	if (!exiting)
		thread_make();
}

void thread_read_unlock_slow(void)
{
	if (thread_in_section()) /* else the section ended when the thread's exit began */
		urcu_bp_read_unlock();
}

int thread_map_id_get(uint32_t *id)
{
	bool was_making = lock_registry();
	uint32_t word = 0;
	int err = 0;

	while (word < n_map_words && map_ids[word] == ~0ull)
		word++;
	if (word == n_map_words) {
		uint32_t n = n_map_words ? 2 * n_map_words : 1;
		uint64_t *more = mem_alloc(n * sizeof(*more));

		if (more) {
			if (map_ids) {
				memcpy(more, map_ids, n_map_words * sizeof(*more));
				mem_free(map_ids, n_map_words * sizeof(*more));
			}
			map_ids = more;
			n_map_words = n;
		} else {
			err = -ENOMEM;
		}
	}
	if (!err) {
		uint32_t bit = (uint32_t)__builtin_ctzll(~map_ids[word]);

		map_ids[word] |= 1ull << bit;
		*id = word * 64 + bit;
	}
	unlock_registry(was_making);
	return err;
}

void thread_map_id_put(uint32_t id)
{
	bool was_making = lock_registry();

	for (struct thread *t = threads; t; t = t->next) {
		if (id < t->n_writers && t->writers[id]) {
			writer_release(t->writers[id]);
			t->writers[id] = NULL;
		}
	}
	map_ids[id / 64] &= ~(1ull << id % 64);
	unlock_registry(was_making);
}

static int grow(struct thread *self, uint32_t id)
{
	uint32_t n = (id | 15) + 1;
	struct writer **table = mem_alloc(n * sizeof(struct writer *)), **old = self->writers;
	uint32_t n_old = self->n_writers;

	if (!table)
		return -ENOMEM;
	pthread_mutex_lock(&lock);
	if (old)
		memcpy(table, old, n_old * sizeof(struct writer *));
	self->writers = table;
	atomic_signal_fence(memory_order_release); /* a signal handler that sees the size sees the table */
	self->n_writers = n;
	pthread_mutex_unlock(&lock);
	if (old)
		mem_free(old, n_old * sizeof(struct writer *));
	return 0;
}

struct writer *thread_late_writer(uint32_t id)
{
	return late_self && id < late_self->n_writers ? late_self->writers[id] : NULL;
}

int thread_writer_set(uint32_t id, struct writer *writer)
{
	struct thread *self = state();
	int err = 0;

	if (!self)
		return -ENOMEM;
	if (id >= self->n_writers)
		err = grow(self, id);
	if (!err)
		self->writers[id] = writer;
	return err;
}

bool thread_any_writing(const void *map)
{
	bool was_making = lock_registry(), any = false;

	for (const struct thread *t = threads; t && !any; t = t->next)
		any = __atomic_load_n(&t->writing, __ATOMIC_RELAXED) == map; /* relaxed: see struct thread */
	unlock_registry(was_making);
	return any;
}

void thread_fork_prepare(void)
{
	register_thread(); /* also for a signal handler of this thread, which must not want the lock */
	pthread_mutex_lock(&registering);
	urcu_bp_before_fork();
	pthread_mutex_lock(&lock);
}

void thread_fork_parent(void)
{
	pthread_mutex_unlock(&lock);
	urcu_bp_after_fork_parent();
	pthread_mutex_unlock(&registering);
}

void thread_fork_child(bool (*keep)(struct writer *writer), void (*orphan)(struct writer *writer))
{
	struct thread *self = thread_self ? thread_self : late_self, *next;

	urcu_bp_after_fork_child();
	pthread_mutex_unlock(&registering);
	for (struct thread *t = threads; t; t = next) {
		next = t->next;
		for (uint32_t i = 0; i < t->n_writers; i++) {
			if (!t->writers[i] || (t == self && keep(t->writers[i])))
				continue;
			orphan(t->writers[i]);
			t->writers[i] = NULL;
		}
		if (t == self)
			continue;
		unlink_thread(t);
		if (t->writers)
			mem_free(t->writers, t->n_writers * sizeof(*t->writers));
		mem_free(t, sizeof(*t));
	}
	pthread_mutex_unlock(&lock); /* locked by this thread in thread_fork_prepare */
}
