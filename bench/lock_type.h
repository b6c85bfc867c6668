/* SPDX-License-Identifier: MIT */
/*
 * The type of a value with a spin lock as the kernel wants it told, raw BTF:
 *
 *	struct v { struct bpf_spin_lock lock; u64 x[7]; };	x begins at byte 8
 */
#ifndef BENCH_LOCK_TYPE_H
#define BENCH_LOCK_TYPE_H

#include <linux/btf.h>
#include <stdint.h>

enum { LOCK_TYPE_U32 = 1, LOCK_TYPE_U64, LOCK_TYPE_ARRAY, LOCK_TYPE_LOCK, LOCK_TYPE_VALUE };

#define LOCK_TYPE_NAMES "\0u32\0u64\0bpf_spin_lock\0val\0v\0lock\0x"
enum { NAME_U32 = 1, NAME_U64 = 5, NAME_SPIN_LOCK = 9, NAME_VAL = 23, NAME_V = 27, NAME_LOCK = 29, NAME_X = 34 };

/* What kind of type, of how many members. */
#define LOCK_TYPE_KIND(kind, members) ((uint32_t)BTF_KIND_##kind << 24 | (members))

static const struct {
	struct btf_header header;
	uint32_t words[29];
	char names[sizeof(LOCK_TYPE_NAMES)];
} __attribute__((packed)) lock_type __attribute__((unused)) = {
	.header = { .magic = BTF_MAGIC,
		    .version = BTF_VERSION,
		    .hdr_len = sizeof(struct btf_header),
		    .type_len = 29 * sizeof(uint32_t),
		    .str_off = 29 * sizeof(uint32_t),
		    .str_len = sizeof(LOCK_TYPE_NAMES) },
	/* name, kind, size; then a number's bits; an array's element, index and length; members' name, type and bit */
	.words = {
		NAME_U32, LOCK_TYPE_KIND(INT, 0), 4, 32, /* LOCK_TYPE_U32 */
		NAME_U64, LOCK_TYPE_KIND(INT, 0), 8, 64, /* LOCK_TYPE_U64 */
		0, LOCK_TYPE_KIND(ARRAY, 0), 0, LOCK_TYPE_U64, LOCK_TYPE_U32, 7, /* LOCK_TYPE_ARRAY */
		NAME_SPIN_LOCK, LOCK_TYPE_KIND(STRUCT, 1), 4, /* LOCK_TYPE_LOCK */
		NAME_VAL, LOCK_TYPE_U32, 0,
		NAME_V, LOCK_TYPE_KIND(STRUCT, 2), 64, /* LOCK_TYPE_VALUE */
		NAME_LOCK, LOCK_TYPE_LOCK, 0, NAME_X, LOCK_TYPE_ARRAY, 64,
	},
	.names = LOCK_TYPE_NAMES,
};

#endif
