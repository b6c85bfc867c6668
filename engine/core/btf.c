/* SPDX-License-Identifier: MIT */
/*
 * BTF, first part: the header, the two sections, and each type by itself.
 *
 * The bytes are a header, a section of types and, last, a section of strings. A type is a struct btf_type and, behind
 * it, what its kind needs: a fixed part, or an item for each member, value, parameter or variable. Types have no length
 * field, so the first that can't be understood ends everything. What is the same for all kinds stands in the table
 * `forms`; a kind's own rules are a function there.
 *
 * Nothing is looked at before it is known to lie inside its section, and offsets are compared in a way that can't wrap.
 */
#include "core/btf_types.h"

#include "core/alloc.h"
#include "core/errno.h"

#define LONGEST_NAME  512u
#define INT_DATA_MASK 0x0fffffffu
#define INFO_MASK     0x9f00ffffu

/* The kernel's ctype has the letters of Latin-1. */
static bool is_letter(unsigned char c)
{
	return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= 0xc0 && c != 0xd7 && c != 0xf7);
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* In ASCII, and the upper half of Latin-1. */
static bool is_printable(unsigned char c)
{
	return (c >= 0x20 && c <= 0x7e) || c >= 0xa0;
}

bool btf_name_ok(const struct btf *btf, uint32_t offset)
{
	return offset < btf->strings_size;
}

bool btf_name_is_identifier(const struct btf *btf, uint32_t offset)
{
	const char *name = btf_string(btf, offset);
	uint32_t i = 0;

	for (; name[i]; i++) {
		unsigned char c = (unsigned char)name[i];

		if (i == LONGEST_NAME || !(is_letter(c) || c == '_' || c == '.' || (i && is_digit(c))))
			return false;
	}
	return i > 0;
}

static bool name_is_section(const struct btf *btf, uint32_t offset)
{
	const char *name = btf_string(btf, offset);
	uint32_t i = 0;

	for (; name[i]; i++)
		if (i == LONGEST_NAME || !is_printable((unsigned char)name[i]))
			return false;
	return i > 0;
}

static bool identifier_or_none(const struct btf *btf, uint32_t offset)
{
	return offset == 0 || btf_name_is_identifier(btf, offset);
}

/* In a type. Whether there is such a type is seen when all are known; there can be more than this limit has. */
static bool id_possible(uint32_t id)
{
	return id <= BTF_MAX_TYPE;
}

static bool id_possible_not_void(uint32_t id)
{
	return id && id_possible(id);
}

/* A kind's own rules. The type and all that stands behind it are there; returns 0 or -errno, and says why in *what. */
typedef int (*form_check)(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what);

static int refuse(int error, const char **what, const char *why)
{
	*what = why;
	return error;
}

static int check_int(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	uint32_t data = btf_int_data(btf, id), bits = BTF_INT_BITS(data) + BTF_INT_OFFSET(data);
	uint32_t encoding = BTF_INT_ENCODING(data);

	if (data & ~INT_DATA_MASK)
		return refuse(-EINVAL, what, "unknown bits in the integer");
	if (bits > 128 || (bits + 7) / 8 > type->size)
		return refuse(-EINVAL, what, "integer has more bits than room");
	if (encoding & (encoding - 1) || encoding > BTF_INT_BOOL)
		return refuse(-ENOTSUPP, what, "unknown encoding of the integer");
	return 0;
}

static int check_reference(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	(void)btf;
	(void)id;
	return id_possible(type->type) ? 0 : refuse(-EINVAL, what, "type id out of range");
}

static int check_array(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	struct btf_array array;

	btf_item(btf, id, 0, &array, sizeof(array));
	if (type->size)
		return refuse(-EINVAL, what, "array with a size of its own");
	if (!id_possible_not_void(array.type) || !id_possible_not_void(array.index_type))
		return refuse(-EINVAL, what, "array of nothing");
	return 0;
}

static int check_struct(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	uint32_t last = 0;

	for (uint32_t i = 0; i < BTF_INFO_VLEN(type->info); i++) {
		struct btf_member member;
		uint32_t bits;

		btf_item(btf, id, i, &member, sizeof(member));
		bits = btf_member_bits(type, &member);
		if (!btf_name_ok(btf, member.name_off) || !identifier_or_none(btf, member.name_off))
			return refuse(-EINVAL, what, "member with a bad name");
		if (!id_possible_not_void(member.type))
			return refuse(-EINVAL, what, "member without a type");
		if (BTF_INFO_KIND(type->info) == BTF_KIND_UNION ? bits != 0 : bits < last)
			return refuse(-EINVAL, what, "members out of order");
		if (bits / 8 + (bits % 8 != 0) > type->size)
			return refuse(-EINVAL, what, "member begins behind its struct");
		last = bits;
	}
	return 0;
}

