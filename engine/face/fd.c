/* SPDX-License-Identifier: MIT */
/*
 * From a descriptor to a map: the process's table of the command-face maps that it has seen.
 *
 * A command asks the kernel for the descriptor's cookie (mapfile.h), one lseek, and finds the handle under the cookie's
 * key in a hash table that readers walk without a lock. A key that isn't there came from another process, by exec or
 * SCM_RIGHTS: the process attaches.
 *
 * With usermap_bpf_check_fds(false) the kernel isn't asked: a second table, indexed by the descriptor's number
 * (fd_numbers.c), remembers handles from BPF_MAP_CREATE and the first use.
 *
 * Nobody tells the library when the last descriptor is closed. Commands that make descriptors look for handles whose file
 * nobody holds, take them out of both tables, let a grace period pass (a command runs inside a read-side section), and end
 * them. A handle can be ended at any time, as a descriptor that is used again attaches again. So if handles become many
 * (a listing opens every map there is), those of which this process has no descriptor end too; and so, when it is
 * wanted, does one whose own descriptor the program has closed (fd_drop_lost).
 */
#include "face/fd.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <usermap/bpf.h>

#include "core/alloc.h"
#include "core/hold.h"
#include "core/reclaim.h"
#include "core/region.h"
#include "face/caller.h"
#include "face/check.h"
#include "face/fd_numbers.h"
#include "face/fd_scan.h"
#include "face/mapfile.h"
#include "face/registry.h"
#include "face/usercopy.h"

#define BUCKETS	      1024u
#define COLLECT_LIMIT 16u  /* living maps that one BPF_MAP_CREATE finds: its cost must not grow with their number */
#define MANY	      128u /* handles; each has a descriptor of its own, so less if few are allowed */

#define PREFETCH_REGION (1u << 20) /* bytes: smaller maps are in the caches anyway */
#define PREFETCH_KEY	64u

struct fd_entry {
	uint64_t key;
	struct usermap *map;
	_Atomic(struct fd_entry *) next; /* in its bucket; kept when unlinked: readers may still pass through */
	struct fd_entry *next_dead;	 /* the collecting thread's */
	void *hold;			 /* for native handles, a reference to the map: hold_map(). Under `lock` */
	atomic_bool seen; /* by the scan of descriptors, or new since the last. Relaxed: a guess costs an attach */
};

/* Written under `lock`, read inside sections. */
static _Atomic(struct fd_entry *) buckets[BUCKETS];
static _Atomic unsigned n_entries; /* read anywhere: relaxed */
static _Atomic unsigned many;	   /* or this, if it's more: the last scan had to leave half of it */

/* Whoever holds it takes no other but mapfile.c's, so fork can wait for both at any point. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static _Atomic bool checked = true; /* written by usermap_bpf_check_fds under lock; relaxed: says which way to look */

static struct held before_lock; /* the lock holder's */

static void lock_table(void)
{
	struct held before;

	hold_begin(&before);
	pthread_mutex_lock(&lock);
	before_lock = before;
}

static void unlock_table(void)
{
	struct held before = before_lock;

	pthread_mutex_unlock(&lock);
	hold_end(&before);
}

static void fork_child(void)
{
	fd_numbers_fork_child();
	unlock_table();
}

/*
 * A child must not inherit the lock held by a thread that it doesn't have. Before a fork the lock is taken last, when no
 * grace period is waiting any more (core/fork.c): it's also taken inside sections, which those would wait for. The last
 * handlers to run are the first installed, hence the priority; and before anybody can fork.
 */
__attribute__((constructor(65000))) static void install_fork_handlers(void)
{
	pthread_atfork(lock_table, unlock_table, fork_child);
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
	atomic_init(&entry->seen, true);
	lock_table();
	if (!find(key)) {
		/* relaxed: only lock holders link */
		atomic_store_explicit(&entry->next, atomic_load_explicit(bucket_of(key), memory_order_relaxed),
				      memory_order_relaxed);
		/* release: filled before linked */
		atomic_store_explicit(bucket_of(key), entry, memory_order_release);
		atomic_fetch_add_explicit(&n_entries, 1, memory_order_relaxed);
		entry = NULL;
	}
	unlock_table();
	if (entry) {
		mem_free(entry, sizeof(*entry));
		map_put(map);
	}
	return 0;
}

