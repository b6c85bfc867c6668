/* SPDX-License-Identifier: MIT */
/*
 * The stream of a seed: mostly valid commands on a few maps that are full, nearly full or nearly empty, so that every
 * outcome is common; about one command in five is made wrong in one or two places.
 */
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "generate.h"
#include "memory.h"

/* What the stream does more of for a while: so that maps get full, and empty. */
enum mood { MOOD_FILL, MOOD_CHURN, MOOD_EMPTY, MOOD_N };

/* A stream on its way. */
struct stream {
	struct rng rng;
	enum mood mood;
	uint32_t cpu; /* that helpers, and commands on LRU maps, run on for a while */
	bool sound, by_cpus;
};

/* How often each command comes, in the three moods. */
static const uint16_t weights[OP_N][MOOD_N] = {
	[OP_LOOKUP] = { 130, 160, 120 },
	[OP_UPDATE] = { 420, 240, 120 },
	[OP_DELETE] = { 30, 140, 220 },
	[OP_NEXT_KEY] = { 80, 100, 100 },
	[OP_LOOKUP_AND_DELETE] = { 20, 90, 150 },
	[OP_LOOKUP_BATCH] = { 70, 80, 70 },
	[OP_LOOKUP_AND_DELETE_BATCH] = { 10, 30, 80 },
	[OP_UPDATE_BATCH] = { 160, 50, 20 },
	[OP_DELETE_BATCH] = { 10, 40, 80 },
	[OP_INFO] = { 20, 20, 20 },
	[OP_FREEZE] = { 1, 1, 1 },
	[OP_UNKNOWN] = { 3, 3, 3 },
	[OP_DUP] = { 4, 4, 4 },
	[OP_DUMP] = { 2, 2, 2 },
	[OP_BATCH_WALK] = { 2, 2, 2 },
	[OP_BATCH_DRAIN] = { 1, 1, 2 },
	[OP_HELPER + HELPER_LOOKUP] = { 20, 20, 20 },
	[OP_HELPER + HELPER_LOOKUP_PERCPU] = { 20, 20, 20 },
	[OP_HELPER + HELPER_UPDATE] = { 80, 60, 40 },
	[OP_HELPER + HELPER_DELETE] = { 10, 30, 50 },
	[OP_HELPER + HELPER_STORE] = { 20, 20, 20 },
	[OP_HELPER + HELPER_ADD] = { 15, 15, 15 },
	[OP_HELPER + HELPER_FOR_EACH] = { 10, 15, 15 },
};

static enum op random_op(struct rng *rng, enum mood mood)
{
	uint32_t total = 0, at;

	for (int op = 0; op < OP_N; op++)
		total += weights[op][mood];
	at = rng_below(rng, total);
	for (int op = 0; op < OP_N; op++) {
		if (at < weights[op][mood])
			return (enum op)op;
		at -= weights[op][mood];
	}
	return OP_LOOKUP;
}

static struct pointer random_pointer(struct rng *rng, bool bad)
{
	struct pointer pointer = { AT_BUFFER, 0 };

	if (bad)
		pointer.place = AT_EDGE + rng_below(rng, AT_N - AT_EDGE);
	else if (rng_one_in(rng, 4))
		pointer.place = AT_EDGE;
	pointer.arg = rng_one_in(rng, 3) || pointer.place == AT_SHORT ? rng_below(rng, 1024) : 0;
	return pointer;
}

static uint32_t random_count(struct rng *rng)
{
	switch (rng_below(rng, 12)) {
	case 0:
		return rng_below(rng, 3);
	case 1:
	case 2:
		return 1 + rng_below(rng, 2); /* less than some buckets hold */
	case 3:
		return rng_below(rng, 3000);
	case 4:
		return rng_one_in(rng, 3) ? UINT32_MAX - rng_below(rng, 2) : 0x10000 + rng_below(rng, 10000);
	default:
		return 1 + rng_below(rng, 24);
	}
}

static uint32_t random_info_length(struct rng *rng)
{
	static const uint32_t lengths[] = { 0,	 1,   4,   7,	8,   50,   80,	 88,	    96,
					    100, 103, 105, 112, 200, 4096, 4097, UINT32_MAX };

	return rng_one_in(rng, 2) ? ABI_MAP_INFO_SIZE : RNG_PICK(rng, lengths);
}

/* Makes one thing of a command wrong. */
static void spoil(struct rng *rng, struct command *command)
{
	static const uint32_t sizes[] = {
		0, 4, 8, 16, 24, 32, 40, 48, 56, 92, 96, 120, 128, 144, 152, 167, 168, 169, 200, 4096, 4097,
	};
	static const uint64_t flags[] = { 3, 4, 5, 6, 7, 8, 16, 1ull << 31, 1ull << 32, 1ull << 63, ~0ull };
	uint32_t at;

	switch (rng_below(rng, 8)) {
	case 0:
		if (command->op != OP_CREATE)
			command->fd = rng_below(rng, FD_N);
		break;
	case 1:
		command->attr_size = rng_one_in(rng, 10) ? (uint32_t)rng_next(rng) : RNG_PICK(rng, sizes);
		break;
	case 2: /* anywhere in the attr behind what the command uses, or in what bpf(2) does not know */
		command->junk_at = rng_one_in(rng, 4) ? ABI_ATTR_SIZE + rng_below(rng, 40)
						      : command_attr_end(command->op) + rng_below(rng, 30);
		command->junk = 1 + rng_below(rng, 255);
		if (command->attr_size <= command->junk_at)
			command->attr_size = command->junk_at + 1;
		break;
	case 3:
		command->attr = random_pointer(rng, true);
		if (command->attr.place == AT_PARTNER)
			command->attr.place = AT_NULL;
		break;
	case 4:
	case 5:
		at = rng_below(rng, BUFFER_N);
		command->buffer[at] = random_pointer(rng, true);
		break;
	case 6:
		command->flags = RNG_PICK(rng, flags);
		break;
	case 7:
		command->elem_flags = rng_one_in(rng, 2) ? 1 + rng_below(rng, 4) : RNG_PICK(rng, flags);
		break;
	}
}

