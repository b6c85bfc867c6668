/* SPDX-License-Identifier: MIT */
/*
 * The file behind a map of the command face.
 *
 * It is a file in the user's registry (registry.c), under its id; where that can't be used, a memfd.
 * Its descriptors are ordinary ones, so close, dup, fork, exec and SCM_RIGHTS need no help. Three things make them map
 * descriptors:
 *  - the offset, which names the map (mapfile.h);
 *  - a shared flock on each description that a caller can hold. The library maps the file through a description of its
 *    own that holds no lock. So when that one can have the exclusive lock, nobody has the map any more, in no process
 *    and in no socket's queue, and however its holders went;
 *  - the path: it contains "bpf-map", the word that bpftool looks for in /proc/PID/fd.
 *
 * Whoever holds a descriptor may reopen the file for writing, and a process of another user that is sent one must be
 * able to: access modes are part of the interface, not a border. The border is the directory, which is the user's
 * alone.
 */
#include "face/mapfile.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "core/hold.h"
#include "core/region.h"
#include "face/check.h"

/*
 * The id alone could name two maps to a process that is sent a descriptor by another user, whose ids are counted
 * elsewhere. So the key also holds 28 bits of the file's identity, which prove as well that a parked offset belongs to
 * its file.
 */
uint64_t mapfile_key(int fd, uint32_t id)
{
	struct stat st;
	uint64_t mark;

	if (fstat(fd, &st) != 0)
		return 0;
	mark = ((uint64_t)st.st_ino ^ (uint64_t)st.st_dev << 32) * 0x9e3779b97f4a7c15ull;
	return COOKIE_KEY(mark >> 36 << 32 | id);
}

uint32_t mapfile_id(int fd)
{
	struct region_header header;
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size < REGION_PAGE ||
	    pread(fd, &header, sizeof(header), st.st_size - REGION_PAGE) != (ssize_t)sizeof(header) ||
	    header.magic != REGION_MAGIC)
		return 0;
	return atomic_load_explicit(&header.id, memory_order_relaxed); /* relaxed: a copy, nobody else's */
}

void mapfile_seal(int fd)
{
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL); /* refused on a tmpfs: G9 says so */
}

/*
 * A child that is forked while another thread has the exclusive lock for a moment would share it, and keep it: whoever
 * wants the map would wait for the child, and so might the child itself. So fork waits for that thread. The lock is a
 * leaf, taken inside fd.c's, and so before a fork after that one: hence the priority, see there.
 */
static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;

static struct held before_asking; /* the holder's */

void mapfile_ask_begin(void)
{
	struct held before;

	hold_begin(&before);
	pthread_mutex_lock(&asking);
	before_asking = before;
}

void mapfile_ask_end(void)
{
	struct held before = before_asking;

	pthread_mutex_unlock(&asking);
	hold_end(&before);
}

__attribute__((constructor(64000))) static void install_fork_handlers(void)
{
	pthread_atfork(mapfile_ask_begin, mapfile_ask_end, mapfile_ask_end);
}

int mapfile_hold(int fd)
{
	while (flock(fd, LOCK_SH) != 0) /* waits for nobody but who is asking whether the map is dead */
		if (errno != EINTR)
			return -errno;
	return 0;
}

int mapfile_park(int fd, uint64_t key, unsigned access)
{
	uint64_t cookie = COOKIE_MARK | (uint64_t)access << COOKIE_ACCESS_SHIFT | key;

	return lseek(fd, (off_t)cookie, SEEK_SET) < 0 ? -errno : 0;
}

int mapfile_open_mode(unsigned access)
{
	return access == MAY_READ ? O_RDONLY : access == MAY_WRITE ? O_WRONLY : O_RDWR;
}

int mapfile_restrict(int fd, unsigned access)
{
	int restricted = file_reopen(fd, mapfile_open_mode(access)), error;

	if (restricted < 0)
		return restricted;
	error = mapfile_hold(restricted);
	if (!error &&
	    dup3(restricted, fd, O_CLOEXEC) < 0) /* the caller gets the lowest free number, as from the kernel */
		error = -errno;
	close(restricted);
	return error;
}

bool mapfile_unused(int fd, uint64_t key)
{
	struct stat st;
	int own;
	bool unused;

	/* A program that closes all its descriptors closes the region's too, and the number may be another file's by
	 * now. */
	if (mapfile_key(fd, COOKIE_ID(key)) != key || fstat(fd, &st) != 0)
		return false;
	/* Of a pinned map nobody must take the exclusive lock, even for a moment: who opens the pin would wait. */
	if (st.st_nlink > 1)
		return false;
	mapfile_ask_begin();
	own = file_reopen(fd, O_RDONLY); /* forked children share the region's description */
	unused = own >= 0 && flock(own, LOCK_EX | LOCK_NB) == 0;
	if (unused)
		flock(own, LOCK_UN);
	if (own >= 0)
		close(own);
	mapfile_ask_end();
	return unused;
}
