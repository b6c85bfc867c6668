/* SPDX-License-Identifier: MIT */
/*
 * From the number of a thread to a pidfd, which costs some microseconds, and so is remembered.
 *
 * A pidfd that is remembered is good for a number while its thread is there: so long nobody else has that number. The
 * kernel has pidfds of threads since 6.9. Before, there are those of processes alone. One that was opened for
 * another thread than the first doesn't say whether that thread is there, so it serves for one request only.
 */
#include "seccomp/target.h"

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
	pid_t process = (pid_t)read_field(tid, "status", "Tgid:", 10);

	*first = process == tid;
	return process ? (int)syscall(SYS_pidfd_open, process, 0) : -1;
}

int target_pidfd(struct targets *targets, pid_t tid)
{
	unsigned at = (unsigned)tid % TARGETS;
	bool lasting = true;
	int fd = targets->known[at].pidfd;

	if (targets->known[at].tid == tid && syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0)
		return fd;
	if (fd > 0)
		close(fd);
	fd = (int)syscall(SYS_pidfd_open, tid, THREADS_TOO);
	if (fd < 0)
		fd = open_process(tid, &lasting);
	targets->known[at].tid = lasting && fd >= 0 ? tid : 0;
	targets->known[at].pidfd = fd;
	return fd;
}

bool target_closes_on_exec(pid_t tid, int fd)
{
	char file[32];

	snprintf(file, sizeof(file), "fdinfo/%d", fd);
	return read_field(tid, file, "flags:", 8) & O_CLOEXEC;
}
