/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <usermap/bpf.h>

#include "command.h"
#include "kernel.h"
#include "kernel_helper.h"
#include "lru_side.h"
#include "map_helper.h"
#include "memory.h"
#include "native.h"

const char *const lru_act_names[LRU_ACTS] = {
	[LRU_UPDATE] = "update",
	[LRU_LOOKUP] = "lookup",
	[LRU_DELETE] = "delete",
	[LRU_TAKE] = "lookup_and_delete",
	[LRU_NEXT_KEY] = "get_next_key",
	[LRU_UPDATE_BATCH] = "update_batch",
	[LRU_DELETE_BATCH] = "delete_batch",
	[LRU_LOOKUP_BATCH] = "lookup_batch",
	[LRU_TAKE_BATCH] = "lookup_and_delete_batch",
	[LRU_PROGRAM_UPDATE] = "program: update",
	[LRU_PROGRAM_LOOKUP] = "program: lookup",
	[LRU_PROGRAM_LOOKUP_SLOT] = "program: lookup_percpu",
	[LRU_PROGRAM_DELETE] = "program: delete",
	[LRU_PROGRAM_WALK] = "program: for_each",
	[LRU_PROGRAM_WALK_AND_DELETE] = "program: for_each, deleting",
};

struct lru_side_ops {
	void *(*open)(const struct lru_side *side);
	void (*close)(void *state);
	void (*run)(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer);
	bool (*counters)(const struct lru_side *side, struct lru_counters *counters);
};

static uint32_t slots_of(const struct lru_case *c)
{
	return c->shape.percpu ? c->shape.cpus : 1;
}

/* With room for what is there when BPF_F_NO_COMMON_LRU has rounded up. */
static uint32_t room_of(const struct lru_case *c)
{
	return c->shape.max_entries + c->shape.cpus + LRU_BATCH_MAX;
}

struct lru_answer lru_answer_new(const struct lru_case *c)
{
	return (struct lru_answer){ .keys = need_memory(room_of(c) * sizeof(uint32_t)),
				    .values = need_memory((size_t)room_of(c) * slots_of(c) * sizeof(uint64_t)) };
}

void lru_answer_free(struct lru_answer *answer)
{
	free(answer->keys);
	free(answer->values);
}

static uint32_t batch_key(const struct lru_case *c, const struct lru_op *op, uint32_t i)
{
	return (op->key + i) % c->shape.keys;
}

/* The values that an operation brings. */
static void fill_values(const struct lru_case *c, const struct lru_op *op, uint64_t *values, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t slot = 0; slot < slots_of(c); slot++)
			values[i * slots_of(c) + slot] = op->value + i * 1000 + slot;
}

/* -- the model -- */

static void *model_open(const struct lru_side *side)
{
	return lru_model_new(&side->c.shape, side->lie);
}

static void model_close(void *state)
{
	lru_model_free(state);
}

static void answer_value(struct lru_answer *answer, int result)
{
	answer->result = result;
	answer->count = result == 0;
}

static void model_lookup_slot(struct lru_side *side, const struct lru_op *op, uint32_t slot, struct lru_answer *answer)
{
	answer->stride = 1;
	answer_value(answer, lru_model_lookup_slot(side->state, op->cpu, slot, op->key, answer->values));
}

static void model_take(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer)
{
	const uint64_t *value = lru_model_value(side->state, op->key);

	if (value)
		memcpy(answer->values, value, answer->stride * sizeof(value[0]));
	answer_value(answer, lru_model_delete(side->state, op->cpu, op->key));
}

static void model_next_key(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer)
{
	uint32_t n = lru_model_walk(side->state, answer->keys, UINT32_MAX), i = 0;

	while (i < n && answer->keys[i] != op->key)
		i++;
	i = i < n ? i + 1 : 0;
	answer_value(answer, i < n ? 0 : -ENOENT);
	if (i < n)
		answer->keys[0] = answer->keys[i];
	answer->stride = 0;
}

static void model_batch(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer)
{
	uint64_t *values = need_memory((size_t)op->count * slots_of(&side->c) * sizeof(values[0]));

	fill_values(&side->c, op, values, op->count);
	answer->result = 0;
	for (answer->count = 0; answer->count < op->count; answer->count++) {
		uint32_t key = batch_key(&side->c, op, answer->count);

		if (op->act == LRU_DELETE_BATCH)
			answer->result = lru_model_delete(side->state, op->cpu, key);
		else
			answer->result = lru_model_update(side->state, op->cpu, false, key,
							  &values[answer->count * slots_of(&side->c)], op->flags);
		if (answer->result)
			break;
	}
	answer->stride = 0;
	free(values);
}

