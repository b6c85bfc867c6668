/* SPDX-License-Identifier: MIT */
/*
 * A caller's memory, which the kernel copies (process_vm_readv, process_vm_writev).
 *
 * Each copy is a system call that takes longer than the command. A command on one element reads two or three pieces: its
 * attr, the key, and a value; where the latter lie is only known when the attr has been read. But a program makes most
 * of its calls from the same places. So the pieces that two commands of a kind have read, one after the other, are read
 * together with the attr of the next, and what the command then wants of that is at hand. A wrong guess, or one that can't
 * be read, costs a little and changes nothing: the command reads what it needs and gets the errors of that.
 *
 * No command on one element reads anything after it has written; and what the program's other threads change
 * meanwhile may be seen or not, as by the kernel.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "face/caller.h"
#include "face/usercopy.h"

#define NEAR 256u /* pieces no further apart are read as one, which is cheaper than two; less than a page */

static size_t end_of(struct caller_span span)
{
	return span.at + span.size;
}

static bool holds(struct caller_span outer, struct caller_span inner)
{
	/* one that begins before `outer` is far behind it by this count */
	return inner.size <= outer.size && inner.at - outer.at <= outer.size - inner.size;
}

/* The two and what is between them. */
static struct caller_span join(struct caller_span a, struct caller_span b)
{
	uintptr_t at = a.at < b.at ? a.at : b.at;
	uintptr_t end = end_of(a) > end_of(b) ? end_of(a) : end_of(b);

	return (struct caller_span){ at, end - at };
}

/* Adds a piece to those that are to be read, if there is room. */
static void plan(struct caller *who, struct caller_span piece)
{
	size_t bytes = piece.size;

	for (unsigned i = 0; i < who->n_ahead; i++)
		bytes += who->ahead[i].size;
	for (unsigned i = 0; i < who->n_ahead; i++) {
		struct caller_span both = join(who->ahead[i], piece);

		if (both.size <= who->ahead[i].size + piece.size + NEAR &&
		    bytes - piece.size - who->ahead[i].size + both.size <= sizeof(who->bytes)) {
			who->ahead[i] = both;
			return;
		}
	}
	if (bytes <= sizeof(who->bytes))
		who->ahead[who->n_ahead++] = piece;
}

/* Reads what is planned. Of pieces that can't be read to their ends, those ends aren't there. */
static void carry_out(struct caller *who)
{
	struct iovec own = { who->bytes, sizeof(who->bytes) }, theirs[1 + CALLER_READS];
	ssize_t n;
	size_t got;

	for (unsigned i = 0; i < who->n_ahead; i++)
		theirs[i] = (struct iovec){ (void *)who->ahead[i].at, who->ahead[i].size };
	n = process_vm_readv(who->tid, &own, 1, theirs, who->n_ahead, 0);
	got = n > 0 ? (size_t)n : 0;
	for (unsigned i = 0; i < who->n_ahead; i++) {
		if (who->ahead[i].size > got)
			who->ahead[i].size = got;
		got -= who->ahead[i].size;
	}
}

void caller_read_ahead(const void *attr, size_t size, struct caller_habit *habit)
{
	caller->habit = habit;
	caller->attr = (struct caller_span){ (uintptr_t)attr, size };
	if (size == 0 || size > sizeof(caller->bytes))
		return;
	plan(caller, caller->attr);
	for (unsigned i = 0; i < CALLER_READS; i++)
		if (habit->reads[i].twice)
			plan(caller, habit->reads[i].span);
	carry_out(caller);
}

/* Remembers what the command reads, for the next of its kind. */
static void learn(struct caller *who, struct caller_span piece)
{
	struct caller_habit *habit = who->habit;
	unsigned i = who->n_reads;

	if (!habit || i == CALLER_READS || holds(who->attr, piece))
		return;
	habit->reads[i].twice = habit->reads[i].span.at == piece.at && habit->reads[i].span.size == piece.size;
	habit->reads[i].span = piece;
	who->n_reads++;
}

static bool was_read(const struct caller *who, struct caller_span piece, void *own)
{
	const unsigned char *bytes = who->bytes;

	for (unsigned i = 0; i < who->n_ahead; bytes += who->ahead[i++].size)
		if (holds(who->ahead[i], piece)) {
			memcpy(own, bytes + (piece.at - who->ahead[i].at), piece.size);
			return true;
		}
	return false;
}

int caller_read(void *own, const void *theirs, size_t size)
{
	struct caller_span piece = { (uintptr_t)theirs, size };

	learn(caller, piece);
	if (was_read(caller, piece, own))
		return 0;
	if (usercopy_by_kernel(caller->tid, own, (void *)piece.at, size, FROM_USER))
		return -EFAULT;
	return caller->waits(caller) ? 0 : -EFAULT;
}

/* The kernel has no way to write to a process that is sure to be the one that is meant; but numbers of processes aren't
 * used again at once. */
int caller_write(void *theirs, void *own, size_t size)
{
	if (!caller->waits(caller))
		return -EFAULT;
	return usercopy_by_kernel(caller->tid, own, theirs, size, TO_USER) ? -EFAULT : 0;
}
