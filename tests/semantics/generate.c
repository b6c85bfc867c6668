/* SPDX-License-Identifier: MIT */
/*
 * The stream of a seed: mostly valid commands on a few maps that are full, nearly full or nearly empty, so that every
 * outcome is common; about one command in five is made wrong in one or two places.
 *
 * The maps it asks for stay small, whatever is wrong with the attributes: the kernel really allocates.
 */
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "command.h"
#include "memory.h"
#include "rng.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define HASH_SUM_LIMIT (4 * MIB - 48) /* key_size + value_size from here on is E2BIG */
#define BPF_MEMALLOC_MAX 4000u /* larger elements may fail to be had without preallocation: no matter of rules */

/* clang-format off: it lines the numbers up */
static const uint32_t key_sizes[] = {
	1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 8, 8, 8, 9, 12, 13, 16, 16, 20, 24, 31, 32, 33, 40, 64,
};
static const uint32_t big_key_sizes[] = { 65, 100, 127, 128, 255, 256, 257, 512, 513, 1000, 4096, 5000 };
static const uint32_t value_sizes[] = {
	1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 8, 8, 9, 12, 15, 16, 16, 17, 24, 31, 32, 40, 63, 64, 65,
};
static const uint32_t big_value_sizes[] = { 100, 127, 128, 250, 256, 511, 1000, 1024, 4095, 4096, 4097, 10000, 65536 };
static const uint32_t small_max[] = { 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 20, 31, 32, 33 };
static const uint32_t large_max[] = {
	63, 64, 65, 100, 127, 128, 129, 200, 255, 256, 257, 300, 512, 1000, 1024, 2000, 4097, 5000,
};
/* clang-format on */
static const uint32_t hash_flags[] = { ABI_F_NO_PREALLOC, ABI_F_ZERO_SEED, ABI_F_ZERO_SEED, ABI_F_RDONLY_PROG,
				       ABI_F_WRONLY_PROG };
static const uint32_t array_flags[] = { ABI_F_MMAPABLE, ABI_F_INNER_MAP, ABI_F_RDONLY_PROG, ABI_F_WRONLY_PROG };

static uint64_t map_bytes(const struct abi_create *create)
{
	uint64_t value = (create->value_size + 7ull) & ~7ull;

	if (create->map_type == ABI_ARRAY)
		return value * create->max_entries;
	if (create->map_flags & ABI_F_NO_PREALLOC)
		return 16ull * create->max_entries;
	return (create->key_size + value + 72) * create->max_entries;
}

/* Cuts max_entries down to what `limit` bytes hold. Attributes that are refused for their size are left as they are. */
static void keep_small(struct abi_create *create, uint64_t limit)
{
	if (create->map_type != ABI_ARRAY && create->max_entries > 1u << 31)
		return;
	while (create->max_entries > 1 && map_bytes(create) > limit)
		create->max_entries /= 2;
}

static void random_name(struct rng *rng, char name[16])
{
	static const char letters[] = "abcXYZ019_.";
	uint32_t length = rng_below(rng, 16);

	for (uint32_t i = 0; i < length; i++)
		name[i] = rng_one_in(rng, 16) ? (char)(0xc0 + rng_below(rng, 64))
					      : letters[rng_below(rng, sizeof(letters) - 1)];
	if (length < 14 && rng_one_in(rng, 4))
		name[length + 1] = '?'; /* behind the NUL anything goes */
}

