/* SPDX-License-Identifier: MIT */
/*
 * The executor of the program face: makes a command's call on one side, on the CPU that the command says, and takes its
 * answer. What it changed is looked at by a command, so that both faces must agree.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpus.h"
#include "memory.h"
#include "padding.h"
#include "rng.h"

struct helper_run {
	struct side *side;
	struct slot *slot;
	const struct command *command;
	enum helper helper;
	struct helper_call call;
	unsigned char *key, *value, *out;
};

/*
 * A program that does what the map's flags forbid can't be loaded, so there is no answer to compare. usermap's programs
 * can't write to a map that is reached through a read-only descriptor either, for its memory is mapped so; the kernel's
 * can.
 */
static bool is_possible(const struct slot *slot, enum helper helper)
{
	const struct abi_create *create = &slot->create;
	bool walks = helper == HELPER_FOR_EACH; /* its callback may write */
	bool reads = helper != HELPER_UPDATE && helper != HELPER_DELETE;
	bool writes = helper != HELPER_LOOKUP && helper != HELPER_LOOKUP_PERCPU;

	if (slot->fd < 0 || create->key_size > HELPER_KEY_MAX || create->value_size > HELPER_VALUE_MAX ||
	    create->excl_prog_hash_size)
		return false;
	if (writes && !walks && create->map_flags & ABI_F_RDONLY)
		return false;
	if ((writes && create->map_flags & ABI_F_RDONLY_PROG) || (reads && create->map_flags & ABI_F_WRONLY_PROG))
		return false;
	if (helper == HELPER_ADD && create->value_size < 8)
		return false;
	if (helper == HELPER_STORE && slot->lock_off != NO_LOCK && create->value_size > HELPER_LOCK_MAX)
		return false;
	return abi_is_percpu(create->map_type) || (helper != HELPER_LOOKUP_PERCPU && helper != HELPER_ADD);
}

/* The key as UPDATE_ELEM and the others have it. */
static void make_key(struct helper_run *run)
{
	uint32_t key = run->command->key;

	slot_key(run->slot, key == UINT32_MAX ? key : key % slot_universe(run->slot), run->key);
}

static void prepare(struct helper_run *run)
{
	const struct abi_create *create = &run->slot->create;
	const struct command *command = run->command;
	size_t entry = (size_t)create->key_size + create->value_size, size = create->value_size;
	struct helper_call *call = &run->call;

	if (run->helper == HELPER_FOR_EACH) {
		call->room = helper_room(create);
		size = entry * call->room;
	}
	run->key = need_memory(create->key_size);
	run->value = need_memory(create->value_size);
	run->out = need_memory(size);
	memset(run->out, (unsigned char)(command->seed >> 8), size);
	make_key(run);
	fill_value(command->seed, run->value, create->value_size);
	call->key = run->key;
	call->value = run->value;
	call->out = run->out;
	call->flags = command->flags;
	call->delta = command->seed;
	call->offset = create->value_size < 8 ? 0 : (uint32_t)(command->seed >> 32) % (create->value_size / 8) * 8;
	call->cpu = command->count;
	call->limit = command->count;
	call->each = create->map_flags & ABI_F_RDONLY ? EACH_NOTHING : command->each;
	/* On a full LRU map a callback's update may evict the entry that the walk is about to give: no rule says then where it
	 * goes on. */
	if (abi_is_lru(create->map_type) && call->each != EACH_DELETE)
		call->each = EACH_NOTHING;
	if (!run->slot->ordered) { /* which entries it meets, and in which order, is a matter of chance */
		if (call->each != EACH_NOTHING)
			call->limit = UINT32_MAX;
		if (call->each == EACH_INSERT)
			call->each = EACH_NOTHING;
	}
	if (command->f_lock && run->helper == HELPER_UPDATE && run->slot->lock_off != NO_LOCK)
		call->flags |= ABI_F_LOCK;
}

