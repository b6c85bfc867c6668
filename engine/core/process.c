/* SPDX-License-Identifier: MIT */
/*
 * Process slots: which of the processes attached to a shared region live.
 *
 * A process that takes slot s write-locks byte BASE + s of the region's file, on an open file description of its own
 * (an OFD lock). The kernel drops such a lock with the last reference to the description, and anyone who has the file
 * open can ask about it, from any pid namespace. Nothing else answers well: pids are reused and mean nothing in another
 * namespace, a zombie leader has threads that run on, a forked child has its parent's identity, POSIX locks go with any
 * close() of the file.
 *
 * So all depends on what refers to the description: exactly this process's memory, from process_join to process_leave.
 * - No descriptor stays open, as a program that closes all of them (daemons do) would pass for dead. A mapping of the
 *   file's first page holds the description; nobody touches it. It ends with the address space: when the last thread
 *   has left, or at exec().
 * - fork() would copy the mapping, and so let a child keep its parent alive; MADV_DONTFORK forbids that. For the
 *   moments between open and madvise, fork() is kept out by the lock below. A child made by vfork() shares the address
 *   space until it ends or calls exec(), which then is still in use. (A raw clone() without the handlers of
 *   pthread_atfork is not for users of this library: see fork.c.)
 *
 * The generation of a slot is moved on by each process that takes it, when it has the lock. So {generation, slot} names
 * a process for ever: it lives as long as the lock is held and the generation is this one. Between the lock and the new
 * generation a dead process may still pass for alive, never the other way round: whoever asked asks again.
 *
 * Killed in process_join: the slot's lock is dropped, a generation is passed over.
 */
#include "core/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/fork.h"
#include "core/hold.h"

#define BASE (1ull << 62) /* of the locked bytes: behind the end of any file */

/* lock guards: the list of joined slots and its links, pins; and keeps fork() out. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct process_slots *joined;

bool process_layout(struct region_layout *layout)
{
	const uint64_t size = PROCESSES * sizeof(uint32_t);

	return region_layout_add(layout, PART_PROCESSES, size, size);
}

void process_attach(struct process_slots *p, struct region *region, const struct region_layout *layout)
{
	*p = (struct process_slots){ .region = region, .generations = region_part(region, layout, PART_PROCESSES) };
}

static struct flock byte_of(uint32_t slot)
{
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)(BASE + slot), .l_len = 1 };
}

/* Locks some free slot's byte. Its number, or -errno. */
static int64_t lock_slot(int fd)
{
	uint32_t first = (uint32_t)getpid(); /* mostly a free one at once */

	for (uint32_t i = 0; i < PROCESSES; i++) {
		uint32_t slot = (first + i) % PROCESSES;
		struct flock byte = byte_of(slot);

		if (fcntl(fd, F_OFD_SETLK, &byte) == 0)
			return slot;
		if (errno != EAGAIN && errno != EACCES)
			return errno == ENOLCK ? -ENOMEM : -errno;
	}
	return -ENOMEM;
}

/* Makes a mapping hold the description, in this process alone. */
static int pin(struct process_slots *p, int fd)
{
	struct stat st;
	void *page;

	if (fstat(fd, &st) != 0)
		return -errno;
	/* on hugetlbfs nothing smaller than one of its pages can be mapped */
	p->pin_size = (size_t)st.st_blksize > REGION_PAGE ? (size_t)st.st_blksize : REGION_PAGE;
	page = mem_refused("mmap") ? MAP_FAILED : mmap(NULL, p->pin_size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (page == MAP_FAILED)
		return -ENOMEM;
	if (madvise(page, p->pin_size, MADV_DONTFORK) != 0) {
		munmap(page, p->pin_size);
		return -ENOMEM;
	}
	p->pin = page;
	return 0;
}

static int64_t take_slot(struct process_slots *p)
{
	int64_t slot;
	int error, fd = region_reopen(p->region, O_RDWR);

	if (fd < 0)
		return fd;
	slot = lock_slot(fd);
	error = slot < 0 ? (int)slot : pin(p, fd);
	close(fd); /* of an error, the lock goes with it */
	return error ? error : slot;
}

static int join(struct process_slots *p)
{
	int64_t slot = take_slot(p);
	uint32_t generation;

	if (slot < 0)
		return (int)slot;
	/* relaxed: what a record says of its holder is ordered by the record */
	generation = atomic_fetch_add_explicit(&p->generations[slot], 1, memory_order_relaxed) + 1;
	p->next = joined;
	p->link = &joined;
	if (joined)
		joined->link = &p->next;
	joined = p;
	/* release: with it, the generation is there */
	atomic_store_explicit(&p->self, (uint64_t)generation << 32 | (uint32_t)(slot + 1), memory_order_release);
	return 0;
}

int process_join(struct process_slots *p)
{
	struct held before;
	int error = 0;

	if (atomic_load_explicit(&p->self, memory_order_acquire)) /* acquire: see join */
		return 0;
	fork_handlers_install();
	hold_begin(&before);
	pthread_mutex_lock(&lock);
	if (!atomic_load_explicit(&p->self, memory_order_relaxed)) /* relaxed: under the lock */
		error = join(p);
	pthread_mutex_unlock(&lock);
	hold_end(&before);
	return error;
}

/* Under the lock, or in a process of one thread. */
static void forget(struct process_slots *p)
{
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	p->pin = NULL;
	atomic_store_explicit(&p->self, 0, memory_order_relaxed);
}

void process_leave(struct process_slots *p)
{
	struct held before;

	hold_begin(&before);
	pthread_mutex_lock(&lock);
	if (p->pin) {
		munmap(p->pin, p->pin_size);
		forget(p);
	}
	pthread_mutex_unlock(&lock);
	hold_end(&before);
}

bool process_dead(const struct process_slots *p, uint64_t self)
{
	uint32_t slot = (uint32_t)self - 1;
	struct flock byte = byte_of(slot);

	if (slot >= PROCESSES) /* a scribbled word, and nobody */
		return true;
	/* relaxed: a generation that has moved on doesn't come back */
	if (atomic_load_explicit(&p->generations[slot], memory_order_relaxed) != self >> 32)
		return true;
	return region_fd_is_ours(p->region) && fcntl(p->region->fd, F_OFD_GETLK, &byte) == 0 && byte.l_type == F_UNLCK;
}

void process_fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

void process_fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/* The pins are not in the child. */
void process_fork_child(void)
{
	while (joined)
		forget(joined);
	pthread_mutex_unlock(&lock); /* locked by this thread in process_fork_prepare */
}
