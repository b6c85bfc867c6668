/* SPDX-License-Identifier: MIT */
/*
 * A stream has phases, each with a mixture of operations, a way to choose keys and a restlessness of its own: maps fill,
 * churn, are read, and empty again, by one CPU for long or by all in turns.
 */
#include <inttypes.h>

#include "lru_stream.h"
#include "memory.h"
#include "rng.h"

const char *const lru_kind_names[LRU_KINDS] = { "lru-hash", "lru-hash-own", "lru-percpu", "lru-percpu-own" };

#define USING_ALL 0u
#define SWEEP	  4u

/* How often, of 1000. */
static const uint16_t mixtures[][LRU_ACTS] = {
	/* all that is there is used, one after the other; something new comes seldom */
	[USING_ALL] = { [LRU_PROGRAM_LOOKUP] = 990, [LRU_UPDATE] = 5, [LRU_PROGRAM_UPDATE] = 5 },
	/* filling */
	{ [LRU_UPDATE] = 500,
	  [LRU_PROGRAM_UPDATE] = 400,
	  [LRU_PROGRAM_LOOKUP] = 50,
	  [LRU_LOOKUP] = 20,
	  [LRU_UPDATE_BATCH] = 20,
	  [LRU_NEXT_KEY] = 10 },
	/* churn */
	{ [LRU_UPDATE] = 200,
	  [LRU_PROGRAM_UPDATE] = 200,
	  [LRU_LOOKUP] = 80,
	  [LRU_PROGRAM_LOOKUP] = 200,
	  [LRU_PROGRAM_LOOKUP_SLOT] = 100,
	  [LRU_DELETE] = 40,
	  [LRU_PROGRAM_DELETE] = 40,
	  [LRU_TAKE] = 40,
	  [LRU_NEXT_KEY] = 20,
	  [LRU_UPDATE_BATCH] = 20,
	  [LRU_DELETE_BATCH] = 15,
	  [LRU_LOOKUP_BATCH] = 20,
	  [LRU_TAKE_BATCH] = 5,
	  [LRU_PROGRAM_WALK] = 15,
	  [LRU_PROGRAM_WALK_AND_DELETE] = 5 },
	/* reading */
	{ [LRU_UPDATE] = 60,
	  [LRU_PROGRAM_UPDATE] = 60,
	  [LRU_LOOKUP] = 100,
	  [LRU_PROGRAM_LOOKUP] = 600,
	  [LRU_PROGRAM_LOOKUP_SLOT] = 120,
	  [LRU_NEXT_KEY] = 30,
	  [LRU_LOOKUP_BATCH] = 15,
	  [LRU_PROGRAM_WALK] = 15 },
	/* a cache: what is missing is brought in */
	{ [LRU_UPDATE] = 100, [LRU_PROGRAM_UPDATE] = 450, [LRU_PROGRAM_LOOKUP] = 430, [LRU_DELETE] = 20 },
	/* emptying */
	{ [LRU_UPDATE] = 100,
	  [LRU_PROGRAM_UPDATE] = 100,
	  [LRU_DELETE] = 300,
	  [LRU_PROGRAM_DELETE] = 200,
	  [LRU_TAKE] = 200,
	  [LRU_PROGRAM_LOOKUP] = 60,
	  [LRU_DELETE_BATCH] = 20,
	  [LRU_TAKE_BATCH] = 10,
	  [LRU_PROGRAM_WALK_AND_DELETE] = 10 },
};

struct generator {
	struct rng rng;
	struct lru_case c;
	uint32_t act_total; /* of the phase's mixture */
	const uint16_t *mixture;
	uint32_t left; /* of the phase */
	uint32_t stay; /* a CPU stays with all but one in so many operations */
	uint32_t skew; /* how uneven the choice of keys is; SWEEP: one after the other */
	uint32_t cpu, cpus;
	uint32_t window; /* a phase's keys begin here; or this is the next one */
};

static void begin_phase(struct generator *g)
{
	static const uint32_t stays[] = { 2, 8, 32, 200, 1000 };
	uint32_t mixture = rng_below(&g->rng, sizeof(mixtures) / sizeof(mixtures[0]));
	uint32_t steps = g->c.shape.max_entries / 2 + 40;

	g->mixture = mixtures[mixture];
	g->act_total = 0;
	for (uint32_t act = 0; act < LRU_ACTS; act++)
		g->act_total += g->mixture[act];
	g->left = steps / 2 + rng_below(&g->rng, 2 * steps);
	g->stay = RNG_PICK(&g->rng, stays);
	g->skew = rng_below(&g->rng, SWEEP + 1);
	g->cpu = rng_below(&g->rng, g->cpus);
	g->window = rng_below(&g->rng, g->c.shape.keys);
	if (mixture == USING_ALL) {
		g->skew = SWEEP;
		g->left = g->c.shape.keys + rng_below(&g->rng, 100);
	}
}

