/* SPDX-License-Identifier: MIT */
/*
 * What the numbers of descriptors were last seen to mean. See fd_numbers.c.
 */
#ifndef ENGINE_FACE_FD_NUMBERS_H
#define ENGINE_FACE_FD_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#define NUMBER_ACCESS ((uintptr_t)3) /* an entry's low bits: enum access; the rest is fd.c's pointer */

/* The entry of a number, 0 if it has none. Inside a section, where the pointer stays good. */
uintptr_t fd_number_get(int fd);

/* Tells a later fd_number_set() how old the answer is that it brings; taken before the kernel is asked. */
uint64_t fd_numbers_now(void);
/* Makes room for an entry, if there is memory for it. Called without fd.c's lock; before fd_number_set. */
void fd_number_prepare(int fd);

/* All of these are called with fd.c's lock held. */

/* Gives a number its entry, unless a descriptor has been closed since `asked`, or is being. */
void fd_number_set(int fd, uintptr_t entry, uint64_t asked);
/* Forgets numbers [first, last]. */
void fd_numbers_clear(unsigned first, unsigned last);
/* Forgets the numbers of one pointer, or (0) all. */
void fd_numbers_forget(uintptr_t pointer);

/* The rest isn't. */

/* Whether a number in [first, last] could have an entry. */
bool fd_numbers_any(unsigned first, unsigned last);
/* Around whatever gives numbers another meaning: from begin on no number gets an entry. */
void fd_numbers_begin(void);
void fd_numbers_end(void);
/* In a forked child: the threads that were between begin and end are not there. */
void fd_numbers_fork_child(void);

#endif
