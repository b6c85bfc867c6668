/* SPDX-License-Identifier: MIT */
/*
 * LRU maps that run the same operations hold the same entries after every step: a model of the rules, the live kernel,
 * and the engine's maps. Which entry goes when a map is full is the kernel's to choose, and seen here step by step.
 *
 *   lru_identity --seed 7                          every kind and size, with a stream of seed 7 each
 *   lru_identity --seed 7 --kind lru-hash --size 5 one of them; a difference is shrunk and printed
 *   lru_identity --streams 100                     100 seeds
 *   lru_identity --sides model,kernel              some of: model, kernel, engine, private, memfd
 *   lru_identity --cpus 5                          maps for 5 CPUs, of which there may be fewer: not the kernel's
 *   lru_identity --self-test                       a model that breaks a rule is noticed, whichever the rule
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cpus.h"
#include "kernel.h"
#include "lru_stream.h"
#include "memory.h"

#define SIDES 5u
#define SAME  UINT32_MAX

static const uint32_t all_sizes[] = { 1, 2, 3, 4, 5, 7, 8, 16, 33, 64, 100, 255, 256, 300, 512, 1000 };

static struct {
	uint64_t seed, streams;
	uint32_t steps;
	const char *kind;
	uint32_t size, cpus;
	char *sides;
	bool self_test, events;
} options = { .streams = 1, .steps = 5000 };

/* What takes part, the model first, and what it has answered. */
struct comparison {
	struct lru_cpus cpus;
	bool imaginary; /* CPUs are but numbers: nothing that is compared runs on one */
	struct lru_side side[SIDES];
	struct lru_answer answer[SIDES];
	uint32_t n;
	uint32_t *place;  /* of each key in the model's answer + 1; 0 if it isn't there */
	uint32_t guilty;  /* the side that differs from the model */
	bool in_contents; /* it does so not in an answer but in what it holds afterwards */
	uint64_t compared, events[LRU_EVENTS];
};

/* As sets. */
static bool same_entries(struct comparison *c, const struct lru_answer *a, const struct lru_answer *b)
{
	bool same = true;

	for (uint32_t i = 0; i < a->count; i++)
		c->place[a->keys[i]] = i + 1;
	for (uint32_t i = 0; i < b->count && same; i++) {
		uint32_t key = b->keys[i], place = key < c->side[0].c.shape.keys ? c->place[key] : 0;

		same = place && memcmp(&a->values[(place - 1) * a->stride], &b->values[i * b->stride],
				       a->stride * sizeof(a->values[0])) == 0;
		if (same)
			c->place[key] = 0;
	}
	for (uint32_t i = 0; i < a->count; i++)
		c->place[a->keys[i]] = 0;
	return same;
}

/* Whether an operation that answers with values does so with keys. */
static bool has_keys(uint32_t act)
{
	return act >= LRU_NEXT_KEY && act != LRU_UPDATE_BATCH && act != LRU_DELETE_BATCH &&
	       (act < LRU_PROGRAM_UPDATE || act >= LRU_PROGRAM_WALK);
}

static bool same_answer(struct comparison *c, uint32_t act, const struct lru_answer *a, const struct lru_answer *b)
{
	bool ordered = c->side[0].c.ordered;

	if (act == LRU_NEXT_KEY && !ordered)
		return true;
	if (a->result != b->result || a->count != b->count || (a->count && a->stride != b->stride))
		return false;
	if (has_keys(act) && !ordered)
		return same_entries(c, a, b);
	return (!has_keys(act) || memcmp(a->keys, b->keys, a->count * sizeof(a->keys[0])) == 0) &&
	       memcmp(a->values, b->values, (size_t)a->count * a->stride * sizeof(a->values[0])) == 0;
}

static bool agree(struct comparison *c, uint32_t act)
{
	for (uint32_t i = 1; i < c->n; i++) {
		c->guilty = i;
		if (!same_answer(c, act, &c->answer[0], &c->answer[i]))
			return false;
	}
	return true;
}

