/* SPDX-License-Identifier: MIT */
/*
 * BTF, second part: what the types refer to.
 *
 * A type is resolved when all that it needs the size or the nature of is. The walk is depth first with a stack of its
 * own: a step looks at the type on top; what that one still needs is pushed, and the step is done again when it is
 * resolved. A type is on the stack once at most, so a cycle is noticed (-EEXIST), and the stack has a fixed depth
 * (-E2BIG). Each type is resolved once: time is in proportion to the bytes.
 *
 * A pointer's size is known without what it points to, and a struct may well contain a pointer to itself. So where a
 * chain begins decides where it ends, the mode: what begins with a struct or an array stops at pointers, what begins
 * with a pointer stops at structs and arrays, and both leave those to a walk of their own. The mode lasts until the
 * stack is empty, even when what began it has been left. That, and the order of ids, can be seen in which BTF is
 * refused; so this is the kernel's order step by step, with its quirks:
 *  - a section checks its variables' sizes only where it needn't wait for them;
 *  - a pointer to a function is good if the function has a smaller id, and so was resolved before.
 */
#include "core/btf_types.h"

#include "core/alloc.h"
#include "core/errno.h"

enum mode { MODE_ANY, MODE_POINTER, MODE_STRUCT };
enum state { STATE_NEW, STATE_WAITING, STATE_RESOLVED };

#define WAIT 1 /* something was pushed: come back when it's resolved */

struct frame {
	uint32_t id;
	uint32_t next; /* the item to go on with: struct, section */
};

struct resolver {
	struct btf *btf;
	struct btf_fault *fault;
	uint8_t *state; /* enum state of each type */
	enum mode mode;
	uint32_t depth;
	struct frame stack[BTF_MAX_DEPTH];
};

/* Kinds that need no walk, whatever the mode. */
#define KINDS_PLAIN (KIND_VOID | KIND(INT) | KIND(ENUM) | KIND(FWD) | KIND(FUNC_PROTO) | KIND(FLOAT) | KIND(ENUM64))

static bool ends_chain(const struct resolver *r, unsigned kinds)
{
	switch (r->mode) {
	case MODE_POINTER:
		return !(kinds & (KINDS_MODIFIER | KIND(PTR)));
	case MODE_STRUCT:
		return !(kinds & (KINDS_MODIFIER | KINDS_STRUCT | KIND(ARRAY)));
	default:
		return kinds & KINDS_PLAIN;
	}
}

static int refuse(struct resolver *r, uint32_t id, const char *what)
{
	return btf_refuse(r->fault, -EINVAL, id, what);
}

static int push(struct resolver *r, uint32_t id)
{
	unsigned kinds = btf_kinds_of(r->btf, id);

	if (r->depth == BTF_MAX_DEPTH)
		return btf_refuse(r->fault, -E2BIG, id, "types refer to types too deeply");
	if (r->state[id] != STATE_NEW)
		return btf_refuse(r->fault, -EEXIST, id, "type that contains itself");
	r->state[id] = STATE_WAITING;
	r->stack[r->depth++] = (struct frame){ .id = id };
	if (r->mode == MODE_ANY && kinds & KIND(PTR))
		r->mode = MODE_POINTER;
	else if (r->mode == MODE_ANY && kinds & (KINDS_STRUCT | KIND(ARRAY)))
		r->mode = MODE_STRUCT;
	return 0;
}

static int push_and_wait(struct resolver *r, uint32_t id)
{
	int error = push(r, id);

	return error ? error : WAIT;
}

static int pop(struct resolver *r, uint32_t resolved, uint32_t array_size)
{
	uint32_t id = r->stack[--r->depth].id;

	r->btf->entry[id].resolved = resolved;
	r->btf->entry[id].array_size = array_size;
	r->state[id] = STATE_RESOLVED;
	return 0;
}

/* 0: the type at the top can go on with this one; WAIT; or -errno. */
static int need(struct resolver *r, uint32_t id)
{
	if (ends_chain(r, btf_kinds_of(r->btf, id)) || r->state[id] == STATE_RESOLVED)
		return 0;
	return push_and_wait(r, id);
}

/* A chain that began with a struct stopped at a pointer. Who asks for what is behind that one must go on there, or it
 * could be reached from the pointer again. */
static int need_behind(struct resolver *r, uint32_t id)
{
	uint32_t resolved = r->btf->entry[id].resolved;

	if (btf_kinds_of(r->btf, id) & KINDS_MODIFIER && btf_kinds_of(r->btf, resolved) & KIND(PTR))
		return need(r, resolved);
	return 0;
}

