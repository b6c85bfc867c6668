/* SPDX-License-Identifier: MIT */
/*
 * jemalloc's settings in the benchmarks. The peers take their memory from it, and get what a usermap map asks for
 * itself: huge pages, and memory that stays mapped, so that none of them pays for page faults in a timed part more
 * than once.
 */
extern const char *malloc_conf;
const char *malloc_conf = "thp:always,metadata_thp:auto,dirty_decay_ms:-1,muzzy_decay_ms:-1";
