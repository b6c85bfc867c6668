/* SPDX-License-Identifier: MIT */
/*
 * The hash that the peers are given: one 64 x 64 -> 128 bit multiplication, folded, with a secret. The cheapest hash
 * that uses every bit of an 8-byte key; none of them is slowed down by a hash of general byte strings.
 */
#ifndef BENCH_HASH_H
#define BENCH_HASH_H

#include <stdint.h>

static inline uint64_t peer_hash(uint64_t key)
{
	__extension__ unsigned __int128 product = (unsigned __int128)(key ^ 0xa0761d6478bd642fu) * 0xe7037ed1a0b428dbu;

	return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

#endif
