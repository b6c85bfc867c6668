/* SPDX-License-Identifier: MIT */
/*
 * What BTF BPF_BTF_LOAD takes: a row for each rule that chance meets too rarely, or whose answer isn't EINVAL
 * (tests/semantics/btf_differential.c has the rest). And which fields of a value BPF_MAP_CREATE finds.
 */
#include <linux/btf.h>

#include "../semantics/btf_build.h"
#include "rows.h"

struct type_row {
	const char *name;
	int expected;
	void (*build)(struct btf_build *b);
};

/* In every row: */
enum { INT = 1, LOCK };

static uint32_t add_struct(struct btf_build *b, const char *name, uint32_t n, uint32_t size)
{
	return build_type(b, name, BTF_KIND_STRUCT, n, size);
}

static uint32_t add_with_data(struct btf_build *b, const char *name, uint32_t kind, uint32_t n, uint32_t size,
			      uint32_t data)
{
	uint32_t id = build_type(b, name, kind, n, size);

	build_word(b, data);
	return id;
}

static void begin(struct btf_build *b)
{
	build_int(b, "int", 4);
	add_struct(b, "bpf_spin_lock", 1, 4);
	build_member(b, "val", INT, 0);
}

/* Numbers. */

static void int_of_129_bits(struct btf_build *b)
{
	add_with_data(b, "wide", BTF_KIND_INT, 0, 17, 1 << 16 | 128);
}

static void unknown_encoding(struct btf_build *b)
{
	add_with_data(b, "odd", BTF_KIND_INT, 0, 4, 0x03000020);
}

static void index_that_begins_in_a_byte(struct btf_build *b)
{
	build_array(b, INT, add_with_data(b, "shifted", BTF_KIND_INT, 0, 4, 8 << 16 | 16), 1);
}

static void int_across_129_bits(struct btf_build *b)
{
	uint32_t wide = add_with_data(b, "wide", BTF_KIND_INT, 0, 16, 128);

	add_struct(b, "s", 1, 17);
	build_member(b, "m", wide, 1);
}

static void bit_field_wider_than_its_int(struct btf_build *b)
{
	uint32_t byte = build_int(b, "char", 1);

	add_struct(b, "s", 1, 4);
	build_flag(b);
	build_member(b, "m", byte, 9 << 24);
}

static void float_at(struct btf_build *b, uint32_t size, uint32_t bits)
{
	uint32_t number = build_type(b, "double", BTF_KIND_FLOAT, 0, size);

	add_struct(b, "s", 1, 32);
	build_member(b, "m", number, bits);
}

static void float_of_8_at_4(struct btf_build *b)
{
	float_at(b, 8, 32);
}

static void float_of_16_at_8(struct btf_build *b)
{
	float_at(b, 16, 64);
}

/* An enum of 1 byte in a struct with bit fields counts as 4. */
static void enum_at_the_end_beside_bit_fields(struct btf_build *b)
{
	uint32_t small = build_type(b, "e", BTF_KIND_ENUM, 0, 1);

	add_struct(b, "s", 1, 2);
	build_flag(b);
	build_member(b, "m", small, 0);
}

/* References. */

static void cycle_of_typedefs(struct btf_build *b)
{
	build_type(b, "a", BTF_KIND_TYPEDEF, 0, b->n + 2);
	build_type(b, "b", BTF_KIND_TYPEDEF, 0, b->n);
}

static void struct_that_points_to_itself(struct btf_build *b)
{
	uint32_t self = add_struct(b, "s", 1, 8);

	build_member(b, "next", self + 1, 0);
	build_type(b, NULL, BTF_KIND_PTR, 0, self);
}

/* The struct's walk stops at the pointer, and takes the typedef for resolved. */
static void cycle_seen_from_a_struct(struct btf_build *b)
{
	uint32_t self = add_struct(b, "s", 1, 8);

	build_member(b, "m", self + 1, 0);
	build_type(b, "t", BTF_KIND_TYPEDEF, 0, self + 2);
	build_type(b, NULL, BTF_KIND_PTR, 0, self + 1);
}

static void typedefs_to_follow(struct btf_build *b, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		build_type(b, "t", BTF_KIND_TYPEDEF, 0, b->n + 2);
	build_int(b, "last", 4);
}

static void typedefs_32_deep(struct btf_build *b)
{
	typedefs_to_follow(b, 32);
}

static void typedefs_33_deep(struct btf_build *b)
{
	typedefs_to_follow(b, 33);
}