static bool step(struct comparison *c, const struct lru_op *op)
{
	struct lru_op here = *op;

	if (!c->imaginary) {
		cpus_pin(op->cpu);
		here.cpu = (uint32_t)sched_getcpu() % c->cpus.possible;
	}
	for (uint32_t i = 0; i < c->n; i++)
		lru_side_do(&c->side[i], &here, &c->answer[i]);
	c->in_contents = false;
	if (!agree(c, op->act))
		return false;
	for (uint32_t i = 0; i < c->n; i++)
		lru_side_contents(&c->side[i], &c->answer[i]);
	c->in_contents = true;
	return agree(c, LRU_LOOKUP_BATCH);
}

static void begin(struct comparison *c, const struct lru_stream *stream)
{
	for (uint32_t i = 0; i < c->n; i++) {
		lru_side_open(&c->side[i], &stream->c);
		c->answer[i] = lru_answer_new(&stream->c);
	}
	c->place = need_memory(stream->c.shape.keys * sizeof(c->place[0]));
}

static void end(struct comparison *c)
{
	for (uint32_t event = 0; event < LRU_EVENTS; event++)
		c->events[event] += lru_model_events(lru_side_model(&c->side[0]), event);
	for (uint32_t i = 0; i < c->n; i++) {
		lru_side_close(&c->side[i]);
		lru_answer_free(&c->answer[i]);
	}
	free(c->place);
}

/* The first step after which a side differs from the model; SAME if none does. The maps stay open. */
static uint32_t run(struct comparison *c, const struct lru_stream *stream)
{
	begin(c, stream);
	for (uint32_t i = 0; i < stream->n; i++)
		if (!step(c, &stream->ops[i]))
			return i;
	return SAME;
}

/* Leaves out what a difference doesn't need: pieces of the stream, smaller and smaller ones. */
static void shrink(struct comparison *c, struct lru_stream *stream)
{
	struct lru_op *all = need_memory(stream->n * sizeof(all[0]));

	for (uint32_t piece = stream->n / 2; piece; piece /= 2) {
		for (uint32_t at = 0; at + piece < stream->n;) {
			struct lru_stream shorter = { stream->c, all, stream->n - piece };
			uint32_t failed;

			memcpy(all, stream->ops, at * sizeof(all[0]));
			memcpy(all + at, stream->ops + at + piece, (stream->n - at - piece) * sizeof(all[0]));
			failed = run(c, &shorter);
			end(c);
			if (failed == SAME) {
				at += piece;
				continue;
			}
			memcpy(stream->ops, all, shorter.n * sizeof(all[0]));
			stream->n = failed + 1;
		}
	}
	free(all);
}

static void print_answer(const struct comparison *c, uint32_t side, uint32_t act)
{
	const struct lru_answer *answer = &c->answer[side];

	printf("  %-8s %ld, %u:", c->side[side].name, answer->result, answer->count);
	for (uint32_t i = 0; i < answer->count && has_keys(act); i++) {
		printf(" %u", answer->keys[i]);
		for (uint32_t slot = 0; slot < answer->stride; slot++)
			printf("%c%" PRIu64, slot ? ',' : '=', answer->values[i * answer->stride + slot]);
	}
	for (uint32_t i = 0; i < answer->count * answer->stride && !has_keys(act); i++)
		printf(" %" PRIu64, answer->values[i]);
	printf("\n");
}

static void print_difference(const struct comparison *c, const struct lru_op *op)
{
	uint32_t act = c->in_contents ? LRU_LOOKUP_BATCH : op->act;

	printf("%s differ:\n", c->in_contents ? "the contents" : "the answers");
	print_answer(c, 0, act);
	print_answer(c, c->guilty, act);
}

