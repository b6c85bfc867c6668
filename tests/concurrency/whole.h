/* SPDX-License-Identifier: MIT */
/* What must be true of a map as a whole when nobody is writing, whatever happened before. Looks inside. */
#ifndef TESTS_CONCURRENCY_WHOLE_H
#define TESTS_CONCURRENCY_WHOLE_H

#include "idmap.h"

#define WHOLE_FRESH 0x40000000u /* ids from here on are the check's own */

/*
 * Judges a map that may hold some of the n keys, and no others; NULL, or what is wrong with it (valid until the next call):
 *  - a walk gives exactly the keys that lookups find, each once, and the count is their number;
 *  - exactly max_entries fit, twice, every value is its key's, and replacing works when full;
 *  - when all is deleted the count is 0, no slot is left claimed, no overflow node in place.
 * Of a map that evicts, in place of the second:
 *  - its policy gives every element away once, those of the entries by evicting them, and no others;
 *  - so it does again when the map was filled with new keys, of which each was there at once, with its value.
 * The map is empty afterwards.
 */
const char *whole_judge(const struct idmap *m, const uint32_t *keys, unsigned n);

/* How many elements the policy of a map that evicts gives away when it is asked for as many as it has, all entries evicted.
 * They are given back. NULL, or what is wrong. */
const char *whole_take_all(const struct idmap *m, uint32_t *n);

#endif
