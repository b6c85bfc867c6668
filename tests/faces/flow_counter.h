/* SPDX-License-Identifier: MIT */
/* What flow_counter.bpf.c keeps in its maps, for it and for who reads them. */
#ifndef TESTS_FACES_FLOW_COUNTER_H
#define TESTS_FACES_FLOW_COUNTER_H

#include <linux/bpf.h>

#define FLOWS	    64
#define BURST	    5
#define INTERVAL_NS (60ull * 1000 * 1000 * 1000)

struct flow_key {
	__be32 from, to;
	__u16 from_port, to_port;
	__u8 protocol;
	__u8 pad[3];
};

struct flow {
	__u64 packets;
	__u64 bytes;
	__u64 filled;
	struct bpf_spin_lock lock;
	__u32 tokens;
};

enum stats { STAT_PASSED, STAT_DROPPED, STAT_OTHER, STAT_NO_ROOM, STAT_REMOVED, STATS };

struct stat {
	__u64 packets;
	__u64 bytes;
	__u32 cpu; /* the last one that counted here */
};

#endif
