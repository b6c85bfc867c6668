/* SPDX-License-Identifier: MIT */
/*
 * Rules as cmocka tests, each put to the live kernel, where that can be the oracle, and to the engine. Include behind
 * cmocka.h.
 */
#ifndef TESTS_SEMANTICS_ASK_H
#define TESTS_SEMANTICS_ASK_H

#include "abi.h"
#include "helper.h"

/* Commands: the result, or -errno. */
int ask(int cmd, void *attr, unsigned size);
int elem(int cmd, int fd, const void *key, const void *value, uint64_t flags);
int freeze(int fd);

union abi_attr create_attr(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t max_entries, uint32_t flags);
/* A new map's descriptor; the test fails if it can't be had. */
int create(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t max_entries, uint32_t flags);

/* A new map with 4-byte keys, and with a spin lock in its values unless lock_off is NO_LOCK. */
struct helper_map new_map(uint32_t type, uint32_t value_size, uint32_t max_entries, uint32_t flags, uint32_t lock_off);
/* What a helper returns. */
long help(const struct helper_map *map, enum helper helper, const struct helper_call *call);

/* A page whose successor isn't there; returns its end. */
unsigned char *page_edge(void);

/* What main() returns when both were asked. */
#define ask_both(rules) ask_both_these((rules), sizeof(rules) / sizeof((rules)[0]))
int ask_both_these(const struct CMUnitTest *rules, size_t n);

#endif
