/* SPDX-License-Identifier: MIT */
/*
 * BTF, third part: the special fields, members that a struct's type name makes more than bytes.
 *
 * They are found by walking the struct with the structs and arrays inside it, no deeper than BTF_MAX_DEPTH. A member
 * counts if its type bears the name and has the size of the real thing, and it's aligned; else it's bytes. A struct of
 * which nothing comes is remembered for each depth it was met at: members may overlap, so that a small file can hold a
 * struct at more places than there is time to visit. What is found is bounded by BTF_FIELDS_MAX.
 *
 * Two who ask. BPF_MAP_CREATE wants to know what is in a value; a value that can't be understood counts there as one of
 * plain bytes. And BPF_BTF_LOAD refuses BTF in which a struct with such a member can't be understood (btf_check_fields):
 * programs could allocate it. Whether a pointer to a kernel's type may be kept in it is for the kernel to know, and left
 * open here: its types are taken for the program's own.
 */
#include "core/btf_types.h"

#include "core/alloc.h"
#include "core/errno.h"

#define PREFIX	  "contains:"
#define KIND_NONE 0u

/* Roots of lists and trees, and what lies in their nodes. */
#define FIELDS_ROOT (BTF_FIELD_LIST_HEAD | BTF_FIELD_RB_ROOT)
#define FIELDS_NODE (BTF_FIELD_LIST_NODE | BTF_FIELD_RB_NODE)
#define FIELDS_LOCK (BTF_FIELD_SPIN_LOCK | BTF_FIELD_RES_SPIN_LOCK)

/* Those that BPF_BTF_LOAD looks for in every struct. */
#define FIELDS_OF_OBJECTS (FIELDS_LOCK | FIELDS_ROOT | FIELDS_NODE | BTF_FIELD_REFCOUNT | BTF_FIELD_KPTR)

struct special {
	const char *name;
	uint32_t kind;
	uint32_t size;
	uint32_t align;
	bool once; /* in a struct */
};

static const struct special specials[] = {
	{ "bpf_spin_lock", BTF_FIELD_SPIN_LOCK, 4, 4, true },
	{ "bpf_res_spin_lock", BTF_FIELD_RES_SPIN_LOCK, 4, 4, true },
	{ "bpf_timer", BTF_FIELD_TIMER, 16, 8, true },
	{ "bpf_wq", BTF_FIELD_WORKQUEUE, 16, 8, true },
	{ "bpf_task_work", BTF_FIELD_TASK_WORK, 8, 8, true },
	{ "bpf_list_head", BTF_FIELD_LIST_HEAD, 16, 8, false },
	{ "bpf_list_node", BTF_FIELD_LIST_NODE, 24, 8, false },
	{ "bpf_rb_root", BTF_FIELD_RB_ROOT, 16, 8, false },
	{ "bpf_rb_node", BTF_FIELD_RB_NODE, 32, 8, false },
	{ "bpf_refcount", BTF_FIELD_REFCOUNT, 4, 4, false },
};
static const struct special pointer = { "", BTF_FIELD_KPTR | BTF_FIELD_UPTR, 8, 8, false };

struct search {
	const struct btf *btf;
	uint32_t wanted;
	uint32_t *barren; /* of each struct: bit n set if nothing comes of it at depth n */
	struct btf_fields *fields;
};

/* One member or variable that a search looks at. */
struct place {
	uint32_t holder;   /* the type that its decl tags are on */
	int32_t component; /* and which component they name */
	uint32_t type;
	uint32_t offset;
	uint32_t size; /* that it must have; 0: any */
};

static const char *name_of(const struct btf *btf, uint32_t id)
{
	return btf_string(btf, btf_type_get(btf, id).name_off);
}

static const struct special *special_of(const struct search *search, uint32_t type)
{
	const char *name = name_of(search->btf, type);

	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
		if (search->wanted & specials[i].kind && strcmp(name, specials[i].name) == 0)
			return &specials[i];
	if (search->wanted & pointer.kind && btf_type_kind(search->btf, type) != BTF_KIND_STRUCT)
		return &pointer;
	return NULL;
}

/* What a pointer with a type tag is, to whatever it points. KIND_NONE: a pointer like others, or none; or -EINVAL. */
static int tagged_pointer_kind(const struct btf *btf, const struct btf_type *type, uint32_t *kind)
{
	struct btf_type tagged = btf_type_get(btf, btf_is(type, KIND(PTR)) ? type->type : 0);
	const char *tag;

	*kind = KIND_NONE;
	if (!btf_is(&tagged, KIND(TYPE_TAG)) || BTF_INFO_KFLAG(tagged.info))
		return 0;
	if (btf_kinds_of(btf, tagged.type) & KIND(TYPE_TAG))
		return -EINVAL;
	tag = btf_string(btf, tagged.name_off);
	if (strcmp(tag, "uptr") == 0)
		*kind = BTF_FIELD_UPTR;
	else if (strcmp(tag, "kptr") == 0 || strcmp(tag, "kptr_untrusted") == 0 || strcmp(tag, "percpu_kptr") == 0)
		*kind = BTF_FIELD_KPTR;
	return *kind ? 0 : -EINVAL;
}