static void generate_helper(struct rng *rng, struct command *command)
{
	static const uint64_t flags[] = { 1, 2, 3, 4, 5, 6, 7, 8, 16, 1ull << 31, 1ull << 32, ~0ull };

	switch (command->op - OP_HELPER) {
	case HELPER_UPDATE:
		command->flags = rng_below(rng, 3) ? rng_below(rng, 3) : RNG_PICK(rng, flags);
		break;
	case HELPER_LOOKUP_PERCPU:
		command->count = rng_one_in(rng, 8) ? (uint32_t)rng_next(rng) : rng_below(rng, 4);
		break;
	case HELPER_FOR_EACH:
		command->count = rng_below(rng, 2) ? UINT32_MAX : 1 + rng_below(rng, 24);
		command->each = rng_one_in(rng, 3) ? rng_below(rng, EACH_N) : EACH_NOTHING;
		if (rng_one_in(rng, 16))
			command->flags = RNG_PICK(rng, flags);
		break;
	default:
		break;
	}
}

static void generate_command(struct stream *stream, struct command *command)
{
	struct rng *rng = &stream->rng;

	command->op = random_op(rng, stream->mood);
	command->cpu = stream->cpu;
	command->f_lock = rng_below(rng, 2);
	command->slot = rng_below(rng, SLOTS);
	command->attr_size = rng_one_in(rng, 4) ? ABI_ATTR_SIZE : command_attr_end(command->op);
	command->key = rng_one_in(rng, 3) ? rng_below(rng, 20) : (uint32_t)rng_next(rng);
	command->in = rng_below(rng, 3) ? IN_TOKEN : rng_below(rng, IN_N);
	command->keys = rng_below(rng, KEYS_N);
	command->attr = random_pointer(rng, false);
	for (int i = 0; i < BUFFER_N; i++)
		command->buffer[i] = random_pointer(rng, false);
	command->count = random_count(rng);
	switch (command->op) {
	case OP_UPDATE:
		command->flags = rng_below(rng, 2) ? 0 : rng_below(rng, 3);
		break;
	case OP_INFO:
		command->count = random_info_length(rng);
		break;
	case OP_UNKNOWN:
		command->count = 1000 + (uint32_t)rng_next(rng) % 0x7fff0000u;
		if (rng_one_in(rng, 4))
			command->count = UINT32_MAX;
		break;
	case OP_NEXT_KEY:
		if (rng_one_in(rng, 8))
			command->buffer[BUFFER_KEY].place = AT_NULL;
		if (rng_one_in(rng, 8))
			command->buffer[BUFFER_VALUE].place = AT_PARTNER;
		break;
	case OP_UPDATE_BATCH:
	case OP_DELETE_BATCH:
		if (rng_one_in(rng, 4))
			command->flags = rng_next(rng); /* ignored */
		break;
	default:
		if (command->op >= OP_HELPER)
			generate_helper(rng, command);
		break;
	}
}

/* Takes out of a command what only the command face has, and what may be wrong with it. */
static void make_sound(struct command *command)
{
	command->sound = true;
	command->create.map_flags &= ~(uint32_t)(ABI_F_RDONLY | ABI_F_WRONLY);
	if (command->buffer[0].place == AT_NULL && command->buffer[1].place == AT_PARTNER)
		command->buffer[1].place = AT_BUFFER;
	if (command->op == OP_INFO || command->op == OP_DUP || command->op == OP_UNKNOWN) {
		command->op = OP_LOOKUP;
		command->attr_size = command_attr_end(OP_LOOKUP);
	}
}

static void generate(struct stream *stream, struct command *command)
{
	struct rng *rng = &stream->rng;

	if (rng_one_in(rng, 200)) {
		generate_create(rng, command, false, stream->by_cpus);
	} else if (!stream->sound && rng_one_in(rng, 80)) {
		generate_create(rng, command, true, stream->by_cpus);
		if (rng_one_in(rng, 5))
			spoil(rng, command);
	} else {
		generate_command(stream, command);
		if (stream->sound || command->op >= OP_HELPER)
			return;
		for (uint32_t n = rng_one_in(rng, 5) ? 1 + rng_one_in(rng, 4) : 0; n; n--)
			spoil(rng, command);
	}
}

struct program program_generate(uint64_t seed, size_t length, bool sound)
{
	struct stream stream = { .rng = { seed }, .sound = sound, .by_cpus = program_needs_cpus(seed) };
	struct program program = { need_memory(length * sizeof(struct command)), length };

	for (size_t i = 0; i < length; i++) {
		struct command *command = &program.commands[i];

		if (rng_one_in(&stream.rng, 150))
			stream.mood = (enum mood)rng_below(&stream.rng, MOOD_N);
		if (rng_one_in(&stream.rng, 15))
			stream.cpu = rng_below(&stream.rng, 64);
		command->seed = rng_next(&stream.rng);
		command->junk_at = NO_JUNK;
		command->lock = NO_LOCK;
		if (i < SLOTS - 1) {
			generate_create(&stream.rng, command, false, stream.by_cpus);
			command->slot = (uint32_t)i;
		} else {
			generate(&stream, command);
		}
		if (sound)
			make_sound(command);
	}
	return program;
}

void program_free(struct program *program)
{
	free(program->commands);
	program->commands = NULL;
}

uint64_t program_hash(const struct program *program)
{
	return XXH3_64bits(program->commands, program->length * sizeof(struct command));
}
