/* SPDX-License-Identifier: MIT */
/* What the deterministic scenarios share: kinds of maps, keys that meet in one line, operations as threads' bodies. */
#ifndef TESTS_CONCURRENCY_SCENARIO_H
#define TESTS_CONCURRENCY_SCENARIO_H

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "idmap.h"
#include "stop.h"
#include "whole.h"

/* All have keys of 8 bytes; per-CPU values and values with a lock come last. */
extern const struct idmap_kind scenario_kinds[];
extern const unsigned n_scenario_kinds;

/* Makes n key ids, from `first` on, whose hashes lead to the line of the first one. */
void scenario_keys_of_one_line(const struct idmap *m, uint32_t first, uint32_t *keys, unsigned n);

/* One operation, as the body of a thread. */
struct scenario_op {
	const struct idmap *m;
	enum { OP_UPDATE, OP_DELETE, OP_TAKE, OP_TAKE_ALL, OP_LOOKUP, OP_LOOKUP_ALL, OP_ADD /* `value` */ } kind;
	uint32_t key;
	uint64_t value;         /* stored */
	struct idmap_ids found;
	uint64_t flags;         /* BPF_F_LOCK only where values have a lock */
	int result;
};

void scenario_run_op(void *op);

/* From now on an element that is given back serves again at once, where hazards are looked at before (slab.h). */
void scenario_reuse_soon(const struct idmap *m);

/* Fails the test with the text if it isn't NULL. */
void scenario_is_whole(const struct idmap *m, const uint32_t *keys, unsigned n, const char *where);

#endif
