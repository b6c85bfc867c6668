/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors of maps and BTF this process has: /proc/thread-self/fd lists all, and the offset tells.
 *
 * At exit a process closes them, since it's the last who can remove the entries of maps that nobody else has: the kernel
 * would close them right after, and the next process that looks into the registry finds the rest. That's also how the maps
 * of a process go that was killed. While other threads are still running they may be using their maps, up to the last
 * instant; then it is left to the next process as well.
 */
#include "face/fd_scan.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hold.h"
#include "core/reclaim.h"
#include "face/mapfile.h"
#include "face/registry.h"

#define REMEMBERED 64u

static atomic_bool armed; /* relaxed: read when the process has one thread */

void fd_scan(void (*each)(int fd, uint64_t cookie, void *ctx), void *ctx)
{
	DIR *folder = opendir("/proc/thread-self/fd");
	const struct dirent *entry;
	uint64_t cookie;

	while (folder && (entry = readdir(folder))) {
		int fd = atoi(entry->d_name); /* of "." and "..": 0, which is looked at once more */

		if (mapfile_cookie(fd, &cookie) == 0 && mapfile_key(fd, COOKIE_ID(cookie)) == COOKIE_KEY(cookie))
			each(fd, cookie, ctx);
	}
	if (folder)
		closedir(folder);
}

/* What was closed at exit. */
struct closed {
	uint64_t cookie[REMEMBERED];
	unsigned n;
};

static void close_one(int fd, uint64_t cookie, void *ctx)
{
	struct closed *closed = ctx;

	close(fd);
	if (closed->n < REMEMBERED)
		closed->cookie[closed->n] = cookie;
	closed->n++;
}

static bool alone(void)
{
	struct stat st;

	/* a directory for each thread, and two links of its own */
	return stat("/proc/self/task", &st) == 0 && st.st_nlink == 3u + reclaim_has_thread();
}

__attribute__((destructor)) static void leave(void)
{
	struct closed closed = { .n = 0 };
	struct held before;

	if (!atomic_load_explicit(&armed, memory_order_relaxed) || !alone())
		return;
	hold_begin(&before);
	fd_scan(close_one, &closed);
	if (closed.n > REMEMBERED)
		registry_sweep();
	else
		for (unsigned i = 0; i < closed.n; i++)
			registry_reap(COOKIE_ACCESS(closed.cookie[i]) == COOKIE_BTF ? REGISTRY_BTF : REGISTRY_MAP,
				      COOKIE_ID(closed.cookie[i]));
	hold_end(&before);
}

void fd_exit_arm(void)
{
	atomic_store_explicit(&armed, true, memory_order_relaxed);
}
