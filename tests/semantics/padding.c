/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "padding.h"

/* A stream's keys begin with their numbers (slot_key()), which differ in the two low bytes. */
static uint32_t bit_of(const struct slot *slot, const void *key)
{
	uint16_t number = 0;

	memcpy(&number, key, slot->create.key_size < sizeof(number) ? slot->create.key_size : sizeof(number));
	return number;
}

void padding_note(struct slot *slot, const void *key, bool loose)
{
	uint32_t bit = bit_of(slot, key);
	unsigned char mask = (unsigned char)(1 << bit % 8);

	if (loose) {
		slot->loose[bit / 8] |= mask;
		slot->any_loose = true;
	} else {
		slot->loose[bit / 8] &= (unsigned char)~mask;
	}
}

void padding_blank(const struct slot *slot, const void *key, void *value, size_t size)
{
	uint32_t bit, value_size = slot->create.value_size, stride = (value_size + 7) & ~7u;

	if (!slot->any_loose)
		return;
	bit = bit_of(slot, key);
	if (!(slot->loose[bit / 8] >> bit % 8 & 1))
		return;
	for (size_t i = value_size; i < size; i++)
		if (i % stride >= value_size)
			((char *)value)[i] = 0;
}