/* Attributes that are accepted. */
static void good_create(struct rng *rng, struct abi_create *create, uint64_t limit)
{
	create->map_type = rng_one_in(rng, 4) ? ABI_ARRAY : ABI_HASH;
	create->key_size = rng_one_in(rng, 12) ? RNG_PICK(rng, big_key_sizes) : RNG_PICK(rng, key_sizes);
	create->value_size = rng_one_in(rng, 8) ? RNG_PICK(rng, big_value_sizes) : RNG_PICK(rng, value_sizes);
	create->max_entries = rng_one_in(rng, 3) ? RNG_PICK(rng, large_max) : RNG_PICK(rng, small_max);
	if (create->map_type == ABI_ARRAY) {
		create->key_size = 4;
		if (rng_one_in(rng, 3))
			create->map_flags |= RNG_PICK(rng, array_flags);
	} else {
		if (rng_one_in(rng, 2))
			create->map_flags |= ABI_F_ZERO_SEED;
		if (rng_one_in(rng, 2))
			create->map_flags |= RNG_PICK(rng, hash_flags);
		if (create->key_size + create->value_size > BPF_MEMALLOC_MAX)
			create->map_flags &= ~(uint32_t)ABI_F_NO_PREALLOC;
	}
	if (rng_one_in(rng, 12)) {
		create->map_flags |= ABI_F_NUMA_NODE;
		create->numa_node = rng_one_in(rng, 2) ? 0 : UINT32_MAX;
	} else if (rng_one_in(rng, 12)) {
		create->numa_node = 77; /* ignored without the flag */
	}
	if (rng_one_in(rng, 16))
		create->map_flags |= rng_one_in(rng, 2) ? ABI_F_RDONLY : ABI_F_WRONLY;
	if (rng_one_in(rng, 3))
		random_name(rng, create->map_name);
	keep_small(create, limit);
}

/* The next three change one thing of the attributes, mostly to something wrong. */
static void twist_size(struct rng *rng, struct abi_create *create)
{
	static const uint32_t types[] = { 0, 34, 200, 0x7fffffff, 0xffffffff };
	static const uint32_t maxima[] = { 0, 0, (1u << 31) + 1, 0xffffffff };
	bool array = create->map_type == ABI_ARRAY;

	switch (rng_below(rng, 6)) {
	case 0:
		create->map_type = RNG_PICK(rng, types);
		break;
	case 1:
		create->key_size = 0;
		break;
	case 2:
		create->value_size = 0;
		break;
	case 3:
		create->max_entries = RNG_PICK(rng, maxima);
		break;
	case 4:
		create->key_size = array ? rng_below(rng, 9) : RNG_PICK(rng, big_key_sizes);
		break;
	case 5: /* at the limits of sizes; rarely just below, where it takes time */
		create->max_entries = 1;
		if (array)
			create->value_size = rng_one_in(rng, 8) ? 1 * MIB : 1u << 31;
		else
			create->value_size = HASH_SUM_LIMIT - create->key_size - (rng_one_in(rng, 8) ? 1 : 0);
		break;
	}
}

static void twist_flags(struct rng *rng, struct abi_create *create)
{
	switch (rng_below(rng, 6)) {
	case 0:
		create->map_flags |= 1u << rng_below(rng, 32);
		break;
	case 1:
		create->map_flags = (uint32_t)rng_next(rng);
		break;
	case 2:
		create->map_flags |= ABI_F_RDONLY | ABI_F_WRONLY;
		break;
	case 3:
		create->map_flags |= ABI_F_RDONLY_PROG | ABI_F_WRONLY_PROG;
		break;
	case 4:
		create->map_flags |= ABI_F_NUMA_NODE;
		create->numa_node = rng_one_in(rng, 2) ? 4096 : UINT32_MAX - 1;
		break;
	case 5:
		create->map_flags |= rng_one_in(rng, 2) ? ABI_F_VTYPE_BTF_OBJ_FD : ABI_F_TOKEN_FD;
		break;
	}
}

static void twist_other(struct rng *rng, struct abi_create *create)
{
	static const uint32_t ids[] = { 1, 77, 0xffffffff };
	uint32_t at;

	switch (rng_below(rng, 8)) {
	case 0:
		memset(create->map_name, 'n', sizeof(create->map_name));
		break;
	case 1:
		at = rng_below(rng, 3);
		create->map_name[at] = (char)rng_next(rng);
		break;
	case 2:
		create->map_ifindex = rng_one_in(rng, 2) ? 1 : 0x7ffffff0;
		break;
	case 3:
		create->btf_key_type_id = RNG_PICK(rng, ids);
		break;
	case 4:
		create->btf_value_type_id = RNG_PICK(rng, ids);
		break;
	case 5:
		create->btf_vmlinux_value_type_id = RNG_PICK(rng, ids);
		break;
	case 6:
		create->map_extra = rng_one_in(rng, 2) ? 1 : rng_next(rng);
		break;
	case 7:
		create->excl_prog_hash_size = rng_one_in(rng, 2) ? 32 : rng_below(rng, 64);
		break;
	}
}

