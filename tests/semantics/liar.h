/* SPDX-License-Identifier: MIT */
/*
 * Who tests the comparison? A bpf(2) that lies now and then, in one way at a time. Each way must be noticed.
 */
#ifndef TESTS_SEMANTICS_LIAR_H
#define TESTS_SEMANTICS_LIAR_H

#include "abi.h"

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
	LIE_N
};

extern const char *const lie_names[LIE_N];

/* Makes liar_bpf() tell one kind of lie, in about one of `rarely` answers that it fits, on top of `honest`. */
void liar_begin(enum lie lie, abi_bpf honest, unsigned rarely);
long liar_bpf(int cmd, void *attr, unsigned size);

#endif
