/* SPDX-License-Identifier: MIT */
/*
 * Copies to and from pointers that may be bad. usercopy.c tells how; here is the part that every copy runs through:
 * within a page that the thread has just used, the copy starts at once.
 */
#ifndef ENGINE_FACE_USERCOPY_H
#define ENGINE_FACE_USERCOPY_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "map/map.h"

enum usercopy_direction { FROM_USER, TO_USER };

/* Pages this thread has copied from or to lately, as usercopy_page() names them; 0 is none. Initial-exec makes the
 * access one instruction; the C library's reserve for libraries that are loaded later has room for it. */
#define USERCOPY_KNOWN 4
extern __thread uintptr_t usercopy_known[USERCOPY_KNOWN] __attribute__((tls_model("initial-exec")));

/* Copies as far as it can; returns how many bytes are left. Only for pages that are known. */
size_t usercopy_bytes(void *dst, const void *src, size_t size);
/* Any copy. 0 or -EFAULT. */
int usercopy_careful(void *trusted, void *user, size_t size, enum usercopy_direction direction);

/* Copies by system call: slow, but can't fault. pid: whose pointer it is. Returns how many bytes are left, or SIZE_MAX if
 * the call is not to be had. */
size_t usercopy_by_kernel(pid_t pid, void *trusted, void *user, size_t size, enum usercopy_direction direction);

/* If the signal's context is in the copy routine, lets it continue at its fixup. */
bool usercopy_mend(void *context);

static inline uintptr_t usercopy_page(uintptr_t addr, enum usercopy_direction direction)
{
	return ((addr >> 12) << 1 | (uintptr_t)direction) + 1;
}

static inline bool usercopy_is_known(uintptr_t page)
{
	const uintptr_t *known = usercopy_known;

	return known[0] == page || known[1] == page || known[2] == page || known[3] == page;
}

static inline int usercopy(void *trusted, void *user, size_t size, enum usercopy_direction direction)
{
	uintptr_t first = (uintptr_t)user, last = first + size - 1; /* size 0: never in one page */

	if (__builtin_expect((first ^ last) >> 12 == 0 && usercopy_is_known(usercopy_page(first, direction)), 1)) {
		void *dst = direction == FROM_USER ? trusted : user;
		const void *src = direction == FROM_USER ? user : trusted;

		return __builtin_expect(usercopy_bytes(dst, src, size) == 0, 1) ? 0 : -EFAULT;
	}
	return usercopy_careful(trusted, user, size, direction);
}

/* Both return 0 or -EFAULT. On a fault, the bytes before the first one that can't be reached have been copied. */
static inline int usercopy_in(void *dst, const void *user, size_t size)
{
	return usercopy(dst, (void *)(uintptr_t)user, size, FROM_USER);
}

static inline int usercopy_out(void *user, const void *src, size_t size)
{
	return usercopy((void *)(uintptr_t)src, user, size, TO_USER);
}

/* The two as a batch wants them: for callers that aren't trusted, and (plain memcpy) for those that are. */
extern const struct user_io usercopy_io;
extern const struct user_io trusted_io;

#endif
