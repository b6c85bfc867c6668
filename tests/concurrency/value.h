/* SPDX-License-Identifier: MIT */
/*
 * Self-checking keys and values: the bytes of a value of any size follow from its 64-bit id, so a reader can tell a value
 * that was stored as one from a torn one, and learn the id. Keys are made in the same way from a small number.
 */
#ifndef TESTS_CONCURRENCY_VALUE_H
#define TESTS_CONCURRENCY_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VALUE_MAX 4096u /* largest value, in bytes, that the tests use */

/* The i-th word after the id: a different one for every (id, i), so a mixture of two values never checks. */
static inline uint64_t value_word(uint64_t id, size_t i)
{
	uint64_t x = id + 0x9e3779b97f4a7c15ull * (i + 1);

	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ull;
	return x ^ (x >> 32);
}

static inline void value_fill(void *value, size_t size, uint64_t id)
{
	unsigned char *at = value;
	uint64_t word = id;

	for (size_t i = 0; size > 0; i++) {
		size_t part = size < sizeof(word) ? size : sizeof(word);

		memcpy(at, &word, part);
		at += part;
		size -= part;
		word = value_word(id, i);
	}
}

/* The id of a value; false if its bytes aren't those of one id. A value of less than 8 bytes has an id of that size. */
static inline bool value_id(const void *value, size_t size, uint64_t *id)
{
	unsigned char expected[VALUE_MAX];

	*id = 0;
	memcpy(id, value, size < sizeof(*id) ? size : sizeof(*id));
	value_fill(expected, size, *id);
	return memcmp(value, expected, size) == 0;
}

#endif