/* A type that others may refer to. */
static bool can_be_referred_to(const struct resolver *r, uint32_t id)
{
	unsigned kinds = btf_kinds_of(r->btf, id);

	return kinds && !(kinds & KINDS_TOP);
}

/* The same, and it has a size: as a member or an element. */
static bool can_be_part(const struct resolver *r, uint32_t id)
{
	return can_be_referred_to(r, id) &&
	       !(btf_kinds_of(r->btf, id) & (KIND_VOID | KIND(FWD) | KIND(FUNC) | KIND(FUNC_PROTO)));
}

/* Modifiers and pointers: they end at something with a size, or at what may be without. */
static int resolve_reference(struct resolver *r, uint32_t id, const struct btf_type *type)
{
	uint32_t to = type->type, size;
	int wait;

	if (!can_be_referred_to(r, to))
		return refuse(r, id, "reference to nothing");
	wait = need(r, to);
	if (!wait && btf_is(type, KIND(PTR)))
		wait = need_behind(r, to);
	if (wait)
		return wait;
	if (!btf_type_size(r->btf, &to, &size)) {
		if (r->state[to] == STATE_RESOLVED)
			to = r->btf->entry[to].resolved;
		if (!(btf_kinds_of(r->btf, to) & (KIND_VOID | KIND(FWD) | KIND(FUNC_PROTO))))
			return refuse(r, id, "reference to what has no size");
	}
	return pop(r, to, 0);
}

static int resolve_var(struct resolver *r, uint32_t id, const struct btf_type *type)
{
	uint32_t to = type->type, size;
	int wait;

	if (!can_be_referred_to(r, to))
		return refuse(r, id, "variable of no type");
	wait = need(r, to);
	if (!wait)
		wait = need_behind(r, to);
	if (wait)
		return wait;
	return btf_type_size(r->btf, &to, &size) ? pop(r, to, 0) : refuse(r, id, "variable without a size");
}

static int resolve_array(struct resolver *r, uint32_t id, const struct btf_type *type)
{
	struct btf_array array;
	uint32_t size;
	int wait;

	(void)type;
	btf_item(r->btf, id, 0, &array, sizeof(array));
	if (!can_be_part(r, array.index_type))
		return refuse(r, id, "array with a bad index");
	wait = need(r, array.index_type);
	if (wait)
		return wait;
	if (!btf_type_size(r->btf, &array.index_type, &size) ||
	    btf_type_kind(r->btf, array.index_type) != BTF_KIND_INT || !btf_int_is_regular(r->btf, array.index_type))
		return refuse(r, id, "array with a bad index");
	if (!can_be_part(r, array.type))
		return refuse(r, id, "array of what has no size");
	wait = need(r, array.type);
	if (wait)
		return wait;
	if (!btf_type_size(r->btf, &array.type, &size))
		return refuse(r, id, "array of what has no size");
	if (btf_type_kind(r->btf, array.type) == BTF_KIND_INT && !btf_int_is_regular(r->btf, array.type))
		return refuse(r, id, "array of odd integers");
	if (array.nelems && size > UINT32_MAX / array.nelems)
		return refuse(r, id, "array too large");
	return pop(r, array.type, size * array.nelems);
}

/* Where a member lies. */
struct span {
	uint64_t bits_off;
	uint32_t bits; /* its width as a bit field; 0: it is none */
	uint32_t size; /* of the struct */
};

static bool whole_bytes_fit(const struct span *span, uint32_t size)
{
	return span->bits_off % 8 == 0 && span->bits_off / 8 + size <= span->size;
}

/* The bits are read as one integer, of 16 bytes at most, from the byte in which they begin. */
static bool bits_fit(const struct span *span, uint64_t bits_off, uint32_t bits)
{
	uint64_t copied = bits_off % 8 + bits;

	return copied <= 128 && bits_off / 8 + (copied + 7) / 8 <= span->size;
}

static bool int_fits(const struct btf *btf, uint32_t id, bool kind_flag, const struct span *span)
{
	uint32_t data = btf_int_data(btf, id), own = BTF_INT_BITS(data);

	if (!kind_flag) /* bit fields have integers of their own */
		return span->bits_off + BTF_INT_OFFSET(data) <= UINT32_MAX &&
		       bits_fit(span, span->bits_off + BTF_INT_OFFSET(data), own);
	if (!btf_int_is_regular(btf, id) || span->bits > own || (!span->bits && span->bits_off % 8))
		return false;
	return bits_fit(span, span->bits_off, span->bits ? span->bits : own);
}

