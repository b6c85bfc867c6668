/* SPDX-License-Identifier: MIT */
/*
 * From a command to a call: where its buffers lie, what is in them, and the attr.
 *
 * Without BPF_F_ZERO_SEED the order of a hash map's walks is a matter of chance. On such maps a command that would show
 * it is tamed: a batch has room for the whole map, a walk's step starts from a key that isn't there. Where a value may
 * have padding that depends on chance, it must come with its key.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "padding.h"
#include "rng.h"
#include "run.h"
#include "typeinfo.h"

#define ATTR_MAX 8192u /* more than bpf(2) takes */

static bool is_good(struct pointer pointer)
{
	return pointer.place == AT_BUFFER || pointer.place == AT_EDGE;
}

static void tame_output(struct command *command)
{
	for (int i = 0; i < BUFFER_N; i++)
		if (i != BUFFER_IN && !is_good(command->buffer[i]))
			command->buffer[i].place = AT_EDGE;
}

/* Takes chance out of a command on a map without order. */
static void tame_order(struct run *run)
{
	struct command *command = &run->command;

	if (is_walking_batch(command->op)) {
		tame_output(command);
		if (command->in != IN_HUGE)
			command->in = IN_NULL;
		if (command->count && command->count < run->slot->create.max_entries)
			command->count = run->slot->create.max_entries;
	} else if (command->op == OP_NEXT_KEY) {
		if (!is_good(command->buffer[BUFFER_KEY]) || run->slot->create.key_size < 4)
			command->buffer[BUFFER_KEY].place = AT_NULL;
		if (command->buffer[BUFFER_VALUE].place == AT_SHORT)
			command->buffer[BUFFER_VALUE].place = AT_EDGE;
		if (command->buffer[BUFFER_VALUE].place == AT_PARTNER)
			command->buffer[BUFFER_VALUE].place = AT_BUFFER;
	}
}

static void tame(struct run *run)
{
	struct command *command = &run->command;
	uint32_t *value_place = &command->buffer[BUFFER_VALUE].place;

	if (!run->slot->ordered)
		tame_order(run);
	if (!run->slot->any_loose)
		return;
	if (is_walking_batch(command->op))
		tame_output(command);
	else if ((command->op == OP_LOOKUP || command->op == OP_LOOKUP_AND_DELETE) && *value_place == AT_PARTNER)
		*value_place = AT_BUFFER;
}

/* Sizes of the buffers that a command's pointers stand for. */
static void buffer_sizes(struct run *run, size_t size[BUFFER_N])
{
	const struct command *command = &run->command;
	const struct abi_create *create = &run->slot->create;
	uint64_t value_bytes = run->slot->value_bytes;
	uint64_t room = is_walking_batch(command->op) ? ARENA_ROOM : 1u << 16;

	memset(size, 0, BUFFER_N * sizeof(size[0]));
	switch (command->op) {
	case OP_CREATE:
		size[0] = 32;
		return;
	case OP_INFO:
		size[0] = command->count < 4200 ? command->count : 4200;
		size[BUFFER_HASH] = HASH_SIZE;
		return;
	case OP_NEXT_KEY:
		size[BUFFER_KEY] = size[BUFFER_VALUE] = create->key_size;
		return;
	case OP_LOOKUP:
	case OP_UPDATE:
	case OP_DELETE:
	case OP_LOOKUP_AND_DELETE:
		size[BUFFER_KEY] = create->key_size;
		size[BUFFER_VALUE] = command->op == OP_DELETE ? 0 : value_bytes;
		return;
	default:
		break;
	}
	if (!is_batch(command->op))
		return;
	/* Buffers hold all that the map can give, or less if they are asked for less. What goes in may be less for
	 * speed. */
	run->entries = 2 * slot_universe(run->slot) + 16;
	if (run->entries > command->count)
		run->entries = command->count;
	while ((uint64_t)run->entries * create->key_size > room || run->entries * value_bytes > room)
		run->entries /= 2;
	if (command->sound && command->count > run->entries)
		run->command.count = run->entries;
	size[BUFFER_IN] = size[BUFFER_OUT] = TOKEN_SIZE;
	size[BUFFER_KEYS] = (size_t)run->entries * create->key_size;
	size[BUFFER_VALUES] = (size_t)run->entries * value_bytes;
}

static void place_buffers(struct run *run)
{
	struct command *command = &run->command;
	unsigned char canary = (unsigned char)(command->seed >> 8);
	size_t size[BUFFER_N];

	buffer_sizes(run, size);
	if (command->in == IN_NULL || (command->in == IN_TOKEN && !run->slot->has_token))
		if (is_batch(command->op))
			command->buffer[BUFFER_IN].place = AT_NULL;
	for (int i = 0; i < BUFFER_N; i++) {
		/* Whoever reads on behind the buffers meets the hole, not the bytes of earlier commands. */
		if (is_batch(command->op) && run->entries < command->count && i >= BUFFER_KEYS &&
		    is_good(command->buffer[i]))
			command->buffer[i].place = AT_EDGE;
		if (i && command->buffer[i].place == AT_PARTNER && size[i] > size[0])
			size[0] = size[i];
	}
	for (int i = 0; i < BUFFER_N; i++)
		arena_place(&run->side->buffer[i], command->buffer[i], size[i], canary, &run->buffer[0],
			    &run->buffer[i]);
}

