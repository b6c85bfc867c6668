/* SPDX-License-Identifier: MIT */
/*
 * Transcripts: what a kernel answered to some streams, so that the engine can be held against it where bpf(2) is
 * refused.
 *
 * A line of text says which streams; then come, for each stream, a fingerprint of its commands (64 bits) and six bytes
 * a command: the code (16 bits) and a hash of the rest of the answer (32 bits), little endian. Answers hold no address,
 * no descriptor, no id and no order that depends on chance, so a transcript is good on every machine; but streams with
 * per-CPU values, or with LRU maps, which have lists for each CPU, only where there are as many CPUs as where it was
 * recorded.
 */
#ifndef TESTS_SEMANTICS_TRANSCRIPT_H
#define TESTS_SEMANTICS_TRANSCRIPT_H

#include <stdio.h>

#include "side.h"

struct transcript {
	uint64_t seed; /* of the first stream; the next ones have the next seeds */
	uint64_t streams;
	uint64_t steps; /* of each stream */
	bool sound;	/* as program_generate() has it */
};

/* Both print what is wrong, and return false. */
bool transcript_record(struct side *side, const char *path, const struct transcript *transcript);
bool transcript_replay(struct side *side, const char *path, bool sound, uint64_t *compared);

#endif