/* In a struct with bit fields an enum counts as an int, whatever it is. */
static bool enum_fits(uint32_t size, bool kind_flag, const struct span *span)
{
	if (!kind_flag)
		return whole_bytes_fit(span, size);
	if (!span->bits)
		return whole_bytes_fit(span, 4);
	return span->bits <= 32 && (span->bits_off + span->bits + 7) / 8 <= span->size;
}

static bool float_fits(uint32_t size, const struct span *span)
{
	return span->bits_off % ((size < 8 ? size : 8) * 8) == 0 && whole_bytes_fit(span, size);
}

/* Whether a member, whose type has been resolved, lies inside its struct as its kind wants it. */
static bool member_fits(const struct btf *btf, const struct btf_type *type, const struct btf_member *member)
{
	bool kind_flag = BTF_INFO_KFLAG(type->info);
	struct span span = { .bits_off = btf_member_bits(type, member), .size = type->size };
	uint32_t id = member->type, size;

	if (kind_flag)
		span.bits = BTF_MEMBER_BITFIELD_SIZE(member->offset);
	if (!btf_type_size(btf, &id, &size))
		return false;
	switch (btf_type_kind(btf, id)) {
	case BTF_KIND_INT:
		return int_fits(btf, id, kind_flag, &span);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return enum_fits(size, kind_flag, &span);
	case BTF_KIND_FLOAT:
		return !span.bits && float_fits(size, &span);
	default:
		return !span.bits && whole_bytes_fit(&span, size);
	}
}

static int resolve_struct(struct resolver *r, uint32_t id, const struct btf_type *type)
{
	struct frame *frame = &r->stack[r->depth - 1];

	for (; frame->next < BTF_INFO_VLEN(type->info); frame->next++) {
		struct btf_member member;
		int wait;

		btf_item(r->btf, id, frame->next, &member, sizeof(member));
		if (!can_be_part(r, member.type))
			return refuse(r, id, "member without a size");
		wait = need(r, member.type);
		if (wait)
			return wait;
		if (!member_fits(r->btf, type, &member))
			return refuse(r, id, "member that doesn't fit its struct");
	}
	return pop(r, 0, 0);
}

static int resolve_datasec(struct resolver *r, uint32_t id, const struct btf_type *type)
{
	struct frame *frame = &r->stack[r->depth - 1];

	r->mode = MODE_ANY;
	while (frame->next < BTF_INFO_VLEN(type->info)) {
		struct btf_var_secinfo var;
		uint32_t to, size;
		int wait;

		btf_item(r->btf, id, frame->next++, &var, sizeof(var));
		if (!(btf_kinds_of(r->btf, var.type) & KIND(VAR)))
			return refuse(r, id, "section of what is no variable");
		wait = need(r, var.type);
		if (wait)
			return wait;
		to = btf_type_get(r->btf, var.type).type;
		if (!btf_type_size(r->btf, &to, &size) || var.size < size)
			return refuse(r, id, "variable larger than its place");
	}
	return pop(r, 0, 0);
}

static int resolve_func(struct resolver *r, uint32_t id, const struct btf_type *type)
{
	struct btf_type proto;

	if (!(btf_kinds_of(r->btf, type->type) & KIND(FUNC_PROTO)))
		return refuse(r, id, "function without a prototype");
	proto = btf_type_get(r->btf, type->type);
	for (uint32_t i = 0; i < BTF_INFO_VLEN(proto.info); i++) {
		struct btf_param param;

		btf_item(r->btf, type->type, i, &param, sizeof(param));
		if (!param.name_off && param.type)
			return refuse(r, id, "function with a nameless parameter");
	}
	return pop(r, type->type, 0);
}

static int resolve_decl_tag(struct resolver *r, uint32_t id, const struct btf_type *type)
{
	unsigned kinds = btf_kinds_of(r->btf, type->type);
	struct btf_decl_tag tag;
	struct btf_type tagged;
	int wait;

	if (!(kinds & (KINDS_STRUCT | KIND(FUNC) | KIND(VAR) | KIND(TYPEDEF))))
		return refuse(r, id, "tag on nothing");
	wait = need(r, type->type);
	if (wait)
		return wait;
	btf_item(r->btf, id, 0, &tag, sizeof(tag));
	tagged = btf_type_get(r->btf, type->type);
	if (tag.component_idx != -1 && kinds & KIND(FUNC))
		tagged = btf_type_get(r->btf, tagged.type);
	if (tag.component_idx != -1 && (uint32_t)tag.component_idx >= BTF_INFO_VLEN(tagged.info))
		return refuse(r, id, "tag on a component that isn't there");
	return pop(r, type->type, 0);
}