static void twist_create(struct rng *rng, struct abi_create *create)
{
	static void (*const twists[])(struct rng *, struct abi_create *) = { twist_size, twist_flags, twist_other };

	RNG_PICK(rng, twists)(rng, create);
}

static void generate_create(struct rng *rng, struct command *command, bool twisted)
{
	struct abi_create *create = &command->create;

	command->op = OP_CREATE;
	command->buffer[0].place = AT_NULL;
	command->attr_size = rng_one_in(rng, 2) ? command_attr_end(OP_CREATE) : ABI_ATTR_SIZE;
	if (!twisted) {
		command->slot = rng_below(rng, SLOTS - 1);
		good_create(rng, create, rng_one_in(rng, 4) ? 1 * MIB : 128 * KIB);
		return;
	}
	command->slot = SLOTS - 1; /* where strange maps live for a moment */
	good_create(rng, create, 64 * KIB);
	if (rng_one_in(rng, 16)) { /* an index of many lines, nearly empty */
		create->map_type = ABI_HASH;
		create->map_flags |= ABI_F_NO_PREALLOC;
		create->key_size = create->value_size = 8;
		create->max_entries = 1u << (13 + rng_below(rng, 5));
	}
	for (uint32_t n = rng_below(rng, 4); n; n--)
		twist_create(rng, create);
	if (create->map_flags & ABI_F_NO_PREALLOC && create->key_size + create->value_size > BPF_MEMALLOC_MAX)
		create->map_flags &= ~(uint32_t)ABI_F_NO_PREALLOC;
	if (create->excl_prog_hash_size || rng_one_in(rng, 20))
		command->buffer[0].place = rng_one_in(rng, 2) ? AT_BUFFER : rng_below(rng, AT_PARTNER);
	command->fd = rng_below(rng, FD_N);
	if (rng_one_in(rng, 2)) {
		create->btf_fd = create->inner_map_fd = 1; /* stand for command->fd, see execute.c */
		create->value_type_btf_obj_fd = create->map_token_fd = 1;
	}
	keep_small(create, 16 * MIB);
}

/* What the stream does more of for a while: so that maps get full, and empty. */
enum mood { MOOD_FILL, MOOD_CHURN, MOOD_EMPTY, MOOD_N };

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

static void generate_command(struct rng *rng, struct command *command, enum mood mood)
{
	command->op = random_op(rng, mood);
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

static void generate(struct rng *rng, struct command *command, enum mood mood, bool sound)
{
	command->seed = rng_next(rng);
	command->junk_at = NO_JUNK;
	if (rng_one_in(rng, 200)) {
		generate_create(rng, command, false);
	} else if (!sound && rng_one_in(rng, 80)) {
		generate_create(rng, command, true);
		if (rng_one_in(rng, 5))
			spoil(rng, command);
	} else {
		generate_command(rng, command, mood);
		for (uint32_t n = !sound && rng_one_in(rng, 5) ? 1 + rng_one_in(rng, 4) : 0; n; n--)
			spoil(rng, command);
	}
}

struct program program_generate(uint64_t seed, size_t length, bool sound)
{
	struct rng rng = { seed };
	struct program program = { need_memory(length * sizeof(struct command)), length };
	enum mood mood = MOOD_FILL;

	for (size_t i = 0; i < length; i++) {
		if (rng_one_in(&rng, 150))
			mood = (enum mood)rng_below(&rng, MOOD_N);
		if (i < SLOTS - 1) {
			program.commands[i].seed = rng_next(&rng);
			program.commands[i].junk_at = NO_JUNK;
			generate_create(&rng, &program.commands[i], false);
			program.commands[i].slot = (uint32_t)i;
		} else {
			generate(&rng, &program.commands[i], mood, sound);
		}
		if (sound)
			make_sound(&program.commands[i]);
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