/* Each is resolved by itself. */
static void typedefs_of_earlier_ones(struct btf_build *b)
{
	for (uint32_t i = 0; i < 100; i++)
		build_type(b, "t", BTF_KIND_TYPEDEF, 0, b->n);
}

/* The pointer in the middle lets the walk begin anew, but a chain of qualifiers has its own limit. */
static void type_tag_behind_const(struct btf_build *b)
{
	build_type(b, "tag", BTF_KIND_TYPE_TAG, 0, INT);
	build_type(b, NULL, BTF_KIND_CONST, 0, b->n);
}

static uint32_t add_func(struct btf_build *b)
{
	build_type(b, NULL, BTF_KIND_FUNC_PROTO, 0, 0);
	return build_type(b, "f", BTF_KIND_FUNC, BTF_FUNC_STATIC, b->n);
}

static void pointer_to_an_earlier_function(struct btf_build *b)
{
	build_type(b, NULL, BTF_KIND_PTR, 0, add_func(b));
}

static void pointer_to_a_later_function(struct btf_build *b)
{
	build_type(b, NULL, BTF_KIND_PTR, 0, b->n + 3);
	add_func(b);
}

static void typedef_of_a_later_function(struct btf_build *b)
{
	build_type(b, "t", BTF_KIND_TYPEDEF, 0, b->n + 3);
	add_func(b);
}

/* A section of two variables, which come behind it with their types. */
static void section_before_its_variables(struct btf_build *b)
{
	uint32_t id = build_type(b, ".data", BTF_KIND_DATASEC, 2, 16);

	build_word(b, id + 1);
	build_word(b, 0);
	build_word(b, 8);
	build_word(b, id + 2);
	build_word(b, 8);
	build_word(b, 4);
	add_with_data(b, "v", BTF_KIND_VAR, 0, id + 3, BTF_VAR_STATIC);
	add_with_data(b, "w", BTF_KIND_VAR, 0, id + 4, BTF_VAR_STATIC);
	add_struct(b, "s", 0, 8);
	build_type(b, "t", BTF_KIND_TYPEDEF, 0, INT);
}

static void add_section_of_one(struct btf_build *b, uint32_t var, uint32_t size)
{
	build_type(b, ".data", BTF_KIND_DATASEC, 1, 16);
	build_word(b, var);
	build_word(b, 0);
	build_word(b, size);
}

static void variable_larger_than_its_place(struct btf_build *b)
{
	add_section_of_one(b, add_with_data(b, "v", BTF_KIND_VAR, 0, INT, BTF_VAR_STATIC), 2);
}

static void parameter_without_a_name(struct btf_build *b)
{
	uint32_t proto = build_type(b, NULL, BTF_KIND_FUNC_PROTO, 1, 0);

	build_word(b, 0);
	build_word(b, INT);
	build_type(b, "f", BTF_KIND_FUNC, BTF_FUNC_STATIC, proto);
}

static void tag_on_the_second_of_one_member(struct btf_build *b)
{
	add_with_data(b, "tag", BTF_KIND_DECL_TAG, 0, LOCK, 1);
}

static void tag_on_a_member_of_a_typedef(struct btf_build *b)
{
	add_with_data(b, "tag", BTF_KIND_DECL_TAG, 0, build_type(b, "t", BTF_KIND_TYPEDEF, 0, LOCK), 0);
}

/* Special fields. */

static void two_locks(struct btf_build *b)
{
	add_struct(b, "s", 2, 8);
	build_member(b, "a", LOCK, 0);
	build_member(b, "b", LOCK, 32);
}

static void lock_at_2(struct btf_build *b)
{
	add_struct(b, "s", 1, 8);
	build_member(b, "a", LOCK, 16);
}

static void lock_beside_a_bit_field(struct btf_build *b)
{
	add_struct(b, "s", 2, 8);
	build_flag(b);
	build_member(b, "a", LOCK, 0);
	build_member(b, "b", INT, 3 << 24 | 33);
}

static void lock_of_another_size(struct btf_build *b)
{
	b->types.size = b->strings.size = b->n = 0;
	add_struct(b, "bpf_spin_lock", 0, 8);
	add_struct(b, "s", 1, 8);
	build_member(b, "a", 1, 0);
}

static void two_locks_of_two_kinds(struct btf_build *b)
{
	uint32_t other = add_struct(b, "bpf_res_spin_lock", 0, 4);

	add_struct(b, "s", 2, 8);
	build_member(b, "a", LOCK, 0);
	build_member(b, "b", other, 32);
}