static int step(struct resolver *r)
{
	uint32_t id = r->stack[r->depth - 1].id;
	struct btf_type type = btf_type_get(r->btf, id);

	switch (BTF_INFO_KIND(type.info)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return resolve_struct(r, id, &type);
	case BTF_KIND_ARRAY:
		return resolve_array(r, id, &type);
	case BTF_KIND_VAR:
		return resolve_var(r, id, &type);
	case BTF_KIND_DATASEC:
		return resolve_datasec(r, id, &type);
	case BTF_KIND_FUNC:
		return resolve_func(r, id, &type);
	case BTF_KIND_DECL_TAG:
		return resolve_decl_tag(r, id, &type);
	default:
		return resolve_reference(r, id, &type);
	}
}

static int resolve(struct resolver *r, uint32_t id)
{
	int error;

	if (btf_kinds_of(r->btf, id) & KINDS_PLAIN || r->state[id] == STATE_RESOLVED)
		return 0;
	r->mode = MODE_ANY;
	error = push(r, id);
	while (error >= 0 && r->depth)
		error = step(r);
	return error;
}

/* A parameter or a result: something with a size. */
static int check_passed(struct resolver *r, uint32_t proto, uint32_t id)
{
	uint32_t size;
	int error;

	if (!can_be_referred_to(r, id))
		return refuse(r, proto, "prototype with a bad type");
	error = resolve(r, id);
	if (error)
		return error;
	return btf_type_size(r->btf, &id, &size) ? 0 : refuse(r, proto, "prototype with a type without a size");
}

static int check_proto(struct resolver *r, uint32_t id, const struct btf_type *type)
{
	uint32_t n = BTF_INFO_VLEN(type->info);
	int error = type->type ? check_passed(r, id, type->type) : 0;

	for (uint32_t i = 0; !error && i < n; i++) {
		struct btf_param param;

		btf_item(r->btf, id, i, &param, sizeof(param));
		if (i == n - 1 && !param.type) /* "..." */
			return param.name_off ? refuse(r, id, "named variable parameters") : 0;
		if (!can_be_referred_to(r, param.type))
			return refuse(r, id, "prototype with a bad type");
		if (param.name_off &&
		    (!btf_name_ok(r->btf, param.name_off) || !btf_name_is_identifier(r->btf, param.name_off)))
			return refuse(r, id, "parameter with a bad name");
		error = check_passed(r, id, param.type);
	}
	return error;
}

/* Type tags stand before qualifiers, and no chain of either is long. Those of smaller ids have been seen to be good. */
static int check_tags(const struct btf *btf, uint32_t id, struct btf_fault *fault)
{
	struct btf_type type = btf_type_get(btf, id);
	bool tags = btf_is(&type, KIND(TYPE_TAG));
	uint32_t at = id;

	for (uint32_t length = 0; btf_is(&type, KINDS_MODIFIER); length++) {
		if (length == BTF_MAX_DEPTH)
			return btf_refuse(fault, -ELOOP, id, "chain of qualifiers too long");
		if (btf_is(&type, KIND(TYPE_TAG)) && !tags)
			return btf_refuse(fault, -EINVAL, id, "type tag behind a qualifier");
		if (at < id)
			break;
		tags = btf_is(&type, KIND(TYPE_TAG));
		at = type.type;
		type = btf_type_get(btf, at);
	}
	return 0;
}

int btf_resolve(struct btf *btf, struct btf_fault *fault)
{
	struct resolver r = { .btf = btf, .fault = fault, .state = mem_alloc(btf->n) };
	int error = 0;

	if (!r.state)
		return btf_refuse(fault, -ENOMEM, 0, "no memory");
	for (uint32_t id = 1; !error && id < btf->n; id++) {
		struct btf_type type = btf_type_get(btf, id);

		error = resolve(&r, id);
		if (!error && btf_is(&type, KIND(FUNC_PROTO)))
			error = check_proto(&r, id, &type);
	}
	for (uint32_t id = 1; !error && id < btf->n; id++)
		error = check_tags(btf, id, fault);
	mem_free(r.state, btf->n);
	return error;
}
