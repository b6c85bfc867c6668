/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include "map/hash.h"
#include "value.h"

const struct idmap_kind scenario_kinds[] = {
	{ "grace-8", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_GRACE, 0, 8, 8 },
	{ "grace-64", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_GRACE, BPF_F_NO_PREALLOC, 8, 64 },
	{ "grace-zero-seed-16", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_GRACE, BPF_F_ZERO_SEED, 8, 16 },
	{ "at-once-8", USERMAP_MEMORY_PRIVATE, USERMAP_REUSE_AT_ONCE, 0, 8, 8 },
	{ "shared-64", USERMAP_MEMORY_SHARED, USERMAP_REUSE_AT_ONCE, 0, 8, 64 },
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

static void note_entry(void *context, uint32_t key, uint64_t value)
{
	struct scenario_op *op = context;

	if (key == op->key)
		op->value = value;
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
		op->result = idmap_take(op->m, op->key, &op->value);
		break;
	case OP_LOOKUP:
		op->result = idmap_lookup(op->m, op->key, &op->value);
		break;
	default:
		op->result = idmap_batch(op->m, op->kind == OP_TAKE_ALL, note_entry, op);
	}
}

void scenario_is_whole(const struct idmap *m, const uint32_t *keys, unsigned n, const char *where)
{
	const char *wrong = whole_judge(m, keys, n);

	if (wrong)
		fail_msg("%s, %s: %s", m->kind->name, where, wrong);
}
