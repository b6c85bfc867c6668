/* SPDX-License-Identifier: MIT */
/*
 * The BTF parser on bytes that nobody vouches for, each in a block of exactly their size, so that AddressSanitizer sees
 * the first byte too far. What is right and what is wrong is for the live kernel to say (tests/semantics).
 */
#include <stdlib.h>
#include <string.h>

#include "../semantics/btf_build.h"
#include "../semantics/btf_generate.h"
#include "core/btf.h"
#include "core/errno.h"
#include "support.h"

#define ANY_FIELD UINT32_MAX

/* Asks everything that can be asked. */
static void use(const struct btf *btf, uint32_t n_types)
{
	for (uint32_t id = 0; id < n_types + 3; id++) {
		struct btf_fields fields;
		uint32_t to = id, size;

		btf_type_is_int32(btf, id);
		if (btf_type_size(btf, &to, &size))
			assert_int_not_equal(btf_type_kind(btf, to), BTF_KIND_UNKN);
		if (btf_find_fields(btf, id, BTF_FIELDS_OF_VALUES, &fields) == 0)
			assert_true(fields.n <= BTF_FIELDS_MAX && !fields.n == !fields.kinds);
	}
	btf_type_is_int32(btf, UINT32_MAX);
}

static int try(const void *data, size_t size, uint32_t n_types)
{
	struct btf_fault fault = { NULL, UINT32_MAX };
	void *block = malloc(size ? size : 1); /* of 0 bytes there is none of exactly that size */
	struct btf *btf;
	int error;

	assert_non_null(block);
	memcpy(block, data, size);
	error = btf_open(block, size, &btf, &fault);
	if (error) {
		assert_non_null(fault.what);
		assert_true(fault.type_id <= n_types + size / 12);
	} else {
		use(btf, n_types);
		btf_close(btf);
	}
	free(block);
	return error;
}

/* Something of everything: a value with a lock in a struct in an array, a section, functions, tags, a list. */
static uint32_t make_rich(struct btf_bytes *raw)
{
	struct btf_build b = { 0 };
	uint32_t number = build_int(&b, "int", 4), lock, inner, array, proto, var, node, head;

	lock = build_type(&b, "bpf_spin_lock", BTF_KIND_STRUCT, 1, 4);
	build_member(&b, "val", number, 0);
	inner = build_type(&b, "inner", BTF_KIND_STRUCT, 2, 8);
	build_member(&b, "n", number, 0);
	build_member(&b, "lock", lock, 32);
	array = build_array(&b, inner, number, 1);
	build_type(&b, "value", BTF_KIND_STRUCT, 2, 24);
	build_member(&b, "n", number, 0);
	build_member(&b, "inner", array, 96);
	build_type(&b, "t", BTF_KIND_TYPEDEF, 0, b.n);
	build_type(&b, NULL, BTF_KIND_PTR, 0, b.n);
	build_type(&b, "tag", BTF_KIND_TYPE_TAG, 0, inner);
	proto = build_type(&b, NULL, BTF_KIND_FUNC_PROTO, 2, number);
	build_word(&b, build_string(&b, "arg"));
	build_word(&b, number);
	build_word(&b, 0);
	build_word(&b, 0);
	build_type(&b, "f", BTF_KIND_FUNC, BTF_FUNC_GLOBAL, proto);
	var = build_type(&b, "v", BTF_KIND_VAR, 0, inner);
	build_word(&b, BTF_VAR_STATIC);
	build_type(&b, ".data", BTF_KIND_DATASEC, 1, 8);
	build_word(&b, var);
	build_word(&b, 0);
	build_word(&b, 8);
	build_type(&b, "e", BTF_KIND_ENUM, 1, 4);
	build_word(&b, build_string(&b, "E"));
	build_word(&b, 1);
	build_type(&b, "e64", BTF_KIND_ENUM64, 1, 8);
	build_word(&b, build_string(&b, "E64"));
	build_word(&b, 1);
	build_word(&b, 2);
	build_type(&b, "double", BTF_KIND_FLOAT, 0, 8);
	build_type(&b, "fwd", BTF_KIND_FWD, 0, 0);
	node = build_type(&b, "bpf_list_node", BTF_KIND_STRUCT, 0, 24);
	head = build_type(&b, "bpf_list_head", BTF_KIND_STRUCT, 0, 16);
	build_type(&b, "item", BTF_KIND_STRUCT, 1, 24);
	build_member(&b, "next", node, 0);
	build_type(&b, "list", BTF_KIND_STRUCT, 2, 24);
	build_member(&b, "head", head, 0);
	build_member(&b, "lock", lock, 128);
	build_type(&b, "contains:item:next", BTF_KIND_DECL_TAG, 0, b.n);
	build_word(&b, 0);
	build_finish(&b, raw);
	build_free(&b);
	return b.n + 30;
}

