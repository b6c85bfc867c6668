/* SPDX-License-Identifier: MIT */
/* Whom the thread works for, and its descriptors. See caller.h. */
#include "face/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

__thread struct caller *caller __attribute__((tls_model("initial-exec")));

void caller_begin(struct caller *who)
{
	who->n_taken = 0;
	who->no_descriptor = false;
	who->habit = NULL;
	who->n_reads = 0;
	who->n_ahead = 0;
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

	snprintf(path, sizeof(path), "/proc/%d/cwd", caller->tid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int caller_take_fd(int fd)
{
	int own;

	for (unsigned i = 0; i < caller->n_taken; i++)
		if (caller->taken[i].theirs == fd)
			return caller->taken[i].own;
	if (caller->n_taken == CALLER_TAKES)
		return -1;
	own = fd == AT_FDCWD ? open_directory() : caller->duplicate(caller, fd);
	if (own < 0) {
		caller->no_descriptor |= errno == EMFILE || errno == ENFILE;
		return -1;
	}
	if (!caller->only_looks && !caller->waits(caller)) {
		close(own);
		return -1;
	}
	caller->taken[caller->n_taken].theirs = fd;
	caller->taken[caller->n_taken++].own = own;
	return own;
}