static void add_values(struct lru_side *side, struct lru_answer *answer)
{
	for (uint32_t i = 0; i < answer->count; i++)
		memcpy(&answer->values[i * answer->stride], lru_model_value(side->state, answer->keys[i]),
		       answer->stride * sizeof(uint64_t));
}

/* Whole buckets, as many as there is room for. */
static void model_walk_batch(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer)
{
	uint32_t n = lru_model_walk(side->state, answer->keys, UINT32_MAX), end;

	answer->count = 0;
	answer->result = -ENOENT;
	for (uint32_t i = 0; i < n; i = end) {
		uint32_t bucket = lru_model_bucket(side->state, answer->keys[i]);

		for (end = i; end < n && lru_model_bucket(side->state, answer->keys[end]) == bucket;)
			end++;
		if (end > op->count) {
			answer->result = i ? 0 : -ENOSPC;
			break;
		}
		answer->count = end;
	}
	add_values(side, answer);
	for (uint32_t i = 0; op->act == LRU_TAKE_BATCH && i < answer->count; i++)
		lru_model_delete(side->state, op->cpu, answer->keys[i]);
}

static void model_walk(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer)
{
	uint32_t n = lru_model_walk(side->state, answer->keys, UINT32_MAX);

	answer->count = n < op->count ? n : op->count;
	answer->result = answer->count;
	answer->stride = 1;
	for (uint32_t i = 0; i < answer->count; i++) {
		const uint64_t *value = lru_model_value(side->state, answer->keys[i]);

		answer->values[i] = value[side->c.shape.percpu ? op->cpu : 0];
		lru_model_walked(side->state, answer->keys[i]);
		if (op->act == LRU_PROGRAM_WALK_AND_DELETE)
			lru_model_delete(side->state, op->cpu, answer->keys[i]);
	}
}

static void model_run(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer)
{
	uint64_t *value = answer->values;

	switch (op->act) {
	case LRU_UPDATE:
	case LRU_PROGRAM_UPDATE:
		fill_values(&side->c, op, value, 1);
		answer->result = lru_model_update(side->state, op->cpu, op->act == LRU_PROGRAM_UPDATE, op->key, value,
						  op->flags);
		return;
	case LRU_LOOKUP:
		return answer_value(answer, lru_model_lookup(side->state, op->key, value));
	case LRU_PROGRAM_LOOKUP:
		return model_lookup_slot(side, op, side->c.shape.percpu ? op->cpu : 0, answer);
	case LRU_PROGRAM_LOOKUP_SLOT:
		return model_lookup_slot(side, op, op->slot, answer);
	case LRU_DELETE:
	case LRU_PROGRAM_DELETE:
		answer->result = lru_model_delete(side->state, op->cpu, op->key);
		return;
	case LRU_TAKE:
		return model_take(side, op, answer);
	case LRU_NEXT_KEY:
		return model_next_key(side, op, answer);
	case LRU_UPDATE_BATCH:
	case LRU_DELETE_BATCH:
		return model_batch(side, op, answer);
	case LRU_LOOKUP_BATCH:
	case LRU_TAKE_BATCH:
		return model_walk_batch(side, op, answer);
	default:
		return model_walk(side, op, answer);
	}
}

static bool model_counters(const struct lru_side *side, struct lru_counters *counters)
{
	const struct lru_model *m = side->state;

	*counters = (struct lru_counters){ .entries = lru_model_walk(m, NULL, 0),
					   .evictions = lru_model_events(m, LRU_EVICTED),
					   .refills = lru_model_events(m, LRU_REFILL),
					   .steals = lru_model_events(m, LRU_STOLE_FREE) +
						     lru_model_events(m, LRU_STOLE_UNUSED) +
						     lru_model_events(m, LRU_STOLE_USED),
					   .rotations = lru_model_events(m, LRU_ROTATION) };
	return true;
}

static const struct lru_side_ops model_ops = { model_open, model_close, model_run, model_counters };

const struct lru_model *lru_side_model(const struct lru_side *side)
{
	return side->ops == &model_ops ? side->state : NULL;
}

/* -- maps behind bpf(2), or what stands for it -- */

struct map {
	int fd;
	abi_bpf bpf;
	const struct helper_face *helpers;
	void *programs;
	unsigned char *notes; /* of a walk: keys and values side by side */
	uint64_t *values;
};

