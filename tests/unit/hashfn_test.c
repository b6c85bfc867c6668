/* SPDX-License-Identifier: MIT */
/* Hash functions: lookup3 against its published vectors, and that nothing else is read or ignored of a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/hashfn.h"
#include "core/line.h"

/* The self-test of lookup3.c, driver5: hashlittle("", 0, 0), ("", 0, 0xdeadbeef), and Four score…, seeds 0 and 1. */
static void lookup3_gives_its_published_values(void **state)
{
	const char *four_score = "Four score and seven years ago";

	(void)state;
	assert_int_equal(hash_lookup3("", 0, 0), 0xdeadbeef);
	assert_int_equal(hash_lookup3("", 0, 0xdeadbeef), 0xbd5b7dde);
	assert_int_equal(hash_lookup3(four_score, 30, 0), 0x17770551);
	assert_int_equal(hash_lookup3(four_score, 30, 1), 0xcd628161);
}

static void every_byte_of_a_key_counts(void **state)
{
	unsigned char key[64] = { 0 };

	(void)state;
	for (uint32_t size = 1; size <= sizeof(key); size++) {
		for (int ordered = 0; ordered < 2; ordered++) {
			uint64_t before = hash_key(key, size, 42, ordered);

			for (uint32_t i = 0; i < size; i++) {
				key[i] = 1;
				assert_int_not_equal(hash_key(key, size, 42, ordered), before);
				key[i] = 0;
			}
		}
	}
}

static void bytes_behind_a_key_do_not_count(void **state)
{
	unsigned char key[65];

	(void)state;
	for (uint32_t size = 1; size < sizeof(key); size++) {
		memset(key, 7, sizeof(key));
		uint64_t before = hash_key(key, size, 42, false), before3 = hash_key(key, size, 0, true);

		memset(key + size, 9, sizeof(key) - size);
		assert_int_equal(hash_key(key, size, 42, false), before);
		assert_int_equal(hash_key(key, size, 0, true), before3);
	}
}

static void the_seed_matters_unless_ordered(void **state)
{
	uint64_t key = 5;

	(void)state;
	assert_int_not_equal(hash_key(&key, 8, 1, false), hash_key(&key, 8, 2, false));
	assert_int_equal(hash_key(&key, 8, 1, true), hash_key(&key, 8, 2, true));
}

/* Sequential keys, the commonest of all, over 4096 buckets: the fullest bucket of 4 a bucket has fewer than 24. */
static void sequential_keys_spread(void **state)
{
	static unsigned fill[4096];

	(void)state;
	for (unsigned shift = 0; shift <= 32; shift += 8) {
		memset(fill, 0, sizeof(fill));
		for (uint64_t i = 0; i < 4 * 4096; i++) {
			uint64_t key = i << shift;

			fill[hash_key(&key, 8, 0x123456789abcdefull, false) & 4095]++;
		}
		for (unsigned i = 0; i < 4096; i++)
			assert_true(fill[i] < 24);
	}
}

static void tags_are_never_zero_and_carry_the_bucket(void **state)
{
	(void)state;
	for (uint64_t top = 0; top < 1ull << 32; top += 0x3ffffff) {
		for (uint32_t bucket = 0; bucket < 8; bucket++) {
			assert_int_not_equal(line_tag_of(bucket, (uint32_t)top), 0);
			assert_int_equal(line_tag_of(bucket, (uint32_t)top) & 3, bucket & 3);
		}
	}
}

static void matching_finds_exactly_the_equal_tags(void **state)
{
	(void)state;
	srand(1);
	for (int i = 0; i < 100000; i++) {
		uint64_t tags = 0;
		unsigned want = 0, got = 0;
		uint8_t tag = (uint8_t)(rand() % 4 + 1);

		for (unsigned s = 0; s < 8; s++) {
			uint8_t t = (uint8_t)(rand() % 4 == 0 ? tag : rand() % 256);

			tags |= (uint64_t)t << 8 * s;
			want |= (unsigned)(t == tag) << s;
		}
		for (line_match m = line_match_tag(tags, tag); m; m &= m - 1)
			got |= 1u << line_match_slot(m);
		assert_int_equal(got, want);
	}
}

static void a_buckets_slots_are_the_used_ones_with_its_number(void **state)
{
	(void)state;
	srand(2);
	for (int i = 0; i < 100000; i++) {
		uint64_t tags = 0;
		uint32_t want[4] = { 0 };

		for (unsigned s = 0; s < 8; s++) {
			uint8_t t = (uint8_t)(rand() % 3 == 0 ? 0 : rand() % 256);

			tags |= (uint64_t)t << 8 * s;
			if (t)
				want[t % 4] |= 1u << s;
		}
		for (unsigned bucket = 0; bucket < 4; bucket++)
			assert_int_equal(line_bucket_slots(tags, bucket), want[bucket]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookup3_gives_its_published_values),
		cmocka_unit_test(every_byte_of_a_key_counts),
		cmocka_unit_test(bytes_behind_a_key_do_not_count),
		cmocka_unit_test(the_seed_matters_unless_ordered),
		cmocka_unit_test(sequential_keys_spread),
		cmocka_unit_test(tags_are_never_zero_and_carry_the_bucket),
		cmocka_unit_test(matching_finds_exactly_the_equal_tags),
		cmocka_unit_test(a_buckets_slots_are_the_used_ones_with_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