static void every_kind_is_taken(void **state)
{
	struct btf_bytes raw = { 0 };
	uint32_t n = make_rich(&raw);

	(void)state;
	assert_int_equal(try(raw.data, raw.size, n), 0);
	bytes_free(&raw);
}

static void cut_at_every_byte_it_is_EINVAL(void **state)
{
	struct btf_bytes raw = { 0 };
	uint32_t n = make_rich(&raw);

	(void)state;
	for (size_t size = 0; size < raw.size; size++)
		assert_int_equal(try(raw.data, size, n), -EINVAL);
	bytes_free(&raw);
}

/* The strings' end moves with the data's. */
static void with_types_cut_at_every_byte_it_is_refused(void **state)
{
	struct btf_bytes raw = { 0 };
	struct btf_header header;
	uint32_t n = make_rich(&raw);

	(void)state;
	memcpy(&header, raw.data, sizeof(header));
	for (uint32_t cut = 1; cut < header.type_len; cut++) {
		struct btf_bytes less = { 0 };
		struct btf_header shorter = header;

		shorter.type_len = shorter.str_off = header.type_len - cut;
		bytes_add(&less, &shorter, sizeof(shorter));
		bytes_add(&less, raw.data + sizeof(header), shorter.type_len);
		bytes_add(&less, raw.data + sizeof(header) + header.type_len, header.str_len);
		if (cut % 4)
			assert_int_equal(try(less.data, less.size, n), -EINVAL);
		else
			try(less.data, less.size, n); /* may be all of a smaller one */
		bytes_free(&less);
	}
	bytes_free(&raw);
}

static void with_any_byte_changed_it_is_taken_or_refused(void **state)
{
	struct btf_bytes raw = { 0 };
	uint32_t n = make_rich(&raw);

	(void)state;
	for (size_t at = 0; at < raw.size; at++) {
		unsigned char was = raw.data[at];

		for (unsigned to = 0; to < 256; to += 1 + (unsigned)support_random_below(8)) {
			raw.data[at] = (unsigned char)to;
			try(raw.data, raw.size, n);
		}
		raw.data[at] = was;
	}
	bytes_free(&raw);
}

static void bytes_of_chance_are_taken_or_refused(void **state)
{
	struct btf_bytes raw = { 0 };

	(void)state;
	for (int i = 0; i < 4000; i++) {
		uint32_t n = btf_generate(support_random(), &raw);

		for (uint64_t times = support_random_below(4); times && raw.size; times--)
			raw.data[support_random_below(raw.size)] = (unsigned char)support_random();
		try(raw.data, raw.size, n);
	}
	bytes_free(&raw);
}