static void explain(struct comparison *c, struct lru_stream *stream, uint32_t failed)
{
	print_difference(c, &stream->ops[failed]);
	end(c);
	stream->n = failed + 1;
	shrink(c, stream);
	failed = run(c, stream);
	if (failed == SAME) {
		printf("it does not fail every time\n");
	} else {
		printf("max_entries %u, keys %u, %s; the shortest stream found:\n", stream->c.shape.max_entries,
		       stream->c.shape.keys, stream->c.ordered ? "ordered" : "not ordered");
		for (uint32_t i = 0; i <= failed; i++) {
			printf("  ");
			lru_op_print(&stream->ops[i]);
		}
		print_difference(c, &stream->ops[failed]);
	}
	end(c);
}

static void print_counters(const char *name, const struct lru_counters *counters)
{
	printf("  %-8s %" PRIu64 " entries, %" PRIu64 " evictions, %" PRIu64 " refills, %" PRIu64 " steals, %" PRIu64
	       " rotations\n",
	       name, counters->entries, counters->evictions, counters->refills, counters->steals, counters->rotations);
}

/* What the maps say they have done. */
static bool same_counters(const struct comparison *c, bool verbose)
{
	struct lru_counters model, other;

	lru_side_counters(&c->side[0], &model);
	for (uint32_t i = 1; i < c->n; i++) {
		if (!lru_side_counters(&c->side[i], &other) || memcmp(&model, &other, sizeof(model)) == 0)
			continue;
		if (verbose) {
			printf("the counters differ:\n");
			print_counters(c->side[0].name, &model);
			print_counters(c->side[i].name, &other);
		}
		return false;
	}
	return true;
}

static bool run_one(struct comparison *c, uint64_t seed, enum lru_kind kind, uint32_t size, bool verbose)
{
	struct lru_stream stream = lru_stream_new(seed, kind, size, options.steps, c->cpus);
	uint32_t failed = run(c, &stream);
	/* a model's lie must show in what is held */
	bool same = failed == SAME && (c->imaginary || same_counters(c, verbose));

	c->compared += failed == SAME ? stream.n : failed;
	if (!same && verbose)
		printf("FAILED at step %u, replay: --seed %" PRIu64 " --kind %s --size %u --steps %u\n",
		       failed == SAME ? stream.n : failed, seed, lru_kind_names[kind], size, options.steps);
	if (failed != SAME && verbose)
		explain(c, &stream, failed);
	else
		end(c);
	lru_stream_free(&stream);
	return same;
}

/* All kinds and sizes that were asked for; false at the first difference. */
static bool run_seed(struct comparison *c, uint64_t seed, bool verbose)
{
	for (uint32_t kind = 0; kind < LRU_KINDS; kind++) {
		if (options.kind && strcmp(options.kind, lru_kind_names[kind]))
			continue;
		if (options.size) {
			if (!run_one(c, seed, kind, options.size, verbose))
				return false;
			continue;
		}
		for (uint32_t i = 0; i < sizeof(all_sizes) / sizeof(all_sizes[0]); i++)
			if (!run_one(c, seed, kind, all_sizes[i], verbose))
				return false;
	}
	return true;
}

/* Everything that an LRU can do must have been seen. */
static bool print_events(const struct comparison *c)
{
	bool all = true;

	for (uint32_t event = 0; event < LRU_EVENTS; event++) {
		printf("%12" PRIu64 "  %s\n", c->events[event], lru_event_names[event]);
		all &= c->events[event] > 0;
	}
	return all;
}

static bool compare_all(struct comparison *c)
{
	bool same = true;

	for (uint64_t i = 0; i < options.streams && same; i++)
		same = run_seed(c, options.seed + i, true);
	for (uint32_t i = 0; i < c->n; i++)
		printf("%s%s", i ? ", " : "", c->side[i].name);
	printf(": %" PRIu64 " steps compared: %s\n", c->compared, same ? "the same" : "they differ");
	if (same && !print_events(c) && options.events && c->cpus.usable > 1) {
		printf("FAILED: something never happened\n");
		return false;
	}
	return same;
}