/* The same of a pointer that may be volatile, for the kinds wanted: they must point to a struct. */
static int find_pointer(const struct btf *btf, uint32_t id, uint32_t wanted, uint32_t *kind)
{
	struct btf_type type = btf_type_get(btf, id);
	int error;

	if (btf_is(&type, KIND(VOLATILE)))
		type = btf_type_get(btf, type.type);
	error = tagged_pointer_kind(btf, &type, kind);
	*kind &= wanted;
	if (error || !*kind)
		return error;
	do
		type = btf_type_get(btf, type.type);
	while (btf_is(&type, KINDS_MODIFIER));
	return btf_is(&type, KIND(STRUCT)) ? 0 : -EINVAL;
}

/* The text behind "contains:" in the one such tag on a component; NULL if there is none, or more than one. */
static const char *find_contains(const struct btf *btf, uint32_t holder, int32_t component)
{
	const char *found = NULL;

	for (uint32_t id = 1; id < btf->n; id++) {
		struct btf_type type = btf_type_get(btf, id);
		struct btf_decl_tag tag;

		if (!btf_is(&type, KIND(DECL_TAG)) || type.type != holder)
			continue;
		btf_item(btf, id, 0, &tag, sizeof(tag));
		if (tag.component_idx != component ||
		    strncmp(btf_string(btf, type.name_off), PREFIX, strlen(PREFIX)) != 0)
			continue;
		if (found)
			return NULL;
		found = btf_string(btf, type.name_off) + strlen(PREFIX);
	}
	return found;
}

/* The first struct of this name; 0 if there is none. */
static uint32_t find_struct(const struct btf *btf, const char *name, size_t length)
{
	for (uint32_t id = 1; id < btf->n; id++) {
		const char *other = name_of(btf, id);

		if (btf_kinds_of(btf, id) & KIND(STRUCT) && strlen(other) == length && memcmp(other, name, length) == 0)
			return id;
	}
	return 0;
}

/* A root says by a tag, "contains:struct:member", what hangs there. */
static int find_root(const struct btf *btf, const struct place *place, struct btf_field *field)
{
	const char *contains = find_contains(btf, place->holder, place->component);
	const char *colon = contains ? strchr(contains, ':') : NULL;

	if (!colon)
		return -EINVAL;
	field->root_of = find_struct(btf, contains, (size_t)(colon - contains));
	if (!field->root_of)
		return -ENOENT;
	field->node_name = colon + 1;
	return colon[1] ? 0 : -EINVAL;
}

/* What is at a place whose type has a special's name. *found: whether it is the real thing. */
static int find_special(const struct search *search, const struct place *place, const struct special *special,
			struct btf_field *field, bool *found)
{
	*field = (struct btf_field){ .kind = special->kind, .offset = place->offset };
	if (special == &pointer) {
		int error = find_pointer(search->btf, place->type, search->wanted, &field->kind);

		*found = field->kind != KIND_NONE;
		return error;
	}
	*found = btf_type_kind(search->btf, place->type) == BTF_KIND_STRUCT &&
		 btf_type_get(search->btf, place->type).size == special->size;
	return *found && special->kind & FIELDS_ROOT ? find_root(search->btf, place, field) : 0;
}

/* An array of what was found from `first` on: n times, `stride` bytes apart. */
static int repeat(struct btf_fields *fields, uint32_t first, uint32_t n, uint32_t stride)
{
	uint32_t each = fields->n - first;

	if (n < 2 || !each)
		return 0;
	for (uint32_t i = first; i < fields->n; i++)
		if (!(fields->field[i].kind & (BTF_FIELD_KPTR | BTF_FIELD_UPTR | FIELDS_ROOT)))
			return -EINVAL;
	if ((uint64_t)each * n > BTF_FIELDS_MAX - first)
		return -E2BIG;
	for (uint32_t i = 1; i < n; i++) {
		for (uint32_t k = 0; k < each; k++) {
			struct btf_field *field = &fields->field[fields->n++];

			*field = fields->field[first + k];
			field->offset += i * stride;
		}
	}
	return 0;
}

static int search_struct(struct search *search, uint32_t id, uint32_t depth);