static long call(abi_bpf bpf, int cmd, union abi_attr *attr, unsigned size)
{
	long result = bpf(cmd, attr, size);

	return result < 0 ? -errno : result;
}

static void *map_open(const struct lru_side *side)
{
	const struct lru_case *c = &side->c;
	struct map *map = need_memory(sizeof(*map));
	union abi_attr attr = { .create = { .map_type = c->shape.percpu ? ABI_LRU_PERCPU_HASH : ABI_LRU_HASH,
					    .key_size = sizeof(uint32_t),
					    .value_size = sizeof(uint64_t),
					    .max_entries = c->shape.max_entries,
					    .map_flags = (c->ordered ? ABI_F_ZERO_SEED : 0) |
							 (c->shape.no_common ? ABI_F_NO_COMMON_LRU : 0) } };
	struct helper_map shape = { .create = attr.create, .lock_off = NO_LOCK };

	if (strcmp(side->name, "kernel") == 0) {
		map->bpf = kernel_bpf;
		map->helpers = &kernel_helpers;
	} else if (strcmp(side->name, "engine") == 0) {
		map->bpf = usermap_bpf;
		map->helpers = &engine_helpers;
	} else {
		map->bpf = native_find(side->name);
		map->helpers = &native_helpers;
		native_for_cpus(c->shape.cpus);
	}
	shape.fd = map->fd = (int)call(map->bpf, ABI_MAP_CREATE, &attr, command_attr_end(OP_CREATE));
	if (map->fd < 0) {
		fprintf(stderr, "%s: no map: %s\n", side->name, strerror(-map->fd));
		exit(1);
	}
	shape.create.max_entries = room_of(c); /* what a walk may give */
	map->programs = map->helpers->open(&shape);
	map->notes = need_memory(room_of(c) * 12);
	map->values = need_memory((size_t)LRU_BATCH_MAX * slots_of(c) * sizeof(uint64_t));
	return map;
}

static void map_close(void *state)
{
	struct map *map = state;

	map->helpers->close(map->programs);
	close(map->fd);
	free(map->notes);
	free(map->values);
	free(map);
}

static long map_elem(const struct map *map, int cmd, unsigned size, const void *key, const void *value, uint64_t flags)
{
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)map->fd,
					  .key = (uintptr_t)key,
					  .value = (uintptr_t)value,
					  .flags = flags } };

	return call(map->bpf, cmd, &attr, size);
}

static void map_batch(const struct map *map, int cmd, uint64_t flags, const void *values, struct lru_answer *answer)
{
	uint32_t token;
	union abi_attr attr = { .batch = { .out_batch = (uintptr_t)&token,
					   .keys = (uintptr_t)answer->keys,
					   .values = (uintptr_t)values,
					   .count = answer->count,
					   .map_fd = (uint32_t)map->fd,
					   .elem_flags = flags } };

	answer->result = call(map->bpf, cmd, &attr, command_attr_end(OP_LOOKUP_BATCH));
	answer->count = attr.batch.count;
}

static void map_run_command(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer)
{
	const struct map *map = side->state;

	fill_values(&side->c, op, map->values, op->act == LRU_UPDATE_BATCH ? op->count : 1);
	for (uint32_t i = 0; i < op->count && (op->act == LRU_UPDATE_BATCH || op->act == LRU_DELETE_BATCH); i++)
		answer->keys[i] = batch_key(&side->c, op, i);
	answer->count = op->count;
	switch (op->act) {
	case LRU_UPDATE:
		answer->count = 0;
		answer->result = map_elem(map, ABI_MAP_UPDATE_ELEM, 32, &op->key, map->values, op->flags);
		return;
	case LRU_LOOKUP:
		return answer_value(answer, (int)map_elem(map, ABI_MAP_LOOKUP_ELEM, 32, &op->key, answer->values, 0));
	case LRU_DELETE:
		answer->count = 0;
		answer->result = map_elem(map, ABI_MAP_DELETE_ELEM, 16, &op->key, NULL, 0);
		return;
	case LRU_TAKE:
		return answer_value(
			answer, (int)map_elem(map, ABI_MAP_LOOKUP_AND_DELETE_ELEM, 32, &op->key, answer->values, 0));
	case LRU_NEXT_KEY:
		answer->stride = 0;
		return answer_value(answer, (int)map_elem(map, ABI_MAP_GET_NEXT_KEY, 24, &op->key, answer->keys, 0));
	case LRU_UPDATE_BATCH:
		answer->stride = 0;
		return map_batch(map, ABI_MAP_UPDATE_BATCH, op->flags, map->values, answer);
	case LRU_DELETE_BATCH:
		answer->stride = 0;
		return map_batch(map, ABI_MAP_DELETE_BATCH, 0, NULL, answer);
	default:
		return map_batch(map,
				 op->act == LRU_TAKE_BATCH ? ABI_MAP_LOOKUP_AND_DELETE_BATCH : ABI_MAP_LOOKUP_BATCH, 0,
				 answer->values, answer);
	}
}

