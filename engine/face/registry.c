/* SPDX-License-Identifier: MIT */
/*
 * The registry: a directory of the user's in /dev/shm, in which every map and every BTF object has a name, its id.
 *
 *	ids		the last numbers given out, for maps and for BTF
 *	map/ID		a map's file; whoever pins the map gives the file a further name (pin.c)
 *	map/ID.btf	the BTF that the map was made with
 *	btf/ID		a BTF object's file
 *	pin/...		pinned maps
 *
 * An object lives as long as a descriptor of it is open anywhere (each holds a shared flock, mapfile.c), or its file has
 * another name than its id: a map a pin's, BTF a map's. So who wants to know opens the entry afresh and asks for the
 * exclusive lock. Who gets it, on a file with one name, removes the entry: the object is dead. Whoever opens an entry to use it
 * goes through the same question, and then holds a shared lock; if the file has no name left by then, it came too late.
 *
 * Nothing else is kept, so there is nothing to repair. What a process killed at any step leaves:
 *  - before registry_add(): an unnamed file, which goes with it.
 *  - after it: an entry whose locks are gone, as if it had closed its descriptors. Whoever comes upon it removes it: a
 *    listing, an open by id, and a sweep, which every process makes at its first creation, and creations at every 64th id.
 *  - while it removes: map/ID.btf without map/ID. It follows the map into being and out of it, and ids are not used again,
 *    so it's the rest of a dead map, and a sweep removes it.
 *
 * The directory must be the caller's alone: somebody else could have made it first. Then, or where there is no /dev/shm to
 * write to, objects are memfds: they work, but have no entry, and can't be listed, found by id or pinned.
 */
#include "face/registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "face/mapfile.h"

#define NAME_SIZE 32
#define MODE	  0666 /* whoever is sent a descriptor may reopen it: see mapfile.c */
#define KINDS	  2
/* Ids are in 1..IDS, as the kernel's. */
#define IDS	    (INT_MAX - 1u)
#define SWEEP_EVERY 64u
#define NEAR	    16u /* ids that a listing tries before it reads the directory */

static const char *const folders[KINDS] = { "map", "btf" };
static const char *const memfd_names[KINDS] = { "bpf-map", "bpf-btf" };

