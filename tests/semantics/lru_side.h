/* SPDX-License-Identifier: MIT */
/*
 * An LRU map that takes part in the comparison: the model's, the live kernel's, or one of the engine's. All run the
 * same operations and answer in the same form.
 */
#ifndef TESTS_SEMANTICS_LRU_SIDE_H
#define TESTS_SEMANTICS_LRU_SIDE_H

#include "lru_model.h"

enum lru_act {
	LRU_UPDATE,
	LRU_LOOKUP,
	LRU_DELETE,
	LRU_TAKE, /* lookup_and_delete */
	LRU_NEXT_KEY,
	LRU_UPDATE_BATCH,
	LRU_DELETE_BATCH,
	LRU_LOOKUP_BATCH, /* from the first bucket on, with room for count */
	LRU_TAKE_BATCH,
	/* What programs do. */
	LRU_PROGRAM_UPDATE,
	LRU_PROGRAM_LOOKUP,
	LRU_PROGRAM_LOOKUP_SLOT,
	LRU_PROGRAM_DELETE,
	LRU_PROGRAM_WALK, /* for_each, stopped by the count-th callback */
	LRU_PROGRAM_WALK_AND_DELETE,
	LRU_ACTS
};

extern const char *const lru_act_names[LRU_ACTS];

struct lru_op {
	uint32_t act;
	uint32_t cpu; /* that it runs on */
	uint32_t key; /* of batches the first; each next one is larger by 1, round and round */
	uint32_t count;
	uint32_t slot;
	uint64_t flags;
	uint64_t
		value; /* of the first slot, each next one has a larger one by 1; so have the keys of a batch by 1000 */
};

/* What an operation gave. */
struct lru_answer {
	long result;	 /* 0 or more, or -errno */
	uint32_t count;	 /* of keys and of values */
	uint32_t stride; /* numbers a value */
	uint32_t *keys;
	uint64_t *values;
};

struct lru_case {
	struct lru_shape shape;
	bool ordered; /* BPF_F_ZERO_SEED: walks have the kernel's order */
};

/* The keys in a batch of updates at most; answers have room for that, and for whole maps. */
#define LRU_BATCH_MAX 64u

struct lru_answer lru_answer_new(const struct lru_case *c);
void lru_answer_free(struct lru_answer *answer);

struct lru_side {
	const char *name;
	enum lru_lie lie; /* of a model */
	const struct lru_side_ops *ops;
	struct lru_case c;
	void *state; /* of an open map */
};

/* "model", "kernel", "engine" (the command face), "private", "memfd" (the native face's maps); false: there is none.
 * Maps of "kernel" and "engine" are for the machine's CPUs, whatever a case says. */
bool lru_side_find(struct lru_side *side, const char *name);
void lru_side_open(struct lru_side *side, const struct lru_case *c);
void lru_side_close(struct lru_side *side);
void lru_side_do(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer);
/* The whole map; no operation. */
void lru_side_contents(struct lru_side *side, struct lru_answer *answer);
/* Of a model, and NULL for others. */
const struct lru_model *lru_side_model(const struct lru_side *side);

struct lru_counters {
	uint64_t entries, evictions, refills, steals, rotations;
};

/* What has happened since the map was made. false: the side doesn't say. */
bool lru_side_counters(const struct lru_side *side, struct lru_counters *counters);

#endif
