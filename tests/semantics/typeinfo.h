/* SPDX-License-Identifier: MIT */
/* The types (BTF) of maps whose values have a spin lock. */
#ifndef TESTS_SEMANTICS_TYPEINFO_H
#define TESTS_SEMANTICS_TYPEINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TYPEINFO_MAX 512u /* bytes */

struct lockable {
	unsigned char raw[TYPEINFO_MAX];
	uint32_t size;
	uint32_t key_id, value_id;
};

/* The types of a map whose value, value_size bytes, has a spin lock at lock_off. number: the key is a 32-bit number,
 * else bytes. nested: the struct with the lock is inside another one. */
void typeinfo_lockable(struct lockable *lockable, uint32_t key_size, bool number, uint32_t value_size,
		       uint32_t lock_off, bool nested);
/* Where the lock is in the value of such raw bytes. */
uint32_t typeinfo_lock_off(const void *raw);

#endif
