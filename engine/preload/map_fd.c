/* SPDX-License-Identifier: MIT */
/* Telling maps' descriptors from others. */
#include <errno.h>

#include "face/fd.h"
#include "face/mapfile.h"
#include "preload/ours.h"

bool is_map(int fd)
{
	int error = errno;
	struct fd_map found;
	uint64_t cookie;
	/* the cookie first: most files aren't maps, and most programs then need nothing of the engine */
	bool is = fd >= 0 && mapfile_cookie(fd, &cookie) == 0 && fd_enter(fd, NULL, &found) == 0;

	if (is)
		fd_leave();
	errno = error;
	return is;
}
