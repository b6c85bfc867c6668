/* SPDX-License-Identifier: MIT */
/* What ARRAY and PERCPU_ARRAY have in common: keys that are indices, each of which is always present. Defined in array.c. */
#ifndef ENGINE_MAP_ARRAY_H
#define ENGINE_MAP_ARRAY_H

#include "map/map.h"

int array_delete(struct usermap *map, const void *key);
int array_next_key(struct usermap *map, const void *key, void *next_key);

#endif
