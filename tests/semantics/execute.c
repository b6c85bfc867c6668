/* SPDX-License-Identifier: MIT */
/*
 * The executor: makes the call of a command on one side, and turns its answer into an image that can be compared.
 *
 * On maps whose order of walks is a matter of chance, what shows it is put into one form: a batch's entries are sorted,
 * a first key is checked against the first key that another call gives. What is lost by that, contents.c and the maps
 * with BPF_F_ZERO_SEED make up for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpus.h"
#include "memory.h"
#include "padding.h"
#include "run.h"

static int compare_records(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(size_t *)size);
}

/* Sorts the entries that a batch returned, in its buffers. */
static void sort_entries(struct run *run)
{
	size_t key_size = run->slot->create.key_size, value_size = run->slot->value_bytes;
	size_t entry = key_size + value_size;
	unsigned char *keys = run->buffer[BUFFER_KEYS].data, *values = run->buffer[BUFFER_VALUES].data, *records;
	uint32_t count;

	memcpy(&count, run->attr.data + offsetof(struct abi_batch, count), sizeof(count));
	if (count > run->entries)
		return; /* wrong, and equal nowhere: the count is compared */
	records = need_memory(count * entry);
	for (size_t i = 0; i < count; i++) {
		memcpy(records + i * entry, keys + i * key_size, key_size);
		memcpy(records + i * entry + key_size, values + i * value_size, value_size);
	}
	qsort_r(records, count, entry, compare_records, &entry);
	for (size_t i = 0; i < count; i++) {
		memcpy(keys + i * key_size, records + i * entry, key_size);
		memcpy(values + i * value_size, records + i * entry + key_size, value_size);
	}
	free(records);
}

/* A first key in no order: it must be the one that a walk from NULL begins with. */
static void check_first_key(struct run *run)
{
	unsigned char *next = run->buffer[BUFFER_VALUE].data, *first;
	uint32_t key_size = run->slot->create.key_size;
	bool same;

	first = need_memory(key_size);
	same = side_elem(run->side, ABI_MAP_GET_NEXT_KEY, run->slot->fd, NULL, first) == 0 &&
	       !memcmp(first, next, key_size);
	image_section(&run->side->image, "first key");
	image_add(&run->side->image, &same, sizeof(same));
	memset(next, 0, key_size);
	free(first);
}

/* The id of a map, or of its types, is any positive number, but always the same. */
static void check_id(struct run *run, size_t at, uint32_t *known)
{
	struct window *info = &run->buffer[0];
	uint32_t id;
	bool sound;

	if (info->size < at + sizeof(id) || run->side->image.code)
		goto mask;
	memcpy(&id, info->data + at, sizeof(id));
	sound = (int)id > 0 && (!*known || *known == id);
	*known = id;
	image_section(&run->side->image, "id");
	image_add(&run->side->image, &sound, sizeof(sound));
mask:
	for (size_t i = at; i < at + sizeof(id) && i < info->size; i++)
		info->data[i] = 1;
}

static void check_ids(struct run *run)
{
	check_id(run, ABI_MAP_INFO_ID, &run->slot->id);
	if (run->slot->lock_off != NO_LOCK)
		check_id(run, ABI_MAP_INFO_BTF_ID, &run->slot->btf_id);
}

/* The address in it is nobody's answer; that it is still there, is. */
static void check_hash_address(struct run *run)
{
	uint64_t to = (uintptr_t)run->buffer[BUFFER_HASH].user, found = 0;

	if (run->buffer[0].size < ABI_MAP_INFO_HASH + sizeof(to))
		return;
	memcpy(&found, run->buffer[0].data + ABI_MAP_INFO_HASH, sizeof(found));
	found -= to;
	window_write(&run->buffer[0], ABI_MAP_INFO_HASH, &found, sizeof(found));
}

/* Padding that depends on chance, in the values that came out. */
static void blank_padding(struct run *run)
{
	const struct window *keys = &run->buffer[BUFFER_KEY], *values = &run->buffer[BUFFER_VALUE];
	uint32_t op = run->command.op, count = 1;
	int code = run->side->image.code;

	if (is_walking_batch(op) && run->attr.data && (code == 0 || code == -ENOENT)) {
		keys = &run->buffer[BUFFER_KEYS];
		values = &run->buffer[BUFFER_VALUES];
		memcpy(&count, run->attr.data + offsetof(struct abi_batch, count), sizeof(count));
	} else if ((op != OP_LOOKUP && op != OP_LOOKUP_AND_DELETE) || (code && code != -EFAULT)) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		size_t key = i * run->slot->create.key_size, value = i * run->slot->value_bytes;

		if (key + run->slot->create.key_size > keys->size || value >= values->size)
			return;
		padding_blank(run->slot, keys->data + key, values->data + value,
			      values->size - value < run->slot->value_bytes ? values->size - value
									    : run->slot->value_bytes);
	}
}

/* Takes out of the answer what isn't part of the contract. */
static void normalise(struct run *run)
{
	const struct command *command = &run->command;
	int code = run->side->image.code;

	if (command->op == OP_INFO && run->buffer[0].data && (code == 0 || code == -EFAULT))
		check_ids(run);
	if (asks_for_hash(command))
		check_hash_address(run);
	if (run->slot->any_loose && command->fd == FD_SLOT)
		blank_padding(run);
	if (run->slot->ordered || command->fd != FD_SLOT)
		return;
	if (is_walking_batch(command->op) && command->count && run->attr.data && run->buffer[BUFFER_KEYS].data &&
	    (code == 0 || code == -ENOENT))
		sort_entries(run);
	if (command->op == OP_NEXT_KEY && code == 0 && run->buffer[BUFFER_VALUE].data)
		check_first_key(run);
}

