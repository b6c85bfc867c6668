/* SPDX-License-Identifier: MIT */
/*
 * Test points: named places between the steps of the protocols. In the library they are nothing. In the test build
 * (-DUSERMAP_TEST_POINTS) each calls usermap_test_point, so that a test can stop a thread exactly there, explore
 * interleavings systematically, or perturb the scheduling.
 */
#ifndef ENGINE_CORE_TESTPOINT_H
#define ENGINE_CORE_TESTPOINT_H

enum test_point {
	TP_SNAPSHOT,	 /* the commit word, or its first half, was read */
	TP_INDEX,	 /* a slot's or node's index was read, its element not yet */
	TP_DATA,	 /* the element's key or value was read, not yet validated */
	TP_CLAIM,	 /* before the CAS that claims a slot */
	TP_CLAIMED,	 /* after it */
	TP_COMMIT,	 /* before the double-word CAS */
	TP_COMMITTED,	 /* after it succeeded */
	TP_RELEASE,	 /* before a slot is released */
	TP_SWAP,	 /* before the CAS of a published index */
	TP_STORE,	 /* before a store in place, validated */
	TP_NODE,	 /* an overflow node was read or copied */
	TP_CREDIT,	 /* before a credit word is read or changed */
	TP_CREDIT_EMPTY, /* between the two passes of the double collect */
	TP_SLAB,	 /* before a shared freelist head is read or changed */
	TP_RETIRE,	 /* an element was removed, before it goes to a list */
	TP_ANNOUNCE,	 /* before an element is announced as stored to in place */
	TP_ANNOUNCED,	 /* after it, before the check that it still is what it was */
	TP_LOCK,	 /* before the CAS that takes a value's lock */
	TP_LOCKED,	 /* when it is had */
	TP_TAKEN,	 /* when it was had from a dead owner, whose store isn't finished yet */
	TP_COPY,	 /* in the middle of a store under a lock, and of the copy for its redo */
	TP_REDO,	 /* between the two: the store is noted, but not begun */
	TP_UNLOCK,	 /* before a value's lock is released */
	TP_UNLOCKED,	 /* after it, before the record says so */
	TP_LIST_LOCK,	 /* before the CAS that takes a list lock */
	TP_LIST,	 /* between two stores of one change to a list, under its lock */
	TP_HAND,	 /* elements were taken off their lists to be evicted, and the locks are released */
	TP_WAIT,	 /* in a loop that can't go on before another thread does */
	TP_N
};

#ifdef USERMAP_TEST_POINTS
extern void (*usermap_test_point)(enum test_point point); /* NULL: no hook */
#define TEST_POINT(p)                          \
	do {                                   \
		if (usermap_test_point)        \
			usermap_test_point(p); \
	} while (0)
#else
#define TEST_POINT(p) ((void)0)
#endif

#endif
