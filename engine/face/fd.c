/* SPDX-License-Identifier: MIT */
/*
 * From a descriptor to a map: the process's table of the command-face maps that it has seen.
 *
 * A command asks the kernel for the descriptor's cookie (mapfile.h), one lseek, and finds the handle under the cookie's
 * key in a hash table that readers walk without a lock. A key that isn't there came from another process, by exec or
 * SCM_RIGHTS: the process attaches.
 *
 * With usermap_bpf_check_fds(false) the kernel isn't asked: a second table, indexed by the descriptor's number,
 * remembers handles from BPF_MAP_CREATE and the first use.
 *
 * Nobody tells the library when the last descriptor is closed. BPF_MAP_CREATE looks for handles whose file nobody
 * holds, takes them out of both tables, lets a grace period pass (a command runs inside a read-side section), and ends
 * them.
 */
#include "face/fd.h"

#include <pthread.h>
#include <usermap/bpf.h>

#include "core/alloc.h"
#include "core/reclaim.h"
#include "face/check.h"
#include "face/mapfile.h"
#include "face/usercopy.h"

#define BUCKETS	      1024u
#define COLLECT_LIMIT 64u /* handles that one BPF_MAP_CREATE looks at: its cost must not grow with the number of maps */

#define PREFETCH_REGION (1u << 20) /* bytes: smaller maps are in the caches anyway */
#define PREFETCH_KEY	64u

struct fd_entry {
	uint64_t key;
	struct usermap *map;
	_Atomic(struct fd_entry *) next; /* in its bucket; kept when unlinked: readers may still pass through */
	struct fd_entry *next_dead;	 /* the collecting thread's */
};

/* Written under `lock`, read inside sections. */
static _Atomic(struct fd_entry *) buckets[BUCKETS];

/* Leaf lock: whoever holds it takes no other, so fork can wait for it at any point. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The second table, in pages of numbers; an entry is an fd_entry with the access in the low bits, 0 if unknown. Pages
 * are published once and never freed. Entries are written under `lock`, read inside sections. */
#define NUMBERS_PER_PAGE 1024u
#define NUMBER_PAGES	 1024u
struct number_page {
	_Atomic uintptr_t entries[NUMBERS_PER_PAGE];
};
static _Atomic(struct number_page *) number_pages[NUMBER_PAGES];
static _Atomic bool checked = true; /* written by usermap_bpf_check_fds under lock; relaxed: says which way to look */

static void fork_lock(void)
{
	pthread_mutex_lock(&lock);
}

static void fork_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

/* A child must not inherit the lock held by a thread that it doesn't have. */
static void install_fork_handlers(void)
{
	pthread_atfork(fork_lock, fork_unlock, fork_unlock);
}

static void lock_table(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install_fork_handlers);
	pthread_mutex_lock(&lock);
}

static void unlock_table(void)
{
	pthread_mutex_unlock(&lock);
}

static _Atomic(struct fd_entry *) *bucket_of(uint64_t key)
{
	return &buckets[COOKIE_ID(key) % BUCKETS];
}

static struct fd_entry *find(uint64_t key)
{
	/* acquire, here and below: the entry was filled before it was linked */
	struct fd_entry *entry = atomic_load_explicit(bucket_of(key), memory_order_acquire);

	while (entry && entry->key != key)
		entry = atomic_load_explicit(&entry->next, memory_order_acquire);
	return entry;
}

