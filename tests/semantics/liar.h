/* SPDX-License-Identifier: MIT */
/*
 * Who tests the comparison? A bpf(2) that lies now and then, in one way at a time. Each way must be noticed.
 */
#ifndef TESTS_SEMANTICS_LIAR_H
#define TESTS_SEMANTICS_LIAR_H

#include "side.h"

enum lie {
	LIE_ERRNO,   /* another errno */
	LIE_SUCCESS, /* a failure that is said to be none */
	LIE_FAILURE, /* the other way round */
	LIE_COUNT,   /* a batch's count is one too high */
	LIE_BYTE,    /* one byte of a value is wrong */
	LIE_BEYOND,  /* a byte behind the value is written */
	LIE_INPUT,   /* the caller's key is written to */
	LIE_FORGET,  /* an update is not done */
	LIE_ORDER,   /* a lookup moves the entry to the front of its bucket */
	LIE_KEEP,    /* a delete is not done */
	LIE_ID,	     /* the map's id changes */
	LIE_PADDING, /* a byte behind the value_size of a per-CPU value is wrong */
	LIE_LOCK,    /* the lock's bytes aren't zero */
	LIE_F_LOCK,  /* another errno, where BPF_F_LOCK was given */
	LIE_MARK,    /* a command's lookup counts as a use of an LRU map's entry */
	LIE_CPU,     /* an update of an LRU map takes from another CPU's lists */
	/* Lies of the program face: */
	LIE_HELPER_ERRNO,
	LIE_HELPER_BYTE,   /* a lookup's value has a wrong byte */
	LIE_HELPER_COUNT,  /* a walk's count is one too high */
	LIE_HELPER_ORDER,  /* two entries of a walk have changed places */
	LIE_HELPER_FORGET, /* a store through a pointer is not done */
	LIE_HELPER_CPU,	   /* what should go to one CPU's slot goes to another's */
	LIE_HELPER_SPREAD, /* an update reaches another CPU's slot, too */
	LIE_N
};

extern const char *const lie_names[LIE_N];

static inline unsigned liar_needs_cpus(enum lie lie)
{
	return lie == LIE_CPU || lie == LIE_HELPER_CPU || lie == LIE_HELPER_SPREAD ? 2 : 1;
}

/* Makes both faces of the liar tell one kind of lie, in about one of `rarely` answers that it fits, on top of those of
 * `honest`. */
void liar_begin(enum lie lie, const struct side *honest, unsigned rarely);
long liar_bpf(int cmd, void *attr, unsigned size);
extern const struct helper_face liar_helpers;

#endif
