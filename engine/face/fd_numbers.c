/* SPDX-License-Identifier: MIT */
/*
 * What the numbers of descriptors were last seen to mean.
 *
 * A table indexed by number, of what fd.c found out: a command on a number with an entry needn't ask the kernel, if the
 * library is told of all that changes meanings (the preload library is; usermap_bpf_check_fds()).
 *
 * An entry must never outlive its number's meaning. Who asked the kernel and is slow could bring an old answer, when the
 * descriptor has been closed and the number serves another file. So one word counts those who are about to change
 * meanings, and how many have done so. A change is: raise the count; remove the entry; change; end the count. An answer
 * is entered, under fd.c's lock, only if nobody was at it when the kernel was asked and the word is still the same. An
 * entry that was made before the count was raised is removed; after that none is made. Whoever dies or is cancelled in
 * between leaves the count raised: then nothing is entered any more, and every command asks the kernel.
 *
 * Numbers 0 to 2 never get an entry: the C library itself may put other files there (daemon, login_tty).
 */
#include "face/fd_numbers.h"

#include "core/alloc.h"

#define LOWEST_NUMBER 3u

_Atomic(struct number_page *) fd_number_pages[NUMBER_PAGES];

/* How many are changing meanings, and above that how many have. */
#define CHANGING 1ull
#define CHANGED	 (1ull << 32)
static _Atomic uint64_t changes;

static bool at_rest(uint64_t word)
{
	return (uint32_t)word == 0;
}

uint64_t fd_numbers_now(void)
{
	/* seq_cst: before the kernel's answer */
	return atomic_load_explicit(&changes, memory_order_seq_cst);
}

void fd_number_prepare(int fd)
{
	unsigned page = (unsigned)fd / NUMBERS_PER_PAGE;
	struct number_page *fresh, *none = NULL;

	if (page >= NUMBER_PAGES || fd_number_page((unsigned)fd))
		return;
	fresh = mem_alloc(sizeof(*fresh));
	/* seq_cst: a page before the word is read again. Who raises the count and then sees no page has nothing to
	 * remove, since whoever makes one sees the count. */
	if (fresh && !atomic_compare_exchange_strong_explicit(&fd_number_pages[page], &none, fresh,
							      memory_order_seq_cst, memory_order_relaxed))
		mem_free(fresh, sizeof(*fresh));
}

void fd_number_set(int fd, uintptr_t entry, uint64_t asked)
{
	struct number_page *page = fd_number_page((unsigned)fd);
	_Atomic uintptr_t *at;

	if (!page || (unsigned)fd < LOWEST_NUMBER)
		return;
	at = &page->entries[(unsigned)fd % NUMBERS_PER_PAGE];
	/* seq_cst: see fd_number_prepare */
	if (!at_rest(asked) || atomic_load_explicit(&changes, memory_order_seq_cst) != asked)
		return;
	/* release: what the pointer leads to before the pointer */
	atomic_store_explicit(at, entry, memory_order_release);
}

/* Removes the entries of [first, last] that are `pointer`'s, or (0) all. */
static void clear(unsigned first, unsigned last, uintptr_t pointer)
{
	if (last >= NUMBER_PAGES * NUMBERS_PER_PAGE)
		last = NUMBER_PAGES * NUMBERS_PER_PAGE - 1;
	while (first <= last) {
		struct number_page *page = fd_number_page(first);
		unsigned end = (first | (NUMBERS_PER_PAGE - 1)) + 1; /* of the page */

		for (; page && first < end && first <= last; first++) {
			_Atomic uintptr_t *at = &page->entries[first % NUMBERS_PER_PAGE];
			/* relaxed, here and below: only holders of the lock write, and a reader may see either */
			uintptr_t entry = atomic_load_explicit(at, memory_order_relaxed);

			if (entry && (!pointer || (entry & ~NUMBER_ACCESS) == pointer))
				atomic_store_explicit(at, 0, memory_order_relaxed);
		}
		first = end;
	}
}

void fd_numbers_clear(unsigned first, unsigned last)
{
	clear(first, last, 0);
}

void fd_numbers_forget(uintptr_t pointer)
{
	clear(0, UINT32_MAX, pointer);
}

bool fd_numbers_any(unsigned first, unsigned last)
{
	for (unsigned p = first / NUMBERS_PER_PAGE; p < NUMBER_PAGES && p <= last / NUMBERS_PER_PAGE; p++)
		if (fd_number_page(p * NUMBERS_PER_PAGE))
			return true;
	return false;
}

void fd_numbers_begin(void)
{
	/* seq_cst: see fd_number_prepare */
	atomic_fetch_add_explicit(&changes, CHANGING, memory_order_seq_cst);
}

void fd_numbers_end(void)
{
	/* release: the change before whoever sees that it is over */
	atomic_fetch_add_explicit(&changes, CHANGED - CHANGING, memory_order_release);
}

void fd_numbers_fork_child(void)
{
	uint64_t word = atomic_load_explicit(&changes, memory_order_relaxed);

	/* relaxed: the only thread */
	atomic_store_explicit(&changes, (word | UINT32_MAX) + 1, memory_order_relaxed);
}
