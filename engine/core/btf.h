/* SPDX-License-Identifier: MIT */
/*
 * BTF, the type information that comes with BPF objects: read from raw bytes, checked as Linux 6.18 checks it, and asked
 * for what a map needs to know. Nothing in the bytes is trusted. Memory is in proportion to their number, and so is time,
 * but for the roots of lists and trees: each looks through all types for what it holds, as in the kernel.
 *
 *  btf.c          the sections, and each type by itself
 *  btf_resolve.c  the types' references to each other
 *  btf_fields.c   the special fields of structs: spin locks and their like
 */
#ifndef ENGINE_CORE_BTF_H
#define ENGINE_CORE_BTF_H

#include <linux/btf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BTF_SIZE_LIMIT (16u << 20)

struct btf;

/* Why bytes were refused. */
struct btf_fault {
	const char *what;
	uint32_t type_id; /* 0: no type's fault */
};

/* Checks `size` bytes, which stay the caller's and must outlive *btf. 0; -EINVAL, -ENOTSUPP, -E2BIG, -EEXIST, -ELOOP,
 * -ENOENT or -EFAULT as BPF_BTF_LOAD has it; -ENOMEM. On error *fault says why. */
int btf_open(const void *data, size_t size, struct btf **btf, struct btf_fault *fault);
void btf_close(struct btf *btf); /* may be NULL */

/* The size of the type that *id stands for; *id becomes the type behind typedefs and qualifiers. false: there is no such
 * type, or it has no size. */
bool btf_type_size(const struct btf *btf, uint32_t *id, uint32_t *size);

/* BTF_KIND_*; that of void (0) if there is no such type. */
unsigned btf_type_kind(const struct btf *btf, uint32_t id);

/* Whether the type is an integer of 32 bits in 4 bytes, the key of an array. */
bool btf_type_is_int32(const struct btf *btf, uint32_t id);

/* Members that are more to the kernel than bytes. */
enum btf_field_kind {
	BTF_FIELD_SPIN_LOCK = 1 << 0,
	BTF_FIELD_RES_SPIN_LOCK = 1 << 1,
	BTF_FIELD_TIMER = 1 << 2,
	BTF_FIELD_WORKQUEUE = 1 << 3,
	BTF_FIELD_TASK_WORK = 1 << 4,
	BTF_FIELD_LIST_HEAD = 1 << 5,
	BTF_FIELD_LIST_NODE = 1 << 6,
	BTF_FIELD_RB_ROOT = 1 << 7,
	BTF_FIELD_RB_NODE = 1 << 8,
	BTF_FIELD_REFCOUNT = 1 << 9,
	BTF_FIELD_KPTR = 1 << 10, /* a pointer to something of the kernel's */
	BTF_FIELD_UPTR = 1 << 11, /* a pointer to something of a task's */
};

/* Those that BPF_MAP_CREATE looks for in a value. */
#define BTF_FIELDS_OF_VALUES                                                                                           \
	(BTF_FIELD_SPIN_LOCK | BTF_FIELD_RES_SPIN_LOCK | BTF_FIELD_TIMER | BTF_FIELD_WORKQUEUE | BTF_FIELD_TASK_WORK | \
	 BTF_FIELD_LIST_HEAD | BTF_FIELD_RB_ROOT | BTF_FIELD_REFCOUNT | BTF_FIELD_KPTR | BTF_FIELD_UPTR)

#define BTF_FIELDS_MAX 11u /* in one struct */

struct btf_fields {
	uint32_t kinds; /* of all that were found */
	uint32_t n;
	struct btf_field {
		uint32_t kind;
		uint32_t offset;
		uint32_t root_of;      /* LIST_HEAD, RB_ROOT: the struct that it is a root of, */
		const char *node_name; /* and the member there that links one to the next */
	} field[BTF_FIELDS_MAX];
};

/* The special fields, of the kinds wanted, in a struct or a section of variables. 0, also if there are none; an error as
 * in btf_open: fields the kernel doesn't have so. */
int btf_find_fields(const struct btf *btf, uint32_t id, uint32_t wanted, struct btf_fields *fields);

#endif
