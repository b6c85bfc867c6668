/* SPDX-License-Identifier: MIT */
/*
 * The loops of a table (table.h), made from four inline operations that the including file defines first:
 *
 *	static inline bool table_lookup(void *table, uint64_t key, uint64_t *value);	    present: copies the value
 *	static inline bool table_insert(void *table, uint64_t key, const uint64_t *value);  false if present
 *	static inline bool table_update(void *table, uint64_t key, const uint64_t *value);  inserts or overwrites
 *	static inline bool table_delete(void *table, uint64_t key);			    false if absent
 *
 * A value is the VALUE_WORDS words of form.h. LOOP_ENTER and LOOP_LEAVE stand around each loop, for tables whose users work
 * in long read-side sections. Also C++.
 */
#include "form.h"
#include "table.h"

#ifndef LOOP_ENTER
#define LOOP_ENTER() ((void)0)
#define LOOP_LEAVE() ((void)0)
#endif

/* A file that defines LOOP_HOLDS has its own way to tell whether a value was written by this generation. */
#ifndef LOOP_HOLDS
static inline bool table_holds(void *table, uint64_t key, uint32_t generation)
{
	uint64_t value[VALUE_MAX_WORDS];

	return table_lookup(table, key, value) && value_is_of(value, VALUE_WORDS, key, generation);
}
#endif

static inline bool loop_finds(void *table, uint64_t key)
{
	uint64_t value[VALUE_MAX_WORDS];

	return table_lookup(table, key, value) && value_is_right(value, VALUE_WORDS, key);
}

static inline bool loop_inserts(void *table, uint64_t key, uint32_t generation)
{
	uint64_t value[VALUE_MAX_WORDS];

	value_make(value, VALUE_WORDS, key, generation);
	return table_insert(table, key, value);
}

static inline bool loop_updates(void *table, uint64_t key, uint32_t generation)
{
	uint64_t value[VALUE_MAX_WORDS];

	value_make(value, VALUE_WORDS, key, generation);
	return table_update(table, key, value);
}

static size_t loop_hit(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	size_t right = 0;

	(void)generation;
	LOOP_ENTER();
	for (size_t i = 0; i < n; i++)
		right += loop_finds(table, keys[i]);
	LOOP_LEAVE();
	return right;
}

static size_t loop_miss(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	size_t right = 0;

	(void)generation;
	LOOP_ENTER();
	for (size_t i = 0; i < n; i++) {
		uint64_t value[VALUE_MAX_WORDS];

		right += !table_lookup(table, keys[i], value);
	}
	LOOP_LEAVE();
	return right;
}

static size_t loop_insert(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	size_t right = 0;

	LOOP_ENTER();
	for (size_t i = 0; i < n; i++)
		right += loop_inserts(table, keys[i], generation);
	LOOP_LEAVE();
	return right;
}

static size_t loop_update(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	size_t right = 0;

	LOOP_ENTER();
	for (size_t i = 0; i < n; i++)
		right += loop_updates(table, keys[i], generation);
	LOOP_LEAVE();
	return right;
}

static size_t loop_churn(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	size_t right = 0;

	LOOP_ENTER();
	for (size_t i = 0; i < n; i++)
		right += table_delete(table, keys[i]) && loop_inserts(table, keys[i], generation);
	LOOP_LEAVE();
	return right;
}

static size_t loop_mixed(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	size_t right = 0;

	LOOP_ENTER();
	for (size_t i = 0; i < n; i++) /* by a bit of a random key: no branch predictor knows it */
		right += keys[i] >> 63 ? loop_updates(table, keys[i], generation) : loop_finds(table, keys[i]);
	LOOP_LEAVE();
	return right;
}

static size_t loop_delete(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	size_t right = 0;

	(void)generation;
	LOOP_ENTER();
	for (size_t i = 0; i < n; i++)
		right += table_delete(table, keys[i]);
	LOOP_LEAVE();
	return right;
}

static size_t loop_cache(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	size_t right = 0;

	LOOP_ENTER();
	for (size_t i = 0; i < n; i++) {
		uint64_t value[VALUE_MAX_WORDS];

		if (table_lookup(table, keys[i], value))
			right += value_is_right(value, VALUE_WORDS, keys[i]);
		else
			right += loop_updates(table, keys[i], generation);
	}
	LOOP_LEAVE();
	return right;
}

static size_t loop_verify(void *table, const uint64_t *keys, size_t n, uint32_t generation)
{
	size_t right = 0;

	LOOP_ENTER();
	for (size_t i = 0; i < n; i++)
		right += table_holds(table, keys[i], generation);
	LOOP_LEAVE();
	return right;
}

/* The first ten members of table_ops.loop, in the order of enum table_op. */
#define TABLE_LOOPS                                                                                                   \
	loop_hit, loop_miss, loop_insert, loop_update, loop_churn, loop_mixed, loop_delete, loop_verify, loop_update, \
		loop_cache