/* The attr holds addresses and descriptors, so only what the call changed in it is part of the answer. */
static void add_attr_changes(struct run *run)
{
	struct image *image = &run->side->image;

	image_section(image, "attr changes (offset, byte)");
	for (size_t i = 0; i < run->attr.size && i < sizeof(run->before); i++)
		if (run->attr.data[i] != run->before[i]) {
			unsigned char change[2] = { (unsigned char)i, run->attr.data[i] };

			image_add(image, change, sizeof(change));
		}
}

static void add_answer(struct run *run)
{
	static const char *const names[BUFFER_N] = { "first buffer", "second buffer", "keys", "values" };
	struct image *image = &run->side->image;

	add_attr_changes(run);
	for (int i = 0; i < BUFFER_N; i++) {
		image_section(image, names[i]);
		image_add(image, run->buffer[i].start, run->buffer[i].length);
	}
}

static void settle_create(struct run *run, int fd)
{
	struct abi_create create;

	memcpy(&create, run->before, sizeof(create)); /* zero where the attr was cut short */
	slot_open(run->side, run->slot, fd, &create, create.btf_value_type_id ? run->command.lock : NO_LOCK,
		  run->command.seed);
}

/* A command has stored whole values: nothing in them is left to chance. */
static void settle_padding(struct run *run, long result)
{
	const unsigned char *keys = run->buffer[BUFFER_KEY].user;
	uint32_t count = result == 0;

	if (run->command.op == OP_UPDATE_BATCH) {
		const size_t at = offsetof(struct abi_batch, count);

		if (run->attr.size < offsetof(struct abi_batch, zeros) ||
		    (result && !memcmp(run->attr.data + at, run->before + at, sizeof(count))))
			return; /* an error that leaves the count as it was: nothing is stored */
		keys = run->buffer[BUFFER_KEYS].user;
		memcpy(&count, run->attr.data + at, sizeof(count));
	} else if (run->command.op != OP_UPDATE) {
		return;
	}
	for (size_t i = 0; i < count; i++)
		padding_note(run->slot, keys + i * run->slot->create.key_size, false);
}

/* What the command changed in the slot. */
static void settle(struct run *run, long result)
{
	const struct command *command = &run->command;
	struct slot *slot = run->slot;
	const struct window *out = &run->buffer[BUFFER_OUT];

	if (run->types_fd >= 0)
		close(run->types_fd);
	if (command->op == OP_CREATE && result >= 0)
		settle_create(run, (int)result);
	if (slot->any_loose && command->fd == FD_SLOT)
		settle_padding(run, result);
	if (is_walking_batch(command->op) && command->fd == FD_SLOT && out->size == TOKEN_SIZE &&
	    (result == 0 || result == -ENOENT || result == -ENOSPC)) {
		memcpy(slot->token, out->data, TOKEN_SIZE);
		slot->has_token = true;
	}
}

/* A descriptor that the caller gets is close-on-exec and opened for what the flags say. */
static void add_descriptor(struct image *image, int fd)
{
	int modes[2] = { fcntl(fd, F_GETFD), fcntl(fd, F_GETFL) & O_ACCMODE };

	image_section(image, "descriptor flags and access mode");
	image_add(image, modes, sizeof(modes));
}

static void execute_call(struct run *run)
{
	struct image *image = &run->side->image;
	long result;

	run_prepare(run);
	errno = 0;
	result = run->side->bpf(command_number(&run->command), run->attr.user, run->command.attr_size);
	result = result < 0 ? -errno : result;
	image->code = run->command.op == OP_CREATE && result > 0 ? 0 : (int)result;
	if (run->command.op == OP_CREATE && result >= 0)
		add_descriptor(image, (int)result);
	normalise(run);
	add_answer(run);
	settle(run, result);
}

void side_execute(struct side *side, const struct command *command)
{
	struct run run = { .side = side, .slot = &side->slot[command->slot], .command = *command };
	int fd;

	image_reset(&side->image);
	if (abi_is_lru(run.slot->create.map_type)) /* each CPU has lists of its own, from which entries are evicted */
		cpus_pin(command->cpu);
	switch (command->op) {
	case OP_DUP:
		fd = run.slot->fd < 0 ? -1 : fcntl(run.slot->fd, F_DUPFD_CLOEXEC, 0);
		if (fd >= 0) {
			close(run.slot->fd);
			run.slot->fd = fd;
		}
		break;
	case OP_DUMP:
		if (run.slot->fd >= 0)
			contents_dump(side, run.slot);
		break;
	case OP_BATCH_WALK:
	case OP_BATCH_DRAIN:
		if (run.slot->fd >= 0)
			contents_batches(side, run.slot, 1 + command->count % 64, command->op == OP_BATCH_DRAIN);
		break;
	default:
		if (command->op >= OP_HELPER)
			helper_execute(side, run.slot, command);
		else
			execute_call(&run);
	}
}
