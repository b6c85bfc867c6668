/* SPDX-License-Identifier: MIT */
/*
 * Lines: one cache line of the hash index holds 8 slots for 4 neighbouring kernel-visible buckets.
 *
 *   commit.first   {version: low 32, overflow: high 32}
 *   commit.second  tag[8], one byte a slot
 *   index[8]
 *
 *   tag != 0               the slot is part of the map, index is its element
 *   tag == 0, index == 0   free
 *   tag == 0, index != 0   claimed by a writer on its way in, or by a deleter on its way out
 *   overflow != 0          root of an immutable chain of overflow nodes (overflow.h)
 *
 * All that readers see of the map's membership is in the commit word, and changes by one double-word CAS that moves the
 * version: the linearization point of every insert, delete and replacement by commit.
 *
 * A tag is {6 bits of the hash, never 0 | 2 bits: which of the line's 4 buckets}, so walks know the bucket without
 * hashing.
 */
#ifndef ENGINE_CORE_LINE_H
#define ENGINE_CORE_LINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "core/commit.h"
#include "core/testpoint.h"

#define LINE_SLOTS   8
#define LINE_BUCKETS 4

struct line {
	struct pair commit;
	_Atomic uint32_t index[LINE_SLOTS];
	uint32_t unused[4]; /* to the end of the cache line */
};

_Static_assert(sizeof(struct line) == 64, "one cache line");

/* A snapshot of the commit word, and what it says. */
typedef struct pair_value line_word;

static inline uint32_t line_overflow(line_word w)
{
	return (uint32_t)(w.first >> 32);
}

static inline uint8_t line_tag(line_word w, unsigned slot)
{
	return (uint8_t)(w.second >> 8 * slot);
}

/* The commit words that follow w. */
static inline line_word line_bump(line_word w)
{
	w.first = (w.first & ~0xffffffffull) | (uint32_t)(w.first + 1);
	return w;
}

static inline line_word line_with_tag(line_word w, unsigned slot, uint8_t tag)
{
	w.second = (w.second & ~(0xffull << 8 * slot)) | (uint64_t)tag << 8 * slot;
	return w;
}

static inline line_word line_with_overflow(line_word w, uint32_t root)
{
	w.first = (uint32_t)w.first | (uint64_t)root << 32;
	return w;
}

/* Reads both halves: a snapshot only once line_moved() has said no. Acquire: what was prepared before the commit that
 * wrote them is visible. */
static inline line_word line_read(const struct line *line)
{
	line_word w;

	w.first = atomic_load_explicit(&line->commit.first, memory_order_acquire);
	TEST_POINT(TP_SNAPSHOT);
	w.second = atomic_load_explicit(&line->commit.second, memory_order_acquire);
	TEST_POINT(TP_SNAPSHOT);
	return w;
}

/* Whether a commit came since w was read: then whatever was read meanwhile proves nothing. */
static inline bool line_moved(const struct line *line, line_word w)
{
	TEST_POINT(TP_DATA);
	/* acquire fence: the data read before this call was read before the version is read again */
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&line->commit.first, memory_order_relaxed) != w.first;
}

/* The slots with a tag: a set to take slots from, lowest first, by line_match_slot() and m &= m - 1. */
#if defined(__SSE2__) && !defined(USERMAP_PORTABLE)
typedef uint32_t line_match; /* bit slot */
static inline line_match line_match_tag(uint64_t tags, uint8_t tag)
{
	long long spread = (long long)(tag * 0x0101010101010101ull);
	__m128i equal = _mm_cmpeq_epi8(_mm_cvtsi64_si128((long long)tags), _mm_cvtsi64_si128(spread));

	return (uint32_t)_mm_movemask_epi8(equal) & 0xff;
}
static inline unsigned line_match_slot(line_match m)
{
	return (unsigned)__builtin_ctz(m);
}
#else
typedef uint64_t line_match; /* bit 8 * slot + 7 */
static inline line_match line_match_tag(uint64_t tags, uint8_t tag)
{
	uint64_t x = tags ^ tag * 0x0101010101010101ull, low7 = 0x7f7f7f7f7f7f7f7full;

	return ~(((x & low7) + low7) | x | low7); /* exactly the bytes that are zero */
}
static inline unsigned line_match_slot(line_match m)
{
	return (unsigned)__builtin_ctzll(m) / 8;
}
#endif

/* The slots of one of the line's 4 buckets, as bit slot. */
static inline uint32_t line_bucket_slots(uint64_t tags, unsigned bucket)
{
	const uint64_t ones = 0x0101010101010101ull, low7 = 0x7f * ones;
	uint64_t other =
		(tags ^ bucket * ones) & 3 * ones; /* bytes that are zero belong to the bucket, if they are used */
	uint64_t ours = ~(other + low7) & (((tags & low7) + low7) | tags); /* bit 7 of each byte, the rest is noise */

	return (uint32_t)(((ours >> 7) & ones) * 0x0102040810204080ull >> 56);
}

/* The tag of a hash. The bucket's low bits tell the line's buckets apart; the top bits are the rest. */
static inline uint8_t line_tag_of(uint32_t bucket, uint32_t top)
{
	uint32_t six = top >> 26;

	six += six == 0;
	return (uint8_t)(six << 2 | (bucket & 3));
}

#endif
