/* SPDX-License-Identifier: MIT */
/*
 * The batches that any map type can have from its single operations: update and delete element by element, and the
 * lookup whose tokens are keys (ARRAY).
 *
 * Elements go through buffers of our own: small ones on the stack.
 */
#include <string.h>

#include "core/alloc.h"
#include "core/errno.h"
#include "map/map.h"

#define BATCH_GROUP 32

/* Room for two keys and a value. */
struct batch_buffer {
	unsigned char *key;
	unsigned char *previous;
	unsigned char *value;
	size_t allocated; /* 0: on the stack */
	_Alignas(16) unsigned char stack[512];
};

static int buffer_get(struct batch_buffer *buffer, const struct usermap *map)
{
	size_t key_room = ((size_t)map->key_size + 15) & ~(size_t)15;
	size_t size = 2 * key_room + map->value_bytes;

	buffer->key = buffer->stack;
	buffer->allocated = 0;
	if (size > sizeof(buffer->stack)) {
		buffer->key = mem_alloc(size);
		if (!buffer->key)
			return -ENOMEM;
		buffer->allocated = size;
	}
	buffer->previous = buffer->key + key_room;
	buffer->value = buffer->previous + key_room;
	return 0;
}

static void buffer_put(struct batch_buffer *buffer)
{
	if (buffer->allocated)
		mem_free(buffer->key, buffer->allocated);
}

/* Where the caller has the i-th of things of this size. */
static void *at(void *base, __u32 i, __u32 size)
{
	return (void *)((uintptr_t)base +
			(uintptr_t)i * size); /* as a number: a bad base must not become undefined behaviour */
}

/* Keys, and values behind them, of elements that are worked on together. */
struct batch_group {
	unsigned char *keys;
	unsigned char *values;
	__u32 room;	  /* elements */
	size_t allocated; /* 0: on the stack */
	_Alignas(16) unsigned char stack[2048];
};

static int group_get(struct batch_group *group, const struct usermap *map)
{
	size_t element = (size_t)map->key_size + map->value_bytes, room = sizeof(group->stack) / element;

	group->room = room > BATCH_GROUP ? BATCH_GROUP : (__u32)room;
	group->keys = group->stack;
	group->allocated = 0;
	if (!group->room) {
		group->room = 1;
		group->keys = mem_alloc(element);
		if (!group->keys)
			return -ENOMEM;
		group->allocated = element;
	}
	group->values = group->keys + (size_t)group->room * map->key_size;
	return 0;
}

static int group_read(struct batch_group *group, const struct usermap *map, const struct map_batch *batch, __u32 n,
		      bool values)
{
	int error = batch->io->in(group->keys, at(batch->keys, batch->count, map->key_size), (size_t)n * map->key_size);

	if (!error && values)
		error = batch->io->in(group->values, at(batch->values, batch->count, map->value_bytes),
				      (size_t)n * map->value_bytes);
	return error;
}

static int group_apply(struct batch_group *group, struct usermap *map, struct map_batch *batch, __u32 n, bool updates)
{
	int error = 0;

	if (n > 1 && map->ops->prefetch)
		map->ops->prefetch(map, group->keys, n);
	for (__u32 i = 0; i < n && !error; i++) {
		const void *key = group->keys + (size_t)i * map->key_size;

		error = updates ? map->ops->update(map, key, group->values + (size_t)i * map->value_bytes,
						   batch->elem_flags)
				: map->ops->delete(map, key);
		batch->count += !error;
	}
	return error;
}

/* Updates or deletes, in groups whose cache misses overlap. Where a group can't be read its first element still may
 * be. */
static int batch_apply(struct usermap *map, struct map_batch *batch, bool updates)
{
	struct batch_group group;
	int error = group_get(&group, map);

	if (error)
		return error;
	while (batch->count < batch->max && !error) {
		__u32 left = batch->max - batch->count, n = left < group.room ? left : group.room;

		error = group_read(&group, map, batch, n, updates);
		if (error && n > 1) {
			n = 1;
			error = group_read(&group, map, batch, n, updates);
		}
		if (!error)
			error = group_apply(&group, map, batch, n, updates);
	}
	if (group.allocated)
		mem_free(group.keys, group.allocated);
	return error;
}

int batch_update(struct usermap *map, struct map_batch *batch)
{
	return batch_apply(map, batch, true);
}

int batch_delete(struct usermap *map, struct map_batch *batch)
{
	return batch_apply(map, batch, false);
}

/* Gives the caller the entry of buffer->key as its n-th. -ENOENT: it has no value any more. */
static int give_entry(struct usermap *map, const struct map_batch *batch, const struct batch_buffer *buffer, __u32 n)
{
	int error = map->ops->lookup(map, buffer->key, buffer->value, batch->elem_flags);

	if (!error)
		error = batch->io->out(at(batch->keys, n, map->key_size), buffer->key, map->key_size);
	if (!error)
		error = batch->io->out(at(batch->values, n, map->value_bytes), buffer->value, map->value_bytes);
	return error;
}

/* Walks from the first key, or behind buffer->previous, until all entries asked for are given or the keys end, -ENOENT.
 * Leaves the last key that was walked over in buffer->previous. */
static int walk(struct usermap *map, const struct map_batch *batch, struct batch_buffer *buffer, bool from_start,
		__u32 *done)
{
	while (*done < batch->max) {
		int error = map->ops->next_key(map, from_start ? NULL : buffer->previous, buffer->key);

		if (error)
			return error;
		error = give_entry(map, batch, buffer, *done);
		if (error && error != -ENOENT)
			return error;
		if (!error)
			++*done;
		memcpy(buffer->previous, buffer->key, map->key_size);
		from_start = false;
	}
	return 0;
}

int batch_lookup(struct usermap *map, struct map_batch *batch)
{
	struct batch_buffer buffer;
	__u32 done = 0;
	int error = buffer_get(&buffer, map);

	if (error)
		return error;
	if (batch->in_batch)
		error = batch->io->in(buffer.previous, batch->in_batch, map->key_size);
	if (!error)
		error = walk(map, batch, &buffer, !batch->in_batch, &done);
	if (error != -EFAULT) {
		batch->count = done; /* stays so even if out_batch is bad */
		if (done && batch->io->out(batch->out_batch, buffer.previous, map->key_size))
			error = -EFAULT;
	}
	buffer_put(&buffer);
	return error;
}