/* A struct inside the struct or section. */
static int search_inner(struct search *search, const struct place *place, uint32_t n, uint32_t depth)
{
	uint32_t first = search->fields->n, size = btf_type_get(search->btf, place->type).size;
	int error;

	if (place->size && place->size != size * n)
		return 0;
	if (depth + 1 >= BTF_MAX_DEPTH)
		return -E2BIG;
	error = search_struct(search, place->type, depth + 1);
	for (uint32_t i = first; i < search->fields->n; i++)
		search->fields->field[i].offset += place->offset;
	return error ? error : repeat(search->fields, first, n, size);
}

/* *seen: the kinds met in this struct of which there may be only one. */
static int search_place(struct search *search, struct place place, uint32_t *seen, uint32_t depth)
{
	const struct special *special;
	struct btf_field field;
	uint32_t n = 1, level = 0;
	bool found;
	int error;

	for (; level < BTF_MAX_DEPTH && btf_kinds_of(search->btf, place.type) & KIND(ARRAY); level++) {
		struct btf_array array;

		btf_item(search->btf, place.type, 0, &array, sizeof(array));
		n *= array.nelems; /* wraps only where the elements take no room, and so hold nothing */
		place.type = array.type;
	}
	if (level == BTF_MAX_DEPTH)
		return -E2BIG;
	if (!n)
		return 0;
	special = special_of(search, place.type);
	if (!special)
		return btf_type_kind(search->btf, place.type) == BTF_KIND_STRUCT
			       ? search_inner(search, &place, n, depth)
			       : 0;
	if (special->once && *seen & special->kind)
		return -E2BIG;
	if (special->once)
		*seen |= special->kind;
	if ((place.size && place.size != special->size * n) || place.offset % special->align)
		return 0;
	error = find_special(search, &place, special, &field, &found);
	if (error || !found)
		return error;
	if (search->fields->n == BTF_FIELDS_MAX)
		return -E2BIG;
	search->fields->field[search->fields->n++] = field;
	return repeat(search->fields, search->fields->n - 1, n, special->size);
}

static int search_struct(struct search *search, uint32_t id, uint32_t depth)
{
	struct btf_type type = btf_type_get(search->btf, id);
	uint32_t seen = 0, before = search->fields->n;

	if (search->barren[id] & 1u << depth)
		return 0;
	for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info); i++) {
		struct btf_member member;
		uint32_t bits;
		int error;

		btf_item(search->btf, id, i, &member, sizeof(member));
		bits = btf_member_bits(&type, &member);
		if (bits % 8)
			return -EINVAL;
		error = search_place(search, (struct place){ id, (int32_t)i, member.type, bits / 8, 0 }, &seen, depth);
		if (error)
			return error;
	}
	if (search->fields->n == before)
		search->barren[id] |= 1u << depth;
	return 0;
}

static int search_section(struct search *search, uint32_t id)
{
	struct btf_type type = btf_type_get(search->btf, id);
	uint32_t seen = 0;

	for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info); i++) {
		struct btf_var_secinfo var;
		struct place place;
		int error;

		btf_item(search->btf, id, i, &var, sizeof(var));
		place = (struct place){ var.type, -1, btf_type_get(search->btf, var.type).type, var.offset, var.size };
		error = search_place(search, place, &seen, 0);
		if (error)
			return error;
	}
	return 0;
}

static const struct special *special_of_kind(uint32_t kind)
{
	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
		if (specials[i].kind == kind)
			return &specials[i];
	return &pointer;
}

/* The struct that hangs on a root has the member that the root names, and it is a node. */
static int check_root(const struct btf *btf, const struct btf_field *field)
{
	const char *node = field->kind == BTF_FIELD_LIST_HEAD ? "bpf_list_node" : "bpf_rb_node";
	struct btf_type type = btf_type_get(btf, field->root_of);
	bool found = false;

	for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info); i++) {
		struct btf_member member;

		btf_item(btf, field->root_of, i, &member, sizeof(member));
		if (strcmp(btf_string(btf, member.name_off), field->node_name) != 0)
			continue;
		if (found || btf_type_kind(btf, member.type) != BTF_KIND_STRUCT ||
		    strcmp(name_of(btf, member.type), node) != 0 || btf_member_bits(&type, &member) % 64)
			return -EINVAL;
		found = true;
	}
	return found ? 0 : -ENOENT;
}

/* The fields don't overlap, and have what they need beside them. */
static int check_found(const struct btf *btf, struct btf_fields *fields)
{
	uint32_t end = 0, kinds = 0;

	for (uint32_t i = 0; i < fields->n; i++) {
		const struct btf_field *field = &fields->field[i];
		int error;

		if (field->offset < end)
			return -EEXIST;
		end = field->offset + special_of_kind(field->kind)->size;
		kinds |= field->kind;
		error = field->kind & FIELDS_ROOT ? check_root(btf, field) : 0;
		if (error)
			return error;
	}
	fields->kinds = kinds;
	if ((kinds & FIELDS_LOCK) == FIELDS_LOCK || (kinds & FIELDS_ROOT && !(kinds & FIELDS_LOCK)))
		return -EINVAL;
	if ((kinds & FIELDS_NODE) == FIELDS_NODE && !(kinds & BTF_FIELD_REFCOUNT))
		return -EINVAL;
	return 0;
}