/* Remembers what a number meant when the kernel was asked. */
static void remember(int fd, uint64_t cookie, uint64_t asked)
{
	struct fd_entry *entry;

	fd_number_prepare(fd);
	lock_table();
	entry = find(COOKIE_KEY(cookie)); /* again, under the lock: it may have been collected */
	if (entry)
		fd_number_set(fd, (uintptr_t)entry | COOKIE_ACCESS(cookie), asked);
	unlock_table();
}

void fd_change_begin(unsigned first, unsigned last)
{
	fd_numbers_begin();
	if (!fd_numbers_any(first, last))
		return;
	lock_table();
	fd_numbers_clear(first, last);
	unlock_table();
}

void fd_change_end(void)
{
	fd_numbers_end();
}

bool usermap_bpf_check_fds(bool on)
{
	bool before;

	lock_table();
	before = atomic_load_explicit(&checked, memory_order_relaxed);
	if (before != on)
		fd_numbers_forget(0); /* guesses may be stale, and answers become so */
	atomic_store_explicit(&checked, on, memory_order_relaxed);
	unlock_table();
	return before;
}

/* Ends handles that this process needn't have: of dead maps; or (unseen) all of which it has no descriptor. */
static void collect(bool unseen);

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

static bool have_many(void)
{
	unsigned n = atomic_load_explicit(&n_entries, memory_order_relaxed);
	struct rlimit limit;

	if (n <= atomic_load_explicit(&many, memory_order_relaxed) || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return false;
	return n > MANY || n > limit.rlim_cur / 4;
}

/* Who works for callers has no descriptors of theirs that a scan could see: what they use counts as seen. */
static inline void mark_used(struct fd_entry *entry)
{
	if (caller)
		atomic_store_explicit(&entry->seen, true, memory_order_relaxed);
}

/* Finds the map of a cookie, attaching if need be. Called inside a section, and inside one on success. */
static int enter_cookie(int fd, uint64_t cookie, uint64_t asked, struct fd_map *found)
{
	struct fd_entry *entry;
	struct held before;
	int error;

	while (!(entry = find(COOKIE_KEY(cookie)))) {
		thread_read_unlock();
		hold_begin(&before);
		if (have_many())
			collect(true);
		error = attach(fd, cookie);
		hold_end(&before);
		if (error)
			return error;
		thread_read_lock();
	}
	found->map = entry->map;
	found->access = COOKIE_ACCESS(cookie);
	mark_used(entry);
	remember(fd, cookie, asked);
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

/* Asks the kernel what the descriptor is. As enter_cookie. */
static __attribute__((noinline)) int enter_asking(int fd, const void *user_key, uintptr_t entry, struct fd_map *found)
{
	struct fd_entry *guess = (struct fd_entry *)(entry & ~NUMBER_ACCESS);
	uint64_t cookie, asked;
	int error;

	if (guess && user_key && !caller)
		begin_misses(guess->map, user_key);
	asked = fd_numbers_now();
	error = mapfile_cookie(fd, &cookie);
	if (__builtin_expect(!error && guess && guess->key == COOKIE_KEY(cookie), 1)) {
		found->map = guess->map;
		found->access = COOKIE_ACCESS(cookie);
		mark_used(guess);
		return 0;
	}
	if (!error)
		return enter_cookie(fd, cookie, asked, found);
	thread_read_unlock();
	return error;
}

int fd_enter(int fd, const void *user_key, struct fd_map *found)
{
	uintptr_t entry;

	fd = caller_fd(fd);
	thread_read_lock();
	entry = fd_number_get(fd);
	/* relaxed: a command that runs while the setting changes may see either */
	if (!entry || atomic_load_explicit(&checked, memory_order_relaxed))
		return enter_asking(fd, user_key, entry, found);
	found->map = ((struct fd_entry *)(entry & ~NUMBER_ACCESS))->map;
	found->access = (unsigned)(entry & NUMBER_ACCESS);
	return 0;
}

/* A mapping of a page of the file, by a description that holds the map (mapfile.c) and has no other reference: it goes
 * with the mapping, wherever that went by fork(). A descriptor would go with a program that closes all it has. NULL:
 * no memory, or no descriptor. */
static void *hold_map(const struct usermap *map)
{
	int fd = region_reopen(&map->region, O_RDONLY);
	void *page = MAP_FAILED;

	if (fd < 0)
		return NULL;
	if (mapfile_hold(fd) == 0)
		page = mmap(NULL, REGION_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

static void release_hold(struct fd_entry *entry)
{
	if (entry->hold)
		munmap(entry->hold, REGION_PAGE);
	entry->hold = NULL;
}

/* A native handle that shares the table's. Inside a section. */
static int share_handle(struct usermap *map)
{
	uint32_t id = atomic_load_explicit(&map->region.header->id, memory_order_relaxed); /* relaxed: constant */
	void *hold = hold_map(map);
	struct fd_entry *entry;

	if (!hold)
		return -ENOMEM;
	lock_table();
	entry = find(mapfile_key(map->region.fd, id));
	if (entry && entry->map == map && !entry->hold) {
		entry->hold = hold;
		hold = NULL;
	}
	map_get(map);
	unlock_table();
	if (hold)
		munmap(hold, REGION_PAGE);
	return 0;
}

int usermap_from_fd(int fd, struct usermap **map)
{
	struct fd_map found;
	int error = fd_enter(fd, NULL, &found);

	if (error)
		return error;
	if (found.access == (MAY_READ | MAY_WRITE)) {
		error = share_handle(found.map);
		*map = found.map;
		fd_leave();
		return error;
	}
	fd_leave();
	error = map_attach(fd, found.access == MAY_READ,
			   map); /* a handle of its own, which has the descriptor's access */
	if (!error) {
		(*map)->write_only = found.access == MAY_WRITE;
		mapfile_hold((*map)->region.fd);
	}
	return error;
}

/* Enters a new map in the registry under a new id. btf: -1, or what the map keeps alive. */
static int enter_registry(struct usermap *map, int file, int btf)
{
	uint32_t id;
	int error;

	do {
		error = registry_new_id(REGISTRY_MAP, &id);
		if (error)
			return error;
		/* relaxed: who finds the map does so through calls of the kernel that come later */
		atomic_store_explicit(&map->region.header->id, id, memory_order_relaxed);
		error = registry_add(REGISTRY_MAP, id, file);
	} while (error == -EEXIST);
	return error || btf < 0 ? error : registry_keep_btf(id, btf);
}

/* Makes `file` the caller's descriptor of a new map. The handle becomes the table's. */
static int hand_out(struct usermap *map, int file, unsigned access, int btf)
{
	uint64_t key;
	int error = mapfile_hold(file);

	if (!error)
		error = enter_registry(map, file, btf);
	if (error)
		return error;
	key = mapfile_key(file, map->region.header->id);
	if (access != (MAY_READ | MAY_WRITE))
		error = mapfile_restrict(file, access);
	if (!error)
		error = mapfile_park(file, key, access);
	if (!error)
		error = add(key, map);
	if (!error)
		remember(file, COOKIE_MARK | (uint64_t)access << COOKIE_ACCESS_SHIFT | key, fd_numbers_now());
	return error;
}

int fd_publish(int file, const struct map_attr *attr, unsigned access, int late, int btf)
{
	struct map_backing backing = { .kind = BACKING_FD, .fd = file, .reuse = USERMAP_REUSE_AT_ONCE };
	struct usermap *map = NULL;
	uint32_t id = 0;
	int error = map_create(attr, &backing, &map);

	fd_exit_arm();
	if (!error) {
		mapfile_seal(file);
		error = late ? late : hand_out(map, file, access, btf);
		if (!error)
			return 0;
		id = map->region.header->id;
		map_put(map);
	}
	close(file);
	if (id)
		registry_reap(REGISTRY_MAP, id);
	return error;
}

int fd_open(int file, uint32_t id, unsigned access)
{
	int mode = mapfile_open_mode(access), fd = file, error;

	fd_exit_arm();
	if (mode != O_RDONLY) {
		fd = file_reopen(file, mode);
		error = fd < 0 ? fd : mapfile_hold(fd);
		close(file);
		if (error) {
			if (fd >= 0)
				close(fd);
			return error;
		}
	}
	mapfile_park(fd, mapfile_key(fd, id), access);
	return registry_lowest(fd);
}

/* Takes an entry out of the table; *link leads to it. Called with the lock held. */
static void unlink_entry(_Atomic(struct fd_entry *) *link, struct fd_entry *entry, struct fd_entry **dead)
{
	/* relaxed: only lock holders link and unlink; readers see the old link or the new one, both lead on */
	struct fd_entry *next = atomic_load_explicit(&entry->next, memory_order_relaxed);

	/* release: what `next` points to was published by another holder of the lock */
	atomic_store_explicit(link, next, memory_order_release);
	atomic_fetch_sub_explicit(&n_entries, 1, memory_order_relaxed);
	fd_numbers_forget((uintptr_t)entry);
	release_hold(entry);
	entry->next_dead = *dead;
	*dead = entry;
}

/* Whether the program has native handles that are the table's. */
static bool is_shared(const struct fd_entry *entry)
{
	/* relaxed: they are taken under the lock, so one that isn't counted yet isn't there */
	return atomic_load_explicit(&entry->map->refs, memory_order_relaxed) > 1;
}

/* Unlinks what nobody holds, looking at a part of the table, and goes on behind it the next time. Called with the lock
 * held. */
static struct fd_entry *unlink_unused(void)
{
	static unsigned cursor; /* under lock */
	struct fd_entry *dead = NULL, *entry;
	unsigned seen = 0;

	for (unsigned n = 0; n < BUCKETS && seen < COLLECT_LIMIT; n++, cursor = (cursor + 1) % BUCKETS) {
		_Atomic(struct fd_entry *) *link = &buckets[cursor];

		while ((entry = atomic_load_explicit(link, memory_order_relaxed))) {
			if (!is_shared(entry))
				release_hold(entry);
			if (mapfile_unused(entry->map->region.fd, entry->key)) {
				unlink_entry(link, entry, &dead);
				continue;
			}
			seen++;
			link = &entry->next;
		}
	}
	return dead;
}

static void mark_seen(int fd, uint64_t cookie, void *ctx)
{
	struct fd_entry *entry = find(COOKIE_KEY(cookie));

	(void)fd;
	(void)ctx;
	if (entry)
		atomic_store_explicit(&entry->seen, true, memory_order_relaxed);
}

/* Neither seen nor new. */
static bool is_unseen(struct fd_entry *entry)
{
	return !atomic_exchange_explicit(&entry->seen, false, memory_order_relaxed);
}

/* The program has closed the handle's descriptor. */
static bool is_lost(struct fd_entry *entry)
{
	return !region_fd_is_ours(&entry->map->region);
}

/* Unlinks what can go and no native handle shares. Called with the lock held. */
static struct fd_entry *unlink_all(bool (*can_go)(struct fd_entry *entry))
{
	struct fd_entry *dead = NULL, *entry;

	for (unsigned n = 0; n < BUCKETS; n++) {
		_Atomic(struct fd_entry *) *link = &buckets[n];

		while ((entry = atomic_load_explicit(link, memory_order_relaxed))) {
			if (can_go(entry) && !is_shared(entry))
				unlink_entry(link, entry, &dead);
			else
				link = &entry->next;
		}
	}
	return dead;
}

static struct fd_entry *unlink_scanned(void)
{
	struct fd_entry *dead;
	unsigned left;

	thread_read_lock();
	fd_scan(mark_seen,
		NULL); /* if it fails, for want of a descriptor, what isn't marked will be attached to again */
	thread_read_unlock();
	lock_table();
	dead = unlink_all(is_unseen);
	left = atomic_load_explicit(&n_entries, memory_order_relaxed);
	atomic_store_explicit(&many, 2 * left, memory_order_relaxed);
	unlock_table();
	return dead;
}

/* Ends handles that were unlinked. Whether there were any. Not inside a section, which a grace period would wait for. */
static bool end_all(struct fd_entry *dead)
{
	struct fd_entry *next;

	if (!dead)
		return false;
	for (reclaim_wait(); dead; dead = next) {
		next = dead->next_dead;
		map_put(dead->map);
		registry_reap(REGISTRY_MAP, COOKIE_ID(dead->key));
		mem_free(dead, sizeof(*dead));
	}
	return true;
}

static void collect(bool unseen)
{
	struct fd_entry *dead;

	if (thread_in_section())
		return;
	if (unseen) {
		dead = unlink_scanned();
	} else {
		lock_table();
		dead = unlink_unused();
		unlock_table();
	}
	end_all(dead);
}

bool fd_drop_lost(void)
{
	struct fd_entry *lost;

	if (thread_in_section())
		return false;
	lock_table();
	lost = unlink_all(is_lost);
	unlock_table();
	return end_all(lost);
}

void fd_collect(void)
{
	collect(have_many());
}

void fd_make_room(void)
{
	collect(true);
}
