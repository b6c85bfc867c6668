/* SPDX-License-Identifier: MIT */
/*
 * mmap of an ARRAY's values, and freezing, which must know of writable mappings.
 *
 * A mapping is made through an open file description of its own, which has no descriptor when the call returns: the
 * mapping is what keeps it, through munmap of a part, mremap and fork, until the last piece is gone; however the process
 * ends. So whatever is to last as long as the mapping hangs on that description:
 *  - the shared flock of everybody who has the map (mapfile.c);
 *  - the mode: without PROT_WRITE the file is opened for reading only, so that mprotect can't give it later;
 *  - for a writable mapping, a lock for reading on one byte far behind the file's end. Freezing takes that lock for writing:
 *    while it has it there is no such mapping, in no process, and nobody makes one. What was made writable counts although
 *    mprotect may have changed its mind, as in the kernel.
 *
 * A command in progress in another thread that writes to the map makes freezing EBUSY, too; of other processes' commands
 * nothing is known here.
 *
 * A caller in another process makes its mapping itself, by the description behind its descriptor. So it is given a fresh
 * one there first, which then has that descriptor as well: the lock lasts until that is closed, too.
 *
 * The kernel also forbids that such a mapping grows by mremap, or becomes executable. Here it can grow over the map's
 * bookkeeping, which is the program's own.
 */
#include "face/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <usermap/bpf.h>

#include "core/thread.h"
#include "core/words.h"
#include "face/btf.h"
#include "face/caller.h"
#include "face/check.h"
#include "face/fd.h"
#include "face/mapfile.h"

#define PAGE	     4096u
#define WRITERS_BYTE (1ll << 61) /* below the process slots' bytes (core/process.c) */

#ifndef MAP_TYPE
#define MAP_TYPE 0xf
#endif