/* The size of an enum's values, and the names of `n` of them, which are `stride` bytes apart and begin with it. */
static int check_values(const struct btf *btf, uint32_t id, const struct btf_type *type, size_t stride,
			const char **what)
{
	if (type->size > 8 || type->size == 0 || type->size & (type->size - 1))
		return refuse(-EINVAL, what, "enum of an odd size");
	for (uint32_t i = 0; i < BTF_INFO_VLEN(type->info); i++) {
		uint32_t name;

		memcpy(&name, btf->types + btf->entry[id].at + sizeof(*type) + i * stride, sizeof(name));
		if (!name || !btf_name_ok(btf, name) || !btf_name_is_identifier(btf, name))
			return refuse(-EINVAL, what, "enum's value without a good name");
	}
	return 0;
}

static int check_enum(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	return check_values(btf, id, type, sizeof(struct btf_enum), what);
}

static int check_enum64(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	return check_values(btf, id, type, sizeof(struct btf_enum64), what);
}

static int check_fwd(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	(void)btf;
	(void)id;
	return type->type ? refuse(-EINVAL, what, "forward declaration with a type") : 0;
}

static int check_var(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	struct btf_var var;

	btf_item(btf, id, 0, &var, sizeof(var));
	if (!id_possible_not_void(type->type))
		return refuse(-EINVAL, what, "variable without a type");
	if (var.linkage > BTF_VAR_GLOBAL_ALLOCATED)
		return refuse(-EINVAL, what, "linkage not supported");
	return 0;
}

static int check_datasec(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	uint64_t end = 0; /* of the variable before */

	if (!type->size)
		return refuse(-EINVAL, what, "empty section");
	for (uint32_t i = 0; i < BTF_INFO_VLEN(type->info); i++) {
		struct btf_var_secinfo var;

		btf_item(btf, id, i, &var, sizeof(var));
		if (!id_possible_not_void(var.type))
			return refuse(-EINVAL, what, "section of nothing");
		if (var.offset < end || !var.size)
			return refuse(-EINVAL, what, "variables out of order");
		end = (uint64_t)var.offset + var.size;
		if (end > type->size)
			return refuse(-EINVAL, what, "variable outside its section");
	}
	return 0;
}

static int check_float(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	(void)btf;
	(void)id;
	switch (type->size) {
	case 2:
	case 4:
	case 8:
	case 12:
	case 16:
		return 0;
	default:
		return refuse(-EINVAL, what, "float of an odd size");
	}
}

static int check_decl_tag(const struct btf *btf, uint32_t id, const struct btf_type *type, const char **what)
{
	struct btf_decl_tag tag;

	(void)type;
	btf_item(btf, id, 0, &tag, sizeof(tag));
	return tag.component_idx < -1 ? refuse(-EINVAL, what, "tag of no component") : 0;
}

enum name_rule { NAME_ANY, NAME_NONE, NAME_SOME, NAME_IDENTIFIER, NAME_IDENTIFIER_OR_NONE, NAME_SECTION };

struct form {
	uint8_t fixed;	   /* bytes behind the type */
	uint8_t each;	   /* and behind those, for each of the vlen items */
	uint16_t max_vlen; /* what that number may be */
	bool kind_flag;	   /* whether the flag means anything */
	uint8_t name;	   /* enum name_rule */
	form_check check;  /* NULL: no more rules */
};

