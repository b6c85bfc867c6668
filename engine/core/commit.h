/* SPDX-License-Identifier: MIT */
/*
 * The 16-byte words that change at once: a line's commit word, and the heads of shared lists.
 *
 * A write is one double-word compare-and-swap: ck's. TSan can't see its assembly and is told what it orders: the
 * 16-byte CAS of TSan's own runtime takes a lock, which readers of the halves don't take, nor do other processes.
 * There is no 16-byte load: vector loads tear under emulation and on CPUs without AVX, a CAS as a load writes. Instead
 * the first half is read, then the second, then the first again by whoever needs a snapshot. Every write changes the
 * first half (a version is in it), so an unchanged first half makes the pair a snapshot.
 */
#ifndef ENGINE_CORE_COMMIT_H
#define ENGINE_CORE_COMMIT_H

#include <ck_pr.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pair {
	_Alignas(16) _Atomic uint64_t first; /* holds a version or a cookie that every write changes */
	_Atomic uint64_t second;
};

struct pair_value {
	uint64_t first, second;
};

#if defined(__SANITIZE_THREAD__)
#define USERMAP_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define USERMAP_TSAN 1
#endif
#endif
#ifdef USERMAP_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Acquire-release on success: what the writer prepared is visible to whoever reads the new pair, and the writer sees
 * what stood behind the pair it replaces. */
static inline bool pair_cas(struct pair *p, struct pair_value old, struct pair_value new)
{
	uint64_t compare[2] = { old.first, old.second }, set[2] = { new.first, new.second };
	bool done;

#ifdef USERMAP_TSAN
	__tsan_release(p);
#endif
#ifndef __x86_64__
	atomic_thread_fence(memory_order_seq_cst); /* ck's is relaxed elsewhere; on x86-64 it is a full fence */
#endif
	done = ck_pr_cas_64_2((uint64_t *)(void *)p, compare, set);
#ifndef __x86_64__
	atomic_thread_fence(memory_order_seq_cst);
#endif
#ifdef USERMAP_TSAN
	__tsan_acquire(p);
#endif
	return done;
}

#endif
