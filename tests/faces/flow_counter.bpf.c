// SPDX-License-Identifier: MIT
/*
 * A BPF program as people write them, nothing in it knows of usermap: counts IPv4 flows, lets each have a burst of packets and
 * then a packet a minute, and keeps statistics per CPU. Compiled for the kernel and for this machine by flow_counter_test.c.
 */
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "flow_counter.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FLOWS);
	__uint(map_flags, BPF_F_ZERO_SEED);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STATS);
	__type(key, __u32);
	__type(value, struct stat);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u8);
	__type(value, __u64);
} protocols SEC(".maps");

static __always_inline void count(__u32 what, __u32 bytes)
{
	struct stat *stat = bpf_map_lookup_elem(&stats, &what);

	if (stat) {
		stat->packets++;
		stat->bytes += bytes;
		stat->cpu = bpf_get_smp_processor_id();
	}
}

static __always_inline void count_protocol(__u8 protocol)
{
	__u64 one = 1, *packets = bpf_map_lookup_elem(&protocols, &protocol);

	if (packets)
		(*packets)++;
	else
		bpf_map_update_elem(&protocols, &protocol, &one, BPF_ANY);
}

/* Reads the flow's key out of a packet; 0 if it isn't one that is counted. */
static __always_inline int parse(const void *data, const void *end, struct flow_key *key)
{
	const struct ethhdr *eth = data;
	const struct iphdr *ip = (const void *)(eth + 1);
	const __be16 *ports;

	if ((const void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl < 5)
		return 0;
	key->from = ip->saddr;
	key->to = ip->daddr;
	key->protocol = ip->protocol;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return 1;
	ports = (const void *)ip + ip->ihl * 4;
	if ((const void *)(ports + 2) > end)
		return 0;
	key->from_port = bpf_ntohs(ports[0]);
	key->to_port = bpf_ntohs(ports[1]);
	return 1;
}

static __always_inline struct flow *find_or_add(const struct flow_key *key, __u64 now)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);
	struct flow fresh = { .tokens = BURST, .filled = now };

	if (flow)
		return flow;
	if (bpf_map_update_elem(&flows, key, &fresh, BPF_NOEXIST))
		count(STAT_NO_ROOM, 0);
	return bpf_map_lookup_elem(&flows, key);
}

SEC("xdp")
int count_flow(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data, *end = (const void *)(long)ctx->data_end;
	__u32 bytes = (__u32)(end - data);
	struct flow_key key = { 0 };
	__u64 now;
	struct flow *flow;
	int passes;

	if (!parse(data, end, &key)) {
		count(STAT_OTHER, bytes);
		return XDP_PASS;
	}
	count_protocol(key.protocol);
	now = bpf_ktime_get_ns();
	flow = find_or_add(&key, now);
	if (!flow)
		return XDP_ABORTED;
	bpf_spin_lock(&flow->lock);
	if (now - flow->filled >= INTERVAL_NS) {
		flow->tokens = BURST;
		flow->filled = now;
	}
	passes = flow->tokens > 0;
	if (passes)
		flow->tokens--;
	flow->packets++;
	flow->bytes += bytes;
	bpf_spin_unlock(&flow->lock);
	count(passes ? STAT_PASSED : STAT_DROPPED, bytes);
	return passes ? XDP_PASS : XDP_DROP;
}

struct sweep {
	__u32 left;
	__u32 removed;
};

static long sweep_one(void *map, const struct flow_key *key, struct flow *flow, struct sweep *sweep)
{
	if (flow->packets == 1) {
		sweep->removed++;
		bpf_map_delete_elem(map, key);
	}
	return --sweep->left == 0;
}

/* Removes the flows that had one packet, among the first so many that the packet's length says; returns how many it met. */
SEC("xdp")
int remove_idle(struct xdp_md *ctx)
{
	struct sweep sweep = { .left = ctx->data_end - ctx->data };
	long met = bpf_for_each_map_elem(&flows, sweep_one, &sweep, 0);
	__u32 what = STAT_REMOVED, cpu = 0;
	struct stat *stat = bpf_map_lookup_percpu_elem(&stats, &what, cpu);

	if (stat)
		stat->packets += sweep.removed;
	return (int)met;
}

char _license[] SEC("license") = "GPL";