static const struct form forms[NR_BTF_KINDS] = {
	[BTF_KIND_INT] = { 4, 0, 0, false, NAME_ANY, check_int },
	[BTF_KIND_PTR] = { 0, 0, 0, false, NAME_NONE, check_reference },
	[BTF_KIND_ARRAY] = { sizeof(struct btf_array), 0, 0, false, NAME_NONE, check_array },
	[BTF_KIND_STRUCT] = { 0, sizeof(struct btf_member), BTF_MAX_VLEN, true, NAME_IDENTIFIER_OR_NONE, check_struct },
	[BTF_KIND_UNION] = { 0, sizeof(struct btf_member), BTF_MAX_VLEN, true, NAME_IDENTIFIER_OR_NONE, check_struct },
	[BTF_KIND_ENUM] = { 0, sizeof(struct btf_enum), BTF_MAX_VLEN, true, NAME_IDENTIFIER_OR_NONE, check_enum },
	[BTF_KIND_FWD] = { 0, 0, 0, true, NAME_IDENTIFIER, check_fwd },
	[BTF_KIND_TYPEDEF] = { 0, 0, 0, false, NAME_IDENTIFIER, check_reference },
	[BTF_KIND_VOLATILE] = { 0, 0, 0, false, NAME_NONE, check_reference },
	[BTF_KIND_CONST] = { 0, 0, 0, false, NAME_NONE, check_reference },
	[BTF_KIND_RESTRICT] = { 0, 0, 0, false, NAME_NONE, check_reference },
	[BTF_KIND_FUNC] = { 0, 0, BTF_FUNC_GLOBAL, false, NAME_IDENTIFIER, NULL }, /* vlen is the linkage */
	[BTF_KIND_FUNC_PROTO] = { 0, sizeof(struct btf_param), BTF_MAX_VLEN, false, NAME_NONE, NULL },
	[BTF_KIND_VAR] = { sizeof(struct btf_var), 0, 0, false, NAME_IDENTIFIER, check_var },
	[BTF_KIND_DATASEC] = { 0, sizeof(struct btf_var_secinfo), BTF_MAX_VLEN, false, NAME_SECTION, check_datasec },
	[BTF_KIND_FLOAT] = { 0, 0, 0, false, NAME_ANY, check_float },
	[BTF_KIND_DECL_TAG] = { sizeof(struct btf_decl_tag), 0, 0, true, NAME_SOME, check_decl_tag },
	[BTF_KIND_TYPE_TAG] = { 0, 0, 0, true, NAME_SOME, check_reference },
	[BTF_KIND_ENUM64] = { 0, sizeof(struct btf_enum64), BTF_MAX_VLEN, true, NAME_IDENTIFIER_OR_NONE, check_enum64 },
};

static bool name_fits(const struct btf *btf, uint32_t offset, enum name_rule rule)
{
	switch (rule) {
	case NAME_NONE:
		return offset == 0;
	case NAME_SOME:
		return *btf_string(btf, offset) != 0;
	case NAME_IDENTIFIER:
		return btf_name_is_identifier(btf, offset);
	case NAME_IDENTIFIER_OR_NONE:
		return identifier_or_none(btf, offset);
	case NAME_SECTION:
		return name_is_section(btf, offset);
	default:
		return true;
	}
}

/* Takes the type at `at` in as the next id; *size: all of its bytes. */
static int add_type(struct btf *btf, uint32_t at, uint32_t *size, struct btf_fault *fault)
{
	uint32_t id = btf->n, left = btf->types_size - at, behind, vlen;
	const struct form *form;
	struct btf_type type;
	const char *what;
	int error;

	if (left < sizeof(type))
		return btf_refuse(fault, -EINVAL, id, "type cut short");
	memcpy(&type, btf->types + at, sizeof(type));
	if (type.info & ~INFO_MASK || BTF_INFO_KIND(type.info) >= NR_BTF_KINDS || !BTF_INFO_KIND(type.info))
		return btf_refuse(fault, -EINVAL, id, "unknown kind of type");
	if (!btf_name_ok(btf, type.name_off))
		return btf_refuse(fault, -EINVAL, id, "name outside the strings");
	form = &forms[BTF_INFO_KIND(type.info)];
	vlen = BTF_INFO_VLEN(type.info);
	if (vlen > form->max_vlen || (BTF_INFO_KFLAG(type.info) && !form->kind_flag))
		return btf_refuse(fault, -EINVAL, id, "length or flag that the kind doesn't have");
	behind = form->fixed + vlen * form->each;
	if (left - sizeof(type) < behind)
		return btf_refuse(fault, -EINVAL, id, "type cut short");
	if (!name_fits(btf, type.name_off, form->name))
		return btf_refuse(fault, -EINVAL, id, "bad name");
	btf->entry[id].at = at;
	error = form->check ? form->check(btf, id, &type, &what) : 0;
	if (error)
		return btf_refuse(fault, error, id, what);
	*size = (uint32_t)sizeof(type) + behind;
	btf->n++;
	return 0;
}

static int read_types(struct btf *btf, struct btf_fault *fault)
{
	uint32_t size = 0;

	btf->room = 1 + btf->types_size / (uint32_t)sizeof(struct btf_type); /* void, and as many as there can be */
	btf->entry = mem_alloc(btf->room * sizeof(*btf->entry));
	if (!btf->entry)
		return btf_refuse(fault, -ENOMEM, 0, "no memory");
	btf->n = 1;
	for (uint32_t at = 0; at < btf->types_size; at += size) {
		int error = add_type(btf, at, &size, fault);

		if (error)
			return error;
	}
	return 0;
}

