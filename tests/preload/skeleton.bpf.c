/* SPDX-License-Identifier: MIT */
/*
 * An object of maps alone, for libbpf to open, load and use (skeleton.c): what bpftool gen skeleton and libbpf make of it
 * is BTF, maps that are mapped into the program's memory, and the feature probes that come before.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum state { IDLE, BUSY };

struct account {
	struct bpf_spin_lock lock;
	enum state state;
	__u64 in, out;
	char owner[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_ZERO_SEED); /* so that both sides list it in the same order */
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct account);
} accounts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 600);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} ticks SEC(".maps");

const volatile __u32 limit = 10;
const volatile char greeting[16] = "hello";
__u64 counter = 1000;
__u64 totals = 5;
__u64 zeros[3];
