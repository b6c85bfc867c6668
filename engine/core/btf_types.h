/* SPDX-License-Identifier: MIT */
/*
 * How the btf files see the types: by value, copied out of bytes that may lie at any address.
 */
#ifndef ENGINE_CORE_BTF_TYPES_H
#define ENGINE_CORE_BTF_TYPES_H

#include <string.h>

#include "core/btf.h"

#define BTF_MAX_DEPTH 32u /* of references that wait for each other, and of structs inside structs */

/* Sets of kinds. */
#define KIND(name)   (1u << BTF_KIND_##name)
#define KIND_VOID    KIND(UNKN)
#define KINDS_STRUCT (KIND(STRUCT) | KIND(UNION))
/* What stands for another type and takes its size from it. */
#define KINDS_MODIFIER (KIND(TYPEDEF) | KIND(VOLATILE) | KIND(CONST) | KIND(RESTRICT) | KIND(TYPE_TAG))
/* What says its size itself. */
#define KINDS_WITH_SIZE (KIND(INT) | KINDS_STRUCT | KIND(ENUM) | KIND(DATASEC) | KIND(FLOAT) | KIND(ENUM64))
/* What refers to others, while no type may refer to it. */
#define KINDS_TOP (KIND(VAR) | KIND(DECL_TAG) | KIND(DATASEC))

struct btf_entry {
	uint32_t at;	     /* where the type begins in the type section */
	uint32_t resolved;   /* the type behind a reference; 0 until btf_resolve() has been there, and void */
	uint32_t array_size; /* of an array, as soon as it's resolved */
};

struct btf {
	const unsigned char *types;
	const char *strings;
	uint32_t types_size;
	uint32_t strings_size;
	uint32_t n;    /* ids below it are types; 0 is void */
	uint32_t room; /* of entry */
	struct btf_entry *entry;
};

static inline int btf_refuse(struct btf_fault *fault, int error, uint32_t type_id, const char *what)
{
	*fault = (struct btf_fault){ what, type_id };
	return error;
}

/* Of an id that there is. */
static inline struct btf_type btf_type_get(const struct btf *btf, uint32_t id)
{
	struct btf_type type = { 0 };

	if (id)
		memcpy(&type, btf->types + btf->entry[id].at, sizeof(type));
	return type;
}

static inline unsigned btf_kind_set(const struct btf_type *type)
{
	return 1u << BTF_INFO_KIND(type->info);
}

static inline bool btf_is(const struct btf_type *type, unsigned kinds)
{
	return btf_kind_set(type) & kinds;
}

/* The set of the id's kind; no kind at all if there is no such type. */
static inline unsigned btf_kinds_of(const struct btf *btf, uint32_t id)
{
	struct btf_type type;

	if (id >= btf->n)
		return 0;
	type = btf_type_get(btf, id);
	return btf_kind_set(&type);
}

/* Copies item i of those that stand behind the type, of `size` bytes each. */
static inline void btf_item(const struct btf *btf, uint32_t id, uint32_t i, void *item, size_t size)
{
	memcpy(item, btf->types + btf->entry[id].at + sizeof(struct btf_type) + i * size, size);
}

/* A checked offset's string; it ends inside the section. */
static inline const char *btf_string(const struct btf *btf, uint32_t offset)
{
	return btf->strings + offset;
}

static inline uint32_t btf_member_bits(const struct btf_type *type, const struct btf_member *member)
{
	return BTF_INFO_KFLAG(type->info) ? BTF_MEMBER_BIT_OFFSET(member->offset) : member->offset;
}

/* Whether the integer takes 1, 2, 4, 8 or 16 whole bytes from its first bit on. */
bool btf_int_is_regular(const struct btf *btf, uint32_t id);
uint32_t btf_int_data(const struct btf *btf, uint32_t id);

bool btf_name_ok(const struct btf *btf, uint32_t offset); /* in the section */
bool btf_name_is_identifier(const struct btf *btf, uint32_t offset);

/* btf_resolve.c and btf_fields.c; as btf_open. */
int btf_resolve(struct btf *btf, struct btf_fault *fault);
int btf_check_fields(struct btf *btf, struct btf_fault *fault);

#endif
