/* SPDX-License-Identifier: MIT */
/* A caller's descriptors. See caller.h. */
#include "face/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread struct caller *caller __attribute__((tls_model("initial-exec")));

void caller_begin(struct caller *who)
{
	who->n_taken = 0;
	who->no_descriptor = who->pidfd < 0;
	caller = who;
}

void caller_end(void)
{
	while (caller->n_taken)
		close(caller->taken[--caller->n_taken].own);
	caller = NULL;
}

/* What relative paths begin at. */
static int open_directory(void)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cwd", caller->tid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || caller->waits(caller))
		return fd;
	close(fd);
	errno = ESRCH;
	return -1;
}

int caller_take_fd(int fd)
{
	int own;

	for (unsigned i = 0; i < caller->n_taken; i++)
		if (caller->taken[i].theirs == fd)
			return caller->taken[i].own;
	if (caller->n_taken == CALLER_TAKES)
		return -1;
	own = fd == AT_FDCWD ? open_directory() : (int)syscall(SYS_pidfd_getfd, caller->pidfd, fd, 0);
	if (own < 0) {
		caller->no_descriptor |= errno == EMFILE || errno == ENFILE;
		return -1;
	}
	caller->taken[caller->n_taken].theirs = fd;
	caller->taken[caller->n_taken++].own = own;
	return own;
}
