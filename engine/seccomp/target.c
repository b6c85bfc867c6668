/* SPDX-License-Identifier: MIT */
/*
 * From the number of a thread to a pidfd, by which its descriptors can be had. Opening one costs some microseconds, so it's
 * remembered.
 *
 * A pidfd that is remembered is good for a number while its thread is there: so long nobody else has that number, and
 * when it's gone the pidfd says so (ESRCH). The kernel has pidfds of threads since 6.9. Before, there are those of
 * processes alone. One that was opened for another thread than the first doesn't say whether that thread is there, so it
 * serves for one request only.
 */
#include "seccomp/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_TOO O_EXCL /* PIDFD_THREAD, newer than most headers */

/* The number behind `name` in a file of /proc/TID; 0 if it's not there. */
static unsigned long read_field(pid_t tid, const char *file, const char *name, int base)
{
	char path[64], line[128];
	unsigned long found = 0;
	FILE *lines;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, file);
	lines = fopen(path, "re");
	while (lines && fgets(line, sizeof(line), lines))
		if (strncmp(line, name, strlen(name)) == 0) {
			found = strtoul(line + strlen(name), NULL, base);
			break;
		}
	if (lines)
		fclose(lines);
	return found;
}

static int open_process(pid_t tid, bool *first)
{
	pid_t process;

	errno = ESRCH;
	process = (pid_t)read_field(tid, "status", "Tgid:", 10);
	*first = process == tid;
	return process ? (int)syscall(SYS_pidfd_open, process, 0) : -1;
}

/* A pidfd for the number, or -1. lasting: as long as its thread is there. */
static int open_thread(pid_t tid, bool *lasting)
{
	int fd = (int)syscall(SYS_pidfd_open, tid, THREADS_TOO);

	*lasting = true;
	return fd < 0 && errno == EINVAL ? open_process(tid, lasting) : fd;
}

static int duplicate(int pidfd, int fd)
{
	return (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
}

int target_duplicate(struct targets *targets, pid_t tid, int fd)
{
	struct target *known = &targets->known[(unsigned)tid % TARGETS];
	bool lasting;
	int own, pidfd;

	if (known->tid == tid) {
		own = duplicate(known->pidfd, fd);
		if (own >= 0 || errno != ESRCH)
			return own;
	}
	pidfd = open_thread(tid, &lasting);
	own = pidfd < 0 ? -1 : duplicate(pidfd, fd);
	if (lasting && pidfd >= 0) {
		if (known->tid)
			close(known->pidfd);
		*known = (struct target){ tid, pidfd };
	} else if (pidfd >= 0) {
		close(pidfd);
	}
	return own;
}

bool target_closes_on_exec(pid_t tid, int fd)
{
	char file[32];

	snprintf(file, sizeof(file), "fdinfo/%d", fd);
	return read_field(tid, file, "flags:", 8) & O_CLOEXEC;
}