static void add_nodes(struct btf_build *b, bool counted)
{
	uint32_t list = add_struct(b, "bpf_list_node", 0, 24), tree = add_struct(b, "bpf_rb_node", 0, 32);
	uint32_t count = add_struct(b, "bpf_refcount", 0, 4);

	add_struct(b, "s", 3, 64);
	build_member(b, "a", list, 0);
	build_member(b, "b", tree, 24 * 8);
	build_member(b, "c", counted ? count : INT, 56 * 8);
}

static void node_of_list_and_tree(struct btf_build *b)
{
	add_nodes(b, false);
}

static void counted_node_of_list_and_tree(struct btf_build *b)
{
	add_nodes(b, true);
}

/* A lock and a list of "item"s, whose node is at its start. */
static uint32_t add_list(struct btf_build *b, bool lock)
{
	uint32_t node = add_struct(b, "bpf_list_node", 0, 24), head = add_struct(b, "bpf_list_head", 0, 16), list;

	add_struct(b, "item", 1, 24);
	build_member(b, "next", node, 0);
	list = add_struct(b, "list", 2, 24);
	build_member(b, "head", head, 0);
	build_member(b, "lock", lock ? LOCK : INT, 128);
	return list;
}

static void list_of_items(struct btf_build *b)
{
	add_with_data(b, "contains:item:next", BTF_KIND_DECL_TAG, 0, add_list(b, true), 0);
}

static void list_without_lock(struct btf_build *b)
{
	add_with_data(b, "contains:item:next", BTF_KIND_DECL_TAG, 0, add_list(b, false), 0);
}

static void list_without_tag(struct btf_build *b)
{
	add_list(b, true);
}

static void list_with_two_tags(struct btf_build *b)
{
	uint32_t list = add_list(b, true);

	add_with_data(b, "contains:item:next", BTF_KIND_DECL_TAG, 0, list, 0);
	add_with_data(b, "contains:item:next", BTF_KIND_DECL_TAG, 0, list, 0);
}

static void list_of_what_is_not_there(struct btf_build *b)
{
	add_with_data(b, "contains:nothing:next", BTF_KIND_DECL_TAG, 0, add_list(b, true), 0);
}

static void list_by_a_member_that_is_not_there(struct btf_build *b)
{
	add_with_data(b, "contains:item:last", BTF_KIND_DECL_TAG, 0, add_list(b, true), 0);
}

/* Items that own lists of items. */
static void list_in_a_list(struct btf_build *b)
{
	uint32_t node = add_struct(b, "bpf_list_node", 0, 24), head = add_struct(b, "bpf_list_head", 0, 16);
	uint32_t item = add_struct(b, "item", 3, 48);

	build_member(b, "next", node, 0);
	build_member(b, "head", head, 24 * 8);
	build_member(b, "lock", LOCK, 40 * 8);
	add_with_data(b, "contains:item:next", BTF_KIND_DECL_TAG, 0, item, 1);
}

static void list_over_a_lock(struct btf_build *b)
{
	uint32_t node = add_struct(b, "bpf_list_node", 0, 24), head = add_struct(b, "bpf_list_head", 0, 16), list;

	add_struct(b, "item", 1, 24);
	build_member(b, "next", node, 0);
	list = add_struct(b, "list", 2, 24);
	build_member(b, "head", head, 0);
	build_member(b, "lock", LOCK, 64);
	add_with_data(b, "contains:item:next", BTF_KIND_DECL_TAG, 0, list, 0);
}

/* A pointer with a tag in front of what it points to; the type is named so that no kernel has it. */
static uint32_t add_pointer(struct btf_build *b, const char *tag, bool flag, const char *second)
{
	uint32_t to = add_struct(b, "zz_object", 0, 8);

	if (second)
		to = build_type(b, second, BTF_KIND_TYPE_TAG, 0, to);
	build_type(b, tag, BTF_KIND_TYPE_TAG, 0, to);
	if (flag)
		build_flag(b);
	return build_type(b, NULL, BTF_KIND_PTR, 0, b->n);
}

static void lock_beside(struct btf_build *b, uint32_t type, uint32_t size)
{
	add_struct(b, "s", 2, 8 + size);
	build_member(b, "lock", LOCK, 0);
	build_member(b, "m", type, 64);
}

