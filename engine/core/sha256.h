/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 (FIPS 180-4). BPF_OBJ_GET_INFO_BY_FD answers with it what a frozen ARRAY holds; a dependency of every program
 * on a cryptographic library would be too much for that.
 */
#ifndef ENGINE_CORE_SHA256_H
#define ENGINE_CORE_SHA256_H

#include <stdint.h>

#define SHA256_SIZE 32

/* The digest of `size` bytes of shared memory, read word by word (core/words.h): 8-byte aligned, a multiple of 8. */
void sha256_words(const void *words, uint64_t size, unsigned char digest[SHA256_SIZE]);

#endif