static void without_memory_it_is_ENOMEM(void **state)
{
	struct btf_bytes raw = { 0 };
	struct btf_fields fields;
	struct btf_fault fault;
	struct btf *btf;
	unsigned n;

	(void)state;
	make_rich(&raw);
	support_fail_nth(0);
	assert_int_equal(btf_open(raw.data, raw.size, &btf, &fault), 0);
	n = support_acquisitions();
	assert_true(n >= 3);
	for (unsigned i = 1; i <= n; i++) {
		struct btf *none;

		support_fail_nth(i);
		assert_int_equal(btf_open(raw.data, raw.size, &none, &fault), -ENOMEM);
	}
	support_fail_nth(1);
	assert_int_equal(btf_find_fields(btf, 1, ANY_FIELD, &fields), -ENOMEM);
	support_fail_nth(0);
	btf_close(btf);
	bytes_free(&raw);
}

/* Structs that each hold the next one twice, at the same place: there are 2^30 ways down. */
static void structs_at_more_places_than_there_is_time_for(void **state)
{
	struct btf_build build = { 0 };
	struct btf_bytes raw = { 0 };
	struct btf_fields fields;
	struct btf_fault fault;
	struct btf *btf;
	uint32_t id = build_int(&build, "int", 4);

	(void)state;
	for (int depth = 0; depth < 31; depth++) {
		uint32_t holder = build_type(&build, "s", BTF_KIND_STRUCT, 2, 4);

		build_member(&build, "a", id, 0);
		build_member(&build, "b", id, 0);
		id = holder;
	}
	build_finish(&build, &raw);
	assert_int_equal(btf_open(raw.data, raw.size, &btf, &fault), 0);
	assert_int_equal(btf_find_fields(btf, id, ANY_FIELD, &fields), 0);
	assert_int_equal(fields.n, 0);
	btf_close(btf);
	bytes_free(&raw);
	build_free(&build);
}

static void fields_are_told_where_they_are_in_the_whole(void **state)
{
	struct btf_bytes raw = { 0 };
	struct btf_fields fields;
	struct btf_fault fault;
	struct btf *btf;

	(void)state;
	make_rich(&raw);
	assert_int_equal(btf_open(raw.data, raw.size, &btf, &fault), 0);
	assert_int_equal(btf_find_fields(btf, 5, BTF_FIELDS_OF_VALUES, &fields), 0); /* value */
	assert_int_equal(fields.n, 1);
	assert_int_equal(fields.kinds, BTF_FIELD_SPIN_LOCK);
	assert_int_equal(fields.field[0].offset, 16);
	assert_int_equal(btf_find_fields(btf, 5, BTF_FIELDS_OF_VALUES & ~(uint32_t)BTF_FIELD_SPIN_LOCK, &fields), 0);
	assert_int_equal(fields.n, 0);
	assert_int_equal(btf_find_fields(btf, 1, BTF_FIELDS_OF_VALUES, &fields), -EINVAL); /* an int has no members */
	btf_close(btf);
	bytes_free(&raw);
}

static void a_fault_names_the_type(void **state)
{
	struct btf_build build = { 0 };
	struct btf_bytes raw = { 0 };
	struct btf_fault fault;
	struct btf *btf;

	(void)state;
	build_int(&build, "int", 4);
	build_type(&build, NULL, BTF_KIND_PTR, 0, 7);
	build_finish(&build, &raw);
	assert_int_equal(btf_open(raw.data, raw.size, &btf, &fault), -EINVAL);
	assert_int_equal(fault.type_id, 2);
	bytes_free(&raw);
	build_free(&build);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_is_taken),
		cmocka_unit_test(cut_at_every_byte_it_is_EINVAL),
		cmocka_unit_test(with_types_cut_at_every_byte_it_is_refused),
		cmocka_unit_test(with_any_byte_changed_it_is_taken_or_refused),
		cmocka_unit_test(bytes_of_chance_are_taken_or_refused),
		cmocka_unit_test(without_memory_it_is_ENOMEM),
		cmocka_unit_test(structs_at_more_places_than_there_is_time_for),
		cmocka_unit_test(fields_are_told_where_they_are_in_the_whole),
		cmocka_unit_test(a_fault_names_the_type),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
