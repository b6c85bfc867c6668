/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/sha256.h"
#include "core/words.h"

#define BLOCK 64u

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static inline uint32_t get_be32(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static inline void put_be32(unsigned char *bytes, uint32_t x)
{
	bytes[0] = (unsigned char)(x >> 24);
	bytes[1] = (unsigned char)(x >> 16);
	bytes[2] = (unsigned char)(x >> 8);
	bytes[3] = (unsigned char)x;
}

/* The message schedule: 16 words of the block, stretched to 64. */
static void stretch(uint32_t w[64], const unsigned char block[BLOCK])
{
	for (unsigned i = 0; i < 16; i++)
		w[i] = get_be32(block + 4 * i);
	for (unsigned i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
		       (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
}

static void compress(uint32_t state[8], const unsigned char block[BLOCK])
{
	uint32_t w[64], s[8]; /* s: the variables a to h of the standard */

	stretch(w, block);
	memcpy(s, state, sizeof(s));
	for (unsigned i = 0; i < 64; i++) {
		uint32_t e = s[4], a = s[0];
		uint32_t one = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & s[5]) ^ (~e & s[6])) +
			       k[i] + w[i];
		uint32_t two =
			(rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(s[0]));
		s[4] += one;
		s[0] = one + two;
	}
	for (unsigned i = 0; i < 8; i++)
		state[i] += s[i];
}

void sha256_words(const void *words, uint64_t size, unsigned char digest[SHA256_SIZE])
{
	/* The first 32 bits of the fractional parts of the square roots of the first 8 primes. */
	uint32_t state[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};
	const unsigned char *at = words;
	uint64_t rest = size;
	unsigned char block[BLOCK];

	for (; rest >= BLOCK; rest -= BLOCK, at += BLOCK) {
		words_load(block, at, BLOCK);
		compress(state, block);
	}
	/* The end: a one bit, zeros, and the length in bits, in one more block or two. */
	words_load(block, at, rest);
	memset(block + rest, 0, BLOCK - rest);
	block[rest] = 0x80;
	if (rest >= BLOCK - 8) {
		compress(state, block);
		memset(block, 0, BLOCK);
	}
	put_be32(block + BLOCK - 8, (uint32_t)(size >> 29));
	put_be32(block + BLOCK - 4, (uint32_t)(size << 3));
	compress(state, block);
	for (unsigned i = 0; i < 8; i++)
		put_be32(digest + 4 * i, state[i]);
}