/* The types lie right behind the header, the strings behind them, to the end. */
static bool sections_fit(const struct btf_header *header, uint64_t all)
{
	return header->type_off == 0 && header->type_len && header->str_off == header->type_len && header->str_len &&
	       (uint64_t)header->str_off + header->str_len == all;
}

static int check_header(const unsigned char *data, size_t size, struct btf_header *header, struct btf_fault *fault)
{
	uint32_t length;

	if (size < offsetof(struct btf_header, type_off))
		return btf_refuse(fault, -EINVAL, 0, "no header");
	memcpy(&length, data + offsetof(struct btf_header, hdr_len), sizeof(length));
	if (size < length)
		return btf_refuse(fault, -EINVAL, 0, "header cut short");
	for (uint32_t i = sizeof(*header); i < length; i++)
		if (data[i])
			return btf_refuse(fault, -E2BIG, 0, "header of a later version");
	memset(header, 0, sizeof(*header)); /* a shorter one is made longer by zeros, even where it ends in hdr_len */
	memcpy(header, data, length < sizeof(*header) ? length : sizeof(*header));
	if (header->magic != BTF_MAGIC)
		return btf_refuse(fault, -EINVAL, 0, "not BTF");
	if (header->version != BTF_VERSION || header->flags)
		return btf_refuse(fault, -ENOTSUPP, 0, "unknown version or flags");
	if (!sections_fit(header, size - header->hdr_len))
		return btf_refuse(fault, -EINVAL, 0, "sections don't fill the data");
	return 0;
}

static int read_sections(struct btf *btf, const unsigned char *data, size_t size, struct btf_fault *fault)
{
	struct btf_header header;
	int error = check_header(data, size, &header, fault);

	if (error)
		return error;
	data += header.hdr_len;
	btf->types = data;
	btf->types_size = header.type_len;
	btf->strings = (const char *)data + header.str_off;
	btf->strings_size = header.str_len;
	if (header.str_len - 1 > BTF_MAX_NAME_OFFSET || btf->strings[0] || btf->strings[header.str_len - 1])
		return btf_refuse(fault, -EINVAL, 0, "strings don't begin and end with a NUL");
	return 0;
}

int btf_open(const void *data, size_t size, struct btf **btf, struct btf_fault *fault)
{
	struct btf *made = mem_alloc(sizeof(*made));
	int error;

	if (!made)
		return btf_refuse(fault, -ENOMEM, 0, "no memory");
	error = read_sections(made, data, size, fault);
	if (!error)
		error = read_types(made, fault);
	if (!error)
		error = btf_resolve(made, fault);
	if (!error)
		error = btf_check_fields(made, fault);
	if (error)
		btf_close(made);
	else
		*btf = made;
	return error;
}

void btf_close(struct btf *btf)
{
	if (!btf)
		return;
	mem_free(btf->entry, btf->room * sizeof(*btf->entry));
	mem_free(btf, sizeof(*btf));
}

uint32_t btf_int_data(const struct btf *btf, uint32_t id)
{
	uint32_t data;

	btf_item(btf, id, 0, &data, sizeof(data));
	return data;
}

bool btf_int_is_regular(const struct btf *btf, uint32_t id)
{
	uint32_t data = btf_int_data(btf, id), bits = BTF_INT_BITS(data);

	return !BTF_INT_OFFSET(data) && bits >= 8 && bits <= 128 && !(bits & (bits - 1));
}

bool btf_type_is_int32(const struct btf *btf, uint32_t id)
{
	if (btf_type_kind(btf, id) != BTF_KIND_INT || btf_type_get(btf, id).size != 4)
		return false;
	return btf_int_is_regular(btf, id) && BTF_INT_BITS(btf_int_data(btf, id)) == 32;
}

unsigned btf_type_kind(const struct btf *btf, uint32_t id)
{
	return id < btf->n ? BTF_INFO_KIND(btf_type_get(btf, id).info) : BTF_KIND_UNKN;
}

bool btf_type_size(const struct btf *btf, uint32_t *id, uint32_t *size)
{
	unsigned kinds = btf_kinds_of(btf, *id);
	uint32_t to = *id;

	if (kinds & (KINDS_MODIFIER | KIND(VAR))) {
		to = btf->entry[to].resolved;
		kinds = btf_kinds_of(btf, to);
	}
	if (kinds & KINDS_WITH_SIZE)
		*size = btf_type_get(btf, to).size;
	else if (kinds & KIND(ARRAY))
		*size = btf->entry[to].array_size;
	else if (kinds & KIND(PTR))
		*size = 8;
	else
		return false;
	*id = to;
	return true;
}
