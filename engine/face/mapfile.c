/* SPDX-License-Identifier: MIT */
/*
 * The file behind a map of the command face.
 *
 * It is an unnamed file (O_TMPFILE) in the user's registry directory in /dev/shm; where that can't be used, a memfd.
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
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "face/check.h"

#define PATH_SIZE 64

/* Makes sure that the directory exists and is the caller's alone. */
static bool registry_directory(char path[PATH_SIZE])
{
	struct stat st;

	snprintf(path, PATH_SIZE, "/dev/shm/usermap-bpf-map-%u", geteuid());
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return false;
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

int mapfile_create(void)
{
	char path[PATH_SIZE];
	int fd = -1;

	if (registry_directory(path))
		fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = memfd_create("bpf-map", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	fchmod(fd, 0666); /* can't fail on a file just made */
	return fd;
}

/* The counter of ids: a page shared by all processes of the user; NULL if there is no memory for it. In a file of the
 * registry, or (then only within the family of processes that fork from here) in anonymous memory. */
static _Atomic uint32_t *id_counter;

static void map_id_counter(void)
{
	char path[PATH_SIZE + 8];
	void *page = MAP_FAILED;
	int fd = -1;

	if (registry_directory(path)) {
		strcat(path, "/ids");
		fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (fd >= 0 && posix_fallocate(fd, 0, sizeof(*id_counter)) == 0)
		page = mmap(NULL, sizeof(*id_counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (page == MAP_FAILED)
		page = mmap(NULL, sizeof(*id_counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page != MAP_FAILED)
		id_counter = page;
}

uint32_t mapfile_new_id(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint32_t id = 0;

	pthread_once(&once, map_id_counter);
	while (id_counter && id == 0)
		/* relaxed: the number is all that matters */
		id = atomic_fetch_add_explicit(id_counter, 1, memory_order_relaxed) + 1;
	return id;
}

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

void mapfile_seal(int fd)
{
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL); /* refused on a tmpfs: G9 says so */
}

int mapfile_park(int fd, uint64_t key, unsigned access)
{
	uint64_t cookie = COOKIE_MARK | (uint64_t)access << COOKIE_ACCESS_SHIFT | key;

	if (lseek(fd, (off_t)cookie, SEEK_SET) < 0 || flock(fd, LOCK_SH) != 0)
		return -errno;
	return 0;
}

int mapfile_restrict(int fd, unsigned access)
{
	char path[32];
	int restricted, error = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	restricted = open(path, (access == MAY_READ ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
	if (restricted < 0)
		return -errno;
	if (dup3(restricted, fd, O_CLOEXEC) < 0) /* the caller gets the lowest free number, as from the kernel */
		error = -errno;
	close(restricted);
	return error;
}

bool mapfile_unused(int fd, uint64_t key)
{
	/* A program that closes all its descriptors closes the region's too, and the number may be another file's by
	 * now. */
	if (mapfile_key(fd, COOKIE_ID(key)) != key || flock(fd, LOCK_EX | LOCK_NB) != 0)
		return false;
	flock(fd, LOCK_UN);
	return true;
}