static void lock_beside_a_pointer(struct btf_build *b)
{
	lock_beside(b, add_pointer(b, "kptr", false, NULL), 8);
}

static void lock_beside_a_pointer_with_an_unknown_tag(struct btf_build *b)
{
	lock_beside(b, add_pointer(b, "user", false, NULL), 8);
}

static void lock_beside_a_pointer_with_an_attribute(struct btf_build *b)
{
	lock_beside(b, add_pointer(b, "user", true, NULL), 8);
}

static void lock_beside_a_pointer_with_two_tags(struct btf_build *b)
{
	lock_beside(b, add_pointer(b, "kptr", false, "user"), 8);
}

static void pointer_to_a_number(struct btf_build *b)
{
	build_type(b, "kptr", BTF_KIND_TYPE_TAG, 0, INT);
	lock_beside(b, build_type(b, NULL, BTF_KIND_PTR, 0, b->n), 8);
}

static void pointers(struct btf_build *b, uint32_t n)
{
	uint32_t pointer = add_pointer(b, "kptr", false, NULL);

	lock_beside(b, build_array(b, pointer, INT, n), n * 8);
}

static void eleven_fields(struct btf_build *b)
{
	pointers(b, 10);
}

static void twelve_fields(struct btf_build *b)
{
	pointers(b, 11);
}

static const struct type_row types[] = {
	{ "int_of_129_bits_is_EINVAL", -EINVAL, int_of_129_bits },
	{ "int_of_an_unknown_encoding_is_ENOTSUPP", -ABI_ENOTSUPP, unknown_encoding },
	{ "array_index_that_begins_inside_a_byte_is_EINVAL", -EINVAL, index_that_begins_in_a_byte },
	{ "member_int_across_129_bits_is_EINVAL", -EINVAL, int_across_129_bits },
	{ "member_bit_field_wider_than_its_int_is_EINVAL", -EINVAL, bit_field_wider_than_its_int },
	{ "member_float_of_8_at_4_is_EINVAL", -EINVAL, float_of_8_at_4 },
	{ "member_float_of_16_at_8", 0, float_of_16_at_8 },
	{ "member_enum_beside_bit_fields_is_of_4_bytes", -EINVAL, enum_at_the_end_beside_bit_fields },

	{ "cycle_of_typedefs_is_EEXIST", -EEXIST, cycle_of_typedefs },
	{ "struct_that_points_to_itself", 0, struct_that_points_to_itself },
	{ "cycle_seen_from_a_struct_is_EEXIST", -EEXIST, cycle_seen_from_a_struct },
	{ "typedefs_32_deep", 0, typedefs_32_deep },
	{ "typedefs_33_deep_are_E2BIG", -E2BIG, typedefs_33_deep },
	{ "typedefs_of_earlier_ones_have_no_limit", 0, typedefs_of_earlier_ones },
	{ "type_tag_behind_const_is_EINVAL", -EINVAL, type_tag_behind_const },
	{ "pointer_to_an_earlier_function", 0, pointer_to_an_earlier_function },
	{ "pointer_to_a_later_function_is_EINVAL", -EINVAL, pointer_to_a_later_function },
	{ "typedef_of_a_later_function", 0, typedef_of_a_later_function },
	{ "section_before_its_variables", 0, section_before_its_variables },
	{ "section_with_a_variable_larger_than_its_place_is_EINVAL", -EINVAL, variable_larger_than_its_place },
	{ "function_with_a_parameter_without_a_name_is_EINVAL", -EINVAL, parameter_without_a_name },
	{ "tag_on_the_second_of_one_member_is_EINVAL", -EINVAL, tag_on_the_second_of_one_member },
	{ "tag_on_a_member_of_a_typedef_is_EINVAL", -EINVAL, tag_on_a_member_of_a_typedef },

	{ "two_locks_are_E2BIG", -E2BIG, two_locks },
	{ "two_locks_of_two_kinds_are_EINVAL", -EINVAL, two_locks_of_two_kinds },
	{ "lock_at_2_is_EFAULT", -EFAULT, lock_at_2 },
	{ "lock_of_another_size_is_EFAULT", -EFAULT, lock_of_another_size },
	{ "lock_beside_a_bit_field_is_EINVAL", -EINVAL, lock_beside_a_bit_field },
	{ "node_of_list_and_tree_is_EINVAL", -EINVAL, node_of_list_and_tree },
	{ "node_of_list_and_tree_that_is_counted", 0, counted_node_of_list_and_tree },
	{ "list_of_items", 0, list_of_items },
	{ "list_without_lock_is_EINVAL", -EINVAL, list_without_lock },
	{ "list_without_tag_is_EINVAL", -EINVAL, list_without_tag },
	{ "list_with_two_tags_is_EINVAL", -EINVAL, list_with_two_tags },
	{ "list_of_what_is_not_there_is_ENOENT", -ENOENT, list_of_what_is_not_there },
	{ "list_by_a_member_that_is_not_there_is_ENOENT", -ENOENT, list_by_a_member_that_is_not_there },
	{ "list_in_a_list_of_the_same_is_ELOOP", -ELOOP, list_in_a_list },
	{ "list_over_a_lock_is_EEXIST", -EEXIST, list_over_a_lock },
	{ "lock_beside_a_pointer", 0, lock_beside_a_pointer },
	{ "lock_beside_a_pointer_with_an_unknown_tag_is_EINVAL", -EINVAL, lock_beside_a_pointer_with_an_unknown_tag },
	{ "lock_beside_a_pointer_with_an_attribute", 0, lock_beside_a_pointer_with_an_attribute },
	{ "lock_beside_a_pointer_with_two_tags_is_EINVAL", -EINVAL, lock_beside_a_pointer_with_two_tags },
	{ "lock_beside_a_tagged_pointer_to_a_number_is_EINVAL", -EINVAL, pointer_to_a_number },
	{ "fields_11", 0, eleven_fields },
	{ "fields_12_are_E2BIG", -E2BIG, twelve_fields },
};