/* Whether a call failed for want of something, which says nothing of the registry. */
static bool is_want(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

int registry_open(void)
{
	const int how = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	char path[REGISTRY_PATH_SIZE];
	struct stat st;
	int dir;

	snprintf(path, sizeof(path), REGISTRY_DIRECTORY, geteuid());
	dir = open(path, how);
	if (dir < 0 && errno == ENOENT && (mkdir(path, 0700) == 0 || errno == EEXIST))
		dir = open(path, how);
	if (dir < 0)
		return -errno;
	if (fstat(dir, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0)
		return dir;
	close(dir);
	return -EPERM;
}

int registry_lowest(int fd)
{
	int lower = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (lower < 0)
		return fd;
	if (lower < fd) {
		close(fd);
		return lower;
	}
	close(lower);
	return fd;
}

/* A descriptor, or -errno. */
static int create_in(int dir, enum registry_kind kind)
{
	int fd = openat(dir, folders[kind], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && errno == ENOENT && (mkdirat(dir, folders[kind], 0700) == 0 || errno == EEXIST))
		fd = openat(dir, folders[kind], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int registry_create(enum registry_kind kind)
{
	int dir = registry_open(), fd = dir;

	if (dir >= 0) {
		fd = create_in(dir, kind);
		close(dir);
	}
	if (fd < 0 && !is_want(fd))
		fd = memfd_create(memfd_names[kind], MFD_CLOEXEC | MFD_ALLOW_SEALING);
	else if (fd < 0)
		return fd;
	if (fd < 0)
		return -errno;
	fchmod(fd, MODE); /* can't fail on a file just made */
	return registry_lowest(fd);
}

/* The counters, in a page that all processes of the user share. 0 or -errno. */
static int map_counters(int dir, _Atomic uint32_t **counters)
{
	size_t size = KINDS * sizeof(uint32_t);
	void *page = MAP_FAILED;
	int fd = openat(dir, "ids", O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600), error;

	if (fd < 0)
		return -errno;
	error = -posix_fallocate(fd, 0, (off_t)size);
	if (!error) {
		page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		error = page == MAP_FAILED ? -errno : 0;
		*counters = page;
	}
	close(fd);
	return error;
}

/* Without a registry the numbers are counted in the family of processes that forks from here. */
static _Atomic uint32_t *family_counters;

static void make_family_counters(void)
{
	void *page = mmap(NULL, KINDS * sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED)
		family_counters = page;
}

static uint32_t count(_Atomic uint32_t *counter)
{
	/* relaxed: the number is all that matters */
	return atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) % IDS + 1;
}

int registry_new_id(enum registry_kind kind, uint32_t *id)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_Atomic uint32_t *counters;
	int dir = registry_open(), error = dir;

	if (dir >= 0) {
		error = map_counters(dir, &counters);
		close(dir);
	}
	if (!error) {
		*id = count(counters + kind);
		munmap((void *)counters, KINDS * sizeof(uint32_t));
		return 0;
	}
	if (is_want(error))
		return error;
	pthread_once(&once, make_family_counters);
	if (!family_counters)
		return -ENOMEM;
	*id = count(&family_counters[kind]);
	return 0;
}

static void entry_name(char name[NAME_SIZE], enum registry_kind kind, uint32_t id)
{
	snprintf(name, NAME_SIZE, "%s/%u", folders[kind], id);
}

static void btf_name(char name[NAME_SIZE], uint32_t map_id)
{
	snprintf(name, NAME_SIZE, "%s/%u.btf", folders[REGISTRY_MAP], map_id);
}

/* Gives an open file a name in the registry. */
static int link_as(int fd, const char *name)
{
	char self[NAME_SIZE];
	int dir = registry_open(), error = 0;

	if (dir < 0)
		return is_want(dir) ? dir : 0;
	snprintf(self, sizeof(self), "/proc/thread-self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW) != 0)
		/* what isn't a file of the registry's filesystem can't be entered, and what was unlinked behind our back
		 * neither */
		error = errno == EXDEV || errno == ENOENT ? 0 : errno == EEXIST ? -EEXIST : -ENOMEM;
	close(dir);
	return error;
}

int registry_add(enum registry_kind kind, uint32_t id, int fd)
{
	static atomic_bool swept; /* relaxed: a second sweep does no harm */
	char name[NAME_SIZE];

	if (id % SWEEP_EVERY == 0 || !atomic_exchange_explicit(&swept, true, memory_order_relaxed))
		registry_sweep();
	entry_name(name, kind, id);
	return link_as(fd, name);
}

int registry_keep_btf(uint32_t map_id, int fd)
{
	char name[NAME_SIZE];

	btf_name(name, map_id);
	return link_as(fd, name);
}

static nlink_t names_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_nlink : 0;
}

static bool try_exclusive(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

/* Whether the object behind fd, a description that nobody else has, is dead; if so it may have the exclusive lock now. */
static bool is_dead(int fd)
{
	nlink_t names = names_of(fd);

	/* asked again under the lock: what had a descriptor before may have been pinned by it */
	return names == 0 || (names == 1 && try_exclusive(fd) && names_of(fd) <= 1);
}

/* Opens an entry, and removes it if it's dead. A descriptor, or -errno. Between mapfile_ask_begin and _end. */
static int open_asked(int dir, const char *name)
{
	const int how = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(dir, name, how);
	bool dead;

	/* a program may have changed its map's mode; who can't open an entry would never know that it's dead */
	if (fd < 0 && errno == EACCES && fchmodat(dir, name, MODE, 0) == 0)
		fd = openat(dir, name, how);
	if (fd < 0)
		return -errno;
	dead = is_dead(fd);
	if (dead)
		unlinkat(dir, name, 0); /* ids aren't used again: under the lock, the name can't be another object's */
	flock(fd, LOCK_UN);
	if (!dead)
		return fd;
	close(fd);
	return -ENOENT;
}

static int open_living(int dir, const char *name)
{
	int fd;

	mapfile_ask_begin();
	fd = open_asked(dir, name);
	mapfile_ask_end();
	return fd;
}

static void remove_btf_name(int dir, uint32_t map_id)
{
	char name[NAME_SIZE];

	btf_name(name, map_id);
	unlinkat(dir, name, 0);
}

static bool lives(int dir, enum registry_kind kind, uint32_t id)
{
	char name[NAME_SIZE];
	int fd;

	entry_name(name, kind, id);
	fd = open_living(dir, name);
	if (fd >= 0)
		close(fd);
	else if (fd == -ENOENT && kind == REGISTRY_MAP)
		remove_btf_name(dir, id);
	return fd != -ENOENT; /* what can't be opened for want of descriptors is not known to be dead */
}

/* The number that a name is, 0 if it's none. */
static uint32_t parse_id(const char *name, const char **end)
{
	char *rest;
	unsigned long id;

	if (*name < '1' || *name > '9')
		return 0;
	id = strtoul(name, &rest, 10);
	*end = rest;
	return id <= IDS ? (uint32_t)id : 0;
}

static DIR *open_folder(int dir, enum registry_kind kind)
{
	int fd = openat(dir, folders[kind], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);

	if (!folder && fd >= 0)
		close(fd);
	return folder;
}

static void sweep_folder(int dir, enum registry_kind kind)
{
	DIR *folder = open_folder(dir, kind);
	const struct dirent *entry;
	const char *end;

	while (folder && (entry = readdir(folder))) {
		uint32_t id = parse_id(entry->d_name, &end);

		/* of an entry and its .btf either finds the dead map; whichever comes second finds nothing */
		if (id && (*end == '\0' || strcmp(end, ".btf") == 0))
			lives(dir, kind, id);
	}
	if (folder)
		closedir(folder);
}

/* Opens the registry to look for an object. The directory, -ENOENT if there is none, or why it can't be told. */
static int open_to_find(enum registry_kind kind)
{
	int dir = registry_open();

	if (dir < 0)
		return is_want(dir) ? dir : -ENOENT;
	if (kind == REGISTRY_BTF)
		sweep_folder(dir, REGISTRY_MAP); /* the dead ones among them keep BTF alive */
	return dir;
}

int registry_open_id(enum registry_kind kind, uint32_t id)
{
	char name[NAME_SIZE];
	int dir = open_to_find(kind), fd;

	if (dir < 0)
		return dir;
	entry_name(name, kind, id);
	fd = open_living(dir, name);
	close(dir);
	if (fd < 0)
		return fd;
	if (mapfile_hold(fd) != 0 || names_of(fd) == 0) {
		close(fd);
		return -ENOENT;
	}
	return registry_lowest(fd);
}

/* The smallest id above *id that has an entry; 0: none. 0 or -errno. */
static int next_entry(int dir, enum registry_kind kind, uint32_t *id)
{
	char name[NAME_SIZE];
	const struct dirent *entry;
	const char *end;
	uint32_t after = *id;
	DIR *folder;

	/* a program's objects mostly come one after the other */
	while (++*id <= after + NEAR) {
		entry_name(name, kind, *id);
		if (faccessat(dir, name, F_OK, 0) == 0)
			return 0;
	}
	*id = 0;
	folder = open_folder(dir, kind);
	if (!folder)
		return is_want(-errno) ? -errno : 0;
	while ((entry = readdir(folder))) {
		uint32_t found = parse_id(entry->d_name, &end);

		if (found > after && *end == '\0' && (*id == 0 || found < *id))
			*id = found;
	}
	closedir(folder);
	return 0;
}

int registry_next_id(enum registry_kind kind, uint32_t after, uint32_t *id)
{
	int dir = open_to_find(kind), error;

	if (dir < 0)
		return dir;
	*id = after;
	do
		error = next_entry(dir, kind, id);
	while (!error && *id && !lives(dir, kind, *id));
	close(dir);
	return error ? error : *id ? 0 : -ENOENT;
}

void registry_reap(enum registry_kind kind, uint32_t id)
{
	int dir = registry_open();

	if (dir < 0)
		return;
	lives(dir, kind, id);
	close(dir);
}

void registry_sweep(void)
{
	int dir = registry_open();

	if (dir < 0)
		return;
	sweep_folder(dir, REGISTRY_MAP);
	sweep_folder(dir, REGISTRY_BTF); /* which the dead maps may have kept alive */
	close(dir);
}
