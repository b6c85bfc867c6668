/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <usermap/bpf.h>
#include <usermap/helper.h>

#include "map_helper.h"
#include "memory.h"
#include "native.h"

struct opened {
	struct helper_map shape;
	struct usermap *map;
	bool ours; /* to close */
};

static void *new_opened(const struct helper_map *shape, struct usermap *map, bool ours)
{
	struct opened *opened = need_memory(sizeof(*opened));

	if (!map) {
		fprintf(stderr, "there is no handle\n");
		exit(1);
	}
	*opened = (struct opened){ *shape, map, ours };
	return opened;
}

static void *engine_open(const struct helper_map *shape)
{
	struct usermap *map;

	return new_opened(shape, usermap_from_fd(shape->fd, &map) ? NULL : map, true);
}

static void *native_open(const struct helper_map *shape)
{
	return new_opened(shape, native_handle((uint32_t)shape->fd), false);
}

static void close_opened(void *opened)
{
	struct opened *o = opened;

	if (o->ours)
		usermap_close(o->map);
	free(o);
}

static long lookup(const struct opened *o, const struct helper_call *call, bool of_cpu)
{
	const void *value;

	usermap_read_lock();
	value = of_cpu ? usermap_helper_lookup_percpu_elem(o->map, call->key, call->cpu)
		       : usermap_helper_lookup_elem(o->map, call->key);
	if (value)
		memcpy(call->out, value, o->shape.create.value_size);
	usermap_read_unlock();
	return value ? 0 : -ENOENT;
}

static long store_locked(const struct opened *o, char *value, const char *from)
{
	uint32_t lock_off = o->shape.lock_off, behind = lock_off + 4;
	struct bpf_spin_lock *lock = (struct bpf_spin_lock *)(void *)(value + lock_off);
	int error = usermap_helper_spin_lock(lock);

	if (error)
		return error;
	memcpy(value, from, lock_off);
	memcpy(value + behind, from + behind, o->shape.create.value_size - behind);
	return usermap_helper_spin_unlock(lock);
}

static long store(const struct opened *o, const struct helper_call *call)
{
	long result = -ENOENT;
	void *value;

	usermap_read_lock();
	value = usermap_helper_lookup_elem(o->map, call->key);
	if (value && o->shape.lock_off != NO_LOCK) {
		result = store_locked(o, value, call->value);
	} else if (value) {
		memcpy(value, call->value, o->shape.create.value_size);
		result = 0;
	}
	usermap_read_unlock();
	return result;
}

struct walk {
	const struct opened *opened;
	const struct helper_call *call;
	uint32_t seen;
};

static long each(struct usermap *map, const void *key, void *value, void *ctx)
{
	struct walk *walk = ctx;
	const struct helper_call *call = walk->call;
	uint32_t key_size = walk->opened->shape.create.key_size, value_size = walk->opened->shape.create.value_size;
	char *entry = (char *)call->out + (size_t)walk->seen * (key_size + value_size);

	if (walk->seen++ < call->room) {
		memcpy(entry, key, key_size);
		memcpy(entry + key_size, value, value_size);
	}
	if (call->each == EACH_DELETE)
		usermap_helper_delete_elem(map, key);
	else if (call->each == EACH_UPDATE)
		usermap_helper_update_elem(map, key, call->value, BPF_ANY);
	else if (call->each == EACH_INSERT)
		usermap_helper_update_elem(map, call->key, call->value, BPF_NOEXIST);
	return walk->seen >= call->limit;
}

static long call_helper(void *opened, enum helper helper, const struct helper_call *call)
{
	const struct opened *o = opened;
	struct walk walk = { o, call, 0 };

	switch (helper) {
	case HELPER_LOOKUP:
		return lookup(o, call, false);
	case HELPER_LOOKUP_PERCPU:
		return lookup(o, call, true);
	case HELPER_UPDATE:
		return usermap_helper_update_elem(o->map, call->key, call->value, call->flags);
	case HELPER_DELETE:
		return usermap_helper_delete_elem(o->map, call->key);
	case HELPER_STORE:
		return store(o, call);
	case HELPER_ADD:
		return usermap_percpu_add(o->map, call->key, call->offset, call->delta);
	case HELPER_FOR_EACH:
		return usermap_helper_for_each_elem(o->map, each, &walk, call->flags);
	default:
		return -EINVAL;
	}
}

const struct helper_face engine_helpers = { engine_open, call_helper, close_opened };
const struct helper_face native_helpers = { native_open, call_helper, close_opened };