/* Whether a command finds no entry, or may not look. */
static bool is_absent(struct helper_run *run)
{
	void *value = need_memory(run->slot->value_bytes);
	bool absent = side_elem(run->side, ABI_MAP_LOOKUP_ELEM, run->slot->fd, run->key, value) != 0;

	free(value);
	return absent;
}

/* Whether the call, if it succeeds, leaves an entry that a program has inserted. An LRU map that is full may even evict the
 * entry that is to be updated, and make it anew. */
static bool may_insert(struct helper_run *run)
{
	if (run->helper == HELPER_FOR_EACH)
		return run->call.each == EACH_INSERT && is_absent(run);
	if (run->helper != HELPER_UPDATE)
		return false;
	return abi_is_lru(run->slot->create.map_type) ? run->call.flags != ABI_EXIST : is_absent(run);
}

static long call(struct helper_run *run)
{
	struct slot *slot = run->slot;
	struct helper_map map = { slot->fd, slot->create, slot->lock_off };

	if (!slot->helpers)
		slot->helpers = run->side->helpers->open(&map);
	return run->side->helpers->call(slot->helpers, run->helper, &run->call);
}

/* The lock's bytes are not for programs to read. */
static void blank_lock(const struct slot *slot, unsigned char *value)
{
	if (slot->lock_off != NO_LOCK)
		memset(value + slot->lock_off, 0, 4);
}

static int compare_entries(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(size_t *)size);
}

static void add_entries(struct helper_run *run, long seen)
{
	size_t key_size = run->slot->create.key_size, entry = key_size + run->slot->create.value_size;
	struct image *image = &run->side->image;

	if (seen < 0 || seen > run->call.room)
		return;
	if (!run->slot->ordered) {
		if (seen == run->call.limit)
			return; /* those it met before it stopped are a matter of chance */
		qsort_r(run->out, (size_t)seen, entry, compare_entries, &entry);
	}
	for (size_t i = 0; i < (size_t)seen; i++)
		blank_lock(run->slot, run->out + i * entry + key_size);
	image_section(image, "entries that the callback was given");
	image_add(image, run->out, (size_t)seen * entry);
}

static void add_value(struct helper_run *run)
{
	blank_lock(run->slot, run->out);
	image_section(&run->side->image, "value");
	image_add(&run->side->image, run->out, run->slot->create.value_size);
}

/* What a command finds at the key now: the slots of all CPUs. */
static void add_aftermath(struct helper_run *run)
{
	struct image *image = &run->side->image;
	struct slot *slot = run->slot;
	unsigned char *value = need_memory(slot->value_bytes);
	long result = side_elem(run->side, ABI_MAP_LOOKUP_ELEM, slot->fd, run->key, value);

	if (result == 0)
		padding_blank(slot, run->key, value, slot->value_bytes);
	image_section(image, "a lookup's answer afterwards");
	image_add(image, &result, sizeof(result));
	image_section(image, "the value afterwards");
	image_add(image, value, slot->value_bytes);
	free(value);
}

void helper_execute(struct side *side, struct slot *slot, const struct command *command)
{
	struct helper_run run = { side, slot, command, (enum helper)(command->op - OP_HELPER), { 0 }, 0, 0, 0 };
	bool inserts;
	long result;

	if (!is_possible(slot, run.helper))
		return;
	prepare(&run);
	cpus_pin(command->cpu);
	inserts = has_padding(slot) && may_insert(&run);
	result = call(&run);
	side->image.code = (int)result;
	if (inserts && result >= 0)
		padding_note(slot, run.key, true);
	if (run.helper == HELPER_LOOKUP || run.helper == HELPER_LOOKUP_PERCPU)
		add_value(&run);
	else if (run.helper == HELPER_FOR_EACH)
		add_entries(&run, result);
	else
		add_aftermath(&run);
	free(run.key);
	free(run.value);
	free(run.out);
}
