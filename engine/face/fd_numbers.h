/* SPDX-License-Identifier: MIT */
/*
 * What the numbers of descriptors were last seen to mean. See fd_numbers.c.
 */
#ifndef ENGINE_FACE_FD_NUMBERS_H
#define ENGINE_FACE_FD_NUMBERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NUMBER_ACCESS ((uintptr_t)3) /* an entry's low bits: enum access; the rest is fd.c's pointer */

#define NUMBERS_PER_PAGE 1024u
#define NUMBER_PAGES	 1024u

/* Pages are published once and never freed. Entries are written under fd.c's lock, read inside sections. */
struct number_page {
	_Atomic uintptr_t entries[NUMBERS_PER_PAGE];
};
extern _Atomic(struct number_page *) fd_number_pages[NUMBER_PAGES];

static inline struct number_page *fd_number_page(unsigned number)
{
	unsigned page = number / NUMBERS_PER_PAGE;

	/* seq_cst: against fd_numbers_begin, see fd_number_prepare; and the page was zeroed before it was published */
	return page < NUMBER_PAGES ? atomic_load_explicit(&fd_number_pages[page], memory_order_seq_cst) : NULL;
}

/* The entry of a number, 0 if it has none. Inside a section, where the pointer stays good. */
static inline uintptr_t fd_number_get(int fd)
{
	struct number_page *page = fd_number_page((unsigned)fd);

	/* acquire: what the pointer leads to after the pointer */
	return page ? atomic_load_explicit(&page->entries[(unsigned)fd % NUMBERS_PER_PAGE], memory_order_acquire) : 0;
}

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
