/* SPDX-License-Identifier: MIT */
/*
 * The program face as the tests see it: one call, which is what a small BPF program does with one key. A side has a way
 * to make it: the kernel's by loading that program (kernel_helper.c), usermap's by its helper functions (map_helper.c).
 */
#ifndef TESTS_SEMANTICS_HELPER_H
#define TESTS_SEMANTICS_HELPER_H

#include <stddef.h>
#include <stdint.h>

#include "abi.h"

enum helper {
	HELPER_LOOKUP,	      /* the value goes out */
	HELPER_LOOKUP_PERCPU, /* that of another CPU */
	HELPER_UPDATE,
	HELPER_DELETE,
	HELPER_STORE, /* a lookup, and the value stored through its pointer; under the spin lock if the value has one */
	HELPER_ADD,   /* delta is added to the 8 bytes at an offset of this CPU's slot */
	HELPER_FOR_EACH,
	HELPER_N
};

/* What the callback of HELPER_FOR_EACH does when it has noted the entry that it is given: delete or update it, or insert
 * another key. */
enum each { EACH_NOTHING, EACH_DELETE, EACH_UPDATE, EACH_INSERT, EACH_N };

/* The most that a program is written for. */
#define HELPER_KEY_MAX	 8192u
#define HELPER_VALUE_MAX 65536u
#define HELPER_LOCK_MAX	 1024u /* of a value with a spin lock */

struct helper_call {
	const void *key, *value;
	void *out; /* value_size bytes; FOR_EACH: entries, key and value side by side */
	uint64_t flags;
	uint64_t delta;
	uint32_t offset;
	uint32_t cpu;
	uint32_t each;	/* enum each; what it stores is `value`, what it inserts `key` */
	uint32_t limit; /* the callback that stops */
	uint32_t room;	/* entries that `out` takes */
};

#define NO_LOCK UINT32_MAX

/* What a helper works on. */
struct helper_map {
	int fd;
	struct abi_create create;
	uint32_t lock_off; /* of the spin lock in a value, NO_LOCK: none */
};

/* Entries of a walk that are noted. */
static inline uint32_t helper_room(const struct abi_create *create)
{
	uint64_t most = (4u << 20) / (create->key_size + create->value_size + 16);

	return create->max_entries < most ? create->max_entries : (uint32_t)most;
}

struct helper_face {
	/* What is kept of a map between calls; NULL if nothing. All exit if they can't do what they are asked. */
	void *(*open)(const struct helper_map *map);
	/* -ENOENT for an absent entry, or what the helper returns. */
	long (*call)(void *opened, enum helper helper, const struct helper_call *call);
	void (*close)(void *opened);
};

#endif
