/* SPDX-License-Identifier: MIT */
/* core/words.h: every size at every alignment of the caller's side, and no torn words. */
#include "support.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "core/words.h"

#define MAX_SIZE 300
#define CANARY	 0xa5

static void fill_random(unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)support_random();
}

static bool all_canary(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != CANARY)
			return false;
	return true;
}

static void stride_is_the_next_multiple_of_8(void **unused)
{
	(void)unused;
	for (size_t size = 0; size <= MAX_SIZE; size++) {
		assert_true(words_stride(size) >= size && words_stride(size) < size + 8);
		assert_int_equal(words_stride(size) % 8, 0);
	}
}

static void load_copies_exactly_size_bytes(void **unused)
{
	_Alignas(8) unsigned char shared[MAX_SIZE + 8];
	unsigned char out[MAX_SIZE + 32];

	(void)unused;
	for (size_t size = 0; size <= MAX_SIZE; size++) {
		for (size_t align = 0; align < 8; align++) {
			unsigned char *dst = out + 8 + align;

			fill_random(shared, sizeof(shared));
			memset(out, CANARY, sizeof(out));
			words_load(dst, shared, size);
			assert_memory_equal(dst, shared, size);
			assert_true(all_canary(out, (size_t)(dst - out)));
			assert_true(all_canary(dst + size, sizeof(out) - (size_t)(dst - out) - size));
		}
	}
}

static void store_pads_the_last_word_with_zeros_and_touches_no_other(void **unused)
{
	static const unsigned char zeros[8];
	_Alignas(8) unsigned char shared[MAX_SIZE + 24];
	unsigned char in[MAX_SIZE + 8];

	(void)unused;
	for (size_t size = 0; size <= MAX_SIZE; size++) {
		for (size_t align = 0; align < 8; align++) {
			size_t stride = words_stride(size);

			fill_random(in, sizeof(in));
			memset(shared, CANARY, sizeof(shared));
			words_store(shared + 8, in + align, size);
			assert_memory_equal(shared + 8, in + align, size);
			assert_memory_equal(shared + 8 + size, zeros, stride - size);
			assert_true(all_canary(shared, 8));
			assert_true(all_canary(shared + 8 + stride, sizeof(shared) - 8 - stride));
		}
	}
}

static void exact_stores_touch_exactly_size_bytes(void **unused)
{
	_Alignas(8) unsigned char shared[MAX_SIZE + 24];
	unsigned char in[MAX_SIZE + 8], zeros[MAX_SIZE] = { 0 };

	(void)unused;
	for (size_t size = 0; size <= MAX_SIZE; size++) {
		for (size_t align = 0; align < 8; align++) {
			fill_random(in, sizeof(in));
			memset(shared, CANARY, sizeof(shared));
			words_store_exact(shared + 8, in + align, size);
			assert_memory_equal(shared + 8, in + align, size);
			assert_true(all_canary(shared, 8));
			assert_true(all_canary(shared + 8 + size, sizeof(shared) - 8 - size));
		}
		memset(shared, CANARY, sizeof(shared));
		words_clear_exact(shared + 8, size);
		assert_memory_equal(shared + 8, zeros, size);
		assert_true(all_canary(shared, 8));
		assert_true(all_canary(shared + 8 + size, sizeof(shared) - 8 - size));
	}
}

static void constant_sizes_behave_like_variable_ones(void **unused)
{
	_Alignas(8) unsigned char shared[64], again[64];
	unsigned char in[64], out[64];

	(void)unused;
	fill_random(in, sizeof(in));
#define CHECK(size)                                                 \
	do {                                                        \
		volatile size_t variable = size;                    \
		memset(shared, CANARY, sizeof(shared));             \
		memset(again, CANARY, sizeof(again));               \
		words_store(shared, in, size);                      \
		words_store(again, in, variable);                   \
		assert_memory_equal(shared, again, sizeof(shared)); \
		words_load(out, shared, size);                      \
		assert_memory_equal(out, in, size);                 \
	} while (0)
	CHECK(1);
	CHECK(2);
	CHECK(3);
	CHECK(4);
	CHECK(7);
	CHECK(8);
	CHECK(12);
	CHECK(16);
	CHECK(33);
	CHECK(63);
	CHECK(64);
#undef CHECK
}

/* A word is written with all its bytes equal; a reader that sees two different ones has seen a torn word. */
#define TEAR_WORDS  16
#define TEAR_SIZE   (TEAR_WORDS * 8 + 5)
#define TEAR_ROUNDS 200000

static _Alignas(64) unsigned char contended[TEAR_WORDS * 8 + 8];

static void *write_uniform(void *unused)
{
	unsigned char value[TEAR_SIZE];

	for (unsigned round = 0; round < TEAR_ROUNDS; round++) {
		memset(value, (int)(round & 0xff), sizeof(value));
		words_store(contended, value, sizeof(value));
	}
	return unused;
}

static void words_are_never_torn(void **unused)
{
	unsigned char value[TEAR_SIZE];
	pthread_t writer;
	unsigned torn = 0;

	(void)unused;
	assert_int_equal(pthread_create(&writer, NULL, write_uniform, NULL), 0);
	for (unsigned round = 0; round < TEAR_ROUNDS; round++) {
		words_load(value, contended, sizeof(value));
		for (size_t i = 0; i < sizeof(value); i++)
			torn += value[i] != value[i & ~(size_t)7];
	}
	pthread_join(writer, NULL);
	assert_int_equal(torn, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stride_is_the_next_multiple_of_8),
		cmocka_unit_test(load_copies_exactly_size_bytes),
		cmocka_unit_test(store_pads_the_last_word_with_zeros_and_touches_no_other),
		cmocka_unit_test(exact_stores_touch_exactly_size_bytes),
		cmocka_unit_test(constant_sizes_behave_like_variable_ones),
		cmocka_unit_test(words_are_never_torn),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