static void map_run_walk(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer)
{
	const struct map *map = side->state;
	struct helper_call walk = { .out = map->notes,
				    .room = room_of(&side->c),
				    .limit = op->count,
				    .each = op->act == LRU_PROGRAM_WALK ? EACH_NOTHING : EACH_DELETE };

	answer->stride = 1;
	answer->result = map->helpers->call(map->programs, HELPER_FOR_EACH, &walk);
	answer->count = answer->result > 0 && answer->result < walk.room ? (uint32_t)answer->result : 0;
	for (uint32_t i = 0; i < answer->count; i++) {
		memcpy(&answer->keys[i], map->notes + i * 12, 4);
		memcpy(&answer->values[i], map->notes + i * 12 + 4, 8);
	}
}

static void map_run(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer)
{
	static const enum helper of_act[LRU_ACTS] = { [LRU_PROGRAM_UPDATE] = HELPER_UPDATE,
						      [LRU_PROGRAM_LOOKUP] = HELPER_LOOKUP,
						      [LRU_PROGRAM_LOOKUP_SLOT] = HELPER_LOOKUP_PERCPU,
						      [LRU_PROGRAM_DELETE] = HELPER_DELETE };
	const struct map *map = side->state;
	struct helper_call program = {
		.key = &op->key, .value = &op->value, .out = answer->values, .flags = op->flags, .cpu = op->slot
	};

	if (op->act < LRU_PROGRAM_UPDATE)
		return map_run_command(side, op, answer);
	if (op->act >= LRU_PROGRAM_WALK)
		return map_run_walk(side, op, answer);
	answer->stride = 1;
	answer->result = map->helpers->call(map->programs, of_act[op->act], &program);
	answer->count = answer->result == 0 && (op->act == LRU_PROGRAM_LOOKUP || op->act == LRU_PROGRAM_LOOKUP_SLOT);
}

static bool map_counters(const struct lru_side *side, struct lru_counters *counters)
{
	const struct map *map = side->state;
	struct usermap_info info = { .sz = sizeof(info) };
	struct usermap *handle = NULL;
	int error;

	if (map->bpf == kernel_bpf)
		return false;
	error = map->bpf == usermap_bpf ? usermap_from_fd(map->fd, &handle) : 0;
	if (!error)
		error = usermap_get_info(handle ? handle : native_handle((uint32_t)map->fd), &info);
	if (error) {
		fprintf(stderr, "%s: no counters: %s\n", side->name, strerror(-error));
		exit(1);
	}
	usermap_close(handle);
	*counters = (struct lru_counters){ info.count, info.evictions, info.refills, info.steals, info.rotations };
	return true;
}

static const struct lru_side_ops map_ops = { map_open, map_close, map_run, map_counters };

/* -- all -- */

bool lru_side_find(struct lru_side *side, const char *name)
{
	static const char *const names[] = { "model", "kernel", "engine", "private", "memfd" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0) {
			*side = (struct lru_side){ .name = names[i], .ops = i ? &map_ops : &model_ops };
			return true;
		}
	return false;
}

void lru_side_open(struct lru_side *side, const struct lru_case *c)
{
	side->c = *c;
	side->state = side->ops->open(side);
}

void lru_side_close(struct lru_side *side)
{
	side->ops->close(side->state);
	side->state = NULL;
}

void lru_side_do(struct lru_side *side, const struct lru_op *op, struct lru_answer *answer)
{
	answer->count = 0;
	answer->stride = slots_of(&side->c);
	side->ops->run(side, op, answer);
}

void lru_side_contents(struct lru_side *side, struct lru_answer *answer)
{
	const struct lru_op all = { .act = LRU_LOOKUP_BATCH, .count = room_of(&side->c) };

	lru_side_do(side, &all, answer);
}

bool lru_side_counters(const struct lru_side *side, struct lru_counters *counters)
{
	return side->ops->counters(side, counters);
}