/* The model against one that breaks a rule. */
static bool self_test(void)
{
	bool passed = true;

	for (uint32_t lie = 0; lie < LRU_LIES; lie++) {
		struct comparison c = { .cpus = { 5, 5 }, .imaginary = true, .n = 2 };
		bool same;

		lru_side_find(&c.side[0], "model");
		lru_side_find(&c.side[1], "model");
		c.side[1].lie = lie;
		same = run_seed(&c, options.seed, false);
		printf("%-36s %s after %" PRIu64 " steps\n", lru_lie_names[lie], same ? "not noticed" : "noticed",
		       c.compared);
		passed &= same == (lie == LRU_HONEST);
	}
	return passed;
}

static void add_side(struct comparison *c, const char *name)
{
	const char *why;

	if (c->n == SIDES || !lru_side_find(&c->side[c->n], name)) {
		fprintf(stderr, "no such side, or one too many: %s\n", name);
		exit(1);
	}
	if (strcmp(name, "kernel") == 0 && !kernel_is_oracle(&why))
		printf("%s: the engine and the model alone are compared\n", why);
	else
		c->n++;
}

static uint64_t number(const char *text, struct argp_state *state)
{
	char *rest;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &rest, 0);
	if (errno || *rest || rest == text)
		argp_error(state, "'%s' is no number", text);
	return value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	switch (key) {
	case 's':
		options.seed = number(text, state);
		break;
	case 'm':
		options.streams = number(text, state);
		break;
	case 'n':
		options.steps = (uint32_t)number(text, state);
		break;
	case 'k':
		options.kind = text;
		break;
	case 'z':
		options.size = (uint32_t)number(text, state);
		break;
	case 'S':
		options.sides = text;
		break;
	case 'C':
		options.cpus = (uint32_t)number(text, state);
		break;
	case 'e':
		options.events = true;
		break;
	case 'c':
		options.self_test = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option argp_options[] = {
	{ "seed", 's', "N", 0, "the first seed (default: random, and printed)", 0 },
	{ "streams", 'm', "N", 0, "seeds to run (default 1)", 0 },
	{ "steps", 'n', "N", 0, "operations for each kind and size (default 5000)", 0 },
	{ "kind", 'k', "KIND", 0, "lru-hash, lru-percpu, or either with -own: BPF_F_NO_COMMON_LRU (default: all)", 0 },
	{ "size", 'z', "N", 0, "max_entries (default: 16 sizes from 1 to 1000)", 0 },
	{ "sides", 'S', "LIST", 0, "what to compare; model comes first (default: all five)", 0 },
	{ "cpus", 'C', "N", 0, "that maps are made for (default: the possible ones)", 0 },
	{ "events", 'e', NULL, 0, "fail if something that an LRU can do has never happened", 0 },
	{ "self-test", 'c', NULL, 0, "test the comparison", 0 },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct argp argp = { argp_options, parse, NULL, "LRU maps: the same entries after every step",
					  NULL,		NULL,  NULL };
	struct comparison c = { .cpus = { cpus_possible(), cpus_usable() } };
	char all[] = "model,kernel,engine,private,memfd", native[] = "model,private,memfd", *sides;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getrandom(&options.seed, sizeof(uint32_t), 0) < 0)
		options.seed = (uint64_t)getpid();
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	printf("seed %" PRIu64 "\n", options.seed);
	if (options.self_test)
		return self_test() ? 0 : 1;
	sides = options.sides ? options.sides : options.cpus ? native : all;
	if (options.cpus)
		c.cpus.possible = options.cpus;
	for (char *name = strtok(sides, ","); name; name = strtok(NULL, ","))
		add_side(&c, name);
	return compare_all(&c) ? 0 : 1;
}
