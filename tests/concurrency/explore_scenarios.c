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
#define ANY(key) { STEP_ANY, key, false }
#define NOEXIST(key) { STEP_NOEXIST, key, false }
#define EXIST(key) { STEP_EXIST, key, false }
#define DELETE(key) { STEP_DELETE, key, false }
#define LOOKUP(key) { STEP_LOOKUP, key, false }
#define TAKE(key) { STEP_TAKE, key, false }
#define POINTER(key) { STEP_POINTER, key, false }
#define LOCKED_ANY(key) { STEP_ANY, key, true }
#define LOCKED_NOEXIST(key) { STEP_NOEXIST, key, true }
#define LOCKED_EXIST(key) { STEP_EXIST, key, true }
#define LOCKED_LOOKUP(key) { STEP_LOOKUP, key, true }
#define LOCKED_TAKE(key) { STEP_TAKE, key, true }
#define HOLD(key) { STEP_HOLD, key, false }
#define USE(key) { STEP_USE, key, false }
#define SLOT(key) { STEP_SLOT, key, false }
#define ADD(key) { STEP_ADD, key, false }
#define BULK { .kind = STEP_BULK }
#define LOCKED_ALL { .kind = STEP_LOOKUP_ALL, .lock = true }
#define LOCKED_TAKE_ALL { .kind = STEP_TAKE_ALL, .lock = true }
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

	/* Elements that are removed, and serve again, under an update: where it stores in place, it must not hit what is there
	 * then. */
	{ .name = "recycle-under-update", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { ANY(A) }, { DELETE(A), ANY(C), LOOKUP(C) } } },
	{ .name = "recycle-under-update-seen", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { EXIST(A) }, { DELETE(A), NOEXIST(C) }, { LOOKUP(C), LOOKUP(A) } } },
	{ .name = "recycle-under-update-same", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { EXIST(A) }, { DELETE(A), NOEXIST(A) }, { LOOKUP(A), LOOKUP(A) } } },
	{ .name = "recycle-under-two-updates", .max_entries = 2, .present = { HAS(A), HAS(B) },
	  .thread = { { EXIST(A) }, { EXIST(B) }, { DELETE(A), DELETE(B), ANY(C), ANY(D) } } },
	{ .name = "recycle-in-node", .max_entries = 16, .fill = 8, .present = { HAS(A) },
	  .thread = { { EXIST(A) }, { DELETE(A), ANY(C) }, { LOOKUP(C) } } },
	{ .name = "take-recycle", .max_entries = 4, .present = { HAS(A) },
	  .thread = { { EXIST(A) }, { TAKE(A), ANY(C) }, { LOOKUP(C) } } },
	{ .name = "take-all-update", .max_entries = 4, .present = { HAS(A), HAS(B) },
	  .thread = { { EXIST(A), EXIST(B) }, { TAKE_ALL, ANY(C) }, { LOOKUP(C) } } },
	{ .name = "full-update-recycle", .max_entries = 1, .present = { HAS(A) },
	  .thread = { { EXIST(A) }, { DELETE(A), ANY(B), DELETE(B), ANY(C) } } },

	/* Per-CPU values: one slot, and counters. */
	{ .name = "slot-slot", .max_entries = 4, .spread = true, .only = IDMAP_PERCPU,
	  .thread = { { SLOT(A), SLOT(A) }, { SLOT(A), ANY(A) }, { LOOKUP(A), LOOKUP(A) } } },
	{ .name = "slot-delete", .max_entries = 4, .present = { HAS(A) }, .spread = true, .only = IDMAP_PERCPU,
	  .thread = { { SLOT(A), LOOKUP(A) }, { DELETE(A), SLOT(A) }, { LOOKUP(A), LOOKUP(A) } } },
	{ .name = "slot-recycle", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_PERCPU,
	  .thread = { { SLOT(A) }, { DELETE(A), SLOT(C) }, { LOOKUP(C), LOOKUP(A) } } },
	{ .name = "slot-take", .max_entries = 4, .present = { HAS(A) }, .spread = true, .only = IDMAP_PERCPU,
	  .thread = { { SLOT(A), SLOT(A) }, { TAKE(A) }, { SLOT(A) } } },
	{ .name = "add-add", .max_entries = 4, .present = { HAS(A) }, .spread = true, .only = IDMAP_PERCPU,
	  .thread = { { ADD(A), ADD(A) }, { ADD(A), LOOKUP(A) }, { ADD(A), LOOKUP(A) } } },
	{ .name = "add-take", .max_entries = 4, .present = { HAS(A) }, .spread = true, .only = IDMAP_PERCPU,
	  .thread = { { ADD(A), ADD(A) }, { TAKE(A) }, { ADD(A), ADD(A) } } },
	{ .name = "add-take-again", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_PERCPU,
	  .thread = { { ADD(A), ADD(A) }, { TAKE(A), NOEXIST(A), TAKE(A) } } },
	{ .name = "add-take-all", .max_entries = 4, .present = { HAS(A), HAS(B) }, .only = IDMAP_PERCPU,
	  .thread = { { ADD(A), ADD(B) }, { TAKE_ALL }, { ADD(B) } } },
	{ .name = "add-recycle", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_PERCPU,
	  .thread = { { ADD(A) }, { DELETE(A), ANY(C), LOOKUP(C) } } },
	{ .name = "add-take-recycle", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_PERCPU,
	  .thread = { { ADD(A) }, { TAKE(A), ANY(C) }, { LOOKUP(C) } } },

	/* Maps that evict: inserts into a full one, and what others do with the entry that goes. */
	{ .name = "evict-lookup", .max_entries = 1, .present = { HAS(A) }, .evicts = true,
	  .thread = { { ANY(B) }, { LOOKUP(B), LOOKUP(A) }, { LOOKUP(A), LOOKUP(B) } } },
	{ .name = "evict-lookup-recycle", .max_entries = 1, .present = { HAS(A) }, .evicts = true,
	  .thread = { { ANY(B), ANY(C) }, { LOOKUP(A) }, { LOOKUP(C) } } },
	{ .name = "evict-replace", .max_entries = 1, .present = { HAS(A) }, .evicts = true,
	  .thread = { { ANY(B) }, { EXIST(A), ANY(A) }, { LOOKUP(A) } } },
	{ .name = "evict-replaced", .max_entries = 2, .present = { HAS(A), HAS(B) }, .evicts = true,
	  .thread = { { ANY(C), ANY(D) }, { EXIST(A) }, { ANY(A), LOOKUP(A) } } },
	{ .name = "evict-delete", .max_entries = 1, .present = { HAS(A) }, .evicts = true,
	  .thread = { { ANY(B) }, { DELETE(A) } } },
	{ .name = "evict-deleted", .max_entries = 2, .present = { HAS(A), HAS(B) }, .evicts = true,
	  .thread = { { ANY(C), ANY(D) }, { DELETE(A), ANY(E) }, { DELETE(B) } } },
	{ .name = "evict-take", .max_entries = 2, .present = { HAS(A), HAS(B) }, .evicts = true,
	  .thread = { { ANY(C), ANY(A) }, { TAKE(A) }, { TAKE(B), LOOKUP(A) } } },
	{ .name = "evict-take-all", .max_entries = 2, .present = { HAS(A), HAS(B) }, .evicts = true,
	  .thread = { { ANY(C), ANY(D) }, { TAKE_ALL }, { LOOKUP_ALL } } },
	{ .name = "evict-delete-insert", .max_entries = 4, .present = { HAS(A), HAS(B), HAS(C), HAS(D) }, .evicts = true,
	  .thread = { { ANY(E), ANY(F) }, { DELETE(A), DELETE(B), ANY(A) }, { DELETE(C), DELETE(D) } } },
	{ .name = "evict-evict", .max_entries = 1, .present = { HAS(A) }, .evicts = true,
	  .thread = { { ANY(B) }, { ANY(C) } } },
	{ .name = "evict-evict-two", .max_entries = 2, .present = { HAS(A), HAS(B) }, .evicts = true,
	  .thread = { { ANY(C), ANY(A) }, { ANY(D), LOOKUP(D) }, { LOOKUP(A), LOOKUP(C) } } },
	{ .name = "evict-evict-evict", .max_entries = 2, .present = { HAS(A), HAS(B) }, .evicts = true,
	  .thread = { { ANY(C) }, { ANY(D) }, { ANY(E) } } },
	{ .name = "evict-same-key", .max_entries = 2, .present = { HAS(A), HAS(B) }, .evicts = true,
	  .thread = { { ANY(C) }, { NOEXIST(C) }, { EXIST(C), DELETE(C) } } },
	{ .name = "evict-used", .max_entries = 2, .present = { HAS(A), HAS(B) }, .evicts = true,
	  .thread = { { ANY(C), ANY(D) }, { USE(A), USE(C), USE(B) }, { USE(B), EXIST(A) } } },
	{ .name = "evict-failing", .max_entries = 1, .present = { HAS(A) }, .evicts = true,
	  .thread = { { NOEXIST(A) }, { DELETE(A) }, { EXIST(A), NOEXIST(B) } } },
	{ .name = "evict-failing-two", .max_entries = 2, .present = { HAS(A), HAS(B) }, .evicts = true,
	  .thread = { { NOEXIST(A), EXIST(C) }, { ANY(D), DELETE(A) }, { EXIST(B) } } },
	{ .name = "evict-batches", .max_entries = 4, .present = { HAS(A), HAS(B), HAS(C), HAS(D) }, .evicts = true,
	  .thread = { { ANY(E), ANY(F) }, { BULK }, { LOOKUP_ALL } } },
	{ .name = "evict-in-node", .max_entries = 9, .fill = 8, .present = { HAS(A) }, .evicts = true, .fill_used = true,
	  .thread = { { ANY(B), ANY(C) }, { EXIST(A), DELETE(FILLER) }, { LOOKUP(A), LOOKUP(B) } } },

	/* Two CPUs: what one has at hand, another one steals. */
	{ .name = "steal-insert", .max_entries = 2, .present = { HAS(A), HAS(B) }, .spread = true, .evicts = true,
	  .thread = { { ANY(C), ANY(A) }, { ANY(D), ANY(B) } } },
	{ .name = "steal-one", .max_entries = 1, .present = { HAS(A) }, .spread = true, .evicts = true,
	  .thread = { { ANY(B), LOOKUP(B) }, { ANY(C), LOOKUP(C) }, { DELETE(A), LOOKUP(B) } } },
	{ .name = "steal-delete", .max_entries = 2, .present = { HAS(A), HAS(B) }, .spread = true, .evicts = true,
	  .thread = { { DELETE(A), ANY(A) }, { ANY(C), ANY(D) }, { DELETE(B), DELETE(C) } } },
	{ .name = "steal-free", .max_entries = 4, .present = { HAS(A) }, .spread = true, .evicts = true,
	  .thread = { { DELETE(A), ANY(B), ANY(C) }, { ANY(D), ANY(E), ANY(F) }, { TAKE_ALL } } },
	{ .name = "steal-used", .max_entries = 2, .present = { HAS(A), HAS(B) }, .spread = true, .evicts = true,
	  .thread = { { USE(A), EXIST(B) }, { ANY(C), ANY(D) }, { USE(B), ANY(A) } } },

	/* Per-CPU values: stores in place into an entry that is evicted, and whose element serves again. What was stored, or
	 * added, before is what the callback sees. */
	{ .name = "evict-store", .max_entries = 1, .present = { HAS(A) }, .only = IDMAP_PERCPU, .evicts = true,
	  .thread = { { EXIST(A) }, { ANY(B), LOOKUP(B) } } },
	{ .name = "evict-slot", .max_entries = 2, .present = { HAS(A), HAS(B) }, .spread = true, .only = IDMAP_PERCPU,
	  .evicts = true, .thread = { { SLOT(A), SLOT(A) }, { ANY(C), SLOT(D) }, { LOOKUP(A), LOOKUP(C) } } },
	{ .name = "evict-slot-slot", .max_entries = 1, .present = { HAS(A) }, .spread = true, .only = IDMAP_PERCPU,
	  .evicts = true, .thread = { { SLOT(A), LOOKUP(A) }, { SLOT(A) }, { SLOT(B) } } },
	{ .name = "evict-add", .max_entries = 1, .present = { HAS(A) }, .spread = true, .only = IDMAP_PERCPU, .evicts = true,
	  .thread = { { ADD(A), ADD(A) }, { ANY(B), LOOKUP(B) }, { ADD(A), ADD(B) } } },
	{ .name = "evict-add-again", .max_entries = 2, .present = { HAS(A), HAS(B) }, .only = IDMAP_PERCPU, .evicts = true,
	  .thread = { { ADD(A), ADD(B) }, { ANY(C), ANY(A) }, { ADD(C), LOOKUP(A) } } },
	{ .name = "evict-add-take", .max_entries = 2, .present = { HAS(A), HAS(B) }, .only = IDMAP_PERCPU, .evicts = true,
	  .thread = { { ADD(A), ADD(A) }, { ANY(C) }, { TAKE(A), ADD(B) } } },

	/* BPF_F_LOCK: stores in place under the value's lock, beside plain replacements and removals, which take no lock. */
	{ .name = "lock-lock", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_ANY(A) }, { LOCKED_EXIST(A) }, { LOCKED_LOOKUP(A), LOOKUP(A) } } },
	{ .name = "lock-replace", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_ANY(A) }, { ANY(A) }, { LOOKUP(A), LOCKED_LOOKUP(A) } } },
	{ .name = "lock-replace-replace", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_EXIST(A), LOOKUP(A) }, { EXIST(A), EXIST(A) }, { LOCKED_EXIST(A) } } },
	{ .name = "lock-delete", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_EXIST(A) }, { DELETE(A), NOEXIST(A) }, { LOOKUP(A), LOOKUP(A) } } },
	{ .name = "lock-take", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_EXIST(A), LOCKED_ANY(A) }, { TAKE(A) }, { LOCKED_TAKE(A) } } },
	{ .name = "lock-take-replace", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_EXIST(A) }, { EXIST(A), TAKE(A) }, { LOOKUP(A) } } },
	{ .name = "lock-recycle", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_EXIST(A) }, { DELETE(A), ANY(C) }, { LOOKUP(C), LOCKED_LOOKUP(C) } } },
	{ .name = "lock-recycle-lock", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_ANY(A) }, { DELETE(A), ANY(C), LOCKED_ANY(C), LOOKUP(C) } } },
	{ .name = "lock-recycle-same", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_EXIST(A) }, { DELETE(A), ANY(A) }, { LOCKED_EXIST(A), LOOKUP(A) } } },
	{ .name = "lock-recycle-back", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_EXIST(A) }, { DELETE(A), ANY(C), ANY(A), LOOKUP(C) } } },
	{ .name = "lock-noexist", .max_entries = 4, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_NOEXIST(A) }, { LOCKED_ANY(A) }, { LOCKED_EXIST(A), LOOKUP(A) } } },
	{ .name = "lock-full", .max_entries = 1, .present = { HAS(A) }, .spread = true, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_ANY(A) }, { LOCKED_ANY(A) }, { DELETE(A) } } },
	{ .name = "lock-in-node", .max_entries = 16, .fill = 8, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_ANY(A) }, { DELETE(FILLER), ANY(A) }, { LOOKUP(A), LOOKUP(A) } } },
	{ .name = "lock-batches", .max_entries = 4, .present = { HAS(A), HAS(B) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_ANY(A), LOCKED_ANY(B) }, { LOOKUP_ALL }, { LOCKED_ALL } } },
	{ .name = "lock-batch-recycle", .max_entries = 4, .present = { HAS(A), HAS(B) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_ANY(B) }, { LOCKED_ALL }, { DELETE(A), ANY(C) } } },
	{ .name = "lock-take-all", .max_entries = 4, .present = { HAS(A), HAS(B) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_EXIST(A), LOCKED_EXIST(B) }, { LOCKED_TAKE_ALL }, { LOOKUP(B) } } },
	{ .name = "lock-bulk", .max_entries = 4, .present = { HAS(A), HAS(B) }, .only = IDMAP_LOCKED,
	  .thread = { { LOCKED_ANY(A), LOCKED_ANY(B) }, { BULK }, { ANY(A) } } },
	{ .name = "hold-lock", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED,
	  .thread = { { HOLD(A) }, { LOCKED_EXIST(A), HOLD(A) }, { LOOKUP(A), LOCKED_LOOKUP(A) } } },

	/* An update under the lock whose process died: others take the lock over, and finish what it began. */
	{ .name = "dead-lookup", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED, .dies = true,
	  .thread = { { LOOKUP(A), LOCKED_LOOKUP(A) }, { LOOKUP(A) }, { LOCKED_ANY(A) } } },
	{ .name = "dead-take", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED, .dies = true,
	  .thread = { { TAKE(A) }, { LOCKED_EXIST(A) }, { LOOKUP(A) } } },
	{ .name = "dead-recycle", .max_entries = 4, .present = { HAS(A) }, .only = IDMAP_LOCKED, .dies = true,
	  .thread = { { DELETE(A), ANY(C), LOOKUP(C) }, { LOCKED_EXIST(A) } } },
};

const unsigned n_scenarios = sizeof(scenarios) / sizeof(scenarios[0]);
