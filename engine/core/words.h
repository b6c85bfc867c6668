/* SPDX-License-Identifier: MIT */
/*
 * Values as atomic words: how bytes that others may write at the same time are copied in and out.
 *
 * The shared side is 8-byte aligned and its stride is a multiple of 8, so a value is a run of whole words. Each word is
 * one relaxed atomic access: never torn, and no data race in the language's sense; what orders or validates the words
 * among each other is the caller's business. The caller's side is plain bytes of any size and alignment.
 *
 * The last word of a value whose size is no multiple of 8 is stored whole, padded with zeros, and loaded whole. The _exact
 * stores leave the bytes behind the value as they are: they store that last word in pieces of 4, 2 and 1 bytes, which a load
 * in between may see one without the other.
 */
#ifndef ENGINE_CORE_WORDS_H
#define ENGINE_CORE_WORDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Words alias whatever type a program keeps in its values. */
typedef uint64_t __attribute__((may_alias)) word_t;
typedef uint32_t __attribute__((may_alias)) word32_t;
typedef uint16_t __attribute__((may_alias)) word16_t;

#define WORDS_INLINE static inline __attribute__((always_inline))

/* The room a value takes on the shared side. */
WORDS_INLINE size_t words_stride(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

/*
 * The bytes of a partial word, 0 < size < 8, from and to the caller's side. Put together in a register from pieces that
 * overlap: through memory, the load of the whole would wait for the stores of its parts.
 */
WORDS_INLINE uint64_t tail_in(const unsigned char *src, size_t size)
{
	uint32_t first, last;

	if (size < 4)
		return src[0] | (uint64_t)src[size / 2] << 8 * (size / 2) | (uint64_t)src[size - 1] << 8 * (size - 1);
	memcpy(&first, src, 4);
	memcpy(&last, src + size - 4, 4);
	return first | (uint64_t)last << 8 * (size - 4);
}

WORDS_INLINE void tail_out(unsigned char *dst, uint64_t word, size_t size)
{
	uint32_t first = (uint32_t)word, last = (uint32_t)(word >> 8 * ((size - 4) & 7));

	if (size < 4) {
		dst[0] = (unsigned char)word;
		dst[size / 2] = (unsigned char)(word >> 8 * (size / 2));
		dst[size - 1] = (unsigned char)(word >> 8 * (size - 1));
		return;
	}
	memcpy(dst, &first, 4);
	memcpy(dst + size - 4, &last, 4);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "partial words are put together with the first byte lowest");

/* One whole word, out and in. relaxed: the caller orders, validates or publishes the value as a whole */
WORDS_INLINE void word_load(unsigned char *dst, const word_t *word)
{
	uint64_t copy = __atomic_load_n(word, __ATOMIC_RELAXED);

	memcpy(dst, &copy, 8);
}

WORDS_INLINE void word_store(word_t *word, const unsigned char *src)
{
	uint64_t copy;

	memcpy(&copy, src, 8);
	__atomic_store_n(word, copy, __ATOMIC_RELAXED);
}

WORDS_INLINE void words_load(void *dst, const void *words, size_t size)
{
	const word_t *word = words;
	unsigned char *out = dst;

	for (; size >= 32; size -= 32, word += 4, out += 32) {
		word_load(out, &word[0]);
		word_load(out + 8, &word[1]);
		word_load(out + 16, &word[2]);
		word_load(out + 24, &word[3]);
	}
	for (; size >= 8; size -= 8, word++, out += 8)
		word_load(out, word);
	if (size)
		tail_out(out, __atomic_load_n(word, __ATOMIC_RELAXED), size); /* relaxed: as word_load */
}

/* The whole words of a value. Returns how many bytes they are. */
WORDS_INLINE size_t whole_words_store(void *words, const void *src, size_t size)
{
	word_t *word = words;
	const unsigned char *in = src;
	size_t left = size;

	for (; left >= 32; left -= 32, word += 4, in += 32) {
		word_store(&word[0], in);
		word_store(&word[1], in + 8);
		word_store(&word[2], in + 16);
		word_store(&word[3], in + 24);
	}
	for (; left >= 8; left -= 8, word++, in += 8)
		word_store(word, in);
	return size - left;
}

WORDS_INLINE void words_store(void *words, const void *src, size_t size)
{
	size_t done = whole_words_store(words, src, size), left = size - done;

	if (left)
		__atomic_store_n((word_t *)words + done / 8, tail_in((const unsigned char *)src + done, left),
				 __ATOMIC_RELAXED); /* relaxed: as word_store */
}

/* The first bytes of a word, 0 < size < 8. relaxed: as word_store */
WORDS_INLINE void tail_store(word_t *word, uint64_t bytes, size_t size)
{
	unsigned char *to = (unsigned char *)word;

	if (size & 4) {
		__atomic_store_n((word32_t *)to, (uint32_t)bytes, __ATOMIC_RELAXED);
		to += 4;
		bytes >>= 32;
	}
	if (size & 2) {
		__atomic_store_n((word16_t *)to, (uint16_t)bytes, __ATOMIC_RELAXED);
		to += 2;
		bytes >>= 16;
	}
	if (size & 1)
		__atomic_store_n(to, (unsigned char)bytes, __ATOMIC_RELAXED);
}

WORDS_INLINE void words_store_exact(void *words, const void *src, size_t size)
{
	size_t done = whole_words_store(words, src, size), left = size - done;

	if (left)
		tail_store((word_t *)words + done / 8, tail_in((const unsigned char *)src + done, left), left);
}

/* words_store_exact of zeros. */
WORDS_INLINE void words_clear_exact(void *words, size_t size)
{
	word_t *word = words;

	for (; size >= 8; size -= 8, word++)
		__atomic_store_n(word, 0, __ATOMIC_RELAXED); /* relaxed: as word_store */
	if (size)
		tail_store(word, 0, size);
}

#endif
