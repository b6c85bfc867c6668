/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include "map/hash.h"
#include "value.h"

#define PRIVATE USERMAP_MEMORY_PRIVATE
#define SHARED	USERMAP_MEMORY_SHARED
#define GRACE	USERMAP_REUSE_GRACE
#define AT_ONCE USERMAP_REUSE_AT_ONCE

const struct idmap_kind scenario_kinds[] = {
	{ "grace-8", PRIVATE, GRACE, 0, 8, 8, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "grace-64", PRIVATE, GRACE, BPF_F_NO_PREALLOC, 8, 64, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "grace-zero-seed-16", PRIVATE, GRACE, BPF_F_ZERO_SEED, 8, 16, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "at-once-8", PRIVATE, AT_ONCE, 0, 8, 8, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "shared-64", SHARED, AT_ONCE, 0, 8, 64, IDMAP_PLAIN, IDMAP_KEEPS },
	{ "percpu-grace-8", PRIVATE, GRACE, 0, 8, 8, IDMAP_PERCPU, IDMAP_KEEPS },
	{ "percpu-at-once-16", PRIVATE, AT_ONCE, 0, 8, 16, IDMAP_PERCPU, IDMAP_KEEPS },
	{ "percpu-shared-16", SHARED, AT_ONCE, BPF_F_NO_PREALLOC, 8, 16, IDMAP_PERCPU, IDMAP_KEEPS },
	{ "locked-grace-64", PRIVATE, GRACE, BPF_F_NO_PREALLOC, 8, 64, IDMAP_LOCKED, IDMAP_KEEPS },
	{ "locked-at-once-64", PRIVATE, AT_ONCE, 0, 8, 64, IDMAP_LOCKED, IDMAP_KEEPS },
	{ "locked-shared-600", SHARED, AT_ONCE, 0, 8, 600, IDMAP_LOCKED, IDMAP_KEEPS },
};

const unsigned n_scenario_kinds = sizeof(scenario_kinds) / sizeof(scenario_kinds[0]);

void scenario_keys_of_one_line(const struct idmap *m, uint32_t first, uint32_t *keys, unsigned n)
{
	const struct hash *h = hash_of(m->map);
	const struct line *line = NULL;

	for (unsigned i = 0; i < n; first++) {
		unsigned char key[8];
		struct hash_target target;

		value_fill(key, sizeof(key), first);
		target = hash_target(h, key, (struct hash_kind){ .key_size = sizeof(key) });
		if (!line)
			line = target.line;
		if (target.line == line)
			keys[i++] = first;
	}
}

static void note_entry(void *context, uint32_t key, const struct idmap_ids *value)
{
	struct scenario_op *op = context;

	if (key == op->key)
		op->found = *value;
}

void scenario_run_op(void *argument)
{
	struct scenario_op *op = argument;

	switch (op->kind) {
	case OP_UPDATE:
		op->result = idmap_update(op->m, op->key, op->value, op->flags);
		break;
	case OP_DELETE:
		op->result = idmap_delete(op->m, op->key);
		break;
	case OP_TAKE:
	case OP_LOOKUP:
		op->result = idmap_get(op->m, op->key, op->kind == OP_TAKE, op->flags, &op->found);
		break;
	case OP_ADD:
		op->result = idmap_add(op->m, op->key, op->value);
		break;
	default:
		op->result = idmap_batch(op->m, op->kind == OP_TAKE_ALL, op->flags, note_entry, op);
	}
}

void scenario_reuse_soon(const struct idmap *m)
{
	struct slab *slab = &hash_of(m->map)->elements;

	if (slab->hazards)
		slab->chunk = 1;
}

void scenario_is_whole(const struct idmap *m, const uint32_t *keys, unsigned n, const char *where)
{
	const char *wrong = whole_judge(m, keys, n);

	if (wrong)
		fail_msg("%s, %s: %s", m->kind->name, where, wrong);
}
