/* SPDX-License-Identifier: MIT */
/* What usermap/bpf_names.h can't say inline without bringing the C library's headers into BPF programs. */
#include <stdint.h>
#include <time.h>
#include <usermap/bpf_names.h>

#include "core/cpu.h"

__u32 usermap_bpf_processor_id(void)
{
	return cpu_current(UINT32_MAX);
}

__u64 usermap_bpf_ktime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000000000u + (__u64)now.tv_nsec;
}

/* The callback gets the program's own variable, which it may hand to helpers. It may return long, too: in the kernel that's 0
 * or 1. */
struct bpf_callback {
	void *variable;
	int (*call)(void *variable, const void *key, void *value, void *ctx);
	void *ctx;
};

static long call_back(struct usermap *map, const void *key, void *value, void *ctx)
{
	const struct bpf_callback *callback = ctx;

	(void)map;
	return callback->call(callback->variable, key, value, callback->ctx);
}

long usermap_bpf_for_each(void *variable, void *callback, void *ctx, __u64 flags)
{
	struct bpf_callback all = {
		.variable = variable,
		.call = (int (*)(void *, const void *, void *, void *))callback,
		.ctx = ctx,
	};

	return usermap_helper_for_each_elem(usermap_bpf_map(variable), call_back, &all, flags);
}
