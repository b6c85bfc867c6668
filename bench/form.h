/* SPDX-License-Identifier: MIT */
/*
 * The form of map that a table's file is compiled for. The files of both sides of the live kernel are compiled once a
 * form, so that type and sizes are constants to the compiler, and no form pays for another. meson.build defines
 *
 *	FORM		the end of the tables' names: hash, percpu_hash, …
 *	FORM_ARRAY	keys are indexes
 *	FORM_PERCPU	a value for each CPU: commands copy all of them
 *	FORM_LOCKED	values of 64 bytes with a spin lock: every copy goes with BPF_F_LOCK
 *	FORM_LRU	evicts; has room for its keys and for what CPUs keep free
 *	FORM_OWN	of these: with BPF_F_NO_COMMON_LRU, each CPU's share has that room
 *	FORM_S3FIFO	of these: the engine's other eviction
 *
 * With none of them: HASH, 8-byte keys and values. The peers are of this form. Also C++.
 */
#ifndef BENCH_FORM_H
#define BENCH_FORM_H

#include <linux/bpf.h>

#include "keys.h"

#define FORM_JOIN(name, form)  name##_##form
#define FORM_NAMED(name, form) FORM_JOIN(name, form)
#define FORM_TABLE(name)       FORM_NAMED(name, FORM) /* kernel -> kernel_percpu_hash */

#ifdef FORM_ARRAY
typedef uint32_t form_key;
#define FORM_KEYS	 KEYS_INDEXES
#define FORM_INSERT	 BPF_ANY /* an index is always present */
#define FORM_PLAIN_TYPE	 BPF_MAP_TYPE_ARRAY
#define FORM_PERCPU_TYPE BPF_MAP_TYPE_PERCPU_ARRAY
#else
typedef uint64_t form_key;
#define FORM_KEYS   KEYS_RANDOM
#define FORM_INSERT BPF_NOEXIST
#ifdef FORM_LRU
#define FORM_PLAIN_TYPE	 BPF_MAP_TYPE_LRU_HASH
#define FORM_PERCPU_TYPE BPF_MAP_TYPE_LRU_PERCPU_HASH
#else
#define FORM_PLAIN_TYPE	 BPF_MAP_TYPE_HASH
#define FORM_PERCPU_TYPE BPF_MAP_TYPE_PERCPU_HASH
#endif
#endif

#ifdef FORM_OWN
enum { FORM_MAP_FLAGS = BPF_F_NO_COMMON_LRU };
#else
enum { FORM_MAP_FLAGS = 0 };
#endif

/* A value in a caller's buffer is VALUE_WORDS words: of a per-CPU type, one a CPU. A program's is this CPU's alone: its
 * file defines FORM_THIS_CPU. */
#ifdef FORM_LOCKED
enum { FORM_FLAGS = BPF_F_LOCK, VALUE_SIZE = 64, VALUE_FIRST = 1 }; /* word 0 is the lock's, and reads as 0 */
#else
enum { FORM_FLAGS = 0, VALUE_SIZE = 8, VALUE_FIRST = 0 };
#endif

#ifdef FORM_PERCPU
#define FORM_TYPE FORM_PERCPU_TYPE
#else
#define FORM_TYPE FORM_PLAIN_TYPE
#endif

#if defined(FORM_PERCPU) && !defined(FORM_THIS_CPU)
#define VALUE_WORDS	keys_cpus()
#define VALUE_MAX_WORDS KEYS_MAX_CPUS
#else
#define VALUE_WORDS	((size_t)VALUE_SIZE / sizeof(uint64_t))
#define VALUE_MAX_WORDS (VALUE_SIZE / sizeof(uint64_t))
#endif

static inline void value_make(uint64_t *value, size_t words, uint64_t key, uint32_t generation)
{
	if (VALUE_FIRST)
		value[0] = 0;
	for (size_t i = VALUE_FIRST; i < words; i++)
		value[i] = value_for(key, generation);
}

/* Whether every word is the key's, whoever wrote it. */
static inline bool value_is_right(const uint64_t *value, size_t words, uint64_t key)
{
	bool right = !VALUE_FIRST || value[0] == 0;

	for (size_t i = VALUE_FIRST; i < words; i++)
		right &= value_fits(value[i], key);
	return right;
}

/* Whether every word was written by this generation. */
static inline bool value_is_of(const uint64_t *value, size_t words, uint64_t key, uint32_t generation)
{
	bool right = !VALUE_FIRST || value[0] == 0;

	for (size_t i = VALUE_FIRST; i < words; i++)
		right &= value[i] == value_for(key, generation);
	return right;
}

/* The entries of a map that holds n keys. */
static inline uint32_t form_entries(size_t n)
{
#ifdef FORM_LRU
	n = keys_lru_share(n);
#endif
	return (uint32_t)(FORM_MAP_FLAGS & BPF_F_NO_COMMON_LRU ? n * keys_cpus() : n);
}

/* n keys of a stream in the map's size, for a batch: the stream itself, or made in room. */
static inline const void *form_keys(const uint64_t *stream, form_key *room, size_t n)
{
#ifdef FORM_ARRAY
	for (size_t i = 0; i < n; i++)
		room[i] = (form_key)stream[i];
	return room;
#else
	(void)room;
	(void)n;
	return stream;
#endif
}

#endif
