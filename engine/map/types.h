/* SPDX-License-Identifier: MIT */
/* The map types there are. Each is one table of operations, in its own file; registry.c finds them by number. */
#ifndef ENGINE_MAP_TYPES_H
#define ENGINE_MAP_TYPES_H

#include "map/map.h"

extern const struct map_ops array_ops;							  /* map/array.c */
extern const struct map_ops percpu_array_ops;						  /* map/percpu_array.c */
extern const struct map_ops hash_ops, percpu_hash_ops, lru_hash_ops, lru_percpu_hash_ops; /* map/hash.c */

#endif
