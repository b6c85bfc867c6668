/* SPDX-License-Identifier: MIT */
/*
 * The scenarios: those of the protocol's models, played on the engine itself, and the ones that earlier drafts of the
 * design failed.
 */
#include "explore.h"

#define A 0
#define B 1
#define C 2
#define D 3
#define E 4
#define F 5
#define HAS(key) ((key) + 1)
#define ANY(key) { STEP_ANY, key }
#define NOEXIST(key) { STEP_NOEXIST, key }
#define EXIST(key) { STEP_EXIST, key }
#define DELETE(key) { STEP_DELETE, key }
#define LOOKUP(key) { STEP_LOOKUP, key }
#define TAKE(key) { STEP_TAKE, key }
#define POINTER(key) { STEP_POINTER, key }
#define BULK { .kind = STEP_BULK }
#define LOOKUP_ALL { .kind = STEP_LOOKUP_ALL }
#define TAKE_ALL { .kind = STEP_TAKE_ALL }

const struct scenario scenarios[] = {
	/* The base protocol. */
	{ .name = "replace-delete-lookup", .max_entries = 4, .present = { HAS(A), HAS(B) },
	  .thread = { { ANY(A) }, { DELETE(B), ANY(C) }, { LOOKUP(A), LOOKUP(A) } } },
	{ .name = "noexist-noexist", .max_entries = 4, .present = { HAS(B) },
	  .thread = { { NOEXIST(A) }, { NOEXIST(A) }, { LOOKUP(A), LOOKUP(A) } } },
	{ .name = "delete-noexist", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { DELETE(A), NOEXIST(A) }, { NOEXIST(A) }, { LOOKUP(A), LOOKUP(A) } } },
	{ .name = "replace-delete-replace", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { EXIST(A) }, { DELETE(A) }, { ANY(A) } } },
	{ .name = "insert-insert-delete", .max_entries = 4, .present = { HAS(A) }, .spread = true,
	  .thread = { { ANY(B) }, { ANY(C) }, { DELETE(A), ANY(D) } } },
	{ .name = "delete-delete", .max_entries = 4, .present = { HAS(A), HAS(B) },
	  .thread = { { DELETE(A) }, { DELETE(A), ANY(C) }, { EXIST(A), LOOKUP(B) } } },

	/* Recycled elements under a slow lookup. */
	{ .name = "recycle-for-other-key", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { DELETE(A), ANY(C) }, { LOOKUP(C) }, { LOOKUP(A) } } },
	{ .name = "recycle-for-same-key", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { DELETE(A), ANY(A) }, { LOOKUP(A) }, { LOOKUP(A), LOOKUP(A) } } },
	{ .name = "recycle-by-replace", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { ANY(A), ANY(B) }, { ANY(A) }, { LOOKUP(A), LOOKUP(B) } } },

	/* The overflow: all slots of the line are taken. */
	{ .name = "overflow-replace", .max_entries = 16, .fill = 7, .present = { HAS(A) },
	  .thread = { { ANY(A) }, { NOEXIST(B), DELETE(B) }, { LOOKUP(A) } } },
	{ .name = "overflow-insert-replace", .max_entries = 16, .fill = 7, .present = { HAS(A) },
	  .thread = { { ANY(A) }, { NOEXIST(B), EXIST(B) }, { LOOKUP(B), LOOKUP(A) } } },
	{ .name = "overflow-noexist", .max_entries = 16, .fill = 8,
	  .thread = { { NOEXIST(B) }, { NOEXIST(B) }, { LOOKUP(B) } } },
	{ .name = "overflow-recycle", .max_entries = 16, .fill = 8, .present = { HAS(B) },
	  .thread = { { DELETE(B), ANY(C) }, { LOOKUP(C) }, { LOOKUP(B) } } },
	{ .name = "overflow-present", .max_entries = 16, .fill = 8, .present = { HAS(B) },
	  .thread = { { ANY(C), ANY(D) }, { DELETE(FILLER), ANY(E) }, { LOOKUP(B), LOOKUP(B) } } },
	{ .name = "overflow-absent", .max_entries = 16, .fill = 8, .present = { HAS(B) },
	  .thread = { { DELETE(B), ANY(B) }, { DELETE(FILLER), ANY(C) }, { LOOKUP(B), LOOKUP(D) } } },
	{ .name = "overflow-replace-replace", .max_entries = 16, .fill = 8, .present = { HAS(B) },
	  .thread = { { ANY(B) }, { EXIST(B) }, { DELETE(FILLER), LOOKUP(B) } } },
	{ .name = "overflow-delete", .max_entries = 16, .fill = 8, .present = { HAS(A), HAS(B) },
	  .thread = { { DELETE(A) }, { DELETE(B), ANY(C) }, { LOOKUP(B), LOOKUP(A) } } },
	{ .name = "overflow-take-all", .max_entries = 16, .fill = 8, .present = { HAS(A) },
	  .thread = { { EXIST(A), ANY(B) }, { TAKE_ALL }, { LOOKUP(A) } } },

	/* lookup_and_delete against updates: nothing is lost in between. */
	{ .name = "take-replace", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { EXIST(A) }, { TAKE(A) }, { LOOKUP(A) } } },
	{ .name = "take-take", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { ANY(A) }, { TAKE(A) }, { TAKE(A) } } },
	{ .name = "take-twice", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { ANY(A), EXIST(A) }, { TAKE(A), TAKE(A) } } },
	{ .name = "take-other", .max_entries = 4, .present = { HAS(A), HAS(B) },
	  .thread = { { DELETE(A), ANY(C) }, { EXIST(A) }, { TAKE(B) } } },
	{ .name = "take-all-recycle", .max_entries = 4, .present = { HAS(A), HAS(B) },
	  .thread = { { TAKE_ALL, ANY(C) }, { LOOKUP(A), LOOKUP(B) } } },
	{ .name = "take-all", .max_entries = 4, .present = { HAS(A), HAS(B) },
	  .thread = { { EXIST(A), NOEXIST(C) }, { TAKE_ALL }, { DELETE(B), LOOKUP(A) } } },

	/* Capacity. */
	{ .name = "full-same-key", .max_entries = 1,
	  .thread = { { ANY(A) }, { ANY(A) } } },
	{ .name = "full-same-key-delete", .max_entries = 1, .present = { HAS(A) }, .spread = true,
	  .thread = { { ANY(A) }, { ANY(A) }, { DELETE(A) } } },
	{ .name = "full-replace", .max_entries = 1, .present = { HAS(A) },
	  .thread = { { ANY(A), EXIST(A) }, { EXIST(A) }, { LOOKUP(A), ANY(A) } } },
	{ .name = "one-free", .max_entries = 2, .present = { HAS(A) }, .spread = true,
	  .thread = { { ANY(B) }, { DELETE(A), ANY(C) } } },
	{ .name = "full-other-keys", .max_entries = 2, .present = { HAS(A), HAS(B) }, .spread = true,
	  .thread = { { ANY(C), LOOKUP(C) }, { DELETE(A), ANY(D) }, { EXIST(B) } } },
	{ .name = "full-delete-seen", .max_entries = 1, .present = { HAS(A) }, .spread = true,
	  .thread = { { DELETE(A) }, { LOOKUP(A), ANY(B) } } },

	/* Many keys in one call, and pointers. */
	{ .name = "bulk", .max_entries = 4, .present = { HAS(A), HAS(B) },
	  .thread = { { DELETE(A), ANY(C) }, { ANY(B) }, { BULK } } },
	{ .name = "lookup-all", .max_entries = 4, .present = { HAS(A), HAS(B) },
	  .thread = { { DELETE(A), ANY(C) }, { ANY(B) }, { LOOKUP_ALL } } },
	{ .name = "overflow-lookup-all", .max_entries = 16, .fill = 8, .present = { HAS(A) },
	  .thread = { { DELETE(FILLER), ANY(B) }, { ANY(A) }, { LOOKUP_ALL } } },
	{ .name = "pointer", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { ANY(A), ANY(A) }, { DELETE(A), ANY(B) }, { POINTER(A), POINTER(A) } } },
};

const unsigned n_scenarios = sizeof(scenarios) / sizeof(scenarios[0]);