static int lock_writers(int fd, int command, short type)
{
	struct flock byte = { .l_type = type, .l_whence = SEEK_SET, .l_start = WRITERS_BYTE, .l_len = 1 };

	while (fcntl(fd, command, &byte) != 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int set_frozen(struct usermap *map)
{
	/* relaxed: freeze promises nothing about writes that race with it; one of two freezers must learn that it was
	 * second */
	return atomic_exchange_explicit(&map->region.header->frozen, 1, memory_order_relaxed) ? -EPERM : 0;
}

int freeze_map(struct usermap *map, bool may_write)
{
	int fd, error;

	if (map->spin_lock)
		return -ENOTSUPP;
	if (!may_write || map_is_frozen(map))
		return -EPERM;
	if (thread_any_writing(map))
		return -EBUSY;
	if (!(map->map_flags & BPF_F_MMAPABLE) || map->region.fd < 0)
		return set_frozen(map);
	fd = region_reopen(&map->region, O_RDWR);
	if (fd < 0)
		return fd;
	error = lock_writers(fd, F_OFD_SETLK, F_WRLCK);
	if (!error)
		error = set_frozen(map);
	else if (error == -EAGAIN || error == -EACCES)
		error = -EBUSY;
	close(fd);
	return error;
}

/* What mmap(2) checks of any file. */
static int check_call(const struct mapping *m, unsigned access)
{
	int type = m->flags & MAP_TYPE;

	if (m->length == 0)
		return -EINVAL;
	if (m->length > SIZE_MAX - PAGE)
		return -ENOMEM;
	if (m->offset < 0 || m->length > (uint64_t)INT64_MAX - (uint64_t)m->offset)
		return -EOVERFLOW;
	if (m->flags & MAP_HUGETLB || (m->flags & MAP_FIXED && (uintptr_t)m->addr % PAGE))
		return -EINVAL;
	if (type == MAP_SHARED_VALIDATE && m->flags & MAP_SYNC)
		return -EOPNOTSUPP;
	if (type != MAP_SHARED && type != MAP_SHARED_VALIDATE && type != MAP_PRIVATE)
		return -EINVAL;
	if (type != MAP_PRIVATE && m->prot & PROT_WRITE && !(access & MAY_WRITE))
		return -EACCES;
	if (!(access & MAY_READ))
		return -EACCES;
	return m->prot & PROT_EXEC ? -EPERM : 0;
}

/* What the map has against it. */
static int check_map(const struct usermap *map, const struct mapping *m, unsigned access)
{
	uint64_t values = map->max_entries * (uint64_t)words_stride(map->value_size);
	uint64_t pages = (values + PAGE - 1) / PAGE, wanted = (m->length + PAGE - 1) / PAGE;

	if (!map->ops->can_map)
		return -ENOTSUPP;
	/* a descriptor that can't write has no shared mappings in the kernel's eyes */
	if ((m->flags & MAP_TYPE) == MAP_PRIVATE || !(access & MAY_WRITE))
		return -EINVAL;
	if (m->prot & PROT_WRITE && map_is_frozen(map))
		return -EPERM;
	if (m->prot & PROT_WRITE && map->map_flags & BPF_F_RDONLY_PROG)
		return -EACCES;
	if (!(map->map_flags & BPF_F_MMAPABLE))
		return -EINVAL;
	return (uint64_t)m->offset / PAGE + wanted > pages ? -EINVAL : 0;
}

/* The description that a mapping is to have. A descriptor, or -errno. */
static int describe(const struct usermap *map, bool writing)
{
	int fd = region_reopen(&map->region, writing ? O_RDWR : O_RDONLY);
	int error = fd < 0 ? fd : mapfile_hold(fd);

	if (!error && writing)
		error = lock_writers(fd, F_OFD_SETLKW, F_RDLCK); /* waits for who is freezing it, for a moment */
	if (!error && writing && map_is_frozen(map))
		error = -EPERM;
	if (!error)
		return fd;
	if (fd >= 0)
		close(fd);
	return error;
}

/* Takes the map into use that is to be mapped, if it may be. */
static int enter_checked(int fd, const struct mapping *m, struct fd_map *found)
{
	int error;

	if (m->offset % PAGE)
		return -EINVAL;
	error = fd_enter(fd, NULL, found);
	if (error)
		return error == -EINVAL && is_btf(fd) ? -ENODEV : error;
	error = check_call(m, found->access);
	if (!error)
		error = check_map(found->map, m, found->access);
	if (error)
		fd_leave();
	return error;
}

/* Makes the mapping, and leaves its address in m->addr. */
static int map_values(int fd, struct mapping *m)
{
	struct fd_map found;
	void *at;
	int own, error = enter_checked(fd, m, &found);

	if (error)
		return error;
	own = describe(found.map, m->prot & PROT_WRITE);
	fd_leave();
	if (own < 0)
		return own;
	at = mmap(m->addr, m->length, m->prot, m->flags, own, m->offset);
	if (at == MAP_FAILED)
		error = -errno;
	else
		m->addr = at;
	close(own);
	return error;
}

int mapping_prepare(int fd, const struct mapping *m, int *fresh)
{
	struct fd_map found;
	uint64_t cookie;
	int theirs = caller_fd(fd), error;

	*fresh = -1;
	if (mapfile_cookie(theirs, &cookie) || mapfile_key(theirs, COOKIE_ID(cookie)) != COOKIE_KEY(cookie))
		return -EBADF;
	error = enter_checked(fd, m, &found);
	if (error)
		return error;
	*fresh = describe(found.map, m->prot & PROT_WRITE);
	error = *fresh < 0 ? *fresh : mapfile_park(*fresh, COOKIE_KEY(cookie), COOKIE_ACCESS(cookie));
	fd_leave();
	return error;
}

void *usermap_bpf_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	struct mapping m = { addr, length, prot, flags, offset };
	int error;

	if (flags & MAP_ANONYMOUS) /* then the kernel doesn't look at the descriptor */
		return mmap(addr, length, prot, flags, fd, offset);
	error = map_values(fd, &m);
	if (error == -ENOMEM && fd_drop_lost())
		error = map_values(fd, &m);
	if (!error)
		return m.addr;
	errno = -error;
	return MAP_FAILED;
}
