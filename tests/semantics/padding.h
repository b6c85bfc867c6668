/* SPDX-License-Identifier: MIT */
/*
 * Padding that depends on chance: where value_size is no multiple of 8, an entry that a program inserted into a
 * PERCPU_HASH or LRU_PERCPU_HASH shows in its padding what the element's previous entry left there, and which element that
 * was is nobody's promise. It lasts until a command stores the whole value. Of such entries, and of no others, the padding is
 * blanked.
 */
#ifndef TESTS_SEMANTICS_PADDING_H
#define TESTS_SEMANTICS_PADDING_H

#include "side.h"

static inline bool has_padding(const struct slot *slot)
{
	return abi_is_percpu(slot->create.map_type) && !abi_is_array(slot->create.map_type) &&
	       slot->create.value_size % 8;
}

/* The entry of this key was inserted by a program (loose), or stored by a command. */
void padding_note(struct slot *slot, const void *key, bool loose);
/* Blanks the padding in the first `size` bytes of the key's value, if it is loose. */
void padding_blank(const struct slot *slot, const void *key, void *value, size_t size);

#endif
