/* SPDX-License-Identifier: MIT */
/* What must be true of a map as a whole when nobody is writing, whatever happened before. */
#ifndef TESTS_CONCURRENCY_WHOLE_H
#define TESTS_CONCURRENCY_WHOLE_H

#include "idmap.h"

#define WHOLE_FRESH 0x40000000u /* ids from here on are the check's own */

/*
 * Judges a map that may hold some of the n keys, and no others; NULL, or what is wrong with it (valid until the next call):
 *  - a walk gives exactly the keys that lookups find, each once, and the count is their number;
 *  - exactly max_entries fit, twice, every value is its key's, and replacing works when full;
 *  - when all is deleted the count is 0, no slot is left claimed, no overflow node in place.
 * The map is empty afterwards.
 */
const char *whole_judge(const struct idmap *m, const uint32_t *keys, unsigned n);

#endif