static long load_build(abi_bpf bpf, struct btf_build *b)
{
	struct btf_bytes raw = { 0 };
	union abi_attr attr = { 0 };
	long result;

	build_finish(b, &raw);
	attr.btf.btf = address(raw.data);
	attr.btf.size = (uint32_t)raw.size;
	result = call(bpf, ABI_BTF_LOAD, &attr, sizeof(attr));
	bytes_free(&raw);
	build_free(b);
	return result;
}

static void load(void **state)
{
	const struct row_test *test = *state;
	const struct type_row *row = test->row;
	struct btf_build b = { 0 };
	long fd;

	begin(&b);
	row->build(&b);
	fd = load_build(test->bpf, &b);
	if (fd >= 0)
		close((int)fd);
	assert_int_equal(fd < 0 ? fd : 0, row->expected);
}

/* Values: the type added last, in an array of one. */

struct value_row {
	const char *name;
	int lock; /* where it is; NO_LOCK */
	uint32_t size;
	void (*build)(struct btf_build *b);
};

#define NO_LOCK -1

static void lock_alone(struct btf_build *b)
{
	build_type(b, "t", BTF_KIND_TYPEDEF, 0, LOCK);
	add_struct(b, "s", 1, 4);
	build_member(b, "m", LOCK, 0);
}

static void lock_itself(struct btf_build *b)
{
	build_type(b, NULL, BTF_KIND_CONST, 0, LOCK);
}

static void lock_by_another_name(struct btf_build *b)
{
	uint32_t alias = build_type(b, "t", BTF_KIND_TYPEDEF, 0, LOCK);

	add_struct(b, "s", 1, 4);
	build_member(b, "m", alias, 0);
}

/* A value that is a typedef of const of the struct. */
static void lock_in_a_qualified_value(struct btf_build *b)
{
	lock_alone(b);
	build_type(b, NULL, BTF_KIND_CONST, 0, b->n);
	build_type(b, "t", BTF_KIND_TYPEDEF, 0, b->n);
}

static void lock_in_a_union(struct btf_build *b)
{
	uint32_t either = build_type(b, "u", BTF_KIND_UNION, 1, 4);

	build_member(b, "m", LOCK, 0);
	add_struct(b, "s", 1, 4);
	build_member(b, "u", either, 0);
}

static void array_of_locks(struct btf_build *b, uint32_t n)
{
	uint32_t locks = build_array(b, LOCK, INT, n);

	add_struct(b, "s", 2, 16);
	build_member(b, "n", INT, 0);
	build_member(b, "m", locks, 64);
}

static void no_lock_at_all(struct btf_build *b)
{
	array_of_locks(b, 0);
}

static void one_lock_in_an_array(struct btf_build *b)
{
	array_of_locks(b, 1);
}

static void two_locks_in_an_array(struct btf_build *b)
{
	array_of_locks(b, 2);
}