static void write_token(struct run *run)
{
	const struct slot *slot = run->slot;
	uint32_t buckets = 1, token;

	while (buckets < slot->create.max_entries)
		buckets *= 2;
	if (run->command.in == IN_TOKEN)
		memcpy(&token, slot->token, sizeof(token));
	else
		token = run->command.in == IN_HUGE ? UINT32_MAX - run->command.key % 3
						   : run->command.key % (buckets + 3);
	window_write(&run->buffer[BUFFER_IN], 0, &token, sizeof(token));
}

/* The i-th key of a batch. */
static uint32_t key_number(const struct run *run, struct rng *rng, uint32_t i)
{
	switch (run->command.keys) {
	case KEYS_ASCENDING:
		return run->command.key + i;
	case KEYS_EQUAL:
		return run->command.key;
	default:
		return (uint32_t)rng_next(rng);
	}
}

/* Fields of struct bpf_map_info that are input: where the hash of an array's contents goes, and its size. */
static void ask_for_hash(struct run *run)
{
	uint64_t to = (uintptr_t)run->buffer[BUFFER_HASH].user;
	uint32_t size = run->command.seed & 0x380 ? HASH_SIZE : run->command.key % 64;

	window_write(&run->buffer[0], ABI_MAP_INFO_HASH, &to, sizeof(to));
	window_write(&run->buffer[0], ABI_MAP_INFO_HASH + sizeof(to), &size, sizeof(size));
}

static void fill_batch(struct run *run)
{
	const struct command *command = &run->command;
	uint32_t universe = slot_universe(run->slot), key_size = run->slot->create.key_size;
	struct rng rng = { command->seed };
	unsigned char *key;

	write_token(run);
	if (is_walking_batch(command->op))
		return;
	key = need_memory(key_size);
	for (uint32_t i = 0; i < run->entries; i++) {
		slot_key(run->slot, key_number(run, &rng, i) % universe, key);
		window_write(&run->buffer[BUFFER_KEYS], (size_t)i * key_size, key, key_size);
	}
	free(key);
	fill_value(command->seed, run->buffer[BUFFER_VALUES].data, run->buffer[BUFFER_VALUES].size);
}

static void fill_elem(struct run *run)
{
	const struct command *command = &run->command;
	uint32_t universe = slot_universe(run->slot), number = command->key % universe;
	unsigned char *key = need_memory(run->slot->create.key_size);

	if (command->op == OP_NEXT_KEY && !run->slot->ordered)
		number = universe + command->key % 1000; /* a key that isn't there */
	else if (command->key == UINT32_MAX)
		number = UINT32_MAX;
	slot_key(run->slot, number, key);
	if (command->op == OP_UPDATE)
		fill_value(command->seed, run->buffer[BUFFER_VALUE].data, run->buffer[BUFFER_VALUE].size);
	window_write(&run->buffer[BUFFER_KEY], 0, key, run->slot->create.key_size);
	free(key);
}

/* Puts the caller's data into the buffers. */
static void fill_buffers(struct run *run)
{
	const struct command *command = &run->command;

	if (is_batch(command->op)) {
		fill_batch(run);
	} else if (command->op < OP_INFO && command->op != OP_CREATE) {
		fill_elem(run);
	} else {
		/* Input too: what lies behind the kernel's structure must be zero, mostly it is. */
		if (run->buffer[0].data && command->seed & 0x30)
			memset(run->buffer[0].data, 0, run->buffer[0].size);
		if (asks_for_hash(command))
			ask_for_hash(run);
	}
}

/* The number of the descriptor that the command works on. */
static int find_fd(struct run *run)
{
	union abi_attr attr = { .create = { .map_type = ABI_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1 } };
	int fd;

	if (run->command.fd == FD_SLOT)
		return run->slot->fd;
	if (run->command.fd != FD_STALE)
		return run->side->other_fd[run->command.fd];
	fd = (int)run->side->bpf(ABI_MAP_CREATE, &attr, command_attr_end(OP_CREATE));
	close(fd);
	return fd;
}

