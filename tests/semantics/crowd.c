/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "crowd.h"
#include "memory.h"

struct state {
	uint32_t a, b, c;
};

static uint32_t rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

/* Adds up to 12 bytes, the missing ones as zeros. */
static void absorb(struct state *s, const unsigned char *bytes, size_t size)
{
	uint32_t words[3] = { 0 };

	memcpy(words, bytes, size);
	s->a += words[0];
	s->b += words[1];
	s->c += words[2];
}

static void mix(struct state *s)
{
	static const unsigned char turns[] = { 4, 6, 8, 16, 19, 4 };

	for (size_t i = 0; i < sizeof(turns); i++) {
		uint32_t a = (s->a - s->c) ^ rotate(s->c, turns[i]), c = s->c + s->b;

		/* the next step has b in the place of a, c in that of b, and a in that of c */
		*s = (struct state){ s->b, c, a };
	}
}

static void finish(struct state *s)
{
	static const unsigned char turns[] = { 14, 11, 25, 16, 4, 14, 24 };

	for (size_t i = 0; i < sizeof(turns); i++) {
		uint32_t c = (s->c ^ s->b) - rotate(s->b, turns[i]);

		/* likewise: a in the place of c, b in that of a, c in that of b */
		*s = (struct state){ s->b, c, s->a };
	}
}

uint32_t crowd_hash(const void *key, size_t size)
{
	const unsigned char *at = key;
	uint32_t start = 0xdeadbeef + (uint32_t)size;
	struct state s = { start, start, start };

	for (; size > 12; size -= 12, at += 12) {
		absorb(&s, at, 12);
		mix(&s);
	}
	if (size == 0)
		return s.c;
	absorb(&s, at, size);
	finish(&s);
	return s.b; /* after seven turns c is here */
}

uint32_t *crowd_numbers(uint32_t key_size, uint32_t max_entries, uint32_t count)
{
	uint32_t *numbers = need_memory(count * sizeof(numbers[0])), buckets = 1;
	unsigned char *key = need_memory(key_size);

	while (buckets < max_entries)
		buckets *= 2;
	for (uint32_t number = 0, found = 0; found < count; number++) {
		uint32_t bucket;

		memcpy(key, &number, sizeof(number));
		bucket = crowd_hash(key, key_size) & (buckets - 1);
		if (bucket == 0 || bucket == 2 || bucket == buckets - 1)
			numbers[found++] = number;
	}
	free(key);
	return numbers;
}
