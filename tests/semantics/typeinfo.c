/* SPDX-License-Identifier: MIT */
#include <linux/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "btf_build.h"
#include "typeinfo.h"

#define OFFSET_AT (40 * sizeof(uint32_t)) /* in the types: the number that says where the lock is, in bits */

static void need(bool so)
{
	if (!so) {
		fprintf(stderr, "types are not laid out as expected\n");
		exit(1);
	}
}

/* Writes the bytes, and frees what they were built in. */
static uint32_t finish(struct btf_build *build, unsigned char raw[TYPEINFO_MAX])
{
	struct btf_bytes bytes = { 0 };
	uint32_t size;

	build_finish(build, &bytes);
	build_free(build);
	need(bytes.size <= TYPEINFO_MAX);
	size = (uint32_t)bytes.size;
	memcpy(raw, bytes.data, size);
	bytes_free(&bytes);
	return size;
}

void typeinfo_lockable(struct lockable *lockable, uint32_t key_size, bool number, uint32_t value_size,
		       uint32_t lock_off, bool nested)
{
	struct btf_build build = { .n = 0 };
	uint32_t u32 = build_int(&build, "u32", 4), u8 = build_int(&build, "u8", 1);
	uint32_t key = build_array(&build, u8, u32, key_size), before = build_array(&build, u8, u32, lock_off);
	uint32_t after = build_array(&build, u8, u32, value_size - lock_off - 4);
	uint32_t lock = build_type(&build, "bpf_spin_lock", BTF_KIND_STRUCT, 1, 4);

	build_member(&build, "val", u32, 0);
	lockable->key_id = number ? u32 : key;
	lockable->value_id = build_type(&build, "value", BTF_KIND_STRUCT, 3, value_size);
	build_member(&build, "a", before, 0);
	build_member(&build, "lock", lock, lock_off * 8);
	need(build.types.size == OFFSET_AT + sizeof(uint32_t));
	build_member(&build, "b", after, (lock_off + 4) * 8);
	if (nested) {
		uint32_t inner = lockable->value_id;

		lockable->value_id = build_type(&build, "outer", BTF_KIND_STRUCT, 1, value_size);
		build_member(&build, "in", inner, 0);
	}
	lockable->size = finish(&build, lockable->raw);
}

uint32_t typeinfo_lock_off(const void *raw)
{
	uint32_t bits;

	memcpy(&bits, (const char *)raw + sizeof(struct btf_header) + OFFSET_AT, sizeof(bits));
	return bits / 8;
}