/* Adds a handle, whose reference becomes the table's, or gives it up if another thread was first. 0, -ENOMEM. */
static int add(uint64_t key, struct usermap *map)
{
	struct fd_entry *entry = mem_alloc(sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	entry->key = key;
	entry->map = map;
	lock_table();
	if (!find(key)) {
		/* relaxed: only lock holders link */
		atomic_store_explicit(&entry->next, atomic_load_explicit(bucket_of(key), memory_order_relaxed),
				      memory_order_relaxed);
		/* release: filled before linked */
		atomic_store_explicit(bucket_of(key), entry, memory_order_release);
		entry = NULL;
	}
	unlock_table();
	if (entry) {
		mem_free(entry, sizeof(*entry));
		map_put(map);
	}
	return 0;
}

static _Atomic uintptr_t *number_entry(int fd)
{
	unsigned page = (unsigned)fd / NUMBERS_PER_PAGE;
	/* acquire: the page was zeroed before it was published */
	struct number_page *numbers =
		page < NUMBER_PAGES ? atomic_load_explicit(&number_pages[page], memory_order_acquire) : NULL;

	return numbers ? &numbers->entries[(unsigned)fd % NUMBERS_PER_PAGE] : NULL;
}

static void make_number_page(unsigned page)
{
	struct number_page *fresh, *none = NULL;

	if (page >= NUMBER_PAGES || atomic_load_explicit(&number_pages[page], memory_order_relaxed))
		return;
	fresh = mem_alloc(sizeof(*fresh));
	/* release: zeroed before published */
	if (fresh && !atomic_compare_exchange_strong_explicit(&number_pages[page], &none, fresh, memory_order_release,
							      memory_order_relaxed))
		mem_free(fresh, sizeof(*fresh));
}

/* Remembers what a number means. Without memory for it, it is found out again at the next use. */
static void remember(int fd, uint64_t cookie)
{
	_Atomic uintptr_t *number;
	struct fd_entry *entry;

	make_number_page((unsigned)fd / NUMBERS_PER_PAGE);
	number = number_entry(fd);
	if (!number)
		return;
	lock_table();
	entry = find(COOKIE_KEY(cookie)); /* again, under the lock: it may have been collected */
	if (entry)
		/* release: the entry's contents before the entry */
		atomic_store_explicit(number, (uintptr_t)entry | COOKIE_ACCESS(cookie), memory_order_release);
	unlock_table();
}

/* Forgets the numbers of one map, or (NULL) all. Called with the lock held. */
static void forget(const struct fd_entry *dead)
{
	for (unsigned page = 0; page < NUMBER_PAGES; page++) {
		struct number_page *numbers = atomic_load_explicit(&number_pages[page], memory_order_relaxed);

		for (unsigned i = 0; numbers && i < NUMBERS_PER_PAGE; i++) {
			uintptr_t entry = atomic_load_explicit(&numbers->entries[i], memory_order_relaxed);

			if (!dead || (entry & ~(uintptr_t)3) == (uintptr_t)dead)
				atomic_store_explicit(&numbers->entries[i], 0, memory_order_relaxed);
		}
	}
}

bool usermap_bpf_check_fds(bool on)
{
	bool before;

	lock_table();
	before = atomic_load_explicit(&checked, memory_order_relaxed);
	if (before != on)
		forget(NULL); /* guesses may be stale, and answers become so */
	atomic_store_explicit(&checked, on, memory_order_relaxed);
	unlock_table();
	return before;
}

/* Attaches to a map that this process hasn't seen. */
static int attach(int fd, uint64_t cookie)
{
	struct usermap *map;
	int error = COOKIE_ACCESS(cookie) == COOKIE_BTF ? -EINVAL : map_attach(fd, false, &map);

	if (error)
		return error;
	/* The file must be the one that the cookie names, else two maps could hide behind one key. */
	if (map->region.header->id != COOKIE_ID(cookie) ||
	    mapfile_key(map->region.fd, COOKIE_ID(cookie)) != COOKIE_KEY(cookie)) {
		map_put(map);
		return -EINVAL;
	}
	error = add(COOKIE_KEY(cookie), map);
	if (error)
		map_put(map);
	return error;
}

/* Finds the map of a cookie, attaching if need be. Called inside a section, and inside one on success. */
static int enter_cookie(int fd, uint64_t cookie, struct fd_map *found)
{
	struct fd_entry *entry;
	int error;

	while (!(entry = find(COOKIE_KEY(cookie)))) {
		thread_read_unlock();
		error = attach(fd, cookie);
		if (error)
			return error;
		thread_read_lock();
	}
	found->map = entry->map;
	found->access = COOKIE_ACCESS(cookie);
	remember(fd, cookie);
	return 0;
}

/* Begins the cache misses that an element of the map will take, if they are worth it. Nothing is decided here. */
static inline void begin_misses(struct usermap *map, const void *user_key)
{
	unsigned char key[PREFETCH_KEY];

	if (map->region.size >= PREFETCH_REGION && map->key_size <= sizeof(key) && map->ops->prefetch &&
	    usercopy_in(key, user_key, map->key_size) == 0)
		map->ops->prefetch(map, key, 1);
}

int fd_enter(int fd, const void *user_key, struct fd_map *found)
{
	_Atomic uintptr_t *number = number_entry(fd);
	struct fd_entry *guess;
	uintptr_t entry;
	uint64_t cookie;
	int error;

	thread_read_lock();
	/* acquire: the entry's contents after the entry */
	entry = number ? atomic_load_explicit(number, memory_order_acquire) : 0;
	guess = (struct fd_entry *)(entry & ~(uintptr_t)3);
	/* relaxed: a command that runs while the setting changes may see either */
	if (guess && !atomic_load_explicit(&checked, memory_order_relaxed)) {
		found->map = guess->map;
		found->access = (unsigned)(entry & 3);
		return 0;
	}
	if (guess && user_key)
		begin_misses(guess->map, user_key);
	error = mapfile_cookie(fd, &cookie);
	if (__builtin_expect(!error && guess && guess->key == COOKIE_KEY(cookie), 1)) {
		found->map = guess->map;
		found->access = COOKIE_ACCESS(cookie);
		return 0;
	}
	if (!error)
		return enter_cookie(fd, cookie, found);
	thread_read_unlock();
	return error;
}

int usermap_from_fd(int fd, struct usermap **map)
{
	struct fd_map found;
	unsigned access;
	int error = fd_enter(fd, NULL, &found);

	if (error)
		return error;
	access = found.access;
	if (access == (MAY_READ | MAY_WRITE)) {
		map_get(found.map);
		*map = found.map;
	}
	fd_leave();
	if (access == (MAY_READ | MAY_WRITE))
		return 0;
	error = map_attach(fd, access == MAY_READ, map); /* a handle of its own, which has the descriptor's access */
	if (!error)
		(*map)->write_only = access == MAY_WRITE;
	return error;
}

int fd_publish(int file, const struct map_attr *attr, unsigned access, int late)
{
	struct map_backing backing = { .kind = BACKING_FD, .fd = file, .reuse = USERMAP_REUSE_AT_ONCE };
	struct usermap *map;
	uint32_t id;
	uint64_t key;
	int error;

	error = map_create(attr, &backing, &map);
	if (error)
		return error;
	id = late ? 0 : mapfile_new_id();
	key = mapfile_key(file, id);
	/* relaxed: the descriptor that leads others here is handed out later */
	atomic_store_explicit(&map->region.header->id, id, memory_order_relaxed);
	error = late ? late : id ? 0 : -ENOMEM;
	mapfile_seal(file);
	if (!error && access != (MAY_READ | MAY_WRITE))
		error = mapfile_restrict(file, access);
	if (!error)
		error = mapfile_park(file, key, access);
	if (!error)
		error = add(key, map);
	if (error) {
		map_put(map);
		return error;
	}
	remember(file, COOKIE_MARK | (uint64_t)access << COOKIE_ACCESS_SHIFT | key);
	return 0;
}

/* Unlinks what nobody holds, looking at a part of the table, and goes on behind it the next time. Called with the lock
 * held. */
static struct fd_entry *unlink_unused(void)
{
	static unsigned cursor; /* under lock */
	struct fd_entry *dead = NULL, *entry, *next;
	unsigned seen = 0;

	for (unsigned n = 0; n < BUCKETS && seen < COLLECT_LIMIT; n++, cursor = (cursor + 1) % BUCKETS) {
		_Atomic(struct fd_entry *) *link = &buckets[cursor];

		/* relaxed: only lock holders link and unlink; readers see the old link or the new one, both lead on */
		while ((entry = atomic_load_explicit(link, memory_order_relaxed))) {
			seen++;
			if (!mapfile_unused(entry->map->region.fd, entry->key)) {
				link = &entry->next;
				continue;
			}
			next = atomic_load_explicit(&entry->next, memory_order_relaxed);
			/* release: what `next` points to was published by another holder of the lock */
			atomic_store_explicit(link, next, memory_order_release);
			forget(entry);
			entry->next_dead = dead;
			dead = entry;
		}
	}
	return dead;
}

void fd_collect(void)
{
	struct fd_entry *dead;

	if (thread_in_section()) /* which a grace period would wait for */
		return;
	lock_table();
	dead = unlink_unused();
	unlock_table();
	if (!dead)
		return;
	reclaim_wait();
	while (dead) {
		struct fd_entry *next = dead->next_dead;

		map_put(dead->map);
		mem_free(dead, sizeof(*dead));
		dead = next;
	}
}