static void structs_around_a_lock(struct btf_build *b, uint32_t n)
{
	uint32_t inner = LOCK;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t outer = add_struct(b, "s", 1, 4);

		build_member(b, "m", inner, 0);
		inner = outer;
	}
}

static void lock_32_structs_deep(struct btf_build *b)
{
	structs_around_a_lock(b, 32);
}

static void lock_33_structs_deep(struct btf_build *b)
{
	structs_around_a_lock(b, 33);
}

static void lock_in_a_section(struct btf_build *b)
{
	add_section_of_one(b, add_with_data(b, "v", BTF_KIND_VAR, 0, LOCK, BTF_VAR_STATIC), 4);
}

static void lock_with_more_room_in_a_section(struct btf_build *b)
{
	add_section_of_one(b, add_with_data(b, "v", BTF_KIND_VAR, 0, LOCK, BTF_VAR_STATIC), 8);
}

/* Something is wrong with the fields of the whole, so there are none. */
static void lock_with_a_bit_field_outside(struct btf_build *b)
{
	uint32_t inner = add_struct(b, "inner", 1, 4);

	build_member(b, "m", LOCK, 0);
	add_struct(b, "s", 2, 8);
	build_flag(b);
	build_member(b, "m", inner, 0);
	build_member(b, "f", INT, 3 << 24 | 33);
}

static const struct value_row values[] = {
	{ "value_of_a_lock", 0, 4, lock_alone },
	{ "value_that_is_a_lock_has_none", NO_LOCK, 4, lock_itself },
	{ "value_lock_by_another_name_is_none", NO_LOCK, 4, lock_by_another_name },
	{ "value_lock_behind_qualifiers_of_the_value", 0, 4, lock_in_a_qualified_value },
	{ "value_lock_in_a_union_is_none", NO_LOCK, 4, lock_in_a_union },
	{ "value_array_of_no_lock", NO_LOCK, 16, no_lock_at_all },
	{ "value_array_of_one_lock", 8, 16, one_lock_in_an_array },
	{ "value_array_of_two_locks_is_none", NO_LOCK, 16, two_locks_in_an_array },
	{ "value_lock_32_structs_deep", 0, 4, lock_32_structs_deep },
	{ "value_lock_33_structs_deep_is_none", NO_LOCK, 4, lock_33_structs_deep },
	{ "value_lock_in_a_section", 0, 16, lock_in_a_section },
	{ "value_lock_with_more_room_in_a_section_is_none", NO_LOCK, 16, lock_with_more_room_in_a_section },
	{ "value_lock_inside_a_struct_with_bit_fields_is_none", NO_LOCK, 8, lock_with_a_bit_field_outside },
};

static void value(void **state)
{
	const struct row_test *test = *state;
	const struct value_row *row = test->row;
	unsigned char bytes[16];
	uint32_t key = 0, value_id;
	struct btf_build b = { 0 };
	int btf, fd, at = NO_LOCK;

	begin(&b);
	row->build(&b);
	value_id = b.n;
	btf = (int)load_build(test->bpf, &b);
	assert_true(btf >= 0);

	union abi_attr create = { .create = { .map_type = ABI_ARRAY,
					      .key_size = 4,
					      .value_size = row->size,
					      .max_entries = 1,
					      .btf_fd = (uint32_t)btf,
					      .btf_key_type_id = INT,
					      .btf_value_type_id = value_id } };

	fd = (int)call(test->bpf, ABI_MAP_CREATE, &create, sizeof(create));
	close(btf);
	assert_true(fd >= 0);

	union abi_attr element = { .elem = { .map_fd = (uint32_t)fd, .key = address(&key), .value = address(bytes) } };
	union abi_attr locked = element;

	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(call(test->bpf, ABI_MAP_UPDATE_ELEM, &element, sizeof(element)), 0);
	assert_int_equal(call(test->bpf, ABI_MAP_LOOKUP_ELEM, &element, sizeof(element)), 0);
	for (int i = (int)row->size; i-- > 0;)
		at = bytes[i] == 0 ? i : at;
	assert_int_equal(at, row->lock);
	locked.elem.flags = ABI_F_LOCK;
	assert_int_equal(call(test->bpf, ABI_MAP_LOOKUP_ELEM, &locked, sizeof(locked)), at == NO_LOCK ? -EINVAL : 0);
	close(fd);
}

int main(void)
{
	static const struct row_table tables[] = { ROW_TABLE(types, load), ROW_TABLE(values, value) };

	return run_tables("btf_types", tables, 2);
}