/* The types of a value with a spin lock. */
static void add_types(struct run *run, struct abi_create *create)
{
	uint32_t lock_off = run->command.lock;
	struct lockable types;
	union abi_attr attr;

	if (lock_off == NO_LOCK || (uint64_t)lock_off + 4 > create->value_size)
		return;
	typeinfo_lockable(&types, create->key_size, abi_is_array(create->map_type), create->value_size, lock_off,
			  run->command.seed & 0x400);
	memset(&attr, 0, sizeof(attr));
	attr.btf = (struct abi_btf_load){ .btf = (uintptr_t)types.raw, .size = types.size };
	run->types_fd = (int)run->side->bpf(ABI_BTF_LOAD, &attr, offsetof(struct abi_btf_load, zeros));
	if (run->types_fd < 0) {
		perror(run->side->name);
		exit(1);
	}
	create->btf_fd = (uint32_t)run->types_fd;
	create->btf_key_type_id = types.key_id;
	create->btf_value_type_id = types.value_id;
}

static void build_create(struct run *run, struct abi_create *create, int fd)
{
	memcpy(create, &run->command.create, offsetof(struct abi_create, excl_prog_hash_size) + sizeof(uint32_t));
	create->excl_prog_hash = (uintptr_t)run->buffer[0].user;
	if (create->btf_fd) {
		create->btf_fd = create->inner_map_fd = (uint32_t)fd;
		create->value_type_btf_obj_fd = create->map_token_fd = fd;
	}
	add_types(run, create);
	/* Beyond this a kernel may crash, and take the machine's memory with it. */
	if (create->map_type == ABI_PERCPU_ARRAY && create->max_entries > 1u << 24) {
		fprintf(stderr, "a PERCPU_ARRAY of %" PRIu32 " entries must not be asked for\n", create->max_entries);
		exit(1);
	}
}

static void build_attr(struct run *run, union abi_attr *attr)
{
	const struct command *command = &run->command;
	int fd = find_fd(run);

	memset(attr, 0, sizeof(*attr));
	if (command->op == OP_CREATE) {
		build_create(run, &attr->create, fd);
	} else if (command->op == OP_INFO) {
		attr->info = (struct abi_get_info){ .bpf_fd = (uint32_t)fd,
						    .info_len = command->count,
						    .info = (uintptr_t)run->buffer[0].user };
	} else if (is_batch(command->op)) {
		attr->batch = (struct abi_batch){
			.in_batch = (uintptr_t)run->buffer[BUFFER_IN].user,
			.out_batch = (uintptr_t)run->buffer[BUFFER_OUT].user,
			.keys = (uintptr_t)run->buffer[BUFFER_KEYS].user,
			.values = (uintptr_t)run->buffer[BUFFER_VALUES].user,
			.count = command->count,
			.map_fd = (uint32_t)fd,
			.elem_flags = command->elem_flags,
			.flags = command->flags,
		};
	} else if (command->op == OP_FREEZE) {
		attr->freeze_fd = (uint32_t)fd;
	} else {
		attr->elem = (struct abi_elem){
			.map_fd = (uint32_t)fd,
			.padding = command->elem_flags ? (uint32_t)command->seed : 0, /* nobody looks at it */
			.key = (uintptr_t)run->buffer[BUFFER_KEY].user,
			.value = (uintptr_t)run->buffer[BUFFER_VALUE].user,
			.flags = command->flags,
		};
		if (command->op == OP_DELETE)
			attr->elem.value = 0;
	}
}

/* Places the attr, and overwrites one byte of it if the command says so. */
static void place_attr(struct run *run)
{
	const struct command *command = &run->command;
	size_t size = command->attr_size < ATTR_MAX ? command->attr_size : ATTR_MAX;
	union abi_attr attr;
	unsigned char junk = (unsigned char)command->junk;

	build_attr(run, &attr);
	/* The kernel writes the count and the info_len back even where size says that they aren't there. */
	arena_place(&run->side->attr, command->attr, size < sizeof(attr) ? sizeof(attr) : size, 0, NULL, &run->attr);
	window_write(&run->attr, 0, &attr, size < sizeof(attr) ? size : sizeof(attr));
	if (command->junk_at < size)
		window_write(&run->attr, command->junk_at, &junk, 1);
	if (run->attr.data)
		memcpy(run->before, run->attr.data, run->attr.size < sizeof(attr) ? run->attr.size : sizeof(attr));
}

/* The flag goes where a lock is; elsewhere it would be refused before much else is looked at. */
static void add_lock_flag(struct run *run)
{
	struct command *command = &run->command;

	if (!command->f_lock || run->slot->lock_off == NO_LOCK)
		return;
	if (is_batch(command->op))
		command->elem_flags |= ABI_F_LOCK;
	else if (command->op == OP_LOOKUP || command->op == OP_UPDATE || command->op == OP_LOOKUP_AND_DELETE)
		command->flags |= ABI_F_LOCK;
}

void run_prepare(struct run *run)
{
	run->types_fd = -1;
	add_lock_flag(run);
	tame(run);
	place_buffers(run);
	fill_buffers(run);
	place_attr(run);
}