static uint32_t pick_act(struct generator *g)
{
	uint32_t at = rng_below(&g->rng, g->act_total), act = 0;

	while (at >= g->mixture[act])
		at -= g->mixture[act++];
	return act;
}

static uint32_t pick_key(struct generator *g)
{
	uint32_t below = g->c.shape.keys;

	if (g->skew == SWEEP)
		return g->window = (g->window + 1) % below;
	for (uint32_t i = 0; i < g->skew; i++)
		below = 1 + rng_below(&g->rng, below);
	return (g->window + rng_below(&g->rng, below)) % g->c.shape.keys;
}

static uint64_t pick_flags(struct generator *g)
{
	static const uint64_t wrong[] = { 3, 4, 5, 8, 16, 1ull << 32, UINT64_MAX };
	uint32_t chance = rng_below(&g->rng, 64);

	return chance == 0 ? RNG_PICK(&g->rng, wrong) : chance < 10 ? 1 : chance < 20 ? 2 : 0;
}

static uint32_t pick_count(struct generator *g, uint32_t act)
{
	if (act == LRU_UPDATE_BATCH || act == LRU_DELETE_BATCH)
		return 1 + rng_below(&g->rng, rng_one_in(&g->rng, 4) ? LRU_BATCH_MAX : 8);
	/* Which buckets or entries come first is known only of ordered maps. */
	if (!g->c.ordered || rng_one_in(&g->rng, 3))
		return g->c.shape.max_entries + g->c.shape.cpus;
	return 1 + rng_below(&g->rng, g->c.shape.max_entries);
}

static struct lru_op next_op(struct generator *g)
{
	struct lru_op op = { .act = LRU_NEXT_KEY };

	if (!g->left--)
		begin_phase(g);
	do {
		op.act = pick_act(g);
	} while (!g->c.shape.percpu && op.act == LRU_PROGRAM_LOOKUP_SLOT);
	if (rng_one_in(&g->rng, g->stay))
		g->cpu = rng_below(&g->rng, g->cpus);
	op.cpu = g->cpu;
	op.key = pick_key(g);
	op.count = pick_count(g, op.act);
	op.slot = rng_below(&g->rng, g->c.shape.cpus + (rng_one_in(&g->rng, 16) ? 2 : 0));
	op.flags = op.act == LRU_UPDATE || op.act == LRU_PROGRAM_UPDATE ? pick_flags(g) : 0;
	op.value = rng_next(&g->rng) >> 1;
	return op;
}

/* Some maps hold all keys that are used, or nearly; others a fraction. */
static uint32_t pick_keys(struct rng *rng, uint32_t max_entries)
{
	switch (rng_below(rng, 5)) {
	case 0:
		return max_entries + 1 + rng_below(rng, 3);
	case 1:
		return max_entries + max_entries / 2 + 2;
	case 2:
		return max_entries * 4 + 1;
	default:
		return max_entries * 2 + 1;
	}
}

struct lru_stream lru_stream_new(uint64_t seed, enum lru_kind kind, uint32_t max_entries, uint32_t steps,
				 struct lru_cpus cpus)
{
	struct generator g = { .rng = { seed ^ (uint64_t)kind << 32 ^ (uint64_t)max_entries << 40 },
			       .cpus = cpus.usable };
	struct lru_stream stream = { .n = steps };

	g.c.shape = (struct lru_shape){ .max_entries = max_entries,
					.cpus = cpus.possible,
					.keys = pick_keys(&g.rng, max_entries),
					.percpu = kind == LRU_PERCPU_COMMON || kind == LRU_PERCPU_OWN,
					.no_common = kind == LRU_HASH_OWN || kind == LRU_PERCPU_OWN };
	g.c.ordered = !rng_one_in(&g.rng, 4);
	begin_phase(&g);
	stream.c = g.c;
	stream.ops = need_memory(steps * sizeof(stream.ops[0]));
	for (uint32_t i = 0; i < steps; i++)
		stream.ops[i] = next_op(&g);
	return stream;
}

void lru_stream_free(struct lru_stream *stream)
{
	free(stream->ops);
}

void lru_op_print(const struct lru_op *op)
{
	printf("cpu %u %s key %u", op->cpu, lru_act_names[op->act], op->key);
	if (op->act == LRU_UPDATE || op->act == LRU_PROGRAM_UPDATE)
		printf(" flags %#" PRIx64 " value %" PRIu64, op->flags, op->value);
	if (op->act >= LRU_UPDATE_BATCH && op->act <= LRU_TAKE_BATCH)
		printf(" count %u", op->count);
	if (op->act == LRU_PROGRAM_WALK || op->act == LRU_PROGRAM_WALK_AND_DELETE)
		printf(" until %u", op->count);
	if (op->act == LRU_PROGRAM_LOOKUP_SLOT)
		printf(" of cpu %u", op->slot);
	printf("\n");
}