static int find_fields(struct search *search, uint32_t id)
{
	int error = -EINVAL;

	search->fields->n = 0;
	search->fields->kinds = 0;
	if (btf_kinds_of(search->btf, id) & KIND(STRUCT))
		error = search_struct(search, id, 0);
	else if (btf_kinds_of(search->btf, id) & KIND(DATASEC))
		error = search_section(search, id);
	return error ? error : check_found(search->btf, search->fields);
}

int btf_find_fields(const struct btf *btf, uint32_t id, uint32_t wanted, struct btf_fields *fields)
{
	struct search search = { btf, wanted, mem_alloc(btf->n * sizeof(*search.barren)), fields };
	int error;

	if (!search.barren)
		return -ENOMEM;
	error = find_fields(&search, id);
	mem_free(search.barren, btf->n * sizeof(*search.barren));
	return error;
}

/* The types that make a struct one with special fields if a member is of exactly that type. */
static void mark_members(const struct btf *btf, uint8_t *marked)
{
	static const char *const names[] = { "bpf_spin_lock", "bpf_list_head", "bpf_list_node",
					     "bpf_rb_root",   "bpf_rb_node",   "bpf_refcount" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		marked[find_struct(btf, names[i], strlen(names[i]))] = 1;
	marked[0] = 0;
	for (uint32_t id = 1; id < btf->n; id++) {
		uint32_t kind;

		if (find_pointer(btf, id, BTF_FIELD_KPTR, &kind) == 0 && kind)
			marked[id] = 1;
	}
}

static bool has_marked_member(const struct btf *btf, uint32_t id, const uint8_t *marked)
{
	struct btf_type type = btf_type_get(btf, id);
	struct btf_member member;

	if (!btf_is(&type, KIND(STRUCT)))
		return false;
	for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info); i++) {
		btf_item(btf, id, i, &member, sizeof(member));
		if (marked[member.type])
			return true;
	}
	return false;
}

/* What hangs on a root has fields of its own, and no roots if its own root hangs on another: so ownership has no
 * cycles. kinds: what each struct has, 0 if it's none with special fields. */
static int check_ownership(const struct btf_fields *fields, const uint32_t *kinds)
{
	for (uint32_t i = 0; i < fields->n; i++) {
		if (!(fields->field[i].kind & FIELDS_ROOT))
			continue;
		if (!kinds[fields->field[i].root_of])
			return -EFAULT;
		if (fields->kinds & FIELDS_NODE && kinds[fields->field[i].root_of] & FIELDS_ROOT)
			return -ELOOP;
	}
	return 0;
}

/* kinds: zeros, room for all types. */
static int check_structs(struct search *search, const uint8_t *marked, uint32_t *kinds, struct btf_fault *fault)
{
	const struct btf *btf = search->btf;
	int error = 0;

	for (uint32_t id = 1; id < btf->n; id++) {
		if (!has_marked_member(btf, id, marked))
			continue;
		error = find_fields(search, id);
		if (!error && !search->fields->n)
			error = -EFAULT; /* the name alone */
		if (error)
			return btf_refuse(fault, error, id, "struct with a special field that is wrong");
		kinds[id] = search->fields->kinds;
	}
	for (uint32_t id = 1; id < btf->n; id++) {
		if (!(kinds[id] & FIELDS_ROOT))
			continue;
		error = find_fields(search, id);
		if (!error)
			error = check_ownership(search->fields, kinds);
		if (error)
			return btf_refuse(fault, error, id, "root of what it can't own");
	}
	return 0;
}

int btf_check_fields(struct btf *btf, struct btf_fault *fault)
{
	struct btf_fields fields;
	struct search search = { btf, FIELDS_OF_OBJECTS, mem_alloc(btf->n * sizeof(*search.barren)), &fields };
	uint32_t *kinds = mem_alloc(btf->n * sizeof(*kinds));
	uint8_t *marked = mem_alloc(btf->n);
	int error = -ENOMEM;

	if (search.barren && kinds && marked) {
		mark_members(btf, marked);
		error = check_structs(&search, marked, kinds, fault);
	} else {
		btf_refuse(fault, error, 0, "no memory");
	}
	mem_free(search.barren, btf->n * sizeof(*search.barren));
	mem_free(kinds, btf->n * sizeof(*kinds));
	mem_free(marked, btf->n);
	return error;
}
